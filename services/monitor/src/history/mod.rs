//! The history: every change of every document, in SQL, fed by the buckets' own events and by
//! their streams for what was missed. Derived: whoever loses it loses no server, and nothing else
//! waits for it.
//!
//! ```text
//!   watari.event.> ──▶ feed ──┐
//!                             ├──▶ keeper ──▶ store (SQL)  ◀── requests
//!   buckets' streams ─ catch_up ┘
//! ```
//!
//! The tables are in a file of each monitor's own, or on one server of PostgreSQL for all: a change is told from another
//! by its bucket, revision and time, so that two monitors write each once.

mod catch_up;
mod feed;
mod fields;
mod keeper;
mod store;
mod summary;
mod usage;

use std::sync::{Arc, PoisonError, RwLock};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};
use tokio::time::timeout;
use watari_chassis::{Context, prometheus};
use watari_contracts::{
    history::{HistoryChange, Usage},
    monitor::Event,
};
use watari_model::{OutageId, ProjectName, Refusal, Timestamp, VmName};

use crate::metric_names::{HISTORY_AVAILABLE, HISTORY_CHANGES, HISTORY_FAILURES, HISTORY_ROWS};
pub(crate) use keeper::keep;
use store::{ANSWER, Store, StoreError};
pub(crate) use store::{Filter, Place, SeenRow, Wanted};
use usage::{Meter, Sum};

/// What may fail.
const KEEP: &str = "keep";
const CATCH_UP: &str = "catch-up";
const READ: &str = "read";

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
            available: IntGauge::new(HISTORY_AVAILABLE, "1 while the history can be read and written.")?,
            added: IntCounter::new(HISTORY_CHANGES, "Changes written down.")?,
            rows: IntGauge::new(HISTORY_ROWS, "Changes kept.")?,
            failures: IntCounterVec::new(Opts::new(HISTORY_FAILURES, "Failures of the history."), &["what"])?,
        };
        ctx.metrics.register(Box::new(metrics.available.clone()))?;
        ctx.metrics.register(Box::new(metrics.added.clone()))?;
        ctx.metrics.register(Box::new(metrics.rows.clone()))?;
        ctx.metrics.register(Box::new(metrics.failures.clone()))?;
        // Whoever looks for a rise must find where it rose from.
        for what in [KEEP, CATCH_UP, READ] {
            metrics.failures.with_label_values(&[what]).inc_by(0);
        }
        Ok(Arc::new(Self { now: RwLock::new(Now::Away("it is being opened".to_owned())), metrics }))
    }

    /// What happened, newest last.
    ///
    /// # Errors
    /// [`Refusal::HistoryUnavailable`].
    pub(crate) async fn events(&self, filter: &Filter) -> Result<Vec<Event>, Refusal> {
        let store = self.store()?;
        self.answer(store.events(filter)).await
    }

    /// Who did what, newest first.
    ///
    /// # Errors
    /// As [`History::events`].
    pub(crate) async fn told(&self, wanted: &Wanted) -> Result<Vec<HistoryChange>, Refusal> {
        let store = self.store()?;
        self.answer(store.told(wanted)).await
    }

    /// The names after `after` that servers have or had, at most `most`.
    ///
    /// # Errors
    /// As [`History::events`].
    pub(crate) async fn servers(&self, after: &str, most: u32) -> Result<Vec<VmName>, Refusal> {
        let store = self.store()?;
        let names = self.answer(store.servers(after, most)).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// What the servers of one name used between two moments, by project; nothing if there was none.
    ///
    /// # Errors
    /// As [`History::events`].
    pub(crate) async fn used(&self, vm: &VmName, from: Timestamp, until: Timestamp) -> Result<Vec<Usage>, Refusal> {
        let store = self.store()?;
        let meter = self.answer(store.used(vm.as_str(), Meter::new(from, until))).await?;
        let usage = |(project, sum): (ProjectName, Sum)| Usage {
            vm: vm.clone(),
            project,
            servers: sum.servers,
            existed_seconds: sum.existed_ms / 1_000,
            ran_seconds: sum.ran_ms / 1_000,
            vcpu_seconds: sum.vcpu_ms / 1_000,
            memory_mib_seconds: sum.memory_mib_ms / 1_000,
            disk_gib_seconds: sum.disk_gib_ms / 1_000,
            unknown_seconds: sum.unknown_ms / 1_000,
        };
        Ok(meter.done().into_iter().map(usage).collect())
    }

    /// What was seen of servers during an outage, as it was written.
    ///
    /// # Errors
    /// As [`History::events`].
    pub(crate) async fn seen(&self, outage: &OutageId) -> Result<Vec<String>, Refusal> {
        let store = self.store()?;
        self.answer(store.seen(outage.as_str())).await
    }

    /// Writes down what was seen.
    ///
    /// # Errors
    /// As [`History::events`].
    pub(crate) async fn note(&self, rows: &[SeenRow]) -> Result<(), Refusal> {
        let store = self.store()?;
        self.answer(store.note(rows)).await
    }

    fn store(&self) -> Result<Store, Refusal> {
        match &*self.now.read().unwrap_or_else(PoisonError::into_inner) {
            Now::Open(store) => Ok(store.clone()),
            Now::Away(why) => Err(Refusal::HistoryUnavailable { detail: why.clone() }),
        }
    }

    /// Waits for what the store says, but not for ever.
    async fn answer<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refusal> {
        timeout(ANSWER, work).await.unwrap_or(Err(StoreError::Silent)).map_err(|error| {
            self.metrics.failures.with_label_values(&[READ]).inc();
            Refusal::HistoryUnavailable { detail: error.to_string() }
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
