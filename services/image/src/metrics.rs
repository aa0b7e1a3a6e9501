//! What the service counts. Names are constants, so that alerts and dashboards can be checked
//! against them.

use watari_chassis::{
    metrics::added,
    prometheus::{Error, IntCounter, IntCounterVec, IntGauge, Opts, Registry},
};

/// Bytes taken from uploads.
pub const RECEIVED: &str = "watari_image_received_bytes_total";
/// Imports that ended, by outcome: "ready" or the refusal's code.
pub const IMPORTS: &str = "watari_image_imports_total";
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

/// The handles. Cloning shares them.
#[derive(Clone)]
#[allow(missing_docs, reason = "the constants above say what each of them is")]
pub struct Metrics {
    pub received: IntCounter,
    pub imports: IntCounterVec,
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
        Ok(Self {
            received: counter(RECEIVED, "Bytes taken from uploads.")?,
            imports: outcome(IMPORTS, "Imports that ended.")?,
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
}
