//! The one module that runs qemu-img, in the sandbox that nodes use too ([`watari_chassis::program`]).
//!
//! The format is named, never probed. The file is handed over as an open descriptor
//! (`/proc/self/fd/0`), so that no name of the user's ever reaches QEMU's parser of file names
//! (`json:`, `nbd:` and the like), and no other file need be reachable. When it converts, the file to
//! be written is one as well (`/proc/self/fd/1`).

use std::{
    ffi::OsString,
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use watari_chassis::program::{self, Confined, Ended, Ran, Run};

use super::CheckError;
use crate::{header::Kind, settings::Qemu};

/// As much of a complaint as is shown.
const SHOWN: usize = 200;
/// The signal of a file that becomes too large.
const SIGXFSZ: i32 = 25;

/// qemu-img, as it is confined on this machine.
#[derive(Clone, Debug)]
pub struct Sandbox {
    inner: program::Sandbox,
    cpu_seconds: u64,
    timeout: Duration,
}

/// How a conversion ended.
pub(super) enum Converted {
    /// The target is whole.
    Whole,
    /// QEMU complains about the source.
    Refused(String),
    /// It takes more time, processor time or memory than allowed.
    TooCostly(String),
    /// The target would become larger than it may, or the disk is full.
    NoRoom,
}

/// What a check found.
pub(super) enum Checked {
    /// Nothing.
    Sound,
    /// Its tables speak of bytes beyond its end.
    Truncated,
    /// This is wrong with it.
    Corrupt(String),
    /// It takes more time, processor time or memory than allowed.
    TooCostly(String),
}

impl Sandbox {
    /// Finds out what this machine allows.
    pub async fn prepare(settings: &Qemu) -> Self {
        let Qemu { program, timeout_seconds, cpu_seconds, memory_mib, uid, gid } = settings.clone();
        let inner = program::Sandbox::prepare(&Confined { program, memory_mib, uid, gid }).await;
        Self { inner, cpu_seconds, timeout: Duration::from_secs(timeout_seconds) }
    }

    /// Checks a file's tables. Leaked clusters are no fault: they waste room and harm nobody.
    pub(super) async fn check(&self, kind: Kind, file: &File, stop: &CancellationToken) -> Result<Checked, CheckError> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "kebab-case", default)]
        struct Report {
            corruptions: u64,
            check_errors: u64,
        }
        let arguments = ["check", "--output=json", "--image-opts"].map(OsString::from);
        let Some(ran) = self.run(&arguments, &source(kind), file, None, stop).await? else {
            return Ok(Checked::TooCostly(self.too_long()));
        };
        let report = serde_json::from_slice::<Report>(&ran.output).unwrap_or_default();
        Ok(match ran.code {
            Some(0 | 3) if report.corruptions == 0 && report.check_errors == 0 => Checked::Sound,
            // 63: the format has nothing that could be checked.
            Some(63) => Checked::Sound,
            Some(_)
                if ["end of the file", "after EOF", "after file size", "beyond end of file"]
                    .iter()
                    .any(|words| ran.complaint.contains(words)) =>
            {
                Checked::Truncated
            }
            Some(2) => Checked::Corrupt(format!("{} errors in its tables", report.corruptions)),
            Some(_) => Checked::Corrupt(format!("qemu-img cannot check it: {}", ran.complaint)),
            None => Checked::TooCostly("checking it takes more memory or processor time than allowed".to_owned()),
        })
    }

    /// Makes a qcow2 of the source in `target`, which is empty and becomes at most so large.
    pub(super) async fn convert(
        &self,
        kind: Kind,
        file: &File,
        target: &File,
        most_bytes: u64,
        stop: &CancellationToken,
    ) -> Result<Converted, CheckError> {
        let arguments = ["convert", "-q", "-O", "qcow2", "--image-opts"].map(OsString::from);
        let ran = self.run(&arguments, &source(kind), file, Some((target, most_bytes)), stop).await?;
        let Some(ran) = ran else { return Ok(Converted::TooCostly(self.too_long())) };
        let full = ["No space left", "File too large", "Disk quota"].iter().any(|word| ran.complaint.contains(word));
        Ok(match (ran.code, ran.signal) {
            (Some(0), _) => Converted::Whole,
            _ if full => Converted::NoRoom,
            (Some(_), _) => Converted::Refused(ran.complaint),
            (None, Some(SIGXFSZ)) => Converted::NoRoom,
            (None, signal) => Converted::TooCostly(format!(
                "converting it takes more memory or processor time than allowed (signal {})",
                signal.unwrap_or_default()
            )),
        })
    }

    /// The disk's size as QEMU understands the file.
    pub(super) async fn virtual_size(
        &self,
        kind: Kind,
        file: &File,
        stop: &CancellationToken,
    ) -> Result<Option<u64>, CheckError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Info {
            virtual_size: u64,
        }
        let arguments = ["info", "--output=json", "--image-opts"].map(OsString::from);
        let ran = self.run(&arguments, &source(kind), file, None, stop).await?;
        let info = ran.filter(|r| r.code == Some(0)).and_then(|r| serde_json::from_slice::<Info>(&r.output).ok());
        Ok(info.map(|i| i.virtual_size))
    }

    fn too_long(&self) -> String {
        format!("it takes longer than {} seconds", self.timeout.as_secs())
    }

    /// Runs `qemu-img` on the file; none when its time ran out.
    async fn run(
        &self,
        arguments: &[OsString],
        source: &str,
        file: &File,
        written: Option<(&File, u64)>,
        stop: &CancellationToken,
    ) -> Result<Option<Ran>, CheckError> {
        let mut arguments = arguments.to_vec();
        arguments.push(source.into());
        arguments.extend(written.map(|_| OsString::from("/proc/self/fd/1")));
        let run = Run {
            arguments: &arguments,
            folder: Path::new("/"),
            stdin: Some(file),
            stdout: written.map(|(file, _)| file),
            written,
            cpu_seconds: self.cpu_seconds,
            timeout: self.timeout,
        };
        let began = Instant::now();
        let ended = self.inner.run(run, stop).await;
        tracing::debug!(verb = ?arguments.first(), took_ms = began.elapsed().as_millis(), "qemu-img was run");
        match ended.map_err(|not_run| CheckError::Program { program: not_run.program, detail: not_run.detail })? {
            Ended::Ran(ran) => Ok(Some(Ran { complaint: readable(&ran.complaint), ..ran })),
            Ended::TooLong => Ok(None),
            Ended::Stopped => Err(CheckError::Interrupted),
        }
    }
}

/// The file as QEMU is to open it: by its descriptor, as this format and no other.
fn source(kind: Kind) -> String {
    format!("driver={},file.driver=file,file.filename=/proc/self/fd/0,file.locking=off", kind.driver())
}

/// A complaint without our own words for the file.
fn readable(complaint: &str) -> String {
    complaint.rsplit("/proc/self/fd/0': ").next().unwrap_or(complaint).chars().take(SHOWN).collect()
}
