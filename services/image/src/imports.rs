//! The primary's loop: files that have arrived are checked and kept, imports that stand still are ended,
//! deleted images are forgotten.

mod keeping;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};

use watari_chassis::{clock, looper};
use watari_model::{
    ImageName, Refusal, SiteName,
    image::{self, Change, Image, State, Stored},
};

pub(crate) use keeping::Waiting;

use crate::{
    app::App,
    catalogue::Step,
    checking::{Candidate, CheckError, Sound},
    downloads,
    objects::ObjectsError,
    plan::{
        digest_of,
        imports::{Action, Seen, decide},
    },
    store::{self, Prefix, StoreError, UploadId},
};

/// How often the loop looks without being woken.
const TICK: Duration = Duration::from_secs(5);
/// A copy may take so long before it is said to be missing.
const LONELY_AFTER_MS: u64 = 120_000;
/// Images that are checked at the same time.
const AT_ONCE: usize = 2;

/// Why a turn did not succeed; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Begins the loop.
pub fn begin(app: &Arc<App>) {
    let looping = Arc::clone(app);
    app.ctx.spawn("imports", async move {
        let app = looping;
        let step = |_epoch| step(&app);
        looper::run_as_primary(&app.ctx, "imports", app.leadership.clone(), app.wake_imports.clone(), TICK, step).await;
    });
}

async fn step(app: &Arc<App>) -> Result<(), StepError> {
    let snapshot = app.images.snapshot();
    let images: Vec<&Image> = snapshot.values().map(|entry| &entry.value).collect();
    keeping::tidy(app, &images)?;
    let (uploads, used) = (app.upload_files()?, app.used());
    let seen = Seen {
        images: &images,
        uploads: &uploads,
        used: &used,
        now: clock::now(),
        import_patience_ms: app.settings.limits.import_patience_ms(),
        delete_patience_ms: app.settings.limits.delete_patience_ms(),
    };
    // One image that cannot be handled, or takes long, holds up no other.
    let failed = Mutex::new(None);
    stream::iter(decide(&seen))
        .for_each_concurrent(AT_ONCE, |action| async {
            if app.ctx.shutdown.is_cancelled() {
                return;
            }
            if let Err(error) = act(app, action).await {
                tracing::debug!(%error, "an import cannot go on just now");
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        })
        .await;
    tell_lonely(app);
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

async fn act(app: &Arc<App>, action: Action) -> Result<(), StepError> {
    match action {
        Action::Arrive(name, id, size_bytes) => arrived(app, &name, &id, size_bytes).await.map_err(StepError::from),
        Action::Download(name) => {
            downloads::start(app, &name);
            Ok(())
        }
        // Bounded by the checking program's own limits, which are hours for a large disk.
        Action::Verify(name) => looper::patiently(verify(app, &name)).await,
        Action::Refuse(name, refusal) => Ok(refuse(app, &name, refusal).await?),
        Action::Forget(name) => forget(app, &name).await,
    }
}

/// Notes that all bytes of an upload are here.
///
/// # Errors
/// If the import is over meanwhile or about another file by now, or NATS does not acknowledge.
pub(crate) async fn arrived(app: &App, name: &ImageName, id: &UploadId, size_bytes: u64) -> Result<(), Refusal> {
    app.change(name, |image| match image.state {
        State::Importing if UploadId::for_image(image) == *id => applied(image, Change::Arrived { size_bytes }),
        State::Verifying | State::Ready => Ok(Step::Leave),
        // The loop had noted it, and it was refused, before whoever sent it had the answer: why, the image tells.
        State::Failed if UploadId::for_image(image) == *id => Ok(Step::Leave),
        State::Importing | State::Failed | State::Deleting => {
            Err(Refusal::ImageNotReady { image: image.name.to_string(), state: image.state.word().to_owned() })
        }
    })
    .await?;
    Ok(())
}

/// Ends an import and removes what has arrived of it.
///
/// # Errors
/// If NATS does not acknowledge; the next turn tries again.
pub(crate) async fn refuse(app: &App, name: &ImageName, refusal: Refusal) -> Result<(), Refusal> {
    let image = app
        .change(name, |image| match image.state {
            State::Importing | State::Verifying => applied(image, Change::Refused(refusal.clone())),
            State::Ready | State::Failed | State::Deleting => Ok(Step::Leave),
        })
        .await?;
    if image.state == State::Failed {
        let id = UploadId::for_image(&image);
        app.uploads.close(&id);
        if let Err(error) = store::remove(&app.store.upload(&id)) {
            tracing::warn!(%error, "a refused file is still there; it is removed later");
        }
        app.metrics.imports.with_label_values(&[refusal.code()]).inc();
        tracing::warn!(image = %name, code = refusal.code(), %refusal, "the import failed");
    }
    Ok(())
}

/// Changes an image's state now.
///
/// # Errors
/// [`Refusal::Internal`] if its state takes no such change.
pub(crate) fn applied(image: &mut Image, change: Change) -> Result<Step, Refusal> {
    image.apply(change, clock::now()).map(|()| Step::Write).map_err(|e| Refusal::Internal { detail: e.to_string() })
}

async fn verify(app: &Arc<App>, name: &ImageName) -> Result<(), StepError> {
    let Some(entry) = app.images.get(name.as_str()) else { return Ok(()) };
    let image = &entry.value;
    let id = UploadId::for_image(image);
    let prefix = app.uploads.digested(&id).unwrap_or_default();
    app.uploads.close(&id);
    let stored = match app.waiting.sound(&id).filter(|stored| is_on_shelf(app, stored)) {
        Some(stored) => stored,
        None => match checked(app, image, &id, prefix).await? {
            Some(stored) => stored,
            None => return Ok(()),
        },
    };
    let began = Instant::now();
    let Some(kept) = keeping::keep(app, name, &id, &stored).await? else { return Ok(()) };
    let site = app.site.clone();
    let request_id = &image.request_id;
    app.change(name, |image| {
        if image.state != State::Verifying || image.request_id != *request_id {
            return Ok(Step::Leave);
        }
        image.copies.insert(site.clone(), clock::now());
        image.kept.extend(kept.clone());
        applied(image, Change::Verified(stored.clone()))
    })
    .await?;
    app.metrics.import_phase("keep", began);
    app.waiting.ends(&id);
    store::remove(&app.store.upload(&id))?;
    app.metrics.imports.with_label_values(&["ready"]).inc();
    tracing::info!(image = %name, sha256 = stored.sha256, size_bytes = stored.size_bytes, "an image is ready");
    Ok(())
}

/// Checks an upload and puts what is sound on the shelf; none if it was refused, or nobody waits for the end.
async fn checked(app: &Arc<App>, image: &Image, id: &UploadId, prefix: Prefix) -> Result<Option<Stored>, StepError> {
    let announced = image.announced.clone().unwrap_or_default();
    let candidate = Candidate { image: &image.name, upload: id, announced: &announced, prefix };
    let began = Instant::now();
    let sound = match app.checker.check(&candidate, &app.ctx.shutdown).await {
        Ok(sound) => sound,
        Err(error) => {
            app.checker.clear(id)?;
            return match error {
                CheckError::Refused(refusal) => {
                    refuse(app, &image.name, *refusal).await?;
                    Ok(None)
                }
                CheckError::Interrupted => Ok(None),
                error => Err(error.into()),
            };
        }
    };
    app.metrics.import_phase("check", began);
    // Before it lies there: an image with the same file may just be going, and takes with it what nobody else needs.
    app.waiting.begins(id, &image.name, &sound.stored);
    let (began, keeper) = (Instant::now(), Arc::clone(app));
    let shelved = tokio::task::spawn_blocking(move || take_in(&keeper, &sound).map(|()| sound.stored)).await;
    let stored = shelved.map_err(|_| CheckError::Interrupted)??;
    app.metrics.import_phase("shelve", began);
    app.checker.clear(id)?;
    Ok(Some(stored))
}

fn is_on_shelf(app: &App, stored: &Stored) -> bool {
    stored.sha256.parse().is_ok_and(|digest| app.shelf.open_blob(&digest).is_ok_and(|file| file.is_some()))
}

/// Puts a checked file on the shelf.
fn take_in(app: &App, sound: &Sound) -> Result<(), StoreError> {
    let Ok(digest) = sound.stored.sha256.parse() else { return Ok(()) };
    if app.shelf.open_blob(&digest)?.is_some() {
        // Another image has the same file, and it is sound.
        return Ok(());
    }
    app.store.adopt(&sound.path, &digest)?;
    let blob = app.store.blob(&digest);
    let meta = std::fs::metadata(&blob).map_err(|source| StoreError { act: "measure", path: blob, source })?;
    app.shelf.trust(&digest, &meta)
}

async fn forget(app: &App, name: &ImageName) -> Result<(), StepError> {
    let Some(entry) = app.images.get(name.as_str()).filter(|e| e.value.state == State::Deleting) else { return Ok(()) };
    let sites: BTreeSet<&SiteName> = entry.value.copies.keys().chain(entry.value.kept.keys()).collect();
    if !sites.is_empty() {
        tracing::warn!(image = %name, ?sites, "forgotten, though these sites did not say that they have removed it");
    }
    // While there is a document it is known that nobody wants this; without one it would be kept for
    // a while, in case its document is only late.
    let id = UploadId::for_image(&entry.value);
    app.uploads.close(&id);
    store::remove(&app.store.upload(&id))?;
    match app.images.delete(name.as_str(), entry.revision).await {
        Ok(_) => {
            tracing::info!(image = %name, "is deleted");
            Ok(())
        }
        Err(watari_chassis::WriteError::Bus { key, detail }) => {
            Err(Refusal::Internal { detail: format!("deleting {key} was not acknowledged: {detail}") }.into())
        }
        // Somebody has written it since, or leads by now; the next turn looks again.
        Err(_) => Ok(()),
    }
}

/// Says loudly which ready images not every site has for itself after a while: they endanger the next evacuation.
fn tell_lonely(app: &App) {
    let sites = 1 + app.settings.peers.len();
    let (snapshot, now) = (app.images.snapshot(), clock::now());
    let ready = snapshot.values().map(|e| &e.value).filter(|i| i.state == State::Ready && digest_of(i).is_some());
    let lonely: Vec<&Image> = ready.filter(|i| image::sites(&i.copies, &i.kept).len() < sites).collect();
    app.metrics.lonely.set(i64::try_from(lonely.len()).unwrap_or(i64::MAX));
    let overdue: Vec<&str> =
        lonely.iter().filter(|i| now.millis_since(i.changed_at) > LONELY_AFTER_MS).map(|i| i.name.as_str()).collect();
    let before = app.overdue.swap(overdue.len(), Ordering::Relaxed);
    if overdue.len() > before {
        let images = overdue.join(", ");
        tracing::warn!(images, "images are not at every site; an evacuation now would have to move them");
    } else if overdue.is_empty() && before > 0 {
        tracing::info!("every image is at every site");
    }
}
