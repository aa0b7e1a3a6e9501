//! `watari vm preseed`.

use clap::Args;
use watari_contracts::scheduler::PreseedVm;
use watari_model::NodeName;

use super::wait;
use crate::{Context, failure::Failure, format, input, options::Waiting, out, texts::ahead};

/// What to send ahead, and where to.
#[derive(Debug, Args)]
pub struct Preseed {
    /// The server
    name: String,
    /// The node that it is to go to later, of whichever site; without it the scheduler chooses one of another site
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
    /// Take back what was asked for and is not done yet
    #[arg(long, conflicts_with_all = ["to", "wait"])]
    cancel: bool,
    #[command(flatten)]
    waiting: Waiting,
}

impl Preseed {
    /// Asks for it, or takes it back.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let to: Option<NodeName> = input::name_if(self.to.as_deref())?;
        let (request_id, cancel) = (Some(ctx.session.request_id()), self.cancel);
        let mut view = ctx.session.ask(&PreseedVm { request_id, name: input::name(&self.name)?, to, cancel }).await?;
        if cancel {
            // What arrived, or was never asked for, is not noted as taken back.
            let taken_back = view.preseed.as_ref().is_some_and(|preseed| preseed.cancelled);
            let said = if taken_back { ahead::nothing_more } else { ahead::nothing_there };
            out::say(&said(ctx.out.lang, view.name.as_str()));
        }
        if self.waiting.wait {
            view = wait::preseeded(ctx, self.waiting, view).await?;
            if let Some(done) = view.preseed.as_ref().and_then(|preseed| preseed.done.as_ref()) {
                let (name, node) = (view.name.as_str(), done.node.as_str());
                let (disk, memory) = (format::bytes(done.bytes), format::memory(view.memory_mib));
                return ctx
                    .out
                    .reported(&view, [name.to_owned()], || ahead::ready(ctx.out.lang, name, &disk, node, &memory));
            }
        }
        ctx.out.show(&view)
    }
}
