//! `watari vm`.

mod create;
mod show;
mod wait;

pub(crate) use show::fault_details;

use clap::{Args, Subcommand};
use watari_contracts::scheduler::{
    DeleteVm, GetVm, ListVms, MigrateVm, RebootVm, StartVm, StopVm, VmConsoleLog, VmView,
};
use watari_model::{NodeName, VmName, vm};

use crate::{
    Context,
    confirm::confirm,
    failure::Failure,
    input, migration,
    options::{Consent, Waiting},
    out::Format,
    texts::words,
};

/// Servers
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a server and start it
    Create(create::Create),
    /// List the servers
    List(List),
    /// Show one server
    Show(Which),
    /// Start a stopped server
    #[command(after_help = "Example:\n  watari vm start mail --wait")]
    Start(Start),
    /// Shut a server down; its disk and addresses stay
    #[command(after_help = "Example:\n  watari vm stop mail --wait")]
    Stop(Stop),
    /// Reboot a running server
    #[command(after_help = "Example:\n  watari vm reboot mail")]
    Reboot(Reboot),
    /// Remove a server with its disk and addresses
    #[command(after_help = "Example:\n  watari vm delete mail --yes --wait")]
    Delete(Delete),
    /// Move a running server to another node, live
    #[command(after_help = "Examples:\n  watari vm migrate mail --wait\n  watari vm migrate mail --to y1")]
    Migrate(Migrate),
    /// Print the end of a server's serial console log
    #[command(name = "console-log", after_help = "Example:\n  watari vm console-log mail --bytes 4096")]
    ConsoleLog(ConsoleLog),
}

/// Which server.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  watari vm show mail -o json")]
pub struct Which {
    /// The server
    name: String,
}

/// Which servers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watari vm list\n  watari vm list --site yamate --state running -o json")]
pub struct List {
    /// Only those now at this site
    #[arg(long)]
    site: Option<String>,
    /// Only those on this node
    #[arg(long)]
    node: Option<String>,
    /// Only those in this state, such as running
    #[arg(long)]
    state: Option<String>,
}

/// What to start.
#[derive(Debug, Args)]
pub struct Start {
    /// The server
    name: String,
    #[command(flatten)]
    waiting: Waiting,
}

/// What to stop.
#[derive(Debug, Args)]
pub struct Stop {
    /// The server
    name: String,
    /// Off at once, instead of asking the guest
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    waiting: Waiting,
}

/// What to reboot.
#[derive(Debug, Args)]
pub struct Reboot {
    /// The server
    name: String,
    /// Reset at once, instead of asking the guest
    #[arg(long)]
    force: bool,
}

/// What to delete.
#[derive(Debug, Args)]
pub struct Delete {
    /// The server
    name: String,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    waiting: Waiting,
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

/// How much of which log.
#[derive(Debug, Args)]
pub struct ConsoleLog {
    /// The server
    name: String,
    /// At most so many bytes, up to 131072
    #[arg(long)]
    bytes: Option<u64>,
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
            Self::Show(Which { name }) => ctx.out.show(&ctx.session.ask(&GetVm { name: input::name(&name)? }).await?),
            Self::Start(start) => start.run(ctx).await,
            Self::Stop(stop) => stop.run(ctx).await,
            Self::Reboot(Reboot { name, force }) => {
                let request_id = Some(ctx.session.request_id());
                ctx.out.row(&ctx.session.ask(&RebootVm { request_id, name: input::name(&name)?, force }).await?)
            }
            Self::Delete(delete) => delete.run(ctx).await,
            Self::Migrate(migrate) => migrate.run(ctx).await,
            Self::ConsoleLog(log) => log.run(ctx).await,
        }
    }
}

impl List {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let mut request = ListVms {
            site: input::name_if(self.site.as_deref())?,
            node: input::name_if(self.node.as_deref())?,
            state: self.state.as_deref().map(state).transpose()?,
            after: None,
            limit: None,
        };
        let mut vms: Vec<VmView> = Vec::new();
        loop {
            let page = ctx.session.ask(&request).await?;
            vms.extend(page.vms);
            request.after = page.next;
            if request.after.is_none() {
                return ctx.out.list(&vms);
            }
        }
    }
}

/// A state by the word that is shown.
fn state(text: &str) -> Result<vm::State, Failure> {
    let known = serde_json::from_value(serde_json::Value::String(text.to_owned()));
    known.map_err(|_| {
        let states = "pending, starting, running, migrating, stopping, stopped, deleting or failed";
        input::out_of_range("--state", states, text)
    })
}

impl Start {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: VmName = input::name(&self.name)?;
        let request_id = Some(ctx.session.request_id());
        let mut view = ctx.session.ask(&StartVm { request_id, name }).await?;
        if self.waiting.wait {
            view = wait::running(ctx, self.waiting, view).await?;
        }
        ctx.out.row(&view)
    }
}

impl Stop {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: VmName = input::name(&self.name)?;
        let request_id = Some(ctx.session.request_id());
        let mut view = ctx.session.ask(&StopVm { request_id, name, force: self.force }).await?;
        if self.waiting.wait {
            view = wait::stopped(ctx, self.waiting, view).await?;
        }
        ctx.out.row(&view)
    }
}

impl Delete {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let name: VmName = input::name(&self.name)?;
        confirm(ctx, self.consent, &words::delete_vm(ctx.out.lang, name.as_str()))?;
        let request_id = Some(ctx.session.request_id());
        let view = ctx.session.ask(&DeleteVm { request_id, name: name.clone() }).await?;
        if !self.waiting.wait {
            return ctx.out.row(&view);
        }
        wait::gone(ctx, self.waiting, &view).await?;
        match ctx.out.format {
            Format::Json => ctx.out.json(&view),
            Format::Table => ctx.out.text(&words::gone(ctx.out.lang, name.as_str())),
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

impl ConsoleLog {
    async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let request = VmConsoleLog { name: input::name(&self.name)?, bytes: self.bytes };
        let log = ctx.session.ask(&request).await?;
        match ctx.out.format {
            Format::Json => ctx.out.json(&log),
            Format::Table => ctx.out.text(printable(&log.text).trim_end_matches('\n')),
        }
    }
}

/// What a guest wrote must not drive the operator's terminal: control characters other than line
/// ends and tabs are shown as what they are.
fn printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_console_cannot_drive_the_terminal() {
        assert_eq!(printable("a\r\nb\tc\u{1b}[2Jd\u{7}"), "a\nb\tc\\u{1b}[2Jd\\u{7}");
    }

    #[test]
    fn states_are_those_that_are_shown() {
        for word in ["pending", "starting", "running", "migrating", "stopping", "stopped", "deleting", "failed"] {
            assert_eq!(state(word).unwrap().word(), word);
        }
        assert_eq!(state("on").unwrap_err().exit(), crate::failure::USAGE);
    }
}
