//! What the agent counts for `/metrics`.

use watari_chassis::prometheus::{
    self, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::metric_names::{ANNOUNCEMENTS, ARRIVED_PAUSE, CACHE_BYTES, CACHE_EVICTIONS, OPERATION_SECONDS, OPERATIONS};

/// From 2 ms, a fast decision, to 5 s, when somebody had to be waited for.
const PAUSES: [f64; 11] = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// From 10 ms, which is little for a process to be started, to 10 minutes, when much had to travel.
const DURATIONS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];

/// The handles.
pub struct Counts {
    /// See [`OPERATIONS`].
    pub operations: IntCounterVec,
    /// See [`OPERATION_SECONDS`].
    pub operation_seconds: HistogramVec,
    /// See [`ARRIVED_PAUSE`].
    pub arrived_pause: Histogram,
    /// See [`ANNOUNCEMENTS`].
    pub announcements: IntCounter,
    /// Of base images.
    pub images: Cached,
}

/// What is counted of base images; clones count together.
#[derive(Clone)]
pub struct Cached {
    /// See [`CACHE_BYTES`].
    pub bytes: IntGauge,
    /// See [`CACHE_EVICTIONS`].
    pub dropped: IntCounter,
}

impl Cached {
    /// Makes them and shows them in the registry.
    ///
    /// # Errors
    /// Another metric has the name.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let bytes = IntGauge::new(CACHE_BYTES, "What base images take.")?;
        let dropped = IntCounter::new(CACHE_EVICTIONS, "Base images dropped to make room.")?;
        registry.register(Box::new(bytes.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        Ok(Self { bytes, dropped })
    }
}

impl Counts {
    /// Makes them and shows them in the registry.
    ///
    /// # Errors
    /// Another metric has the name.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let operations = IntCounterVec::new(Opts::new(OPERATIONS, "Operations that ended."), &["verb", "outcome"])?;
        let durations = HistogramOpts::new(OPERATION_SECONDS, "Time of operations that succeeded.");
        let operation_seconds = HistogramVec::new(durations.buckets(DURATIONS.to_vec()), &["verb"])?;
        let pauses = HistogramOpts::new(ARRIVED_PAUSE, "Pause of arrived copies.").buckets(PAUSES.to_vec());
        let arrived_pause = Histogram::with_opts(pauses)?;
        let announcements = IntCounter::new(ANNOUNCEMENTS, "Servers whose place was told.")?;
        registry.register(Box::new(operations.clone()))?;
        registry.register(Box::new(operation_seconds.clone()))?;
        registry.register(Box::new(arrived_pause.clone()))?;
        registry.register(Box::new(announcements.clone()))?;
        let images = Cached::register(registry)?;
        Ok(Self { operations, operation_seconds, arrived_pause, announcements, images })
    }
}
