//! Two front ends on the loopback: a real nats-server, real certificates, real files.

#![allow(unreachable_pub, reason = "its items are for the other files of this program")]

pub mod proxy;
pub mod tls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use reqwest::{Client, Response};
use watari_chassis::{Bucket, Bus, CallError, Context, Drained, config::Common, prometheus::IntCounter};
use watari_contracts::{
    ErrorBody, Request, Service,
    image::{GetImage, ImageView, ImportImage, Ticket},
    upload::Frame,
};
use watari_image::{
    Running,
    settings::{DEFAULTS, ImageSection, Settings},
};
use watari_model::{image::State, node::Node, vm::Vm};
use watari_testkit::{NatsServer, TempDir, eventually, eventually_some, free_port};

use tls::Authority;

/// What anything in a test may take at most.
pub const SOON: Duration = Duration::from_secs(30);

/// Waits until `bytes` have arrived: what is on its way when a line is cut may get lost.
pub async fn arrived(received: &IntCounter, bytes: u64) {
    eventually("what was sent has arrived", SOON, || async { received.get() >= bytes }).await;
}

/// The installation: NATS, an authority, and folders for two sites.
pub struct Place {
    pub nats: NatsServer,
    pub dir: TempDir,
    pub authority: Authority,
    ports: [u16; 4],
}

/// One front end.
pub struct Front {
    pub ctx: Context,
    /// What a scheduler, or a monitor, writes with: this front end's own process writes nothing while it does not lead.
    pub other: Context,
    pub running: Running,
    pub data: PathBuf,
}

pub const SITES: [&str; 2] = ["myodaiji", "yamate"];

impl Place {
    pub fn new() -> Self {
        let dir = TempDir::new();
        let authority = Authority::new(dir.path(), "ours");
        Self { nats: NatsServer::start(), dir, authority, ports: [free_port(), free_port(), free_port(), free_port()] }
    }

    pub fn common(&self) -> Common {
        let mut common = Common::embedded().unwrap();
        common.bus.urls = vec![self.nats.url()];
        common.lease.ttl_ms = 1500;
        common.limits.drain_seconds = 5;
        common
    }

    pub fn data(&self, site: usize) -> PathBuf {
        self.dir.path().join(SITES[site])
    }

    /// Where a site serves images.
    pub fn blobs(&self, site: usize) -> SocketAddr {
        ([127, 0, 0, 1], self.ports[site * 2]).into()
    }

    /// The settings of a site's front end, which the other site is the only peer of.
    pub fn settings(&self, site: usize) -> ImageSection {
        let mut table: toml::Table = DEFAULTS.parse().unwrap();
        table["image"]["site"] = SITES[site].into();
        let mut image = serde::Deserialize::deserialize(toml::Value::Table(table)).map(|s: Settings| s.image).unwrap();
        image.data_dir = self.data(site);
        image.listen_blobs = self.blobs(site);
        image.listen_uploads = ([127, 0, 0, 1], self.ports[site * 2 + 1]).into();
        image.advertise = format!("https://{}", image.listen_uploads);
        image.peers = vec![format!("https://{}", self.blobs(1 - site))];
        image.tls = self.authority.issue(SITES[site]);
        image
    }

    pub async fn start_with(&self, settings: ImageSection) -> Front {
        let ctx = Context::new(Service::Image, &self.common()).await.unwrap();
        let other = Context::new(Service::Scheduler, &self.common()).await.unwrap();
        // The scheduler makes this bucket in a real installation.
        Bucket::<Vm>::open(&other).await.unwrap();
        // And the monitor this one.
        Bucket::<Node>::open(&other).await.unwrap();
        let data = settings.data_dir.clone();
        let running = watari_image::start(ctx.clone(), settings).await.unwrap();
        Front { ctx, other, running, data }
    }

    pub async fn start(&self, site: usize) -> Front {
        self.start_with(self.settings(site)).await
    }

    /// One front end that leads, without another.
    pub async fn alone(&self) -> Front {
        let mut settings = self.settings(0);
        settings.peers.clear();
        let front = self.start_with(settings).await;
        front.leads().await;
        front
    }

    /// Both, the first of which leads.
    pub async fn both(&self) -> [Front; 2] {
        let first = self.start(0).await;
        first.leads().await;
        [first, self.start(1).await]
    }

    /// A client that trusts the authority and has no certificate: an operator.
    pub fn operator(&self) -> Client {
        self.authority.client(None)
    }

    /// A client with a certificate: a node.
    pub fn node(&self) -> Client {
        self.authority.client(Some(&self.authority.issue("node")))
    }
}

impl Front {
    pub async fn leads(&self) {
        eventually("it leads", SOON, || async { self.running.app.is_primary() }).await;
        // Leading comes a moment before the endpoints are subscribed.
        eventually("it is ready", SOON, || async { self.ctx.ready.get() == watari_chassis::Readiness::Primary }).await;
    }

    pub async fn stop(self) {
        assert_eq!(self.ctx.drain().await, Drained::Fully);
    }

    pub fn bus(&self) -> &Bus {
        &self.ctx.bus
    }

    /// The names of the files in one of its folders.
    pub fn files(&self, folder: &str) -> Vec<String> {
        files(&self.data, folder)
    }

    /// Where one of its images lies.
    pub fn blob(&self, sha256: &str) -> PathBuf {
        self.data.join("blobs").join(sha256)
    }

    /// Waits until nothing is left of uploads and copies in hand, and of images if there are none.
    pub async fn is_tidy(&self, blobs: usize) {
        eventually("nothing is left behind", SOON, || async {
            self.files("incoming").is_empty()
                && self.files("working").is_empty()
                && self.files("fetching").is_empty()
                && self.files("blobs").len() == blobs
        })
        .await;
    }

    pub async fn import(&self, name: &str, request_id: &str, bytes: &[u8]) -> Ticket {
        self.announce(name, request_id, bytes.len() as u64, None).await.unwrap()
    }

    pub async fn announce(
        &self,
        name: &str,
        request_id: &str,
        size_bytes: u64,
        sha256: Option<String>,
    ) -> Result<Ticket, ErrorBody> {
        let size_bytes = Some(size_bytes);
        let request = ImportImage {
            request_id: request_id.to_owned(),
            name: name.parse().unwrap(),
            size_bytes,
            sha256,
            url: None,
            about: Default::default(),
        };
        asked(self.bus(), &request).await
    }

    /// Has the front end fetch an image.
    pub async fn fetch(&self, name: &str, url: &str, sha256: Option<String>) -> Result<Ticket, ErrorBody> {
        let (request_id, name, url) = (name.to_owned(), name.parse().unwrap(), Some(url.to_owned()));
        let about = Default::default();
        asked(self.bus(), &ImportImage { request_id, name, size_bytes: None, sha256, url, about }).await
    }

    pub async fn show(&self, name: &str) -> Result<ImageView, ErrorBody> {
        asked(self.bus(), &GetImage { name: name.parse().unwrap() }).await
    }

    /// Waits until an image's state is one of those that stay.
    pub async fn settled(&self, name: &str) -> ImageView {
        eventually_some("the import ends", SOON, || async {
            self.show(name).await.ok().filter(|view| matches!(view.state, State::Ready | State::Failed))
        })
        .await
    }

    /// Waits until every site has the image.
    pub async fn copied(&self, name: &str) -> ImageView {
        eventually_some("both sites have it", SOON, || async {
            self.show(name).await.ok().filter(|view| view.copies.len() == 2)
        })
        .await
    }

    /// Imports all of it in one go.
    pub async fn imported(&self, place: &Place, name: &str, bytes: &[u8]) -> ImageView {
        let ticket = self.import(name, name, bytes).await;
        let response = put(&place.operator(), &ticket, 0, bytes.to_vec()).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        self.settled(name).await
    }
}

pub fn files(data: &Path, folder: &str) -> Vec<String> {
    std::fs::read_dir(data.join(folder)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// Asks, and gives the refusal if there is one.
pub async fn asked<R: Request>(bus: &Bus, request: &R) -> Result<R::Reply, ErrorBody> {
    match bus.request_patiently(request, SOON).await {
        Ok(reply) => Ok(reply),
        Err(CallError::Refused(body)) => Err(*body),
        Err(error) => panic!("{}: {error}", R::SUBJECT),
    }
}

pub async fn put(client: &Client, ticket: &Ticket, offset: u64, body: impl Into<reqwest::Body>) -> Response {
    skip(client, ticket, offset, 0, body).await
}

/// Says that `zeros` of them come first, and sends what follows.
pub async fn skip(
    client: &Client,
    ticket: &Ticket,
    offset: u64,
    zeros: u64,
    body: impl Into<reqwest::Body>,
) -> Response {
    let url = format!("{}?offset={offset}&skip={zeros}", ticket.url.as_ref().unwrap());
    client.put(url).bearer_auth(&ticket.token).body(body).send().await.unwrap()
}

/// Sends a body of frames: so many zeros and the bytes after them, each.
pub async fn frames(client: &Client, ticket: &Ticket, offset: u64, frames: &[(u64, &[u8])]) -> Response {
    let frame = |(zeros, bytes): &(u64, &[u8])| {
        let frame = Frame { zeros: *zeros, length: bytes.len() as u64 };
        [&frame.to_bytes()[..], *bytes].concat()
    };
    framed(client, ticket, offset, frames.iter().flat_map(frame).collect()).await
}

/// The same, as it stands in the body.
pub async fn framed(client: &Client, ticket: &Ticket, offset: u64, body: Vec<u8>) -> Response {
    assert!(ticket.framed);
    let url = format!("{}?offset={offset}&framed=true", ticket.url.as_ref().unwrap());
    client.put(url).bearer_auth(&ticket.token).body(body).send().await.unwrap()
}

/// How much has arrived, by `HEAD`.
pub async fn offset(client: &Client, ticket: &Ticket) -> u64 {
    let response = client.head(ticket.url.as_ref().unwrap()).bearer_auth(&ticket.token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    header(&response, "upload-offset").parse().unwrap()
}

pub fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
}

pub fn sha256(bytes: &[u8]) -> String {
    watari_image::digest::of(bytes).into()
}

/// Bytes that do not compress and differ from call to call of another seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

/// A real qcow2 with so many MiB of noise in it.
pub fn qcow2(mib: usize, seed: u64) -> Vec<u8> {
    let dir = TempDir::new();
    std::fs::write(dir.path().join("raw"), noise(mib << 20, seed)).unwrap();
    qemu_img(dir.path(), &["convert", "-f", "raw", "-O", "qcow2", "raw", "d"]);
    std::fs::read(dir.path().join("d")).unwrap()
}

pub fn qemu_img(dir: &Path, args: &[&str]) {
    let done = Command::new("qemu-img").current_dir(dir).args(args).output().unwrap();
    assert!(done.status.success(), "qemu-img {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A server's document that stands on a file.
pub fn server(name: &str, image: &str, sha256: &str) -> Vm {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let uuid = format!("00000000-0000-4000-8000-{:012}", COUNT.fetch_add(1, Ordering::Relaxed));
    serde_json::from_value(serde_json::json!({
        "v": 1, "name": name, "uuid": uuid, "desired": "running", "home_site": "myodaiji", "state": "pending",
        "grant": null, "crossing": null, "fault": null,
        "created_at": "2026-01-01T00:00:00Z", "changed_at": "2026-01-01T00:00:00Z",
        "spec": {"vcpus": 1, "memory_mib": 64, "disk_gib": 1, "nics": [], "base": {"image": image, "sha256": sha256, "format": "qcow2"}},
    }))
    .unwrap()
}
