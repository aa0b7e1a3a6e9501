//! The one module that runs qemu-img, and how it is kept from doing harm.
//!
//! * The format is named, never probed. The file is handed over as an open descriptor
//!   (`/proc/self/fd/0`), so that no name of the user's ever reaches QEMU's parser of file names
//!   (`json:`, `nbd:` and the like), and no other file need be reachable.
//! * It runs without capabilities, without new privileges and with bounds on memory, processor
//!   time and open files. It may write no file at all, or, when it converts, the one that it gets as
//!   an open descriptor (`/proc/self/fd/1`), up to a bound. If the service runs as root, it runs as
//!   nobody and in a network namespace of its own, which has no interfaces.
//! * It is killed when its time is up; what it prints is read up to a bound.

use std::{ffi::OsString, fs::File, process::Stdio, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use watari_chassis::program::{PATH, bounded};

use super::CheckError;
use crate::{header::Kind, settings::Qemu};

/// As much of the program's output as is read.
const MOST_OUTPUT: u64 = 1 << 20;
/// As much of its complaints as is shown.
const MOST_COMPLAINT: u64 = 600;
/// The signal of a file that becomes too large.
const SIGXFSZ: i32 = 25;

/// How the program is confined on this machine.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The words before the bound on written files.
    before: Arc<[OsString]>,
    /// The words after it and before `qemu-img`'s own arguments.
    after: Arc<[OsString]>,
    /// Who writes, if it is somebody else than this process.
    writer: Option<(u32, u32)>,
    timeout: Duration,
}

/// A file that is to be written, and how large it may become.
struct Written<'a> {
    file: &'a File,
    most_bytes: u64,
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

/// What one run gave.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    signal: Option<i32>,
    output: Vec<u8>,
    pub(super) complaint: String,
}

impl Sandbox {
    /// Finds out what this machine allows, and prepares the words.
    pub async fn prepare(settings: &Qemu) -> Self {
        let root = rustix::process::geteuid().is_root();
        let own_network = root && permits(&["unshare", "--net", "--", "true"]).await;
        if root && !own_network {
            tracing::warn!("qemu-img runs in the machine's own network namespace, since this process may not make one");
        }
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |text: &str| words.push(text.into());
        if own_network {
            ["unshare", "--net", "--"].into_iter().for_each(&mut add);
        }
        ["setpriv", "--no-new-privs"].into_iter().for_each(&mut add);
        if root {
            add(&format!("--reuid={}", settings.uid));
            add(&format!("--regid={}", settings.gid));
            ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"].into_iter().for_each(&mut add);
        }
        ["--", "prlimit", "--core=0", "--nofile=64"].into_iter().for_each(&mut add);
        add(&format!("--as={}", settings.memory_mib << 20));
        add(&format!("--cpu={}", settings.cpu_seconds));
        let after = ["--".into(), settings.program.clone().into()];
        Self {
            before: words.into(),
            after: after.into(),
            writer: root.then_some((settings.uid, settings.gid)),
            timeout: Duration::from_secs(settings.timeout_seconds),
        }
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
        let fault = |error: rustix::io::Errno| CheckError::Program {
            program: "qemu-img".to_owned(),
            detail: format!("the file to be written cannot be handed over: {error}"),
        };
        let owner = |id: Option<u32>| id.map(rustix::fs::Uid::from_raw);
        let group = |id: Option<u32>| id.map(rustix::fs::Gid::from_raw);
        if let Some((uid, gid)) = self.writer {
            rustix::fs::fchown(target, owner(Some(uid)), group(Some(gid))).map_err(fault)?;
        }
        let arguments = ["convert", "-q", "-O", "qcow2", "--image-opts"].map(OsString::from);
        let written = Written { file: target, most_bytes };
        let ran = self.run(&arguments, &source(kind), file, Some(written), stop).await;
        if self.writer.is_some() {
            rustix::fs::fchown(target, owner(Some(0)), group(Some(0))).map_err(fault)?;
        }
        let Some(ran) = ran? else { return Ok(Converted::TooCostly(self.too_long())) };
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
        written: Option<Written<'_>>,
        stop: &CancellationToken,
    ) -> Result<Option<Ran>, CheckError> {
        let Some((program, words)) = self.before.split_first() else { return Err(CheckError::Interrupted) };
        let fault = |error: std::io::Error| CheckError::Program {
            program: program.to_string_lossy().into_owned(),
            detail: error.to_string(),
        };
        let most_bytes = written.as_ref().map_or(0, |w| w.most_bytes);
        let mut command = Command::new(program);
        command.args(words).arg(format!("--fsize={most_bytes}")).args(&*self.after).args(arguments).arg(source);
        let stdout = match &written {
            Some(written) => {
                command.arg("/proc/self/fd/1");
                Stdio::from(written.file.try_clone().map_err(fault)?)
            }
            None => Stdio::piped(),
        };
        let mut child = command
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            // Each thread would reserve an arena of its own, and the bound is on addresses.
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir("/")
            .stdin(Stdio::from(file.try_clone().map_err(fault)?))
            .stdout(stdout)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(fault)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = async { tokio::join!(bounded(stdout, MOST_OUTPUT), bounded(stderr, MOST_COMPLAINT), child.wait()) };
        let (output, complaint, status) = tokio::select! {
            ended = tokio::time::timeout(self.timeout, ended) => match ended {
                Ok(ended) => ended,
                Err(_) => return Ok(None),
            },
            () = stop.cancelled() => return Err(CheckError::Interrupted),
        };
        let status = status.map_err(fault)?;
        let (code, signal) = (status.code(), std::os::unix::process::ExitStatusExt::signal(&status));
        if matches!(code, Some(126 | 127)) {
            return Err(CheckError::Program { program: "qemu-img".to_owned(), detail: readable(&complaint) });
        }
        Ok(Some(Ran { code, signal, output, complaint: readable(&complaint) }))
    }
}

/// The file as QEMU is to open it: by its descriptor, as this format and no other.
fn source(kind: Kind) -> String {
    format!("driver={},file.driver=file,file.filename=/proc/self/fd/0,file.locking=off", kind.driver())
}

/// The first line, without our own words for the file and without control characters.
fn readable(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().next().unwrap_or("no reason given");
    let line = line.rsplit("/proc/self/fd/0': ").next().unwrap_or(line);
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

async fn permits(words: &[&str]) -> bool {
    let Some((program, args)) = words.split_first() else { return false };
    let run =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.await.is_ok_and(|status| status.success())
}
