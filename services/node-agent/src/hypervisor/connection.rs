//! The connection to libvirtd, which comes and goes while guests run on.
//!
//! ```text
//!   (keeper thread)   open ──▶ up ──closed──▶ down ──▶ open …
//! ```
//!
//! One thread runs libvirt's event loop for the process, registered before the first
//! connection opens. One thread keeps the connection: it opens, waits for its end, opens again.
//! Opening blocks for as long as libvirtd is frozen, which is why it has a thread of its own.

use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use virt::connect::Connect;

use super::Config;
use super::error::{Error, Result};
use super::events::{CloseReason, Event};
use super::ffi::{Raw, Sink, Subscription};

/// libvirt's poll would sleep for ever without a timer, and miss handles added meanwhile.
const EVENT_TICK_MS: i32 = 500;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(2);
/// How often the keeper looks whether anybody still wants it.
const KEEPER_TICK: Duration = Duration::from_millis(500);

/// A live connection with its callbacks. The last user closes it.
pub(super) struct Link {
    // Before `connect`, so that the callbacks go first.
    _subscription: Option<Subscription>,
    pub(super) connect: Connect,
}

/// The connection as the rest of the module sees it.
pub(super) struct Connection {
    uri: String,
    keep_alive: (i32, u32),
    link: watch::Sender<Option<Arc<Link>>>,
    events: broadcast::Sender<Event>,
}

impl Connection {
    /// Starts keeping a connection; it does not wait for the first one to stand.
    pub(super) fn start(config: &Config) -> Result<Arc<Self>> {
        start_event_loop()?;
        let connection = Arc::new(Self {
            uri: config.uri.clone(),
            keep_alive: (config.keep_alive_interval_s, config.keep_alive_count),
            link: watch::Sender::new(None),
            events: broadcast::Sender::new(config.event_queue),
        });
        let keeper = Arc::downgrade(&connection);
        spawn_thread("libvirt-keeper", move || keep(&keeper))?;
        Ok(connection)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(super) fn link(&self) -> Result<Arc<Link>> {
        self.link.borrow().clone().ok_or_else(|| Error::Unavailable { uri: self.uri.clone() })
    }

    /// Waits until a connection stands.
    pub(super) async fn up(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.link.subscribe().wait_for(Option::is_some).await;
    }

    /// A connection for one long call. libvirtd serves few calls of one client at a time
    /// (`max_client_requests`, 5 by default), so that migrations on the common connection would
    /// starve everything else.
    pub(super) fn open_private(&self) -> Result<Link> {
        self.open(None).map_err(|source| Error::Libvirt { act: "connect to libvirt", source })
    }

    fn open(&self, sink: Option<&Sink>) -> std::result::Result<Link, virt::error::Error> {
        let connect = Connect::open(Some(&self.uri))?;
        let (interval, count) = self.keep_alive;
        // Local drivers (test:///) have no keepalive and need none.
        if let Err(error) = connect.set_keep_alive(interval, count) {
            tracing::debug!(%error, "no keepalive on this connection");
        }
        let subscription = sink.map(|sink| Subscription::new(&connect, sink)).transpose()?;
        Ok(Link { _subscription: subscription, connect })
    }
}

fn keep(connection: &Weak<Connection>) {
    let mut retry = RETRY_FIRST;
    loop {
        let Some(held) = connection.upgrade() else { return };
        let (closed, closing) = mpsc::channel();
        let events = held.events.clone();
        let sink: Sink = Arc::new(move |raw| {
            if let Raw::Closed { .. } = raw {
                let _ = closed.send(Event::from_raw(raw));
            } else {
                // No receiver is no error: nobody listens yet.
                let _ = events.send(Event::from_raw(raw));
            }
        });
        match held.open(Some(&sink)) {
            Ok(link) => {
                retry = RETRY_FIRST;
                tracing::info!(uri = held.uri, "connected to libvirt");
                held.link.send_replace(Some(Arc::new(link)));
                let _ = held.events.send(Event::Connected);
                drop(held);
                let Some(end) = wait_for_end(connection, &closing) else { return };
                let Some(held) = connection.upgrade() else { return };
                tracing::warn!(uri = held.uri, ?end, "connection to libvirt lost");
                let _ = held.events.send(end);
                held.link.send_replace(None);
            }
            Err(error) => {
                tracing::warn!(uri = held.uri, %error, "cannot connect to libvirt");
                drop(held);
                thread::sleep(retry);
                retry = (retry * 2).min(RETRY_LAST);
            }
        }
    }
}

/// Blocks until the connection ends; nothing if it is no longer wanted.
fn wait_for_end(connection: &Weak<Connection>, closing: &mpsc::Receiver<Event>) -> Option<Event> {
    loop {
        match closing.recv_timeout(KEEPER_TICK) {
            Ok(event) => return Some(event),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Some(Event::Disconnected(CloseReason::Error));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // Belt and braces beside the callback, which a full event loop may delay.
                let link = connection.upgrade()?.link.borrow().clone()?;
                if !link.connect.is_alive().unwrap_or(false) {
                    return Some(Event::Disconnected(CloseReason::Error));
                }
            }
        }
    }
}

fn start_event_loop() -> Result<()> {
    static STARTED: OnceLock<std::result::Result<(), virt::error::Error>> = OnceLock::new();
    let started = STARTED.get_or_init(|| {
        // Errors come back as values; libvirt must not also print them.
        virt::error::clear_error_callback();
        virt::event::event_register_default_impl()?;
        virt::event::event_add_timeout(EVENT_TICK_MS, |_, _| {}, std::ptr::null_mut())?;
        Ok(())
    });
    started.clone().map_err(|source| Error::Libvirt { act: "start libvirt's event loop", source })?;
    static LOOP: OnceLock<()> = OnceLock::new();
    let mut spawned = Ok(());
    LOOP.get_or_init(|| {
        spawned = spawn_thread("libvirt-events", || {
            loop {
                if let Err(error) = virt::event::event_run_default_impl() {
                    tracing::error!(%error, "libvirt's event loop failed; going on");
                    thread::sleep(RETRY_FIRST);
                }
            }
        });
    });
    spawned
}

fn spawn_thread(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop).map_err(|source| Error::Io {
        act: "start the thread",
        path: name.into(),
        source,
    })
}
