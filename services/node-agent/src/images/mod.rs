//! Base images on this node, each under the name of its digest; and the door to the front ends, which
//! also takes the copies of servers' disks that are to become images ([`Images::send`]).
//!
//! A file under its final name was verified; it is never written again. However many servers want
//! one image, it is fetched once, and goes on being fetched when those who asked have gone away.

mod digest;
mod fetch;
mod send;
mod trust;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Semaphore, watch};
use watari_contracts::saving::SendTo;
use watari_model::{NodeName, Refusal, vm::Base};

use crate::{layout::Layout, settings};

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
    pub fn new(node: NodeName, layout: Layout, settings: &settings::Image) -> Result<Self, TrustError> {
        let (sources, sender) = (fetch::Sources::new(settings)?, send::Sender::new(settings)?);
        let downloads = Semaphore::new(settings.downloads);
        let inner = Inner { node, layout, sources, sender, downloads, flights: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Gives the path of a verified image, after fetching it if need be. Dropping the future
    /// leaves the fetch running for the next who asks.
    ///
    /// # Errors
    /// [`Refusal::ImageUnavailable`] saying what each source answered.
    pub async fn ensure(&self, base: &Base) -> Result<PathBuf, Refusal> {
        let path = self.inner.layout.image(&base.sha256, base.format);
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(path);
        }
        let mut flight = self.join(base, path.clone());
        let ended = flight.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        match ended {
            Ok(Some(Ok(()))) => Ok(path),
            Ok(Some(Err(detail))) => Err(self.unavailable(base, detail)),
            Ok(None) | Err(_) => Err(self.unavailable(base, "the fetch was broken off".to_owned())),
        }
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
        tokio::spawn(async move {
            let outcome = inner.fetch(&sha256, path).await;
            inner.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&sha256);
            land.send_replace(Some(outcome));
        });
        flight
    }
}

impl Inner {
    async fn fetch(&self, sha256: &str, path: PathBuf) -> Result<(), String> {
        // The semaphore is never closed.
        let _permit = self.downloads.acquire().await;
        // Somebody may have landed it between the caller's look and the flight's beginning.
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(());
        }
        self.sources.fetch(sha256, &path).await
    }
}
