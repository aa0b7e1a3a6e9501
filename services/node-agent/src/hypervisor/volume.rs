//! Disks that a guest's QEMU has written, whenever something else reads them again.
//!
//! A QEMU that its guest has taken over writes what it likes into such a file: a header that names a file of this host as
//! what the disk stands on or as where its data lie, and tables that harm whoever follows them. So
//!
//! * our own bounded parser reads the header before anything else does. What a disk stands on must be what the journal
//!   says, and nothing may lie elsewhere or be unknown; or nothing is done with it ([`Error::Untrusted`]);
//! * qemu-img is told every file and its format, and follows no header;
//! * it runs in the sandbox in which front ends read users' images, as nobody. It begins in the folder above all its files,
//!   since nobody may be shut out further up, and may write the one file that is lent to it.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;
use watari_chassis::{
    CancellationToken,
    program::{Confined, Ended, Run, Sandbox},
};
use watari_model::{
    Said,
    qcow2::{self, Backing, Fault, HEAD, Header, printable},
    said,
};

use super::blocking;
use super::disk::absolute;
use super::error::{Error, Result};
use super::spec::{BackingFile, DiskFormat};

pub(super) const PROGRAM: &str = "qemu-img";
/// As much memory as it may have.
const MEMORY_MIB: u64 = 2_048;
/// The user and the group that own nothing.
const NOBODY: u32 = 65_534;
/// Everybody may read a file.
const READABLE: u32 = 0o444;

/// A server's disk, and what it stands on as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The file that is written to, a qcow2.
    pub path: PathBuf,
    /// What it stands on, the nearest first, to the end.
    pub under: Vec<BackingFile>,
}

/// A volume that can be read: by these words, from this folder.
pub(super) struct Checked {
    pub(super) source: OsString,
    pub(super) folder: PathBuf,
    /// What the guest sees, in bytes.
    pub(super) virtual_bytes: u64,
}

impl Volume {
    /// Checks every header of it, for a reader who also needs `beside`.
    ///
    /// # Errors
    /// [`Error::Untrusted`]; a file cannot be read.
    pub(super) async fn checked(&self, beside: Option<&Path>) -> Result<Checked> {
        let top = BackingFile { path: self.path.clone(), format: DiskFormat::Qcow2 };
        let files: Vec<BackingFile> = std::iter::once(top).chain(self.under.iter().cloned()).collect();
        let folder = {
            let paths: Vec<&Path> = files.iter().map(|file| file.path.as_path()).chain(beside).collect();
            paths.iter().try_for_each(|path| absolute(path))?;
            above(&paths)
        };
        let source = source(&files, &folder)?;
        let virtual_bytes = blocking("check the disk's headers", move || check(&files)).await?;
        Ok(Checked { source, folder, virtual_bytes })
    }
}

/// The folder nearest to all of them.
fn above(paths: &[&Path]) -> PathBuf {
    let first = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new("/"));
    let holds_all = |folder: &&Path| paths.iter().all(|path| path.starts_with(folder));
    first.ancestors().find(holds_all).unwrap_or(Path::new("/")).to_owned()
}

/// Whether each file stands on the next, and the last on nothing; gives what the guest sees, in bytes. It blocks.
fn check(files: &[BackingFile]) -> Result<u64> {
    let mut virtual_bytes = None;
    for (at, BackingFile { path, format }) in files.iter().enumerate() {
        let failed = |source| Error::Io { act: "open", path: path.clone(), source };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & READABLE != READABLE {
            // libvirt makes the files that it brings here for itself alone. The folder shows their names to nobody.
            file.set_permissions(Permissions::from_mode(mode | READABLE)).map_err(failed)?;
        }
        if *format == DiskFormat::Qcow2 {
            let header = header(path, &file)?;
            stands_on(path, header.backing.as_ref(), files.get(at + 1))?;
            virtual_bytes.get_or_insert(header.virtual_size_bytes);
        }
    }
    Ok(virtual_bytes.unwrap_or_default())
}

fn stands_on(path: &Path, named: Option<&Backing>, wanted: Option<&BackingFile>) -> Result<()> {
    let same = |named: &Backing, wanted: &BackingFile| {
        named.name == wanted.path.as_os_str().as_encoded_bytes()
            && named.format.as_deref() == Some(wanted.format.as_str().as_bytes())
    };
    match (named, wanted) {
        (None, None) => Ok(()),
        (Some(named), Some(wanted)) if same(named, wanted) => Ok(()),
        (Some(named), _) => Err(strange(path, named)),
        (None, Some(_)) => {
            let finding = Said::new(
                "its header says that it stands on nothing",
                "ヘッダに、土台のファイルがないと書かれています",
            );
            Err(Error::Untrusted { path: path.to_owned(), finding })
        }
    }
}

/// A disk whose header names something that is not what it was made on.
pub(super) fn strange(path: &Path, named: &Backing) -> Error {
    let (name, format) = (printable(&named.name), named.format.as_deref().map_or_else(|| "?".to_owned(), printable));
    let finding = said!(
        "its header says that it stands on {name} ({format})",
        "ヘッダに、土台が {name} ({format}) であると書かれています"
    );
    Error::Untrusted { path: path.to_owned(), finding }
}

/// What the header of a qcow2 says, be it in use or not. It blocks.
///
/// # Errors
/// [`Error::Untrusted`]; the file cannot be read.
pub(super) fn header(path: &Path, file: &File) -> Result<Header> {
    let failed = |source| Error::Io { act: "read the header of", path: path.to_owned(), source };
    let mut head = Vec::new();
    file.take(u64::try_from(HEAD).unwrap_or(u64::MAX)).read_to_end(&mut head).map_err(failed)?;
    // Afterwards: a disk in use grows, and what its header leads to would seem to lie beyond its end.
    let size = file.metadata().map_err(failed)?.len();
    qcow2::read(&head, size).map_err(|fault| Error::Untrusted { path: path.to_owned(), finding: finding(&fault) })
}

fn finding(fault: &Fault) -> Said {
    match fault {
        Fault::ExternalData => Said::new(
            "its header says that its data lie in another file",
            "ヘッダに、データが別のファイルにあると書かれています",
        ),
        Fault::Encrypted(method) => {
            said!(
                "its header says that it is encrypted ({method})",
                "ヘッダに、暗号化されている ({method}) と書かれています"
            )
        }
        Fault::UnknownFeatures(bits) => said!(
            "its header asks for features that are not known ({bits:#x})",
            "ヘッダに、未知の機能 ({bits:#x}) が必要と書かれています"
        ),
        Fault::Foreign | Fault::Version(_) | Fault::Absurd { .. } | Fault::Truncated(_) => {
            said!("its header is damaged: {fault}", "ヘッダが壊れています: {fault}")
        }
    }
}

/// How qemu-img is to open files that stand on one another: all by name and format, whatever their headers say.
pub(super) fn source(files: &[BackingFile], folder: &Path) -> Result<OsString> {
    let mut node = Value::Null;
    for BackingFile { path, format } in files.iter().rev() {
        let file = json!({ "driver": "file", "filename": within(folder, path)? });
        node = match format {
            DiskFormat::Raw => json!({ "driver": "raw", "file": file }),
            DiskFormat::Qcow2 => json!({ "driver": "qcow2", "file": file, "backing": node }),
        };
    }
    Ok(format!("json:{node}").into())
}

/// A path as it is seen from a folder above.
pub(super) fn within<'a>(folder: &Path, path: &'a Path) -> Result<&'a str> {
    let reason = || format!("{} is no path below {}", path.display(), folder.display());
    let invalid = || Error::Invalid { field: "disk path", reason: reason() };
    path.strip_prefix(folder).ok().and_then(Path::to_str).ok_or_else(invalid)
}

/// A run of qemu-img on a volume.
pub(super) struct Qemu<'a> {
    pub(super) act: &'static str,
    pub(super) arguments: &'a [OsString],
    /// From where it sees its files.
    pub(super) folder: &'a Path,
    /// The file that it may write, and up to which of its bytes.
    pub(super) written: Option<(&'a File, u64)>,
    /// How long it may take, and as much processor time.
    pub(super) after: Duration,
}

impl Qemu<'_> {
    /// What it prints; none if it was stopped. It has let go of the volume when this returns.
    ///
    /// # Errors
    /// Its own; it takes too long, or more than it may.
    pub(super) async fn run(self, stop: &CancellationToken) -> Result<Option<Vec<u8>>> {
        let Self { act, arguments, folder, written, after } = self;
        let cpu_seconds = after.as_secs();
        let run = Run { arguments, folder, stdin: None, stdout: None, written, cpu_seconds, timeout: after };
        let failed = |stderr: String| Error::Program { program: PROGRAM, act, stderr };
        match sandbox().await.run(run, stop).await.map_err(|error| failed(error.to_string()))? {
            Ended::Stopped => Ok(None),
            Ended::TooLong => Err(Error::Timeout { act, after }),
            Ended::Ran(ran) if ran.code == Some(0) => Ok(Some(ran.output)),
            Ended::Ran(ran) => Err(failed(match ran.signal {
                None => ran.complaint,
                Some(signal) => {
                    format!("it wanted more memory, processor time or room than it may have (signal {signal})")
                }
            })),
        }
    }
}

/// What this machine allows does not change while the agent runs.
async fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceCell<Sandbox> = OnceCell::const_new();
    let confined = Confined { program: PROGRAM.into(), memory_mib: MEMORY_MIB, uid: NOBODY, gid: NOBODY };
    SANDBOX.get_or_init(|| async { Sandbox::prepare(&confined).await }).await
}
