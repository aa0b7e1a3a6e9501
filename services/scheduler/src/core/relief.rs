//! Relief of overloaded nodes: where a site is told to, one server after another leaves such a node for a calmer one of
//! the same site.
//!
//! ```text
//!  the monitor's documents say who is overloaded ─┐
//!  capacity events say how busy each is, and each ├─▶ who gains most for what travels ─▶ a migration like any other
//!  server of those that are overloaded            ┘
//! ```
//!
//! Nothing goes back and forth. Only what is overloaded is left, and a target stays below the threshold at which a load
//! counts as calm again, far from the one at which it is too much; it stays by a margin less busy than the node was that
//! is relieved; a server that has moved rests; and after each move a site waits until its effect is measured.
//!
//! It is a convenience and gives way to everything else: while servers leave or come home nothing is done, and what is
//! cordoned, drained or in any other operation is left alone. Who has chosen to stay in an outage stays here too.

use std::cmp::Reverse;

use watari_contracts::monitor::{CapacityChanged, Processors};
use watari_model::{
    NodeName, SiteName,
    migration::{Migration, Reason},
    node::{Node, Strain},
    vm::{Desired, Evacuate, Preseed, State, Vm},
};

use super::{
    Action, Snapshot, ahead, evacuation, forecast,
    placement::{self, Need},
    turn::Turn,
};

/// What was told of a node longer ago says nothing of now: while one is overloaded it is told anew, sooner than this.
const FRESH_MS: u64 = 30_000;
/// Whose leaving takes less than this from its node, in thousandths of what that has, stays.
const LEAST: u64 = 10;
/// What a move costs besides the bytes that travel, in such bytes: its server stands still for a moment, and others wait.
const EACH_BYTES: u64 = 4 << 30;
/// A turn looks at so many pairs of a server and a target at the most.
const MOST_PAIRS: usize = 1_000;

/// A node, and how busy it is.
struct Place<'a> {
    node: &'a Node,
    told: &'a CapacityChanged,
    processors: Processors,
}

/// A server that could leave.
struct Candidate<'a> {
    vm: &'a Vm,
    busy_milli: u64,
    /// What would travel, and what that it moves costs besides.
    bytes: u64,
    /// How much of its load its node has too much of.
    useful_milli: u64,
}

/// Begins at most one migration for each site.
pub(super) fn decide(turn: &mut Turn<'_>) {
    let rules = turn.rules;
    for site in &rules.relief.sites {
        relieve(turn, site);
    }
}

fn relieve(turn: &mut Turn<'_>, site: &SiteName) {
    let places = places(turn, site);
    let is_hot = |place: &&Place<'_>| place.node.strains.contains(&Strain::Overloaded) && place.excess_milli() > 0;
    let mut hot: Vec<&Place<'_>> = places.iter().filter(is_hot).collect();
    if hot.is_empty() || is_at_rest(turn, site) {
        return;
    }
    let mut calm: Vec<&Place<'_>> = places.iter().filter(|place| place.node.strains.is_empty()).collect();
    hot.sort_by_key(|place| (Reverse(place.load(place.processors.used_milli)), &place.node.name));
    calm.sort_by_key(|place| (place.load(place.processors.used_milli), &place.node.name));
    let mut pairs = MOST_PAIRS;
    let found = hot.iter().find_map(|place| choose(turn, place, &calm, &mut pairs));
    if let Some((vm, to)) = found {
        turn.rooms.reserve(&to, vm);
        evacuation::begin(turn, None, Reason::Relief, vm, to);
    }
}

/// The site's nodes that take part, as far as it is known how busy they are.
fn places<'a>(turn: &Turn<'a>, site: &SiteName) -> Vec<Place<'a>> {
    let snap = turn.snap;
    let nodes = snap.nodes.values().map(|entry| &entry.value).filter(|node| node.site == *site);
    let open = nodes.filter(|node| turn.rooms.get(&node.name).is_some_and(|room| room.open().is_ok()));
    let places = open.filter_map(|node| {
        let load = snap.loads.get(&node.name).filter(|load| load.age_ms <= FRESH_MS)?;
        let processors = load.told.processors.filter(|processors| processors.total_milli > 0)?;
        Some(Place { node, told: &load.told, processors })
    });
    places.collect()
}

impl Place<'_> {
    /// So much of `milli`, in thousandths of all that the node has.
    const fn load(&self, milli: u64) -> u64 {
        milli.saturating_mul(1_000) / self.processors.total_milli
    }

    /// By how much its servers keep it too busy to be calm.
    const fn excess_milli(&self) -> u64 {
        (self.processors.used_milli + 1).saturating_sub(self.processors.calm_milli)
    }
}

/// Whether the site waits: for servers that leave or come home, for a migration that is not over, or for the effect of
/// the last relief to be measured.
fn is_at_rest(turn: &Turn<'_>, site: &SiteName) -> bool {
    let snap = turn.snap;
    if turn.drains(site) || snap.outages.values().any(|entry| entry.value.state.is_under_way()) {
        return true;
    }
    let begins = |action: &Action| matches!(action, Action::NewMigration(new) if touches(snap, site, new));
    if turn.actions.iter().any(begins) || snap.busy.values().any(|action| begins(action.as_ref())) {
        return true;
    }
    let migrations = snap.migrations.values().map(|entry| &entry.value);
    let counts = |migration: &&Migration| {
        let relieved = migration.reason == Reason::Relief
            && turn.now.millis_since(migration.changed_at) < turn.rules.relief.pause_ms;
        !migration.state.over() || relieved
    };
    migrations.filter(counts).any(|migration| touches(snap, site, migration))
}

fn touches(snap: &Snapshot, site: &SiteName, migration: &Migration) -> bool {
    [&migration.from, &migration.to].into_iter().any(|node| snap.site_of(node) == Some(site))
}

/// The cheapest move that is a gain, and that placement allows.
fn choose<'a>(turn: &Turn<'a>, hot: &Place<'a>, calm: &[&Place<'a>], pairs: &mut usize) -> Option<(&'a Vm, NodeName)> {
    let margin = turn.rules.relief.margin_percent * 10;
    for candidate in candidates(turn, hot) {
        let need = Need::crossing(candidate.vm, turn.snap);
        for target in calm.iter().filter(|target| is_gain(hot, target, candidate.busy_milli, margin)) {
            *pairs = pairs.checked_sub(1)?;
            if placement::check(&turn.rooms, &need, &target.node.name).is_ok() {
                return Some((candidate.vm, target.node.name.clone()));
            }
        }
    }
    None
}

/// Whether the target stays calm, and by the margin, in thousandths, less busy than the other node was.
fn is_gain(hot: &Place<'_>, target: &Place<'_>, busy_milli: u64, margin: u64) -> bool {
    let with = target.processors.used_milli.saturating_add(busy_milli);
    with < target.processors.calm_milli && target.load(with) + margin <= hot.load(hot.processors.used_milli)
}

/// The servers of a node that could leave it, those first of which the least travels for what their leaving is worth:
/// more than the node has too much of is worth nothing.
fn candidates<'a>(turn: &Turn<'a>, hot: &Place<'a>) -> Vec<Candidate<'a>> {
    let snap = turn.snap;
    let servers = hot.told.busy.iter().filter(|(_, busy)| hot.load(**busy) >= LEAST);
    let mut found: Vec<Candidate<'a>> = servers
        .filter_map(|(name, busy_milli)| {
            let vm = &snap.vms.get(name.as_str())?.value;
            let useful_milli = (*busy_milli).min(hot.excess_milli());
            let leaves = may_leave(turn, vm, &hot.node.name);
            leaves.then(|| Candidate {
                vm,
                busy_milli: *busy_milli,
                bytes: bytes(turn, vm).saturating_add(EACH_BYTES),
                useful_milli,
            })
        })
        .collect();
    // Bytes for each thousandth of a processor, multiplied out.
    let price = |one: &Candidate<'_>, other: &Candidate<'_>| u128::from(one.bytes) * u128::from(other.useful_milli);
    found.sort_by(|a, b| price(a, b).cmp(&price(b, a)).then_with(|| a.vm.name.cmp(&b.vm.name)));
    found
}

/// What would travel: what did the last time, all that the guest wrote meanwhile included, or else all that it can have;
/// and the frozen layers that its disk stands on, since those that were sent ahead lie at another site.
fn bytes(turn: &Turn<'_>, vm: &Vm) -> u64 {
    let whole = (vm.spec.memory_mib << 20).saturating_add(vm.spec.disk_gib << 30);
    let frozen = vm.node().map_or(0, |node| ahead::stack_at(turn.snap, node, &vm.name).frozen_bytes());
    forecast::last_bytes(turn, vm).unwrap_or(whole).saturating_add(frozen)
}

fn may_leave(turn: &Turn<'_>, vm: &Vm, from: &NodeName) -> bool {
    let snapshots = &vm.snapshots;
    let calm = vm.pending.is_none()
        && vm.halt.is_none()
        && vm.leftovers.is_empty()
        // What arrived of it elsewhere stays a copy of it. While it is being sent it goes nowhere.
        && !vm.preseed.as_ref().is_some_and(Preseed::is_due)
        && snapshots.reverting().is_none()
        && snapshots.due().is_none();
    let rests = |migration: &Migration| turn.now.millis_since(migration.changed_at) < turn.rules.relief.rest_ms;
    vm.state == State::Running
        && vm.desired == Desired::Running
        && vm.spec.evacuate == Evacuate::Live
        && vm.node() == Some(from)
        && calm
        && !turn.moves(vm)
        && !turn.migrations_of(&vm.name).any(rests)
        && turn.settled::<Vm>(vm.name.as_str())
        && turn.sight(from, &vm.name).runs_under(vm.generation())
}

#[cfg(test)]
mod tests;
