//! Running a program on files that somebody hostile may have written, so that it can do no harm.
//!
//! * It runs without capabilities, without new privileges and with bounds on memory, processor time and open files. It
//!   may write no file at all, or the one that is lent to it, up to a bound. If this process is root, the program is
//!   somebody else (nobody, by its number), and in a network namespace of its own, which has no interfaces.
//! * It is killed when its time is up, and is gone when that is said; what it prints is read up to a bound.

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{PATH, bounded};

/// As much of the program's output as is read.
const MOST_OUTPUT: u64 = 1 << 20;
/// As much of its complaints as is kept.
const MOST_COMPLAINT: u64 = 600;

/// The program, and whose rights and how much memory it has.
#[derive(Clone, Debug)]
pub struct Confined {
    /// Its name, or where it is.
    pub program: PathBuf,
    /// As much memory as it may have.
    pub memory_mib: u64,
    /// Its user, if this process is root.
    pub uid: u32,
    /// Its group then.
    pub gid: u32,
}

/// How the program is confined on this machine.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The words before the bounds of a run.
    before: Arc<[OsString]>,
    /// The words after them and before the program's own arguments.
    after: Arc<[OsString]>,
    /// Who writes, if it is somebody else than this process.
    writer: Option<(u32, u32)>,
}

/// One run of the program.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// What it is told.
    pub arguments: &'a [OsString],
    /// The folder in which relative paths begin; nobody needs to be able to come there otherwise.
    pub folder: &'a Path,
    /// What it reads as its standard input: nothing if none.
    pub stdin: Option<&'a File>,
    /// What it has as its standard output, which is read if there is none.
    pub stdout: Option<&'a File>,
    /// The one file that it may write, and up to which of its bytes. The file is the writer's as long as it runs.
    pub written: Option<(&'a File, u64)>,
    /// As much processor time as it may take.
    pub cpu_seconds: u64,
    /// After so long it is killed.
    pub timeout: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself, or by one of its bounds.
    Ran(Ran),
    /// Its time ran out.
    TooLong,
    /// It was stopped.
    Stopped,
}

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code, if it was not ended by a signal.
    pub code: Option<i32>,
    /// The signal by which it was ended.
    pub signal: Option<i32>,
    /// What it printed.
    pub output: Vec<u8>,
    /// The first line that it complained, without control characters.
    pub complaint: String,
}

/// The program could not be run.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {program}: {detail}")]
pub struct NotRun {
    /// The program, or what was to confine it.
    pub program: String,
    /// Why.
    pub detail: String,
}

/// A file that is the writer's as long as this lives.
struct Lent<'a> {
    file: &'a File,
    back_to: Option<(u32, u32)>,
}

impl<'a> Lent<'a> {
    fn to(writer: Option<(u32, u32)>, file: &'a File) -> io::Result<Self> {
        let Some(writer) = writer else { return Ok(Self { file, back_to: None }) };
        let stat = rustix::fs::fstat(file)?;
        let owner = (stat.st_uid, stat.st_gid);
        // It was lent by a process that was killed before it could take it back.
        let is_lost = owner == writer;
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        give(file, writer)?;
        Ok(Self { file, back_to: Some(if is_lost { own } else { owner }) })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(owner) = self.back_to
            && let Err(error) = give(self.file, owner)
        {
            tracing::error!(%error, "a file stays the property of the program that wrote it");
        }
    }
}

fn give(file: &File, (uid, gid): (u32, u32)) -> io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
}

impl Sandbox {
    /// Finds out what this machine allows, and prepares the words.
    pub async fn prepare(confined: &Confined) -> Self {
        let root = rustix::process::geteuid().is_root();
        let own_network = root && permits(&["unshare", "--net", "--", "true"]).await;
        if root && !own_network {
            let program = confined.program.display();
            tracing::warn!(%program, "it runs in the machine's own network namespace, since this process may not make one");
        }
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |text: &str| words.push(text.into());
        if own_network {
            ["unshare", "--net", "--"].into_iter().for_each(&mut add);
        }
        ["setpriv", "--no-new-privs"].into_iter().for_each(&mut add);
        if root {
            add(&format!("--reuid={}", confined.uid));
            add(&format!("--regid={}", confined.gid));
            ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"].into_iter().for_each(&mut add);
        }
        ["--", "prlimit", "--core=0", "--nofile=64"].into_iter().for_each(&mut add);
        add(&format!("--as={}", confined.memory_mib << 20));
        let after = ["--".into(), confined.program.clone().into()];
        Self { before: words.into(), after: after.into(), writer: root.then_some((confined.uid, confined.gid)) }
    }

    /// Runs the program to its end, or until `stop` or its time ends it. It is gone when this returns.
    ///
    /// # Errors
    /// [`NotRun`]: no file is at fault.
    pub async fn run(&self, run: Run<'_>, stop: &CancellationToken) -> Result<Ended, NotRun> {
        let fault = |error: io::Error| self.not_run(self.before.first(), error.to_string());
        let _lent = run.written.map(|(file, _)| Lent::to(self.writer, file)).transpose().map_err(fault)?;
        let mut child = self.command(run).map_err(fault)?.spawn().map_err(fault)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = async { tokio::join!(bounded(stdout, MOST_OUTPUT), bounded(stderr, MOST_COMPLAINT), child.wait()) };
        let ended = tokio::select! {
            ended = tokio::time::timeout(run.timeout, ended) => ended.map_err(|_| Ended::TooLong),
            () = stop.cancelled() => Err(Ended::Stopped),
        };
        let (output, complaint, status) = match ended {
            Ok(ended) => ended,
            Err(unfinished) => {
                if let Err(error) = child.kill().await {
                    // It has ended by itself meanwhile.
                    tracing::debug!(%error, "a program is not killed");
                }
                return Ok(unfinished);
            }
        };
        let status = status.map_err(fault)?;
        let (code, signal) = (status.code(), std::os::unix::process::ExitStatusExt::signal(&status));
        let complaint = first_line(&complaint);
        if matches!(code, Some(126 | 127)) {
            return Err(self.not_run(self.after.last(), complaint));
        }
        Ok(Ended::Ran(Ran { code, signal, output, complaint }))
    }

    fn command(&self, run: Run<'_>) -> io::Result<Command> {
        let mut words = self.before.iter();
        let mut command = Command::new(words.next().ok_or(io::ErrorKind::NotFound)?);
        let most_written = run.written.map_or(0, |(_, most_bytes)| most_bytes);
        let handed = |file: Option<&File>, otherwise: Stdio| match file {
            Some(file) => file.try_clone().map(Stdio::from),
            None => Ok(otherwise),
        };
        command
            .args(words)
            .arg(format!("--cpu={}", run.cpu_seconds))
            .arg(format!("--fsize={most_written}"))
            .args(&*self.after)
            .args(run.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            // Each thread would reserve an arena of its own, and the bound is on addresses.
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir(run.folder)
            .stdin(handed(run.stdin, Stdio::null())?)
            .stdout(handed(run.stdout, Stdio::piped())?)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    fn not_run(&self, program: Option<&OsString>, detail: String) -> NotRun {
        let program = program.map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        NotRun { program, detail }
    }
}

fn first_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    text.lines().next().unwrap_or("no reason given").chars().filter(|c| !c.is_control()).collect()
}

async fn permits(words: &[&str]) -> bool {
    let Some((program, args)) = words.split_first() else { return false };
    let run =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.await.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    };

    use watari_testkit::TempDir;

    use super::*;

    async fn sandbox(program: &str) -> Sandbox {
        Sandbox::prepare(&Confined { program: program.into(), memory_mib: 256, uid: 65_534, gid: 65_534 }).await
    }

    /// A folder to which only root finds the way, and in it two files of root's own and one that all may read.
    fn folder(dir: &TempDir) -> PathBuf {
        let shut = dir.path().join("shut");
        fs::DirBuilder::new().mode(0o700).create(&shut).unwrap();
        let folder = shut.join("folder");
        fs::DirBuilder::new().mode(0o711).create(&folder).unwrap();
        for (name, mode) in [("in", 0o644), ("out", 0o600), ("other", 0o600)] {
            fs::write(folder.join(name), name).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        folder
    }

    fn run<'a>(arguments: &'a [OsString], folder: &'a Path, written: Option<(&'a File, u64)>) -> Run<'a> {
        let timeout = Duration::from_secs(60);
        Run { arguments, folder, stdin: None, stdout: None, written, cpu_seconds: 60, timeout }
    }

    async fn code(sandbox: &Sandbox, run: Run<'_>) -> Option<i32> {
        match sandbox.run(run, &CancellationToken::new()).await.unwrap() {
            Ended::Ran(ran) => ran.code,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_program_writes_the_one_file_that_it_is_lent_and_only_so_far() {
        let (dir, copies) = (TempDir::new(), sandbox("cp").await);
        let folder = folder(&dir);
        let out = File::options().write(true).open(folder.join("out")).unwrap();
        let arguments = ["in", "out"].map(OsString::from);
        assert_eq!(code(&copies, run(&arguments, &folder, Some((&out, 3)))).await, Some(0));
        assert_eq!(fs::read(folder.join("out")).unwrap(), b"in");
        assert_eq!(out.metadata().unwrap().uid(), rustix::process::geteuid().as_raw(), "it was only lent");

        assert_ne!(code(&copies, run(&arguments, &folder, Some((&out, 1)))).await, Some(0));
        assert!(out.metadata().unwrap().len() <= 1);
        assert_ne!(code(&copies, run(&arguments, &folder, None)).await, Some(0));
        if rustix::process::geteuid().is_root() {
            let arguments = ["other", "out"].map(OsString::from);
            assert_ne!(code(&copies, run(&arguments, &folder, Some((&out, 9)))).await, Some(0), "it is nobody");
        }
    }

    #[tokio::test]
    async fn a_program_is_gone_when_its_time_is_up_or_nobody_wants_it_any_more() {
        let (dir, waits) = (TempDir::new(), sandbox("tail").await);
        let folder = folder(&dir);
        let arguments = ["-f", "in"].map(OsString::from);
        let brief = Run { timeout: Duration::from_millis(1), ..run(&arguments, &folder, None) };
        let (unwanted, wanted) = (CancellationToken::new(), CancellationToken::new());
        assert!(matches!(waits.run(brief, &wanted).await.unwrap(), Ended::TooLong));
        unwanted.cancel();
        let endless = run(&arguments, &folder, None);
        assert!(matches!(waits.run(endless, &unwanted).await.unwrap(), Ended::Stopped));
        let absent = sandbox("no-such-program").await.run(endless, &wanted).await;
        assert!(absent.is_err_and(|error| error.program == "no-such-program"));
    }
}
