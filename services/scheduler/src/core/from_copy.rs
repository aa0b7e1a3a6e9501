//! Servers whose node is off for sure, started from the copy of their disk at another node, where their policy accepts
//! what that loses.
//!
//! | what must be so | why |
//! | --- | --- |
//! | its node is off, by the proofs that count elsewhere too | else it would run twice; silence is no proof |
//! | it is wanted, and its policy takes the loss | the lost node's disk has more, and may come back |
//! | no planned outage has its node | that one comes back by itself, with everything |
//! | the copy is whole at a node that is heard and has room | it is not started from nothing |
//! | no start may still be on its way to its node | it would be carried out when the node is back |
//! | neither it nor the copy's node is in the middle of something | what lies there is understood |
//!
//! The document says it all in one write ([`Change::GrantedCopy`]): the new grant, what the disk is made of, and that the
//! lost node's disk is the newest. The lost node runs nothing without a newer grant. When it is heard again, its disk
//! becomes a kept one ([`super::removal`]); until then it is left as it is.
//!
//! Where the server does not come up on its copy, an operator may give that up ([`Change::CopyDiscarded`]). The grant goes
//! back only after the copy's node has cleared away what it has of the server, under a generation newer than any start
//! that it was ever ordered: so none can come late, and whatever came up there unseen is gone. If by then the lost node
//! is given up for good, there is nothing to go back to: the layers of the copy are there still, and it is started on them.

use watari_chassis::Entry;
use watari_contracts::agent::{Domain, Remove};
use watari_model::{
    Refusal,
    vm::{Change, Desired, State, Vm},
};

use super::{
    Snapshot,
    action::Order,
    ahead, dependencies, naming, placement,
    placement::Need,
    snapshot::Sight,
    turn::{OnFailure, Step, Turn},
};

/// Starts a server from its copy, if all of that is so; says whether it did.
pub(super) fn decide(turn: &mut Turn<'_>, entry: &Entry<Vm>) -> bool {
    let vm = &entry.value;
    let wants = vm.state == State::Stopped && vm.accepts_copy(turn.now);
    if !wants || !is_proven_off(turn, vm) || is_awaited(turn.snap, vm) || !is_usable(turn, vm) {
        return false;
    }
    // Those on which it depends go first.
    if dependencies::starts_later(turn, vm) {
        return false;
    }
    // It is a restart that nobody asked for: what fails again pauses ever longer.
    turn.rewrite_vm(entry, [Change::GrantedCopy], |_| {}, true);
    true
}

/// Has a server whose copy was given up go back to the disk that it had before; says whether it is one.
pub(super) fn give_back(turn: &mut Turn<'_>, entry: &Entry<Vm>) -> bool {
    let vm = &entry.value;
    let (Some(node), Some(before)) = (vm.node().filter(|_| vm.is_going_back()), vm.disk_before_copy()) else {
        return false;
    };
    // What it left there is forgotten then ([`super::removal::given_up`]), and the copy is all that there is of it.
    if turn.is_given_up(before) {
        return false;
    }
    if !turn.is_given_up(node) {
        if turn.unreachable(node) {
            let fault = Refusal::VmUnreachable { vm: vm.name.to_string(), node: node.to_string() };
            turn.change_vm(entry, [], |vm| vm.fault = Some(fault));
            return true;
        }
        let operation = naming::of_vm("discard-copy", vm, vm.generation());
        let step = turn.order(&operation, node, OnFailure::TryAgain, |order| {
            let (generation, vm, uuid) = (vm.generation(), vm.name.clone(), vm.uuid.clone());
            // The layers stay: they are a part of the disk that it goes back to.
            Order::Remove(Remove {
                order,
                vm,
                uuid,
                generation,
                keep_layers: true,
                spare_running: false,
                keep_disk: None,
            })
        });
        if !matches!(step, Step::Done(_)) {
            return true;
        }
    }
    let starts = vm.desired == Desired::Running && !turn.unreachable(before);
    let granted = starts.then(|| Change::Granted(before.clone()));
    turn.change_vm(entry, [Change::GrantedBack].into_iter().chain(granted), |_| {});
    true
}

/// Whether nothing of it can run where its grant is: by an operator's word or the power controller's, or because the
/// node must have stopped it by itself.
fn is_proven_off(turn: &Turn<'_>, vm: &Vm) -> bool {
    vm.node().is_some_and(|node| turn.is_off(node)) || turn.has_ceased(vm)
}

/// Whether its node is off because of a planned outage.
fn is_awaited(snap: &Snapshot, vm: &Vm) -> bool {
    let node = vm.node().and_then(|node| snap.nodes.get(node.as_str()));
    node.is_some_and(|node| snap.outages.values().any(|outage| outage.value.keeps_away(&node.value)))
}

/// Whether the copy is whole, as its node says now, and the server may stand on it there.
fn is_usable(turn: &Turn<'_>, vm: &Vm) -> bool {
    let Some((to, copy)) = vm.copy_elsewhere() else { return false };
    let heard = turn.snap.heard_within(to, turn.rules.silent_ms).is_some() && !turn.unreachable(to);
    let empty = match turn.sight(to, &vm.name) {
        Sight::Nothing => true,
        Sight::Seen(fact) => fact.domain == Domain::Absent && !fact.disk,
        Sight::Silent => false,
    };
    let clear = empty && !turn.moves(vm) && !vm.leftovers.iter().any(|leftover| leftover.node == *to);
    let whole = !copy.stack.layers.is_empty() && ahead::is_held(turn.snap, to, vm, &copy.stack, None);
    heard && clear && whole && placement::check(&turn.rooms, &Need::start(vm, turn.snap), to).is_ok()
}

#[cfg(test)]
mod tests;
