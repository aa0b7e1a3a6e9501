//! Sound images are ready only when they are kept for good. An object store may be away for hours: what was found of a
//! file is remembered meanwhile, so that it is not checked again all the time, and that no other image's end takes the
//! file away, of which no document tells yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use watari_chassis::clock;
use watari_model::{
    ImageName, Refusal, SiteName,
    image::{Image, Kept, State, Stored},
};

use super::{StepError, refuse};
use crate::{
    app::App,
    digest::Digest,
    objects::ObjectsError,
    plan::digest_of,
    store::{StoreError, UploadId},
};

#[derive(Debug)]
struct Known {
    image: ImageName,
    stored: Stored,
    /// On the boot clock in milliseconds.
    since: u64,
    refusal: Option<Refusal>,
}

/// What waits for the store, by upload. All of it may be forgotten: the check is repeated then.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    known: Mutex<BTreeMap<UploadId, Known>>,
}

impl Waiting {
    fn known(&self) -> MutexGuard<'_, BTreeMap<UploadId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found of an upload's file, if it was sound; it need not be on the shelf any more.
    pub(super) fn sound(&self, id: &UploadId) -> Option<Stored> {
        self.known().get(id).map(|known| known.stored.clone())
    }

    /// Why an image is not ready yet, though it is sound.
    pub(crate) fn refusal(&self, image: &ImageName) -> Option<Refusal> {
        self.known().values().find(|known| known.image == *image).and_then(|known| known.refusal.clone())
    }

    /// The file is sound, and about to be put on the shelf.
    pub(super) fn begins(&self, id: &UploadId, image: &ImageName, stored: &Stored) {
        let fresh =
            || Known { image: image.clone(), stored: stored.clone(), since: clock::boot_millis(), refusal: None };
        self.known().entry(id.clone()).or_insert_with(fresh);
    }

    /// It was not kept this time; tells for how many milliseconds that has been so.
    fn failed(&self, id: &UploadId, refusal: &Refusal) -> u64 {
        let mut all = self.known();
        let Some(known) = all.get_mut(id) else { return 0 };
        known.refusal = Some(refusal.clone());
        clock::boot_millis().saturating_sub(known.since)
    }

    /// The image is ready.
    pub(super) fn ends(&self, id: &UploadId) {
        self.known().remove(id);
    }

    /// The files of images that wait, of which no document tells yet.
    pub(crate) fn files(&self, images: &[&Image]) -> BTreeSet<Digest> {
        let known = self.known();
        let waiting = known.iter().filter(|(id, known)| waits(images, id, known));
        waiting.filter_map(|(_, known)| known.stored.sha256.parse().ok()).collect()
    }

    /// Forgets what no image waits with any more, and gives it.
    fn abandoned(&self, images: &[&Image]) -> Vec<Stored> {
        let mut all = self.known();
        let gone: Vec<UploadId> =
            all.iter().filter(|(id, known)| !waits(images, id, known)).map(|(id, _)| id.clone()).collect();
        gone.iter().filter_map(|id| all.remove(id)).map(|known| known.stored).collect()
    }
}

fn waits(images: &[&Image], id: &UploadId, known: &Known) -> bool {
    images.iter().any(|i| i.name == known.image && i.state == State::Verifying && UploadId::for_image(i) == *id)
}

/// Has the site's object store keep a checked file, if there is a store that stays when the other campus goes dark. One
/// that goes too gets the file later: this site relies on its disk. Gives what the document is to say of that; none if the
/// image is not ready yet, or not any more.
pub(super) async fn keep(
    app: &App,
    name: &ImageName,
    id: &UploadId,
    stored: &Stored,
) -> Result<Option<BTreeMap<SiteName, Kept>>, StepError> {
    let objects = app.objects.as_ref().filter(|objects| objects.name().outlasts_the_others_of(&app.site));
    let (Some(objects), Ok(digest)) = (objects, stored.sha256.parse::<Digest>()) else {
        return Ok(Some(BTreeMap::new()));
    };
    let error = match objects.keep(&app.store.blob(&digest), &digest, &app.ctx.shutdown).await {
        Ok(()) => {
            let kept = Kept { store: objects.name().clone(), at: clock::now() };
            return Ok(Some(BTreeMap::from([(app.site.clone(), kept)])));
        }
        Err(ObjectsError::Stopped) => return Ok(None),
        // No fault of the store's, and not told as one.
        Err(error @ (ObjectsError::Disk(_) | ObjectsError::Lost)) => return Err(error.into()),
        Err(error @ ObjectsError::Damaged { .. }) => {
            // The upload is checked again, and makes another.
            app.shelf.forget(&digest);
            app.store.set_aside(&digest)?;
            return Err(error.into());
        }
        Err(error) => error,
    };
    // How the store stands is found out now, not at its next look.
    app.wake_objects.wake();
    let refusal = objects.refusal(&error);
    if app.waiting.failed(id, &refusal) < app.settings.limits.import_patience_ms() {
        return Err(error.into());
    }
    refuse(app, name, refusal).await?;
    Ok(None)
}

/// Removes the files of images that waited and will not be ready: they were given up, or deleted. What another image
/// has or waits with stays, and so does what a server stands on.
pub(super) fn tidy(app: &App, images: &[&Image]) -> Result<(), StoreError> {
    for stored in app.waiting.abandoned(images) {
        let Ok(digest) = stored.sha256.parse::<Digest>() else { continue };
        let named = images.iter().any(|image| digest_of(image).as_ref() == Some(&digest));
        let used = app.used().is_none_or(|used| used.contains(&digest));
        if !named && !used && !app.waiting.files(images).contains(&digest) {
            app.shelf.forget(&digest);
            app.store.remove_blob(&digest)?;
        }
    }
    Ok(())
}
