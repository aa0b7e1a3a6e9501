//! The connection to NATS: the one door to it in the whole project.

mod call;
mod events;
mod gather;
mod home;
mod next;
mod settings;
mod stream;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{ConnectErrorKind, ConnectOptions, HeaderMap, client::Client, jetstream};
use bytes::Bytes;
use prometheus::Registry;
use serde::Serialize;
use tokio::sync::{Notify, watch};

pub(crate) use call::command_subject;
pub use call::{CallError, Listening};
pub use gather::Patience;
pub(crate) use home::go_home;
pub use settings::{BusSettings, Initial};
pub use stream::{Message, Messages};

use crate::{metrics::BusMetrics, telemetry::trace};
use events::Watcher;
use next::Turns;

/// A dead peer is noticed after three of these without a word of it. A node's agent has then found another server before
/// its silence counts as its death (`wait_seconds` in the monitor's settings reckons with that), and a client too.
const PING: Duration = Duration::from_secs(3);

/// Why there is no bus, or a message did not leave.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no nkey seed.
    #[error("{path} holds no nkey seed")]
    NotASeed {
        /// Which.
        path: PathBuf,
    },
    /// The settings make no sense.
    #[error("{0}")]
    Settings(String),
    /// NATS knows this process not, or not with this key.
    #[error("the NATS server at {urls} refuses this identity")]
    Refused {
        /// Where.
        urls: String,
    },
    /// Encryption failed.
    #[error("no encrypted connection to NATS at {urls}: {detail}")]
    Tls {
        /// Where.
        urls: String,
        /// Why.
        detail: String,
    },
    /// Nobody listens there.
    #[error("no NATS server answers at {urls}: {detail}")]
    Unreachable {
        /// Where.
        urls: String,
        /// Why.
        detail: String,
    },
    /// A message cannot be written or sent.
    #[error("a message to {subject} was not sent: {detail}")]
    NotSent {
        /// Where to.
        subject: String,
        /// Why.
        detail: String,
    },
    /// A subscription was refused.
    #[error("cannot subscribe to {subject}: {detail}")]
    NotSubscribed {
        /// To what.
        subject: String,
        /// Why.
        detail: String,
    },
}

impl BusError {
    /// What the operator can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::File { .. } => "check the path and its permissions",
            Self::NotASeed { .. } => "name the file that begins with SU…, not the public key",
            Self::Settings(_) => "correct the settings of the bus",
            Self::Refused { .. } => {
                "add this identity's public key to the server's configuration, or use the right seed file"
            }
            Self::Tls { .. } => {
                "name the authority's certificates in bus.ca (WATARI_CA for the command), and check the server's names"
            }
            Self::Unreachable { .. } => "check that nats-server runs there, and bus.urls (WATARI_NATS for the command)",
            Self::NotSent { .. } | Self::NotSubscribed { .. } => "check this identity's permissions on the NATS server",
        }
    }
}

/// The connection. Cloning shares it; it reconnects by itself for ever.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    jetstream: jetstream::Context,
    settings: BusSettings,
    watcher: Watcher,
    metrics: BusMetrics,
    /// A node obeys a later leader than this process, or says so.
    doubts: Notify,
}

impl Bus {
    /// Connects. With [`Initial::Wait`] it returns once there is a connection, however long that
    /// takes, except that what no waiting mends (files, a refused identity) is told at once. With
    /// [`Initial::GoOn`] it returns without one, as if it had just broken.
    ///
    /// # Errors
    /// [`BusError`], each with a remedy.
    pub async fn connect(settings: &BusSettings) -> Result<Self, BusError> {
        settings.validate().map_err(BusError::Settings)?;
        let metrics = BusMetrics::new().map_err(|e| BusError::Settings(e.to_string()))?;
        let watcher = Watcher::new(metrics.clone());
        let options = options(settings, &watcher)?;
        let client = match options.clone().connect(&settings.urls[..]).await {
            Ok(client) => {
                // Its event comes by itself, a little later: whoever waits for a break must not see it.
                let _ = tokio::time::timeout(PING, watcher.connected().wait_for(|up| *up)).await;
                client
            }
            Err(error) => {
                let fault = fault(settings, &error);
                let mended_by_waiting = matches!(fault, BusError::Unreachable { .. });
                if settings.initial == Initial::Fail || !mended_by_waiting {
                    return Err(fault);
                }
                tracing::warn!(urls = settings.urls.join(","), "waiting for NATS");
                let client = options
                    .retry_on_initial_connect()
                    .connect(&settings.urls[..])
                    .await
                    .map_err(|error| self::fault(settings, &error))?;
                if settings.initial == Initial::Wait {
                    wait_for(&watcher, settings).await;
                }
                client
            }
        };
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(settings.request_timeout)
            .ack_timeout(settings.request_timeout)
            .build(client.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                jetstream,
                settings: settings.clone(),
                watcher,
                metrics,
                doubts: Notify::new(),
            }),
        })
    }

    /// Sends a JSON message that nobody answers.
    ///
    /// # Errors
    /// [`BusError::NotSent`].
    pub async fn publish_json<T: Serialize>(&self, subject: &str, message: &T) -> Result<(), BusError> {
        let payload = serde_json::to_vec(message).map_err(|error| not_sent(subject, &error))?;
        let mut headers = HeaderMap::new();
        trace::inject(&mut headers);
        let sent = self.inner.client.publish_with_headers(subject.to_owned(), headers, payload.into()).await;
        sent.map_err(|error| not_sent(subject, &error))
    }

    /// Sends a beat: bytes without headers, since ten thousand nodes send one each second.
    ///
    /// # Errors
    /// [`BusError::NotSent`]; a beat may be lost, so the caller counts it and goes on.
    pub async fn publish_beat(&self, subject: &str, beat: Vec<u8>) -> Result<(), BusError> {
        let sent = self.inner.client.publish(subject.to_owned(), Bytes::from(beat)).await;
        sent.map_err(|error| not_sent(subject, &error))
    }

    /// Receives what is published on `subject` (wildcards allowed). At most
    /// `bus.queue_messages` wait; what comes beyond is dropped and told by [`Bus::doubt`].
    ///
    /// # Errors
    /// [`BusError::NotSubscribed`].
    pub async fn subscribe(&self, subject: &str) -> Result<Messages, BusError> {
        let fault = |detail: String| BusError::NotSubscribed { subject: subject.to_owned(), detail };
        let subscriber = self.inner.client.subscribe(subject.to_owned()).await.map_err(|e| fault(e.to_string()))?;
        // Whoever lists after subscribing must not miss what is published in between.
        self.inner.client.flush().await.map_err(|e| fault(e.to_string()))?;
        Ok(Messages::new(subscriber))
    }

    /// Changes whenever messages may have been lost (a reconnection, a full queue): state held in
    /// memory is in doubt and is to be listed anew. A [`crate::Mirror`] does so by itself.
    #[must_use]
    pub fn doubt(&self) -> watch::Receiver<u64> {
        self.inner.watcher.doubt()
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.inner.watcher.connected()
    }

    /// What the server or the connection complained of last, since it was connected; empty if of
    /// nothing. A message that this identity may not send is told by nothing else.
    #[must_use]
    pub fn last_complaint(&self) -> String {
        self.inner.watcher.last_complaint()
    }

    /// The name of the NATS server that this process is connected to.
    #[must_use]
    pub fn server(&self) -> String {
        self.inner.client.server_info().server_name
    }

    /// Waits until what was published has left this process.
    pub async fn flush(&self, bound: Duration) {
        if !matches!(tokio::time::timeout(bound, self.inner.client.flush()).await, Ok(Ok(()))) {
            tracing::warn!("the last messages may not have left");
        }
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.inner.metrics.register(registry)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.inner.jetstream
    }

    pub(crate) fn settings(&self) -> &BusSettings {
        &self.inner.settings
    }
}

/// A token that no other call gives.
pub(crate) fn unique() -> String {
    // async-nats' own generator is private; a trace's id is as unique.
    trace::TraceParent::fresh().trace_id()[..12].to_owned()
}

fn not_sent(subject: &str, error: &dyn std::error::Error) -> BusError {
    BusError::NotSent { subject: subject.to_owned(), detail: error.to_string() }
}

fn options(settings: &BusSettings, watcher: &Watcher) -> Result<ConnectOptions, BusError> {
    // async-nats takes the process's default provider, and there may be two in the build.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (watcher, turns) = (watcher.clone(), Turns::default());
    let name = [&settings.speaker, &settings.identity].into_iter().find(|name| !name.is_empty());
    let mut options = ConnectOptions::new()
        .name(name.map_or("watari", String::as_str))
        .custom_inbox_prefix(settings.inbox_prefix())
        .ping_interval(PING)
        .connection_timeout(Duration::from_secs(3))
        .request_timeout(Some(settings.request_timeout))
        .subscription_capacity(settings.queue_messages)
        .max_reconnects(None)
        // A process belongs to its own host's server, or its own site's, as long as there is one.
        .retain_servers_order()
        .reconnect_to_server_callback(move |pool, info| std::future::ready(turns.next(&pool, &info)))
        .event_callback(move |event| {
            watcher.on(&event);
            std::future::ready(())
        });
    if let Some(seed) = settings.seed()? {
        options = options.nkey(seed);
    }
    if let Some(ca) = &settings.ca {
        std::fs::metadata(ca).map_err(|source| BusError::File { path: ca.clone(), source })?;
        options = options.add_root_certificates(ca.clone());
    }
    Ok(options.require_tls(settings.requires_tls()))
}

fn fault(settings: &BusSettings, error: &async_nats::ConnectError) -> BusError {
    let urls = settings.urls.join(",");
    let detail = crate::run::chain(error);
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => BusError::Refused { urls },
        ConnectErrorKind::Tls => BusError::Tls { urls, detail },
        ConnectErrorKind::ServerParse => BusError::Settings(format!("bus.urls: {detail}")),
        // A handshake that fails comes as an I/O error.
        _ if detail.contains("certificate") => BusError::Tls { urls, detail },
        _ => BusError::Unreachable { urls, detail },
    }
}

async fn wait_for(watcher: &Watcher, settings: &BusSettings) {
    let mut connected = watcher.connected();
    while tokio::time::timeout(Duration::from_secs(10), connected.wait_for(|up| *up)).await.is_err() {
        tracing::warn!(urls = settings.urls.join(","), last = watcher.last_complaint(), "still waiting for NATS");
    }
}
