//! A bucket's documents in memory, followed by a watch. Twice a minute the stream's leader is asked
//! whether anything was missed, since a watch alone may miss something without anybody's noticing; then,
//! and every half hour, everything is listed anew.
//!
//! What a mirror never does is take absence for deletion. JetStream can lose a stream after
//! corruption; a document that is gone without a deletion marker stays in the snapshot, and is an
//! alarm (`watari_documents_vanished`) for an operator.

mod follow;
mod table;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Notify, watch};
use watari_model::Document;

use crate::{
    Bucket, Context, Entry, Revision, Wake, WriteError,
    bucket::{Stopped, Written},
};
use table::{Effect, Table};

/// All documents of a bucket at one moment, by key. It does not change; take a new one.
pub type Snapshot<T> = Arc<BTreeMap<String, Arc<Entry<T>>>>;

/// A watched copy of a bucket. Cloning shares it.
pub struct Mirror<T> {
    bucket: Bucket<T>,
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Mirror<T> {
    fn clone(&self) -> Self {
        Self { bucket: self.bucket.clone(), shared: Arc::clone(&self.shared) }
    }
}

struct Shared<T> {
    table: RwLock<Table<T>>,
    changes: watch::Sender<u64>,
    wakes: Mutex<Vec<Wake>>,
    relist: Notify,
    /// Somebody waits to be told that everything is here.
    asked: Notify,
    /// Looks at the whole of the bucket, lists among them, are numbered as they begin.
    looks_begun: AtomicU64,
    /// The number of the last one after which everything was here.
    whole: watch::Sender<u64>,
}

impl<T: Document> Shared<T> {
    fn new() -> Self {
        Self {
            table: RwLock::default(),
            changes: watch::Sender::new(0),
            wakes: Mutex::default(),
            relist: Notify::new(),
            asked: Notify::new(),
            looks_begun: AtomicU64::new(0),
            whole: watch::Sender::new(0),
        }
    }

    /// Reads the table. A writer that panicked left it whole, for each change is one call.
    fn look<A>(&self, look: impl FnOnce(&Table<T>) -> A) -> A {
        look(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the table, and tells whoever waits if the snapshot differs.
    fn change(&self, change: impl FnOnce(&mut Table<T>) -> Effect) -> Effect {
        let effect = change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner));
        if matches!(effect, Effect::Changed) {
            self.changes.send_modify(|n| *n += 1);
            self.wakes.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Wake::wake);
        }
        effect
    }
}

impl<T: Document> Mirror<T> {
    /// Begins to follow `bucket` and returns when everything that was in it is here.
    ///
    /// # Errors
    /// [`Stopped`] only; a bus that is not there is waited for.
    pub async fn start(bucket: Bucket<T>, ctx: &Context) -> Result<Self, Stopped> {
        let shared = Arc::new(Shared::new());
        let own = Arc::downgrade(&shared);
        bucket.observe(Box::new(move |key, written| {
            let Some(shared) = own.upgrade() else { return };
            shared.change(|table| match written {
                Written::Put(entry) => table.wrote(key, entry),
                Written::Deleted(revision) => table.erased(key, revision),
            });
        }));
        ctx.spawn("mirror", follow::follow(bucket.clone(), Arc::clone(&shared)));
        let mut whole = shared.whole.subscribe();
        let waited = tokio::select! {
            whole = whole.wait_for(|number| *number > 0) => whole.is_ok(),
            () = ctx.shutdown.cancelled() => false,
        };
        if waited { Ok(Self { bucket, shared }) } else { Err(Stopped) }
    }

    /// For the service that owns the documents: [`Bucket::open`] and [`Mirror::start`].
    ///
    /// # Errors
    /// [`Stopped`] only.
    pub async fn open(ctx: &Context) -> Result<Self, Stopped> {
        Self::start(Bucket::open(ctx).await?, ctx).await
    }

    /// For a service that only reads them: [`Bucket::of_another`] and [`Mirror::start`].
    ///
    /// # Errors
    /// [`Stopped`] only.
    pub async fn of_another(ctx: &Context) -> Result<Self, Stopped> {
        Self::start(Bucket::of_another(ctx).await?, ctx).await
    }

    /// One document.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<Entry<T>>> {
        self.shared.look(|table| table.get(key))
    }

    /// Those that belong to `owner` ([`Document::belongs_to`]), by key, without looking at all others.
    #[must_use]
    pub fn belonging_to(&self, owner: &str) -> Vec<Arc<Entry<T>>> {
        self.shared.look(|table| table.belonging_to(owner))
    }

    /// All documents; it costs one reference count.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<T> {
        self.shared.look(Table::snapshot)
    }

    /// Changes with every change of the snapshot.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Waits for the next change from now on. A loop uses [`Mirror::wakes`], which misses none.
    pub async fn changed(&self) {
        // The sender lives as long as this mirror does.
        let _ = self.changes().changed().await;
    }

    /// Lets every change wake a loop.
    pub fn wakes(&self, wake: &Wake) {
        self.shared.wakes.lock().unwrap_or_else(PoisonError::into_inner).push(wake.clone());
    }

    /// Waits until the bucket's leader, asked from now on, has nothing that is not here. A copy may be old without
    /// knowing it, as when a link was cut, and what this process itself wrote hides that: whoever begins to decide
    /// asks first. It costs a question where nothing is missing, else a list.
    /// What never comes is waited for: set a bound.
    pub async fn catch_up(&self) {
        let wanted = self.shared.looks_begun.load(Ordering::SeqCst) + 1;
        let mut whole = self.shared.whole.subscribe();
        self.shared.asked.notify_one();
        // The sender lives as long as this mirror does.
        let _ = whole.wait_for(|number| *number >= wanted).await;
    }

    /// Asks for a full re-list now.
    pub fn relist(&self) {
        self.shared.relist.notify_one();
    }

    /// Keys of documents whose newest write cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> Vec<String> {
        self.shared.look(|table| table.unreadable().iter().cloned().collect())
    }

    /// Keys of documents that are gone without having been deleted. They are still in the snapshot.
    #[must_use]
    pub fn vanished(&self) -> Vec<String> {
        self.shared.look(|table| table.vanished().iter().cloned().collect())
    }

    /// The bucket itself. What is written to it through any clone is seen here at once.
    #[must_use]
    pub fn bucket(&self) -> &Bucket<T> {
        &self.bucket
    }

    /// [`Bucket::create`]; when it returns, the snapshot has the document.
    ///
    /// # Errors
    /// As there. When it is not known what happened, a re-list is under way.
    pub async fn create(&self, value: &T) -> Result<Revision, WriteError> {
        self.doubted(self.bucket.create(value).await)
    }

    /// [`Bucket::update`]; when it returns, the snapshot has the document.
    ///
    /// # Errors
    /// As there. When it is not known what happened, a re-list is under way.
    pub async fn update(&self, value: &T, expected: Revision) -> Result<Revision, WriteError> {
        self.doubted(self.bucket.update(value, expected).await)
    }

    /// [`Bucket::delete`]; when it returns, the snapshot has it no more.
    ///
    /// # Errors
    /// As there. When it is not known what happened, a re-list is under way.
    pub async fn delete(&self, key: &str, expected: Revision) -> Result<Revision, WriteError> {
        self.doubted(self.bucket.delete(key, expected).await)
    }

    fn doubted(&self, written: Result<Revision, WriteError>) -> Result<Revision, WriteError> {
        if written.is_err() {
            self.relist();
        }
        written
    }
}
