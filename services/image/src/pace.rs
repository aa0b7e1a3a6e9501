//! A bound on bytes per second, shared by all copies of a kind, so that they never starve a migration.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// As much as may come at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// Lets bytes through at a rate.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: u64,
    spent: Mutex<Spent>,
}

/// What was let through so far.
#[derive(Debug)]
struct Spent {
    bytes: u64,
    /// When all of it has had its time.
    until: Instant,
}

impl Pace {
    /// No more than so many bytes per second; 0 is no bound.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, spent: Mutex::new(Spent { bytes: 0, until: Instant::now() }) }
    }

    /// The bound, in bytes per second; 0 is none.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second
    }

    /// How many bytes were let through so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.lock().bytes
    }

    /// Waits until `bytes` more may have come.
    pub async fn take(&self, bytes: u64) {
        if let Some(due) = self.due(bytes, Instant::now()) {
            sleep_until(due).await;
        }
    }

    /// When `bytes` more may have come, for who asks at that moment; none without a bound.
    fn due(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let mut spent = self.lock();
        spent.bytes = spent.bytes.saturating_add(bytes);
        if self.bytes_per_second == 0 {
            return None;
        }
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        spent.until = spent.until.max(earliest) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        Some(spent.until)
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A copy in simulated time: it gets each of its pieces at once, and waits as long as it is told to.
    fn copied(pace: &Pace, pieces: u64, mut now: Instant) -> Instant {
        for _ in 0..pieces {
            now = now.max(pace.due(10 << 10, now).unwrap());
        }
        now
    }

    /// Long after the pace was made, so that nothing counts but what the test does.
    fn later() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    fn is_about(took: Duration, millis: u64) {
        let off = took.abs_diff(Duration::from_millis(millis));
        assert!(off < Duration::from_millis(1), "{took:?} instead of {millis} ms");
    }

    #[test]
    fn a_copy_takes_its_time_but_for_one_burst_after_a_pause() {
        let (pace, begun) = (Pace::new(MIB), later());
        let ended = copied(&pace, 1024, begun);
        is_about(ended - begun, 9_900);
        let again = ended + Duration::from_secs(60);
        is_about(copied(&pace, 1024, again) - again, 9_900);
        assert_eq!(pace.taken(), 20 * MIB);
    }

    #[test]
    fn copies_side_by_side_share_the_bound() {
        let (pace, begun) = (Pace::new(MIB), later());
        let (mut one, mut other) = (begun, begun);
        for _ in 0..512 {
            one = copied(&pace, 1, one);
            other = copied(&pace, 1, other);
        }
        is_about(one.max(other) - begun, 9_900);
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let pace = Pace::new(0);
        assert_eq!(pace.due(u64::MAX, later()), None);
    }
}
