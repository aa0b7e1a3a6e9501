//! Showing images.

use watari_contracts::image::{GetImage, ImagePage, ImageView, ListImages};
use watari_model::{
    Refusal,
    image::{Image, State},
};

use crate::{
    app::App,
    plan::view::{self, Beside},
    store::{Partial, UploadId},
};

/// An image's view with its users as far as they are known.
pub(crate) fn view_of(app: &App, image: &Image) -> ImageView {
    let images = app.images.snapshot();
    let servers = app.servers().unwrap_or_default();
    let used_by = view::users(image, images.values().map(|e| &e.value), servers.iter().map(|vm| &vm.value));
    let importing = image.state == State::Importing;
    let path = app.store.upload(&UploadId::for_image(image));
    let arrived_bytes = importing.then(|| Partial::length_at(&path).ok().flatten().unwrap_or(0));
    let nodes = app.nodes().unwrap_or_default();
    let nodes = view::keepers(image, nodes.iter().map(|node| &node.value));
    let (heard, waits_for) = (app.saves.heard(&image.name), app.waiting.refusal(&image.name));
    view::view(image, Beside { arrived_bytes, used_by, nodes, heard, waits_for })
}

pub(super) async fn get(app: &App, request: GetImage) -> Result<ImageView, Refusal> {
    let entry = app.images.get(request.name.as_str());
    let entry = entry.ok_or_else(|| Refusal::ImageUnknown { image: request.name.to_string() })?;
    Ok(view_of(app, &entry.value))
}

pub(super) async fn list(app: &App, _request: ListImages) -> Result<ImagePage, Refusal> {
    let images = app.images.snapshot();
    Ok(ImagePage { images: images.values().map(|entry| view_of(app, &entry.value)).collect() })
}
