//! Uploads in hand: who may send what, one sender at a time.
//!
//! All of this may be forgotten: a restarted or a new primary gives a fresh ticket to whoever
//! repeats the request, and the file's length says where to go on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio_util::sync::CancellationToken;
use watari_model::{ImageName, image::Image};

use crate::{
    digest::{self, Digest},
    store::{Prefix, UploadId},
};

/// One upload.
pub struct Session {
    /// Its name.
    pub id: UploadId,
    /// The image it is for.
    pub image: ImageName,
    /// How many bytes it will have; none if that is known only at its end.
    pub size_bytes: Option<u64>,
    token: Mutex<Digest>,
    turn: Arc<tokio::sync::Mutex<()>>,
    sender: Mutex<CancellationToken>,
    prefix: Mutex<Option<Prefix>>,
}

/// The right to write an upload's file. A newer sender asks for it by cancelling.
pub struct Turn {
    /// Cancelled when another sender has come.
    pub overtaken: CancellationToken,
    _guard: OwnedMutexGuard<()>,
}

/// All uploads in hand.
pub struct Uploads {
    open: Mutex<BTreeMap<UploadId, Arc<Session>>>,
    /// Places for those that send.
    pub places: Arc<Semaphore>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Uploads {
    /// No uploads yet; at most so many may send at the same time.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { open: Mutex::default(), places: Arc::new(Semaphore::new(places)) }
    }

    /// Opens an upload, or the same one again, and gives a fresh token; older ones are void.
    pub fn open(&self, id: &UploadId, image: &Image) -> Option<String> {
        let token = random_token()?;
        let known = digest::of(token.as_bytes());
        let mut open = lock(&self.open);
        if let Some(session) = open.get(id) {
            *lock(&session.token) = known;
        } else {
            let session = Session {
                id: id.clone(),
                image: image.name.clone(),
                size_bytes: image.announced.as_ref().and_then(|a| a.size_bytes),
                token: Mutex::new(known),
                turn: Arc::default(),
                sender: Mutex::default(),
                prefix: Mutex::default(),
            };
            open.insert(id.clone(), Arc::new(session));
        }
        Some(token)
    }

    /// The upload, if the token is its own. Digests are compared, so that the time it takes says
    /// nothing about the token.
    #[must_use]
    pub fn admit(&self, id: &UploadId, token: &str) -> Option<Arc<Session>> {
        let session = lock(&self.open).get(id).cloned()?;
        let known = lock(&session.token).clone();
        (known == digest::of(token.as_bytes())).then_some(session)
    }

    /// How far an upload's file is digested, as far as that is known. It is given once.
    pub fn digested(&self, id: &UploadId) -> Option<Prefix> {
        lock(&self.open).get(id)?.take_prefix()
    }

    /// Ends an upload: its sender is cut off and its token void.
    pub fn close(&self, id: &UploadId) {
        if let Some(session) = lock(&self.open).remove(id) {
            lock(&session.sender).cancel();
        }
    }

    /// Ends all uploads that `keep` does not name.
    pub fn close_except(&self, keep: impl Fn(&UploadId) -> bool) {
        lock(&self.open).retain(|id, session| {
            let kept = keep(id);
            if !kept {
                lock(&session.sender).cancel();
            }
            kept
        });
    }
}

impl Session {
    /// Becomes the one sender: whoever is sending is told to stop and waited for.
    pub async fn take_turn(&self) -> Turn {
        let mine = CancellationToken::new();
        std::mem::replace(&mut *lock(&self.sender), mine.clone()).cancel();
        let guard = Arc::clone(&self.turn).lock_owned().await;
        Turn { overtaken: mine, _guard: guard }
    }

    /// How far the file is digested. It is given once: whoever has it may add to the file.
    pub(crate) fn take_prefix(&self) -> Option<Prefix> {
        lock(&self.prefix).take()
    }

    /// Notes how far the file is digested, for the next sender or for the check.
    pub(crate) fn keep_prefix(&self, prefix: Option<Prefix>) {
        *lock(&self.prefix) = prefix;
    }
}

/// 256 random bits as hexadecimal digits.
fn random_token() -> Option<String> {
    let mut bytes = [0; 32];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(digest::hex(&bytes))
}
