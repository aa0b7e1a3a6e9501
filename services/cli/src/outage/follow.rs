//! Following an evacuation, a return or a draining to its end.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;
use watari_contracts::scheduler::{GetOutage, LegName, NotMoved, OutageView};
use watari_model::outage::State;

use super::{dark, report};
use crate::{
    Context,
    failure::{FAILED, Failure},
    format,
    lang::Lang,
    migration,
    options::Waiting,
    out,
    progress::Progress,
    texts::{
        self, halts,
        words::{self, Word},
    },
    wait,
};

/// What is said of a node may be older than the last server's leaving by so much.
const SETTLES: Duration = Duration::from_secs(15);

/// An outage whose leg has begun: says so, or follows it to its end and reports.
///
/// # Errors
/// [`Failure::Silent`] with status 1 if servers or the control plane did not move, once the report is
/// shown.
pub(crate) async fn begun(ctx: &Context, waiting: Waiting, view: OutageView) -> Result<(), Failure> {
    if waiting.wait {
        return follow(ctx, waiting, view).await;
    }
    ctx.out.row(&view)?;
    if ctx.out.format.is_for_people() && is_under_way(&view) {
        out::say(&match view.paused_at {
            Some(at) => words::paused(ctx.out.lang, view.id.as_str(), &format::moment(at)),
            None => words::follow_outage(ctx.out.lang, view.id.as_str()),
        });
    }
    Ok(())
}

const fn is_under_way(view: &OutageView) -> bool {
    matches!(view.state, State::Scheduled | State::Evacuating | State::Returning)
}

async fn follow(ctx: &Context, waiting: Waiting, begun: OutageView) -> Result<(), Failure> {
    let view = followed(ctx, waiting, begun, is_under_way).await?;
    ended(moved_all(&view))
}

/// Follows an outage until no node of its site goes off any more, and reports.
///
/// # Errors
/// [`Failure::Silent`] with status 1 if a node but a front end's is not off, once the report is shown.
pub(super) async fn until_dark(ctx: &Context, waiting: Waiting, begun: OutageView) -> Result<(), Failure> {
    let view = into_the_dark(ctx, waiting, begun).await?;
    ended(dark::are_off(&view))
}

/// Follows an evacuation until it is over and no node goes off any more, and reports.
///
/// # Errors
/// As [`begun`] and [`until_dark`].
pub(super) async fn until_left_and_dark(ctx: &Context, waiting: Waiting, begun: OutageView) -> Result<(), Failure> {
    let view = into_the_dark(ctx, waiting, begun).await?;
    ended(moved_all(&view) && dark::are_off(&view))
}

async fn into_the_dark(ctx: &Context, waiting: Waiting, begun: OutageView) -> Result<OutageView, Failure> {
    let mut hindered: Option<Instant> = None;
    let goes_on = |view: &OutageView| {
        // Each time anew: one whose turn comes late may be silent for a moment too.
        hindered = dark::is_hindered(view).then(|| hindered.unwrap_or_else(Instant::now));
        hindered.is_some_and(|since| since.elapsed() < SETTLES) || dark::is_going(view)
    };
    followed(ctx, waiting, begun, goes_on).await
}

/// Follows it as long as it `goes_on`, and reports.
async fn followed(
    ctx: &Context,
    waiting: Waiting,
    begun: OutageView,
    mut goes_on: impl FnMut(&OutageView) -> bool,
) -> Result<OutageView, Failure> {
    let mut teller = Teller::new(ctx.out.lang);
    let id = begun.id.clone();
    let look = |view: OutageView| {
        teller.tell(&view);
        Ok((!goes_on(&view)).then_some(view))
    };
    let ask = async || ctx.session.ask(&GetOutage { id: id.clone() }).await;
    let ended = wait::following(waiting, begun, ask, look).await;
    drop(teller);
    let view = ended?;
    report::show(ctx, &view)?;
    Ok(view)
}

/// Whether everybody is where they should be, and the services as well.
fn moved_all(view: &OutageView) -> bool {
    let led = view.control.as_ref().is_none_or(|control| control.fault.is_none());
    // Who is coming home is not held to how it was left.
    let all_left = view.leg == LegName::Home || view.halted.is_empty();
    led && all_left && view.failed.is_empty() && view.state != State::Cancelled
}

const fn ended(well: bool) -> Result<(), Failure> {
    if well { Ok(()) } else { Err(Failure::Silent(FAILED)) }
}

/// Says of each server once what became of it, and shows what is under way.
struct Teller {
    progress: Progress,
    told: BTreeSet<String>,
    paused: bool,
    lang: Lang,
}

impl Teller {
    fn new(lang: Lang) -> Self {
        Self { progress: Progress::new(), told: BTreeSet::new(), paused: false, lang }
    }

    fn tell(&mut self, view: &OutageView) {
        self.tell_pause(view);
        let under_way: Vec<String> = view.moving.iter().map(|m| m.vm.to_string()).collect();
        self.progress.only(&under_way);
        for moved in &view.moved {
            if self.told.insert(moved.vm.to_string()) {
                let (from, to) = (moved.from.as_str(), moved.to.as_str());
                let line = words::moved(self.lang, moved.vm.as_str(), from, to, moved.total_ms, moved.downtime_ms);
                self.progress.line(&line);
            }
        }
        if !view.awaited.is_empty() {
            let line = words::awaited(self.lang, &view.awaited);
            if self.told.insert(line.clone()) {
                self.progress.line(&line);
            }
        }
        for failed in &view.failed {
            if self.told.insert(failed.vm.to_string()) {
                self.progress.line(&not_moved(failed, self.lang));
            }
        }
        for halted in view.halted.iter().filter(|_| view.leg == LegName::Out) {
            if self.told.insert(halted.vm.to_string()) {
                let cause = report::cause(self.lang, halted);
                self.progress.line(&halts::halted(self.lang, halted.vm.as_str(), halted.way, cause));
            }
        }
        // Whose turn has not come is told of in the report.
        for node in view.nodes.iter().filter(|node| node.since.is_some()) {
            let line = dark::line(self.lang, node);
            if self.told.insert(line.clone()) {
                self.progress.line(&line);
            }
        }
        for moving in &view.moving {
            migration::draw(&mut self.progress, moving, self.lang);
        }
    }

    /// Whoever waits learns why nothing happens.
    fn tell_pause(&mut self, view: &OutageView) {
        match view.paused_at {
            Some(at) if !self.paused => {
                self.progress.line(&words::paused(self.lang, view.id.as_str(), &format::moment(at)));
            }
            None if self.paused && is_under_way(view) => self.progress.line(Word::GoesOn.text(self.lang)),
            _ => {}
        }
        self.paused = view.paused_at.is_some();
    }
}

fn not_moved(failed: &NotMoved, lang: Lang) -> String {
    let (cause, remedy) = match lang {
        Lang::En => (&failed.cause, &failed.remedy),
        Lang::Ja => (&failed.ja.cause, &failed.ja.remedy),
    };
    format!("{}: {}", failed.vm, texts::error(lang, &failed.code, cause, remedy))
}
