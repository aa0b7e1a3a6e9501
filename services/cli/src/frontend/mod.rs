//! `watari frontend`.

mod recover;
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
    /// Go on with this front end alone, where it is one of two without a witness and the other one is lost for good
    #[command(after_help = "\
Example, as root on the front end that is left:
  watari frontend recover m-front

Only once the other front end is off and stays off: burnt down, or with its disk lost. If only the link or the power is
away, mend that, and all goes on by itself. Nothing that was acknowledged is lost, since both have acknowledged it; two
front ends that are each declared the only one would be two clouds. Servers of the lost campus are started elsewhere only
once its nodes are known to be off (watari node confirm-off, or a power controller). The lost front end comes back with
an empty store, by itself or as a host that joins.")]
    Recover(recover::Recover),
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
            Self::Recover(recover) => recover.run(ctx).await,
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
