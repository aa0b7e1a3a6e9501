//! Base images on this node, each under the name of its digest; and the door to the front ends, which
//! also takes the copies of servers' disks that are to become images ([`Images::send`]).
//!
//! A file under its final name was verified; it is never written again. However many servers want
//! one image, it is fetched once, and goes on being fetched when those who asked have gone away. What nobody
//! needs is dropped when there is no room for it ([`cache`]), and fetched again when somebody does.

mod cache;
mod choice;
mod digest;
mod fetch;
mod send;
mod standing;
mod trust;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Semaphore, watch};
use watari_chassis::{CancellationToken, clock};
use watari_contracts::saving::SendTo;
use watari_model::{NodeName, Refusal, vm::Base};

use crate::{counts::Cached, layout::Layout, settings};
use cache::Cache;

pub use cache::{Bound, Held};
pub(crate) use digest::digest;
pub use send::{Pace, Unsent};
pub use trust::TrustError;

/// How a fetch ended; nothing while it goes on.
type Outcome = Option<Result<(), String>>;

/// The cache; clones share it.
#[derive(Clone)]
pub struct Images {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeName,
    layout: Layout,
    cache: Arc<Cache>,
    sources: fetch::Sources,
    sender: send::Sender,
    downloads: Semaphore,
    flights: Mutex<HashMap<String, watch::Receiver<Outcome>>>,
}

impl Images {
    /// Reads the certificates; connects to nobody.
    ///
    /// # Errors
    /// A certificate or key cannot be read.
    pub fn new(
        node: NodeName,
        layout: Layout,
        settings: &settings::Image,
        reserve_gib: u64,
        shown: Cached,
    ) -> Result<Self, TrustError> {
        let (sources, sender) = (fetch::Sources::new(settings)?, send::Sender::new(settings)?);
        let downloads = Semaphore::new(settings.downloads);
        let bound = Bound { cache_mib: settings.cache_mib, reserve_gib };
        let cache = Arc::new(Cache::new(layout.clone(), bound, shown));
        let inner = Inner { node, layout, cache, sources, sender, downloads, flights: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Gives a verified image, after fetching it if need be; it stays here as long as what is given is held, and
    /// afterwards as long as a disk stands on it. Dropping the future leaves the fetch running for the next who asks.
    ///
    /// # Errors
    /// [`Refusal::ImageUnavailable`] saying what each source answered.
    pub async fn ensure(&self, base: &Base) -> Result<Held, Refusal> {
        let path = self.inner.layout.image(&base.sha256, base.format);
        // First, so that what is here now stays here.
        let held = self.inner.cache.hold(&path);
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            let now = std::time::SystemTime::from(clock::now().0);
            // On a file system that hangs it would hang too, and whoever waits for it can be overtaken.
            let touched = tokio::task::spawn_blocking(move || cache::touch(&path, now)).await;
            if let Err(error) = touched {
                tracing::error!(%error, "noting that a base image is used fell");
            }
            return Ok(held);
        }
        let mut flight = self.join(base, path);
        let ended = flight.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        match ended {
            Ok(Some(Ok(()))) => Ok(held),
            Ok(Some(Err(detail))) => Err(self.unavailable(base, detail)),
            Ok(None) | Err(_) => Err(self.unavailable(base, "the fetch was broken off".to_owned())),
        }
    }

    /// Keeps an image that is here, if it is, as long as what is given is held: for who makes room before it is needed.
    #[must_use]
    pub fn hold(&self, base: &Base) -> Held {
        self.inner.cache.hold(&self.inner.layout.image(&base.sha256, base.format))
    }

    /// The digests of the images that are here, as of the last look.
    #[must_use]
    pub fn told(&self) -> BTreeSet<String> {
        self.inner.cache.told()
    }

    /// What dropping the images that nobody needs would free, in bytes, as of the last look.
    #[must_use]
    pub fn droppable_bytes(&self) -> u64 {
        self.inner.cache.droppable_bytes()
    }

    /// Drops images that nobody needs, the least recently used first, until so many bytes are free beside what is kept
    /// back, or none is left to drop.
    pub async fn make_room(&self, bytes: u64) {
        self.inner.cache.make_room(0, bytes).await;
    }

    /// Keeps what is here within its bound, until shutdown.
    pub async fn keep(&self, shutdown: &CancellationToken) {
        self.inner.cache.run(shutdown).await;
    }

    /// Sends a file of `size` bytes that does not change, from where the front end says that it has arrived.
    ///
    /// # Errors
    /// [`Unsent`]; what has arrived is kept, and it may be tried again.
    pub async fn send(&self, file: &Path, size: u64, to: &SendTo, pace: Pace) -> Result<(), Unsent> {
        self.inner.sender.send(file, size, to, pace).await
    }

    fn unavailable(&self, base: &Base, detail: String) -> Refusal {
        Refusal::ImageUnavailable { image: base.image.to_string(), node: self.inner.node.to_string(), detail }
    }

    /// Joins the fetch of that digest, or begins it.
    fn join(&self, base: &Base, path: PathBuf) -> watch::Receiver<Outcome> {
        let mut flights = self.inner.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&base.sha256) {
            return flight.clone();
        }
        let (land, flight) = watch::channel(None);
        flights.insert(base.sha256.clone(), flight.clone());
        let (inner, sha256) = (Arc::clone(&self.inner), base.sha256.clone());
        let held = inner.cache.hold(&path);
        tokio::spawn(async move {
            let outcome = inner.fetch(&sha256, &path).await;
            if outcome.is_ok() {
                // What has arrived may be more than was said; and it is told that it is here.
                inner.cache.make_room(0, 0).await;
            }
            drop(held);
            inner.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&sha256);
            land.send_replace(Some(outcome));
        });
        flight
    }
}

impl Inner {
    async fn fetch(&self, sha256: &str, path: &Path) -> Result<(), String> {
        // The semaphore is never closed.
        let _permit = self.downloads.acquire().await;
        // Somebody may have landed it between the caller's look and the flight's beginning.
        if tokio::fs::try_exists(path).await.unwrap_or(false) {
            return Ok(());
        }
        self.sources.fetch(sha256, path, &self.cache).await
    }
}
