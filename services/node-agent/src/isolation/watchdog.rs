//! A hardware watchdog: once opened it resets the machine unless it is written to in time
//! (`Documentation/watchdog/watchdog-api.rst` of the kernel).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// What a write may be late by, between deciding on it and its being done.
const LATE_MS: u64 = 1_000;
/// A driver without it stops its watchdog when the last who has it open dies (`WDIOF_MAGICCLOSE`).
const MAGIC_CLOSE: u32 = 0x0100;

/// One that runs.
pub(super) struct Watchdog {
    device: File,
    timeout_ms: u64,
}

impl Watchdog {
    /// Sets it going, if it bites within `most_ms`; `sys` is where the kernel tells of all of them.
    ///
    /// # Errors
    /// There is none, somebody else has it open, it bites too late, not at all once its agent is dead, or can never be
    /// stopped again.
    pub(super) fn open(device: &Path, sys: &Path, most_ms: u64) -> io::Result<Self> {
        let name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The one without a number is the first.
        let name = if name == "watchdog" { "watchdog0" } else { name };
        let told = |what: &str| fs::read_to_string(sys.join(name).join(what)).map(|text| text.trim().to_owned());
        let seconds =
            told("timeout")?.parse::<u64>().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let timeout_ms = seconds.saturating_mul(1_000).saturating_add(LATE_MS);
        if timeout_ms > most_ms {
            let text = format!("it bites after {seconds} s, and servers are to be off before that");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if told("nowayout").is_ok_and(|text| text == "1") {
            // It would reset a node that has nothing to stop any more, as soon as its agent is started anew.
            let text = "it can never be stopped again; load its driver with nowayout=0";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        // Kernels before 6.5 do not tell.
        if told("options").is_ok_and(|text| !bites_when_abandoned(&text)) {
            let text = "its driver stops it when the agent is killed";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
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

/// Whether one with these options, in hexadecimal, goes on when who has it open dies. What cannot be read promises nothing.
fn bites_when_abandoned(options: &str) -> bool {
    u32::from_str_radix(options.trim_start_matches("0x"), 16).is_ok_and(|options| options & MAGIC_CLOSE != 0)
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

    #[test]
    fn one_that_dies_with_its_agent_or_never_stops_is_not_set_going() {
        let folder = TempDir::new();
        let (device, sys) = (folder.path().join("watchdog"), folder.path().join("sys"));
        let told = |what: &str, text: &str| fs::write(sys.join("watchdog0").join(what), text).unwrap();
        fs::create_dir_all(sys.join("watchdog0")).unwrap();
        fs::write(&device, "").unwrap();
        told("timeout", "10\n");
        for (nowayout, options, may) in
            [("0\n", "0x8180\n", true), ("1\n", "0x8180\n", false), ("0\n", "0x8080\n", false)]
        {
            told("nowayout", nowayout);
            told("options", options);
            assert_eq!(Watchdog::open(&device, &sys, 60_000).is_ok(), may, "nowayout {nowayout}options {options}");
        }
    }
}
