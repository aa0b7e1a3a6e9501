//! The one module that runs qemu-img, and how it is kept from doing harm.
//!
//! * The format is named, never probed. The file is handed over as an open descriptor
//!   (`/proc/self/fd/0`), so that no name of the user's ever reaches QEMU's parser of file names
//!   (`json:`, `nbd:` and the like), and no other file need be reachable.
//! * It runs without capabilities, without new privileges and with bounds on memory, processor
//!   time and open files; it may write no file at all. If the service runs as root, it runs as
//!   nobody and in a network namespace of its own, which has no interfaces.
//! * It is killed when its time is up; what it prints is read up to a bound.

use std::{ffi::OsString, fs::File, process::Stdio, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};
use tokio_util::sync::CancellationToken;

use super::CheckError;
use crate::settings::Qemu;

/// As much of the program's output as is read.
const MOST_OUTPUT: u64 = 1 << 20;
/// As much of its complaints as is shown.
const MOST_COMPLAINT: u64 = 600;

/// How the program is confined on this machine.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The words before `qemu-img`'s own arguments.
    words: Arc<[OsString]>,
    timeout: Duration,
}

/// What one run gave.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
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
        ["--", "prlimit", "--fsize=0", "--core=0", "--nofile=64"].into_iter().for_each(&mut add);
        add(&format!("--as={}", settings.memory_mib << 20));
        add(&format!("--cpu={}", settings.cpu_seconds));
        add("--");
        words.push(settings.program.clone().into());
        Self { words: words.into(), timeout: Duration::from_secs(settings.timeout_seconds) }
    }

    /// Checks a qcow2's tables; gives what is wrong with them, if anything. Leaked clusters are
    /// not: they waste room and harm nobody.
    pub(super) async fn check_qcow2(
        &self,
        file: &File,
        stop: &CancellationToken,
    ) -> Result<Option<String>, CheckError> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "kebab-case", default)]
        struct Report {
            corruptions: u64,
            check_errors: u64,
        }
        let Some(ran) = self.run("check", file, stop).await? else {
            return Ok(Some(self.too_long()));
        };
        let report = serde_json::from_slice::<Report>(&ran.output).unwrap_or_default();
        Ok(match ran.code {
            Some(0 | 3) if report.corruptions == 0 && report.check_errors == 0 => None,
            Some(2) => Some(format!("it is corrupt or truncated: {} errors in its tables", report.corruptions)),
            Some(_) => Some(format!("qemu-img cannot check it: {}", ran.complaint)),
            None => Some("checking it takes more memory or processor time than allowed".to_owned()),
        })
    }

    /// The disk's size as QEMU understands the file.
    pub(super) async fn virtual_size(&self, file: &File, stop: &CancellationToken) -> Result<Option<u64>, CheckError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Info {
            virtual_size: u64,
        }
        let ran = self.run("info", file, stop).await?;
        let info = ran.filter(|r| r.code == Some(0)).and_then(|r| serde_json::from_slice::<Info>(&r.output).ok());
        Ok(info.map(|i| i.virtual_size))
    }

    fn too_long(&self) -> String {
        format!("checking it takes longer than {} seconds", self.timeout.as_secs())
    }

    /// Runs `qemu-img VERB` on the file; none when its time ran out.
    pub(super) async fn run(
        &self,
        verb: &str,
        file: &File,
        stop: &CancellationToken,
    ) -> Result<Option<Ran>, CheckError> {
        let Some((program, words)) = self.words.split_first() else { return Err(CheckError::Interrupted) };
        let fault = |error: std::io::Error| CheckError::Program {
            program: program.to_string_lossy().into_owned(),
            detail: error.to_string(),
        };
        let mut child = Command::new(program)
            .args(words)
            .args([verb, "--output=json", "--image-opts"])
            .arg("driver=qcow2,file.driver=file,file.filename=/proc/self/fd/0,file.locking=off")
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::from(file.try_clone().map_err(fault)?))
            .stdout(Stdio::piped())
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
        let code = status.map_err(fault)?.code();
        if matches!(code, Some(126 | 127)) {
            return Err(CheckError::Program { program: "qemu-img".to_owned(), detail: readable(&complaint) });
        }
        Ok(Some(Ran { code, output, complaint: readable(&complaint) }))
    }
}

/// Reads up to `most` bytes and swallows the rest, so that the program is not held up.
async fn bounded(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = (&mut pipe).take(most).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    kept
}

/// The first line, without our own words for the file and without control characters.
fn readable(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().next().unwrap_or("no reason given");
    let line = line.rsplit("'/proc/self/fd/0': ").next().unwrap_or(line);
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

async fn permits(words: &[&str]) -> bool {
    let Some((program, args)) = words.split_first() else { return false };
    let run =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.await.is_ok_and(|status| status.success())
}
