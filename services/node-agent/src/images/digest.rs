//! The name of a file's contents.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

/// What is read of a file at a time.
const CHUNK: usize = 128 * 1024;

/// The SHA-256 of a file in lower-case hexadecimal digits; none if it was stopped. It blocks.
///
/// # Errors
/// Those of the file.
pub(crate) fn digest(path: &Path, stop: &CancellationToken) -> io::Result<Option<String>> {
    let (mut file, mut hasher, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; CHUNK]);
    loop {
        if stop.is_cancelled() {
            return Ok(None);
        }
        match file.read(&mut chunk)? {
            0 => break,
            read => hasher.update(&chunk[..read]),
        }
    }
    Ok(Some(hasher.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))))
}
