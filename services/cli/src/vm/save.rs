//! `watari vm save`.

use clap::Args;
use watari_contracts::image::SaveImage;
use watari_model::{ImageName, VmName};

use crate::{Context, failure::Failure, image, input, options::Waiting, out, progress::Progress, texts::hints};

/// What to save, and as what.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari vm save mail --as mail-2026 --wait
  watari vm create mail-copy --image mail-2026 --network campus \\
    --site yamate --wait

With qemu-guest-agent in the guest the image is sure to hold all that the guest had written; without it,
what was on the disk at that moment, as after a power cut. `watari image show` tells which.")]
pub struct Save {
    /// The server
    name: String,
    /// The image's name
    #[arg(long = "as", value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    waiting: Waiting,
}

impl Save {
    /// Asks for the image, and waits if wanted.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let vm: VmName = input::name(&self.name)?;
        let name: ImageName = input::name(&self.image)?;
        let request = SaveImage { request_id: Some(ctx.session.request_id()), name, vm };
        let saved = ctx.session.ask(&request).await?;
        let view = if self.waiting.wait {
            image::ready(ctx, self.waiting, &mut Progress::new(), &saved.name).await?
        } else {
            saved
        };
        ctx.out.row(&view)?;
        if !self.waiting.wait && ctx.out.format.is_for_people() {
            out::say(&hints::follow_image(ctx.out.lang, view.name.as_str()));
        }
        Ok(())
    }
}
