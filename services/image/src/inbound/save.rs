//! Saving a server's disk as an image: the intent is written, and the loop of saves makes it so.

use std::{collections::BTreeMap, sync::Arc};

use watari_chassis::{Entry, TraceParent, clock};
use watari_contracts::image::{ImageView, SaveImage};
use watari_model::{
    Refusal, VmName,
    image::{About, Announced, Image, Saved, State},
    vm::{self, Vm},
};

use super::show::view_of;
use crate::{
    admission,
    app::App,
    catalogue::{unread, vacant},
};

pub(super) async fn handle(app: &App, asker: String, request: SaveImage) -> Result<ImageView, Refusal> {
    if let Some(request_id) = &request.request_id {
        admission::named(request_id)?;
    }
    let known = app.images.bucket().get(request.name.as_str()).await.map_err(unread)?;
    if let Some(entry) = known.as_ref().filter(|e| Some(&e.value.request_id) == request.request_id.as_ref()) {
        return again(app, &entry.value, &request);
    }
    let failed = vacant(known)?;
    let vm = server(app, &request.vm)?;
    let _alone = app.admitting.lock().await;
    admission::keepable(app)?;
    admission::number(app)?;
    admission::share(app, &asker, &request.name, 0)?;
    // How large it will be is known when it is copied, and judged then.
    admission::room(app, &request.name, 0)?;
    // What is said of the image under it holds of this one too.
    let base = app.images.get(vm.value.spec.base.image.as_str());
    let mut about = base.map(|base| base.value.about.clone()).unwrap_or_default();
    // Whatever is said of that one by now: what is on the disk boots as its server does.
    about.firmware = vm.value.spec.base.firmware;
    let image = app.announce(fresh(&request, &vm.value, about, asker), failed).await?;
    tracing::info!(image = %image.name, vm = %request.vm, "a server is to be saved as an image");
    Ok(view_of(app, &image))
}

/// The same request once more: it must be about the same server.
fn again(app: &App, image: &Image, request: &SaveImage) -> Result<ImageView, Refusal> {
    if image.saved_from.as_ref().is_none_or(|saved| saved.vm != request.vm) {
        return Err(Refusal::RequestIdReused { request_id: image.request_id.clone() });
    }
    if image.state == State::Deleting {
        return Err(Refusal::ImageNotReady { image: image.name.to_string(), state: image.state.word().to_owned() });
    }
    Ok(view_of(app, image))
}

/// A server that has a disk. One that is just being started or moved is waited for.
fn server(app: &App, name: &VmName) -> Result<Arc<Entry<Vm>>, Refusal> {
    let servers = app.servers().ok_or_else(|| Refusal::NoAnswer { who: "scheduler".to_owned() })?;
    let found = servers.into_iter().find(|entry| entry.value.name == *name);
    let entry = found.ok_or_else(|| Refusal::VmUnknown { vm: name.to_string() })?;
    if entry.value.state == vm::State::Deleting || entry.value.grant.is_none() {
        return Err(Refusal::VmState {
            vm: name.to_string(),
            state: entry.value.state.word().to_owned(),
            wanted: "be saved as an image".to_owned(),
        });
    }
    Ok(entry)
}

fn fresh(request: &SaveImage, vm: &Vm, about: About, asker: String) -> Image {
    let now = clock::now();
    Image {
        v: 1,
        name: request.name.clone(),
        state: State::Importing,
        about,
        announced: Some(Announced::default()),
        asked_by: Some(asker),
        saved_from: Some(Saved::new(vm.name.clone(), vm.uuid.clone(), now)),
        stored: None,
        copies: BTreeMap::new(),
        kept: BTreeMap::new(),
        fault: None,
        request_id: request.request_id.clone().unwrap_or_else(|| TraceParent::fresh().trace_id()),
        created_at: now,
        changed_at: now,
    }
}
