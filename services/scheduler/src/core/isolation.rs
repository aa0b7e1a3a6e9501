//! Servers that their node stops when it is cut off: who says so is written down while it is heard, and once it has
//! been silent for so long that it must have stopped them, that counts as much as a look at them. The moment, and why,
//! is the model's ([`watari_model::isolation`]).
//!
//! | of a server whose node is cut off | follows |
//! | --- | --- |
//! | its whole copy stands paused at the target of a migration | it runs there, if it is one that is started again |
//! | it is only there | it is off, and says why; when the node is heard it starts there again |
//! | a copy was sent ahead, and it accepts what that lacks | it is started from that ([`super::from_copy`]) |
//! | more than a third of the site is silent, or the node is cordoned | nothing: that is the network, or somebody's work |

use watari_contracts::agent::{Guarded, VmFact};
use watari_model::{
    NodeName, VmName,
    node::{
        self,
        fencing::{is_network, is_spared},
    },
    vm::{Restart, State, Vm},
};

use super::{
    Snapshot,
    rules::{Rules, Trust},
    turn::Turn,
};

/// Writes down under which generation a server's node has said that it stops it, or that it does no more. The document
/// of one that is on its way is left alone: its switch-over waits for no other write.
pub(super) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    for entry in snap.vms.values() {
        let vm = &entry.value;
        let told = told(snap, vm, turn.rules).filter(|told| *told != vm.guarded && vm.crossing.is_none());
        if let Some(told) = told
            && turn.settled::<Vm>(vm.name.as_str())
        {
            turn.change_vm(entry, [], |vm| vm.guarded = told);
        }
    }
}

/// What a server's node says of it; nothing if it is not heard.
fn told(snap: &Snapshot, vm: &Vm, rules: &Rules) -> Option<Option<u64>> {
    let Some(grant) = &vm.grant else { return Some(None) };
    let facts = &snap.heard_within(&grant.node, rules.silent_ms)?.facts;
    let trusted = facts.guard.as_ref().filter(|guard| guard.watchdog || rules.trust == Trust::Agent);
    let guarded = trusted.and_then(|guard| guard.vms.get(&vm.name)).map(|guarded| guarded.generation);
    // One that is off by everybody's will is nobody's to stop.
    let alive = !matches!(vm.state, State::Stopped | State::Suspended | State::Failed | State::Pending);
    Some(guarded.filter(|generation| *generation == grant.generation && alive))
}

/// Whether a server must have been stopped by its node, which is cut off, under its present grant.
pub(super) fn has_ceased(snap: &Snapshot, vm: &Vm, silent_ms: u64) -> bool {
    let Some(grant) = vm.grant.as_ref().filter(|grant| vm.guarded == Some(grant.generation)) else { return false };
    let Some(there) = snap.nodes.get(grant.node.as_str()).map(|entry| &entry.value) else { return false };
    there.state == node::State::Lost
        && !there.cordoned
        && snap.heard_within(&grant.node, silent_ms).is_none()
        && snap.ledger.is_over(&grant.node, snap.boot_ms)
        && !is_taken_back(snap, vm, &grant.node)
        && !site_is_cut_off(snap, there, silent_ms)
}

/// Whether what its node said last was that it lives there and is stopped by nobody. While it is on its way that is not
/// written down.
fn is_taken_back(snap: &Snapshot, vm: &Vm, node: &NodeName) -> bool {
    let fact = snap.heard.get(node).and_then(|heard| heard.facts.vms.get(&vm.name));
    let alive = fact.is_some_and(|fact| !fact.domain.is_off());
    alive && last_said(snap, &vm.name, node).map(|guarded| guarded.generation) != vm.guarded
}

/// What a node said last of a server that it stops, or has stopped, when it is cut off.
fn last_said<'s>(snap: &'s Snapshot, vm: &VmName, node: &NodeName) -> Option<&'s Guarded> {
    snap.heard.get(node)?.facts.guard.as_ref()?.vms.get(vm)
}

/// Whether so many of its site's nodes are silent that it is the network, by the rule by which nobody is fenced then.
fn site_is_cut_off(snap: &Snapshot, of: &node::Node, silent_ms: u64) -> bool {
    let outages = || snap.outages.values().map(|entry| &entry.value);
    let counts = |node: &&node::Node| {
        node.site == of.site && node.off.is_none() && !node.cordoned && !is_spared(node, outages())
    };
    let (mut silent, mut nodes) = (0, 0);
    for node in snap.nodes.values().map(|entry| &entry.value).filter(counts) {
        nodes += 1;
        silent += usize::from(snap.heard_within(&node.name, silent_ms).is_none());
    }
    is_network(silent, nodes)
}

/// Whether the agent of its node has stopped a server that is off, or asked it to, because the node was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// That it is off is not its users' wish.
    Yes,
    No,
    /// What the agent said last is from when the server was alive: a look at the server came before that word.
    Unsaid,
}

/// What is known of that, for one that was seen off. Its grant may be newer than its node knows.
pub(super) fn was_stopped(snap: &Snapshot, fact: &VmFact, node: &NodeName) -> Stopped {
    match last_said(snap, &fact.vm, node).filter(|guarded| guarded.generation == fact.generation) {
        Some(guarded) if guarded.stopped => Stopped::Yes,
        Some(_) => Stopped::Unsaid,
        None => Stopped::No,
    }
}

/// Whether what a server does when its node is cut off is another thing than its node was told. Whether that is counted
/// on is no matter: it may have no watchdog.
pub(super) fn differs(snap: &Snapshot, vm: &Vm) -> bool {
    let said = vm.node().and_then(|node| last_said(snap, &vm.name, node));
    vm.spec.on_isolation.is_usual() == said.is_some_and(|guarded| guarded.generation == vm.generation())
}

/// Whether its copy elsewhere may run without a word from where it was: it is one that is started again.
pub(super) fn may_go_on_elsewhere(snap: &Snapshot, vm: &Vm, from: &NodeName, silent_ms: u64) -> bool {
    vm.spec.restart == Restart::Always && vm.node() == Some(from) && has_ceased(snap, vm, silent_ms)
}

#[cfg(test)]
mod tests;
