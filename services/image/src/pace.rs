//! A bound on bytes per second, shared by all copies of a kind, so that they never starve a migration.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// As much as may come at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// Lets bytes through at a rate.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    /// When everything that was let through so far has had its time.
    spent: Mutex<Instant>,
}

impl Pace {
    /// No more than so many bytes per second; 0 is no bound.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, spent: Mutex::new(Instant::now()) }
    }

    /// Waits until `bytes` more may have come.
    pub(crate) async fn take(&self, bytes: u64) {
        if self.bytes_per_second == 0 {
            return;
        }
        let until = {
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            *spent = (*spent).max(earliest) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
            *spent
        };
        sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hundred_kib_at_a_mib_per_second_take_their_time() {
        let pace = Pace::new(1 << 20);
        let begun = Instant::now();
        // The first 100 ms are the burst.
        for _ in 0..40 {
            pace.take(10 << 10).await;
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(250), "{took:?}");
        let begun = Instant::now();
        Pace::new(0).take(u64::MAX).await;
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}
