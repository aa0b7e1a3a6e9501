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

use watari_chassis::Entry;
use watari_contracts::agent::Domain;
use watari_model::vm::{Change, State, Vm};

use super::{Snapshot, ahead, placement, placement::Need, snapshot::Sight, turn::Turn};

/// Starts a server from its copy, if all of that is so; says whether it did.
pub(super) fn decide(turn: &mut Turn<'_>, entry: &Entry<Vm>) -> bool {
    let vm = &entry.value;
    let wants = vm.state == State::Stopped && vm.accepts_copy(turn.now);
    if !wants || !is_proven_off(turn, vm) || is_awaited(turn.snap, vm) || !is_usable(turn, vm) {
        return false;
    }
    // It is a restart that nobody asked for: what fails again pauses ever longer.
    turn.rewrite_vm(entry, [Change::GrantedCopy], |_| {}, true);
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
