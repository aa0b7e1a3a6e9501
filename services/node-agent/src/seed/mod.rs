//! The seed: a small read-only volume labelled `cidata` on which cloud-init finds what its server
//! is (the NoCloud data source). Its bytes follow from the order alone, so that both ends of a
//! migration have the same volume, and a server keeps its own over a reboot of its node.

mod files;
mod volume;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use watari_contracts::agent::Server;

pub use files::{Files, files};
pub use volume::volume;

/// Writes a server's seed volume, whole or not at all. QEMU may hold the old file open: that one
/// stays as it is.
///
/// # Errors
/// The file that cannot be written, or contents that do not fit.
pub async fn write(path: &Path, server: &Server) -> io::Result<()> {
    let (path, bytes) = (path.to_owned(), volume(&files(server))?);
    let written = tokio::task::spawn_blocking(move || replace(&path, &bytes)).await;
    written.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Writes a file of a server's, whole or not at all. It blocks.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let partial = path.with_extension("partial");
    // It may hold passwords. libvirt hands it to QEMU's user.
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial).map_err(named)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(named)?;
    fs::rename(&partial, path).map_err(named)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
