//! What the service counts.

use std::time::Instant;

use watari_chassis::{
    metrics::added,
    prometheus::{Error, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry},
};

use crate::metric_names::{
    COPIED, COPIES, DAMAGED, IMPORT_SECONDS, IMPORTS, LONELY, ORPHANS, RECEIVED, SERVED, STORE_AWAY, STORE_ORPHANS,
    STORE_SENT, STORED,
};

/// From a millisecond, a flush with nothing left to do, to the hours that a large disk over a slow line takes.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3600.0];

/// The handles. Cloning shares them.
#[derive(Clone)]
#[allow(missing_docs, reason = "the metrics' names say what each of them is")]
pub struct Metrics {
    pub received: IntCounter,
    pub imports: IntCounterVec,
    pub import_seconds: HistogramVec,
    pub copied: IntCounter,
    pub copies: IntCounterVec,
    pub served: IntCounter,
    pub stored: IntGauge,
    pub lonely: IntGauge,
    pub orphans: IntGauge,
    pub damaged: IntCounter,
    pub store_away: IntGauge,
    pub store_sent: IntCounter,
    pub store_orphans: IntGauge,
}

impl Metrics {
    /// Registers all of them.
    ///
    /// # Errors
    /// If two have one name.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            added(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let times = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            added(registry, HistogramVec::new(options, labels)?)
        };
        let counter = |name: &str, help: &str| added(registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| added(registry, IntGauge::new(name, help)?);
        Ok(Self {
            received: counter(RECEIVED, "Bytes taken from uploads.")?,
            imports: counters(IMPORTS, "Imports that ended.", &["outcome"])?,
            import_seconds: times(IMPORT_SECONDS, "Time of an import's parts.", &["phase"])?,
            copied: counter(COPIED, "Bytes fetched from other front ends.")?,
            copies: counters(COPIES, "Copies that ended.", &["outcome"])?,
            served: counter(SERVED, "Bytes served to nodes and other front ends.")?,
            stored: gauge(STORED, "Bytes of all images on this front end.")?,
            lonely: gauge(LONELY, "Ready images that not every site has.")?,
            orphans: gauge(ORPHANS, "Files on this front end that no image names.")?,
            damaged: counter(DAMAGED, "Files whose contents were found damaged.")?,
            store_away: gauge(STORE_AWAY, "Whether the object store was away at the last look.")?,
            store_sent: counter(STORE_SENT, "Bytes sent to the object store.")?,
            store_orphans: gauge(STORE_ORPHANS, "Objects in the store that no image names.")?,
        })
    }

    /// Notes how long a part of an import took that began then.
    pub(crate) fn import_phase(&self, phase: &str, began: Instant) {
        let took = began.elapsed();
        self.import_seconds.with_label_values(&[phase]).observe(took.as_secs_f64());
        tracing::debug!(phase, took_ms = took.as_millis(), "a part of an import is over");
    }
}
