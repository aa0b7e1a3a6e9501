//! Waiting until an image is ready.

use watari_contracts::image::{GetImage, ImageView, SavedFrom};
use watari_model::{ImageName, image::State};

use crate::{
    Context,
    failure::Failure,
    lang::Lang,
    options::Waiting,
    progress::Progress,
    texts::{
        faults::Fault,
        words::{self, Word},
    },
    wait,
};

/// Looks, and shows how far it is, until the image is ready.
///
/// # Errors
/// It has failed or is being deleted; and as [`wait::until`].
pub(crate) async fn ready(
    ctx: &Context,
    waiting: Waiting,
    progress: &mut Progress,
    name: &ImageName,
) -> Result<ImageView, Failure> {
    wait::until(waiting, async || {
        let view = ctx.session.ask(&GetImage { name: name.clone() }).await?;
        match view.state {
            State::Ready => Ok(Some(view)),
            State::Failed | State::Deleting => Err(match view.fault {
                Some(fault) => fault.into(),
                None => Fault::UploadRefused { code: "image".to_owned(), detail: view.state.word().to_owned() }.into(),
            }),
            State::Importing => {
                importing(progress, &view, ctx.out.lang);
                Ok(None)
            }
            State::Verifying => {
                progress.doing(name.as_str(), Word::Verifying.text(ctx.out.lang));
                Ok(None)
            }
        }
    })
    .await
}

fn importing(progress: &mut Progress, view: &ImageView, lang: Lang) {
    let name = view.name.as_str();
    let word = match &view.saved_from {
        Some(from) if from.taken.is_none() => return saving(progress, name, from, lang),
        Some(_) => Word::Sending,
        None => Word::Fetching,
    };
    let arrived = view.arrived_bytes.unwrap_or(0);
    match view.size_bytes {
        Some(size) => progress.moving(name, arrived, size, word.text(lang)),
        None => progress.flowing(name, arrived, word.text(lang)),
    }
}

/// The copy of the server's disk is not whole yet.
fn saving(progress: &mut Progress, name: &str, from: &SavedFrom, lang: Lang) {
    let waits = Word::AwaitingServer.text(lang);
    match (&from.copying, &from.lost) {
        (Some(copying), _) => {
            progress.moving(name, copying.copied_bytes, copying.total_bytes, Word::CopyingDisk.text(lang));
        }
        (None, Some(lost)) => {
            let cause = match lang {
                Lang::En => &lost.cause,
                Lang::Ja => &lost.ja.cause,
            };
            progress.doing(name, &words::because(waits, cause));
        }
        (None, None) => progress.doing(name, waits),
    }
}
