//! What has become of a server since the backup was made, by what nodes say now. Pure.
//!
//! A backup is old the moment it is made: servers have moved, been deleted, been made anew. Nodes know,
//! since each keeps the newest grant that it has seen. The rule is the same as ever: a server may run where
//! the newest grant says, and whoever is not known to be off is started nowhere else.
//!
//! | the nodes say | then |
//! | --- | --- |
//! | one has the newest grant, newer than the backup's | the server is there |
//! | its node has the grant of the backup | as before |
//! | it was shut down or forced off since | it stays off, unless its node did so because it was cut off |
//! | its node has sent it away, or knows nothing of it | it is off until an operator says otherwise |
//! | its node is silent | as before: nothing is started elsewhere |

use std::collections::BTreeMap;

use serde::Serialize;
use watari_contracts::agent::{Domain, NodeFacts, OffReason, VmFact};
use watari_model::{
    NodeName, Refusal,
    vm::{Desired, Grant, Leftover, State, Vm},
};

/// How far a server's counters are set forward. Agents remember operations by names that have these numbers
/// in them, and take a name that they know for the same order given again.
const FORWARD: u64 = 1_000;

/// What each node says that was heard.
pub(super) type Heard = BTreeMap<NodeName, NodeFacts>;

/// What was found of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finding {
    /// Where the backup says.
    AsBefore,
    /// On another node, or there under a newer grant.
    Moved,
    /// Not where the backup says, and nowhere else that is heard.
    Gone,
    /// Its node says nothing.
    Silent,
    /// No node had it when the backup was made.
    Unplaced,
}

/// Brings a server's document to what nodes say.
pub(super) fn reconcile(vm: &mut Vm, heard: &Heard) -> Finding {
    vm.migrations += FORWARD;
    vm.reboots.asked = vm.reboots.asked.max(vm.reboots.done) + FORWARD;
    vm.reboots.done = vm.reboots.asked;
    // A disk does not go back on the word of a backup.
    (vm.snapshots.asked, vm.snapshots.revert) = (vm.snapshots.asked.saturating_add(FORWARD), None);
    // What its node promised then it promises again, when it is heard: it may have another grant since.
    vm.guarded = None;
    // Whatever it has been through, its disk is somewhere: none is made from nothing.
    vm.booted |= vm.grant.is_some();
    let seen = sightings(vm, heard);
    let newest = seen.values().map(|fact| fact.generation).max().unwrap_or(0);
    let holder = seen.iter().find(|(_, fact)| fact.granted && fact.generation == newest && newest >= vm.generation());
    if let Some((node, fact)) = holder {
        let same = vm.grant.as_ref().is_some_and(|grant| grant.node == **node && grant.generation == newest);
        // It was sent to a node that may be silent, and runs there.
        if same && vm.crossing.is_none() && has_left(fact) {
            let node = node.to_string();
            off(vm, Refusal::RestoredNotFound { vm: vm.name.to_string(), node });
            return Finding::Gone;
        }
        if !same {
            follow(vm, node, fact, &seen);
        }
        if !was_cut_off(heard, node, fact) {
            stays_off(vm, fact);
        }
        return if same { Finding::AsBefore } else { Finding::Moved };
    }
    match vm.node().cloned() {
        None => {
            off(vm, Refusal::RestoredUnplaced { vm: vm.name.to_string() });
            Finding::Unplaced
        }
        Some(node) if !speaks(heard, &node) => Finding::Silent,
        // It has been sent away since: whoever has it now is silent, and its old disk is not to be started.
        Some(node) if newest > vm.generation() => {
            vm.grant = Some(Grant { node: node.clone(), generation: newest });
            vm.crossing = None;
            off(vm, Refusal::RestoredNotFound { vm: vm.name.to_string(), node: node.to_string() });
            Finding::Gone
        }
        // Part of it is there: the scheduler looks and decides, as after any other break.
        Some(node) if seen.contains_key(&node) || vm.crossing.is_some() => Finding::AsBefore,
        Some(node) => {
            off(vm, Refusal::RestoredNotFound { vm: vm.name.to_string(), node: node.to_string() });
            Finding::Gone
        }
    }
}

/// Whether what the node says counts: where the hypervisor does not answer, nothing is known.
fn speaks(heard: &Heard, node: &NodeName) -> bool {
    heard.get(node).is_some_and(|facts| facts.hypervisor_answers)
}

/// What each node says of this very server: another one of its name has another UUID.
fn sightings<'a>(vm: &Vm, heard: &'a Heard) -> BTreeMap<&'a NodeName, &'a VmFact> {
    let of_node = |facts: &'a NodeFacts| facts.vms.get(&vm.name).filter(|fact| fact.uuid.as_ref() == Some(&vm.uuid));
    heard.iter().filter_map(|(node, facts)| Some((node, of_node(facts)?))).collect()
}

fn has_left(fact: &VmFact) -> bool {
    fact.domain.is_off() && fact.passage.is_some()
}

/// It is where the newest grant is; what other nodes have of it is left over from on the way.
fn follow(vm: &mut Vm, node: &NodeName, fact: &VmFact, seen: &BTreeMap<&NodeName, &VmFact>) {
    vm.grant = Some(Grant { node: node.clone(), generation: fact.generation });
    vm.crossing = None;
    vm.booted = true;
    if vm.state != State::Deleting {
        vm.state = match fact.domain {
            Domain::Off(OffReason::Saved) => State::Suspended,
            domain if domain.is_off() => State::Stopped,
            _ => State::Running,
        };
    }
    vm.leftovers.retain(|leftover| leftover.node != *node);
    for (other, copy) in seen.iter().filter(|(other, _)| **other != node) {
        let dead = copy.domain.is_off();
        let known = vm.leftovers.iter().any(|leftover| leftover.node == **other);
        if copy.disk && dead && !known && copy.generation < fact.generation {
            let (node, generation, since) = ((*other).clone(), copy.generation, vm.changed_at);
            vm.leftovers.push(Leftover { node, generation, since, migration: None, newest: false });
        }
    }
}

/// Whoever was shut down or forced off since the backup was made is not started on its word.
fn stays_off(vm: &mut Vm, fact: &VmFact) {
    let on_purpose = matches!(fact.domain, Domain::Off(OffReason::Shutdown | OffReason::Destroyed));
    if on_purpose && vm.desired == Desired::Running {
        vm.desired = Desired::Stopped;
    }
}

/// Whether its node has stopped it only because nobody answered the node, as nobody does who has no documents.
fn was_cut_off(heard: &Heard, node: &NodeName, fact: &VmFact) -> bool {
    let guard = heard.get(node).and_then(|facts| facts.guard.as_ref());
    let guarded = guard.and_then(|guard| guard.vms.get(&fact.vm));
    guarded.is_some_and(|guarded| guarded.stopped && guarded.generation == fact.generation)
}

/// Nobody starts it but an operator.
fn off(vm: &mut Vm, why: Refusal) {
    if vm.state == State::Deleting || vm.desired == Desired::Deleted {
        return;
    }
    vm.desired = Desired::Stopped;
    vm.fault = Some(why);
    if matches!(vm.state, State::Starting | State::Running | State::Stopping | State::Suspended) {
        vm.state = State::Stopped;
    }
}

#[cfg(test)]
mod tests;
