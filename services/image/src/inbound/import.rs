//! Announcing a file: the document is made, and a ticket says where the bytes go.

use std::collections::BTreeMap;

use watari_chassis::{WriteError, clock};
use watari_contracts::image::{ImportImage, Ticket};
use watari_model::{
    Refusal, Said,
    image::{Announced, Image, State},
    said,
};

use super::show::view_of;
use crate::{
    app::App,
    catalogue::{unacknowledged, unread},
    digest::Digest,
    downloads::address,
    store::{Partial, StoreError, UploadId},
};

/// The longest request_id.
const MOST_REQUEST_ID: usize = 128;

pub(super) async fn handle(app: &App, request: ImportImage) -> Result<Ticket, Refusal> {
    let announced = announced(app, &request)?;
    let known = app.images.bucket().get(request.name.as_str()).await.map_err(unread)?;
    let image = match known {
        Some(entry) if entry.value.request_id == request.request_id => again(entry.value, &announced, &request)?,
        // A failed import leaves its name to the next one.
        Some(entry) if entry.value.state == State::Failed => {
            admit(app, &request, &announced)?;
            let image = fresh(&request, announced);
            match app.images.update(&image, entry.revision).await {
                Ok(_) => image,
                Err(WriteError::Bus { .. }) => return Err(Refusal::NoAnswer { who: "nats".to_owned() }),
                Err(_) => return Err(Refusal::ImageExists { image: request.name.to_string() }),
            }
        }
        Some(_) => return Err(Refusal::ImageExists { image: request.name.to_string() }),
        None => {
            admit(app, &request, &announced)?;
            let image = fresh(&request, announced);
            match app.images.create(&image).await {
                Ok(_) => image,
                Err(error @ WriteError::Bus { .. }) => return Err(unacknowledged(&error)),
                Err(_) => return Err(Refusal::ImageExists { image: request.name.to_string() }),
            }
        }
    };
    ticket(app, &image)
}

/// What the request says of the file, if it can be true.
fn announced(app: &App, request: &ImportImage) -> Result<Announced, Refusal> {
    let out_of_range =
        |field: &str, value: String, allowed: Said| Refusal::OutOfRange { field: field.to_owned(), value, allowed };
    let id = &request.request_id;
    if id.is_empty() || id.len() > MOST_REQUEST_ID || id.chars().any(char::is_control) {
        let value = id.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(out_of_range(
            "request_id",
            value,
            said!("1 to {MOST_REQUEST_ID} printable characters", "表示できる文字 1～{MOST_REQUEST_ID} 個"),
        ));
    }
    let most = app.settings.limits.max_image_bytes();
    if let Some(size) = request.size_bytes.filter(|size| *size == 0 || *size > most) {
        return Err(out_of_range("size_bytes", size.to_string(), Said::between(1, most)));
    }
    let url = request.url.as_deref().map(address::wanted).transpose()?;
    let sha256 = match &request.sha256 {
        None => None,
        Some(text) => Some(text.parse::<Digest>().map_err(|_| {
            out_of_range("sha256", text.chars().take(80).collect(), Said::new("64 hexadecimal digits", "16 進数 64 桁"))
        })?),
    };
    Ok(Announced { size_bytes: request.size_bytes, sha256: sha256.map(String::from), url: url.map(String::from) })
}

/// The same request once more: it must be about the same file.
fn again(image: Image, announced: &Announced, request: &ImportImage) -> Result<Image, Refusal> {
    let known = image.announced.as_ref();
    // A size that nobody knew when it was announced has been found out since.
    let same_size = announced.size_bytes.is_none() || known.is_some_and(|k| k.size_bytes == announced.size_bytes);
    if !same_size || !known.is_some_and(|k| k.sha256 == announced.sha256 && k.url == announced.url) {
        return Err(Refusal::RequestIdReused { request_id: request.request_id.clone() });
    }
    if image.state == State::Deleting {
        return Err(Refusal::ImageNotReady { image: image.name.to_string(), state: image.state.word().to_owned() });
    }
    Ok(image)
}

/// Whether there is room for one more import, in number and on the disk.
fn admit(app: &App, request: &ImportImage, announced: &Announced) -> Result<(), Refusal> {
    let images = app.images.snapshot();
    let under_way =
        images.values().map(|e| &e.value).filter(|i| matches!(i.state, State::Importing | State::Verifying));
    let (mut number, mut promised) = (0, 0_u64);
    for image in under_way {
        number += 1;
        let arrived = Partial::length_at(&app.store.upload(&UploadId::of(&image.name, &image.request_id)));
        let arrived = arrived.map_err(|e| no_room(request, &e))?.unwrap_or(0);
        promised = promised
            .saturating_add(image.announced.as_ref().map_or(0, |a| a.size_bytes.unwrap_or(0).saturating_sub(arrived)));
    }
    if number >= app.settings.limits.max_imports {
        return Err(Refusal::ImportsBusy { limit: app.settings.limits.max_imports.to_string() });
    }
    let free = app.store.free_bytes().map_err(|e| no_room(request, &e))?;
    // What comes without a size is bounded as it comes.
    let size = announced.size_bytes.unwrap_or(0);
    let wanted = promised.saturating_add(size).saturating_add(app.settings.limits.reserve_mib << 20);
    if wanted > free {
        let detail = format!(
            "it takes {} MiB, and {} MiB are free besides what is promised",
            size >> 20,
            free.saturating_sub(promised) >> 20
        );
        return Err(Refusal::ImageNoRoom { image: request.name.to_string(), detail });
    }
    Ok(())
}

fn no_room(request: &ImportImage, error: &StoreError) -> Refusal {
    Refusal::ImageNoRoom { image: request.name.to_string(), detail: error.to_string() }
}

fn fresh(request: &ImportImage, announced: Announced) -> Image {
    let now = clock::now();
    Image {
        v: 1,
        name: request.name.clone(),
        state: State::Importing,
        announced: Some(announced),
        stored: None,
        copies: BTreeMap::new(),
        fault: None,
        request_id: request.request_id.clone(),
        created_at: now,
        changed_at: now,
    }
}

/// Where the bytes go, if any are still wanted.
fn ticket(app: &App, image: &Image) -> Result<Ticket, Refusal> {
    let announced = image.announced.clone().unwrap_or_default();
    let view = view_of(app, image);
    if image.state != State::Importing || announced.url.is_some() {
        let offset = view.arrived_bytes.or(announced.size_bytes).unwrap_or(0);
        return Ok(Ticket { image: view, url: None, token: String::new(), offset });
    }
    let id = UploadId::of(&image.name, &image.request_id);
    let offset = Partial::length_at(&app.store.upload(&id)).map_err(|e| Refusal::Internal { detail: e.to_string() })?;
    let token =
        app.uploads.open(&id, image).ok_or_else(|| Refusal::Internal { detail: "no random numbers".to_owned() })?;
    let url = format!("{}/v1/uploads/{id}", app.settings.advertise.trim_end_matches('/'));
    Ok(Ticket { image: view, url: Some(url), token, offset: offset.unwrap_or(0) })
}
