//! What this front end holds, and how far each file is trusted.
//!
//! ```text
//!   a file appears ──▶ Unknown ──digest matches──▶ Checked
//!                        ▲                            │ process restarts
//!                        └── size, time or inode ── Stamped ──digest matches──▶ Checked
//!                            differ from the stamp
//! ```
//!
//! Only *stamped* and *checked* files are served. Each is digested once after a start, so that
//! a disk that rots is noticed; a digest that does not match takes the file out of service.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, with};
use crate::digest::Digest;

/// How far a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Not at all: it must be digested first.
    Unknown,
    /// It looks as it did when it was last digested.
    Stamped,
    /// It was digested since the process started.
    Checked,
}

/// What a file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    mtime: i64,
    mtime_nsec: i64,
    ino: u64,
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self { size: meta.size(), mtime: meta.mtime(), mtime_nsec: meta.mtime_nsec(), ino: meta.ino() }
    }
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// How far it is trusted.
    pub trust: Trust,
    stamp: Stamp,
}

/// All files of the `blobs` folder.
#[derive(Debug)]
pub struct Shelf {
    store: Store,
    held: Mutex<BTreeMap<Digest, Held>>,
}

impl Shelf {
    /// Looks at a store for the first time.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn open(store: Store) -> Result<Self, StoreError> {
        let shelf = Self { store, held: Mutex::default() };
        shelf.look()?;
        Ok(shelf)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks again: one `stat` a file.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be read.
    pub fn look(&self) -> Result<BTreeMap<Digest, Trust>, StoreError> {
        let mut seen = BTreeMap::new();
        for (name, path) in self.store.entries("blobs")? {
            let (Ok(digest), Ok(meta)) = (name.parse::<Digest>(), fs::symlink_metadata(&path)) else { continue };
            if meta.is_file() {
                seen.insert(digest, Stamp::of(&meta));
            }
        }
        let mut held = self.lock();
        held.retain(|digest, _| seen.contains_key(digest));
        for (digest, stamp) in seen {
            if held.get(&digest).is_none_or(|h| h.stamp != stamp) {
                let trust = if self.stamped(&digest) == Some(stamp) { Trust::Stamped } else { Trust::Unknown };
                held.insert(digest, Held { trust, stamp });
            }
        }
        Ok(held.iter().map(|(digest, held)| (digest.clone(), held.trust)).collect())
    }

    fn stamped(&self, digest: &Digest) -> Option<Stamp> {
        serde_json::from_slice(&fs::read(self.store.stamp(digest)).ok()?).ok()
    }

    /// Notes that the file as `meta` shows it was digested and matches its name.
    ///
    /// # Errors
    /// [`StoreError`] if the stamp cannot be written; the file is trusted all the same.
    pub fn trust(&self, digest: &Digest, meta: &fs::Metadata) -> Result<(), StoreError> {
        let stamp = Stamp::of(meta);
        self.lock().insert(digest.clone(), Held { trust: Trust::Checked, stamp });
        if self.stamped(digest) == Some(stamp) {
            // Its time says when the file was read last, which a check after each start is not.
            return Ok(());
        }
        let path = self.store.stamp(digest);
        let text = serde_json::to_vec(&stamp).unwrap_or_default();
        // A stamp that is half written does not parse, and the file is digested again.
        with("write", &path, fs::write(&path, text))
    }

    /// Notes that a file was read, by the time of its stamp: what was not read for the longest time goes first where room
    /// is short.
    fn used(&self, digest: &Digest) {
        let now = std::time::SystemTime::from(watari_chassis::clock::now().0);
        let stamp = fs::File::options().write(true).open(self.store.stamp(digest));
        if let Err(error) = stamp.and_then(|stamp| stamp.set_modified(now)) {
            tracing::debug!(%error, "that an image was read is not noted");
        }
    }

    /// All files with their sizes, the least recently used first; those of which nobody knows before all others.
    #[must_use]
    pub fn by_last_use(&self) -> Vec<(Digest, u64)> {
        let held: Vec<_> = self.lock().iter().map(|(digest, held)| (digest.clone(), held.stamp.size)).collect();
        let mut held: Vec<_> = held
            .into_iter()
            .map(|file| (fs::metadata(self.store.stamp(&file.0)).and_then(|meta| meta.modified()).ok(), file))
            .collect();
        held.sort();
        held.into_iter().map(|(_, file)| file).collect()
    }

    /// Forgets a file, before it is removed or set aside.
    pub fn forget(&self, digest: &Digest) {
        self.lock().remove(digest);
    }

    /// Opens a file that is to be served. None if it is not there, not trusted, or not as it was.
    ///
    /// # Errors
    /// [`StoreError`] if it is there and cannot be opened.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<(fs::File, u64)>, StoreError> {
        let Some(held) = self.lock().get(digest).copied() else { return Ok(None) };
        if held.trust == Trust::Unknown {
            return Ok(None);
        }
        let path = self.store.blob(digest);
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => with("open", &path, opened)?,
        };
        let meta = with("measure", &path, file.metadata())?;
        if Stamp::of(&meta) != held.stamp {
            return Ok(None);
        }
        self.used(digest);
        Ok(Some((file, meta.len())))
    }

    /// Bytes and number of all files.
    #[must_use]
    pub fn total(&self) -> (u64, usize) {
        let held = self.lock();
        (held.values().map(|h| h.stamp.size).sum(), held.len())
    }
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn only_what_was_digested_and_has_not_changed_is_served() {
        let dir = TempDir::new();
        let store = Store::open(dir.path()).unwrap();
        let digest = crate::digest::of(b"abc");
        let blob = store.blob(&digest);
        fs::write(&blob, b"abc").unwrap();
        fs::write(blob.with_file_name("not-a-digest"), b"x").unwrap();

        let shelf = Shelf::open(store.clone()).unwrap();
        assert!(shelf.open_blob(&digest).unwrap().is_none());
        shelf.trust(&digest, &fs::metadata(&blob).unwrap()).unwrap();
        assert_eq!(shelf.open_blob(&digest).unwrap().unwrap().1, 3);
        assert_eq!(shelf.look().unwrap()[&digest], Trust::Checked);

        // The next process trusts the stamp, and digests the file in its own time.
        let next = Shelf::open(store.clone()).unwrap();
        assert_eq!(next.look().unwrap()[&digest], Trust::Stamped);
        assert!(next.open_blob(&digest).unwrap().is_some());

        let other = crate::digest::of(b"abcdef");
        fs::write(store.blob(&other), b"abcdef").unwrap();
        assert_eq!(next.look().unwrap().len(), 2);
        assert_eq!(next.by_last_use(), [(other.clone(), 6), (digest.clone(), 3)], "nobody knows that it was ever read");
        fs::remove_file(store.blob(&other)).unwrap();

        fs::write(&blob, b"abcd").unwrap();
        assert!(shelf.open_blob(&digest).unwrap().is_none(), "before anybody has looked");
        assert_eq!(shelf.look().unwrap()[&digest], Trust::Unknown);
        fs::remove_file(&blob).unwrap();
        assert!(next.open_blob(&digest).unwrap().is_none());
        assert!(next.look().unwrap().is_empty());
    }
}
