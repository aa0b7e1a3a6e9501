//! The link between sites: copies that travel, and how much of a server does.
//!
//! A guest that writes d bytes a second into its memory while that is copied at B bytes a second has M · B/(B − d)
//! bytes sent. Where that would never end, hypervisors slow the guest until it does. So many copies travel at once as
//! the rules say, in each direction; others that were begun wait in their order: that is how a rehearsal of many
//! servers may begin more of them ahead than travel, and the link still never stands empty.

use std::collections::{BTreeMap, HashMap, VecDeque};

use watari_contracts::agent::Transfer;
use watari_model::{
    MigrationId, NodeName, SiteName, VmName,
    migration::{Measured, Migration, State as Moved},
    vm::Vm,
};

use crate::core::{Snapshot, gained, part, sent};

/// What travels of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Bytes of memory, each once.
    pub(crate) memory: u64,
    /// Bytes of disk.
    pub(crate) disk: u64,
    /// Bytes a second that are written to the memory meanwhile.
    pub(crate) dirty: u64,
    /// Whether a migration has shown it.
    pub(crate) measured: bool,
}

impl Load {
    /// Bytes that are sent in all, at so many bytes a second.
    pub(crate) fn bytes(&self, rate: u64) -> u64 {
        sent(self.memory, rate, self.dirty).saturating_add(self.disk)
    }

    /// How much there is left to send at another rate, after so many bytes are sent and so many are left at this one. The
    /// disk goes first.
    pub(crate) fn left_at(&self, (gone, left): (u64, u64), before: u64, after: u64) -> u64 {
        let disk = self.disk.saturating_sub(gone).min(left);
        let memory = part(left - disk, gained(before, self.dirty), before);
        sent(memory, after, self.dirty).saturating_add(disk)
    }

    /// What the last migration of a server with so many bytes of memory shows, if copies went at `rate` then.
    fn shown(size: u64, last: Measured, rate: u64) -> Option<Self> {
        let sent = last.memory_bytes.saturating_add(last.disk_bytes);
        if sent == 0 {
            return None;
        }
        // What no agent remembers is 0.
        let memory = if last.memory_bytes == 0 { size } else { last.memory_bytes.min(size) };
        // It was under way for longer than its bytes went, and others went beside it: its own time says only that it was
        // no slower. What was sent beyond the memory's size was written anew meanwhile.
        let rate = rate.max(part(sent, 1_000, last.total_ms));
        let dirty = part(rate, last.memory_bytes.saturating_sub(memory), last.memory_bytes);
        Some(Self { memory, disk: last.disk_bytes, dirty, measured: true })
    }

    const fn guessed(vm: &Vm) -> Self {
        Self { memory: vm.spec.memory_mib << 20, disk: 0, dirty: 0, measured: false }
    }
}

/// What travels of each server, by what is known at the outset.
#[derive(Debug, Default)]
pub(crate) struct Loads(HashMap<VmName, Load>);

impl Loads {
    /// If each copy went at so many bytes a second the last times.
    pub(crate) fn of(snap: &Snapshot, rate: u64) -> Self {
        let mut last: HashMap<&VmName, &Migration> = HashMap::new();
        for migration in snap.migrations.values().map(|entry| &entry.value) {
            let newest = last.get(&migration.vm).is_none_or(|known| known.changed_at < migration.changed_at);
            if migration.state == Moved::Completed && newest {
                last.insert(&migration.vm, migration);
            }
        }
        let mut loads = Self::default();
        for vm in snap.vms.values().map(|entry| &entry.value) {
            let measured = last.get(&vm.name).and_then(|migration| migration.measured);
            let shown = measured.and_then(|last| Load::shown(vm.spec.memory_mib << 20, last, rate));
            loads.0.insert(vm.name.clone(), shown.unwrap_or(Load::guessed(vm)));
        }
        loads.weigh(snap);
        // Who travels at this moment tells it best.
        for ((_, id), passage) in &snap.passages {
            let vm = snap.migrations.get(id.as_str()).map(|entry| &entry.value.vm);
            if let (Some(transfer), Some(load)) = (passage.transfer, vm.and_then(|vm| loads.0.get_mut(vm))) {
                load.dirty = load.dirty.max(transfer.dirty_rate);
            }
        }
        loads
    }

    /// Heeds what nodes have measured of their servers since those moved the last time, if they ever did.
    fn weigh(&mut self, snap: &Snapshot) {
        for node in snap.nodes.values().map(|entry| &entry.value) {
            for (name, weight) in &node.inventory.weights {
                let is_here = snap.vms.get(name.as_str()).is_some_and(|entry| entry.value.node() == Some(&node.name));
                if let Some(load) = self.0.get_mut(name).filter(|_| is_here) {
                    load.disk = weight.disk_bytes;
                    load.dirty = load.dirty.max(weight.dirty_bytes_per_second.unwrap_or(0));
                }
            }
        }
    }

    pub(crate) fn get(&self, vm: &Vm) -> Load {
        self.0.get(&vm.name).copied().unwrap_or(Load::guessed(vm))
    }
}

/// One copy.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) migration: MigrationId,
    pub(crate) vm: VmName,
    pub(crate) from: NodeName,
    pub(crate) to: NodeName,
    /// The key of the order to send, and which try it is.
    pub(crate) key: String,
    pub(crate) attempt: u32,
    pub(crate) load: Load,
    /// When its bytes began to travel.
    pub(crate) began: Option<u64>,
    pub(crate) bytes: u64,
    left: u64,
    /// Milliseconds until they begin to: it has the link for itself, and sends nothing.
    fixed_ms: u64,
}

impl Flow {
    pub(crate) fn new(migration: MigrationId, vm: VmName, ends: (NodeName, NodeName), load: Load) -> Self {
        let (from, to) = ends;
        Self {
            migration,
            vm,
            from,
            to,
            key: String::new(),
            attempt: 0,
            load,
            began: None,
            bytes: 0,
            left: 0,
            fixed_ms: 0,
        }
    }

    /// Bytes that have travelled.
    pub(crate) const fn sent(&self) -> u64 {
        self.bytes - self.left
    }

    /// Goes on at another rate.
    fn goes_at(&mut self, before: u64, after: u64) {
        let (sent, left) = (self.sent(), self.left);
        self.left = self.load.left_at((sent, left), before, after);
        self.bytes = sent.saturating_add(self.left);
    }

    /// How far it is, as its source would say.
    pub(crate) fn transfer(&self, clock: u64, rate: u64) -> Transfer {
        let disk_sent = self.sent().min(self.load.disk);
        let memory_total = self.bytes.saturating_sub(self.load.disk);
        let memory_sent = self.sent() - disk_sent;
        Transfer {
            memory_total,
            memory_sent,
            memory_left: memory_total.saturating_sub(memory_sent),
            disk_total: self.load.disk,
            disk_sent,
            disk_left: self.load.disk.saturating_sub(disk_sent),
            dirty_rate: self.load.dirty,
            rate,
            elapsed_ms: self.began.map_or(0, |began| clock.saturating_sub(began)),
            ..Transfer::default()
        }
    }
}

/// From one site to another.
pub(crate) type Way = (SiteName, SiteName);

/// All that travels.
#[derive(Debug)]
pub(crate) struct Link {
    /// Bytes a second, in each direction.
    pub(crate) rate: u64,
    /// Copies that travel at once in each direction.
    lanes: usize,
    /// Bytes a second of each copy at the most.
    most: Option<u64>,
    /// Milliseconds that each copy takes besides.
    fixed_ms: u64,
    ways: BTreeMap<Way, VecDeque<Flow>>,
}

impl Link {
    pub(crate) fn new(rate: u64, lanes: usize, most: Option<u64>) -> Self {
        Self { rate: rate.max(1), lanes: lanes.max(1), most, fixed_ms: 0, ways: BTreeMap::new() }
    }

    /// The same with a time that each copy takes besides.
    pub(crate) fn with_fixed(self, fixed_ms: u64) -> Self {
        Self { fixed_ms, ..self }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.ways.values().any(|flows| !flows.is_empty())
    }

    /// Bytes a second of each of so many copies.
    fn share(&self, flows: usize) -> u64 {
        let beside = u64::try_from(flows.clamp(1, self.lanes)).unwrap_or(1);
        let share = self.rate / beside;
        self.most.map_or(share, |most| share.min(most)).max(1)
    }

    /// The same in each direction.
    fn shares(&self) -> Vec<u64> {
        self.ways.values().map(|flows| self.share(flows.len())).collect()
    }

    /// The link carries so many bytes a second from now on.
    pub(crate) fn goes_at(&mut self, rate: u64) {
        let before = self.shares();
        self.rate = rate.max(1);
        let after = self.shares();
        for ((flows, before), after) in self.ways.values_mut().zip(before).zip(after) {
            flows.iter_mut().filter(|flow| flow.began.is_some()).for_each(|flow| flow.goes_at(before, after));
        }
    }

    pub(crate) fn begin(&mut self, way: Way, flow: Flow, clock: u64) {
        self.ways.entry(way).or_default().push_back(flow);
        self.admit(clock);
    }

    /// Whoever is next begins to travel where there is a place.
    fn admit(&mut self, clock: u64) {
        let shares = self.shares();
        let (lanes, fixed_ms) = (self.lanes, self.fixed_ms);
        for (flows, share) in self.ways.values_mut().zip(shares) {
            for flow in flows.iter_mut().take(lanes).filter(|flow| flow.began.is_none()) {
                flow.began = Some(clock);
                flow.fixed_ms = fixed_ms;
                flow.bytes = flow.load.bytes(share).max(1);
                flow.left = flow.bytes;
            }
        }
    }

    /// Milliseconds until the next copy is over.
    pub(crate) fn next_in(&self) -> Option<u64> {
        let ends = self.ways.values().flat_map(|flows| {
            let share = self.share(flows.len());
            let ends = move |flow: &Flow| flow.fixed_ms + flow.left.saturating_mul(1_000).div_ceil(share).max(1);
            flows.iter().take(self.lanes).map(ends)
        });
        ends.min()
    }

    /// Lets so many milliseconds pass, at most until the next copy is over; gives those that are. Then it is `clock`.
    pub(crate) fn advance(&mut self, ms: u64, clock: u64) -> Vec<Flow> {
        let shares = self.shares();
        let lanes = self.lanes;
        let mut over = Vec::new();
        for (flows, share) in self.ways.values_mut().zip(shares) {
            for flow in flows.iter_mut().take(lanes) {
                let fixed = flow.fixed_ms.min(ms);
                flow.fixed_ms -= fixed;
                flow.left = flow.left.saturating_sub(part(share, ms - fixed, 1_000));
            }
            let (ended, left): (VecDeque<Flow>, VecDeque<Flow>) =
                flows.drain(..).partition(|flow| flow.began.is_some() && flow.left == 0);
            over.extend(ended);
            *flows = left;
        }
        self.admit(clock);
        over
    }

    /// Takes those out that are broken off.
    pub(crate) fn take(&mut self, which: impl Fn(&Flow) -> bool, clock: u64) -> Vec<Flow> {
        let mut taken = Vec::new();
        for flows in self.ways.values_mut() {
            let (broken, left): (VecDeque<Flow>, VecDeque<Flow>) = flows.drain(..).partition(&which);
            taken.extend(broken);
            *flows = left;
        }
        self.admit(clock);
        taken
    }

    pub(crate) fn carries(&self, migration: &MigrationId) -> bool {
        self.ways.values().flatten().any(|flow| flow.migration == *migration)
    }

    /// Those that travel, with their bytes a second.
    pub(crate) fn travelling(&self) -> impl Iterator<Item = (&Flow, u64)> {
        self.ways.values().flat_map(|flows| {
            let share = self.share(flows.len());
            flows.iter().take(self.lanes).map(move |flow| (flow, share))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn flow(vm: &str, memory: u64, dirty: u64) -> Flow {
        let ends = ("m1".parse().unwrap(), "y1".parse().unwrap());
        let load = Load { memory, disk: 0, dirty, measured: true };
        Flow::new(format!("{vm}-1").parse().unwrap(), vm.parse().unwrap(), ends, load)
    }

    fn way() -> Way {
        ("myodaiji".parse().unwrap(), "yamate".parse().unwrap())
    }

    #[test]
    fn one_copy_travels_at_a_time_and_the_next_begins_when_it_is_over() {
        let mut link = Link::new(10 * MIB, 1, None);
        link.begin(way(), flow("mail", 100 * MIB, 0), 0);
        link.begin(way(), flow("web", 50 * MIB, 0), 0);
        assert_eq!(link.next_in(), Some(10_000));
        let over = link.advance(10_000, 10_000);
        assert_eq!(over.iter().map(|flow| flow.vm.as_str()).collect::<Vec<_>>(), ["mail"]);
        assert_eq!((link.next_in(), link.is_busy()), (Some(5_000), true));
        let over = link.advance(5_000, 15_000);
        assert_eq!((over.len(), over[0].began, link.is_busy()), (1, Some(10_000), false));
    }

    #[test]
    fn what_each_copy_takes_besides_passes_before_its_bytes_travel() {
        let mut link = Link::new(10 * MIB, 1, None).with_fixed(3_000);
        link.begin(way(), flow("mail", 100 * MIB, 0), 0);
        link.begin(way(), flow("web", 50 * MIB, 0), 0);
        assert_eq!(link.next_in(), Some(13_000));
        assert!(link.advance(4_000, 4_000).is_empty());
        assert_eq!(link.next_in(), Some(9_000));
        assert_eq!((link.advance(9_000, 13_000).len(), link.next_in()), (1, Some(8_000)));
    }

    #[test]
    fn two_lanes_share_the_link_and_a_bound_for_each_leaves_some_of_it() {
        let mut link = Link::new(10 * MIB, 2, Some(2 * MIB));
        link.begin(way(), flow("mail", 10 * MIB, 0), 0);
        assert_eq!(link.next_in(), Some(5_000));
        let mut link = Link::new(10 * MIB, 2, None);
        link.begin(way(), flow("mail", 10 * MIB, 0), 0);
        link.begin(way(), flow("web", 10 * MIB, 0), 0);
        assert_eq!(link.next_in(), Some(2_000));
        assert_eq!(link.advance(2_000, 2_000).len(), 2);
    }

    #[test]
    fn what_is_written_meanwhile_is_sent_again_and_no_guest_keeps_its_copy_from_ending() {
        let load = |dirty| Load { memory: 100 * MIB, disk: MIB, dirty, measured: true };
        assert_eq!(load(0).bytes(10 * MIB), 101 * MIB);
        assert_eq!(load(5 * MIB).bytes(10 * MIB), 201 * MIB);
        assert_eq!(load(90 * MIB).bytes(10 * MIB), 2_001 * MIB, "it is slowed down");
    }

    #[test]
    fn as_fast_as_it_went_a_server_sends_what_it_sent_however_long_it_was_under_way() {
        let shown = |total_ms: u64, memory: u64| {
            let (memory_bytes, disk_bytes) = (memory * MIB, 30 * MIB);
            let last = Measured { total_ms, memory_bytes, disk_bytes, ..Measured::default() };
            Load::shown(100 * MIB, last, 10 * MIB).unwrap()
        };
        // Three had the link together, or each was greeted for long: its 180 MiB took a minute.
        let busy = shown(60_000, 150);
        assert_eq!((busy.memory, busy.disk, busy.measured), (100 * MIB, 30 * MIB, true));
        assert!(busy.bytes(10 * MIB).abs_diff(180 * MIB) < MIB, "{busy:?}");
        assert_eq!(shown(1_000, 150).dirty, 60 * MIB, "within its site it went faster");
        assert_eq!((shown(60_000, 80).memory, shown(60_000, 80).dirty), (80 * MIB, 0), "not all of it is in use");
        assert_eq!(shown(60_000, 0).memory, 100 * MIB, "nobody remembers what its memory was");
        assert_eq!(Load::shown(100 * MIB, Measured::default(), MIB), None);
    }

    #[test]
    fn over_a_slower_link_what_is_left_takes_longer_and_is_written_anew_more_often() {
        let mut link = Link::new(10 * MIB, 1, None);
        // At this rate it takes 20 seconds, since half of what is sent is sent again.
        link.begin(way(), flow("mail", 100 * MIB, 5 * MIB), 0);
        assert_eq!(link.next_in(), Some(20_000));
        link.advance(10_000, 10_000);
        link.goes_at(6 * MIB);
        // 50 MiB are left, of which a second brings one.
        assert_eq!(link.next_in(), Some(50_000));
        link.goes_at(10 * MIB);
        assert_eq!(link.next_in(), Some(10_000), "it is as it was");
        assert_eq!(link.advance(10_000, 20_000).len(), 1);
        let load = Load { memory: 100 * MIB, disk: 20 * MIB, dirty: 0, measured: true };
        assert_eq!(load.left_at((5 * MIB, 115 * MIB), 10 * MIB, 2 * MIB), 115 * MIB);
    }

    #[test]
    fn what_is_broken_off_leaves_its_place_to_the_next() {
        let mut link = Link::new(10 * MIB, 1, None);
        link.begin(way(), flow("mail", 100 * MIB, 0), 0);
        link.begin(way(), flow("web", 50 * MIB, 0), 0);
        let taken = link.take(|flow| flow.vm.as_str() == "mail", 1_000);
        assert_eq!((taken.len(), link.next_in()), (1, Some(5_000)));
        assert!(link.carries(&"web-1".parse().unwrap()) && !link.carries(&"mail-1".parse().unwrap()));
    }
}
