//! Copying a disk that no guest has open, through qemu-img; and how much room a copy takes.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, Interest};
use tokio::process::Command;

use super::disk::{absolute, qemu_img};
use super::error::{Error, Result};
use super::{blocking, ffi};

const PROGRAM: &str = "qemu-img";
/// As much of its complaints as is kept, in bytes.
const MOST_COMPLAINT: u64 = 4_096;
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
/// qemu-img's own.
pub async fn measure(disk: &Path) -> Result<u64> {
    #[derive(Deserialize)]
    struct Measured {
        required: u64,
    }
    absolute(disk)?;
    let arguments: [&OsStr; 8] = [
        "measure".as_ref(),
        "--force-share".as_ref(),
        "--output=json".as_ref(),
        "-f".as_ref(),
        "qcow2".as_ref(),
        "-O".as_ref(),
        "qcow2".as_ref(),
        disk.as_os_str(),
    ];
    let act = "measure the disk";
    let json = qemu_img(act, arguments).await?;
    let measured = serde_json::from_slice::<Measured>(&json);
    let stderr = |error: serde_json::Error| Error::Program { program: PROGRAM, act, stderr: error.to_string() };
    measured.map(|measured| measured.required).map_err(stderr)
}

/// Copies a qcow2 that nobody writes to, with what it stands on, into a qcow2 that stands on nothing. It
/// is stopped when `stop` comes, and has let go of the disk when this returns.
///
/// # Errors
/// qemu-img's own, for instance that somebody writes to the disk.
pub async fn copy(disk: &Path, target: &Path, stop: impl Future<Output = ()>) -> Result<Copied> {
    absolute(disk)?;
    absolute(target)?;
    let failed = |source| Error::Io { act: "run", path: PROGRAM.into(), source };
    let mut command = Command::new(PROGRAM);
    command.args(["convert", "-q", "-f", "qcow2", "-O", "qcow2"]).arg(disk).arg(target);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let mut complaint = Vec::new();
    let mut stderr = child.stderr.take();
    let ended = async {
        if let Some(stderr) = stderr.as_mut() {
            // What cannot be read of it is lost with it.
            let _ = stderr.take(MOST_COMPLAINT).read_to_end(&mut complaint).await;
        }
        child.wait().await
    };
    let status = tokio::select! {
        status = ended => Some(status.map_err(failed)?),
        () = stop => None,
    };
    match status {
        Some(status) if status.success() => Ok(Copied::Whole),
        Some(_) => {
            let stderr = String::from_utf8_lossy(&complaint).trim().to_owned();
            Err(Error::Program { program: PROGRAM, act: ACT, stderr })
        }
        None => {
            child.kill().await.map_err(failed)?;
            Ok(Copied::Stopped)
        }
    }
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
    let mut words = line.split(|byte| *byte == 0);
    words.next().is_some_and(|program| program.ends_with(PROGRAM.as_bytes()))
        && words.any(|word| word == target.as_os_str().as_bytes())
}
