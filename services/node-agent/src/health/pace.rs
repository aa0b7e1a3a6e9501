//! How long the disk takes to make a small write safe. A journal or a guest's database waits that long for
//! each of its steps.

use std::{
    fs::{self, OpenOptions},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What is written each time.
const BLOCK: [u8; 4096] = [0; 4096];
/// So many tries, unless
const TRIES: usize = 20;
/// they take longer than this together.
const BOUND: Duration = Duration::from_secs(5);

/// What is known, and since when it was measured last.
#[derive(Default)]
struct Known {
    fsync_ms: Option<u32>,
    begun: Option<Instant>,
}

/// The disk's pace, measured from time to time.
pub(super) struct Pace {
    file: PathBuf,
    every: Duration,
    known: Arc<Mutex<Known>>,
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pace {
    /// To be measured with this file, which is gone afterwards, and not more often than `every`.
    pub(super) fn new(file: PathBuf, every: Duration) -> Self {
        Self { file, every, known: Arc::default() }
    }

    /// What was measured last, in milliseconds. If that was long ago, it is measured anew beside everything
    /// else, for the next time.
    pub(super) fn last(&self) -> Option<u32> {
        let mut known = lock(&self.known);
        if known.begun.is_none_or(|begun| begun.elapsed() >= self.every) {
            known.begun = Some(Instant::now());
            let (file, told) = (self.file.clone(), Arc::clone(&self.known));
            tokio::task::spawn_blocking(move || match measure(&file) {
                Ok(middle) => lock(&told).fsync_ms = Some(u32::try_from(middle.as_millis()).unwrap_or(u32::MAX)),
                Err(error) => tracing::debug!(path = %file.display(), %error, "the disk's pace is not known"),
            });
        }
        known.fsync_ms
    }
}

/// The middle one of a few tries.
fn measure(path: &Path) -> io::Result<Duration> {
    let measured = write(path);
    // Also after a failure, as on a full disk. One that stays is written over the next time.
    let _ = fs::remove_file(path);
    measured
}

fn write(path: &Path) -> io::Result<Duration> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let (began, mut took) = (Instant::now(), Vec::with_capacity(TRIES));
    while took.len() < TRIES && began.elapsed() < BOUND {
        let begins = Instant::now();
        file.rewind()?;
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        took.push(begins.elapsed());
    }
    took.sort_unstable();
    took.get(took.len() / 2).copied().ok_or_else(|| io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use watari_testkit::{TempDir, eventually_some};

    use super::*;

    #[tokio::test]
    async fn a_disk_is_measured_once_in_a_while_and_nothing_of_that_is_left() {
        let dir = TempDir::new();
        let pace = Pace::new(dir.path().join("probe"), Duration::from_secs(3_600));
        assert_eq!(pace.last(), None, "nobody waits for it");
        let begun = lock(&pace.known).begun;
        eventually_some("it is measured", Duration::from_secs(30), || async { pace.last() }).await;
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
        assert_eq!(lock(&pace.known).begun, begun, "it was measured again");
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_measurement() {
        assert!(measure(Path::new("/nonexistent/probe")).is_err());
    }
}
