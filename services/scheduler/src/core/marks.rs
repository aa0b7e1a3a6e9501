//! Moments of servers' disks that have a name: taken where the disk is, and gone back to.
//!
//! ```text
//!  asked ─▶ ordered where it runs, or is off ─▶ its agent says that it has it ─▶ taken
//!  revert asked, while it is off ─▶ ordered there ─▶ done, or failed after some tries
//! ```
//!
//! What is taken is what agents report with the disk's layers; the document keeps it, wherever the server goes. A
//! migration goes before a taking, which then is done where the server has arrived.

use watari_chassis::Entry;
use watari_contracts::agent::{Mark, Named, Progress, RevertDisk, Stack, TakeSnapshot, weight};
use watari_model::{
    Refusal,
    vm::{self, Desired, Grant, State, Vm},
};

use super::{
    action::Order,
    naming,
    snapshot::{Outcome, Sight},
    turn::{OnFailure, Step, Turn},
};

/// Tries of a going back that fail for now. Nobody can start the server meanwhile.
const TRIES: u32 = 6;
/// How long a going back is waited for of which its agent, which is heard, says nothing, such as one that is too old
/// for the order.
const SILENT_MS: u64 = 600_000;

/// Which moments of its disk have a name, for its agent.
pub(crate) fn named(vm: &Vm) -> Named {
    let list = &vm.snapshots.list;
    Named {
        newest: vm.snapshots.asked,
        numbers: list.iter().map(|snapshot| snapshot.number).collect(),
        layers: list.iter().filter_map(|snapshot| snapshot.taken).map(|taken| taken.layer).collect(),
    }
}

/// Decides about every server that has something to be taken, or goes back.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    let any = |vm: &Vm| !vm.snapshots.list.is_empty() || vm.snapshots.reverting().is_some();
    for entry in snap.vms.values().filter(|entry| any(&entry.value)) {
        if turn.settled::<Vm>(entry.value.name.as_str()) {
            step(turn, entry);
        }
    }
}

fn step(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let Some(grant) = &vm.grant else { return };
    if vm.desired == Desired::Deleted || turn.moves(vm) || turn.unreachable(&grant.node) {
        return;
    }
    let Sight::Seen(fact) = turn.sight(&grant.node, &vm.name) else { return };
    // What it says is of this grant's time, and so of the disk that is the server's.
    if fact.generation != grant.generation {
        return;
    }
    let off = vm.state == State::Stopped && fact.domain.is_off();
    if vm.snapshots.reverting().is_some() {
        if off {
            revert(turn, entry, grant);
        }
        return;
    }
    if let Some((number, taken)) = reweighed(vm, &fact.stack) {
        return turn.change_vm(entry, [], |vm| vm.snapshots.note(number, Ok(taken)));
    }
    let Some(due) = vm.snapshots.due() else { return };
    if let Some(mark) = fact.stack.marks.iter().find(|mark| mark.number == due.number) {
        let (number, taken) = (due.number, taken(mark, &fact.stack));
        return turn.change_vm(entry, [], |vm| vm.snapshots.note(number, Ok(taken)));
    }
    if off || (vm.state == State::Running && turn.sight(&grant.node, &vm.name).runs_under(grant.generation)) {
        take(turn, entry, grant, due.number);
    }
}

fn taken(mark: &Mark, stack: &Stack) -> vm::Taken {
    let bytes = bytes_to(stack, mark.layer).unwrap_or(0);
    vm::Taken { at: mark.at, layer: mark.layer, consistency: mark.consistency, bytes }
}

/// What the layers up to this one weigh; none if the disk does not stand on it.
fn bytes_to(stack: &Stack, layer: u32) -> Option<u64> {
    let at = stack.layers.iter().position(|frozen| frozen.index == layer)?;
    stack.layers.get(..=at).map(weight)
}

/// A moment for which there lies more or less than was written down: layers below it were merged as it was taken.
fn reweighed(vm: &Vm, stack: &Stack) -> Option<(u64, vm::Taken)> {
    vm.snapshots.list.iter().find_map(|snapshot| {
        let taken = snapshot.taken?;
        let bytes = bytes_to(stack, taken.layer).filter(|bytes| *bytes != taken.bytes)?;
        Some((snapshot.number, vm::Taken { bytes, ..taken }))
    })
}

/// Has it taken, until its agent says that it has it.
fn take(turn: &mut Turn<'_>, entry: &Entry<Vm>, grant: &Grant, number: u64) {
    let vm = &entry.value;
    let operation = naming::of_vm("snapshot", vm, number);
    let _ = turn.order(&operation, &grant.node, OnFailure::TryAgain, |order| {
        let (vm, generation, named) = (vm.name.clone(), grant.generation, named(vm));
        Order::TakeSnapshot(TakeSnapshot { order, vm, generation, number, named })
    });
    // It is said why it takes longer, and tried again all the same.
    if let Some((why, _)) = failure(turn, &operation, grant) {
        turn.change_vm(entry, [], |vm| vm.snapshots.note(number, Err(why)));
    }
}

fn revert(turn: &mut Turn<'_>, entry: &Entry<Vm>, grant: &Grant) {
    let vm = &entry.value;
    let Some(revert) = vm.snapshots.reverting() else { return };
    let to = vm.snapshots.get(&revert.to).and_then(|snapshot| snapshot.taken);
    let Some(to) = to else {
        let missing = Refusal::SnapshotUnknown { vm: vm.name.to_string(), snapshot: revert.to.to_string() };
        return turn.change_vm(entry, [], |vm| vm.snapshots.end_revert(vm::Outcome::Failed(missing)));
    };
    let operation = naming::of_vm("revert", vm, revert.number);
    let step = turn.order(&operation, &grant.node, OnFailure::TryAgain, |order| {
        let (vm, generation, layer) = (vm.name.clone(), grant.generation, to.layer);
        Order::RevertDisk(RevertDisk { order, vm, generation, layer })
    });
    if matches!(step, Step::Done(_)) {
        return turn.change_vm(entry, [], |vm| vm.snapshots.end_revert(vm::Outcome::Done));
    }
    if is_silent(turn, &operation, grant) && turn.now.millis_since(revert.asked_at) >= SILENT_MS {
        // Once the server is started again the order is too old to be carried out.
        let unknown = Refusal::NoAnswer { who: format!("node {}", grant.node) };
        return turn.change_vm(entry, [], |vm| vm.snapshots.end_revert(vm::Outcome::Failed(unknown)));
    }
    // An agent that has failed has left the disk as it was.
    if let Some((why, attempt)) = failure(turn, &operation, grant)
        && (!why.retryable() || attempt >= TRIES)
    {
        turn.change_vm(entry, [], |vm| vm.snapshots.end_revert(vm::Outcome::Failed(why)));
    }
}

/// Whether nobody answers for an operation just now. One that is busy does; and that nobody did while the node was away
/// says nothing of the order that is given it as it is back.
fn is_silent(turn: &Turn<'_>, operation: &str, grant: &Grant) -> bool {
    let answer = turn.snap.answers.get(&naming::at(operation, &grant.node));
    let fresh = answer.filter(|answer| answer.age_ms < turn.rules.repeat_ms).map(|answer| &answer.outcome);
    matches!(fresh, Some(Outcome::Silent(why)) if !matches!(why, Refusal::AgentState { .. }))
}

/// How the last try of an operation has failed, and how many had failed before it.
fn failure(turn: &Turn<'_>, operation: &str, grant: &Grant) -> Option<(Refusal, u32)> {
    let answer = turn.snap.answers.get(&naming::at(operation, &grant.node))?;
    match &answer.outcome {
        Outcome::Order(Progress::Failed(why), _) | Outcome::Refused(why) => Some((why.clone(), answer.attempt)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
