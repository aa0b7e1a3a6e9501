//! The image cache against a real HTTPS server with mutual TLS.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
    routing::{get, put},
};
use axum_server::tls_rustls::RustlsConfig;
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use sha2::{Digest, Sha256};
use watari_chassis::prometheus::Registry;
use watari_contracts::saving::SendTo;
use watari_model::{Refusal, image::Format, vm::Base};
use watari_node_agent::{
    counts::Cached,
    images::{Images, Pace, Unsent},
    layout::Layout,
    settings,
};

/// What the server does with the next requests.
#[derive(Default)]
struct Behaviour {
    content: Vec<u8>,
    /// Answers that break off half-way.
    cuts: AtomicUsize,
    asked: AtomicUsize,
    asked_for_rest: AtomicUsize,
    /// What was sent.
    uploaded: Mutex<Vec<u8>>,
}

const TOKEN: &str = "Bearer good";

fn has_token(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|given| given == TOKEN)
}

fn told(status: StatusCode, arrived: usize, body: &'static str) -> Response {
    Response::builder().status(status).header("upload-offset", arrived).body(Body::from(body)).unwrap()
}

/// How much of an upload has arrived.
async fn tell(State(behaviour): State<Arc<Behaviour>>, headers: HeaderMap) -> Response {
    let arrived = behaviour.uploaded.lock().unwrap().len();
    told(if has_token(&headers) { StatusCode::OK } else { StatusCode::UNAUTHORIZED }, arrived, "")
}

/// Takes what is sent, or half of it.
async fn take(
    State(behaviour): State<Arc<Behaviour>>,
    Query(place): Query<HashMap<String, usize>>,
    headers: HeaderMap,
    piece: Bytes,
) -> Response {
    let mut uploaded = behaviour.uploaded.lock().unwrap();
    if !has_token(&headers) {
        return told(StatusCode::UNAUTHORIZED, uploaded.len(), r#"{"code":"upload.ticket"}"#);
    }
    assert_eq!(place["offset"], uploaded.len(), "it does not go on where the last piece ended");
    if behaviour.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
        uploaded.extend_from_slice(&piece[..piece.len() / 2]);
        return told(StatusCode::BAD_REQUEST, uploaded.len(), r#"{"code":"upload.broken"}"#);
    }
    uploaded.extend_from_slice(&piece);
    told(StatusCode::OK, uploaded.len(), "{}")
}

async fn blob(State(behaviour): State<Arc<Behaviour>>, Path(_): Path<String>, headers: HeaderMap) -> Response {
    behaviour.asked.fetch_add(1, Ordering::SeqCst);
    let range = headers
        .get(header::RANGE)
        .and_then(|r| r.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: usize = range.unwrap_or(0);
    if from >= behaviour.content.len() {
        return Response::builder().status(StatusCode::RANGE_NOT_SATISFIABLE).body(Body::empty()).unwrap();
    }
    let rest = Bytes::from(behaviour.content[from..].to_vec());
    let mut answer = Response::builder().header(header::CONTENT_LENGTH, rest.len());
    if from > 0 {
        behaviour.asked_for_rest.fetch_add(1, Ordering::SeqCst);
        let whole = behaviour.content.len();
        answer = answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_RANGE, format!("bytes {from}-{}/{whole}", whole - 1));
    }
    if behaviour.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
        let half = rest.slice(..rest.len() / 2);
        let pieces = vec![Ok(half), Err(std::io::Error::other("cut"))];
        return answer.body(Body::from_stream(futures_util::stream::iter(pieces))).unwrap();
    }
    answer.body(Body::from(rest)).unwrap()
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn issue(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (self.certify(&key), key)
    }

    fn certify(&self, key: &KeyPair) -> rcgen::Certificate {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.signed_by(key, &self.issuer).unwrap()
    }
}

struct Scene {
    folder: PathBuf,
    layout: Layout,
    authority: Authority,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("watari-images-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let layout = Layout::new(&folder.join("data"), &folder.join("run"));
        layout.make().unwrap();
        Self { folder, layout, authority: Authority::new() }
    }

    /// Serves until the test ends; gives the origin.
    async fn serve(&self, behaviour: &Arc<Behaviour>) -> String {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let (certificate, key) = self.authority.issue();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from(certificate)],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let handle = axum_server::Handle::<SocketAddr>::new();
        let router = Router::new()
            .route("/v1/blobs/{sha256}", get(blob))
            .route("/v1/uploads/{id}", put(take).head(tell))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(behaviour));
        let server = axum_server::bind_rustls(
            SocketAddr::from(([127, 0, 0, 1], 0)),
            RustlsConfig::from_config(Arc::new(config)),
        );
        tokio::spawn(server.handle(handle.clone()).serve(router.into_make_service()));
        format!("https://{}", handle.listening().await.unwrap())
    }

    fn images(&self, sources: Vec<String>) -> Images {
        self.bounded(sources, 0)
    }

    /// Images that may take so many MiB together.
    fn bounded(&self, sources: Vec<String>, cache_mib: u64) -> Images {
        let (certificate, key) = self.authority.issue();
        self.images_of(sources, cache_mib, &certificate, &key)
    }

    /// Of a node that has this certificate.
    fn images_of(
        &self,
        sources: Vec<String>,
        cache_mib: u64,
        certificate: &rcgen::Certificate,
        key: &KeyPair,
    ) -> Images {
        let files = [
            ("ca.pem", self.authority.issuer.pem()),
            ("cert.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ];
        for (name, text) in files {
            fs::write(self.folder.join(name), text).unwrap();
        }
        let settings = settings::Image {
            sources,
            ca: self.folder.join("ca.pem"),
            cert: self.folder.join("cert.pem"),
            key: self.folder.join("key.pem"),
            downloads: 2,
            stall_seconds: 5,
            cache_mib,
        };
        let shown = Cached::register(&Registry::new()).unwrap();
        Images::new("m1".parse().unwrap(), self.layout.clone(), &settings, 0, shown).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn base(content: &[u8]) -> Base {
    let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    Base { image: "mini".parse().unwrap(), sha256, format: Format::Raw, firmware: Default::default() }
}

#[tokio::test]
async fn an_image_is_fetched_once_however_many_want_it_and_becomes_read_only() {
    let scene = Scene::new("once");
    let behaviour = Arc::new(Behaviour { content: content(), ..Behaviour::default() });
    let images = scene.images(vec![scene.serve(&behaviour).await]);
    let base = base(&behaviour.content);
    let all = futures_util::future::join_all((0..8).map(|_| images.ensure(&base))).await;
    let path = all[0].as_ref().unwrap().path();
    assert!(all.iter().all(|held| held.as_ref().unwrap().path() == path));
    assert_eq!(behaviour.asked.load(Ordering::SeqCst), 1);
    assert_eq!(fs::read(path).unwrap(), behaviour.content);
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o444);
    images.ensure(&base).await.unwrap();
    assert_eq!(behaviour.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_fetch_that_was_cut_half_way_goes_on_where_it_was() {
    let scene = Scene::new("cut");
    let behaviour = Arc::new(Behaviour { content: content(), cuts: AtomicUsize::new(1), ..Behaviour::default() });
    let images = scene.images(vec![scene.serve(&behaviour).await]);
    let held = images.ensure(&base(&behaviour.content)).await.unwrap();
    assert_eq!(fs::read(held.path()).unwrap(), behaviour.content);
    assert_eq!(behaviour.asked_for_rest.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_has_another_digest_never_gets_the_name_and_the_next_source_is_asked() {
    let scene = Scene::new("wrong");
    let wrong = Arc::new(Behaviour { content: b"something else".to_vec(), ..Behaviour::default() });
    let right = Arc::new(Behaviour { content: content(), ..Behaviour::default() });
    let base = base(&right.content);
    let (bad, good) = (scene.serve(&wrong).await, scene.serve(&right).await);
    let alone = scene.images(vec![bad.clone()]);
    let refused = alone.ensure(&base).await.unwrap_err();
    assert!(matches!(&refused, Refusal::ImageUnavailable { detail, .. } if detail.contains("digest")), "{refused}");
    assert_eq!(fs::read_dir(scene.layout.images()).unwrap().count(), 0, "nothing of it is left");
    let both = scene.images(vec![bad, good]);
    assert_eq!(fs::read(both.ensure(&base).await.unwrap().path()).unwrap(), right.content);
}

#[tokio::test]
async fn what_was_dropped_to_make_room_is_fetched_again_when_it_is_needed() {
    let scene = Scene::new("again");
    let first = Arc::new(Behaviour { content: content(), ..Behaviour::default() });
    let second = Arc::new(Behaviour { content: content().into_iter().rev().collect(), ..Behaviour::default() });
    let origins = vec![scene.serve(&first).await, scene.serve(&second).await];
    // Each has more than 1 MiB, so that there is never room for both.
    let images = scene.bounded(origins, 2);
    let (one, other) = (base(&first.content), base(&second.content));
    let path = images.ensure(&one).await.unwrap().path().to_owned();
    let held = images.ensure(&other).await.unwrap();
    assert!(!path.exists(), "nobody needs the first, and there is no room for both");
    assert_eq!(images.told(), std::collections::BTreeSet::from([other.sha256.clone()]));
    let again = images.ensure(&one).await.unwrap();
    assert_eq!(fs::read(again.path()).unwrap(), first.content);
    assert!(held.path().exists(), "one that is held stays, room or no room");
    drop((held, again));
    let here = images.hold(&one);
    images.make_room(u64::MAX).await;
    assert!(here.path().exists(), "who makes room for a disk keeps what the disk will stand on");
    assert_eq!(images.told(), std::collections::BTreeSet::from([one.sha256.clone()]));
}

#[tokio::test]
async fn what_was_left_of_something_else_is_no_reason_to_give_up() {
    let scene = Scene::new("resumed");
    let behaviour = Arc::new(Behaviour { content: content(), ..Behaviour::default() });
    let images = scene.images(vec![scene.serve(&behaviour).await]);
    let base = base(&behaviour.content);
    let partial = scene.layout.images().join(format!("{}.raw.partial", base.sha256));
    fs::write(partial, vec![0; 1_000]).unwrap();
    assert_eq!(fs::read(images.ensure(&base).await.unwrap().path()).unwrap(), behaviour.content);
    assert_eq!(behaviour.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn nobody_is_believed_without_our_authority_and_nothing_is_fetched_from_nobody() {
    let (scene, other) = (Scene::new("trust"), Scene::new("other"));
    let behaviour = Arc::new(Behaviour { content: content(), ..Behaviour::default() });
    let stranger = other.serve(&behaviour).await;
    let base = base(&behaviour.content);
    assert!(matches!(scene.images(vec![stranger]).ensure(&base).await, Err(Refusal::ImageUnavailable { .. })));
    assert!(matches!(scene.images(vec![]).ensure(&base).await, Err(Refusal::ImageUnavailable { .. })));
    assert_eq!(behaviour.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_shown_while_the_agent_runs() {
    let (scene, former) = (Scene::new("renewed"), Authority::new());
    let behaviour = Arc::new(Behaviour { content: content(), ..Behaviour::default() });
    let origin = scene.serve(&behaviour).await;
    let (certificate, key) = scene.authority.issue();
    // Which front ends refuse.
    let images = scene.images_of(vec![origin], 0, &former.certify(&key), &key);
    let base = base(&behaviour.content);
    assert!(matches!(images.ensure(&base).await, Err(Refusal::ImageUnavailable { .. })));
    fs::write(scene.folder.join("cert.pem"), certificate.pem()).unwrap();
    images.ensure(&base).await.unwrap();
    assert_eq!(behaviour.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_copy_is_sent_piece_by_piece_and_goes_on_where_the_front_end_says() {
    let scene = Scene::new("send");
    let behaviour = Arc::new(Behaviour { cuts: AtomicUsize::new(1), ..Behaviour::default() });
    let (origin, images) = (scene.serve(&behaviour).await, scene.images(vec![]));
    let (bytes, path) = (content().repeat(8), scene.folder.join("copy"));
    fs::write(&path, &bytes).unwrap();
    let pace = Pace { piece: Duration::from_secs(20), bytes_per_second: 0 };
    let to = |token: &str| SendTo { url: format!("{origin}/v1/uploads/x"), token: token.to_owned() };
    let send = async |token: &str| images.send(&path, bytes.len() as u64, &to(token), pace).await;
    assert_eq!(send("void").await, Err(Unsent::Ticket));
    assert!(matches!(send("good").await, Err(Unsent::Broken(_))));
    let kept = behaviour.uploaded.lock().unwrap().len();
    assert!(kept > 0 && kept < bytes.len());
    assert_eq!(send("good").await, Ok(()));
    assert!(*behaviour.uploaded.lock().unwrap() == bytes, "other bytes arrived than were sent");
    assert_eq!(send("good").await, Ok(()), "all of it is there already");
    let nobody = SendTo { url: "https://127.0.0.1:1/v1/uploads/x".to_owned(), token: "good".to_owned() };
    assert!(matches!(images.send(&path, 1, &nobody, pace).await, Err(Unsent::Broken(_))));
}
