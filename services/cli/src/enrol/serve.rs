//! The service's listener: TLS with this front end's certificate, and nothing asked of who connects but a token.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::Serialize;
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use watari_chassis::{Bounded, clock};
use watari_contracts::{
    enrol::{EnrolHost, GREETING, HOSTS, MOST_BYTES, NATS, SETTINGS},
    scheduler,
};
use watari_model::NodeName;

use super::{
    certificate,
    desk::{Desk, Held},
};
use crate::{out, setup::files::Overlay, texts::faults::Fault};

/// How long a client may take to say what it wants: with the headers of a request, and again with its body.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether certificates are nearly over.
const DAILY: Duration = Duration::from_secs(86_400);
/// Hosts come one by one; this many at once are somebody's mistake.
const MOST_CONNECTIONS: usize = 32;

/// What every request is handed.
pub(super) struct Service {
    pub(super) desk: Desk,
    pub(super) here: NodeName,
    pub(super) root: PathBuf,
    /// The certificate with which it serves.
    pub(super) certificate: String,
}

/// This front end's certificate with that of the authority, by whose digest a token knows the cluster.
pub(super) fn tls(held: &Held<'_>, here: &NodeName, root: &Overlay) -> Result<ServerConfig, Fault> {
    let fault = |detail: String| Fault::Certificate { host: here.to_string(), detail };
    let read = |path: &str| {
        let pem = held.text(path)?;
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| fault(e.to_string()))
    };
    let chain = vec![read(&own_certificate(here))?, read("ca/ca.crt")?];
    let key = match held.store.read(&format!("ca/issued/{here}.key"))? {
        Some(key) => key,
        // A front end that has joined keeps its key to itself; the folder has come to it since.
        None => certificate::key(root)?.ok_or_else(|| fault("its key is missing".to_owned()))?,
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| fault(e.to_string()))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| fault(e.to_string()))?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|e| fault(e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves for as long as the process lives: whatever is written is written whole, so that it may end at any moment.
pub(super) async fn run(service: Arc<Service>, address: &str, tls: ServerConfig) -> Result<(), Fault> {
    let fault = |e: std::io::Error| Fault::File { path: address.to_owned(), detail: e.to_string() };
    let listener = TcpListener::bind(address).map_err(fault)?;
    out::say(&format!("enrolling hosts on {address}"));
    let routes = Router::new().route(GREETING, get(greet)).route(HOSTS, post(enrol));
    let routes = routes.route(NATS, get(nats)).route(SETTINGS, get(settings)).with_state(service);
    let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(tls)));
    let server = axum_server::from_tcp(listener).map_err(fault)?;
    let mut server = server.acceptor(acceptor.acceptor(Bounded::new(MOST_CONNECTIONS)));
    server.http_builder().http1().header_read_timeout(HEADERS_WITHIN);
    server
        .first_request_timeout(HEADERS_WITHIN)
        .serve(routes.into_make_service_with_connect_info::<SocketAddr>())
        .await
        .map_err(fault)
}

/// Makes everybody's files again each day, and certificates with them that are nearly over, until this front end has
/// another certificate itself.
pub(super) async fn renewing(service: Arc<Service>) {
    loop {
        sleep(DAILY).await;
        let again = Arc::clone(&service);
        match spawn_blocking(move || again.made()).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => return,
            Ok(Err(fault)) => out::say(&format!("nothing is renewed: {}", fault.code())),
            Err(error) => out::say(&format!("nothing is renewed: {error}")),
        }
    }
}

impl Service {
    /// Makes all files; whether this front end has another certificate than it serves with, whoever made that.
    fn made(&self) -> Result<bool, Fault> {
        let held = self.desk.hold()?;
        held.make(&held.cluster()?, &self.here, &self.root)?;
        Ok(held.text(&own_certificate(&self.here))? != self.certificate)
    }
}

/// Where a front end's certificate is in the folder.
pub(super) fn own_certificate(here: &NodeName) -> String {
    format!("ca/issued/{here}.crt")
}

async fn greet(State(service): State<Arc<Service>>) -> Response {
    done(move || service.desk.hold()?.greeting(clock::now())).await
}

async fn nats(State(service): State<Arc<Service>>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    let from = peer.ip().to_canonical();
    done(move || service.desk.hold()?.nats(from)).await
}

async fn settings(State(service): State<Arc<Service>>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    let from = peer.ip().to_canonical();
    done(move || service.desk.hold()?.settings_of(from)).await
}

async fn enrol(
    State(service): State<Arc<Service>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Body,
) -> Response {
    let from = peer.ip().to_canonical();
    let unread = |detail: String| answer(Err::<(), _>(Fault::JoinRequest { detail }));
    let body = match timeout(HEADERS_WITHIN, to_bytes(body, MOST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return unread(error.to_string()),
        Err(_) => return unread("it did not come to its end in time".to_owned()),
    };
    done(move || {
        let asked: EnrolHost =
            serde_json::from_slice(&body).map_err(|e| Fault::JoinRequest { detail: e.to_string() })?;
        let enrolled = service.desk.hold()?.enrol(&asked, from, &service.here, &service.root, clock::now());
        // The journal tells who came; what was asked for is in the cluster's description.
        match &enrolled {
            Ok(_) => out::say(&format!("{from} joined as {}", asked.name)),
            Err(fault) => out::say(&format!("{from} was refused as {}: {}", asked.name, fault.code())),
        }
        enrolled
    })
    .await
}

/// Does what waits for the disk, and for whoever else holds the folder.
async fn done<T: Serialize + Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Response {
    // What is not this person's fault; the journal has what it was.
    let broken = || Fault::JoinBroken { detail: "the front end could not finish it".to_owned() };
    answer(spawn_blocking(work).await.unwrap_or_else(|_| Err(broken())))
}

fn answer(done: Result<impl Serialize, Fault>) -> Response {
    match done {
        Ok(said) => Json(said).into_response(),
        Err(fault) => (status(&fault), Json(scheduler::Fault::from(&fault))).into_response(),
    }
}

const fn status(fault: &Fault) -> StatusCode {
    match fault {
        Fault::JoinRequest { .. } => StatusCode::BAD_REQUEST,
        Fault::TokenUnknown { .. }
        | Fault::TokenExpired { .. }
        | Fault::TokenUsed { .. }
        | Fault::TokenPart { .. }
        | Fault::TokenName { .. }
        | Fault::TokenSite { .. }
        | Fault::NotAServer { .. } => StatusCode::FORBIDDEN,
        Fault::HostTaken { .. }
        | Fault::HostAddress { .. }
        | Fault::HostUnfit { .. }
        | Fault::KeyTaken { .. }
        | Fault::KeyRevoked { .. }
        | Fault::NatsAlone { .. } => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
