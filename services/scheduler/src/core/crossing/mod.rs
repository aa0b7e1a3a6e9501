//! One migration, by the paused protocol; the states are drawn in the model.
//!
//! The server's document is the truth: its `crossing` is the reservation at the target, and
//! whether the grant has gone over (`switched`) or never will (`abandoned`) is one
//! compare-and-set there. The migration's document follows. So a crash between any two writes is
//! resumed from the documents alone.
//!
//! | state | what is done, until | then |
//! | --- | --- | --- |
//! | queued | waits for its turn, [`queue`] | server: crossing; preparing |
//! | preparing | `receive` at B, until done, the link is free and its outage not paused | copying; abandoned if B drains by now |
//! | copying | `send` at A, until the copy is over | settle |
//! | settling | both looked at, [`verdict`] | server: switched, or abandoned |
//! | switching | `resume` at B, `release` at A, [`ending`] | completed |
//! | aborting | `discard` at B, `resume` at A if it was left paused, [`ending`] | failed, cancelled |

mod ending;
mod measure;
mod orders;
mod queue;
mod verdict;

use watari_chassis::Entry;
use watari_contracts::agent::Phase;
use watari_model::{
    Refusal,
    migration::{Change, Migration, State},
    vm::{self, Desired, Vm},
};

use super::{
    action::{Action, Settle, settle_key},
    ahead,
    links::Links,
    naming,
    placement::{self, Supply},
    snapshot::{Both, Off, Outcome, Sight},
    turn::{OnFailure, Step, Turn},
};

pub(crate) use ending::undo;
pub(crate) use orders::resume;
pub(crate) use queue::in_order;

/// The operation of resuming a server under its present grant.
pub(crate) fn resume_operation(vm: &Vm) -> String {
    orders::resume_name(vm)
}

/// The key of resuming a server under its present grant, at the node that holds it.
pub(crate) fn resume_key(vm: &Vm) -> Option<String> {
    vm.node().map(|node| naming::at(&orders::resume_name(vm), node))
}

pub use verdict::{Copy, Verdict, may_switch, verdict};

/// Decides about all migrations that are not over.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let mut links = Links::of(turn);
    for entry in in_order(turn) {
        let migration = &entry.value;
        if !turn.settled::<Migration>(migration.id.as_str()) || !turn.is_free(&settle_key(&migration.id)) {
            continue;
        }
        let Some(vm) = turn.snap.vms.get(migration.vm.as_str()) else {
            if migration.state == State::Switching {
                // It arrived, and was deleted there: nothing is left to be seen.
                turn.change_migration(entry, [Change::Lost(Refusal::VmUnknown { vm: migration.vm.to_string() })]);
                continue;
            }
            let text = format!(
                "the document of server {} is gone while migration {} is under way",
                migration.vm, migration.id
            );
            turn.alarm(format!("alarm/vm/{}", migration.vm), text);
            continue;
        };
        if turn.settled::<Vm>(migration.vm.as_str()) {
            step(turn, &mut links, entry, vm);
        }
    }
}

fn step(turn: &mut Turn<'_>, links: &mut Links, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let id = &entry.value.id;
    if is_older(&vm.value, &entry.value) {
        return;
    }
    let crossing = vm.value.crossing.as_ref().filter(|c| c.id == *id);
    let (switched, abandoned) = crossing.map_or((false, false), |c| (c.switched, c.abandoned));
    match entry.value.state {
        State::Queued => queue::step(turn, links, entry, vm),
        State::Preparing | State::Copying | State::Settling if abandoned => {
            let why = reason(turn, &entry.value);
            turn.change_migration(entry, [Change::GivenUp(why)]);
        }
        State::Copying if switched => turn.change_migration(entry, [Change::CopyEnded, Change::Switched]),
        State::Settling if switched => turn.change_migration(entry, [Change::Switched]),
        // The server's document no longer speaks of this migration: it went another way.
        State::Preparing | State::Copying | State::Settling if crossing.is_none() => {
            let why = reason(turn, &entry.value);
            turn.change_migration(entry, [Change::GivenUp(why)]);
        }
        State::Preparing => prepare(turn, links, entry, vm),
        State::Copying => copy(turn, entry, vm),
        State::Settling => settle(turn, entry, vm),
        State::Switching => ending::switching(turn, entry, vm),
        State::Aborting => ending::aborting(turn, entry, vm),
        State::Completed | State::Failed | State::Cancelled => {}
    }
}

/// Whether the copy of a server's document here is older than a migration's: that has begun, and the
/// server's, which says so first, does not know it yet. Nothing is concluded from that.
fn is_older(vm: &Vm, migration: &Migration) -> bool {
    let same_server = vm.created_at <= migration.created_at;
    migration.state != State::Queued && same_server && vm.migrations < naming::number(migration.id.as_str())
}

fn prepare(turn: &mut Turn<'_>, links: &mut Links, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let migration = &entry.value;
    // Whoever comes to where it drains would have to leave at once. An evacuation tries again elsewhere.
    let is_taken = placement::still_takes(&turn.rooms, &migration.to).is_ok();
    if migration.cancel_asked || turn.unreachable(&migration.to) || !is_taken {
        return give_up(turn, vm);
    }
    let missing = orders::send_ahead(turn, migration, &vm.value);
    let most_ms = if stands_ready(turn, migration, &vm.value, missing.is_some()) {
        turn.rules.prepare_ms
    } else {
        turn.rules.copy_ms
    };
    let step = missing.unwrap_or_else(|| orders::receive(turn, migration, &vm.value));
    match step {
        Step::Failed(_) => give_up(turn, vm),
        // Its time to prepare is not that of the pause.
        _ if turn.snap.is_paused(migration) => wait_paused(turn, entry, vm),
        // What was answered long ago is forgotten, and asked again: a target that says so itself is prepared.
        Step::Working if !is_prepared(turn, migration) && turn.now.millis_since(migration.changed_at) > most_ms => {
            give_up(turn, vm);
        }
        Step::Working => links.awaits(turn, migration),
        // Nothing has travelled yet; the bytes wait until the link is free.
        Step::Done(_) if links.may_copy(turn, migration) => {
            links.copies(turn.snap, migration);
            turn.change_migration(entry, [Change::Prepared]);
        }
        Step::Done(_) => {}
    }
}

/// Whether all that a server's disk stands on is at the target's site; else it may have to travel first.
fn stands_ready(turn: &Turn<'_>, migration: &Migration, vm: &Vm, is_sent: bool) -> bool {
    let is_plain = || ahead::stack_at(turn.snap, &migration.from, &migration.vm).is_plain();
    let is_near = || turn.rooms.supply(&vm.spec.base, &migration.to) == Supply::Near;
    !is_sent && is_plain() && is_near() && !came_meanwhile(turn, migration, vm)
}

/// Whether the target's site has its base image only since the target was told to prepare: that may still be fetching it
/// from further away, and is not given less time for it by that.
fn came_meanwhile(turn: &Turn<'_>, migration: &Migration, vm: &Vm) -> bool {
    let image = turn.snap.images.get(vm.spec.base.image.as_str()).map(|entry| &entry.value);
    let copied = image.zip(turn.snap.site_of(&migration.to)).and_then(|(image, site)| image.copies.get(site));
    copied.is_some_and(|copied| *copied > migration.changed_at)
}

/// Whether the target has said that it is ready: it may wait for the link for longer than its answer is remembered.
fn is_prepared(turn: &Turn<'_>, migration: &Migration) -> bool {
    let said = turn.snap.passages.get(&(migration.to.clone(), migration.id.clone()));
    said.is_some_and(|passage| passage.phase == Phase::Prepared)
}

/// It keeps its place at the target until its outage is resumed. Whatever a migration otherwise ends with
/// before long must not wait for that: a server that is to be off, or has died and is to be started again.
fn wait_paused(turn: &mut Turn<'_>, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let wanted = vm.value.desired == Desired::Running;
    if !wanted || turn.sight(&entry.value.from, &vm.value.name).off() {
        give_up(turn, vm);
    }
}

fn copy(turn: &mut Turn<'_>, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let migration = &entry.value;
    if copy_is_over(turn, migration) {
        // The short way: both are asked at once, while the document is still being written.
        settle(turn, entry, vm);
        turn.change_migration(entry, [Change::CopyEnded]);
    } else if must_break_off(turn, migration) {
        let _ = orders::abort(turn, migration, &vm.value);
    } else {
        let _ = orders::send(turn, migration, &vm.value);
    }
}

/// An operator's word, or a copy that never ends.
fn must_break_off(turn: &Turn<'_>, migration: &Migration) -> bool {
    migration.cancel_asked
        || migration.copying_at.is_some_and(|began| turn.now.millis_since(began) > turn.rules.copy_ms)
}

fn settle(turn: &mut Turn<'_>, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let migration = &entry.value;
    let key = settle_key(&migration.id);
    let copy = copy_known(turn, migration, &vm.value);
    let reported = reported(turn, migration, copy).map(Box::new);
    let off = Off { source: turn.is_off_at_source(&vm.value, migration), target: turn.is_off(&migration.to) };
    let ask = |turn: &mut Turn<'_>| {
        turn.push(Action::Settle(Settle {
            migration: migration.id.clone(),
            vm: migration.vm.clone(),
            from: migration.from.clone(),
            to: migration.to.clone(),
            epoch: turn.snap.epoch,
            copy,
            off,
            reported,
        }));
    };
    let Some(answer) = turn.snap.answers.get(&key) else { return ask(turn) };
    let Outcome::Both(both) = &answer.outcome else { return ask(turn) };
    // A word that was withdrawn since does not count any more.
    let both = Both { off: both.off.and(off), ..both.clone() };
    match verdict(&migration.id, &both) {
        Verdict::Switch if may_switch(&vm.value, &migration.id) => turn.change_vm(vm, [vm::Change::Switched], |_| {}),
        Verdict::GiveUp => give_up(turn, vm),
        Verdict::Double => {
            let text = format!("server {} runs on {} and on {}", migration.vm, migration.from, migration.to);
            turn.alarm(format!("alarm/double/{}", migration.vm), text);
        }
        Verdict::Switch | Verdict::Wait => {
            if answer.age_ms >= turn.rules.repeat_ms || answer.news {
                ask(turn);
            }
            // After a crash nobody may have told the source to send, or to break off.
            if copy == Copy::Unknown && may_switch(&vm.value, &migration.id) {
                let _ = if must_break_off(turn, migration) {
                    orders::abort(turn, migration, &vm.value)
                } else {
                    orders::send(turn, migration, &vm.value)
                };
            }
        }
    }
}

/// What both sides have reported of this migration, if a switch-over follows from it.
///
/// While the guest stands still every round trip counts, and a report that names the migration is
/// as good as an answer. That the source's process is gone stays true until there is a newer grant,
/// which the compare-and-set on the server's document excludes; a copy that has died since is
/// found out by resuming it, and costs what it would have cost anyway. Whatever else was reported,
/// both are asked.
fn reported(turn: &Turn<'_>, migration: &Migration, copy: Copy) -> Option<Both> {
    let report = |node| match turn.sight(node, &migration.vm) {
        Sight::Seen(fact) if fact.passage.as_ref().is_some_and(|p| p.migration == migration.id) => Some(fact.clone()),
        _ => None,
    };
    let both = Both {
        copy,
        source: Some(report(&migration.from)?),
        target: Some(report(&migration.to)?),
        off: Off::default(),
    };
    (verdict(&migration.id, &both) == Verdict::Switch).then_some(both)
}

/// Takes the grant's way to the target away; the migration's own document follows.
fn give_up(turn: &mut Turn<'_>, vm: &Entry<Vm>) {
    turn.change_vm(vm, [vm::Change::Abandoned], |_| {});
}

/// Whether nothing travels any more, as far as can be seen without a fresh look. A hint: it frees
/// the link and begins the settling, which looks.
pub(crate) fn copy_is_over(turn: &Turn<'_>, migration: &Migration) -> bool {
    let vm = turn.snap.vms.get(migration.vm.as_str());
    let ended = match turn.sight(&migration.from, &migration.vm) {
        Sight::Seen(fact) => {
            let passage = fact.passage.as_ref().filter(|p| p.migration == migration.id);
            passage.is_some_and(|p| p.phase == Phase::Ended)
        }
        Sight::Nothing | Sight::Silent => false,
    };
    ended
        || turn.is_off(&migration.from)
        || vm.is_some_and(|vm| turn.is_off_at_source(&vm.value, migration))
        || turn.sight(&migration.from, &migration.vm).off()
        || vm.is_some_and(|vm| copy_known(turn, migration, &vm.value) == Copy::Over)
}

/// Whether the agent has answered for good that it does not send.
fn copy_known(turn: &Turn<'_>, migration: &Migration, vm: &Vm) -> Copy {
    let over = |verb: &str| {
        let key = naming::at(&naming::of_migration(verb, &migration.id, vm), &migration.from);
        turn.snap.answers.get(&key).is_some_and(|answer| match &answer.outcome {
            Outcome::Refused(_) => verb == "send",
            Outcome::Order(progress, _) => match progress {
                watari_contracts::agent::Progress::Done => true,
                watari_contracts::agent::Progress::Failed(_) => verb == "send",
                watari_contracts::agent::Progress::Working => false,
            },
            _ => false,
        })
    };
    if over("send") || over("abort") { Copy::Over } else { Copy::Unknown }
}

/// Why a migration is given up, from what is still known; derived anew after a crash.
fn reason(turn: &Turn<'_>, migration: &Migration) -> Refusal {
    let (vm, node) = (migration.vm.to_string(), migration.to.to_string());
    if migration.cancel_asked {
        return Refusal::MigrationCancelled { vm };
    }
    if let Some(entry) = turn.snap.vms.get(migration.vm.as_str())
        && let Some(refusal) = orders::failure(turn, migration, &entry.value)
    {
        return refusal;
    }
    if turn.unreachable(&migration.to) {
        return Refusal::TargetLost { vm, node };
    }
    if migration.copying_at.is_none()
        && let Err(refusal) = placement::still_takes(&turn.rooms, &migration.to)
    {
        return refusal;
    }
    let passage = turn.snap.passages.get(&(migration.from.clone(), migration.id.clone()));
    if let Some(seconds) = passage.and_then(|p| p.stalled_seconds) {
        return Refusal::MigrationStalled { vm, node, seconds: seconds.to_string() };
    }
    let detail = match passage.and_then(|p| p.complaint.clone()) {
        Some(complaint) => complaint,
        None if must_break_off(turn, migration) => {
            format!("the copy was not finished within {} s", turn.rules.copy_ms / 1_000)
        }
        None if migration.copying_at.is_none() && turn.snap.is_paused(migration) => {
            "it was stopped or died while the outage was paused".to_owned()
        }
        None if migration.copying_at.is_none() => {
            format!("it was not prepared within {} s", turn.rules.prepare_ms / 1_000)
        }
        None => "the copy ended without arriving".to_owned(),
    };
    Refusal::MigrationFailed { vm, node, detail }
}

/// The orders of a migration that are tried again by a new migration, not by themselves.
const ONCE: OnFailure = OnFailure::Tell;

#[cfg(test)]
mod tests;
