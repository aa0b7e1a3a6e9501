//! Getting one file from the site's object store, or from another front end (of that only its data), from where the last
//! try ended, and verified as a whole.

use std::{fs::File, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use reqwest::{
    Client, StatusCode,
    header::{CONTENT_RANGE, RANGE},
    redirect::Policy,
};
use rustls::ClientConfig;
use watari_model::image::State;

use crate::{
    app::App,
    checking::{CheckError, digested},
    digest::Digest,
    https::blobs::Extents,
    objects::{Objects, ObjectsError},
    pace::Pace,
    plan::digest_of,
    store::{Extent, Partial, Prefix, StoreError, remove},
};

/// Bytes are collected to pieces of this size before they are written.
const PIECE: usize = 1 << 20;
/// The longest list of extents that is read. What is longer is fetched whole.
const MOST_EXTENTS_BYTES: usize = 4 << 20;

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no other front end is configured")]
    Alone,
    #[error("{peer} does not have it")]
    NotThere { peer: String },
    #[error("{peer} answers nonsense: {detail}")]
    Nonsense { peer: String, detail: String },
    #[error("{peer} cannot be reached or broke off")]
    Http {
        peer: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("what {peer} sent has digest {found}; it is thrown away")]
    Damaged { peer: String, found: Digest },
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("a task was lost")]
    Lost,
    #[error("the image is no longer wanted, or the process is to stop")]
    Stopped,
}

/// Fetches files.
pub(super) struct Fetcher {
    app: Arc<App>,
    client: Client,
}

impl Fetcher {
    pub(super) fn new(app: &Arc<App>, tls: ClientConfig) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(app.settings.limits.stall())
            .build()?;
        Ok(Self { app: Arc::clone(app), client })
    }

    /// Fetches the file from the object store if it has it, or from the first front end that does, and puts it on the
    /// shelf.
    pub(super) async fn fetch(&self, digest: &Digest, size_bytes: u64) -> Result<(), FetchError> {
        let mut last = FetchError::Alone;
        // Asked now: what another site that shares the store has just put there was not listed yet.
        if let Some(objects) = &self.app.objects
            && objects.has(digest, size_bytes).await.unwrap_or(false)
        {
            match self.fetch_from_store(objects, digest, size_bytes).await {
                Err(error @ (FetchError::Objects(_) | FetchError::Nonsense { .. } | FetchError::Damaged { .. })) => {
                    last = error;
                }
                done => return done,
            }
        }
        for peer in &self.app.settings.peers {
            match self.fetch_from(peer.trim_end_matches('/'), digest, size_bytes).await {
                // The next one may have it, or have it whole.
                Err(
                    error @ (FetchError::NotThere { .. }
                    | FetchError::Nonsense { .. }
                    | FetchError::Http { .. }
                    | FetchError::Damaged { .. }),
                ) => {
                    last = error;
                }
                done => return done,
            }
        }
        Err(last)
    }

    async fn fetch_from_store(&self, objects: &Objects, digest: &Digest, size_bytes: u64) -> Result<(), FetchError> {
        let path = self.app.store.copy(digest);
        let store = objects.name().url.as_str();
        let mut partial = blocking(move || Partial::open(&path)).await??;
        let resumed = partial.length() > 0;
        if partial.length() < size_bytes {
            let bytes = objects.read(digest, partial.length(), size_bytes).await?;
            partial =
                self.pour(store, digest, bytes.map_err(FetchError::from), objects.pace(), partial, size_bytes).await?;
        }
        drop(partial);
        let taken = self.take_in(store, digest).await;
        // What was there before, perhaps from before a power cut, need not have been the store's.
        if !resumed && matches!(taken, Err(FetchError::Damaged { .. })) {
            objects.distrust(digest);
        }
        taken
    }

    async fn fetch_from(&self, peer: &str, digest: &Digest, size_bytes: u64) -> Result<(), FetchError> {
        let path = self.app.store.copy(digest);
        let extents = self.extents(peer, digest, size_bytes).await?;
        let opened = path.clone();
        let mut partial = blocking(move || Partial::open(&opened)).await??;
        if partial.length() > 0 {
            tracing::info!(sha256 = %digest, offset = partial.length(), peer, "a copy is resumed");
        }
        for extent in extents {
            let end = extent.end();
            if end <= partial.length() {
                continue;
            }
            partial.skip_to(extent.offset)?;
            partial = self.range(peer, digest, partial, end, size_bytes).await?;
        }
        partial.skip_to(size_bytes)?;
        drop(partial);
        self.take_in(peer, digest).await
    }

    /// Where the file has data; the whole file, if the other does not say.
    async fn extents(&self, peer: &str, digest: &Digest, size_bytes: u64) -> Result<Vec<Extent>, FetchError> {
        let http = |source| FetchError::Http { peer: peer.to_owned(), source };
        let nonsense = |detail: &str| FetchError::Nonsense { peer: peer.to_owned(), detail: detail.to_owned() };
        let response = self.client.get(format!("{peer}/v1/blobs/{digest}/extents")).send().await.map_err(http)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(FetchError::NotThere { peer: peer.to_owned() }),
            other => return Err(nonsense(other.as_str())),
        }
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(piece) = stream.next().await {
            body.extend_from_slice(&piece.map_err(http)?);
            if body.len() > MOST_EXTENTS_BYTES {
                return Ok(vec![Extent { offset: 0, length: size_bytes }]);
            }
        }
        let found: Extents = serde_json::from_slice(&body).map_err(|e| nonsense(&e.to_string()))?;
        if found.size_bytes != size_bytes {
            return Err(nonsense("the file has another size there"));
        }
        let mut at = 0;
        for extent in &found.extents {
            let end = extent.offset.checked_add(extent.length).filter(|end| *end <= size_bytes && extent.offset >= at);
            at = end.ok_or_else(|| nonsense("extents that overlap or lie beyond the end"))?;
        }
        Ok(found.extents)
    }

    /// Fetches from where the file ends up to `end`.
    async fn range(
        &self,
        peer: &str,
        digest: &Digest,
        partial: Partial,
        end: u64,
        size_bytes: u64,
    ) -> Result<Partial, FetchError> {
        let http = |source| FetchError::Http { peer: peer.to_owned(), source };
        let first = partial.length();
        let request =
            self.client.get(format!("{peer}/v1/blobs/{digest}")).header(RANGE, format!("bytes={first}-{}", end - 1));
        let response = request.send().await.map_err(http)?;
        let right = format!("bytes {first}-{}/{size_bytes}", end - 1);
        let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
        if response.status() != StatusCode::PARTIAL_CONTENT || range != Some(&right) {
            let detail = format!("{} with range {}", response.status(), range.unwrap_or("none"));
            return Err(FetchError::Nonsense { peer: peer.to_owned(), detail });
        }
        self.pour(peer, digest, response.bytes_stream().map_err(http), &self.app.pace, partial, end).await
    }

    /// Adds what comes up to `end`. What has come is kept for the next try, however this one ends.
    async fn pour(
        &self,
        from: &str,
        digest: &Digest,
        mut bytes: impl Stream<Item = Result<Bytes, FetchError>> + Unpin + Send,
        pace: &Pace,
        mut partial: Partial,
        end: u64,
    ) -> Result<Partial, FetchError> {
        let nonsense = |detail: &str| FetchError::Nonsense {
            peer: from.to_owned(),
            detail: format!("{detail} than was asked for"),
        };
        let mut pending = Vec::with_capacity(PIECE);
        loop {
            let piece = tokio::select! {
                piece = bytes.next() => piece,
                () = self.app.ctx.shutdown.cancelled() => {
                    written(partial, pending).await?;
                    return Err(FetchError::Stopped);
                }
            };
            let arrived = partial.length() + pending.len() as u64;
            match piece {
                Some(Ok(piece)) if piece.len() as u64 <= end - arrived => {
                    pace.take(piece.len() as u64).await;
                    self.app.metrics.copied.inc_by(piece.len() as u64);
                    pending.extend_from_slice(&piece);
                    if pending.len() >= PIECE {
                        (partial, pending) = written(partial, pending).await?;
                    }
                }
                Some(Ok(_)) => return Err(nonsense("more")),
                Some(Err(error)) => {
                    written(partial, pending).await?;
                    return Err(error);
                }
                None if arrived == end => return Ok(written(partial, pending).await?.0),
                None => {
                    written(partial, pending).await?;
                    return Err(nonsense("less"));
                }
            }
            if !self.is_wanted(digest) {
                return Err(FetchError::Stopped);
            }
        }
    }

    /// Verifies the whole file and puts it on the shelf.
    async fn take_in(&self, peer: &str, digest: &Digest) -> Result<(), FetchError> {
        let path = self.app.store.copy(digest);
        let fault = |act| {
            let path = path.clone();
            move |source| StoreError { act, path, source }
        };
        let file = Arc::new(File::open(&path).map_err(fault("open"))?);
        let found = match digested(&path, &file, Prefix::default(), &self.app.ctx.shutdown).await {
            Err(CheckError::Interrupted) => return Err(FetchError::Stopped),
            found => found?,
        };
        if found != *digest {
            remove(&path)?;
            return Err(FetchError::Damaged { peer: peer.to_owned(), found });
        }
        if !self.is_wanted(digest) {
            remove(&path)?;
            return Err(FetchError::Stopped);
        }
        let (store, from, name) = (self.app.store.clone(), path.clone(), digest.clone());
        blocking(move || store.adopt(&from, &name)).await??;
        let meta = file.metadata().map_err(fault("measure"))?;
        self.app.shelf.trust(digest, &meta)?;
        remove(&path)?;
        Ok(())
    }

    fn is_wanted(&self, digest: &Digest) -> bool {
        let snapshot = self.app.images.snapshot();
        snapshot.values().any(|e| e.value.state == State::Ready && digest_of(&e.value).as_ref() == Some(digest))
    }
}

async fn written(mut partial: Partial, mut pending: Vec<u8>) -> Result<(Partial, Vec<u8>), FetchError> {
    blocking(move || {
        partial.append(&pending)?;
        pending.clear();
        Ok((partial, pending))
    })
    .await?
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| FetchError::Lost)
}
