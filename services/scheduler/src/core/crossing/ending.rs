//! The two ends: the server lives on at the target, or goes on at the source.

use watari_chassis::Entry;
use watari_contracts::agent::{Domain, VmFact};
use watari_model::{
    NodeName, Refusal,
    migration::{Change, Migration},
    vm::{self, Vm},
};

use super::{
    Step, Turn, measure,
    orders::{abort, discard, release, resume},
};
use crate::core::snapshot::{Sight, known};

/// The grant is the target's: it is resumed there and forgotten at the source.
pub(super) fn switching(turn: &mut Turn<'_>, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let migration = &entry.value;
    if vm.value.crossing.as_ref().is_some_and(|crossing| crossing.id == migration.id) {
        return awaken(turn, entry, vm);
    }
    // Seen running at the target; it shall answer there as well. The source is released after that:
    // what its agent knows of the migration goes with it.
    match answers(turn, migration, &vm.value) {
        Answers::Well => {}
        Answers::NotYet => return,
        Answers::Not => {
            let (vm, node, from) = (migration.vm.to_string(), migration.to.to_string(), migration.from.to_string());
            return turn.change_migration(entry, [Change::Lost(Refusal::ServerUnanswering { vm, node, from })]);
        }
    }
    // The source's process was seen gone before the switch-over; what is left of it there is its
    // definition, unless nobody is there to ask.
    let released = matches!(release(turn, migration, &vm.value), Step::Done(_));
    let sight = turn.sight(&migration.from, &migration.vm);
    let absent = released && !matches!(sight.domain(), Some(Domain::Running | Domain::Paused | Domain::Incoming));
    if absent || turn.unreachable(&migration.from) {
        let measured = measure::of(turn, migration, &vm.value);
        turn.change_migration(entry, [Change::Done(measured)]);
    }
}

/// Whether a server that was moved answers.
enum Answers {
    /// It does, or it is not held to it.
    Well,
    /// It may still do so.
    NotYet,
    /// It was asked, for long enough.
    Not,
}

/// A guest without an address, or one that was just booting, did not answer at the source and is not
/// held to it at the target; neither is one that has been stopped since, nor one that nobody there
/// can ask.
fn answers(turn: &Turn<'_>, migration: &Migration, vm: &Vm) -> Answers {
    let at = |node: &NodeName| turn.snap.passages.get(&(node.clone(), migration.id.clone())).and_then(|p| p.answers);
    let runs_there = vm.state == vm::State::Running && vm.node() == Some(&migration.to);
    if !runs_there || at(&migration.from) != Some(true) {
        return Answers::Well;
    }
    // The server's state last changed when it was seen running at the target.
    let late = turn.now.millis_since(vm.changed_at) > turn.rules.answer_ms;
    match at(&migration.to) {
        Some(true) => Answers::Well,
        Some(false) if late => Answers::Not,
        None if late && !turn.unreachable(&migration.to) => Answers::Well,
        _ => Answers::NotYet,
    }
}

/// Resumes the copy under the target's grant.
fn awaken(turn: &mut Turn<'_>, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let migration = &entry.value;
    let sight = turn.sight(&migration.to, &migration.vm);
    if sight.runs_under(vm.value.generation()) {
        return turn.change_vm(vm, [vm::Change::MigrationEnded, vm::Change::SeenRunning], |vm| vm.fault = None);
    }
    if turn.is_off(&migration.to) && vm.value.desired == vm::Desired::Deleted {
        // Nobody starts it again. Any other waits for its node, which learns by the order to resume that the
        // disk is whole.
        let (vm, node) = (migration.vm.to_string(), migration.to.to_string());
        return turn.change_migration(entry, [Change::Lost(Refusal::VmStranded { vm, node })]);
    }
    let off = sight.off() && turn.look(vm, &migration.to).is_some_and(|fact| fact.domain.is_off());
    // The order to resume is given even so: by its grant the agent learns that the disk is whole.
    if off && !matches!(resume(turn, &vm.value), Step::Working) {
        // The copy died before it ran. The server is started anew from its disk.
        let fault = Refusal::AgentState {
            vm: migration.vm.to_string(),
            node: migration.to.to_string(),
            state: "off".to_owned(),
            wanted: "resume".to_owned(),
        };
        return turn.change_migration(entry, [Change::Lost(fault)]);
    }
    resume_or_regrant(turn, vm, sight);
}

/// An order to resume that failed is tried again under a new generation.
fn resume_or_regrant(turn: &mut Turn<'_>, vm: &Entry<Vm>, sight: Sight<'_>) {
    let paused = sight.domain() == Some(Domain::Paused);
    let failed = match resume(turn, &vm.value) {
        Step::Failed(_) => true,
        // Done, but paused: somebody else paused it, or it never really ran.
        Step::Done(_) => paused,
        Step::Working => false,
    };
    let since = answered_since(turn, vm);
    if failed && paused && since >= turn.rules.repeat_ms {
        // What was seen may be older than the order: a look since then has to say the same.
        let Some(node) = vm.value.node() else { return };
        if turn.look_within(vm, node, since).is_some_and(|fact| fact.domain == Domain::Paused) {
            turn.change_vm(vm, [vm::Change::Regranted], |_| {});
        }
    }
}

/// How long ago the order to resume was answered; 0 if it was not.
fn answered_since(turn: &Turn<'_>, vm: &Entry<Vm>) -> u64 {
    let key = super::resume_key(&vm.value);
    key.and_then(|key| turn.snap.answers.get(&key)).map_or(0, |answer| answer.age_ms)
}

/// The grant stays with the source: the target's copy is destroyed, then the source goes on.
pub(super) fn aborting(turn: &mut Turn<'_>, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let migration = &entry.value;
    match &vm.value.crossing {
        Some(crossing) if crossing.id == migration.id => undo(turn, migration, vm),
        _ => turn.change_migration(entry, [Change::Undone]),
    }
}

/// The server's part of it: what a migration that came to nothing has begun is taken back.
pub(crate) fn undo(turn: &mut Turn<'_>, migration: &Migration, vm: &Entry<Vm>) {
    if !vm.value.crossing.as_ref().is_some_and(|crossing| crossing.abandoned) {
        return turn.change_vm(vm, [vm::Change::Abandoned], |_| {});
    }
    let discarded = matches!(discard(turn, migration, &vm.value), Step::Done(_));
    if turn.is_off_at_source(&vm.value, migration) {
        // Nobody there can be asked, and nothing runs there, as an operator says, or as it must be by now.
        return end_undone(turn, migration, vm, discarded);
    }
    // Closes the migration at the source too: a late order to send would find nobody prepared, but
    // what is refused need not fail.
    if !matches!(abort(turn, migration, &vm.value), Step::Done(_)) {
        return;
    }
    let Some(source) = turn.look(vm, &migration.from) else { return };
    match known(source) {
        Some(Domain::Running | Domain::Off(_) | Domain::Absent) => end_undone(turn, migration, vm, discarded),
        // What is off has no copy that could run, and gets none: it never has the grant.
        Some(Domain::Paused) if discarded || turn.is_off(&migration.to) => wake_source(turn, vm, source),
        _ => {}
    }
}

/// Ends it for the server once the target's copy is destroyed, or can never get a grant: what a target has that is not
/// heard is removed when it is heard again.
fn end_undone(turn: &mut Turn<'_>, migration: &Migration, vm: &Entry<Vm>, discarded: bool) {
    if discarded {
        turn.change_vm(vm, [vm::Change::MigrationEnded], |_| {});
    } else if turn.unreachable(&migration.to) {
        let left = vm::Change::LeftBehind(migration.to.clone());
        turn.change_vm(vm, [left, vm::Change::MigrationEnded], |_| {});
    }
}

/// The source was left paused. It goes on only under a new generation, and only now that the
/// target's copy is destroyed.
fn wake_source(turn: &mut Turn<'_>, vm: &Entry<Vm>, fact: &VmFact) {
    let under_old_grant = fact.generation >= vm.value.generation();
    if under_old_grant && !resume_was_ordered(turn, vm) {
        turn.change_vm(vm, [vm::Change::Regranted], |_| {});
    } else {
        resume_or_regrant(turn, vm, Sight::Seen(fact));
    }
}

fn resume_was_ordered(turn: &Turn<'_>, vm: &Entry<Vm>) -> bool {
    super::resume_key(&vm.value)
        .is_some_and(|key| turn.snap.answers.contains_key(&key) || turn.snap.busy.contains_key(&key))
}
