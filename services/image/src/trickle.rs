//! Senders that send almost nothing.

use std::time::{Duration, Instant};

/// A stretch of time in which a least number of bytes has to arrive.
pub(crate) struct Window {
    begun: Instant,
    bytes: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { begun: Instant::now(), bytes: 0 }
    }
}

impl Window {
    /// Counts bytes that have arrived; whether a stretch has ended with fewer than the least.
    pub(crate) fn trickles(&mut self, bytes: usize, length: Duration, least: u64) -> bool {
        self.bytes += bytes as u64;
        if self.begun.elapsed() < length {
            return false;
        }
        let too_few = self.bytes < least;
        *self = Self::default();
        too_few
    }
}
