//! Disks that are sent ahead of their servers, so that a crossing moves only what was written since.
//!
//! ```text
//!  asked ─▶ a node chosen ─▶ frozen where it runs ─▶ sent ─▶ seen there, whole ─▶ done
//! ```
//!
//! What is frozen and what has arrived is what agents report; the server's document says what was asked
//! for. A migration goes before all of it: nothing is frozen while one is to come, and what a migration
//! finds missing at its target it has sent itself, first.

use std::collections::HashMap;

use watari_chassis::Entry;
use watari_contracts::agent::{Freeze, Layer, SendAhead, Stack, weight};
use watari_model::{
    MigrationId, NodeName, Refusal, SiteName, Timestamp, VmName,
    node::Node,
    outage::{Scope, State},
    vm::{self, Copied, Desired, Evacuate, Preseed, Seeded, Vm},
};

use super::{
    Snapshot,
    action::Order,
    evacuation, marks, naming, placement,
    placement::{Need, Rooms},
    snapshot::Outcome,
    turn::{OnFailure, Step, Turn},
};

/// What a server's disk on a node is made of, as its agent last said.
pub(crate) fn stack_at(snap: &Snapshot, node: &NodeName, vm: &VmName) -> Stack {
    let fact = snap.heard.get(node).and_then(|heard| heard.facts.vms.get(vm));
    fact.map(|fact| fact.stack.clone()).unwrap_or_default()
}

/// Whether a node has every frozen layer of a disk: kept, or brought into its place by that migration.
pub(crate) fn is_held(
    snap: &Snapshot,
    node: &NodeName,
    vm: &Vm,
    stack: &Stack,
    migration: Option<&MigrationId>,
) -> bool {
    let Some(facts) = snap.heard.get(node).map(|heard| &heard.facts) else { return stack.layers.is_empty() };
    let kept = facts.layers.get(&vm.uuid).into_iter().flatten();
    let arriving = facts.vms.get(&vm.name).filter(|fact| {
        let passage = fact.passage.as_ref().map(|passage| &passage.migration);
        migration.is_some() && passage == migration
    });
    let here: Vec<&Layer> = kept.chain(arriving.into_iter().flat_map(|fact| &fact.stack.layers)).collect();
    stack.is_named() && stack.layers.iter().all(|layer| here.contains(&layer))
}

/// Bytes of the frozen layers of a server's disk that a node does not keep, which are sent before the server goes there; of
/// all of them if no node is given.
pub(crate) fn missing_bytes(snap: &Snapshot, vm: &Vm, to: Option<&NodeName>) -> u64 {
    // Of most servers nothing was ever frozen, and who plans asks of all.
    if vm.preseed.is_none() && vm.snapshots.list.is_empty() {
        return 0;
    }
    let Some(from) = vm.node() else { return 0 };
    let there = to.and_then(|to| snap.heard.get(to));
    let kept: &[Layer] =
        there.and_then(|heard| heard.facts.layers.get(&vm.uuid)).map(Vec::as_slice).unwrap_or_default();
    let missing: Vec<Layer> =
        stack_at(snap, from, &vm.name).layers.into_iter().filter(|layer| !kept.contains(layer)).collect();
    weight(&missing)
}

/// Where layers of a server lie, the node first that it was last sent to. A node that was removed is not waited for:
/// what it had were copies.
pub(crate) fn holders(snap: &Snapshot, vm: &Vm) -> Vec<NodeName> {
    let kept = snap.heard.iter().filter(|(_, heard)| heard.facts.layers.contains_key(&vm.uuid));
    holders_among(snap, vm, kept.map(|(node, _)| node))
}

/// Where layers lie, by the UUIDs of their servers: for whoever asks for many servers.
pub(crate) struct Keepers<'s>(HashMap<&'s str, Vec<&'s NodeName>>);

impl<'s> Keepers<'s> {
    pub(crate) fn of(snap: &'s Snapshot) -> Self {
        let mut keepers: HashMap<&str, Vec<&NodeName>> = HashMap::new();
        for (node, heard) in &snap.heard {
            for uuid in heard.facts.layers.keys() {
                keepers.entry(uuid).or_default().push(node);
            }
        }
        Self(keepers)
    }

    /// The same as [`holders`].
    pub(crate) fn holders(&self, snap: &Snapshot, vm: &Vm) -> Vec<NodeName> {
        holders_among(snap, vm, self.0.get(vm.uuid.as_str()).into_iter().flatten().copied())
    }
}

fn holders_among<'k>(snap: &Snapshot, vm: &Vm, kept: impl Iterator<Item = &'k NodeName>) -> Vec<NodeName> {
    let mut nodes: Vec<NodeName> = vm.seeded_on().cloned().into_iter().collect();
    let left = vm.leftovers.iter().filter(|_| vm.preseed.is_some()).map(|leftover| &leftover.node);
    let mut add = |node: &NodeName| {
        if !nodes.contains(node) {
            nodes.push(node.clone());
        }
    };
    kept.for_each(&mut add);
    left.for_each(&mut add);
    nodes.retain(|node| snap.nodes.contains_key(node.as_str()));
    nodes
}

/// Whether a migration waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// Nobody does.
    None,
    /// One does.
    Migration,
}

/// Has the node that runs a server send its frozen layers to another.
pub(crate) fn send<'a>(turn: &mut Turn<'a>, operation: &str, vm: &Vm, to: &NodeName, haste: Haste) -> Step<'a> {
    let (Some(target), Some(grant)) = (turn.snap.nodes.get(to.as_str()), &vm.grant) else { return Step::Working };
    let bandwidth_mib = match haste {
        Haste::None => turn.rules.preseed.bandwidth_mib,
        Haste::Migration => turn.rules.bandwidth_mib,
    };
    turn.order(operation, &grant.node, OnFailure::TryAgain, |order| {
        Order::SendAhead(SendAhead {
            order,
            vm: vm.name.clone(),
            uuid: vm.uuid.clone(),
            generation: grant.generation,
            address: target.value.inventory.migration_address.clone(),
            bandwidth_mib,
            urgent: haste == Haste::Migration,
        })
    })
}

/// Decides about every server whose disk is to be sent ahead.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    for_outages(turn);
    // Few are, and each turn passes over all servers.
    for entry in snap.vms.values().filter(|entry| entry.value.preseed.as_ref().is_some_and(Preseed::is_due)) {
        if turn.settled::<Vm>(entry.value.name.as_str()) {
            step(turn, entry);
        }
    }
}

/// Asks for a disk to be sent ahead to another site, to where it lies there if it does: that it was once sent within
/// its own site is no wish for the next time.
pub(crate) fn ask_elsewhere(snap: &Snapshot, vm: &mut Vm, now: Timestamp) {
    let at_home = stays_within(snap, vm);
    if let Some(preseed) = vm.preseed.as_mut().filter(|_| at_home) {
        preseed.to = None;
    }
    vm.ask_preseed(None, now);
}

/// Whether a disk goes, or went, to a node of the site where its server runs.
fn stays_within(snap: &Snapshot, vm: &Vm) -> bool {
    let to = vm.seeded_on().and_then(|node| snap.site_of(node));
    to.is_some() && to == vm.node().and_then(|node| snap.site_of(node))
}

/// Asks for the servers of a site whose outage is known and near: once some hours before, and once more
/// shortly before, so that the rest is small.
fn for_outages(turn: &mut Turn<'_>) {
    let (snap, rules) = (turn.snap, turn.rules.preseed);
    if rules.lead_ms == 0 {
        return;
    }
    for outage in snap.outages.values().map(|entry| &entry.value) {
        let (Some(window), State::Scheduled, Scope::Site(_)) = (outage.window, outage.state, &outage.scope) else {
            continue;
        };
        let due = [rules.lead_ms, rules.again_ms.min(rules.lead_ms)].map(|lead| window.from.minus_millis(lead));
        let Some(due) = due.into_iter().filter(|due| *due <= turn.now && turn.now < window.from).max() else {
            continue;
        };
        for vm in evacuation::concerned(snap, outage) {
            let wished = vm.preseed.as_ref().filter(|preseed| preseed.is_due() || preseed.asked_at >= due);
            // What was taken back since is not asked for again, wherever a part of it lies.
            let asked = wished.is_some_and(|preseed| preseed.cancelled || !stays_within(snap, vm));
            let leaves = vm.state == vm::State::Running && vm.spec.evacuate == Evacuate::Live;
            let Some(entry) = snap.vms.get(vm.name.as_str()).filter(|_| leaves && !asked) else { continue };
            if turn.settled::<Vm>(vm.name.as_str()) {
                let now = turn.now;
                turn.change_vm(entry, [], |vm| ask_elsewhere(snap, vm, now));
            }
        }
    }
}

fn step(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let Some(preseed) = vm.preseed.as_ref().filter(|preseed| preseed.is_due()) else { return };
    let Some(grant) = &vm.grant else { return };
    if vm.desired == Desired::Stopped && matches!(vm.state, vm::State::Stopped | vm::State::Suspended) {
        return note(turn, entry, |preseed| preseed.fault = Some(not_running(vm)));
    }
    let at_rest = vm.state == vm::State::Running && vm.desired == Desired::Running && !turn.moves(vm);
    if !at_rest || !turn.sight(&grant.node, &vm.name).runs_under(grant.generation) {
        return;
    }
    let was_off = matches!(preseed.fault, Some(Refusal::PreseedNotRunning { .. }));
    let to = match target(turn.snap, &turn.rooms, vm) {
        Ok(to) if preseed.to.as_ref() == Some(&to) && !was_off => to,
        // Why it could not go before is over with that.
        Ok(to) => return note(turn, entry, |preseed| (preseed.to, preseed.fault) = (Some(to), None)),
        Err(refusal) => return note(turn, entry, |preseed| (preseed.to, preseed.fault) = (None, Some(refusal))),
    };
    // What it left there lies in its old place, and is kept in a moment.
    if turn.unreachable(&to) || vm.leftovers.iter().any(|leftover| leftover.node == to) {
        return;
    }
    // What a server may be started from holds all that was written when it was asked for, be it ever so little.
    let for_start = vm.spec.restart_from_copy_seconds.is_some();
    let freeze = naming::of_vm(if for_start { "freeze-all" } else { "freeze" }, vm, preseed.number);
    let least_mib = if for_start { 0 } else { turn.rules.preseed.least_mib };
    let frozen = turn.order(&freeze, &grant.node, OnFailure::TryAgain, |order| {
        let named = marks::named(vm);
        Order::Freeze(Freeze { order, vm: vm.name.clone(), generation: grant.generation, least_mib, named })
    });
    let Step::Done(then) = frozen else { return complain(turn, entry, &freeze, &grant.node) };
    let stack = stack_at(turn.snap, &grant.node, &vm.name);
    // What was told before that came after it: what is frozen last is not in it.
    if stack.top < then.stack.top {
        return;
    }
    if is_held(turn.snap, &to, vm, &stack, None) {
        let (number, at, bytes) = (preseed.number, turn.now, stack.frozen_bytes());
        let copy = for_start.then_some(Copied { as_of: preseed.asked_at, stack });
        let done = Seeded { number, node: to, at, bytes, copy };
        return note(turn, entry, |preseed| (preseed.done, preseed.fault) = (Some(done), None));
    }
    // Named after the layer that is written to: what was frozen or merged since the last sending is sent at once.
    let ahead = format!("{}-{to}-{}", naming::of_vm("send-ahead", vm, preseed.number), stack.top);
    let _ = send(turn, &ahead, vm, &to, Haste::None);
    complain(turn, entry, &ahead, &grant.node);
}

fn note(turn: &mut Turn<'_>, entry: &Entry<Vm>, change: impl FnOnce(&mut vm::Preseed)) {
    turn.change_vm(entry, [], |vm| {
        if let Some(preseed) = &mut vm.preseed {
            change(preseed);
        }
    });
}

/// Says why it takes longer, as long as that is so; it is tried again all the same.
fn complain(turn: &mut Turn<'_>, entry: &Entry<Vm>, operation: &str, node: &NodeName) {
    let said: Option<Refusal> = match turn.snap.answers.get(&naming::at(operation, node)).map(|answer| &answer.outcome)
    {
        Some(Outcome::Order(watari_contracts::agent::Progress::Failed(refusal), _) | Outcome::Refused(refusal)) => {
            Some(refusal.clone())
        }
        // Nobody knows better yet.
        Some(Outcome::Silent(_)) => return,
        _ => None,
    };
    note(turn, entry, |preseed| preseed.fault = said);
}

/// That a server which does not run has nothing sent ahead.
pub(crate) fn not_running(vm: &Vm) -> Refusal {
    Refusal::PreseedNotRunning { vm: vm.name.to_string(), state: vm.state.word().to_owned() }
}

/// Where it is sent to: where it was to go, or where layers of it lie, if that is still fit; else a node
/// of another site.
///
/// # Errors
/// [`Refusal::SiteDraining`] if nothing but an outage is in the way; else [`Refusal::NoRoom`].
pub(crate) fn target(snap: &Snapshot, rooms: &Rooms, vm: &Vm) -> Result<NodeName, Refusal> {
    let need = Need::crossing(vm, snap);
    let here = vm.node().and_then(|node| snap.site_of(node));
    let fits = |node: &NodeName| vm.node() != Some(node) && placement::check(rooms, &need, node).is_ok();
    if let Some(to) = vm.seeded_on().filter(|to| fits(to)) {
        return Ok(to.clone());
    }
    if let Some(to) = holders(snap, vm).into_iter().find(|node| snap.site_of(node) != here && fits(node)) {
        return Ok(to);
    }
    let chosen = placement::choose(rooms, &need, &|node| Some(&node.site) != here, &[]);
    chosen.map_err(|full| all_closed(snap, here).unwrap_or(full))
}

/// That the site of a node receives nothing, since it is being emptied or is empty.
pub(crate) fn closed(snap: &Snapshot, node: &Node) -> Option<Refusal> {
    let mut outages = snap.outages.values().map(|entry| &entry.value);
    let outage = outages.find(|outage| matches!(outage.scope, Scope::Site(_)) && outage.keeps_away(node))?;
    Some(Refusal::SiteDraining { site: node.site.to_string(), outage: outage.id.to_string() })
}

/// The same of every other site that has nodes: the first of them is named.
fn all_closed(snap: &Snapshot, here: Option<&SiteName>) -> Option<Refusal> {
    let mut first = None;
    for node in snap.nodes.values().map(|entry| &entry.value).filter(|node| Some(&node.site) != here) {
        let refusal = closed(snap, node)?;
        first.get_or_insert(refusal);
    }
    first
}

#[cfg(test)]
mod tests;
