//! Disk files: made by qemu-img, by argument vector, formats always named, paths always absolute. What a guest may have
//! written to since is read and changed as `volume` says.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use tokio::process::Command;
use watari_chassis::CancellationToken;

use super::blocking;
use super::error::{Error, Result};
use super::spec::{BackingFile, DiskFormat};
use super::volume::{self, PROGRAM, Qemu};

/// qemu-img on one of our files takes milliseconds; this is for a disk that hangs.
pub(super) const BOUND: Duration = Duration::from_secs(60);
/// To begin or to end a job with the disk of a domain that runs takes moments; this is for a QEMU that hangs. Longer
/// than libvirt itself waits for another job (30 s), so that its own answer comes first.
pub(super) const DISK_JOB: Duration = Duration::from_secs(45);

/// What a disk file grows by at most when its disk does: tables.
const GROWTH: u64 = 64 << 20;
/// A block of what the kernel says that a file occupies (stat(2)), in bytes.
const BLOCK: u64 = 512;

/// What a disk file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// What the guest sees, in bytes.
    pub virtual_bytes: u64,
    /// What the file occupies, in bytes.
    pub actual_bytes: u64,
    /// The base that its header names.
    pub backing: Option<PathBuf>,
}

/// Makes a qcow2 overlay of that virtual size. The base is named and not opened, so that a target can be
/// prepared with the same call. It never replaces a file.
///
/// # Errors
/// [`Error::Exists`]; a path that is not absolute; qemu-img's own.
pub async fn create_overlay(path: &Path, backing: &BackingFile, virtual_bytes: u64) -> Result<()> {
    for given in [path, &backing.path] {
        absolute(given)?;
    }
    // Made aside and moved into place, so that a crash leaves no half a disk under the name.
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let size = virtual_bytes.to_string();
    let create: [&std::ffi::OsStr; 11] = [
        "create".as_ref(),
        "-q".as_ref(),
        "-f".as_ref(),
        "qcow2".as_ref(),
        "-F".as_ref(),
        backing.format.as_str().as_ref(),
        "-b".as_ref(),
        backing.path.as_os_str(),
        "-u".as_ref(),
        partial.as_os_str(),
        size.as_ref(),
    ];
    qemu_img("create the overlay", create).await?;
    let path = path.to_owned();
    blocking("store the overlay", move || {
        let failed = |source| Error::Io { act: "store", path: path.clone(), source };
        File::open(&partial).and_then(|file| file.sync_all()).map_err(failed)?;
        match rustix::fs::renameat_with(CWD, &partial, CWD, &path, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => {
                let _ = std::fs::remove_file(&partial);
                return Err(Error::Exists { path });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    })
    .await
}

/// Looks at one of our own disks, in use or not. What it stands on is said and not opened.
///
/// # Errors
/// [`Error::Untrusted`]; the file cannot be read.
pub async fn info(path: &Path, format: DiskFormat) -> Result<Info> {
    absolute(path)?;
    let path = path.to_owned();
    blocking("read the disk's header", move || {
        let failed = |source| Error::Io { act: "read the header of", path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let (virtual_bytes, backing) = match format {
            DiskFormat::Raw => (meta.len(), None),
            DiskFormat::Qcow2 => {
                let header = volume::header(&path, &file)?;
                (header.virtual_size_bytes, header.backing)
            }
        };
        // QEMU can name a file in other ways than by its path. We never have it do so.
        if let Some(strange) = backing.as_ref().filter(|backing| !backing.name.starts_with(b"/")) {
            return Err(volume::strange(&path, strange));
        }
        let backing = backing.map(|backing| PathBuf::from(OsString::from_vec(backing.name)));
        Ok(Info { virtual_bytes, actual_bytes: meta.blocks().saturating_mul(BLOCK), backing })
    })
    .await
}

/// Grows a qcow2 that is not in use. It never shrinks one.
///
/// # Errors
/// [`Error::Untrusted`]; qemu-img's own, for instance when the size is smaller than now.
pub async fn grow(path: &Path, virtual_bytes: u64) -> Result<()> {
    let before = ["resize", "-q"].map(OsString::from);
    change("grow the disk", path, &before, Some(virtual_bytes.to_string().into())).await
}

/// Writes into a qcow2's header on what it stands. Neither is looked into: the disk must show the same on that file as
/// on the one before, and nobody may have it open.
///
/// # Errors
/// A path that is not absolute; as for [`grow`].
pub async fn stand_on(path: &Path, backing: &BackingFile) -> Result<()> {
    absolute(&backing.path)?;
    let format = backing.format.as_str();
    let mut before = ["rebase", "-q", "-u", "-F", format, "-b"].map(OsString::from).to_vec();
    before.push(backing.path.clone().into_os_string());
    change("put the disk onto another file", path, &before, None).await?;
    write_through(path).await
}

/// Has qemu-img change the tables of a qcow2 that nobody has open, and nothing of what it stands on.
async fn change(act: &'static str, path: &Path, before: &[OsString], last: Option<OsString>) -> Result<()> {
    absolute(path)?;
    let of = path.to_owned();
    let file = blocking(act, move || {
        let failed = |source| Error::Io { act: "open", path: of.clone(), source };
        let file = File::options().read(true).write(true).open(&of).map_err(failed)?;
        volume::header(&of, &file)?;
        Ok(file)
    })
    .await?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let most_bytes = file.metadata().map_or(0, |meta| meta.len()).saturating_add(GROWTH);
    let alone = BackingFile { path: path.to_owned(), format: DiskFormat::Qcow2 };
    let source = volume::source(std::slice::from_ref(&alone), folder)?;
    let arguments: Vec<OsString> = before.iter().cloned().chain([source]).chain(last).collect();
    let qemu = Qemu { act, arguments: &arguments, folder, written: Some((&file, most_bytes)), after: BOUND };
    qemu.run(&CancellationToken::new()).await.map(drop)
}

/// Waits until a file will survive a power cut as it is.
///
/// # Errors
/// The file cannot be opened or written through.
pub async fn write_through(path: &Path) -> Result<()> {
    let path = path.to_owned();
    blocking("write the disk through", move || {
        let through = File::open(&path).and_then(|file| file.sync_all());
        through.map_err(|source| Error::Io { act: "write through", path, source })
    })
    .await
}

/// Whether files of that folder can be opened past the page cache.
///
/// # Errors
/// The folder cannot be written.
pub async fn supports_direct_io(folder: &Path) -> Result<bool> {
    let path = folder.join(format!(".direct-io-{}", std::process::id()));
    blocking("try direct I/O", move || {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let _ = std::fs::remove_file(&path);
        match opened {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::INVAL) => Ok(false),
            Err(error) => Err(Error::Io { act: "write to", path, source: error.into() }),
        }
    })
    .await
}

pub(super) fn absolute(path: &Path) -> Result<()> {
    // An absolute path is no option and no protocol (`nbd:…`) to qemu-img.
    if path.is_absolute() {
        return Ok(());
    }
    let reason = format!("{} is not absolute", path.display());
    Err(Error::Invalid { field: "disk path", reason })
}

/// A path as libvirt can be told it.
///
/// # Errors
/// It is not absolute, or no text: what is wrong is said of `field`.
pub(super) fn for_libvirt<'a>(field: &'static str, path: &'a Path) -> Result<&'a str> {
    let invalid = || Error::Invalid { field, reason: format!("{} is no path for libvirt", path.display()) };
    path.to_str().filter(|_| path.is_absolute()).ok_or_else(invalid)
}

/// Only for files that no guest has ever written to.
async fn qemu_img<const N: usize>(act: &'static str, arguments: [&std::ffi::OsStr; N]) -> Result<Vec<u8>> {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(BOUND, command.output())
        .await
        .map_err(|_| Error::Timeout { act, after: BOUND })?
        .map_err(|source| Error::Io { act: "run", path: PROGRAM.into(), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program: PROGRAM, act, stderr })
}
