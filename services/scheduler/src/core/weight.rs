//! How much of a server itself travels: by what did the last time, and by what its node has measured since.
//!
//! Of M bytes of memory that are copied at B bytes a second, while d are written anew each second, M · B/(B − d) are
//! sent. Where that would never end, hypervisors slow the guest until it does. So what travelled the last time says how
//! busy the server was then, and what its node measures how busy it is now: what is more counts. Its disk's layer that is
//! written to is copied as it is, so that what it holds now counts, as soon as that is known.

use watari_model::{Refusal, migration::Measured, node::Weight, vm::Vm};

use super::{
    speed::{Trip, part},
    turn::Turn,
};

/// A guest is slowed down until at least this part of the rate is gained on it.
const SLOWEST_PART: u64 = 20;

/// By how many bytes a second a copy at `rate` comes nearer to its end, if so many are written anew each second.
pub(crate) fn gained(rate: u64, dirty: u64) -> u64 {
    rate.saturating_sub(dirty).max(rate / SLOWEST_PART).max(1)
}

/// Bytes that are sent of so much memory at `rate`, if so many are written anew each second.
pub(crate) fn sent(memory: u64, rate: u64, dirty: u64) -> u64 {
    part(memory, rate, gained(rate, dirty))
}

/// What of a server itself travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// Bytes in all.
    pub(super) bytes: u64,
    /// Whether it has shown that in a migration; else all of its memory counts.
    pub(super) is_shown: bool,
    /// What its node measures of it.
    pub(super) weight: Option<Weight>,
}

impl Own {
    pub(super) fn of(turn: &Turn<'_>, vm: &Vm, last: Option<Measured>) -> Self {
        let node = vm.node().and_then(|node| turn.rooms.get(node));
        let weight = node.and_then(|room| room.node().inventory.weights.get(&vm.name)).copied();
        let is_busy = weight.is_some_and(|weight| weight.dirty_bytes_per_second.is_some_and(|dirty| dirty > 0));
        let rate = if is_busy { turn.share() } else { None };
        Self { bytes: bytes(vm, last, weight, rate), is_shown: last.is_some(), weight }
    }

    /// That a server writes about as fast as its copy is carried, or faster, if that slows it down on its way: one that
    /// may stand still for longer does that instead.
    pub(super) fn too_busy(&self, turn: &Turn<'_>, vm: &Vm) -> Option<Refusal> {
        let dirty = self.weight?.dirty_bytes_per_second.filter(|_| vm.spec.max_downtime_seconds.is_none())?;
        let rate = turn.share().filter(|rate| dirty > rate - rate / SLOWEST_PART)?;
        let mib = |bytes: u64| (bytes >> 20).to_string();
        Some(Refusal::TooBusy { vm: vm.name.to_string(), written: mib(dirty), carried: mib(rate) })
    }
}

fn bytes(vm: &Vm, last: Option<Measured>, weight: Option<Weight>, rate: Option<u64>) -> u64 {
    let size = vm.spec.memory_mib << 20;
    // What no agent remembers is 0.
    let learned = last.map(|last| last.memory_bytes).filter(|bytes| *bytes > 0).unwrap_or(size);
    let Some(weight) = weight else { return learned.saturating_add(last.map_or(0, |last| last.disk_bytes)) };
    let sampled = rate.zip(weight.dirty_bytes_per_second).map(|(rate, dirty)| sent(learned.min(size), rate, dirty));
    learned.max(sampled.unwrap_or(0)).saturating_add(weight.disk_bytes)
}

/// What travelled in all.
pub(super) const fn carried(measured: &Measured) -> u64 {
    measured.memory_bytes.saturating_add(measured.disk_bytes)
}

/// What the last migration of a server took, if it arrived and sent something.
pub(super) fn last(turn: &Turn<'_>, vm: &Vm) -> Option<Measured> {
    use watari_model::migration::State::Completed;
    let last = turn.migrations_of(&vm.name).filter(|m| m.state == Completed).max_by_key(|m| m.changed_at)?;
    last.measured.filter(|_| Trip::of(last).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tests::documents::vm;

    const MIB: u64 = 1 << 20;

    fn weight(disk: u64, dirty: Option<u64>) -> Option<Weight> {
        Some(Weight { disk_bytes: disk * MIB, dirty_bytes_per_second: dirty.map(|mib| mib * MIB) })
    }

    #[test]
    fn what_is_measured_now_and_what_was_shown_in_a_migration_both_count() {
        let mail = vm("mail", 100);
        let moved = |memory: u64, disk: u64| {
            let (memory_bytes, disk_bytes) = (memory * MIB, disk * MIB);
            Some(Measured { total_ms: 1_000, memory_bytes, disk_bytes, ..Measured::default() })
        };
        let mib = |last, weight, rate: Option<u64>| bytes(&mail, last, weight, rate.map(|mib| mib * MIB)) / MIB;
        assert_eq!(mib(None, None, Some(10)), 100, "nothing is known of it");
        assert_eq!(mib(moved(60, 7), None, Some(10)), 67, "as the last time");
        assert_eq!(mib(None, weight(30, None), Some(10)), 130, "its disk is counted before it has ever moved");
        assert_eq!(mib(None, weight(30, Some(5)), None), 130, "nothing is known of the link");
        assert_eq!(mib(None, weight(30, Some(5)), Some(10)), 230, "half of what is sent is sent again");
        assert_eq!(mib(None, weight(0, Some(50)), Some(10)), 2_000, "it is slowed down");
        assert_eq!(mib(moved(60, 7), weight(30, Some(5)), Some(10)), 150, "it is busier than it was");
        assert_eq!(mib(moved(300, 7), weight(30, Some(5)), Some(10)), 330, "it was busier");
        assert_eq!(mib(moved(0, 7), weight(30, Some(0)), Some(10)), 130, "nobody remembers what its memory was");
        assert_eq!(mib(moved(0, 7), None, Some(10)), 107, "nor has anybody measured anything");
    }
}
