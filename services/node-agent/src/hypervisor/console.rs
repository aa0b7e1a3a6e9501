//! The serial console's log on this host.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::blocking;
use super::error::{Error, Result};

/// The log's last bytes, at most `most`; empty if there is no log yet. A guest writes what it likes:
/// whoever shows this on a terminal must strip control sequences.
///
/// # Errors
/// The file cannot be read.
pub async fn tail(path: &Path, most: u64) -> Result<Vec<u8>> {
    let path = path.to_owned();
    blocking("read the console log", move || {
        read_tail(&path, most).map_err(|source| Error::Io { act: "read", path, source })
    })
    .await
}

fn read_tail(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    // It may grow while it is read: the bound holds all the same.
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
