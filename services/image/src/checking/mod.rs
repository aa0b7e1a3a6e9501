//! Whether a file that has arrived may become an image.
//!
//! ```text
//!  header (our own parser) ──▶ digest ──▶ qemu-img check, under limits ──▶ stored
//!         │                      │                │
//!         └──────────────────────┴────────────────┴──▶ refused, by name
//! ```

mod qemu;

use std::{fs::File, path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;
use watari_model::{
    ImageName, Refusal,
    image::{Announced, Format, Stored},
};

pub use qemu::Sandbox;

use crate::{
    header,
    settings::Limits,
    store::{self, StoreError},
};

/// Why there is no verdict of "sound".
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file is at fault: there is no use in trying again.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The machine is at fault: the check is repeated.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checking program could not be run.
    #[error("cannot run {program}: {detail}")]
    Program {
        /// Which.
        program: String,
        /// Why.
        detail: String,
    },
    /// The process is shutting down.
    #[error("interrupted")]
    Interrupted,
}

impl From<Refusal> for CheckError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// What a check needs beside the file.
#[derive(Clone, Debug)]
pub struct Checker {
    sandbox: Sandbox,
    max_virtual_bytes: u64,
}

impl Checker {
    /// A checker with these bounds.
    #[must_use]
    pub fn new(sandbox: Sandbox, limits: &Limits) -> Self {
        Self { sandbox, max_virtual_bytes: limits.max_virtual_bytes() }
    }

    /// Checks the complete file at `path`. It is read-only from here on, for whoever runs the
    /// program has to be able to read it and nobody may change it between check and use.
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn check(
        &self,
        image: &ImageName,
        path: &Path,
        announced: &Announced,
        stop: &CancellationToken,
    ) -> Result<Stored, CheckError> {
        let refused = |detail: String| Refusal::ImageRefused { image: image.to_string(), detail };
        let file = Arc::new(protected(path)?);
        let size = measured(path, &file)?;
        if size != announced.size_bytes {
            return Err(refused(format!("it has {size} bytes, but {} were announced", announced.size_bytes)).into());
        }
        let found = match header::inspect(&*file, size, self.max_virtual_bytes) {
            Ok(found) => found,
            Err(header::Fault::Unreadable(source)) => {
                return Err(StoreError { act: "read", path: path.to_owned(), source }.into());
            }
            Err(fault) => return Err(refused(fault.to_string()).into()),
        };
        let digest = digested(path, &file, stop).await?;
        if let Some(expected) = announced.sha256.as_ref().filter(|e| **e != digest.as_ref()) {
            let (expected, found) = (expected.clone(), digest.to_string());
            return Err(Refusal::DigestMismatch { image: image.to_string(), expected, found }.into());
        }
        if found.format == Format::Qcow2 {
            let verdict = self.sandbox.check_qcow2(&file, stop).await?;
            if let Some(detail) = verdict {
                return Err(refused(detail).into());
            }
            let seen = self.sandbox.virtual_size(&file, stop).await?;
            if seen != Some(found.virtual_size_bytes) {
                return Err(refused("QEMU reads another disk size out of it than its header says".to_owned()).into());
            }
        }
        Ok(Stored {
            sha256: digest.into(),
            format: found.format,
            size_bytes: size,
            virtual_size_bytes: found.virtual_size_bytes,
        })
    }
}

/// Opens the file and makes it readable for all and writable for nobody.
fn protected(path: &Path) -> Result<File, StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let fault = |act| move |source| StoreError { act, path: path.to_owned(), source };
    let file = File::open(path).map_err(fault("open"))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o444)).map_err(fault("protect"))?;
    Ok(file)
}

fn measured(path: &Path, file: &File) -> Result<u64, StoreError> {
    let meta = file.metadata().map_err(|source| StoreError { act: "measure", path: path.to_owned(), source })?;
    Ok(meta.len())
}

/// The digest of a file, computed beside the runtime.
pub(crate) async fn digested(
    path: &Path,
    file: &Arc<File>,
    stop: &CancellationToken,
) -> Result<crate::digest::Digest, CheckError> {
    let (file, stop) = (Arc::clone(file), stop.clone());
    let digest = tokio::task::spawn_blocking(move || store::digest(&file, &stop)).await;
    match digest {
        Ok(Ok(Some(digest))) => Ok(digest),
        Ok(Err(source)) => Err(StoreError { act: "read", path: path.to_owned(), source }.into()),
        Ok(Ok(None)) | Err(_) => Err(CheckError::Interrupted),
    }
}

#[cfg(test)]
mod tests;
