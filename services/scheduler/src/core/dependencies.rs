//! Servers that depend on others: the database goes before what uses it, and the two never at once.
//!
//! | when | who waits |
//! | --- | --- |
//! | servers leave, or come home | one is not sent before all on which it depends, and which travel in the same outage, have arrived |
//! | servers are started by themselves | one is not started before those that are about to start as well run, or have had [`STARTS_MS`] |
//! | there is no time to leave | one leaves only with those that could leave as well, and is not stopped before those that depend on it are off, for a part of the time ([`super::deadline`]) |
//!
//! Nobody waits for one that is left or off with a reason. So that a worthy server does not wait for one that nobody
//! has given a priority, each goes with the highest priority of all that depend on it. The order of turns, then, is by
//! that priority and, among equals, by how long the longest chain is on which a server depends: with that every server
//! stands behind those on which it depends.
//!
//! Chains that lead back to where they began are refused when they are asked for. Two requests at once may make one all
//! the same: what is in it, or behind it, depends on nothing until it is mended, since else all would wait for ever.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use watari_chassis::Snapshot as Docs;
use watari_model::{
    NodeName, VmName,
    migration::{self, Migration},
    node,
    vm::{self, Desired, State, Vm},
};

use super::{snapshot::Sight, turn::Turn};

/// One that is being started is waited for so long; what lasts longer may never end.
const STARTS_MS: u64 = 120_000;

/// The order of turns: the lesser goes first.
pub(crate) type Rank = (Reverse<u8>, u32);

/// Who depends on whom, of all servers.
#[derive(Default)]
pub(crate) struct Dependencies<'s> {
    /// Of those that depend on one, or on which one depends; all others are their own first.
    ranks: HashMap<&'s VmName, Rank>,
    dependents: HashMap<&'s VmName, Vec<&'s Vm>>,
}

impl<'s> Dependencies<'s> {
    pub(crate) fn of(vms: &'s Docs<Vm>) -> Self {
        let mut found = Self::default();
        let mut missing: HashMap<&VmName, usize> = HashMap::new();
        for vm in vms.values().map(|entry| &entry.value).filter(|vm| !vm.spec.after.is_empty()) {
            for other in vm.spec.after.iter().filter_map(|name| vms.get(name.as_str())) {
                found.dependents.entry(&other.value.name).or_default().push(vm);
                *missing.entry(&vm.name).or_default() += 1;
            }
        }
        let order = found.in_order(vms, missing);
        found.inherit(&order);
        found
    }

    /// Those that depend on others or have others depend on them, each behind those on which it depends.
    fn in_order(&mut self, vms: &'s Docs<Vm>, mut missing: HashMap<&'s VmName, usize>) -> Vec<&'s Vm> {
        let free = self.dependents.keys().filter(|name| !missing.contains_key(*name));
        let mut order: Vec<&'s Vm> = free.filter_map(|name| vms.get(name.as_str())).map(|entry| &entry.value).collect();
        self.ranks.extend(order.iter().map(|vm| (&vm.name, (Reverse(vm.spec.priority), 0))));
        let mut at = 0;
        while let Some(vm) = order.get(at).copied() {
            let depth = self.rank(vm).1 + 1;
            for dependent in self.dependents.get(&vm.name).into_iter().flatten().copied() {
                let rank = self.ranks.entry(&dependent.name).or_insert((Reverse(dependent.spec.priority), 0));
                rank.1 = rank.1.max(depth);
                let Some(left) = missing.get_mut(&dependent.name) else { continue };
                *left = left.saturating_sub(1);
                if *left == 0 {
                    order.push(dependent);
                }
            }
            at += 1;
        }
        // What was never free of others is in a circle, or behind one.
        let free: HashSet<&VmName> = order.iter().map(|vm| &vm.name).collect();
        self.ranks.retain(|name, _| free.contains(name));
        order
    }

    /// Gives each the highest priority of those that depend on it.
    fn inherit(&mut self, order: &[&'s Vm]) {
        for vm in order.iter().rev() {
            let (priority, _) = self.rank(vm);
            for other in &vm.spec.after {
                if let Some(rank) = self.ranks.get_mut(other) {
                    rank.0 = rank.0.min(priority);
                }
            }
        }
    }

    /// Its place in the order of turns.
    pub(crate) fn rank(&self, vm: &Vm) -> Rank {
        self.ranks.get(&vm.name).copied().unwrap_or((Reverse(vm.spec.priority), 0))
    }

    /// The servers on which it depends, as far as that is heeded. They may be gone.
    pub(crate) fn before<'v>(&self, vm: &'v Vm) -> &'v [VmName] {
        if self.ranks.contains_key(&vm.name) { &vm.spec.after } else { &[] }
    }

    /// The servers that depend on it, as far as that is heeded.
    pub(crate) fn behind(&self, vm: &VmName) -> impl Iterator<Item = &'s Vm> {
        let all = self.dependents.get(vm).into_iter().flatten().copied();
        all.filter(move |dependent| self.ranks.contains_key(&dependent.name))
    }
}

/// The chain that leads from a server back to itself, if it came to depend on these.
pub(crate) fn circle(vms: &Docs<Vm>, vm: &VmName, after: &[VmName]) -> Option<String> {
    vm::circle(vm, after, |name| {
        let other = vms.get(name.as_str()).map(|entry| &entry.value);
        other.map(|other| other.spec.after.as_slice()).unwrap_or_default()
    })
}

/// Whether one on which a server depends, or one that depends on it, is under way in the same outage. It is asked when
/// the server's own turn comes: who depends on whom may have changed since its migration was made.
pub(super) fn holds_up(turn: &Turn<'_>, migration: &Migration, vm: &Vm) -> bool {
    if migration.outage.is_none() {
        return false;
    }
    let dependencies = &turn.dependencies;
    let before = dependencies.before(vm).iter();
    let others = before.chain(dependencies.behind(&vm.name).map(|other| &other.name));
    let mut others = others.filter_map(|name| turn.snap.vms.get(name.as_str()));
    others.any(|entry| {
        let other = &entry.value;
        // Nobody knows what becomes of one whose node is gone.
        if other.node().is_some_and(|node| turn.unreachable(node)) {
            return false;
        }
        // What is being written of it may be that it begins.
        let begins = other.crossing.is_some() || !turn.settled::<Vm>(other.name.as_str());
        let with_it = |m: &Migration| m.outage == migration.outage && !m.state.over();
        let mut moves = turn.migrations_of(&other.name).filter(|m| with_it(m));
        moves.any(|m| begins || m.state != migration::State::Queued)
    })
}

/// Whether a server that is off waits for one on which it depends and that is about to start as well. Servers are gone
/// through in the order of their ranks, so that what begins to start in this turn is known, and what waits itself.
pub(super) fn starts_later(turn: &mut Turn<'_>, vm: &Vm) -> bool {
    let waits = waits_for_a_start(turn, vm);
    if waits {
        turn.start_later.insert(vm.name.clone());
    }
    waits
}

fn waits_for_a_start(turn: &Turn<'_>, vm: &Vm) -> bool {
    let others = turn.dependencies.before(vm).iter().filter_map(|name| turn.snap.vms.get(name.as_str()));
    let mut others = others.map(|entry| &entry.value).filter(|other| other.desired == Desired::Running);
    others.any(|other| match other.state {
        State::Starting => may_come_up(turn, other),
        State::Pending | State::Stopped | State::Suspended => {
            let granted = !turn.settled::<Vm>(other.name.as_str());
            granted
                || turn.start_later.contains(&other.name)
                || (!turn.is_held(other) && is_coming(turn, other.node(), vm.node()))
        }
        State::Running => is_seen_off(turn, other),
        _ => false,
    })
}

/// Whether one that moves, or waits for that, is one for which those wait that depend on it.
pub(super) fn is_expected(turn: &Turn<'_>, vm: &Vm) -> bool {
    let leaves = match vm.state {
        State::Running => vm.desired == Desired::Running && !turn.is_held(vm),
        State::Starting => may_come_up(turn, vm),
        _ => false,
    };
    leaves || turn.moves(vm)
}

/// Whether one that is written down as running is seen to be off: servers of a node that lost its power are looked at one
/// by one, and what becomes of this one is not decided yet. Nothing is where its node knows of a newer grant.
fn is_seen_off(turn: &Turn<'_>, vm: &Vm) -> bool {
    match vm.node().map_or(Sight::Silent, |node| turn.sight(node, &vm.name)) {
        Sight::Seen(fact) if fact.generation > vm.generation() => false,
        sight => sight.off(),
    }
}

/// Whether one that is being started has not taken too long yet, or failed.
fn may_come_up(turn: &Turn<'_>, vm: &Vm) -> bool {
    vm.fault.is_none() && turn.now.millis_since(vm.changed_at) < STARTS_MS
}

/// Whether a node that is not there yet is waited for, since another has come only just now: power comes back to all
/// at once, but they take their time to start.
fn is_coming(turn: &Turn<'_>, awaited: Option<&NodeName>, there: Option<&NodeName>) -> bool {
    let known = |name: Option<&NodeName>| name.and_then(|name| turn.snap.nodes.get(name.as_str()));
    let (Some(awaited), Some(there)) = (known(awaited), known(there)) else { return false };
    let (awaited, there) = (&awaited.value, &there.value);
    awaited.state != node::State::Ready
        && !awaited.cordoned
        && there.state == node::State::Ready
        && turn.now.millis_since(there.changed_at) < turn.rules.return_wait_ms
}

#[cfg(test)]
mod tests;
