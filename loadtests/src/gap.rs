//! The longest silence between two signs of life.

use std::time::{Duration, Instant};

/// Remembers the longest time between two successive [`Gap::seen`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap {
    last: Option<Instant>,
    longest: Duration,
}

impl Gap {
    /// A sign of life at `now`.
    pub fn seen(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            self.longest = self.longest.max(now.saturating_duration_since(last));
        }
    }

    /// The longest silence, the one still going on at `now` included.
    #[must_use]
    pub fn longest(self, now: Instant) -> Duration {
        let running = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.longest.max(running)
    }

    /// The same in milliseconds.
    #[must_use]
    pub fn longest_ms(self, now: Instant) -> u64 {
        u64::try_from(self.longest(now).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_counts_also_when_it_is_the_last() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut gap = Gap::default();
        assert_eq!(gap.longest_ms(at(500)), 0);
        for ms in [0, 20, 140, 160] {
            gap.seen(at(ms));
        }
        assert_eq!(gap.longest_ms(at(170)), 120);
        assert_eq!(gap.longest_ms(at(900)), 740);
    }
}
