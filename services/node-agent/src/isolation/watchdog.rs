//! A hardware watchdog: once opened it resets the machine unless it is written to in time
//! (`Documentation/watchdog/watchdog-api.rst` of the kernel).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// What a write may be late by, between deciding on it and its being done.
const LATE_MS: u64 = 1_000;

/// One that runs.
pub(super) struct Watchdog {
    device: File,
    timeout_ms: u64,
}

impl Watchdog {
    /// Sets it going, if it bites within `most_ms`; `sys` is where the kernel tells of all of them.
    ///
    /// # Errors
    /// There is none, somebody else has it open, or it bites too late.
    pub(super) fn open(device: &Path, sys: &Path, most_ms: u64) -> io::Result<Self> {
        let name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The one without a number is the first.
        let name = if name == "watchdog" { "watchdog0" } else { name };
        let told = fs::read_to_string(sys.join(name).join("timeout"))?;
        let seconds = told.trim().parse::<u64>().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let timeout_ms = seconds.saturating_mul(1_000).saturating_add(LATE_MS);
        if timeout_ms > most_ms {
            let text = format!("it bites after {seconds} s, and isolation.stop_ms is {most_ms}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self { device: OpenOptions::new().write(true).open(device)?, timeout_ms })
    }

    /// After how many milliseconds it bites, at the latest.
    pub(super) const fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    /// It counts from now.
    ///
    /// # Errors
    /// The device's.
    pub(super) fn kick(&mut self) -> io::Result<()> {
        self.device.write_all(b"\0")
    }

    /// Stops it, where the kernel allows that (the "magic close").
    pub(super) fn release(mut self) {
        if let Err(error) = self.device.write_all(b"V") {
            tracing::error!(%error, "the watchdog is not stopped");
        }
    }
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn one_that_bites_too_late_is_not_set_going_and_one_that_is_released_is_told_so() {
        let folder = TempDir::new();
        let (device, sys) = (folder.path().join("watchdog"), folder.path().join("sys"));
        fs::create_dir_all(sys.join("watchdog0")).unwrap();
        fs::write(sys.join("watchdog0/timeout"), "10\n").unwrap();
        fs::write(&device, "").unwrap();
        assert!(Watchdog::open(&device, &sys, 10_999).is_err());
        let mut watchdog = Watchdog::open(&device, &sys, 11_000).unwrap();
        assert_eq!(watchdog.timeout_ms(), 11_000);
        watchdog.kick().unwrap();
        watchdog.release();
        assert_eq!(fs::read(&device).unwrap(), b"\0V");
        assert!(Watchdog::open(&folder.path().join("watchdog1"), &sys, 60_000).is_err(), "there is no such one");
    }
}
