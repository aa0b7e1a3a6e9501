//! Looks at every plan before it is used, apart from whoever made it: a fault of the planner's must not become a server on
//! a node that has no room for it.
//!
//! ```text
//!  planner ─▶ proposal ─▶ each move is admitted, one after another ─▶ used
//!                                  │ flawed
//!                                  └─▶ another node, admitted in its turn, or it stays with `outage.plan-flawed`
//! ```
//!
//! Of documents it makes sums of its own ([`standing`]), and what a node must have for a server is asked of the documents
//! again. It is never stricter than the planner, since who is not let go is lost with the power. What of a plan is sound
//! is used all the same, for the same reason: one server's flaw is nobody else's, and each move was admitted on top of
//! those before it.
//!
//! | looked at | flaw |
//! | --- | --- |
//! | each server has one answer, a target or a reason | `twice`, `forgotten` |
//! | the target is there, receives servers, and is where this outage's go | `unknown-node`, `closed-node`, `astray` |
//! | memory, processors and disk, with what may be promised beyond, at any time of the plan | `room` |
//! | who keeps apart is on no node with others of its group | `apart` |
//! | processor, networks, base image; labels, firmware, rules, firewall groups | `processor`, `network`, `image`, `means` |
//! | one that depends on others begins after them, and never at once | `order` |
//! | who writes faster than its copy travels is told of | none: that is added |
//! | the time is no less than what the bytes take at the most that may travel | none: no time is told |
//!
//! How many copies share the link, and how fast each may send, is no part of a plan, but settings, from which their rates follow
//! ([`rates`]); who keeps together wishes for it and goes without it where that cannot be.

mod flaw;
mod rates;
mod standing;

use std::collections::{HashMap, HashSet};

use watari_model::{
    NodeName, Refusal, VmName,
    image::Firmware,
    migration::Reason,
    network::{ENCAPSULATION, Kind},
    node::{Enforcement, Node, Processor},
    outage::{Outage, Scope},
    vm::{Nic, Vm},
};

use super::{
    Action, Rules, Snapshot,
    placement::{self, Need},
    turn::Turn,
};
pub(crate) use flaw::Flaw;
pub(crate) use rates::{is_too_soon, too_fast};
use standing::Standing;

/// An alarm names so many servers.
const NAMED: usize = 5;
/// For so many another node is looked for, which is a look at all of them for each; who comes after these is planned anew
/// with the next turn.
const SECOND_CHOICES: usize = 256;

/// A plan's answer for one server, by its place in the list of those for whom it was made.
pub(crate) type Answer = (usize, Result<NodeName, Refusal>);

/// What has been admitted of one plan.
struct Linter<'a> {
    snap: &'a Snapshot,
    standing: Standing<'a>,
    kinds: Kinds<'a>,
    /// Digests of images that no front end has.
    nowhere: HashSet<&'a str>,
}

impl<'a> Linter<'a> {
    /// `actions` is what this turn has decided so far.
    fn of(snap: &'a Snapshot, rules: &Rules, actions: &'a [Action], outage: &Outage, reason: Reason) -> Self {
        let goes = |node: &Node| match (reason, &outage.scope) {
            (Reason::Return, Scope::Site(home)) => node.site == *home,
            (_, scope) => !scope.covers(node),
        };
        let standing = Standing::of(snap, rules, actions, goes);
        Self { snap, standing, kinds: Kinds::default(), nowhere: nowhere(snap) }
    }

    /// Takes a move into the plan, if it is sound on top of those before it.
    fn admit(&mut self, vm: &'a Vm, to: &NodeName) -> Result<(), Flaw> {
        let Some(shelf) = self.standing.shelf(to) else {
            let is_known = self.snap.nodes.contains_key(to.as_str());
            return Err(if is_known { Flaw::Astray(to.clone()) } else { Flaw::Unknown(to.clone()) });
        };
        let (node, is_closed) = (shelf.node, shelf.is_closed);
        let base = vm.spec.base.sha256.as_str();
        if is_closed {
            return Err(Flaw::Closed(to.clone()));
        }
        if vm.node() == Some(to) {
            return Err(Flaw::Astray(to.clone()));
        }
        if !self.kinds.lives_on(self.snap, vm, node) {
            return Err(Flaw::Processor(to.clone()));
        }
        if !vm.spec.nics.iter().all(|nic| is_bound(self.snap, nic, node)) {
            return Err(Flaw::Network(to.clone()));
        }
        if self.nowhere.contains(base) && !node.inventory.images.contains(base) {
            return Err(Flaw::Image(to.clone()));
        }
        if !has_means(vm, node) {
            return Err(Flaw::Means(to.clone()));
        }
        self.standing.take(vm, node)
    }
}

/// The answers of a plan, one for each of `servers`, as far as they may be used. One that is flawed becomes another node
/// among the candidates, or the reason why its server stays; then there is an alarm.
pub(crate) fn checked(
    turn: &mut Turn<'_>,
    outage: &Outage,
    reason: Reason,
    servers: &[&Vm],
    proposal: impl IntoIterator<Item = Answer>,
    candidates: placement::Candidates<'_>,
) -> Vec<Result<NodeName, Refusal>> {
    let snap = turn.snap;
    let mut answers: Vec<Option<Result<NodeName, Refusal>>> = vec![None; servers.len()];
    let mut flawed: Vec<(usize, Option<NodeName>, Flaw)> = Vec::new();
    let mut flaws: Vec<(&VmName, Flaw)> = Vec::new();
    // Most turns place nobody, and those need no sums.
    let mut linter: Option<Linter<'_>> = None;
    for (index, place) in proposal {
        let (Some(vm), Some(answer)) = (servers.get(index).copied(), answers.get_mut(index)) else { continue };
        if answer.is_some() {
            flaws.push((&vm.name, Flaw::Twice));
            continue;
        }
        if let Ok(to) = &place {
            let linter = linter.get_or_insert_with(|| Linter::of(snap, turn.rules, &turn.actions, outage, reason));
            if let Err(flaw) = linter.admit(vm, to) {
                flawed.push((index, Some(to.clone()), flaw));
            }
        }
        *answer = Some(place);
    }
    let silent = answers.iter().enumerate().filter(|(_, answer)| answer.is_none());
    flawed.extend(silent.map(|(index, _)| (index, None, Flaw::Forgotten)));
    for (place, (index, avoid, flaw)) in flawed.into_iter().enumerate() {
        let (Some(vm), Some(answer)) = (servers.get(index).copied(), answers.get_mut(index)) else { continue };
        let linter = linter.get_or_insert_with(|| Linter::of(snap, turn.rules, &turn.actions, outage, reason));
        let choose = || placement::choose(&turn.rooms, &Need::crossing(vm, snap), candidates, avoid.as_slice()).ok();
        let other = if place < SECOND_CHOICES { choose() } else { None };
        *answer = Some(match other.filter(|to| linter.admit(vm, to).is_ok()) {
            Some(to) => {
                turn.rooms.reserve(&to, vm);
                Ok(to)
            }
            None => Err(flaw.refusal(vm)),
        });
        flaws.push((&vm.name, flaw));
    }
    drop(linter);
    tell(turn, outage, &flaws);
    answers.into_iter().flatten().collect()
}

/// Those of them that begin before one on which they depend; `order` is that in which they begin.
pub(crate) fn too_early<'s>(snap: &Snapshot, order: &[&'s Vm]) -> Vec<(&'s Vm, Flaw)> {
    if order.iter().all(|vm| vm.spec.after.is_empty()) {
        return Vec::new();
    }
    let places: HashMap<&VmName, usize> = order.iter().enumerate().map(|(place, vm)| (&vm.name, place)).collect();
    let flaw = |(place, vm): (usize, &&'s Vm)| {
        let mut later = vm.spec.after.iter().filter(|other| places.get(*other).is_some_and(|at| *at > place));
        let other = later.next().filter(|_| !leads_into_circle(snap, vm))?;
        Some((*vm, Flaw::Order(other.clone())))
    };
    order.iter().enumerate().filter_map(flaw).collect()
}

/// Takes out whoever would begin at once with one on which it depends: it begins later, and there is an alarm.
pub(crate) fn never_at_once<'s>(turn: &mut Turn<'_>, outage: &Outage, begin: &mut Vec<(&'s Vm, NodeName)>) {
    if begin.iter().all(|(vm, _)| vm.spec.after.is_empty()) {
        return;
    }
    let snap = turn.snap;
    let names: HashSet<&VmName> = begin.iter().map(|(vm, _)| *vm).map(|vm| &vm.name).collect();
    let mut flaws: Vec<(&VmName, Flaw)> = Vec::new();
    begin.retain(|(vm, _)| {
        let vm: &'s Vm = vm;
        let other = vm.spec.after.iter().find(|other| names.contains(other));
        let other = other.filter(|_| !leads_into_circle(snap, vm));
        flaws.extend(other.map(|other| (&vm.name, Flaw::Order(other.clone()))));
        other.is_none()
    });
    tell(turn, outage, &flaws);
}

/// Whether a chain of dependencies leads from a server into a circle: then nobody heeds it until that is mended.
fn leads_into_circle(snap: &Snapshot, vm: &Vm) -> bool {
    /// What is known of one that was come to.
    enum Seen {
        OnTheWay,
        Through,
    }
    let after = |name: &VmName| snap.vms.get(name.as_str()).map(|entry| entry.value.spec.after.as_slice());
    let mut seen: HashMap<&VmName, Seen> = HashMap::from([(&vm.name, Seen::OnTheWay)]);
    let mut way = vec![(&vm.name, vm.spec.after.iter())];
    while let Some((name, others)) = way.last_mut() {
        let Some(other) = others.next() else {
            seen.insert(*name, Seen::Through);
            way.pop();
            continue;
        };
        match seen.get(other) {
            Some(Seen::OnTheWay) => return true,
            Some(Seen::Through) => {}
            None => {
                seen.insert(other, Seen::OnTheWay);
                way.push((other, after(other).unwrap_or_default().iter()));
            }
        }
    }
    false
}

fn tell(turn: &mut Turn<'_>, outage: &Outage, flaws: &[(&VmName, Flaw)]) {
    if flaws.is_empty() {
        return;
    }
    let named = flaws.iter().take(NAMED).map(|(vm, flaw)| format!("{vm} ({}): {}", flaw.word(), flaw.said().en));
    let (count, named) = (flaws.len(), named.collect::<Vec<_>>().join("; "));
    let id = &outage.id;
    let text = format!(
        "outage.plan-flawed: {count} moves of a plan of outage {id} failed the check and are not made: {named}"
    );
    turn.alarm(format!("alarm/plan/{id}"), text);
}

/// Digests of images that no front end has.
fn nowhere(snap: &Snapshot) -> HashSet<&str> {
    // Where no site is known, nobody knows who lacks what.
    if snap.sites.is_empty() {
        return HashSet::new();
    }
    let (mut had, mut lacking): (HashSet<&str>, Vec<&str>) = (HashSet::new(), Vec::new());
    for image in snap.images.values().map(|entry| &entry.value) {
        let Some(stored) = &image.stored else { continue };
        if image.copies.is_empty() && image.kept.is_empty() {
            lacking.push(&stored.sha256);
        } else {
            had.insert(&stored.sha256);
        }
    }
    // Two images may be of one file.
    lacking.into_iter().filter(|digest| !had.contains(digest)).collect()
}

/// Whether a node brings the network of a card, for packets as large as that has.
fn is_bound(snap: &Snapshot, nic: &Nic, node: &Node) -> bool {
    let has = &node.inventory;
    let network = snap.networks.get(nic.network.as_str()).map(|entry| &entry.value);
    let carries = |mtu: u32| has.segment_mtus.get(&nic.segment).is_some_and(|carried| *carried >= mtu);
    let tunnels = |mtu: u32| has.tunnel.is_some_and(|tunnel| tunnel.mtu.saturating_sub(ENCAPSULATION) >= mtu);
    let Some(network) = network else { return has.segments.contains_key(&nic.segment) };
    (network.kind != Kind::Provider || has.segments.contains_key(&nic.segment))
        && network.mtu.is_none_or(carries)
        && (network.vlan.is_none() || has.vlans.is_some())
        && network.overlay.is_none_or(|overlay| tunnels(overlay.mtu))
}

/// Whether a node has what else a server needs of it.
fn has_means(vm: &Vm, node: &Node) -> bool {
    let (spec, has) = (&vm.spec, &node.inventory);
    let is_lost_disk = |leftover: &watari_model::vm::Leftover| leftover.newest && leftover.node == node.name;
    spec.node_labels.iter().all(|(key, value)| has.labels.get(key) == Some(value))
        && (spec.base.firmware != Firmware::Uefi || has.host.uefi)
        && !has.protection.lets_guests_lie()
        && (spec.firewalls.is_empty() || has.protection.firewall == Enforcement::Enforced)
        && !vm.leftovers.iter().any(is_lost_disk)
        && !has.disks.contains_key(&vm.uuid)
}

/// The processors of nodes: few kinds among many nodes, of more than a hundred features each.
#[derive(Default)]
struct Kinds<'a> {
    known: Vec<Processor<'a>>,
    /// Of which kind a node is, if it is known.
    of: HashMap<&'a NodeName, Option<usize>>,
    takes_over: HashMap<(usize, usize), bool>,
}

impl<'a> Kinds<'a> {
    /// Whether a guest can go on living on another node. One of whose node nothing is known is let go.
    fn lives_on(&mut self, snap: &'a Snapshot, vm: &'a Vm, target: &'a Node) -> bool {
        let Some(source) = vm.node() else { return true };
        let kind = self.kind(&target.name, || Some(target));
        let known = || snap.nodes.get(source.as_str()).map(|entry| &entry.value);
        let (Some(from), Some(to)) = (self.kind(source, known), kind) else { return true };
        // Most nodes are of one kind.
        if from == to {
            return true;
        }
        let (Some(source), Some(target)) = (self.known.get(from), self.known.get(to)) else { return true };
        *self.takes_over.entry((from, to)).or_insert_with(|| target.takes_over(*source).is_ok())
    }

    fn kind(&mut self, name: &'a NodeName, node: impl FnOnce() -> Option<&'a Node>) -> Option<usize> {
        if let Some(kind) = self.of.get(name) {
            return *kind;
        }
        let kind = node().map(|node| {
            let processor = node.inventory.processor();
            let place = self.known.iter().position(|known| *known == processor);
            place.unwrap_or_else(|| {
                self.known.push(processor);
                self.known.len() - 1
            })
        });
        self.of.insert(name, kind);
        kind
    }
}

#[cfg(test)]
mod tests;
