//! Deleting an image: the intent is written at once, the files go as the sites see it.

use watari_chassis::clock;
use watari_contracts::image::{DeleteImage, ImageView};
use watari_model::{
    Refusal,
    image::{Change, State},
};

use super::show::view_of;
use crate::{app::App, catalogue::Step, plan::view, store::UploadId};

/// As many users as a refusal names.
const NAMED: usize = 5;

pub(super) async fn handle(app: &App, request: DeleteImage) -> Result<ImageView, Refusal> {
    let image = app
        .change(&request.name, |image| {
            if image.state == State::Deleting {
                return Ok(Step::Leave);
            }
            if image.stored.is_some() && (app.servers().is_none() || app.nodes().is_none()) {
                // Nobody knows yet who uses it.
                return Err(Refusal::NoAnswer { who: "scheduler".to_owned() });
            }
            let servers = view_of(app, image).used_by.into_iter().map(|vm| vm.to_string());
            let nodes = app.nodes().unwrap_or_default();
            let disks =
                view::disks(image, nodes.iter().map(|node| &node.value)).into_iter().map(|disk| disk.to_string());
            let users: Vec<String> = servers.chain(disks).collect();
            if !users.is_empty() {
                let mut named: Vec<String> = users.iter().take(NAMED).cloned().collect();
                if users.len() > NAMED {
                    named.push(format!("{} more", users.len() - NAMED));
                }
                return Err(Refusal::ImageInUse { image: image.name.to_string(), users: named.join(", ") });
            }
            let changed = image.apply(Change::DeleteAsked, clock::now());
            changed.map(|()| Step::Write).map_err(|e| Refusal::Internal { detail: e.to_string() })
        })
        .await?;
    app.uploads.close(&UploadId::for_image(&image));
    tracing::info!(image = %image.name, "is being deleted");
    Ok(view_of(app, &image))
}
