//! Whether a file that has arrived may become an image, and what it is stored as.
//!
//! ```text
//!  digest as announced? ──▶ header (our own parser) ──packed──▶ unpack, bounded ──▶ header
//!                              │                                                     │
//!                              ├──qcow2──▶ qemu-img check ─────────────────▶ stored as it is
//!                              ├──raw──────────────────────────────────────▶ stored as it is
//!                              └──VMDK, VHDX, VDI──▶ qemu-img check, convert ──▶ stored as qcow2
//! ```
//!
//! Every arrow may end in a refusal, by name. qemu-img runs under limits (`qemu`), while what is to be stored is digested.

mod qemu;
mod unpack;
mod verdict;

use std::{
    fs::File,
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use tokio_util::sync::CancellationToken;
use watari_model::{
    ImageName, Refusal,
    image::{Announced, Format, Stored},
};

pub use qemu::Sandbox;

use crate::{
    digest::Digest,
    header::{self, Found, Kind, Packing},
    settings::Limits,
    store::{self, Partial, Prefix, Store, StoreError, UploadId},
};
use qemu::{Checked, Converted};

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
    limits: Limits,
    store: Store,
}

/// One file to be checked.
pub struct Candidate<'a> {
    /// The image that it is for.
    pub image: &'a ImageName,
    /// The upload that brought it.
    pub upload: &'a UploadId,
    /// What was said of it.
    pub announced: &'a Announced,
    /// How far it was digested as it came.
    pub prefix: Prefix,
}

/// A sound file, which may be another than the one that arrived.
#[derive(Debug, PartialEq, Eq)]
pub struct Sound {
    /// What is known of it.
    pub stored: Stored,
    /// Where it is.
    pub path: PathBuf,
}

/// A file at hand, and where it is.
#[derive(Clone)]
struct Opened {
    path: PathBuf,
    file: Arc<File>,
    size: u64,
    /// How far it was digested as it grew.
    prefix: Prefix,
    /// Its digest, once that is known.
    digest: Option<Digest>,
}

impl Checker {
    /// A checker with these bounds, for files of this store.
    #[must_use]
    pub fn new(sandbox: Sandbox, limits: &Limits, store: &Store) -> Self {
        Self { sandbox, limits: limits.clone(), store: store.clone() }
    }

    /// Checks a complete upload. It is read-only from here on, for whoever runs the program has to
    /// be able to read it and nobody may change it between check and use. What it is unpacked or
    /// converted to lies in the store's `working` folder until [`Checker::clear`].
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn check(&self, candidate: &Candidate<'_>, stop: &CancellationToken) -> Result<Sound, CheckError> {
        self.clear(candidate.upload)?;
        let Candidate { image, announced, .. } = candidate;
        let mut arrived = Opened::at(self.store.upload(candidate.upload), candidate.prefix.clone())?;
        if let Some(size) = announced.size_bytes.filter(|size| arrived.size != *size) {
            let detail = format!("it has {} bytes, but {size} were announced", arrived.size);
            return Err(Refusal::ImageRefused { image: image.to_string(), detail }.into());
        }
        if let Some(expected) = &announced.sha256 {
            let found = arrived.digested(stop).await?;
            if found.as_ref() != expected {
                let (expected, found) = (expected.clone(), found.to_string());
                return Err(Refusal::DigestMismatch { image: image.to_string(), expected, found }.into());
            }
            arrived.digest = Some(found);
        }
        let (plain, found) = match self.inspect(image, &arrived)? {
            Ok(found) => (arrived, found),
            Err(packing) => {
                let plain = self.unpacked(candidate, packing, &arrived, stop).await?;
                let found = self.inspect(image, &plain)?.map_err(|packing| {
                    let twice = header::Fault::Packed(packing);
                    Refusal::ImageArchive { image: image.to_string(), detail: format!("packed twice: {twice}") }
                })?;
                (plain, found)
            }
        };
        match found.kind {
            Kind::Raw => {
                let digest = plain.digested(stop).await?;
                Ok(plain.stored(Format::Raw, found, digest))
            }
            Kind::Qcow2 => {
                let digest = self.sound_digest(image, found, &plain, stop).await?;
                Ok(plain.stored(Format::Qcow2, found, digest))
            }
            Kind::Vmdk | Kind::Vhdx | Kind::Vdi => {
                self.sound(image, found, &plain, stop).await?;
                let converted = self.converted(candidate, found, &plain, stop).await?;
                let result = Found { kind: Kind::Qcow2, ..found };
                let digest = self.sound_digest(image, result, &converted, stop).await?;
                Ok(converted.stored(Format::Qcow2, result, digest))
            }
        }
    }

    /// Removes what an upload was unpacked or converted to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clear(&self, upload: &UploadId) -> Result<(), StoreError> {
        store::remove(&self.store.work(upload, UNPACKED))?;
        store::remove(&self.store.work(upload, CONVERTED))
    }

    /// What a file is; the inner error says that it is packed.
    fn inspect(&self, image: &ImageName, file: &Opened) -> Result<Result<Found, Packing>, CheckError> {
        let judged = header::inspect(&*file.file, file.size, self.limits.max_virtual_bytes());
        match judged.and_then(|found| header::whole(&*file.file, found, file.size).map(|()| found)) {
            Ok(found) => Ok(Ok(found)),
            Err(header::Fault::Packed(packing)) => Ok(Err(packing)),
            Err(fault) => {
                let unreadable = |source| StoreError { act: "read", path: file.path.clone(), source };
                Err(verdict::refusal(image, fault).map_err(unreadable)?.into())
            }
        }
    }

    /// Unpacks a file; the result is read-only.
    async fn unpacked(
        &self,
        candidate: &Candidate<'_>,
        packing: Packing,
        packed: &Opened,
        stop: &CancellationToken,
    ) -> Result<Opened, CheckError> {
        let bounds = unpack::Bounds {
            most_bytes: self.limits.max_unpacked_bytes(packed.size),
            memory_mib: self.limits.unpack_memory_mib,
            reserve_bytes: self.limits.reserve_mib << 20,
        };
        let (limit_mib, memory_mib) = (bounds.most_bytes >> 20, bounds.memory_mib);
        let path = self.store.work(candidate.upload, UNPACKED);
        let (target, source, store, stop) = (path.clone(), packed.file.try_clone(), self.store.clone(), stop.clone());
        let source = source.map_err(|source| StoreError { act: "open", path: packed.path.clone(), source })?;
        let unpacking = tokio::task::spawn_blocking(move || {
            let mut target = Partial::open(&target).map_err(unpack::Fault::Store)?.digested(None);
            unpack::unpack(packing, source, &mut target, &store, &bounds, &stop)?;
            Ok::<_, unpack::Fault>(target.prefix().unwrap_or_default())
        });
        let image = candidate.image.to_string();
        let word = packing.word();
        let refusal = match unpacking.await {
            Ok(Ok(prefix)) => return Ok(Opened::at(path, prefix)?),
            Ok(Err(unpack::Fault::Store(error))) => return Err(error.into()),
            Ok(Err(unpack::Fault::Interrupted)) => return Err(CheckError::Interrupted),
            Ok(Err(unpack::Fault::Truncated)) => {
                Refusal::ImageTruncated { image, detail: format!("the {word} stream ends too early") }
            }
            Ok(Err(unpack::Fault::Corrupt(detail))) => {
                Refusal::ImageCorrupt { image, detail: format!("the {word} stream: {detail}") }
            }
            Ok(Err(unpack::Fault::Bomb)) => Refusal::ImageBomb { image, limit_mib: limit_mib.to_string() },
            Ok(Err(unpack::Fault::Memory)) => Refusal::ImageTooCostly {
                image,
                detail: format!("its {word} stream wants more than {memory_mib} MiB of memory"),
            },
            Ok(Err(unpack::Fault::NoRoom)) => {
                Refusal::ImageNoRoom { image, detail: "it is larger unpacked than what is free".to_owned() }
            }
            // A decoder that gave up on these bytes gives up on them again.
            Err(error) if error.is_panic() => {
                Refusal::ImageCorrupt { image, detail: format!("the {word} stream makes no sense") }
            }
            Err(_) => return Err(CheckError::Interrupted),
        };
        Err(refusal.into())
    }

    /// Lets QEMU look at a file's tables and say how large its disk is. If one of both refuses the file, nobody waits for
    /// the other, which may take all the time that it has.
    async fn sound(
        &self,
        image: &ImageName,
        found: Found,
        file: &Opened,
        stop: &CancellationToken,
    ) -> Result<(), CheckError> {
        let looked = self.sandbox.virtual_size(found.kind, &file.file, stop);
        let ((), seen) = tokio::try_join!(self.consistent(image, found, file, stop), looked)?;
        if seen != Some(found.virtual_size_bytes) {
            let detail = "QEMU reads another disk size out of it than its header says".to_owned();
            return Err(Refusal::ImageCorrupt { image: image.to_string(), detail }.into());
        }
        Ok(())
    }

    /// Lets QEMU look at a file's tables.
    async fn consistent(
        &self,
        image: &ImageName,
        found: Found,
        file: &Opened,
        stop: &CancellationToken,
    ) -> Result<(), CheckError> {
        let image = image.to_string();
        let refusal = match self.sandbox.check(found.kind, &file.file, stop).await? {
            Checked::Sound => return Ok(()),
            Checked::Truncated => {
                Refusal::ImageTruncated { image, detail: "its tables speak of data beyond its end".to_owned() }
            }
            Checked::Corrupt(detail) if detail.contains("log that needs to be replayed") => {
                Refusal::ImageNotClosed { image }
            }
            Checked::Corrupt(detail) => Refusal::ImageCorrupt { image, detail },
            Checked::TooCostly(detail) => Refusal::ImageTooCostly { image, detail },
        };
        Err(refusal.into())
    }

    /// The digest of a file that QEMU finds sound. It is computed meanwhile.
    async fn sound_digest(
        &self,
        image: &ImageName,
        found: Found,
        file: &Opened,
        stop: &CancellationToken,
    ) -> Result<Digest, CheckError> {
        // Of one that is not sound nobody wants the digest any more.
        let unwanted = stop.child_token();
        let _ends = unwanted.clone().drop_guard();
        let ((), digest) = tokio::try_join!(self.sound(image, found, file, stop), file.digested(&unwanted))?;
        Ok(digest)
    }

    /// Makes a qcow2 of a file; the result is read-only.
    async fn converted(
        &self,
        candidate: &Candidate<'_>,
        found: Found,
        file: &Opened,
        stop: &CancellationToken,
    ) -> Result<Opened, CheckError> {
        let path = self.store.work(candidate.upload, CONVERTED);
        let made = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let target = made.map_err(|source| StoreError { act: "make", path: path.clone(), source })?;
        let free = self.store.free_bytes()?.saturating_sub(self.limits.reserve_mib << 20);
        let most_bytes = free.min(self.limits.max_image_bytes());
        let image = candidate.image.to_string();
        let refusal = match self.sandbox.convert(found.kind, &file.file, &target, most_bytes, stop).await? {
            Converted::Whole => return Ok(Opened::at(path, Prefix::default())?),
            Converted::Refused(detail) => Refusal::ImageCorrupt { image, detail },
            Converted::TooCostly(detail) => Refusal::ImageTooCostly { image, detail },
            Converted::NoRoom => Refusal::ImageNoRoom {
                image,
                detail: format!("as a qcow2 it is larger than the {} MiB that it may take", most_bytes >> 20),
            },
        };
        Err(refusal.into())
    }
}

const UNPACKED: &str = "unpacked";
const CONVERTED: &str = "qcow2";

impl Opened {
    /// Opens a file and makes it readable for all and writable for nobody.
    fn at(path: PathBuf, prefix: Prefix) -> Result<Self, StoreError> {
        let opened = || -> io::Result<(File, u64)> {
            let file = File::open(&path)?;
            file.set_permissions(std::fs::Permissions::from_mode(0o444))?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        match opened() {
            Ok((file, size)) => Ok(Self { path, file: Arc::new(file), size, prefix, digest: None }),
            Err(source) => Err(StoreError { act: "open", path, source }),
        }
    }

    async fn digested(&self, stop: &CancellationToken) -> Result<Digest, CheckError> {
        match &self.digest {
            Some(digest) => Ok(digest.clone()),
            None => digested(&self.path, &self.file, self.prefix.clone(), stop).await,
        }
    }

    fn stored(self, format: Format, found: Found, digest: Digest) -> Sound {
        let virtual_size_bytes = found.virtual_size_bytes;
        let stored = Stored { sha256: digest.into(), format, size_bytes: self.size, virtual_size_bytes };
        Sound { stored, path: self.path }
    }
}

/// The digest of a file of which the beginning may be known, computed beside the runtime.
pub(crate) async fn digested(
    path: &Path,
    file: &Arc<File>,
    known: Prefix,
    stop: &CancellationToken,
) -> Result<Digest, CheckError> {
    let (file, stop, began) = (Arc::clone(file), stop.clone(), Instant::now());
    let digest = tokio::task::spawn_blocking(move || store::digest(&file, known, &stop)).await;
    tracing::debug!(path = %path.display(), took_ms = began.elapsed().as_millis(), "a file was digested");
    match digest {
        Ok(Ok(Some(digest))) => Ok(digest),
        Ok(Err(source)) => Err(StoreError { act: "read", path: path.to_owned(), source }.into()),
        Ok(Ok(None)) | Err(_) => Err(CheckError::Interrupted),
    }
}

#[cfg(test)]
mod tests;
