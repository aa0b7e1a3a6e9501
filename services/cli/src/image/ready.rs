//! Waiting until an image is ready.

use watari_contracts::{
    image::{GetImage, ImageView, SavedFrom},
    scheduler,
};
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
                verifying(progress, &view, ctx.out.lang);
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
    progress.arriving(lang, name, view.arrived_bytes.unwrap_or(0), view.size_bytes, word.text(lang));
}

/// It is being checked, or is sound and waits to be kept.
fn verifying(progress: &mut Progress, view: &ImageView, lang: Lang) {
    let name = view.name.as_str();
    match &view.waits_for {
        Some(why) => progress.doing(name, &words::because(Word::AwaitingStore.text(lang), cause(why, lang))),
        None => progress.doing(name, Word::Verifying.text(lang)),
    }
}

fn cause(fault: &scheduler::Fault, lang: Lang) -> &str {
    match lang {
        Lang::En => &fault.cause,
        Lang::Ja => &fault.ja.cause,
    }
}

/// The copy of the server's disk is not whole yet.
fn saving(progress: &mut Progress, name: &str, from: &SavedFrom, lang: Lang) {
    let waits = Word::AwaitingServer.text(lang);
    match (&from.copying, &from.lost) {
        (Some(copying), _) => {
            let (copied, total) = (copying.copied_bytes, Some(copying.total_bytes));
            progress.arriving(lang, name, copied, total, Word::CopyingDisk.text(lang));
        }
        (None, Some(lost)) => progress.doing(name, &words::because(waits, cause(lost, lang))),
        (None, None) => progress.doing(name, waits),
    }
}
