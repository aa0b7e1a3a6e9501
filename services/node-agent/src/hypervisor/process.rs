//! A domain's QEMU process, seen without libvirt.
//!
//! libvirt kills a migrated domain's source and then looks every 200 ms whether it is gone, so
//! its word comes late; and its word may be wrong after a crash of its own. Two facts are stronger:
//!
//! * a pidfd becomes readable when the process is dead and its memory freed;
//! * before that (by the time that freeing gigabytes takes) the kernel marks every thread as
//!   exiting. Such a thread never again executes an instruction of the guest or of QEMU.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::error::{Error, Result};
use super::{Hypervisor, blocking, ffi};

/// How often a process that is about to end is looked at.
const EXIT_POLL: Duration = Duration::from_millis(1);
/// The kernel's mark of a thread that is being taken down (`include/linux/sched.h`).
const PF_EXITING: u64 = 0x4;

/// A descriptor that nothing is written through (`O_RDONLY`, open(2)).
const READ_ONLY: u32 = 0;
/// Where a descriptor's flags say what it is for (`O_ACCMODE`, open(2)).
const ACCESS: u32 = 3;

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
    path: PathBuf,
    pidfd: AsyncFd<OwnedFd>,
}

impl QemuProcess {
    /// Which process this is.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Waits until the process can execute nothing any more: dead, or every thread exiting. It looks
    /// each millisecond: for the switch-over, not for the hour before it ([`Self::exited`] is free).
    ///
    /// # Errors
    /// As [`Self::exited`].
    pub async fn ended(&self) -> Result<()> {
        let exiting = async {
            while !self.is_exiting() {
                tokio::time::sleep(EXIT_POLL).await;
            }
        };
        tokio::select! {
            exited = self.exited() => exited,
            () = exiting => Ok(()),
        }
    }

    /// Whether it has this file open. One that is gone has none.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub async fn has_open(&self, file: &Path) -> Result<bool> {
        Ok(!self.modes(file).await?.is_empty())
    }

    /// Whether it has this file open for writing. One that is gone has none.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub async fn writes_to(&self, file: &Path) -> Result<bool> {
        Ok(self.modes(file).await?.iter().any(|mode| *mode != READ_ONLY))
    }

    /// How it has this file open, once for each descriptor (`O_ACCMODE`, open(2)).
    async fn modes(&self, file: &Path) -> Result<Vec<u32>> {
        let (file, process) = (file.to_owned(), self.path.clone());
        blocking("look at open files", move || {
            let wanted = std::fs::metadata(&file).map_err(|source| Error::Io { act: "look at", path: file, source })?;
            let is_it = |found: std::fs::Metadata| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino());
            let open = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            let of_it = open.filter(|entry| std::fs::metadata(entry.path()).is_ok_and(is_it));
            Ok(of_it.map(|entry| access_mode(&process.join("fdinfo").join(entry.file_name()))).collect())
        })
        .await
    }

    /// Every thread carries the kernel's mark, or is gone. Reading a few small files of `/proc` does
    /// not block.
    fn is_exiting(&self) -> bool {
        // The leader first: one file, while nothing happens. The handle keeps the pid from being reused
        // only until the process is reaped; a stranger under it is not exiting, and the pidfd tells then.
        thread_exiting(&self.path.join("stat"))
            && std::fs::read_dir(self.path.join("task"))
                .is_ok_and(|threads| threads.flatten().all(|thread| thread_exiting(&thread.path().join("stat"))))
    }

    /// Waits until the process is dead and gone. Costs nothing while waiting.
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
        match rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(self.failed("kill", error.into())),
        }
    }

    fn failed(&self, act: &'static str, source: std::io::Error) -> Error {
        Error::Io { act, path: format!("process {}", self.id.pid).into(), source }
    }
}

impl Hypervisor {
    /// The domain's QEMU process, or nothing if none exists that could still execute anything. The pid file is tried first; since it may be
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
                match ffi::watch_readable(pidfd) {
                    Ok(pidfd) => Ok(Some(QemuProcess { id, path, pidfd }).filter(|process| !process.is_exiting())),
                    Err(source) => Err(Error::Io { act: "watch", path, source }),
                }
            })
            .transpose()
            .map(Option::flatten)
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
    Ok(qemu
        && words.any(|word| word == b"-uuid")
        && cmdline.split(|byte| *byte == 0).any(|word| word == uuid.as_bytes()))
}

/// What a descriptor is for, by the octal `flags:` of `/proc/PID/fdinfo/FD` (proc(5)). One that says nothing is taken
/// for writing.
fn access_mode(fdinfo: &Path) -> u32 {
    let text = std::fs::read_to_string(fdinfo).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(ACCESS) & ACCESS
}

fn start_ticks(stat: &Path) -> Option<u64> {
    stat_field(&std::fs::read_to_string(stat).ok()?, 22)
}

/// A thread that is no longer there has exited.
fn thread_exiting(stat: &Path) -> bool {
    match std::fs::read_to_string(stat) {
        Ok(text) => stat_field(&text, 9).is_some_and(|flags| flags & PF_EXITING != 0),
        Err(error) => gone(&error),
    }
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5). The second is a name in parentheses that may
/// itself contain anything, so that counting starts after it.
fn stat_field(text: &str, number: usize) -> Option<u64> {
    text.rsplit_once(") ")?.1.split(' ').nth(number.checked_sub(3)?)?.parse().ok()
}

fn gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn proc_path(proc_dir: &Path, pid: i32) -> PathBuf {
    proc_dir.join(pid.to_string())
}
