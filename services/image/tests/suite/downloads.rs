//! Images that the front end fetches itself, from servers that behave and from those that do not.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::harness::*;
use axum::{
    Router,
    body::Body,
    extract::{Path, State as Shared},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use watari_chassis::prometheus::IntCounter;
use watari_contracts::image::DeleteImage;
use watari_model::image::State;
use watari_testkit::{eventually, in_a_network_of_its_own};

/// A web server with one file.
#[derive(Clone)]
struct Web {
    file: Arc<Vec<u8>>,
    /// What has arrived of it.
    received: IntCounter,
    asked: Arc<AtomicUsize>,
}

impl Web {
    async fn with(file: Vec<u8>, front: &Front) -> (Self, SocketAddr) {
        let received = front.running.app.metrics.received.clone();
        let web = Self { file: Arc::new(file), received, asked: Arc::default() };
        let routes = Router::new()
            .route("/whole", get(whole))
            .route("/cut", get(cut))
            .route("/endless", get(endless))
            .route("/trickle", get(trickle))
            .route("/inside", get(|| async { Redirect::temporary("http://127.0.0.2:1/whole") }))
            .route("/round", get(|| async { Redirect::temporary("/round") }))
            .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
            .route("/moved", get(|| async { Redirect::permanent("/whole") }))
            .route("/to/{name}", get(to))
            .with_state(web.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (web, address)
    }
}

async fn whole(Shared(web): Shared<Web>) -> Response {
    web.asked.fetch_add(1, Ordering::SeqCst);
    (*web.file).clone().into_response()
}

/// Sends on to another name, at the same port.
async fn to(Path(name): Path<String>, headers: HeaderMap) -> Redirect {
    let port = headers[header::HOST].to_str().unwrap().rsplit(':').next().unwrap();
    Redirect::temporary(&format!("http://{name}:{port}/whole"))
}

/// Breaks off after a third of what is asked for, and knows ranges.
async fn cut(Shared(web): Shared<Web>, headers: HeaderMap) -> Response {
    web.asked.fetch_add(1, Ordering::SeqCst);
    let range = headers.get(header::RANGE).map(|v| v.to_str().unwrap().to_owned());
    let begin: usize = range.as_deref().map_or(0, |r| r["bytes=".len()..].trim_end_matches('-').parse().unwrap());
    assert!(begin == 0 || headers[header::IF_RANGE] == "\"v1\"", "a range of it knows not which file");
    let rest = &web.file[begin..];
    let part = Bytes::copy_from_slice(&rest[..(rest.len() / 3).max(rest.len().min(200_000))]);
    let whole = part.len() == rest.len();
    let sent = (begin + part.len()) as u64;
    let first = stream::once(async move { Ok(part) });
    let broken = stream::once(async move {
        arrived(&web.received, sent).await;
        Err(std::io::Error::other("cut"))
    });
    let body = Body::from_stream(first.chain(broken.take(usize::from(!whole))));
    let status = if begin > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = (status, [(header::ETAG, "\"v1\"")], body).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, rest.len().into());
    if begin > 0 {
        let range = format!("bytes {begin}-{}/{}", web.file.len() - 1, web.file.len());
        response.headers_mut().insert(header::CONTENT_RANGE, range.parse().unwrap());
    }
    response
}

async fn endless() -> Response {
    let piece = Bytes::from(noise(100_000, 1));
    Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()))).into_response()
}

async fn trickle() -> Response {
    let drops = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"drop")), ()))
    });
    Body::from_stream(drops).into_response()
}

/// A front end that may fetch from 127.0.0.1, with small bounds.
async fn front(place: &Place) -> Front {
    let mut settings = place.settings(0);
    settings.peers.clear();
    settings.urls.allow = vec!["127.0.0.1/32".parse().unwrap()];
    settings.urls.max_tries = 2;
    settings.limits.stall_seconds = 1;
    settings.limits.max_image_mib = 32;
    let front = place.start_with(settings).await;
    front.leads().await;
    front
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_fetched_and_goes_on_where_the_line_was_cut() {
    let place = Place::new();
    let front = front(&place).await;
    let file = qcow2(4, 1);
    let (web, address) = Web::with(file.clone(), &front).await;
    let ticket = front.fetch("mini", &format!("http://{address}/cut"), Some(sha256(&file))).await.unwrap();
    assert_eq!((ticket.url, ticket.image.state), (None, State::Importing), "nothing is to be sent");
    let ready = front.settled("mini").await;
    assert_eq!((ready.state, ready.sha256), (State::Ready, Some(sha256(&file))), "{:?}", ready.fault);
    assert!(web.asked.load(Ordering::SeqCst) > 2);
    // No byte came twice.
    assert_eq!(front.running.app.metrics.received.get(), file.len() as u64);
    front.fetch("moved", &format!("http://{address}/moved"), None).await.unwrap();
    assert_eq!(front.settled("moved").await.sha256, Some(sha256(&file)));
    front.is_tidy(1).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_lead_inside_or_nowhere_or_for_ever_are_refused_and_leave_nothing() {
    let place = Place::new();
    let front = front(&place).await;
    let file = qcow2(1, 2);
    let (web, address) = Web::with(file.clone(), &front).await;
    let port = address.port();
    for (name, url, code) in [
        ("other", format!("http://127.0.0.2:{port}/whole"), "image.url-forbidden"),
        ("metadata", "http://169.254.169.254/latest/meta-data/".to_owned(), "image.url-forbidden"),
        ("six", format!("http://[::1]:{port}/whole"), "image.url-forbidden"),
        ("inside", format!("http://{address}/inside"), "image.url-forbidden"),
        ("round", format!("http://{address}/round"), "image.url-bad"),
        ("file", format!("http://{address}/file"), "image.url-bad"),
        ("nothing", format!("http://{address}/nothing"), "image.url-failed"),
        ("nobody", "http://127.0.0.1:1/whole".to_owned(), "image.url-failed"),
        ("endless", format!("http://{address}/endless"), "image.endless"),
        ("trickle", format!("http://{address}/trickle"), "image.url-stalled"),
    ] {
        front.fetch(name, &url, None).await.unwrap();
        let failed = front.settled(name).await;
        let fault = failed.fault.unwrap_or_else(|| panic!("{name} is {:?}", failed.state));
        assert_eq!(fault.code, code, "{name}: {}", fault.cause);
    }
    assert_eq!(web.asked.load(Ordering::SeqCst), 0, "a forbidden address was asked");
    front.fetch("wrong", &format!("http://{address}/whole"), Some(sha256(b"another"))).await.unwrap();
    assert_eq!(front.settled("wrong").await.fault.unwrap().code, "image.digest-mismatch");
    for url in ["file:///etc/passwd", "http://user:secret@host/f", "json:{}"] {
        assert_eq!(front.fetch("bad", url, None).await.unwrap_err().code, "image.url-bad", "{url}");
    }
    front.is_tidy(0).await;
    front.stop().await;
}

/// By the system's own resolver, which is told the names in a file.
#[test]
fn a_name_that_leads_inside_as_well_is_refused_at_once_and_behind_a_redirect() {
    in_a_network_of_its_own("downloads::where_names_lead_inside");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a namespace that the other test makes"]
async fn where_names_lead_inside() {
    let run = |program: &str, words: &[&str]| {
        assert!(Command::new(program).args(words).status().unwrap().success(), "{program} {words:?}");
    };
    run("ip", &["link", "set", "lo", "up"]);
    let place = Place::new();
    let hosts = place.dir.path().join("hosts");
    let names =
        "127.0.0.1 plain.test\n8.8.8.8 half.test\n10.0.0.5 half.test\n127.0.0.1 served.test\n10.0.0.5 served.test\n";
    std::fs::write(&hosts, names).unwrap();
    run("mount", &["--bind", hosts.to_str().unwrap(), "/etc/hosts"]);

    let front = front(&place).await;
    let file = qcow2(1, 3);
    let (web, address) = Web::with(file.clone(), &front).await;
    let port = address.port();
    for (name, url) in [
        ("half", format!("http://half.test:{port}/whole")),
        ("served", format!("http://served.test:{port}/whole")),
        ("to-half", format!("http://plain.test:{port}/to/half.test")),
        ("to-served", format!("http://{address}/to/served.test")),
    ] {
        front.fetch(name, &url, None).await.unwrap();
        let failed = front.settled(name).await;
        let fault = failed.fault.unwrap_or_else(|| panic!("{name} is {:?}", failed.state));
        assert_eq!(fault.code, "image.url-forbidden", "{name}: {}", fault.cause);
        assert!(fault.cause.contains("10.0.0.5"), "{name}: {}", fault.cause);
    }
    assert_eq!(web.asked.load(Ordering::SeqCst), 0, "one of its addresses was asked");
    // It is the address that is refused, not the name nor the redirect.
    front.fetch("plain", &format!("http://plain.test:{port}/to/plain.test"), Some(sha256(&file))).await.unwrap();
    let ready = front.settled("plain").await;
    assert_eq!(ready.state, State::Ready, "{:?}", ready.fault);
    front.is_tidy(1).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_ends_when_its_image_is_deleted() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.urls.allow = vec!["127.0.0.1/32".parse().unwrap()];
    settings.limits.stall_kib = 0;
    let front = place.start_with(settings).await;
    front.leads().await;
    let (_, address) = Web::with(Vec::new(), &front).await;
    front.fetch("mini", &format!("http://{address}/trickle"), None).await.unwrap();
    eventually("it has begun", SOON, || async { front.running.app.metrics.received.get() > 0 }).await;
    asked(front.bus(), &DeleteImage { name: "mini".parse().unwrap() }).await.unwrap();
    eventually("it is gone", SOON, || async { front.show("mini").await.is_err_and(|e| e.code == "image.unknown") })
        .await;
    front.is_tidy(0).await;
    eventually("its job has ended", SOON, || async { front.running.app.downloads.under_way() == 0 }).await;
    front.stop().await;
}
