//! `watari migration`.

mod follow;
mod show;

use clap::{Args, Subcommand};
use watari_contracts::scheduler::{CancelMigration, GetMigration, ListMigrations};

use crate::{Context, failure::Failure, input, known, options::Waiting};

pub(crate) use follow::{draw, follow, part};

/// Servers on their way from node to node
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the migrations, newest first
    List(List),
    /// Show one migration
    #[command(after_help = "Example:\n  watari migration show mail-3 --wait")]
    Show(Show),
    /// Cancel a migration that has not switched over; the server goes on where it was
    #[command(after_help = "Example:\n  watari migration cancel mail-3")]
    Cancel(Which),
}

/// Which migration.
#[derive(Debug, Args)]
pub struct Which {
    /// The migration
    id: String,
}

/// Which migration, and whether to wait for it.
#[derive(Debug, Args)]
pub struct Show {
    /// The migration
    id: String,
    #[command(flatten)]
    waiting: Waiting,
}

/// Which migrations.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watari migration list --active\n  watari migration list --vm mail -o json")]
pub struct List {
    /// Only this server's
    #[arg(long)]
    vm: Option<String>,
    /// Only those that are not over
    #[arg(long)]
    active: bool,
    /// At most so many, 1 to 1000 [default: 100]
    #[arg(long)]
    limit: Option<u32>,
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        match self {
            Self::List(List { vm, active, limit }) => {
                let only = input::name_if(vm.as_deref())?;
                let request = ListMigrations { vm: only, active, limit, ..ListMigrations::default() };
                let found = ctx.session.ask(&request).await?.migrations;
                known::check_if(&ctx.session, !found.is_empty(), "vms", vm.as_deref()).await?;
                ctx.out.list(&found)
            }
            Self::Show(Show { id, waiting }) => {
                let view = ctx.session.ask(&GetMigration { id: input::name(&id)? }).await?;
                if waiting.wait { follow(ctx, waiting, view).await } else { ctx.out.show(&view) }
            }
            Self::Cancel(Which { id }) => {
                ctx.out.row(&ctx.session.ask(&CancelMigration { id: input::name(&id)? }).await?)
            }
        }
    }
}
