//! `watari vm edit`.

use clap::{ArgGroup, Args, ValueEnum};
use watari_contracts::scheduler::EditVm;
use watari_model::{isolation, vm};

use super::create::{OPTIONS, probe, warned};
use crate::{Context, failure::Failure, input, out};

/// What to change.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari vm edit mail --probe smtp:25 --probe http:80/status
  watari vm edit mail --priority 90
  watari vm edit scratch --restart never --evacuate stay
  watari vm edit db --on-isolation stop
  watari vm edit db --restart-from-copy 3600
  watari vm edit db --max-downtime 20
  watari vm edit web --after db --after cache
  watari vm edit db --project research")]
#[command(group(
    ArgGroup::new("policy")
        .required(true)
        .multiple(true)
        .args(["restart", "priority", "evacuate", "on_isolation", "restart_from_copy", "probes", "no_probes", "project"])
        .args(["after", "no_after", "max_downtime"])
))]
pub struct Edit {
    /// The server
    name: String,
    /// A probe, in place of all there were: how front ends ask it from outside while an outage is under way. One of
    /// `tcp:PORT`, `smtp:PORT`, `http:PORT[/PATH]`, such as `http:80/status`, and `icmp`; may be given several times
    #[arg(long = "probe", value_name = "PROBE")]
    probes: Vec<String>,
    /// Remove all its probes: it is asked no more
    #[arg(long, conflicts_with = "probes")]
    no_probes: bool,
    /// A server on which it depends, in place of all there were: it leaves, comes home and is started after that one; may
    /// be given several times
    #[arg(long, value_name = "SERVER")]
    after: Vec<String>,
    /// It depends on no server any more
    #[arg(long, conflicts_with = "after")]
    no_after: bool,
    /// Whether it is started again when it went off by itself, or with its node
    #[arg(long, value_enum)]
    restart: Option<Restart>,
    /// Servers with a higher number leave and are started first, 0 to 100
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    priority: Option<u8>,
    /// What it does when its site is evacuated
    #[arg(long, value_enum)]
    evacuate: Option<Evacuate>,
    /// What it does when its node is cut off from everybody; it holds from its next start, reboot or move on
    #[arg(long, value_enum)]
    on_isolation: Option<OnIsolation>,
    /// If its node is lost it is started from the copy of its disk elsewhere (see `watari vm preseed`), if no more is lost
    /// by that than what was written in so many seconds; 0 for never
    #[arg(long, value_name = "SECONDS")]
    restart_from_copy: Option<u32>,
    /// For so many seconds it may stand still at the end of a live move, up to 60, if it writes to its memory so fast that
    /// the move would not end otherwise; 0 for never, which slows it down instead
    #[arg(long, value_name = "SECONDS", value_parser = max_downtime())]
    max_downtime: Option<u32>,
    /// The project that it is counted with from now on (see `watari project`)
    #[arg(long)]
    project: Option<String>,
}

/// How long a server may stand still, in seconds.
pub(super) fn max_downtime() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=i64::from(vm::MOST_DOWNTIME_SECONDS))
}

/// How a server leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Evacuate {
    /// Live, without stopping
    Live,
    /// It stays, and goes off with its site
    Stay,
}

impl From<Evacuate> for vm::Evacuate {
    fn from(evacuate: Evacuate) -> Self {
        match evacuate {
            Evacuate::Live => Self::Live,
            Evacuate::Stay => Self::Stay,
        }
    }
}

/// What becomes of a server that went off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Restart {
    /// As soon as its node can
    Always,
    /// It stays off until somebody starts it
    Never,
}

impl From<Restart> for vm::Restart {
    fn from(restart: Restart) -> Self {
        match restart {
            Restart::Always => Self::Always,
            Restart::Never => Self::Never,
        }
    }
}

/// What becomes of a server whose node is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnIsolation {
    /// It runs on
    Keep,
    /// Its node stops it, also when it is the front ends that are away
    Stop,
}

impl From<OnIsolation> for isolation::OnIsolation {
    fn from(policy: OnIsolation) -> Self {
        match policy {
            OnIsolation::Keep => Self::Keep,
            OnIsolation::Stop => Self::Stop,
        }
    }
}

impl Edit {
    /// Asks for the change.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let probes = self.probes.iter().map(|text| probe("--probe", text)).collect::<Result<Vec<_>, _>>()?;
        let after = self.after.iter().map(|name| input::name(name)).collect::<Result<Vec<_>, _>>()?;
        let request = EditVm {
            request_id: Some(ctx.session.request_id()),
            name: input::name(&self.name)?,
            project: input::name_if(self.project.as_deref())?,
            probes: Some(probes).filter(|probes| self.no_probes || !probes.is_empty()),
            after: Some(after).filter(|after| self.no_after || !after.is_empty()),
            restart: self.restart.map(Into::into),
            priority: self.priority,
            evacuate: self.evacuate.map(Into::into),
            on_isolation: self.on_isolation.map(Into::into),
            restart_from_copy_seconds: self.restart_from_copy,
            max_downtime_seconds: self.max_downtime,
        };
        let view = ctx.session.ask(&request).await.map_err(|failure| failure.of_options(OPTIONS))?;
        for warning in &view.warnings {
            out::say(&warned(ctx.out.lang, warning));
        }
        // All of it: a table's columns hold nothing of what is changed here.
        ctx.out.show(&view)
    }
}
