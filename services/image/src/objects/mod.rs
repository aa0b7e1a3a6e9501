//! The object store in which a site keeps ready images for good, if it has one: any that speaks S3.
//!
//! ```text
//!  <prefix>/sha256/<digest>   one image's file, as it lies on a front end's disk
//!  <prefix>/probe/<process>   written, read back and removed at each look
//! ```
//!
//! An object has its name from its contents, so that to write it twice, or from two sites at once, is to write it
//! once. What is sent is digested on its way, and does not get its name unless it matches; what is read is digested
//! by who reads it. What is on the disks of front ends is elsewhere ([`crate::store`]), and stays the place from which
//! nodes are served and qemu-img reads.

mod credentials;
mod sending;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    BackoffConfig, Certificate, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig, aws::AmazonS3Builder, multipart::MultipartStore, path::Path,
};
use watari_chassis::prometheus::IntCounter;
use watari_model::{Refusal, image};

use crate::{
    digest::Digest,
    pace::Pace,
    settings::{Addressing, ImageSection, StoreSection},
    store::{Store, StoreError},
};

/// Tries of one request before it is given up; whoever wanted it comes again.
const RETRIES: usize = 3;
const RETRIES_WITHIN: Duration = Duration::from_secs(30);
/// So many characters of a fault are told; a store may answer with pages.
const MOST_TOLD: usize = 300;

/// Why something did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The store does not do what it is asked, or cannot be reached.
    #[error("the object store cannot {act}: {}", told(.source))]
    Away {
        /// What was asked.
        act: &'static str,
        /// Why not.
        source: object_store::Error,
    },
    /// It answers, and wrongly.
    #[error("the object store does not give back what it was given: {detail}")]
    Unfaithful {
        /// What is wrong.
        detail: String,
    },
    /// The file on our disk is no longer what it was.
    #[error("the file to be sent has digest {found}; nothing was sent under its name")]
    Damaged {
        /// What it is now.
        found: Digest,
    },
    /// Our disk.
    #[error(transparent)]
    Disk(#[from] StoreError),
    /// A task was lost.
    #[error("a task was lost")]
    Lost,
    /// The process is to stop.
    #[error("the process is to stop")]
    Stopped,
}

/// A fault of a store, short enough for a line.
fn told(error: &object_store::Error) -> String {
    let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(MOST_TOLD).collect()
}

/// What the store was asked and did not do.
fn away(act: &'static str) -> impl Fn(object_store::Error) -> ObjectsError {
    move |source| ObjectsError::Away { act, source }
}

/// The store, and what is known of it. What is known may be forgotten.
pub struct Objects {
    name: image::ObjectStore,
    objects: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    prefix: String,
    part_bytes: u64,
    disk: Store,
    pace: Pace,
    sent: IntCounter,
    /// What is there with its size in bytes, as of the last look; none while the store is away.
    listed: Mutex<Option<Arc<BTreeMap<Digest, u64>>>>,
    /// What was done or seen since the last look began, which its listing may not tell.
    since: Mutex<BTreeMap<Digest, Option<u64>>>,
    /// Who has a file kept does so alone: of two images with the same contents the second finds it done.
    turns: Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    /// Objects that were read and were not what their names say: they are written anew.
    distrusted: Mutex<BTreeSet<Digest>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Objects {
    /// The store that the settings name, if they name one. Nothing is asked of it yet.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn open(settings: &ImageSection, disk: &Store, sent: &IntCounter) -> Result<Option<Self>, String> {
        let section = &settings.store;
        let (Some(name), Some(place)) = (section.name()?, section.place()?) else { return Ok(None) };
        // Its client takes the process's default, as that of downloads does.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = AmazonS3Builder::new()
            .with_bucket_name(&place.bucket)
            .with_region(&section.region)
            .with_virtual_hosted_style_request(section.addressing == Addressing::Virtual)
            // Not every store removes several at once, and no more than one is ever removed here.
            .with_disable_bulk_delete(true)
            .with_client_options(line(section)?)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: RETRIES,
                retry_timeout: RETRIES_WITHIN,
            });
        let client = match section.endpoint.trim_end_matches('/') {
            "" => client,
            endpoint => client.with_endpoint(endpoint),
        };
        let client = credentials::given(client, &section.credentials)?;
        let client = client.build().map_err(|error| format!("image.store does not fit together: {}", told(&error)))?;
        let mut objects = Self::over(Arc::new(client), name, disk, sent);
        objects.prefix = place.prefix;
        objects.part_bytes = section.part_mib << 20;
        objects.pace = Pace::new(settings.limits.copy_bytes_per_second());
        Ok(Some(objects))
    }

    /// Any store that takes objects in parts.
    fn over<S: ObjectStore + MultipartStore>(
        client: Arc<S>,
        name: image::ObjectStore,
        disk: &Store,
        sent: &IntCounter,
    ) -> Self {
        Self {
            name,
            objects: Arc::clone(&client) as Arc<dyn ObjectStore>,
            parts: client,
            prefix: String::new(),
            part_bytes: 16 << 20,
            disk: disk.clone(),
            pace: Pace::new(0),
            sent: sent.clone(),
            listed: Mutex::default(),
            since: Mutex::default(),
            turns: Mutex::default(),
            distrusted: Mutex::default(),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &image::ObjectStore {
        &self.name
    }

    /// What is there, as of the last look and of what was done since; none while the store is away.
    #[must_use]
    pub fn listed(&self) -> Option<Arc<BTreeMap<Digest, u64>>> {
        lock(&self.listed).clone()
    }

    fn below(&self, folder: &str, name: &str) -> Path {
        Path::from(format!("{}/{folder}/{name}", self.prefix))
    }

    fn key(&self, digest: &Digest) -> Path {
        self.below("sha256", digest.as_ref())
    }

    /// Looks at the store: whether it can be written, read and cleaned, and what is there.
    ///
    /// # Errors
    /// [`ObjectsError`]; it counts as away then.
    pub async fn look(&self, process: &str) -> Result<(), ObjectsError> {
        let looked = match self.prove(process).await {
            Ok(()) => {
                lock(&self.since).clear();
                self.list().await
            }
            Err(error) => Err(error),
        };
        let mut known = lock(&self.listed);
        match looked {
            Ok(mut listed) => {
                for (digest, size_bytes) in lock(&self.since).iter() {
                    note(&mut listed, digest, *size_bytes);
                }
                *known = Some(Arc::new(listed));
                Ok(())
            }
            Err(error) => {
                *known = None;
                Err(error)
            }
        }
    }

    /// Writes an object, reads it back and removes it.
    async fn prove(&self, process: &str) -> Result<(), ObjectsError> {
        let probe = self.below("probe", process);
        let words = format!("{process} at {}", watari_chassis::clock::now().0);
        self.objects.put(&probe, PutPayload::from(words.clone())).await.map_err(away("be written"))?;
        let got = self.objects.get(&probe).await.map_err(away("be read"))?;
        let got = got.bytes().await.map_err(away("be read"))?;
        if got != words.as_bytes() {
            return Err(ObjectsError::Unfaithful { detail: "a probe came back changed".to_owned() });
        }
        self.objects.delete(&probe).await.map_err(away("be cleaned"))
    }

    async fn list(&self) -> Result<BTreeMap<Digest, u64>, ObjectsError> {
        let folder = Path::from(format!("{}/sha256", self.prefix));
        let mut found = BTreeMap::new();
        let mut objects = self.objects.list(Some(&folder));
        while let Some(object) = objects.try_next().await.map_err(away("be listed"))? {
            let digest = object.location.filename().and_then(|name| name.parse::<Digest>().ok());
            if let Some(digest) = digest.filter(|digest| !lock(&self.distrusted).contains(digest)) {
                found.insert(digest, object.size);
            }
        }
        Ok(found)
    }

    /// Whether an object of that size is there, asked now.
    ///
    /// # Errors
    /// [`ObjectsError::Away`].
    pub async fn has(&self, digest: &Digest, size_bytes: u64) -> Result<bool, ObjectsError> {
        if lock(&self.distrusted).contains(digest) {
            return Ok(false);
        }
        let has = match self.objects.head(&self.key(digest)).await {
            Ok(meta) => meta.size == size_bytes,
            Err(object_store::Error::NotFound { .. }) => false,
            Err(error) => return Err(away("say what it has")(error)),
        };
        self.now_holds(digest, has.then_some(size_bytes));
        Ok(has)
    }

    /// The bytes of an object from there on, as they come.
    ///
    /// # Errors
    /// [`ObjectsError`] if it is not there or has another size.
    pub async fn read(
        &self,
        digest: &Digest,
        from: u64,
        size_bytes: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, ObjectsError>>, ObjectsError> {
        let options = GetOptions::new().with_range(Some(GetRange::Offset(from)));
        let got = self.objects.get_opts(&self.key(digest), options).await.map_err(away("be read"))?;
        if got.meta.size != size_bytes {
            let detail = format!("{digest} has {} bytes, not {size_bytes}", got.meta.size);
            return Err(ObjectsError::Unfaithful { detail });
        }
        Ok(got.into_stream().map_err(away("be read to the end")).boxed())
    }

    /// The bound on what goes there and comes from there.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// An object was read, and is not what its name says: whoever has the file writes it anew.
    pub fn distrust(&self, digest: &Digest) {
        tracing::error!(sha256 = %digest, store = self.name.url, "an object is damaged; it is written anew by who has the file");
        lock(&self.distrusted).insert(digest.clone());
        self.now_holds(digest, None);
    }

    /// Removes an object; that it is gone already is success.
    ///
    /// # Errors
    /// [`ObjectsError::Away`].
    pub async fn remove(&self, digest: &Digest) -> Result<(), ObjectsError> {
        match self.objects.delete(&self.key(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                self.now_holds(digest, None);
                Ok(())
            }
            Err(error) => Err(away("remove an object")(error)),
        }
    }

    /// Notes what was done or seen, so that nobody waits for the next look.
    fn now_holds(&self, digest: &Digest, size_bytes: Option<u64>) {
        let mut listed = lock(&self.listed);
        lock(&self.since).insert(digest.clone(), size_bytes);
        if let Some(known) = listed.as_mut() {
            note(Arc::make_mut(known), digest, size_bytes);
        }
    }

    /// What is told to who asks for something that needs the store.
    #[must_use]
    pub fn refusal(&self, error: &ObjectsError) -> Refusal {
        Refusal::ImageStoreAway { store: self.name.url.clone(), detail: error.to_string() }
    }
}

fn note(known: &mut BTreeMap<Digest, u64>, digest: &Digest, size_bytes: Option<u64>) {
    match size_bytes {
        Some(size) => known.insert(digest.clone(), size),
        None => known.remove(digest),
    };
}

/// How the client speaks: within bounds of time, and trusting whom the settings say.
fn line(section: &StoreSection) -> Result<ClientOptions, String> {
    let stall = Duration::from_secs(section.stall_seconds);
    // Whole files take as long as they take; silence ends them.
    let options = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(stall)
        .with_allow_http(section.endpoint.starts_with("http://"));
    if section.ca.as_os_str().is_empty() {
        return Ok(options);
    }
    let fault = |detail: String| format!("image.store.ca, {}: {detail}", section.ca.display());
    let pem = std::fs::read(&section.ca).map_err(|error| fault(error.to_string()))?;
    let authority = Certificate::from_pem_bundle(&pem).map_err(|error| fault(told(&error)))?;
    if authority.is_empty() {
        return Err(fault("holds no certificate".to_owned()));
    }
    let options = options.with_no_system_certificates(true);
    Ok(authority.into_iter().fold(options, ClientOptions::with_root_certificate))
}
