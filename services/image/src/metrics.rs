//! What the service counts. Names are constants, so that alerts and dashboards can be checked
//! against them.

use std::time::Instant;

use watari_chassis::{
    metrics::added,
    prometheus::{Error, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry},
};

/// Bytes taken from uploads.
pub const RECEIVED: &str = "watari_image_received_bytes_total";
/// Imports that ended, by outcome: "ready" or the refusal's code.
pub const IMPORTS: &str = "watari_image_imports_total";
/// Time of an import's parts, by part: receiving one request's bytes, flushing the rest of them to the disk, checking the
/// file, shelving it, and keeping it (in an object store if there is one, and in its document).
pub const IMPORT_SECONDS: &str = "watari_image_import_seconds";
/// Bytes fetched from other front ends.
pub const COPIED: &str = "watari_image_copied_bytes_total";
/// Copies that ended, by outcome.
pub const COPIES: &str = "watari_image_copies_total";
/// Bytes served to nodes and other front ends.
pub const SERVED: &str = "watari_image_served_bytes_total";
/// Bytes of all images on this front end.
pub const STORED: &str = "watari_image_stored_bytes";
/// Ready images that not every site has, on its front end's disk or in an object store that outlasts the other campus.
/// Never zero for long is an alarm: the next evacuation will be slow.
pub const LONELY: &str = "watari_image_lonely";
/// Files on this front end that no image names.
pub const ORPHANS: &str = "watari_image_orphans";
/// Files whose contents were found damaged.
pub const DAMAGED: &str = "watari_image_damaged_total";

/// Whether the object store was away at the last look: 1 or 0; 0 where there is none.
pub const STORE_AWAY: &str = "watari_image_store_away";
/// Bytes sent to the object store.
pub const STORE_SENT: &str = "watari_image_store_sent_bytes_total";
/// Objects in the store that no image names.
pub const STORE_ORPHANS: &str = "watari_image_store_orphans";

/// From a millisecond, a flush with nothing left to do, to the hours that a large disk over a slow line takes.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3600.0];

/// The handles. Cloning shares them.
#[derive(Clone)]
#[allow(missing_docs, reason = "the constants above say what each of them is")]
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
        let outcome =
            |name: &str, help: &str| added(registry, IntCounterVec::new(Opts::new(name, help), &["outcome"])?);
        let counter = |name: &str, help: &str| added(registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| added(registry, IntGauge::new(name, help)?);
        let phases = HistogramOpts::new(IMPORT_SECONDS, "Time of an import's parts.").buckets(SECONDS.to_vec());
        Ok(Self {
            received: counter(RECEIVED, "Bytes taken from uploads.")?,
            imports: outcome(IMPORTS, "Imports that ended.")?,
            import_seconds: added(registry, HistogramVec::new(phases, &["phase"])?)?,
            copied: counter(COPIED, "Bytes fetched from other front ends.")?,
            copies: outcome(COPIES, "Copies that ended.")?,
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
