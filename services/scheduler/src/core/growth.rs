//! Servers that grow while they run: what of a pending size their agents can make so at once.
//!
//! ```text
//!  pending ─▶ ordered, one part after another ─▶ done: the document says so
//!                                             └▶ cannot be: it stays pending until the next start, and why is told
//! ```
//!
//! Nothing that moves grows: the target is prepared for the disk as the document says it is. What is known to be under
//! way is waited for before a crossing begins, and nothing is ordered while one is to come. Should a disk have grown all
//! the same, its agent sends nothing ([`grows_disk`]): it goes on where it is, and its next crossing knows the size.

use watari_chassis::Entry;
use watari_contracts::agent::{Grow, Progress};
use watari_model::{
    Refusal,
    vm::{Change, Desired, Grant, Growth, State, Vm},
};

use super::{
    Snapshot,
    action::Order,
    naming,
    snapshot::{Outcome, Sight},
    turn::{OnFailure, Step, Turn},
};

/// Decides about a server that runs and is to run on.
pub(super) fn decide(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let Some(grant) = &vm.grant else { return };
    if vm.pending.is_none() || !turn.sight(&grant.node, &vm.name).runs_under(grant.generation) {
        return;
    }
    let moves = turn.moves(vm);
    let mut why = None;
    for growth in vm.growing() {
        if moves && !is_in_hand(turn.snap, vm, grant, growth) {
            continue;
        }
        match step(turn, vm, grant, growth) {
            Step::Done(_) => return turn.change_vm(entry, [Change::Grown(growth)], |_| {}),
            Step::Working => return,
            Step::Failed(refusal) => why = why.or(Some(refusal)),
        }
    }
    // Another fault is not hidden by this one.
    if let Some(why) = why.filter(|_| vm.fault.is_none() || vm.growth_waits()) {
        let fault = waits(vm, why);
        turn.change_vm(entry, [], |vm| vm.fault = Some(fault));
    }
}

/// Whether an agent is letting a server grow, which is waited for before it moves: no longer than the agent's bounds
/// let that last.
pub(super) fn holds_up(turn: &Turn<'_>, vm: &Vm) -> bool {
    let wanted = vm.state == State::Running && vm.desired == Desired::Running;
    let Some(grant) = vm.grant.as_ref().filter(|_| wanted) else { return false };
    let heard = matches!(turn.sight(&grant.node, &vm.name), Sight::Seen(_));
    heard && vm.growing().any(|growth| is_in_hand(turn.snap, vm, grant, growth))
}

/// Whether an agent is giving a server's guest more memory, or has and its document does not say so yet. What is kept
/// free for it must not become less meanwhile.
pub(crate) fn takes_memory(snap: &Snapshot, vm: &Vm) -> bool {
    let is_memory = |growth: &Growth| matches!(growth, Growth::MemoryMib(_));
    vm.grant
        .as_ref()
        .is_some_and(|grant| vm.growing().filter(is_memory).any(|growth| is_in_hand(snap, vm, grant, growth)))
}

/// Whether its disk may be larger already than its document says.
pub(super) fn grows_disk(vm: &Vm) -> bool {
    vm.growing().any(|growth| matches!(growth, Growth::DiskGib(_)))
}

/// It never becomes smaller under one grant, so that what is to be achieved has one name.
fn operation(vm: &Vm, grant: &Grant, growth: Growth) -> String {
    match growth {
        Growth::DiskGib(gib) => format!("{}-{gib}", naming::of_vm("grow-disk", vm, grant.generation)),
        Growth::Vcpus(vcpus) => format!("{}-{vcpus}", naming::of_vm("grow-vcpus", vm, grant.generation)),
        Growth::MemoryMib(mib) => format!("{}-{mib}", naming::of_vm("grow-memory", vm, grant.generation)),
    }
}

/// Whether it is under way, or done and not written down yet. An agent that does not answer, as one that is too old for
/// the order, holds nobody up.
fn is_in_hand(snap: &Snapshot, vm: &Vm, grant: &Grant, growth: Growth) -> bool {
    let key = naming::at(&operation(vm, grant, growth), &grant.node);
    let outcome = snap.answers.get(&key).map(|answer| &answer.outcome);
    let begun = matches!(outcome, Some(Outcome::Order(Progress::Working | Progress::Done, _)));
    begun || snap.busy.contains_key(&key)
}

/// Orders it. What cannot be done is told; if it may be done later, it is tried again all the same, ever more rarely.
fn step<'a>(turn: &mut Turn<'a>, vm: &Vm, grant: &Grant, growth: Growth) -> Step<'a> {
    let (snap, operation) = (turn.snap, operation(vm, grant, growth));
    let failed = match snap.answers.get(&naming::at(&operation, &grant.node)).map(|answer| &answer.outcome) {
        Some(Outcome::Order(Progress::Failed(refusal), _) | Outcome::Refused(refusal)) => Some(refusal),
        _ => None,
    };
    let on_failure = match failed {
        Some(refusal) if refusal.retryable() => OnFailure::TryAgain,
        _ => OnFailure::Tell,
    };
    let step = turn.order(&operation, &grant.node, on_failure, |order| {
        Order::Grow(Grow { order, vm: vm.name.clone(), generation: grant.generation, growth })
    });
    failed.map_or(step, Step::Failed)
}

/// What is told of it, in the server's words.
fn waits(vm: &Vm, why: &Refusal) -> Refusal {
    match why {
        Refusal::GrowthWaits { .. } => why.clone(),
        _ => Refusal::GrowthWaits { vm: vm.name.to_string(), detail: why.said() },
    }
}

#[cfg(test)]
mod tests;
