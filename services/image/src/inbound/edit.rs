//! Changing what is said of an image. What was made from it already stays as it was made.

use watari_contracts::image::{EditImage, ImageView};
use watari_model::{
    Refusal,
    image::{About, State},
};

use super::show::view_of;
use crate::{app::App, catalogue::Step};

pub(super) async fn handle(app: &App, request: EditImage) -> Result<ImageView, Refusal> {
    let image = app
        .change(&request.name, |image| {
            // While it is imported, whoever repeats the request says the same of it again.
            if image.state != State::Ready {
                let (image, state) = (image.name.to_string(), image.state.word().to_owned());
                return Err(Refusal::ImageNotReady { image, state });
            }
            let about = amended(&image.about, &request);
            about.check()?;
            if about == image.about {
                return Ok(Step::Leave);
            }
            image.about = about;
            Ok(Step::Write)
        })
        .await?;
    Ok(view_of(app, &image))
}

fn amended(about: &About, request: &EditImage) -> About {
    let text = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
    About {
        os: text(&request.os, &about.os),
        version: text(&request.version, &about.version),
        description: text(&request.description, &about.description),
        default_user: text(&request.default_user, &about.default_user),
        min_memory_mib: request.min_memory_mib.or(about.min_memory_mib),
        min_disk_gib: request.min_disk_gib.or(about.min_disk_gib),
        firmware: request.firmware.unwrap_or(about.firmware),
    }
}
