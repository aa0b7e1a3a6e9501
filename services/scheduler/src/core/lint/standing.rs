//! Who stands on the nodes to which a plan leads, added up from the documents and from what is being written: so much
//! as is certain. The planner's own sums ([`super::super::placement::Rooms`]) are not asked.
//!
//! Nobody leaves such a node within the plan, and a server counts where it comes from until it has arrived. So the most
//! that a node holds at any time of the plan is what stands there and what came before.
//!
//! Frozen layers that agents keep for servers of others are left out: they are reports and no documents, and a disk that
//! comes to where its layers lie needs their room once.

use std::collections::{HashMap, HashSet};

use watari_model::{
    GroupName, NodeName, VmName,
    migration::{self, Migration},
    node::{self, Node},
    outage::Outage,
    size::GIB,
    vm::{Company, State, Vm},
};

use super::{
    super::{Action, Amount, Overcommit, Rules, Snapshot, disks},
    Flaw,
};

/// A node to which servers may go.
pub(super) struct Shelf<'a> {
    pub(super) node: &'a Node,
    pub(super) is_closed: bool,
    limit: Amount,
    used: Amount,
}

/// Who of one group is on one node.
#[derive(Clone, Copy, Default)]
struct Members {
    /// Who stands there already.
    standing: usize,
    /// Whether one that keeps apart has come by the plan.
    keeps_apart: bool,
}

/// All of them.
pub(super) struct Standing<'a> {
    shelves: HashMap<&'a NodeName, Shelf<'a>>,
    /// Who is to come without its document's saying so.
    promised: HashSet<(&'a NodeName, &'a VmName)>,
    members: HashMap<(&'a NodeName, &'a GroupName), Members>,
}

/// So much more may be promised.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes far below 2^52; a ratio is never negative"
)]
fn limit(node: &Node, ratio: Overcommit) -> Amount {
    let times = |amount: u64, ratio: f64| (amount as f64 * ratio) as u64;
    Amount {
        vcpus: times(u64::from(node.inventory.vcpus), ratio.cpu),
        memory_mib: times(node.inventory.memory_mib, ratio.memory),
        disk_gib: times(node.inventory.disk_gib, ratio.disk),
    }
}

/// Where room for a server's whole disk is kept, though it is not there itself.
fn sent_ahead_to(vm: &Vm) -> Option<&NodeName> {
    let lies = |node: &NodeName| vm.leftovers.iter().any(|leftover| leftover.node == *node);
    vm.seeded_on().filter(|node| !lies(node) && !takes_room_on(vm, node))
}

fn takes_room_on(vm: &Vm, node: &NodeName) -> bool {
    vm.reserves_on().any(|there| there == node)
}

/// What a server takes more of a node when it comes there.
fn brings(vm: &Vm, node: &NodeName) -> Amount {
    let all = Amount::of(vm.claims());
    if sent_ahead_to(vm) == Some(node) { Amount { disk_gib: 0, ..all } } else { all }
}

impl<'a> Standing<'a> {
    /// On the nodes for which `goes` holds. `actions` is what this turn has decided so far.
    pub(super) fn of(snap: &'a Snapshot, rules: &Rules, actions: &'a [Action], goes: impl Fn(&Node) -> bool) -> Self {
        let draining: Vec<&Outage> =
            snap.outages.values().map(|entry| &entry.value).filter(|outage| outage.state.drains()).collect();
        let nodes = snap.nodes.values().map(|entry| &entry.value).filter(|node| goes(node));
        let shelf = |node: &'a Node| {
            let is_kept_away = draining.iter().any(|outage| outage.keeps_away(node));
            let is_closed = node.state != node::State::Ready || node.cordoned || is_kept_away;
            let shelf = Shelf { node, is_closed, limit: limit(node, rules.overcommit), used: Amount::default() };
            (&node.name, shelf)
        };
        let shelves = nodes.map(shelf).collect();
        let mut this = Self { shelves, promised: HashSet::new(), members: HashMap::new() };
        snap.vms.values().for_each(|entry| this.document(&entry.value));
        snap.migrations.values().for_each(|entry| this.queue(snap, &entry.value));
        for action in snap.busy.values().map(AsRef::as_ref).chain(actions) {
            this.write(snap, action);
        }
        this.keep_disks(snap);
        this
    }

    /// The node, if servers may go there.
    pub(super) fn shelf(&self, node: &NodeName) -> Option<&Shelf<'a>> {
        self.shelves.get(node)
    }

    /// Reckons a server where its document says, and what is kept for it elsewhere.
    fn document(&mut self, vm: &'a Vm) {
        if vm.state == State::Pending {
            return;
        }
        for node in vm.reserves_on() {
            self.put(node, vm, Amount::of(vm.claims()));
        }
        let left = vm.leftovers.iter().map(|leftover| &leftover.node).filter(|node| !takes_room_on(vm, node));
        for node in left.chain(sent_ahead_to(vm)) {
            self.keep(node, vm.claims().disk_gib);
        }
    }

    /// Reckons a migration that waits for its turn at its target.
    fn queue(&mut self, snap: &'a Snapshot, migration: &'a Migration) {
        if migration.state == migration::State::Queued
            && let Some(entry) = snap.vms.get(migration.vm.as_str())
        {
            self.promise(snap, &migration.to, &entry.value);
        }
    }

    /// Reckons what is being written, or will be.
    fn write(&mut self, snap: &'a Snapshot, action: &'a Action) {
        match action {
            Action::StoreVm { vm, .. } if vm.state != State::Pending => {
                for node in vm.reserves_on() {
                    self.promise(snap, node, vm);
                }
            }
            Action::NewMigration(migration) | Action::StoreMigration { migration, .. } => self.queue(snap, migration),
            _ => {}
        }
    }

    /// Reckons a server on a node where its document does not have it, once.
    fn promise(&mut self, snap: &Snapshot, node: &'a NodeName, vm: &'a Vm) {
        let known = snap.vms.get(vm.name.as_str()).map(|entry| &entry.value);
        let is_documented = known.is_some_and(|known| known.state != State::Pending && takes_room_on(known, node));
        if is_documented || !self.shelves.contains_key(node) || !self.promised.insert((node, &vm.name)) {
            return;
        }
        let is_ready = known.and_then(sent_ahead_to) == Some(node);
        let all = Amount::of(vm.claims());
        self.put(node, vm, if is_ready { Amount { disk_gib: 0, ..all } } else { all });
    }

    /// Reckons the disks of deleted servers, but for those that servers begin with.
    fn keep_disks(&mut self, snap: &Snapshot) {
        if self.shelves.values().all(|shelf| shelf.node.inventory.disks.is_empty()) {
            return;
        }
        let taken = disks::taken(snap);
        for shelf in self.shelves.values_mut() {
            let kept = shelf.node.inventory.disks.iter().filter(|(uuid, _)| !taken.contains(uuid.as_str()));
            let disk_gib = kept.map(|(_, disk)| disk.size_bytes.div_ceil(GIB)).fold(0, u64::saturating_add);
            shelf.used.disk_gib = shelf.used.disk_gib.saturating_add(disk_gib);
        }
    }

    fn keep(&mut self, node: &NodeName, disk_gib: u64) {
        if let Some(shelf) = self.shelves.get_mut(node) {
            shelf.used.disk_gib = shelf.used.disk_gib.saturating_add(disk_gib);
        }
    }

    fn put(&mut self, node: &'a NodeName, vm: &'a Vm, amount: Amount) {
        let Some(shelf) = self.shelves.get_mut(node) else { return };
        shelf.used = shelf.used.plus(amount);
        for membership in &vm.spec.groups {
            self.members.entry((node, &membership.group)).or_default().standing += 1;
        }
    }

    /// Has a server come to a node, if that keeps what the node has and who keeps apart.
    ///
    /// # Errors
    /// [`Flaw::Room`] or [`Flaw::Apart`]; nothing is changed then.
    pub(super) fn take(&mut self, vm: &'a Vm, node: &'a Node) -> Result<(), Flaw> {
        let to = &node.name;
        let is_there = takes_room_on(vm, to) || self.promised.contains(&(to, &vm.name));
        let more = if is_there { Amount::default() } else { brings(vm, to) };
        let Some(shelf) = self.shelves.get_mut(to) else { return Err(Flaw::Room(to.clone())) };
        if more.minus(shelf.limit.minus(shelf.used)) != Amount::default() {
            return Err(Flaw::Room(to.clone()));
        }
        for membership in vm.spec.groups.iter().filter(|membership| membership.company == Company::Apart) {
            let there = self.members.get(&(to, &membership.group)).copied().unwrap_or_default();
            // One that does not mind its company may have come after one that does: that is no fault of this one.
            if there.keeps_apart || there.standing > usize::from(is_there) {
                return Err(Flaw::Apart(to.clone(), membership.group.clone()));
            }
        }
        for membership in vm.spec.groups.iter().filter(|membership| membership.company == Company::Apart) {
            self.members.entry((to, &membership.group)).or_default().keeps_apart = true;
        }
        shelf.used = shelf.used.plus(more);
        Ok(())
    }
}
