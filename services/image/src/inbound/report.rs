//! A front end says that it has a copy, on its disk or in its object store, or has it no longer.

use watari_chassis::clock;
use watari_contracts::image::{ImageView, Presence, ReportCopy};
use watari_model::{
    Refusal,
    image::{self, Image, Kept, State},
};

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
            Ok(if noted(image, &request) { Step::Write } else { Step::Leave })
        })
        .await?;
    let store = request.store.as_ref().map(|store| store.url.as_str());
    match request.presence {
        Presence::Held => tracing::info!(image = %image.name, site = %request.site, store, "a site has a copy"),
        Presence::Gone if image.state == State::Deleting => {}
        Presence::Gone if image::is_at(&request.site, &image.copies, &image.kept) => {
            tracing::info!(image = %image.name, site = %request.site, store, "a site has one of its two copies less");
        }
        Presence::Gone => tracing::warn!(image = %image.name, site = %request.site, store, "a site has lost its copy"),
    }
    Ok(view_of(app, &image))
}

/// Changes what the document says of a site, and tells whether that was something else before.
fn noted(image: &mut Image, report: &ReportCopy) -> bool {
    let (site, before) = (&report.site, (image.copies.clone(), image.kept.clone()));
    match (&report.store, report.presence) {
        (None, Presence::Held) => {
            image.copies.entry(site.clone()).or_insert_with(clock::now);
        }
        (None, Presence::Gone) => {
            image.copies.remove(site);
        }
        (Some(store), Presence::Held) if image.kept.get(site).is_none_or(|kept| kept.store != *store) => {
            image.kept.insert(site.clone(), Kept { store: store.clone(), at: clock::now() });
        }
        (Some(_), Presence::Held) => {}
        // What is said of a store that the site has no more changes nothing of its present one.
        (Some(store), Presence::Gone) => image.kept.retain(|at, kept| at != site || kept.store != *store),
    }
    before != (image.copies.clone(), image.kept.clone())
}
