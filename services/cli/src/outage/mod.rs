//! `watari outage`: sites and nodes that are emptied, empty, or coming home.

mod follow;
mod plan;
mod report;

use clap::{Args, Subcommand};
use watari_contracts::scheduler::{CancelOutage, GetOutage, ListOutages, PlanOutage};

use crate::{Context, failure::Failure, input, options::Waiting};

pub(crate) use follow::begun;

/// Sites and nodes that are emptied or empty
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the outages, newest first
    #[command(after_help = "Example:\n  watari outage list -o json")]
    List,
    /// Show one outage with the report of its last leg
    #[command(after_help = "Example:\n  watari outage show myodaiji-1 --wait")]
    Show(Show),
    /// Say what an evacuation of a site would do now, without doing it; status 1 if a server could not move
    #[command(after_help = "Example:\n  watari outage plan myodaiji")]
    Plan(Site),
    /// Call an outage off: servers stay where they are, and may come again
    #[command(after_help = "Example:\n  watari outage cancel myodaiji-1")]
    Cancel(Which),
}

/// Which outage.
#[derive(Debug, Args)]
pub struct Which {
    /// The outage
    id: String,
}

/// Which site.
#[derive(Debug, Args)]
pub struct Site {
    /// The site
    site: String,
}

/// Which outage, and whether to wait for it.
#[derive(Debug, Args)]
pub struct Show {
    /// The outage
    id: String,
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
            Self::List => ctx.out.list(&ctx.session.ask(&ListOutages {}).await?.outages),
            Self::Show(Show { id, waiting }) => {
                let view = ctx.session.ask(&GetOutage { id: input::name(&id)? }).await?;
                if waiting.wait { begun(ctx, waiting, view).await } else { report::show(ctx, &view) }
            }
            Self::Plan(Site { site }) => {
                plan::show(ctx, &ctx.session.ask(&PlanOutage { site: input::name(&site)? }).await?)
            }
            Self::Cancel(Which { id }) => ctx.out.row(&ctx.session.ask(&CancelOutage { id: input::name(&id)? }).await?),
        }
    }
}
