//! The pure core: what is to be done now, from what is wanted and what is seen. No async, no I/O,
//! no clock.
//!
//! It takes no input but a [`Snapshot`]; recovery and the happy path are the same code. What it
//! decides is data ([`Action`]); the executor has no choices to make but the one that
//! [`crossing::verdict`] makes for it.

mod action;
mod ahead;
pub mod calendar;
pub mod control;
pub mod crossing;
pub(crate) mod dark;
mod deadline;
mod dependencies;
pub(crate) mod disks;
mod evacuation;
pub mod forecast;
mod from_copy;
mod growth;
mod isolation;
mod lifecycle;
mod links;
mod lint;
mod listening;
mod marks;
mod naming;
mod phase;
mod placement;
mod power;
mod progress;
pub(crate) mod projects;
mod prune;
mod quorum;
mod readiness;
mod relief;
mod remains;
mod removal;
pub mod report;
mod rules;
mod server;
mod since;
mod snapshot;
mod speed;
mod standstill;
mod strangers;
mod surplus;
mod turn;
mod ways;
mod weight;

use watari_model::Timestamp;

pub use action::{Action, Order, Settle};
pub use control::{Control, Sight as ControlSight};
pub(crate) use progress::waiting;
pub use progress::{Progress, Readiness, Traffic, UNDER_WAY, progress, readiness, traffic};
pub use readiness::{Outlook, outlooks};
pub use rules::{
    Amount, CalendarRules, DarkRules, DeadlineRules, Overcommit, PowerRules, PreseedRules, ReliefRules, Rules, Trigger,
    Trust,
};
pub use snapshot::{Answer, Both, Heard, Load, Off, Outcome, Restarts, Sight, Snapshot, known};

pub(crate) use action::listen_key;
pub(crate) use ahead::{ask_elsewhere, closed, not_running, target};
pub(crate) use control::missing_at;
pub(crate) use crossing::{resume_key, resume_operation};
pub(crate) use dependencies::circle;
pub(crate) use disks::Kept;
pub(crate) use evacuation::awaited;
pub(crate) use growth::takes_memory;
pub(crate) use links::Links;
pub(crate) use naming::{digest, next_migration, next_outage, start_key};
pub(crate) use phase::phase;
pub(crate) use placement::{Bases, Need, Rooms, Supply, check, choose};
pub(crate) use quorum::{Act, Scene};
pub(crate) use readiness::{cannot_leave, cannot_start, has_no_network, outside_ranges};
pub(crate) use since::{moved_since, never_left, still_there};
pub(crate) use speed::{ASSUMED, Speed, Sums, part};
pub(crate) use standstill::stands_still;
pub(crate) use ways::way_to_measure;
pub(crate) use weight::{gained, sent};

/// What is to be done now. Of what is in hand nothing is decided again.
#[must_use]
pub fn decide(snap: &Snapshot, rules: &Rules, now: Timestamp) -> Vec<Action> {
    let mut turn = turn::Turn::new(snap, rules, now);
    // A server that stands still between two nodes comes first.
    crossing::decide(&mut turn);
    lifecycle::decide(&mut turn);
    isolation::decide(&mut turn);
    power::decide(&mut turn);
    calendar::decide(&mut turn);
    dark::decide(&mut turn);
    evacuation::decide(&mut turn);
    marks::decide(&mut turn);
    ahead::decide(&mut turn);
    relief::decide(&mut turn);
    surplus::decide(&mut turn);
    remains::decide(&mut turn);
    listening::decide(&mut turn);
    prune::decide(&mut turn);
    turn.actions
}

#[cfg(test)]
mod tests;
