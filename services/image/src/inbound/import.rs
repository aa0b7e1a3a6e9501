//! Announcing a file: the document is made, and a ticket says where the bytes go.

use std::collections::BTreeMap;

use watari_chassis::clock;
use watari_contracts::image::{ImportImage, Ticket};
use watari_model::{
    Refusal, Said,
    image::{Announced, Image, State},
};

use super::show::view_of;
use crate::{
    admission,
    app::App,
    catalogue::{unread, vacant},
    digest::Digest,
    downloads::address,
    store::{Partial, UploadId},
};

pub(super) async fn handle(app: &App, asker: String, request: ImportImage) -> Result<Ticket, Refusal> {
    let announced = announced(app, &request)?;
    let known = app.images.bucket().get(request.name.as_str()).await.map_err(unread)?;
    let image = match known {
        Some(entry) if entry.value.request_id == request.request_id => again(entry.value, &announced, &request)?,
        known => {
            let failed = vacant(known)?;
            let _alone = app.admitting.lock().await;
            admission::keepable(app)?;
            admission::number(app)?;
            // What comes without a size is bounded as it comes.
            let size = announced.size_bytes.unwrap_or(0);
            admission::share(app, &asker, &request.name, size)?;
            admission::room(app, &request.name, size)?;
            app.announce(fresh(&request, announced, asker), failed).await?
        }
    };
    ticket(app, &image)
}

/// What the request says of the file, if it can be true.
fn announced(app: &App, request: &ImportImage) -> Result<Announced, Refusal> {
    let out_of_range =
        |field: &str, value: String, allowed: Said| Refusal::OutOfRange { field: field.to_owned(), value, allowed };
    admission::named(&request.request_id)?;
    request.about.check()?;
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
    let same_file = known.is_some_and(|k| k.sha256 == announced.sha256 && k.url == announced.url);
    // What is said of it may have been changed once it was there.
    let same_about = image.state == State::Ready || image.about == request.about;
    if !same_size || !same_file || !same_about || image.saved_from.is_some() {
        return Err(Refusal::RequestIdReused { request_id: request.request_id.clone() });
    }
    if image.state == State::Deleting {
        return Err(Refusal::ImageNotReady { image: image.name.to_string(), state: image.state.word().to_owned() });
    }
    Ok(image)
}

fn fresh(request: &ImportImage, announced: Announced, asker: String) -> Image {
    let now = clock::now();
    Image {
        v: 1,
        name: request.name.clone(),
        state: State::Importing,
        about: request.about.clone(),
        announced: Some(announced),
        asked_by: Some(asker),
        saved_from: None,
        stored: None,
        copies: BTreeMap::new(),
        kept: BTreeMap::new(),
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
        return Ok(Ticket { image: view, url: None, token: String::new(), offset, framed: false });
    }
    let id = UploadId::for_image(image);
    let offset = Partial::length_at(&app.store.upload(&id)).map_err(|e| Refusal::Internal { detail: e.to_string() })?;
    let token =
        app.uploads.open(&id, image).ok_or_else(|| Refusal::Internal { detail: "no random numbers".to_owned() })?;
    let url = Some(app.upload_url(&id));
    Ok(Ticket { image: view, url, token, offset: offset.unwrap_or(0), framed: true })
}
