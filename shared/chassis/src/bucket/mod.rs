//! Typed key-value buckets: one document a resource, one writer service a bucket, every write a
//! compare-and-set.

mod chest;
mod entry;
mod open;
mod past;
mod write;

use std::{marker::PhantomData, sync::Arc, sync::OnceLock};

use async_nats::jetstream::{kv::Store, stream::Info as StreamInfo};
use futures_util::StreamExt;
use watari_model::Document;

pub use chest::Chest;
pub use entry::{Entry, ReadError, Unreadable};
pub use open::{Shape, Stopped};
pub use past::{Past, PastWrite, Reach};
pub use write::WriteError;

use crate::{Context, run::chain};
pub(crate) use entry::Raw;
pub(crate) use write::PutFault;

/// The number of a write in its bucket. It only grows; a compare-and-set names the one it expects.
pub type Revision = u64;

/// Told of every write that this process made and NATS acknowledged.
type Observer<T> = Box<dyn Fn(&str, Written<T>) + Send + Sync>;

/// What an acknowledged write did.
pub(crate) enum Written<T> {
    Put(Entry<T>),
    Deleted(Revision),
}

/// A bucket of documents. Cloning shares it.
pub struct Bucket<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    ctx: Context,
    store: Store,
    observer: OnceLock<Observer<T>>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Bucket<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Document> Bucket<T> {
    fn new(ctx: &Context, store: Store) -> Self {
        let inner = Inner { ctx: ctx.clone(), store, observer: OnceLock::new(), of: PhantomData };
        Self { inner: Arc::new(inner) }
    }

    /// The document under `key`, by the word of the stream's leader; `None` if there is none or
    /// it was deleted. Even so it is a reading, and only a compare-and-set proves that it is current.
    ///
    /// # Errors
    /// [`ReadError::Unreadable`] for a document that is there but cannot be read.
    pub async fn get(&self, key: &str) -> Result<Option<Entry<T>>, ReadError> {
        match self.raw(key).await? {
            Some(raw) if !raw.deleted => match raw.entry() {
                Ok(entry) => Ok(Some(entry)),
                Err(unreadable) => Err(ReadError::Unreadable(unreadable)),
            },
            _ => Ok(None),
        }
    }

    /// All documents. One that cannot be read is in the list as what it is, so that nobody takes
    /// it for deleted.
    ///
    /// # Errors
    /// [`ReadError::Bus`].
    pub async fn list(&self) -> Result<Vec<Result<Entry<T>, Unreadable>>, ReadError> {
        let fault = |detail: String| ReadError::Bus { bucket: T::BUCKET, detail };
        let mut keys = self.inner.store.keys().await.map_err(|e| fault(chain(&e)))?;
        let mut found = Vec::new();
        while let Some(key) = keys.next().await {
            let key = key.map_err(|e| fault(chain(&e)))?;
            match self.get(&key).await {
                Ok(Some(entry)) => found.push(Ok(entry)),
                Ok(None) => {}
                Err(ReadError::Unreadable(unreadable)) => found.push(Err(unreadable)),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What the stream's leader has under `key`, deletion markers included.
    pub(crate) async fn raw(&self, key: &str) -> Result<Option<Raw>, ReadError> {
        Raw::newest(&self.inner.store, T::BUCKET, key).await
    }

    /// What the stream's leader says of the stream as a whole.
    pub(crate) async fn info(&self) -> Result<StreamInfo, ReadError> {
        let info = self.inner.store.stream.get_info().await;
        info.map_err(|error| ReadError::Bus { bucket: T::BUCKET, detail: chain(&error) })
    }

    /// Whether the leader has the message with this number at all.
    pub(crate) async fn holds(&self, revision: Revision) -> Result<bool, ReadError> {
        entry::holds(&self.inner.store, T::BUCKET, revision).await
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn ctx(&self) -> &Context {
        &self.inner.ctx
    }

    /// Lets a mirror see this process's own writes at once. There is one mirror a bucket.
    pub(crate) fn observe(&self, observer: Observer<T>) {
        if self.inner.observer.set(observer).is_err() {
            tracing::error!(bucket = T::BUCKET, "a second mirror of one bucket sees its own writes late");
        }
    }

    fn wrote(&self, key: &str, written: Written<T>) {
        if let Some(observer) = self.inner.observer.get() {
            observer(key, written);
        }
    }
}
