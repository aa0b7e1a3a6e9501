//! Sending a file to the store, so that it is there whole or not at all.
//!
//! ```text
//!   begun, noted ──▶ a part is there, noted ──▶ … ──▶ all parts ──digest matches──▶ it has its name ──▶ the note goes
//!                            ▲         │                    │
//!                            └─────────┘                    └── digest differs ──▶ broken off
//! ```
//!
//! The note outlives the process, so that an upload is taken up where it was left, and one that nobody wants any more is
//! broken off: a store keeps unfinished parts for ever, and bills them. The digest is computed over the whole file each
//! time, also over what was sent before.

use std::{fs::File, os::unix::fs::FileExt, path::Path, sync::Arc};

use object_store::{Error, ObjectStoreExt, PutPayload, multipart::PartId};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Objects, ObjectsError, away, lock};
use crate::{
    digest::{Digest, Hasher},
    store::{self, StoreError},
};

/// S3 takes no more parts of one object.
const MOST_PARTS: u64 = 10_000;

/// An upload in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// To which store.
    pub(super) store: String,
    /// What the store calls it.
    pub(super) id: String,
    /// How large each part is but the last.
    pub(super) part_bytes: u64,
    /// What the store calls the parts that it has.
    pub(super) parts: Vec<String>,
}

/// A file at hand.
struct Source<'a> {
    path: &'a Path,
    file: Arc<File>,
    size: u64,
    digest: &'a Digest,
}

impl Source<'_> {
    /// Reads a piece, and digests it.
    async fn piece(&self, at: u64, length: u64, mut hasher: Hasher) -> Result<(Vec<u8>, Hasher), ObjectsError> {
        let (file, path) = (Arc::clone(&self.file), self.path.to_owned());
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, at).map_err(|source| StoreError { act: "read", path, source })?;
            hasher.update(&bytes);
            Ok::<_, ObjectsError>((bytes, hasher))
        });
        reading.await.map_err(|_| ObjectsError::Lost)?
    }

    /// Whether all that was read is the file that it should be.
    fn is_sound(&self, hasher: Hasher) -> Result<(), ObjectsError> {
        let found = hasher.finish();
        if found == *self.digest { Ok(()) } else { Err(ObjectsError::Damaged { found }) }
    }
}

impl Objects {
    /// Has the store keep a file under its digest. It may be asked as often as one likes: what is there whole is left as it
    /// is, and an upload that was broken off goes on.
    ///
    /// # Errors
    /// [`ObjectsError`]; the object is then not there, or as it was.
    pub async fn keep(&self, path: &Path, digest: &Digest, stop: &CancellationToken) -> Result<(), ObjectsError> {
        let fault = |act| move |source| StoreError { act, path: path.to_owned(), source };
        let file = File::open(path).map_err(fault("open"))?;
        let size = file.metadata().map_err(fault("measure"))?.len();
        let turn = Arc::clone(lock(&self.turns).entry(digest.clone()).or_default());
        let _alone = turn.lock().await;
        if self.has(digest, size).await? {
            // The process may have died just after it had its name, or another site was faster.
            if self.noted(digest).is_some() {
                self.break_off(digest).await?;
            }
            return Ok(());
        }
        let source = Source { path, file: Arc::new(file), size, digest };
        if size <= self.part_bytes {
            self.send_whole(&source).await?;
        } else {
            self.send_in_parts(&source, stop).await?;
        }
        lock(&self.distrusted).remove(digest);
        if !self.has(digest, size).await? {
            let detail = format!("{digest} is not there, or has another size, though it was taken");
            return Err(ObjectsError::Unfaithful { detail });
        }
        Ok(())
    }

    async fn send_whole(&self, source: &Source<'_>) -> Result<(), ObjectsError> {
        let (bytes, hasher) = source.piece(0, source.size, Hasher::default()).await?;
        source.is_sound(hasher)?;
        self.pace.take(source.size).await;
        let key = self.key(source.digest);
        self.objects.put(&key, PutPayload::from(bytes)).await.map_err(away("be written"))?;
        self.sent.inc_by(source.size);
        Ok(())
    }

    async fn send_in_parts(&self, source: &Source<'_>, stop: &CancellationToken) -> Result<(), ObjectsError> {
        let (key, digest) = (self.key(source.digest), source.digest);
        let mut begun = self.begun(source).await?;
        let mut hasher = Hasher::default();
        let parts = source.size.div_ceil(begun.part_bytes);
        for part in 0..parts {
            if stop.is_cancelled() {
                return Err(ObjectsError::Stopped);
            }
            let at = part * begun.part_bytes;
            let length = begun.part_bytes.min(source.size - at);
            let (bytes, digested) = source.piece(at, length, hasher).await?;
            hasher = digested;
            let number = usize::try_from(part).unwrap_or(usize::MAX);
            if number < begun.parts.len() {
                continue;
            }
            self.pace.take(length).await;
            let taken = self.parts.put_part(&key, &begun.id, number, PutPayload::from(bytes)).await;
            let taken = taken.map_err(|error| self.maybe_unknown(digest, error, "take a part"))?;
            self.sent.inc_by(length);
            begun.parts.push(taken.content_id);
            self.note(digest, &begun)?;
        }
        if let Err(error) = source.is_sound(hasher) {
            self.break_off(digest).await?;
            return Err(error);
        }
        let parts = begun.parts.iter().map(|id| PartId { content_id: id.clone() }).collect();
        let named = self.parts.complete_multipart(&key, &begun.id, parts).await;
        named.map_err(|error| self.maybe_unknown(digest, error, "name an object"))?;
        Ok(store::remove(&self.disk.sending(digest))?)
    }

    /// The upload that was begun before, if it still fits, or a new one, noted before anything is sent.
    async fn begun(&self, source: &Source<'_>) -> Result<Begun, ObjectsError> {
        let digest = source.digest;
        // In whole MiB, as some stores want all parts alike and on round borders.
        let part_bytes = self.part_bytes.max((source.size / MOST_PARTS + 1).next_multiple_of(1 << 20));
        if let Some(begun) = self.noted(digest) {
            if begun.store == self.name.url && begun.part_bytes == part_bytes {
                tracing::info!(sha256 = %digest, parts = begun.parts.len(), "an upload to the object store is resumed");
                return Ok(begun);
            }
            self.break_off(digest).await?;
        }
        let id = self.parts.create_multipart(&self.key(digest)).await.map_err(away("be written"))?;
        let begun = Begun { store: self.name.url.clone(), id, part_bytes, parts: Vec::new() };
        self.note(digest, &begun)?;
        Ok(begun)
    }

    pub(super) fn noted(&self, digest: &Digest) -> Option<Begun> {
        serde_json::from_slice(&std::fs::read(self.disk.sending(digest)).ok()?).ok()
    }

    fn note(&self, digest: &Digest, begun: &Begun) -> Result<(), ObjectsError> {
        let text = serde_json::to_vec(begun).map_err(|_| ObjectsError::Lost)?;
        Ok(store::note(&self.disk.sending(digest), &text)?)
    }

    /// The store may know an upload no more, since it has swept it, or given the object its name before a crash; then the
    /// next try looks first and begins anew.
    fn maybe_unknown(&self, digest: &Digest, error: Error, act: &'static str) -> ObjectsError {
        if matches!(error, Error::NotFound { .. })
            && let Err(error) = store::remove(&self.disk.sending(digest))
        {
            tracing::warn!(%error, "the note of an upload that is no more is still there");
        }
        away(act)(error)
    }

    /// Breaks an upload off: the store throws its parts away. One to another store than this is forgotten, since that one
    /// may be no more.
    ///
    /// # Errors
    /// [`ObjectsError`]; it is still noted then.
    pub async fn break_off(&self, digest: &Digest) -> Result<(), ObjectsError> {
        if let Some(begun) = self.noted(digest).filter(|begun| begun.store == self.name.url) {
            match self.parts.abort_multipart(&self.key(digest), &begun.id).await {
                Ok(()) | Err(Error::NotFound { .. }) => {
                    tracing::info!(sha256 = %digest, "an unfinished upload to the object store is broken off");
                }
                Err(error) => return Err(away("break an upload off")(error)),
            }
        }
        Ok(store::remove(&self.disk.sending(digest))?)
    }
}
