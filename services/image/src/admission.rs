//! Whether one more image may be begun: how many are under way, and what the disk has left.

use watari_model::{ImageName, Refusal, image::State, said};

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
