//! What takes long runs beside the loop: fetching a file, computing a digest, everything that asks the object store.
//!
//! Jobs are remembered only so that a file is not worked on twice and one that fails is not tried
//! all the time. Nothing here matters beyond the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::fetch::{FetchError, Fetcher};
use crate::{
    app::App,
    checking::{CheckError, digested},
    digest::Digest,
    objects::ObjectsError,
    plan::copies::Action,
    store::{Partial, Prefix},
};

/// The pause after a first failure, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MOST_PAUSE: Duration = Duration::from_secs(15);

/// What is in hand for a file.
#[derive(Debug)]
enum Job {
    Running(Kind),
    /// It failed so many times; not again before then.
    Resting {
        until: Instant,
        failures: u32,
    },
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Get it from the object store or another front end.
    Fetch,
    /// Compute its digest.
    Check,
    /// Have the object store keep it.
    Keep,
    /// Remove it from the disk, if the store really has it.
    Evict,
    /// Remove it from the store.
    Drop,
}

impl Kind {
    /// What an action takes, with its file and the size of that if it matters; none if it is done at once.
    pub(super) fn of(action: Action) -> Option<(Digest, Self, u64)> {
        match action {
            Action::Fetch { digest, size_bytes } => Some((digest, Self::Fetch, size_bytes)),
            Action::Check(digest) => Some((digest, Self::Check, 0)),
            Action::Keep(digest) => Some((digest, Self::Keep, 0)),
            Action::Evict { digest, size_bytes } => Some((digest, Self::Evict, size_bytes)),
            Action::Drop(digest) => Some((digest, Self::Drop, 0)),
            Action::Report { .. } | Action::ReportKept { .. } | Action::Remove(_) => None,
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Done, or not wanted any more.
    Well,
    /// Not done, but nearer: the line is bad, not dead.
    Nearer,
    /// Nothing came of it.
    Badly,
}

/// All jobs.
pub(super) struct Jobs {
    app: Arc<App>,
    fetcher: Fetcher,
    known: Mutex<BTreeMap<Digest, Job>>,
}

impl Jobs {
    pub(super) fn new(app: &Arc<App>, fetcher: Fetcher) -> Self {
        Self { app: Arc::clone(app), fetcher, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Job>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is worked on, or is not to be tried again yet.
    pub(super) fn busy(&self) -> BTreeSet<Digest> {
        let now = Instant::now();
        let is_busy = |job: &Job| match job {
            Job::Running(_) => true,
            Job::Resting { until, .. } => *until > now,
        };
        self.lock().iter().filter(|(_, job)| is_busy(job)).map(|(digest, _)| digest.clone()).collect()
    }

    /// Begins a job beside the loop, if there is a place for one of its kind, and none on that file yet.
    pub(super) fn start(self: &Arc<Self>, digest: Digest, kind: Kind, size_bytes: u64) {
        let most = match kind {
            Kind::Fetch | Kind::Keep => self.app.settings.limits.max_copies,
            Kind::Check | Kind::Evict | Kind::Drop => 1,
        };
        let mut known = self.lock();
        let running = known.values().filter(|job| matches!(job, Job::Running(k) if *k == kind)).count();
        if running >= most || matches!(known.get(&digest), Some(Job::Running(_))) {
            return;
        }
        let failures = match known.insert(digest.clone(), Job::Running(kind)) {
            Some(Job::Resting { failures, .. }) => failures,
            _ => 0,
        };
        drop(known);
        let jobs = Arc::clone(self);
        self.app.ctx.spawn("copy", async move {
            let ended = match kind {
                Kind::Fetch => jobs.fetch(&digest, size_bytes).await,
                Kind::Check if jobs.check(&digest).await => Ended::Well,
                Kind::Check => Ended::Badly,
                Kind::Keep => jobs.keep(&digest).await,
                Kind::Evict => jobs.evict(&digest, size_bytes).await,
                Kind::Drop => jobs.drop_object(&digest).await,
            };
            if ended == Ended::Well {
                jobs.lock().remove(&digest);
                jobs.app.wake_copies.wake();
                return;
            }
            let failures = if ended == Ended::Badly { failures + 1 } else { 0 };
            let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(MOST_PAUSE);
            let until = Instant::now() + pause;
            jobs.lock().insert(digest, Job::Resting { until, failures });
            // Its place is free for another one now, and it may try again later.
            jobs.app.wake_copies.wake();
            tokio::select! {
                () = tokio::time::sleep_until(until) => jobs.app.wake_copies.wake(),
                () = jobs.app.ctx.shutdown.cancelled() => {}
            }
        });
    }

    /// Has the object store keep a file of the shelf.
    async fn keep(&self, digest: &Digest) -> Ended {
        let app = &self.app;
        let Some(objects) = &app.objects else { return Ended::Well };
        match objects.keep(&app.store.blob(digest), digest, &app.ctx.shutdown).await {
            Ok(()) => {
                tracing::info!(sha256 = %digest, store = objects.name().url, "an image is kept in the object store");
                Ended::Well
            }
            Err(ObjectsError::Stopped) => Ended::Well,
            Err(ObjectsError::Damaged { .. }) if self.check(digest).await => Ended::Well,
            Err(error) => {
                tracing::warn!(sha256 = %digest, %error, "an image is not in the object store yet; it is tried again");
                // How the store stands is found out now, not at its next look.
                app.wake_objects.wake();
                Ended::Badly
            }
        }
    }

    /// Removes a file from the disk for room, once the store has said that it has it and while nobody stands on it.
    async fn evict(&self, digest: &Digest, size_bytes: u64) -> Ended {
        let app = &self.app;
        let Some(objects) = &app.objects else { return Ended::Well };
        match objects.has(digest, size_bytes).await {
            Ok(true) => {}
            Ok(false) => {
                // What was listed is no longer so.
                app.wake_objects.wake();
                return Ended::Badly;
            }
            Err(error) => {
                tracing::debug!(sha256 = %digest, %error, "a file stays on the disk for now");
                return Ended::Badly;
            }
        }
        if app.used().is_none_or(|used| used.contains(digest)) {
            return Ended::Well;
        }
        app.shelf.forget(digest);
        match app.store.remove_blob(digest) {
            Ok(()) => {
                tracing::info!(sha256 = %digest, size_bytes, "a file is removed from the disk for room; the object store keeps it");
                Ended::Well
            }
            Err(error) => {
                tracing::warn!(sha256 = %digest, %error, "a file cannot be removed from the disk");
                Ended::Badly
            }
        }
    }

    /// Removes a deleted image's object.
    async fn drop_object(&self, digest: &Digest) -> Ended {
        let Some(objects) = &self.app.objects else { return Ended::Well };
        match objects.remove(digest).await {
            Ok(()) => {
                tracing::info!(sha256 = %digest, "a deleted image's object is removed from the store");
                Ended::Well
            }
            Err(error) => {
                tracing::warn!(sha256 = %digest, %error, "a deleted image's object is not removed yet; it is tried again");
                Ended::Badly
            }
        }
    }

    /// Gets a file.
    async fn fetch(&self, digest: &Digest, size_bytes: u64) -> Ended {
        let path = self.app.store.copy(digest);
        let arrived = || Partial::length_at(&path).ok().flatten().unwrap_or(0);
        let before = arrived();
        let outcome = |word: &str| self.app.metrics.copies.with_label_values(&[word]).inc();
        match self.fetcher.fetch(digest, size_bytes).await {
            Ok(()) => {
                outcome("fetched");
                tracing::info!(sha256 = %digest, size_bytes, "a copy has been fetched and verified");
                Ended::Well
            }
            Err(FetchError::Stopped) => Ended::Well,
            Err(error) => {
                outcome("failed");
                tracing::warn!(sha256 = %digest, error = %chain(&error), "a copy could not be fetched; it is tried again");
                if arrived() > before { Ended::Nearer } else { Ended::Badly }
            }
        }
    }

    /// Computes a file's digest, and takes it out of service if it is another than its name.
    async fn check(&self, digest: &Digest) -> bool {
        let app = &self.app;
        let path = app.store.blob(digest);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, Arc::new(file))));
        let (meta, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(sha256 = %digest, %error, "a file cannot be opened to be checked");
                return false;
            }
        };
        let done = match digested(&path, &file, Prefix::default(), &app.ctx.shutdown).await {
            Ok(found) if found == *digest => app.shelf.trust(digest, &meta),
            Ok(found) => {
                app.metrics.damaged.inc();
                tracing::error!(sha256 = %digest, found = %found, "an image's file is damaged; it is set aside and fetched again");
                app.shelf.forget(digest);
                app.store.set_aside(digest)
            }
            Err(CheckError::Interrupted) => return true,
            Err(error) => {
                tracing::error!(sha256 = %digest, %error, "an image's file cannot be read");
                return false;
            }
        };
        done.inspect_err(|error| tracing::warn!(%error, "what was found of a file is not noted")).is_ok()
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
