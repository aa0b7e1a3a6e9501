//! A domain's QEMU process, seen without libvirt.
//!
//! libvirt kills a migrated domain's source and then looks every 200 ms whether it is gone, so
//! its word comes late; and its word may be wrong after a crash of its own. A pidfd becomes
//! readable at the instant the process is dead: that is the proof that no vCPU of it runs and no
//! write of it is under way.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::error::{Error, Result};
use super::{Hypervisor, blocking, ffi};

/// Names one process for good, across restarts of the agent: pids are reused, the pair is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
}

/// A live handle to a QEMU process. Take it *before* a migration starts.
#[derive(Debug)]
pub struct QemuProcess {
    id: ProcessId,
    pidfd: AsyncFd<OwnedFd>,
}

impl QemuProcess {
    /// Which process this is.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Waits until the process is dead. Costs nothing while waiting.
    ///
    /// # Errors
    /// The kernel refuses to tell, which it does not.
    pub async fn exited(&self) -> Result<()> {
        let ready = self.pidfd.ready(Interest::READABLE).await;
        ready.map(drop).map_err(|source| self.failed("watch", source))
    }

    /// Kills the process at once, no matter what libvirtd does: for fencing when libvirtd is away.
    ///
    /// # Errors
    /// The kernel refuses. One that is dead already is success.
    pub fn kill(&self) -> Result<()> {
        match rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(self.failed("kill", error.into())),
        }
    }

    fn failed(&self, act: &'static str, source: std::io::Error) -> Error {
        Error::Io { act, path: format!("process {}", self.id.pid).into(), source }
    }
}

impl Hypervisor {
    /// The domain's QEMU process, or nothing if none exists. The pid file is tried first; since it may be
    /// missing or stale after a crash of libvirtd, every process is looked at before saying "none".
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub async fn process(&self, name: &str, uuid: &str) -> Result<Option<QemuProcess>> {
        let pid_file = self.config.run_dir.join(format!("{name}.pid"));
        let (proc_dir, uuid) = (self.config.proc_dir.clone(), uuid.to_owned());
        let found = blocking("find the process", move || find(&proc_dir, &pid_file, &uuid)).await?;
        found
            .map(|(id, pidfd)| {
                let path = proc_path(&self.config.proc_dir, id.pid);
                let pidfd = ffi::watch_readable(pidfd)
                    .map_err(|source| Error::Io { act: "watch", path, source })?;
                Ok(QemuProcess { id, pidfd })
            })
            .transpose()
    }
}

fn find(proc_dir: &Path, pid_file: &Path, uuid: &str) -> Result<Option<(ProcessId, OwnedFd)>> {
    let named = std::fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(found) = named.map(|pid| open(proc_dir, pid, uuid)).transpose()?.flatten() {
        return Ok(Some(found));
    }
    let failed = |source| Error::Io { act: "list", path: proc_dir.to_owned(), source };
    for entry in std::fs::read_dir(proc_dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(found) = open(proc_dir, pid, uuid)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Opens the process if it is QEMU for that UUID. The handle is taken before looking, so that what was
/// looked at is what is held, even if the pid is reused in between.
fn open(proc_dir: &Path, pid: i32, uuid: &str) -> Result<Option<(ProcessId, OwnedFd)>> {
    if !is_qemu_for(proc_dir, pid, uuid)? {
        return Ok(None);
    }
    let pidfd = match Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK)) {
        Some(Ok(pidfd)) => pidfd,
        None | Some(Err(rustix::io::Errno::SRCH)) => return Ok(None),
        Some(Err(error)) => {
            return Err(Error::Io { act: "open", path: proc_path(proc_dir, pid), source: error.into() });
        }
    };
    if !is_qemu_for(proc_dir, pid, uuid)? {
        return Ok(None);
    }
    let start_ticks = start_ticks(&proc_path(proc_dir, pid).join("stat"));
    Ok(start_ticks.map(|start_ticks| (ProcessId { pid, start_ticks }, pidfd)))
}

/// A dead process that nobody has reaped has an empty command line, and so counts as gone.
fn is_qemu_for(proc_dir: &Path, pid: i32, uuid: &str) -> Result<bool> {
    let path = proc_path(proc_dir, pid).join("cmdline");
    let cmdline = match std::fs::read(&path) {
        Ok(cmdline) => cmdline,
        Err(error) if gone(&error) => return Ok(false),
        Err(source) => return Err(Error::Io { act: "read", path, source }),
    };
    let mut words = cmdline.split(|byte| *byte == 0);
    let qemu = words.next().is_some_and(|program| program.windows(5).any(|part| part == b"qemu-"));
    Ok(qemu && words.any(|word| word == b"-uuid") && cmdline.split(|byte| *byte == 0).any(|word| word == uuid.as_bytes()))
}

fn start_ticks(stat: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(stat).ok()?;
    // The second field is a name in parentheses that may itself contain anything; count after it.
    text.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

fn gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn proc_path(proc_dir: &Path, pid: i32) -> PathBuf {
    proc_dir.join(pid.to_string())
}
