//! Whether one more image may be begun: how many are under way, in all and of one asker, and what the disk has left.

use std::sync::Arc;

use watari_chassis::Entry;
use watari_model::{
    ImageName, Refusal,
    image::{Image, State},
    said,
};

use crate::{
    app::App,
    store::{Partial, StoreError, UploadId},
};

/// The longest request_id.
const MOST_REQUEST_ID: usize = 128;

/// Whether a request's name for itself can be kept.
///
/// # Errors
/// [`Refusal::OutOfRange`].
pub(crate) fn named(request_id: &str) -> Result<(), Refusal> {
    let sound = !request_id.is_empty() && request_id.len() <= MOST_REQUEST_ID;
    if sound && !request_id.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Refusal::OutOfRange {
        field: "request_id".to_owned(),
        value: request_id.chars().filter(|c| !c.is_control()).take(40).collect(),
        allowed: said!("1 to {MOST_REQUEST_ID} printable characters", "表示できる文字 1～{MOST_REQUEST_ID} 個"),
    })
}

/// Whether one more may be under way.
///
/// # Errors
/// [`Refusal::ImportsBusy`].
pub(crate) fn number(app: &App) -> Result<(), Refusal> {
    let images = app.images.snapshot();
    let under_way = images.values().filter(|e| matches!(e.value.state, State::Importing | State::Verifying)).count();
    if under_way < app.settings.limits.max_imports {
        return Ok(());
    }
    Err(Refusal::ImportsBusy { limit: app.settings.limits.max_imports.to_string() })
}

/// Whether one more of this asker's may be under way, with a file of `size` bytes, 0 if that is not known.
///
/// # Errors
/// [`Refusal::UserImportsBusy`]; as [`growing`].
pub(crate) fn share(app: &App, asker: &str, name: &ImageName, size: u64) -> Result<(), Refusal> {
    let others = beside(app, asker, name);
    let most = app.settings.limits.max_user_imports;
    if others.len() >= most {
        return Err(Refusal::UserImportsBusy { limit: most.to_string() });
    }
    fits(app, &others, name, size)
}

/// Whether an import or saving, of which nobody knew how large it would be, may have so many bytes beside what else its
/// asker has under way.
///
/// # Errors
/// [`Refusal::UserImportsFull`]; the folder cannot be read.
pub(crate) fn growing(app: &App, name: &ImageName, bytes: u64) -> Result<(), Refusal> {
    let asker = app.images.get(name.as_str()).and_then(|entry| entry.value.asked_by.clone());
    asker.map_or(Ok(()), |asker| fits(app, &beside(app, &asker, name), name, bytes))
}

/// What else this asker has under way.
fn beside(app: &App, asker: &str, name: &ImageName) -> Vec<Arc<Entry<Image>>> {
    let theirs = |image: &Image| {
        let under_way = matches!(image.state, State::Importing | State::Verifying);
        under_way && image.asked_by.as_deref() == Some(asker) && image.name != *name
    };
    let images = app.images.snapshot();
    images.values().filter(|entry| theirs(&entry.value)).cloned().collect()
}

/// What is announced counts from the beginning, and what comes unannounced as it comes.
fn fits(app: &App, others: &[Arc<Entry<Image>>], name: &ImageName, size: u64) -> Result<(), Refusal> {
    let mut held = 0_u64;
    for image in others.iter().map(|entry| &entry.value) {
        let arrived = Partial::length_at(&app.store.upload(&UploadId::for_image(image)))
            .map_err(|error| Refusal::Internal { detail: error.to_string() })?;
        let announced = image.announced.as_ref().and_then(|file| file.size_bytes);
        held = held.saturating_add(arrived.max(announced).unwrap_or(0));
    }
    let limit = app.settings.limits.max_user_mib;
    if held.saturating_add(size) <= limit << 20 {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20).to_string();
    let (image, held_mib, size_mib) = (name.to_string(), mib(held), mib(size));
    Err(Refusal::UserImportsFull { image, held_mib, size_mib, limit_mib: limit.to_string() })
}

/// Whether what is taken in could be kept for good, by the last look at the object store, if there is one. One at the other
/// campus is not waited for: on the day of its outage this site takes images as it would without a store.
///
/// # Errors
/// [`Refusal::ImageStoreAway`].
pub(crate) fn keepable(app: &App) -> Result<(), Refusal> {
    let standing = app.ctx.object_store().borrow().clone();
    let standing = standing.filter(|known| known.store.outlasts_the_others_of(&app.site));
    let away = standing.and_then(|known| Some((known.store.url, known.fault?)));
    away.map_or(Ok(()), |(store, detail)| Err(Refusal::ImageStoreAway { store, detail }))
}

/// Whether a file of `size` bytes fits beside what is promised to others.
///
/// # Errors
/// [`Refusal::ImageNoRoom`].
pub(crate) fn room(app: &App, name: &ImageName, size: u64) -> Result<(), Refusal> {
    let no_room = |detail: String| Refusal::ImageNoRoom { image: name.to_string(), detail };
    let unreadable = |error: StoreError| no_room(error.to_string());
    let images = app.images.snapshot();
    let others = images.values().map(|e| &e.value).filter(|i| i.name != *name);
    let mut promised = 0_u64;
    for image in others.filter(|i| matches!(i.state, State::Importing | State::Verifying)) {
        let arrived = Partial::length_at(&app.store.upload(&UploadId::for_image(image))).map_err(unreadable)?;
        let announced = image.announced.as_ref().and_then(|a| a.size_bytes).unwrap_or(0);
        promised = promised.saturating_add(announced.saturating_sub(arrived.unwrap_or(0)));
    }
    let free = app.store.free_bytes().map_err(unreadable)?;
    let wanted = promised.saturating_add(size).saturating_add(app.settings.limits.reserve_mib << 20);
    if wanted <= free {
        return Ok(());
    }
    let left = free.saturating_sub(promised);
    Err(no_room(format!("it takes {} MiB, and {} MiB are free besides what is promised", size >> 20, left >> 20)))
}
