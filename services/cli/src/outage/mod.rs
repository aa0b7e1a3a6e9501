//! `watari outage`: sites and nodes that are emptied, empty, or coming home.

mod dark;
mod evidence;
mod follow;
mod ical;
mod plan;
mod rehearse;
mod report;
mod which;

use clap::{Args, Subcommand};
use watari_chassis::clock;
use watari_contracts::scheduler::{
    CancelOutage, GetOutage, LegName, ListOutages, MigrationView, OutageView, PauseOutage, PlanOutage,
    RescheduleOutage, ResumeOutage, ReturnSite, ScheduleOutage, StartOutage,
};
use watari_model::{
    Said, SiteName, Timestamp,
    migration::State as Step,
    outage::{Scope, State},
};

use crate::{
    Context,
    failure::Failure,
    input,
    options::Waiting,
    out,
    texts::{self, hints, states},
};

pub(crate) use dark::Wish;
pub(crate) use follow::begun;
use which::{Away, Begun, Nearest};

/// Outages: a site or node is emptied beforehand, and its servers come home afterwards
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the outages, newest first
    #[command(after_help = "Example:\n  watari outage list -o json")]
    List,
    /// Show one outage, with what came of its evacuation or, later, of its return
    #[command(after_help = "Examples:\n  watari outage show myodaiji-1 --wait\n  watari outage show myodaiji")]
    Show(Show),
    /// Say what an evacuation of a site would do now, without doing it; status 1 if a server could not move
    #[command(after_help = "\
Examples:
  watari outage plan myodaiji
  watari outage plan myodaiji --minutes 2

With little time the servers of the highest priority for their time on the link cross; the others are
suspended or shut down before the power goes, and started again afterwards. Without --minutes the time is
that which the site's battery was said to last, if it is on battery. Servers have less than all of it to cross: a
tenth is not reckoned with, and a margin is kept for stopping those that stay (stop_seconds under [outages]) and
for the front end's part.")]
    Plan(Planned),
    /// Go through an outage in simulated time, there and back, with everything as it is now; nothing happens
    #[command(after_help = "\
Examples:
  watari outage rehearse myodaiji
  watari outage rehearse --site myodaiji --in 20m --link-mbit 1000
  watari outage rehearse myodaiji-2 --fail y2@90

What is decided is decided by the scheduler's own code, against nodes that answer as real ones would. How much
travels is what the last migrations show. The nodes are not shut down in it, and nothing but what --fail names
goes wrong. The exit status is 1 if a server would be lost with the power or go down with a node, or the site not
be empty in time.")]
    Rehearse(rehearse::Rehearse),
    /// Say beforehand that a site's power will be off: it is emptied in time and brought home afterwards
    #[command(after_help = "\
Examples:
  watari outage schedule myodaiji --from '2027-03-20 08:00' \\
    --until '2027-03-20 17:00' --note 'yearly inspection'
  watari outage schedule yamate --from +90m --until +4h

A date and a time of day are meant in this machine's time zone. How long before that the evacuation
begins, and whether servers come home by themselves, is set in the scheduler's configuration, section
[outages]. Until then `watari outage show` says how it would go now.")]
    Schedule(Schedule),
    /// Move a scheduled outage to another time
    #[command(after_help = "\
Example:
  watari outage reschedule myodaiji-2 --from '2027-03-27 08:00' \\
    --until '2027-03-27 17:00'")]
    Reschedule(Reschedule),
    /// Begin a scheduled outage without waiting for its time
    #[command(after_help = "Examples:\n  watari outage start myodaiji-1 --wait\n  watari outage start myodaiji")]
    Start(Start),
    /// Begin no further migration of an evacuation or a return, until it is resumed
    #[command(after_help = "\
Examples:
  watari outage pause myodaiji
  watari outage pause myodaiji-1

A server whose copy runs goes on to its end, and so does a change of front ends that has begun. The site
still receives nothing. Any front end keeps the pause. It ends when the outage is resumed, turned round or
called off; or when the site, whose power fails later, is to be emptied by the scheduler's [power] rules.")]
    Pause(Begun),
    /// Go on with what was paused
    #[command(after_help = "Example:\n  watari outage resume myodaiji --wait")]
    Resume(Resume),
    /// Bring an outage's servers home, as `watari site return` does
    #[command(after_help = "\
Examples:
  watari outage return myodaiji --wait
  watari outage return myodaiji-1

An evacuation that is under way is turned round.

The exit status is 1 if any server did not move.")]
    Return(Return),
    /// Have a site's nodes shut down once they are empty, one after another, and awaited at the return
    #[command(after_help = "\
Examples:
  watari outage shut-down myodaiji --dry-run
  watari outage shut-down myodaiji-1 --wait

It is done once the outage is evacuated, the front end's part included. Each node's agent makes sure that
nothing lives there and runs the program that its node-agent.toml names (shut_down under [power]); where none
is named, the monitor cuts the power ([[fencing]]). Nodes are switched on by the monitor, or by hand, and are
waited for at the return until they are heard and well. The hosts of front ends and of the witness are left
alone. What failed is tried again when this is asked again.")]
    ShutDown(dark::ShutDown),
    /// Call an outage off: servers whose copy runs still arrive, all others stay, and the site takes servers again
    #[command(after_help = "Examples:\n  watari outage cancel myodaiji-1\n  watari outage cancel myodaiji")]
    Cancel(Nearest),
    /// Say what an outage came to, there and back, and what front ends saw of its servers; with --html to print
    Report(evidence::Report),
    /// Write the outages as a calendar (.ics)
    Export(ical::Export),
    /// Schedule, move and call off outages as a calendar (.ics) says
    Import(ical::Import),
}

/// Which outage, and whether to wait for it.
#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    begun: Begun,
    #[command(flatten)]
    waiting: Waiting,
}

/// Which outage, and whether to wait until its servers are home.
#[derive(Debug, Args)]
pub struct Return {
    #[command(flatten)]
    away: Away,
    #[command(flatten)]
    waiting: Waiting,
}

/// Which site, and for how much time.
#[derive(Debug, Args)]
pub struct Planned {
    /// The site
    site: String,
    /// What if the power went in so many minutes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=10_080))]
    minutes: Option<u64>,
}

/// When the power will be off, and why.
#[derive(Debug, Args)]
pub struct Schedule {
    /// The site
    site: String,
    #[command(flatten)]
    times: Times,
    /// What it is for, in one line
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    note: String,
    #[command(flatten)]
    wish: Wish,
}

/// Which outage, and when the power will be off instead.
#[derive(Debug, Args)]
pub struct Reschedule {
    /// The outage
    id: String,
    #[command(flatten)]
    times: Times,
}

/// When the power will be off.
#[derive(Debug, Args)]
struct Times {
    /// When the power goes: YYYY-MM-DD HH:MM, RFC 3339, or from now on as +45m, +3h, +2d
    #[arg(long, value_name = "WHEN")]
    from: String,
    /// When it is back: as --from, so that +4h is four hours from now, not from the beginning
    #[arg(long, value_name = "WHEN")]
    until: String,
}

impl Times {
    /// What the scheduler calls them, which knows how far ahead an outage may be, and how long it may last.
    const OPTIONS: &[(&str, &str, &str)] = &[("from", "--from", ""), ("until", "--until", "")];

    /// From when, and until when.
    fn read(&self) -> Result<(Timestamp, Timestamp), Failure> {
        let now = clock::now();
        let (from, until) = (input::moment("--from", &self.from, now)?, input::moment("--until", &self.until, now)?);
        input::later("--from", &self.from, from, &Said::new("now", "現在"), now)?;
        input::later("--until", &self.until, until, &Said::both("--from"), from)?;
        Ok((from, until))
    }
}

/// Which outage, what of it, and whether to wait for it.
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    nearest: Nearest,
    #[command(flatten)]
    wish: Wish,
    #[command(flatten)]
    waiting: Waiting,
}

/// Which outage, and whether to wait for it.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    nearest: Nearest,
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
            Self::Show(Show { nearest, waiting }) => {
                let view = ctx.session.ask(&GetOutage { id: nearest.id(ctx).await? }).await?;
                if waiting.wait { begun(ctx, waiting, view).await } else { report::show(ctx, &view) }
            }
            Self::Plan(Planned { site, minutes }) => {
                let seconds = minutes.map(|minutes| minutes * 60);
                foresee(ctx, input::name(&site)?, seconds).await
            }
            Self::Rehearse(rehearsal) => rehearsal.run(ctx).await,
            Self::Schedule(Schedule { site, times, note, wish }) => {
                let (from, until) = times.read()?;
                let request_id = Some(ctx.session.request_id());
                let asked = ScheduleOutage { request_id, site: input::name(&site)?, from, until, note };
                let view = ctx.session.ask(&asked).await.map_err(|failure| failure.of_options(Times::OPTIONS))?;
                report::show(ctx, &wish.apply(ctx, view).await?)
            }
            Self::Reschedule(Reschedule { id, times }) => {
                let (from, until) = times.read()?;
                let asked = RescheduleOutage { id: input::name(&id)?, from, until };
                let view = ctx.session.ask(&asked).await.map_err(|failure| failure.of_options(Times::OPTIONS))?;
                report::show(ctx, &view)
            }
            Self::Start(Start { nearest, wish, waiting }) => {
                let id = nearest.id(ctx).await?;
                // First: an empty site is evacuated at once.
                wish.ask(ctx, &id).await?;
                let view = ctx.session.ask(&StartOutage { id }).await?;
                wish.begun(ctx, waiting, view).await
            }
            Self::Pause(paused) => {
                let view = ctx.session.ask(&PauseOutage { id: paused.id(ctx).await? }).await?;
                begun(ctx, Waiting::NO, view).await
            }
            Self::Resume(Resume { begun: paused, waiting }) => {
                let id = paused.id(ctx).await?;
                let before = ctx.session.ask(&GetOutage { id: id.clone() }).await?;
                let view = ctx.session.ask(&ResumeOutage { id }).await?;
                if before.paused_at.is_none() {
                    let state = states::shown(ctx.out.lang, view.state.word());
                    out::say(&hints::not_paused(ctx.out.lang, view.id.as_str(), &state));
                }
                begun(ctx, waiting, view).await
            }
            Self::Return(Return { away, waiting }) => {
                let site = away.site(ctx).await?;
                match bring_home(ctx, waiting, site.clone()).await {
                    Err(failure) => Err(which::not_begun(ctx, &site, failure).await),
                    Ok(()) => Ok(()),
                }
            }
            Self::Report(report) => report.run(ctx).await,
            Self::ShutDown(nodes) => nodes.run(ctx).await,
            Self::Export(export) => export.run(ctx).await,
            Self::Import(import) => import.run(ctx).await,
            Self::Cancel(nearest) => {
                let id = nearest.or_last(ctx).await?;
                let before = ctx.session.ask(&GetOutage { id: id.clone() }).await?.state;
                let view = ctx.session.ask(&CancelOutage { id }).await?;
                ctx.out.row(&view)?;
                // That is no fault: a command whose answer was lost may be repeated.
                if before.is_over() {
                    let state = states::shown(ctx.out.lang, before.word());
                    out::say(&hints::over_already(ctx.out.lang, view.id.as_str(), &state));
                }
                if ctx.out.format.is_for_people() {
                    say_who_is_away(ctx, &view);
                }
                Ok(())
            }
        }
    }
}

/// Shows what emptying a site would come to now, or with so many seconds until its power goes.
///
/// # Errors
/// [`Failure`]; a silent one with status 1 if a server could not move, once the plan is shown.
pub(crate) async fn foresee(ctx: &Context, site: SiteName, seconds: Option<u64>) -> Result<(), Failure> {
    plan::show(ctx, &ctx.session.ask(&PlanOutage { site, seconds }).await?)
}

/// Has a site's servers come home.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn bring_home(ctx: &Context, waiting: Waiting, site: SiteName) -> Result<(), Failure> {
    let asked = ReturnSite { request_id: Some(ctx.session.request_id()), site };
    let view = ctx.session.ask(&asked).await?;
    begun(ctx, waiting, view).await
}

/// Calling an evacuation off brings nobody home, and switches nothing on.
fn say_who_is_away(ctx: &Context, view: &OutageView) {
    if let (State::Cancelled, Scope::Site(site)) = (view.state, &view.scope)
        && (view.leg == LegName::Home || !view.moved.is_empty() || !view.moving.is_empty())
    {
        // Whose copy has not begun is called back.
        let early = |moving: &&MigrationView| matches!(moving.state, Step::Queued | Step::Preparing);
        let copying = view.moving.len() - view.moving.iter().filter(early).count();
        out::say(&hints::still_away(ctx.out.lang, site.as_str(), copying));
    }
    let off: Vec<&str> = view.nodes.iter().filter(|node| node.state == "off").map(|node| node.node.as_str()).collect();
    if view.state == State::Cancelled && !off.is_empty() {
        out::say(&texts::dark::still_off(ctx.out.lang, &off.join(" ")));
    }
}
