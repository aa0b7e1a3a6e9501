//! Each instance's loop: every ready image is to be on this front end's disk, checked and reported, and in the site's
//! object store, if it has one; what is deleted is to be gone.

mod fetch;
mod jobs;
mod vault;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rustls::ClientConfig;
use watari_chassis::{CallError, clock, looper};
use watari_contracts::image::ReportCopy;
use watari_model::{
    ImageName, Refusal,
    image::{Image, ObjectStore, State},
};

use crate::{
    app::App,
    digest::Digest,
    objects::Objects,
    plan::{
        copies::{Action, Seen, Vault, decide},
        digest_of, imports,
    },
    store::{self, StoreError},
};
use fetch::Fetcher;
use jobs::{Jobs, Kind};

/// How often the loop looks without being woken.
const TICK: Duration = Duration::from_secs(2);

/// Why a turn did not succeed; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the primary was not told of a copy: {0}")]
    Report(#[from] CallError),
}

/// Begins the loop. `tls` shows this front end's certificate to the others.
pub fn begin(app: &Arc<App>, tls: ClientConfig) {
    let jobs = match Fetcher::new(app, tls) {
        Ok(fetcher) => Arc::new(Jobs::new(app, fetcher)),
        Err(error) => {
            tracing::error!(%error, "no copies can be fetched, so the process stops");
            app.ctx.shutdown.cancel();
            return;
        }
    };
    vault::begin(app);
    let looping = Arc::clone(app);
    app.ctx.spawn("copies", async move {
        let wake = looping.wake_copies.clone();
        looper::run(&looping.ctx, "copies", wake, TICK, || step(&jobs, &looping)).await;
    });
}

async fn step(jobs: &Arc<Jobs>, app: &App) -> Result<(), StepError> {
    let held = app.shelf.look()?;
    let snapshot = app.images.snapshot();
    let images: Vec<&Image> = snapshot.values().map(|entry| &entry.value).collect();
    let mut used = app.used();
    // As good as in use: the image that it is for is not ready yet.
    used.iter_mut().for_each(|used| used.extend(app.waiting.files(&images)));
    let busy = jobs.busy();
    let listed = app.objects.as_ref().and_then(Objects::listed);
    let by_last_use = app.objects.as_ref().map(|_| app.shelf.by_last_use()).unwrap_or_default();
    let vault = app.objects.as_ref().map(|objects| Vault {
        store: objects.name(),
        objects: listed.as_deref(),
        most_bytes: app.settings.store.cache_bytes(),
        by_last_use: &by_last_use,
    });
    let actions = decide(&Seen { site: &app.site, images: &images, used: &used, held: &held, busy: &busy, vault });
    let mut failed = None;
    for action in actions {
        let done = match action {
            Action::Report { image, digest, held } => report(app, image, &digest, None, held).await,
            Action::ReportKept { image, digest, store, kept } => report(app, image, &digest, Some(store), kept).await,
            Action::Remove(digest) => remove(app, &digest),
            long => {
                if let Some((digest, kind, size_bytes)) = Kind::of(long) {
                    jobs.start(digest, kind, size_bytes);
                }
                Ok(())
            }
        };
        if let Err(error) = done {
            failed.get_or_insert(error);
        }
        looper::goes_on();
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

/// Tells the primary of a copy on the disk, or in a store.
async fn report(
    app: &App,
    image: ImageName,
    digest: &Digest,
    store: Option<ObjectStore>,
    held: bool,
) -> Result<(), StepError> {
    let report = ReportCopy {
        name: image,
        sha256: digest.to_string(),
        site: app.site.clone(),
        presence: Action::presence(held),
        store,
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
    // Since that was decided reports may have waited for the bus, and another image may have come with the same file.
    let snapshot = app.images.snapshot();
    let images: Vec<&Image> = snapshot.values().map(|entry| &entry.value).collect();
    let ready = |image: &&Image| image.state == State::Ready && digest_of(image).as_ref() == Some(digest);
    if images.iter().any(ready) || app.waiting.files(&images).contains(digest) {
        return Ok(());
    }
    app.shelf.forget(digest);
    app.store.remove_blob(digest)?;
    tracing::info!(sha256 = %digest, "a deleted image's file is removed");
    // The next turn reports it.
    app.wake_copies.wake();
    Ok(())
}
