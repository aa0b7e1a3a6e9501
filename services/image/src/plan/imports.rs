//! What the primary has to do about imports and deletions.

use std::collections::BTreeMap;

use watari_model::{
    ImageName, Refusal, Said, Timestamp,
    image::{Image, State},
};

use super::{Used, digest_of, needed_beside};
use crate::store::UploadId;

/// An upload's file on this front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// How much has arrived.
    pub length: u64,
    /// When the last of it did.
    pub touched: Timestamp,
}

/// What the primary sees.
pub struct Seen<'a> {
    /// All images.
    pub images: &'a [&'a Image],
    /// The uploads that have a file here.
    pub uploads: &'a BTreeMap<UploadId, Upload>,
    /// What servers stand on.
    pub used: &'a Used,
    /// Now.
    pub now: Timestamp,
    /// How long an import may stand still.
    pub import_patience_ms: u64,
    /// How long a deletion waits for silent sites.
    pub delete_patience_ms: u64,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// All bytes are here, but the document does not say so: the process died in between.
    Arrive(ImageName, UploadId, u64),
    /// Fetch the file from where the document says.
    Download(ImageName),
    /// Check the file.
    Verify(ImageName),
    /// End an import.
    Refuse(ImageName, Refusal),
    /// Delete the document of an image whose files are gone.
    Forget(ImageName),
}

/// What is to be done.
#[must_use]
pub fn decide(seen: &Seen<'_>) -> Vec<Action> {
    seen.images.iter().filter_map(|image| of(seen, image)).collect()
}

fn of(seen: &Seen<'_>, image: &Image) -> Option<Action> {
    let name = image.name.clone();
    let id = UploadId::for_image(image);
    let upload = seen.uploads.get(&id);
    let complete = upload.is_some_and(|u| image.announced.as_ref().is_some_and(|a| a.size_bytes == Some(u.length)));
    let idle_ms = seen.now.millis_since(upload.map_or(image.changed_at, |u| u.touched.max(image.changed_at)));
    match image.state {
        State::Importing if complete => Some(Action::Arrive(name, id, upload.map_or(0, |u| u.length))),
        // Whoever fetches it knows when to give up.
        State::Importing if image.announced.as_ref().is_some_and(|a| a.url.is_some()) => Some(Action::Download(name)),
        // What a node copies and sends is looked after in `saves`.
        State::Importing if image.saved_from.is_some() => None,
        State::Importing if idle_ms >= seen.import_patience_ms => {
            let minutes = (idle_ms / 60_000).to_string();
            Some(Action::Refuse(name, Refusal::ImportAbandoned { image: image.name.to_string(), minutes }))
        }
        State::Verifying if upload.is_some() => Some(Action::Verify(name)),
        // Another front end may have the file and become primary again.
        State::Verifying if idle_ms >= seen.import_patience_ms => Some(Action::Refuse(name, lost(image))),
        State::Deleting if gone(seen, image) => Some(Action::Forget(name)),
        State::Importing | State::Verifying | State::Ready | State::Failed | State::Deleting => None,
    }
}

/// The front end that had the file has not come back with it.
fn lost(image: &Image) -> Refusal {
    let name = image.name.to_string();
    match &image.saved_from {
        None => Refusal::ImportLost { image: name },
        Some(saved) => Refusal::ImageSaveFailed {
            image: name,
            vm: saved.vm.to_string(),
            detail: Said::new(
                "the front end that received it went away before it was checked",
                "受信したフロントエンドが、検査の前に失われました",
            ),
        },
    }
}

/// Whether a deleted image's document may go: no site has its file, on a disk or in a store, or those that may have it
/// have been silent for long. A file that is left there is harmless and is counted as an orphan.
fn gone(seen: &Seen<'_>, image: &Image) -> bool {
    let Some(digest) = digest_of(image) else { return true };
    let elsewhere = needed_beside(image, &digest, seen.images.iter().copied());
    let free = elsewhere || seen.used.as_ref().is_some_and(|used| !used.contains(&digest));
    let waited = seen.now.millis_since(image.changed_at) >= seen.delete_patience_ms;
    free && (image.copies.is_empty() && image.kept.is_empty() || waited)
}

/// The uploads whose files are of no use any more. An upload without a document is given time:
/// that a document is missing is no order.
#[must_use]
pub fn discard(seen: &Seen<'_>) -> Vec<UploadId> {
    let mut known = BTreeMap::new();
    for image in seen.images {
        let wanted = matches!(image.state, State::Importing | State::Verifying);
        known.insert(UploadId::for_image(image), wanted);
    }
    let useless = |id: &UploadId, upload: &Upload| match known.get(id) {
        Some(wanted) => !wanted,
        None => seen.now.millis_since(upload.touched) >= seen.import_patience_ms,
    };
    seen.uploads.iter().filter(|(id, upload)| useless(id, upload)).map(|(id, _)| id.clone()).collect()
}
