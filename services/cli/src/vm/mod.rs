//! `watari vm`.

mod console;
mod create;
mod edit;
mod export;
mod life;
mod list;
mod preseed;
mod public;
mod resize;
mod save;
mod screenshot;
mod show;
mod snapshot;
mod terminal;
mod wait;

pub(crate) use create::{group, nic, user_data, warned};
pub(crate) use resize::{grown, told};
pub(crate) use show::{company, evacuate, fault_details};
pub(crate) use wait::{running, stopped};

use clap::{Args, Subcommand};
use watari_contracts::scheduler::{GetVm, MigrateVm};
use watari_model::{NodeName, VmName};

use crate::{Context, failure::Failure, input, migration, options::Waiting};

/// Servers
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a server and start it
    Create(Box<create::Create>),
    /// List the servers
    List(list::List),
    /// Show one server
    Show(Which),
    /// Start a stopped server
    #[command(after_help = "Examples:\n  watari vm start mail --wait\n  watari vm start mail --discard-copy --wait")]
    Start(life::Start),
    /// Shut a server down; its disk and addresses stay
    #[command(after_help = "Example:\n  watari vm stop mail --wait")]
    Stop(life::Stop),
    /// Reboot a running server
    #[command(after_help = "Example:\n  watari vm reboot mail")]
    Reboot(life::Reboot),
    /// Change a server's size; a running one grows at once as far as it can, the rest is so from its next reboot on
    Resize(resize::Resize),
    /// Change what becomes of a server when it has to leave, goes off or is cut off
    Edit(edit::Edit),
    /// Remove a server with its disk and addresses
    #[command(after_help = "Examples:\n  watari vm delete mail --yes --wait\n  watari vm delete mail --keep-disk")]
    Delete(life::Delete),
    /// Move a running server to another node, live
    #[command(after_help = "Examples:\n  watari vm migrate mail --wait\n  watari vm migrate mail --to y1")]
    Migrate(Migrate),
    /// Send a running server's disk ahead to another node, so that its move there moves little
    #[command(after_help = "\
Examples:
  watari vm preseed mail --wait
  watari vm preseed mail --to y1
  watari vm preseed mail --cancel

A disk is held ready at one node: another --to takes the place of the one before.")]
    Preseed(preseed::Preseed),
    /// Save a server's disk as an image; the server goes on, running or not
    Save(save::Save),
    /// Moments of a server's disk, to go back to
    #[command(subcommand)]
    Snapshot(snapshot::Verb),
    /// Write servers down, as `watari apply` takes them
    Export(export::Export),
    /// Type at a running server's serial console
    #[command(after_help = "\
Examples:
  watari vm console mail
  watari vm console mail --force

Ctrl-] leaves it. It goes along when the server moves. What was typed and shown is in no history; who opened it is.")]
    Console(terminal::Console),
    /// Print the end of a server's serial console log
    #[command(name = "console-log", after_help = "Example:\n  watari vm console-log mail --bytes 4096")]
    ConsoleLog(console::ConsoleLog),
    /// Take a picture of what the display of a running server shows
    #[command(after_help = "\
Examples:
  watari vm screenshot desk
  watari vm screenshot desk boot.png

Only a server that was made with --display has one. Nobody can type at it: see watari vm console.")]
    Screenshot(screenshot::Screenshot),
}

/// Which server.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  watari vm show mail -o json")]
pub struct Which {
    /// The server
    name: String,
}

/// What to move, and where.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The server
    name: String,
    /// The node to go to; without it the scheduler chooses
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
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
            Self::Create(create) => create.run(ctx).await,
            Self::List(list) => list.run(ctx).await,
            Self::Show(Which { name }) => public::show(ctx, GetVm { name: input::name(&name)? }).await,
            Self::Start(start) => start.run(ctx).await,
            Self::Stop(stop) => stop.run(ctx).await,
            Self::Reboot(reboot) => reboot.run(ctx).await,
            Self::Resize(resize) => resize.run(ctx).await,
            Self::Edit(edit) => edit.run(ctx).await,
            Self::Delete(delete) => delete.run(ctx).await,
            Self::Migrate(migrate) => migrate.run(ctx).await,
            Self::Preseed(preseed) => preseed.run(ctx).await,
            Self::Save(save) => save.run(ctx).await,
            Self::Snapshot(verb) => verb.run(ctx).await,
            Self::Export(export) => export.run(ctx).await,
            Self::Console(console) => console.run(ctx).await,
            Self::ConsoleLog(log) => log.run(ctx).await,
            Self::Screenshot(screenshot) => screenshot.run(ctx).await,
        }
    }
}

impl Migrate {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: VmName = input::name(&self.name)?;
        let to: Option<NodeName> = input::name_if(self.to.as_deref())?;
        let request_id = Some(ctx.session.request_id());
        let view = ctx.session.ask(&MigrateVm { request_id, name, to }).await?;
        if self.waiting.wait { migration::follow(ctx, self.waiting, view).await } else { ctx.out.row(&view) }
    }
}
