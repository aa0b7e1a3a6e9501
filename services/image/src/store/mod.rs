//! The data folder: the one place on disk that the service has.
//!
//! ```text
//! <data>/blobs/<sha256>      verified images, mode 0444, never changed, named by their contents
//! <data>/stamps/<sha256>     what the verified file looked like (size, time, inode)
//! <data>/incoming/<upload>   what operators are sending
//! <data>/working/<upload>.*  what an upload is being unpacked and converted to; nothing outlives the process
//! <data>/fetching/<sha256>   what is being fetched from another front end
//! <data>/damaged/<sha256>    images whose contents no longer match their name
//! <data>/sending/<sha256>    how far an upload in parts to the object store is
//! <data>/orphans/<sha256>    since when (by its time) an object in the store has no image
//! ```
//!
//! All folders must lie on one file system: a file becomes a blob by being linked under its name,
//! after it has been written through to the disk. Everything here blocks; callers on the runtime
//! go through `spawn_blocking`.

mod partial;
mod prefix;
mod shelf;
mod sparse;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

pub use partial::Partial;
pub use prefix::Prefix;
pub use shelf::{Held, Shelf, Trust};
pub use sparse::digest;
pub use watari_chassis::sparse::{Extent, extents};
use watari_model::{ImageName, Timestamp, image::Image};

use crate::digest::Digest;

/// What went wrong, and with which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {path}: {source}")]
pub struct StoreError {
    /// What was tried.
    pub act: &'static str,
    /// With what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl StoreError {
    /// Whether the disk is full (or a quota is).
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

/// Names the act and the file of an error.
fn with<T>(act: &'static str, path: &Path, done: io::Result<T>) -> Result<T, StoreError> {
    done.map_err(|source| StoreError { act, path: path.to_owned(), source })
}

/// The name of an upload in the folder and in its URL: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// The same image and request always give the same upload, so that it can be resumed.
    #[must_use]
    pub fn of(image: &ImageName, request_id: &str) -> Self {
        let digest = crate::digest::of(format!("{image}\0{request_id}").as_bytes());
        Self(digest.as_ref()[..32].to_owned())
    }

    /// The upload that an image's document is about. Each copy of a server's disk is another file.
    #[must_use]
    pub fn for_image(image: &Image) -> Self {
        match &image.saved_from {
            None => Self::of(&image.name, &image.request_id),
            Some(saved) => Self::of(&image.name, &format!("{}\0{}", image.request_id, saved.tries)),
        }
    }

    /// Reads it from a URL or a folder.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let sound = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        sound.then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Display for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// The data folder. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

const FOLDERS: [&str; 8] = ["blobs", "stamps", "incoming", "working", "fetching", "damaged", "sending", "orphans"];

impl Store {
    /// Opens the folder and makes what is missing.
    ///
    /// Uploads that were begun before the machine was last booted are thrown away: after a power
    /// cut a file may be longer than what has reached the disk, and the rest reads as zeros.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be made or written.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        for folder in FOLDERS {
            let path = root.join(folder);
            with("make", &path, fs::DirBuilder::new().recursive(true).mode(0o750).create(&path))?;
        }
        let store = Self { root: root.to_owned() };
        for (_, path) in store.entries("working")? {
            remove(&path)?;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let marker = root.join("incoming.boot");
        if fs::read_to_string(&marker).unwrap_or_default() != boot {
            for (_, path) in store.uploads()? {
                with("remove", &path, fs::remove_file(&path))?;
            }
            with("write", &marker, fs::write(&marker, boot))?;
        }
        Ok(store)
    }

    /// Where a blob is or would be.
    #[must_use]
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.as_ref())
    }

    fn stamp(&self, digest: &Digest) -> PathBuf {
        self.root.join("stamps").join(digest.as_ref())
    }

    fn damaged(&self, digest: &Digest) -> PathBuf {
        self.root.join("damaged").join(digest.as_ref())
    }

    /// Where an upload's bytes are collected.
    #[must_use]
    pub fn upload(&self, id: &UploadId) -> PathBuf {
        self.root.join("incoming").join(&id.0)
    }

    /// Where an upload is unpacked (`"unpacked"`) or converted (`"qcow2"`) to.
    #[must_use]
    pub fn work(&self, id: &UploadId, step: &str) -> PathBuf {
        self.root.join("working").join(format!("{id}.{step}"))
    }

    /// Where a copy's bytes are collected.
    #[must_use]
    pub fn copy(&self, digest: &Digest) -> PathBuf {
        self.root.join("fetching").join(digest.as_ref())
    }

    /// Where it is noted how far an upload in parts to the object store is.
    #[must_use]
    pub fn sending(&self, digest: &Digest) -> PathBuf {
        self.root.join("sending").join(digest.as_ref())
    }

    /// Where it is noted since when an object has no image.
    #[must_use]
    pub fn orphan(&self, digest: &Digest) -> PathBuf {
        self.root.join("orphans").join(digest.as_ref())
    }

    /// All uploads that have a file.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn uploads(&self) -> Result<Vec<(UploadId, PathBuf)>, StoreError> {
        let entries = self.entries("incoming")?;
        Ok(entries.into_iter().filter_map(|(name, path)| Some((UploadId::parse(&name)?, path))).collect())
    }

    /// All copies that are being fetched.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn copies(&self) -> Result<Vec<Digest>, StoreError> {
        self.digests("fetching")
    }

    /// All uploads to the object store that are not known to have ended.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn sendings(&self) -> Result<Vec<Digest>, StoreError> {
        self.digests("sending")
    }

    /// All objects that were seen without an image.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn orphans(&self) -> Result<Vec<Digest>, StoreError> {
        self.digests("orphans")
    }

    /// Since when an object has no image, if that is noted: by the time of its note.
    ///
    /// # Errors
    /// [`StoreError`] if the note cannot be looked at.
    pub fn noted_orphan(&self, digest: &Digest) -> Result<Option<Timestamp>, StoreError> {
        let path = self.orphan(digest);
        match fs::metadata(&path).and_then(|meta| meta.modified()) {
            Ok(since) => Ok(Some(Timestamp(since.into()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => with("measure", &path, Err(error)),
        }
    }

    fn digests(&self, folder: &str) -> Result<Vec<Digest>, StoreError> {
        Ok(self.entries(folder)?.into_iter().filter_map(|(name, _)| name.parse().ok()).collect())
    }

    fn entries(&self, folder: &str) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let path = self.root.join(folder);
        let mut entries = Vec::new();
        for entry in with("read", &path, fs::read_dir(&path))? {
            let entry = with("read", &path, entry)?;
            if let Some(name) = entry.file_name().to_str() {
                entries.push((name.to_owned(), entry.path()));
            }
        }
        Ok(entries)
    }

    /// Bytes that the file system has left.
    ///
    /// # Errors
    /// [`StoreError`] if the system does not tell.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let stat = with("measure", &self.root, rustix::fs::statvfs(&self.root).map_err(io::Error::from))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Puts a complete, verified file under its digest: written through, read-only, linked. The
    /// file stays under its old name as well, so that a crash before the document is written
    /// repeats the check rather than loses the file.
    ///
    /// # Errors
    /// [`StoreError`]; the blob is then not there.
    pub fn adopt(&self, path: &Path, digest: &Digest) -> Result<(), StoreError> {
        let file = with("open", path, fs::File::open(path))?;
        with("protect", path, file.set_permissions(fs::Permissions::from_mode(0o444)))?;
        with("write through", path, file.sync_all())?;
        let blob = self.blob(digest);
        match fs::hard_link(path, &blob) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // The same contents under another image's name; or an older, perhaps damaged, file.
                let aside = self.damaged(digest);
                with("set aside", &blob, fs::rename(&blob, &aside))?;
                with("link", &blob, fs::hard_link(path, &blob))?;
            }
            done => with("link", &blob, done)?,
        }
        self.sync("blobs")?;
        remove(&self.damaged(digest))
    }

    /// Removes a blob and what is known of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        for path in [self.stamp(digest), self.blob(digest), self.damaged(digest)] {
            remove(&path)?;
        }
        self.sync("blobs")
    }

    /// Takes a blob whose contents do not match out of service, and keeps it for whoever has no
    /// other copy to salvage it from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_aside(&self, digest: &Digest) -> Result<(), StoreError> {
        remove(&self.stamp(digest))?;
        let blob = self.blob(digest);
        with("set aside", &blob, fs::rename(&blob, self.damaged(digest)))
    }

    fn sync(&self, folder: &str) -> Result<(), StoreError> {
        let path = self.root.join(folder);
        with("write through", &path, fs::File::open(&path).and_then(|f| f.sync_all()))
    }
}

/// Writes a small file that is either as it was or as it is to be, whenever the power goes.
///
/// # Errors
/// [`StoreError`].
pub fn note(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    let written = fs::File::create(&new).and_then(|mut file| {
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    with("write", &new, written)?;
    with("write", path, fs::rename(&new, path))
}

/// Removes a file; that it is gone already is success.
///
/// # Errors
/// [`StoreError`].
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => with("remove", path, done),
    }
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_file_becomes_a_read_only_blob_and_goes_with_all_its_traces() {
        let dir = TempDir::new();
        let store = Store::open(dir.path()).unwrap();
        let id = UploadId::of(&"mini".parse().unwrap(), "r");
        let digest = crate::digest::of(b"abc");
        for _ in 0..2 {
            // Twice: after a crash between linking and writing the document it is done again.
            fs::write(store.upload(&id), b"abc").unwrap();
            store.adopt(&store.upload(&id), &digest).unwrap();
            let meta = fs::metadata(store.blob(&digest)).unwrap();
            assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (3, 0o444));
            remove(&store.upload(&id)).unwrap();
        }
        store.remove_blob(&digest).unwrap();
        assert!(!store.blob(&digest).exists());
        assert!(store.uploads().unwrap().is_empty());
    }

    #[test]
    fn uploads_survive_the_process_but_not_a_power_cut() {
        let dir = TempDir::new();
        let store = Store::open(dir.path()).unwrap();
        let id = UploadId::of(&"mini".parse().unwrap(), "r");
        fs::write(store.upload(&id), b"abc").unwrap();
        assert_eq!(Store::open(dir.path()).unwrap().uploads().unwrap().len(), 1);
        fs::write(dir.path().join("incoming.boot"), "an earlier boot").unwrap();
        assert_eq!(Store::open(dir.path()).unwrap().uploads().unwrap().len(), 0);
    }

    #[test]
    fn nothing_but_an_upload_id_names_an_upload() {
        let id = UploadId::of(&"mini".parse().unwrap(), "r");
        assert_eq!(UploadId::parse(&id.to_string()), Some(id));
        for bad in
            ["", "..", "../../../../etc/passwd", &"A".repeat(32), &"a".repeat(33), "a/../../../../../../../../../../b"]
        {
            assert_eq!(UploadId::parse(bad), None, "{bad}");
        }
    }
}
