//! What happens to the connection, told to people and to whoever holds copies of state.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_nats::{Event, ServerError};
use tokio::sync::watch;

use crate::metrics::BusMetrics;

/// Follows the connection. Cloning shares it.
#[derive(Clone)]
pub(super) struct Watcher {
    metrics: BusMetrics,
    /// Counts the moments at which messages may have been lost.
    doubt: watch::Sender<u64>,
    connected: watch::Sender<bool>,
    /// The last complaint, so that a server that is away is one line and not one a second.
    last: Arc<Mutex<String>>,
    slow_told: Arc<Mutex<Option<Instant>>>,
}

/// How far apart lines about dropped messages are.
const SLOW_LINES: Duration = Duration::from_secs(5);

impl Watcher {
    pub(super) fn new(metrics: BusMetrics) -> Self {
        Self {
            metrics,
            doubt: watch::Sender::new(0),
            connected: watch::Sender::new(false),
            last: Arc::default(),
            slow_told: Arc::default(),
        }
    }

    pub(super) fn doubt(&self) -> watch::Receiver<u64> {
        self.doubt.subscribe()
    }

    pub(super) fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    pub(super) fn last_complaint(&self) -> String {
        self.last.lock().map(|l| l.clone()).unwrap_or_default()
    }

    pub(super) fn on(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::info!("connected to NATS");
                self.is_connected(true);
                self.complain_anew();
                // What was sent meanwhile was not received.
                self.doubt.send_modify(|n| *n += 1);
            }
            Event::Disconnected => {
                tracing::warn!("lost the connection to NATS; running servers are not touched, and it is tried again");
                self.is_connected(false);
            }
            Event::SlowConsumer(subscription) | Event::ServerError(ServerError::SlowConsumer(subscription)) => {
                self.metrics.dropped.inc();
                self.doubt.send_modify(|n| *n += 1);
                if !self.slow_is_news() {
                    return;
                }
                tracing::warn!(
                    subscription,
                    "messages were dropped, since they came faster than they were read: state unknown, re-listing"
                );
            }
            Event::LameDuckMode => tracing::warn!("the NATS server is being shut down and asks to move on"),
            Event::Draining | Event::Closed => tracing::debug!(%event, "bus"),
            Event::ServerError(error) => self.complain(error.to_string()),
            Event::ClientError(error) => self.complain(error.to_string()),
        }
    }

    /// Every dropped message is an event; one line in some seconds says as much as all.
    fn slow_is_news(&self) -> bool {
        let Ok(mut told) = self.slow_told.lock() else { return false };
        let news = told.is_none_or(|at| at.elapsed() >= SLOW_LINES);
        if news {
            *told = Some(Instant::now());
        }
        news
    }

    fn is_connected(&self, connected: bool) {
        self.metrics.connected.set(i64::from(connected));
        self.connected.send_replace(connected);
    }

    fn complain_anew(&self) {
        if let Ok(mut last) = self.last.lock() {
            last.clear();
        }
    }

    fn complain(&self, text: String) {
        if let Ok(mut last) = self.last.lock()
            && *last != text
        {
            tracing::warn!(error = text, "bus");
            *last = text;
        }
    }
}
