//! What each node has, what is reserved on it, and by whom.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use watari_chassis::Entry;
use watari_contracts::agent::weight;
use watari_model::{
    GroupName, NodeName, Refusal, VmName, migration,
    node::{self, Node},
    said,
    size::GIB,
    vm::{Size, State, Vm},
};

use super::{Amount, Bases, fit::Unfit};
use crate::core::{Action, Rules, Snapshot, disks};

/// All nodes with what is reserved on them. Each turn reckons every server anew, so that nodes are found by hash and
/// members of a group by the nodes that have any, and not by a look at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms {
    /// In the order of the nodes' names.
    rooms: Vec<Room>,
    places: HashMap<NodeName, usize>,
    /// The places of the nodes on which members of each group are reckoned.
    holders: HashMap<GroupName, BTreeSet<usize>>,
    /// The base images that some site lacks.
    pub(super) bases: Arc<Bases>,
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    node: Arc<Entry<Node>>,
    limit: Amount,
    used: Amount,
    draining: bool,
    vms: BTreeSet<VmName>,
    groups: HashMap<GroupName, BTreeSet<VmName>>,
    /// Room for disks that are sent ahead of their servers, or for what is kept of them, in GiB.
    ahead: BTreeMap<VmName, u64>,
}

/// Rooms as they were before something was reserved in them, by their places, the latest last.
pub(crate) type Undo = Vec<(usize, Room)>;

/// So much more may be promised.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes far below 2^52; a ratio is never negative"
)]
fn times(amount: u64, ratio: f64) -> u64 {
    (amount as f64 * ratio) as u64
}

impl Room {
    fn new(node: &Arc<Entry<Node>>, rules: &Rules, draining: bool) -> Self {
        let (has, ratio) = (&node.value.inventory, rules.overcommit);
        let limit = Amount {
            vcpus: times(u64::from(has.vcpus), ratio.cpu),
            memory_mib: times(has.memory_mib, ratio.memory),
            disk_gib: times(has.disk_gib, ratio.disk),
        };
        Self {
            node: Arc::clone(node),
            limit,
            used: Amount::default(),
            draining,
            vms: BTreeSet::new(),
            groups: HashMap::new(),
            ahead: BTreeMap::new(),
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node.value
    }

    /// Its document as it is shared.
    pub(super) const fn entry(&self) -> &Arc<Entry<Node>> {
        &self.node
    }

    pub(crate) const fn is_draining(&self) -> bool {
        self.draining
    }

    /// What may still be promised.
    pub(crate) const fn free(&self) -> Amount {
        self.limit.minus(self.used)
    }

    /// Whether the server is reckoned here.
    pub(crate) fn holds(&self, vm: &VmName) -> bool {
        self.vms.contains(vm)
    }

    pub(crate) fn members(&self, group: &GroupName) -> Option<&BTreeSet<VmName>> {
        self.groups.get(group)
    }

    /// Whether it may receive anything.
    pub(crate) fn open(&self) -> Result<(), Unfit> {
        match self.node().state {
            _ if self.draining => Err(Unfit::Draining),
            node::State::Lost => Err(Unfit::Lost),
            node::State::Suspect => Err(Unfit::Suspect),
            node::State::Ready if self.node().cordoned => Err(Unfit::Cordoned),
            node::State::Ready => Ok(()),
        }
    }

    /// What is kept free for a server's disk, sent ahead, in GiB.
    pub(super) fn ahead_gib(&self, vm: &VmName) -> u64 {
        self.ahead.get(vm).copied().unwrap_or(0)
    }

    /// Reckons what lies here for a server, or for nobody who is known.
    fn keep(&mut self, owner: Option<&Vm>, disk_gib: u64) {
        if let Some(vm) = owner {
            let left = vm.leftovers.iter().any(|leftover| leftover.node == self.node.value.name);
            if left || self.vms.contains(&vm.name) || self.ahead.contains_key(&vm.name) {
                return;
            }
            self.ahead.insert(vm.name.clone(), disk_gib);
        }
        self.used.disk_gib = self.used.disk_gib.saturating_add(disk_gib);
    }

    fn take(&mut self, vm: &Vm) {
        if self.vms.insert(vm.name.clone()) {
            // It comes to where its disk lies ready.
            self.used.disk_gib = self.used.disk_gib.saturating_sub(self.ahead.remove(&vm.name).unwrap_or(0));
            self.used = self.used.plus(Amount::of(vm.claims()));
            for membership in &vm.spec.groups {
                self.groups.entry(membership.group.clone()).or_default().insert(vm.name.clone());
            }
        }
    }
}

impl Rooms {
    /// Adds up all documents, those being written included.
    pub(crate) fn of(snap: &Snapshot, rules: &Rules) -> Self {
        let draining = |node: &Node| snap.outages.values().any(|outage| outage.value.keeps_away(node));
        let rooms: Vec<Room> = snap.nodes.values().map(|node| Room::new(node, rules, draining(&node.value))).collect();
        let places = rooms.iter().enumerate().map(|(place, room)| (room.node().name.clone(), place)).collect();
        let mut bases = Bases::of(snap);
        if !bases.is_empty() {
            rooms.iter().filter(|room| room.open().is_ok()).for_each(|room| bases.kept_by(room.node()));
        }
        let mut this = Self { rooms, places, holders: HashMap::new(), bases: Arc::new(bases) };
        for entry in snap.vms.values() {
            this.claim(&entry.value);
        }
        for entry in snap.migrations.values() {
            this.promise(&entry.value, snap);
        }
        for action in snap.busy.values() {
            match action.as_ref() {
                Action::StoreVm { vm, .. } => this.claim(vm),
                Action::NewMigration(migration) | Action::StoreMigration { migration, .. } => {
                    this.promise(migration, snap);
                }
                _ => {}
            }
        }
        this.reckon_kept(snap);
        this.reckon_disks(snap);
        this
    }

    /// Reckons the disks of deleted servers, but for those that servers begin with.
    fn reckon_disks(&mut self, snap: &Snapshot) {
        // Few nodes keep any, and each turn comes by here.
        if disks::all(snap).next().is_none() {
            return;
        }
        let taken = disks::taken(snap);
        for kept in disks::all(snap).filter(|kept| !taken.contains(kept.uuid)) {
            if let Some(room) = self.get_mut(&kept.node.name) {
                room.used.disk_gib = room.used.disk_gib.saturating_add(kept.disk.size_bytes.div_ceil(GIB));
            }
        }
    }

    /// Reckons frozen layers that nodes keep for servers elsewhere, where room for the whole disk is not reckoned
    /// anyway.
    fn reckon_kept(&mut self, snap: &Snapshot) {
        let keepers = || snap.heard.iter().filter(|(_, heard)| !heard.facts.layers.is_empty());
        if keepers().next().is_none() {
            return;
        }
        let owners = snap.owners();
        for (node, heard) in keepers() {
            let Some(room) = self.get_mut(node) else { continue };
            for (uuid, layers) in &heard.facts.layers {
                room.keep(owners.get(uuid.as_str()).copied(), weight(layers).div_ceil(GIB));
            }
        }
    }

    /// Reckons a server where its document says, and the copies it left behind. What was reckoned
    /// before stays: in one turn nothing becomes free.
    pub(crate) fn claim(&mut self, vm: &Vm) {
        if vm.state == State::Pending {
            return;
        }
        for node in vm.reserves_on() {
            self.reserve(node, vm);
        }
        for leftover in &vm.leftovers {
            if let Some(room) = self.get_mut(&leftover.node).filter(|room| !room.vms.contains(&vm.name)) {
                room.used.disk_gib = room.used.disk_gib.saturating_add(vm.claims().disk_gib);
            }
        }
        if let Some(to) = vm.seeded_on() {
            self.reserve_ahead(to, vm);
        }
    }

    /// Reckons the disk of a server that is not there, once.
    fn reserve_ahead(&mut self, node: &NodeName, vm: &Vm) {
        let left = vm.leftovers.iter().any(|leftover| leftover.node == *node);
        if let Some(room) = self.get_mut(node).filter(|room| !left && !room.vms.contains(&vm.name)) {
            let disk_gib = vm.claims().disk_gib;
            let before = room.ahead.insert(vm.name.clone(), disk_gib).unwrap_or(0);
            room.used.disk_gib = room.used.disk_gib.saturating_sub(before).saturating_add(disk_gib);
        }
    }

    /// Reckons a migration that waits for its turn at its target.
    fn promise(&mut self, migration: &migration::Migration, snap: &Snapshot) {
        if migration.state == migration::State::Queued
            && let Some(vm) = snap.vms.get(migration.vm.as_str())
        {
            self.reserve(&migration.to, &vm.value);
        }
    }

    /// Reckons a server on a node, once.
    pub(crate) fn reserve(&mut self, node: &NodeName, vm: &Vm) {
        if let Some(place) = self.places.get(node).copied() {
            self.reserve_at(place, vm);
        }
    }

    /// The same on the node at that place of [`Self::iter`].
    pub(super) fn reserve_at(&mut self, place: usize, vm: &Vm) {
        let Some(room) = self.rooms.get_mut(place) else { return };
        room.take(vm);
        for membership in &vm.spec.groups {
            self.holders.entry(membership.group.clone()).or_default().insert(place);
        }
    }

    /// The same so that it can be [undone](Self::undo).
    pub(crate) fn reserve_for_now(&mut self, node: &NodeName, vm: &Vm, undo: &mut Undo) {
        let Some(place) = self.places.get(node).copied() else { return };
        undo.extend(self.at(place).map(|room| (place, room.clone())));
        self.reserve_at(place, vm);
    }

    /// Takes back what was reserved since `undo` was so long. That fewer nodes hold members of a group by that is not worth
    /// a look.
    pub(crate) fn undo(&mut self, undo: &mut Undo, mark: usize) {
        for (place, was) in undo.drain(mark..).rev() {
            if let Some(room) = self.rooms.get_mut(place) {
                *room = was;
            }
        }
    }

    /// Keeps what a room is, unless an earlier state of it is kept already.
    pub(super) fn keep_as_it_is(&self, place: usize, before: &mut HashMap<usize, Room>) {
        if let Some(room) = self.rooms.get(place) {
            before.entry(place).or_insert_with(|| room.clone());
        }
    }

    /// Makes rooms what they were. That fewer nodes hold members of a group by that is not worth a look.
    pub(super) fn put_back(&mut self, before: &mut HashMap<usize, Room>) {
        for (place, was) in before.drain() {
            if let Some(room) = self.rooms.get_mut(place) {
                *room = was;
            }
        }
    }

    pub(crate) fn get(&self, node: &NodeName) -> Option<&Room> {
        self.at(*self.places.get(node)?)
    }

    pub(super) fn at(&self, place: usize) -> Option<&Room> {
        self.rooms.get(place)
    }

    fn get_mut(&mut self, node: &NodeName) -> Option<&mut Room> {
        let place = *self.places.get(node)?;
        self.rooms.get_mut(place)
    }

    /// Nodes on which members of a group may be reckoned; no others are.
    pub(super) fn holders(&self, group: &GroupName) -> impl Iterator<Item = &Room> {
        self.holders.get(group).into_iter().flatten().filter_map(move |place| self.rooms.get(*place))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.rooms.iter()
    }

    /// Whether some node could take a server so large, were it empty. While no node is ready it is not known what there
    /// will be, and a disk may be larger any day than a node's room for disks is now.
    ///
    /// # Errors
    /// [`Refusal::VmTooLarge`], with the node that has the most of what is lacking.
    pub(crate) fn could_hold(&self, vm: &VmName, size: Size) -> Result<(), Refusal> {
        let need = Amount::of(size);
        let has_memory = |room: &Room| room.limit.memory_mib >= need.memory_mib;
        let holds = |room: &Room| has_memory(room) && room.limit.vcpus >= need.vcpus;
        if self.iter().any(holds) || !self.iter().any(|room| room.node().state == node::State::Ready) {
            return Ok(());
        }
        let lacks_memory = !self.iter().any(has_memory);
        let largest = self.iter().max_by_key(|room| {
            let Amount { vcpus, memory_mib, .. } = room.limit;
            if lacks_memory { (memory_mib, vcpus) } else { (vcpus, memory_mib) }
        });
        largest.map_or(Ok(()), |room| {
            let (Amount { vcpus, memory_mib, .. }, node) = (need, &room.node().name);
            let Amount { vcpus: its_vcpus, memory_mib: its_mib, .. } = room.limit;
            let detail = said!(
                "it is to have {vcpus} vCPU and {memory_mib} MiB of memory; the largest, {node}, has {its_vcpus} vCPU and {its_mib} MiB for servers",
                "vCPU {vcpus} 個、メモリ {memory_mib} MiB が必要ですが、最大のノード {node} でも、サーバに使えるのは vCPU {its_vcpus} 個、メモリ {its_mib} MiB です"
            );
            Err(Refusal::VmTooLarge { vm: vm.to_string(), detail })
        })
    }
}
