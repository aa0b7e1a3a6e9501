//! How long requests take.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) most_ms: f64,
    pub(super) count: u64,
}

/// Latencies as they are taken, in microseconds.
pub(super) struct Taken(Histogram<u64>);

impl Taken {
    pub(super) fn none() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new(3)?))
    }

    /// What began then is over now.
    pub(super) fn take(&mut self, begun: Instant) -> anyhow::Result<()> {
        self.took(begun.elapsed())
    }

    pub(super) fn took(&mut self, time: Duration) -> anyhow::Result<()> {
        Ok(self.0.record(u64::try_from(time.as_micros())?)?)
    }

    pub(super) fn latency(&self) -> Latency {
        #[allow(clippy::cast_precision_loss, reason = "microseconds of a request are far below 2^53")]
        let millis = |micros: u64| micros as f64 / 1_000.0;
        let at = |quantile: f64| millis(self.0.value_at_quantile(quantile));
        Latency { p50_ms: at(0.5), p99_ms: at(0.99), most_ms: millis(self.0.max()), count: self.0.len() }
    }
}
