//! `watari frontend`.

mod show;
pub(crate) mod status;

use clap::{Args, Subcommand};
use watari_contracts::scheduler::PromoteFrontEnd;
use watari_model::SiteName;

use crate::{
    Context,
    failure::Failure,
    input,
    options::Waiting,
    out,
    texts::{hints, words},
    wait,
};
use status::Status;

/// Front ends: who leads, who stands by, and from where the services should lead
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Who leads which service and where, how far the standbys are, and the state of NATS
    #[command(after_help = "Examples:\n  watari frontend status\n  watari frontend status -o json")]
    Status,
    /// Have all services lead from a site; no request is lost, none waits for longer than a second
    #[command(after_help = "Example:\n  watari frontend promote yamate --wait")]
    Promote(Promote),
}

/// From where.
#[derive(Debug, Args)]
pub struct Promote {
    /// The site
    site: String,
    #[command(flatten)]
    waiting: Waiting,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        match self {
            Self::Status => show::show(ctx, &Status::look(ctx).await?),
            Self::Promote(promote) => promote.run(ctx).await,
        }
    }
}

impl Promote {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let site: SiteName = input::name(&self.site)?;
        let request_id = Some(ctx.session.request_id());
        ctx.session.ask(&PromoteFrontEnd { request_id, site: site.clone() }).await?;
        // The wish is written down in any case: it may be another one than what is.
        let status = Status::look(ctx).await?;
        if status.all_lead_from(&site) {
            out::say(&hints::leads_already(ctx.out.lang, site.as_str()));
            return show::show(ctx, &status);
        }
        if !self.waiting.wait {
            out::say(&words::promoting(ctx.out.lang, site.as_str()));
            return show::show(ctx, &status);
        }
        let status = wait::until(self.waiting, async || {
            let status = Status::look(ctx).await?;
            Ok(status.all_lead_from(&site).then_some(status))
        })
        .await?;
        show::show(ctx, &status)
    }
}
