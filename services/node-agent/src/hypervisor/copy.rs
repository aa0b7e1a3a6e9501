//! Copying a disk that no guest has open, through qemu-img; and how much room a copy takes.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;
use tokio::io::Interest;
use watari_chassis::CancellationToken;

use super::disk::{BOUND, absolute};
use super::error::{Error, Result};
use super::volume::{Checked, PROGRAM, Qemu, Volume, within};
use super::{blocking, ffi, in_proportion};

/// How long a copy may take, and as much processor time: so many seconds, and one more for each so many bytes of the disk.
const PATIENCE: (u64, u64) = (600, 4 << 20);
const ACT: &str = "copy the disk";

/// How a copy ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// It is whole.
    Whole,
    /// It was stopped; what there is of it is worth nothing.
    Stopped,
}

/// How many bytes a copy of a qcow2 and of what it stands on takes as a file of its own, whether or not a
/// guest writes to it meanwhile: an estimate then.
///
/// # Errors
/// [`Error::Untrusted`]; qemu-img's own.
pub async fn measure(volume: &Volume) -> Result<u64> {
    #[derive(Deserialize)]
    struct Measured {
        required: u64,
    }
    let act = "measure the disk";
    let Checked { source, folder, .. } = volume.checked(None).await?;
    let mut arguments = ["measure", "--force-share", "--output=json", "-O", "qcow2"].map(OsString::from).to_vec();
    arguments.push(source);
    let qemu = Qemu { act, arguments: &arguments, folder: &folder, written: None, after: BOUND };
    let json = qemu.run(&CancellationToken::new()).await?.unwrap_or_default();
    let measured = serde_json::from_slice::<Measured>(&json);
    let stderr = |error: serde_json::Error| Error::Program { program: PROGRAM, act, stderr: error.to_string() };
    measured.map(|measured| measured.required).map_err(stderr)
}

/// Copies a qcow2 that nobody writes to, with what it stands on, into a qcow2 of at most so many bytes that stands on
/// nothing. It is stopped when `stop` comes, and has let go of the disk when this returns. No file is made for a volume
/// that is not trusted.
///
/// # Errors
/// [`Error::Untrusted`]; qemu-img's own, for instance that somebody writes to the disk.
pub async fn copy(volume: &Volume, target: &Path, most_bytes: u64, stop: &CancellationToken) -> Result<Copied> {
    absolute(target)?;
    let Checked { source, folder, virtual_bytes } = volume.checked(Some(target)).await?;
    let path = target.to_owned();
    let file = blocking(ACT, move || {
        let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(|source| Error::Io { act: "make", path, source })
    })
    .await?;
    let mut arguments = ["convert", "-q", "-O", "qcow2"].map(OsString::from).to_vec();
    // By its name, by which the next agent knows what this one has left behind.
    arguments.extend([source, within(&folder, target)?.into()]);
    let written = Some((&file, most_bytes));
    let after = in_proportion(PATIENCE, virtual_bytes);
    let qemu = Qemu { act: ACT, arguments: &arguments, folder: &folder, written, after };
    Ok(if qemu.run(stop).await?.is_some() { Copied::Whole } else { Copied::Stopped })
}

/// Ends a copy to `target` that an agent before this one has left behind, and waits until it has let go.
///
/// # Errors
/// `/proc` cannot be read, or the kernel refuses.
pub async fn end_left_over(target: &Path) -> Result<()> {
    let path = target.to_owned();
    for process in blocking("look for a copy", move || writers(&path)).await? {
        let failed = |source| Error::Io { act: "end the copy to", path: target.to_owned(), source };
        match pidfd_send_signal(&process, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(failed(error.into())),
        }
        ffi::watch_readable(process).map_err(failed)?.ready(Interest::READABLE).await.map(drop).map_err(failed)?;
    }
    Ok(())
}

fn writers(target: &Path) -> Result<Vec<OwnedFd>> {
    let failed = |source| Error::Io { act: "list", path: "/proc".into(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).filter(|pid| writes(*pid, target));
        let opened = pid.and_then(Pid::from_raw).and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
        // Looked at again with the handle held, since a process id may be used again.
        found.extend(opened.filter(|_| pid.is_some_and(|pid| writes(pid, target))));
    }
    Ok(found)
}

fn writes(pid: i32, target: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    // It is told where its target is as seen from a folder above.
    let is_target = |word: &[u8]| target.ends_with(OsStr::from_bytes(word));
    words.clone().any(|word| word.ends_with(PROGRAM.as_bytes())) && words.skip(1).any(is_target)
}
