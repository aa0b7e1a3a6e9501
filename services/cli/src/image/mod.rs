//! `watari image`.

mod about;
mod import;
mod pieces;
mod pipe;
mod ready;
mod sender;
mod show;
mod upload;

pub(crate) use ready::ready;

use clap::{Args, Subcommand};
use watari_contracts::image::{DeleteImage, GetImage, ImageView, ListImages};
use watari_model::Refusal;

use crate::{
    Context,
    confirm::{confirm_seen, some},
    failure::Failure,
    input,
    options::Consent,
    texts::deleting,
};

/// Images: what servers' disks are made from
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Send a disk image and register it
    Import(Box<import::Import>),
    /// Change what is said of an image, for servers made from it from now on
    Edit(Box<about::Edit>),
    /// List the images
    #[command(after_help = "Example:\n  watari image list -o json")]
    List,
    /// Show one image
    #[command(after_help = "Example:\n  watari image show mini")]
    Show(Which),
    /// Remove an image that no server uses
    #[command(after_help = "Example:\n  watari image delete mini --yes")]
    Delete(Delete),
}

/// Which image.
#[derive(Debug, Args)]
pub struct Which {
    /// The image
    name: String,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The image
    name: String,
    #[command(flatten)]
    consent: Consent,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        match self {
            Self::Import(import) => import.run(ctx).await,
            Self::Edit(edit) => edit.run(ctx).await,
            Self::List => ctx.out.list(&ctx.session.ask(&ListImages {}).await?.images),
            Self::Show(Which { name }) => {
                ctx.out.show(&ctx.session.ask(&GetImage { name: input::name(&name)? }).await?)
            }
            Self::Delete(Delete { name, consent }) => {
                let request = DeleteImage { name: input::name(&name)? };
                let there = GetImage { name: request.name.clone() };
                let question = |image: &ImageView| match image.used_by.as_slice() {
                    [] => Ok(deleting::image(ctx.out.lang, &name)),
                    users => Err(Refusal::ImageInUse { image: name.clone(), users: some(users) }),
                };
                confirm_seen(ctx, consent, &there, question).await?;
                ctx.out.row(&ctx.session.ask(&request).await?)
            }
        }
    }
}
