//! The history: every change of every document, in SQL, fed by the buckets' own events and by
//! their streams for what was missed. Derived: whoever loses it loses no server, and nothing else
//! waits for it.
//!
//! ```text
//!   watari.event.> ──▶ feed ──┐
//!                             ├──▶ keeper ──▶ store (SQLite)  ◀── requests
//!   buckets' streams ─ catch_up ┘
//! ```

mod catch_up;
mod feed;
mod keeper;
mod store;
mod summary;

use std::sync::{Arc, PoisonError, RwLock};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};
use watari_chassis::{Context, prometheus};
use watari_contracts::monitor::Event;
use watari_model::Refusal;

pub(crate) use keeper::keep;
pub(crate) use store::Filter;
use store::Store;

/// 1 while the history can be read and written.
pub(crate) const AVAILABLE: &str = "watari_history_available";
/// Changes written down.
pub(crate) const ADDED: &str = "watari_history_changes_total";
/// Changes kept.
pub(crate) const ROWS: &str = "watari_history_rows";
/// Failures, by what failed.
pub(crate) const FAILURES: &str = "watari_history_failures_total";

/// What requests and the keeper share.
pub(crate) struct History {
    now: RwLock<Now>,
    metrics: Metrics,
}

/// How the history stands.
enum Now {
    Open(Store),
    Away(String),
}

struct Metrics {
    available: IntGauge,
    added: IntCounter,
    rows: IntGauge,
    failures: IntCounterVec,
}

impl History {
    /// A history that the keeper has not opened yet.
    pub(crate) fn new(ctx: &Context) -> Result<Arc<Self>, prometheus::Error> {
        let metrics = Metrics {
            available: IntGauge::new(AVAILABLE, "1 while the history can be read and written.")?,
            added: IntCounter::new(ADDED, "Changes written down.")?,
            rows: IntGauge::new(ROWS, "Changes kept.")?,
            failures: IntCounterVec::new(Opts::new(FAILURES, "Failures of the history."), &["what"])?,
        };
        ctx.metrics.register(Box::new(metrics.available.clone()))?;
        ctx.metrics.register(Box::new(metrics.added.clone()))?;
        ctx.metrics.register(Box::new(metrics.rows.clone()))?;
        ctx.metrics.register(Box::new(metrics.failures.clone()))?;
        Ok(Arc::new(Self { now: RwLock::new(Now::Away("it is being opened".to_owned())), metrics }))
    }

    /// What happened, newest last.
    ///
    /// # Errors
    /// [`Refusal::HistoryUnavailable`].
    pub(crate) async fn events(&self, filter: &Filter) -> Result<Vec<Event>, Refusal> {
        let unavailable = |detail: String| Refusal::HistoryUnavailable { detail };
        let store = match &*self.now.read().unwrap_or_else(PoisonError::into_inner) {
            Now::Open(store) => store.clone(),
            Now::Away(why) => return Err(unavailable(why.clone())),
        };
        store.events(filter).await.map_err(|error| {
            self.metrics.failures.with_label_values(&["read"]).inc();
            unavailable(error.to_string())
        })
    }

    fn is_open(&self, store: &Store) {
        self.metrics.available.set(1);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Now::Open(store.clone());
    }

    fn added(&self, changes: u64) {
        self.metrics.added.inc_by(changes);
        // Counted anew whenever old ones are forgotten.
        self.metrics.rows.add(i64::try_from(changes).unwrap_or(i64::MAX));
    }

    fn is_away(&self, why: String) {
        self.metrics.available.set(0);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Now::Away(why);
    }
}
