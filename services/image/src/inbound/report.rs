//! A front end says that it has a copy, or has it no longer.

use watari_chassis::clock;
use watari_contracts::image::{ImageView, Presence, ReportCopy};
use watari_model::{Refusal, image::State};

use super::show::view_of;
use crate::{app::App, catalogue::Step};

pub(super) async fn handle(app: &App, request: ReportCopy) -> Result<ImageView, Refusal> {
    let image = app
        .change(&request.name, |image| {
            let same = image.stored.as_ref().is_some_and(|s| s.sha256 == request.sha256);
            if !same || !matches!(image.state, State::Ready | State::Deleting) {
                return Err(Refusal::ImageNotReady {
                    image: image.name.to_string(),
                    state: image.state.word().to_owned(),
                });
            }
            let changed = match request.presence {
                Presence::Held => {
                    let had = image.copies.contains_key(&request.site);
                    image.copies.entry(request.site.clone()).or_insert_with(clock::now);
                    !had
                }
                Presence::Gone => image.copies.remove(&request.site).is_some(),
            };
            Ok(if changed { Step::Write } else { Step::Leave })
        })
        .await?;
    match request.presence {
        Presence::Held => tracing::info!(image = %image.name, site = %request.site, "a site has a copy"),
        Presence::Gone if image.state == State::Deleting => {}
        Presence::Gone => tracing::warn!(image = %image.name, site = %request.site, "a site has lost its copy"),
    }
    Ok(view_of(app, &image))
}
