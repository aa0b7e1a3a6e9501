//! Each instance's loop: every ready image is to be on this front end's disk, checked and reported;
//! what is deleted is to be gone.

mod fetch;
mod pace;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::time::Instant;
use watari_chassis::{CallError, clock, looper};
use watari_contracts::image::ReportCopy;
use watari_model::{
    ImageName, Refusal,
    image::{Image, State},
};

use crate::{
    app::App,
    checking::{CheckError, digested},
    digest::Digest,
    plan::{
        copies::{Action, Seen, decide},
        digest_of, imports,
    },
    store::{self, Partial, StoreError},
};
use fetch::Fetcher;

/// How often the loop looks without being woken.
const TICK: Duration = Duration::from_secs(2);
/// The pause after a first failure, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MOST_PAUSE: Duration = Duration::from_secs(15);

/// Why a turn did not succeed; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the primary was not told of a copy: {0}")]
    Report(#[from] CallError),
}

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fetch,
    Check,
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

/// The loop's own memory: nothing that matters beyond the process.
struct Copies {
    app: Arc<App>,
    fetcher: Fetcher,
    jobs: Mutex<BTreeMap<Digest, Job>>,
}

/// Begins the loop. `tls` shows this front end's certificate to the others.
pub fn begin(app: &Arc<App>, tls: ClientConfig) {
    let copies = match Fetcher::new(app, tls) {
        Ok(fetcher) => Arc::new(Copies { app: Arc::clone(app), fetcher, jobs: Mutex::default() }),
        Err(error) => {
            tracing::error!(%error, "no copies can be fetched, so the process stops");
            app.ctx.shutdown.cancel();
            return;
        }
    };
    let looping = Arc::clone(app);
    app.ctx.spawn("copies", async move {
        let wake = looping.wake_copies.clone();
        looper::run(&looping.ctx, "copies", wake, TICK, || step(&copies)).await;
    });
}

async fn step(copies: &Arc<Copies>) -> Result<(), StepError> {
    let app = &copies.app;
    let held = app.shelf.look()?;
    let snapshot = app.images.snapshot();
    let images: Vec<&Image> = snapshot.values().map(|entry| &entry.value).collect();
    let used = app.used();
    let busy = copies.busy();
    let actions = decide(&Seen { site: &app.site, images: &images, used: &used, held: &held, busy: &busy });
    let mut failed = None;
    for action in actions {
        let done = match action {
            Action::Report { image, digest, held } => report(app, image, &digest, held).await,
            Action::Remove(digest) => remove(app, &digest),
            Action::Check(digest) => {
                copies.start(digest, Kind::Check, 0);
                Ok(())
            }
            Action::Fetch { digest, size_bytes } => {
                copies.start(digest, Kind::Fetch, size_bytes);
                Ok(())
            }
        };
        if let Err(error) = done {
            failed.get_or_insert(error);
        }
    }
    tidy(app, &images)?;
    let named: BTreeSet<Digest> = images.iter().filter_map(|image| digest_of(image)).collect();
    let orphans = held.keys().filter(|digest| !named.contains(digest)).count();
    app.metrics.orphans.set(i64::try_from(orphans).unwrap_or(i64::MAX));
    if !app.is_primary() {
        // Only the primary says this.
        app.metrics.lonely.set(0);
    }
    app.metrics.stored.set(i64::try_from(app.shelf.total().0).unwrap_or(i64::MAX));
    failed.map_or(Ok(()), Err)
}

/// Removes what uploads and copies have left behind.
fn tidy(app: &App, images: &[&Image]) -> Result<(), StoreError> {
    let uploads = app.upload_files()?;
    let seen = imports::Seen {
        images,
        uploads: &uploads,
        used: &None,
        now: clock::now(),
        import_patience_ms: app.settings.limits.import_patience_ms(),
        delete_patience_ms: app.settings.limits.delete_patience_ms(),
    };
    for id in imports::discard(&seen) {
        app.uploads.close(&id);
        store::remove(&app.store.upload(&id))?;
    }
    let wanted =
        |digest: &Digest| images.iter().any(|i| i.state == State::Ready && digest_of(i).as_ref() == Some(digest));
    for digest in app.store.copies()? {
        if !wanted(&digest) {
            store::remove(&app.store.copy(&digest))?;
        }
    }
    Ok(())
}

async fn report(app: &App, image: ImageName, digest: &Digest, held: bool) -> Result<(), StepError> {
    let report = ReportCopy {
        name: image,
        sha256: digest.to_string(),
        site: app.site.clone(),
        presence: Action::presence(held),
    };
    match app.ctx.bus.request(&report).await {
        Ok(_) => Ok(()),
        // The image went or changed meanwhile; the next look at the documents decides.
        Err(CallError::Refused(body))
            if matches!(body.refusal, Refusal::ImageUnknown { .. } | Refusal::ImageNotReady { .. }) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn remove(app: &App, digest: &Digest) -> Result<(), StepError> {
    app.shelf.forget(digest);
    app.store.remove_blob(digest)?;
    tracing::info!(sha256 = %digest, "a deleted image's file is removed");
    // The next turn reports it.
    app.wake_copies.wake();
    Ok(())
}

impl Copies {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is worked on, or is not to be tried again yet.
    fn busy(&self) -> BTreeSet<Digest> {
        let now = Instant::now();
        let is_busy = |job: &Job| match job {
            Job::Running(_) => true,
            Job::Resting { until, .. } => *until > now,
        };
        self.lock().iter().filter(|(_, job)| is_busy(job)).map(|(digest, _)| digest.clone()).collect()
    }

    /// Begins a job beside the loop, if there is a place for one of its kind.
    fn start(self: &Arc<Self>, digest: Digest, kind: Kind, size_bytes: u64) {
        let most = match kind {
            Kind::Fetch => self.app.settings.limits.max_copies,
            Kind::Check => 1,
        };
        let mut jobs = self.lock();
        let running = jobs.values().filter(|job| matches!(job, Job::Running(k) if *k == kind)).count();
        if running >= most {
            return;
        }
        let failures = match jobs.insert(digest.clone(), Job::Running(kind)) {
            Some(Job::Resting { failures, .. }) => failures,
            _ => 0,
        };
        drop(jobs);
        let copies = Arc::clone(self);
        self.app.ctx.spawn("copy", async move {
            let ended = match kind {
                Kind::Fetch => copies.fetch(&digest, size_bytes).await,
                Kind::Check if copies.check(&digest).await => Ended::Well,
                Kind::Check => Ended::Badly,
            };
            if ended == Ended::Well {
                copies.lock().remove(&digest);
                copies.app.wake_copies.wake();
                return;
            }
            let failures = if ended == Ended::Badly { failures + 1 } else { 0 };
            let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(MOST_PAUSE);
            let until = Instant::now() + pause;
            copies.lock().insert(digest, Job::Resting { until, failures });
            // Its place is free for another one now, and it may try again later.
            copies.app.wake_copies.wake();
            tokio::select! {
                () = tokio::time::sleep_until(until) => copies.app.wake_copies.wake(),
                () = copies.app.ctx.shutdown.cancelled() => {}
            }
        });
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
            Err(fetch::FetchError::Stopped) => Ended::Well,
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
        let done = match digested(&path, &file, &app.ctx.shutdown).await {
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
