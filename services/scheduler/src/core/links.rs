//! How many servers travel at once.
//!
//! With k flows on a link of rate B, a guest that dirties d bytes a second costs RAM · B/(B − k·d):
//! parallel pre-copy sends more bytes again, and diverges at k·d ≥ B. So: as few flows as keep the
//! link full, one by default in each direction between two sites; the next is prepared meanwhile.
//! A copy sends nothing in its first second or two, while the hypervisors greet each other, start
//! the target's process and compare disks: so the next one begins when the one before has only so much left to send.

use std::collections::{HashMap, HashSet};

use watari_contracts::agent::Transfer;
use watari_model::{
    MigrationId, NodeName, SiteName,
    migration::{Migration, State},
};

use super::{Action, Snapshot, crossing, turn::Turn};

/// The link waits so long for one whose turn it is, before one whose turn comes later takes it: a target is
/// prepared within a second, and what began in the wrong order keeps the link for the time of a whole copy.
const GRACE_MS: u64 = 2_000;

/// From one site to another; or within one.
type Direction = (SiteName, SiteName);

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    preparing: usize,
    copying: usize,
    /// Copies that have little left to send.
    ending: usize,
    /// Whether somebody who prepares will be ready in a moment, and comes before whoever asks from now on.
    awaited: bool,
}

/// What travels now.
#[derive(Debug, Default)]
pub(crate) struct Links {
    loads: HashMap<Direction, Load>,
}

fn direction(snap: &Snapshot, from: &NodeName, to: &NodeName) -> Option<Direction> {
    Some((snap.site_of(from)?.clone(), snap.site_of(to)?.clone()))
}

/// Whether a copy will have sent the rest within `millis`, at the rate of its memory by now. What
/// the guest writes meanwhile may prolong it: then two travel together for a while.
fn ends_within(transfer: &Transfer, millis: u64) -> bool {
    let left = transfer.memory_left + transfer.disk_left;
    // Before memory travels its size is not known.
    transfer.memory_total > 0
        && transfer.memory_sent > 0
        && left.saturating_mul(1_000) < transfer.rate.saturating_mul(millis)
}

fn nearly_over(turn: &Turn<'_>, migration: &Migration) -> bool {
    turn.transfer(migration).is_some_and(|transfer| ends_within(&transfer, turn.rules.overlap_ms))
}

impl Links {
    /// Counts what travels. A migration with a side that is not there holds nobody up: its
    /// fate is settled beside the others.
    pub(crate) fn of(turn: &Turn<'_>) -> Self {
        let mut links = Self::default();
        // What is being written counts as written, or two would take one place.
        let mut writing: HashMap<&MigrationId, &Migration> = HashMap::new();
        let mut beginning: HashSet<&MigrationId> = HashSet::new();
        for action in turn.snap.busy.values() {
            match action.as_ref() {
                Action::StoreMigration { migration, .. } => drop(writing.insert(&migration.id, migration)),
                Action::StoreVm { vm, .. } => beginning.extend(vm.crossing.as_ref().map(|crossing| &crossing.id)),
                _ => {}
            }
        }
        let begun = turn.snap.vms.values().filter_map(|entry| entry.value.crossing.as_ref());
        beginning.extend(begun.map(|crossing| &crossing.id));
        for entry in turn.snap.migrations.values() {
            let migration = writing.get(&entry.value.id).copied().unwrap_or(&entry.value);
            if turn.unreachable(&migration.from) || turn.unreachable(&migration.to) {
                continue;
            }
            match migration.state {
                // What is held by a pause takes nobody's place: others may go meanwhile.
                State::Queued | State::Preparing if turn.snap.is_paused(migration) => {}
                State::Preparing => links.prepares(turn.snap, migration),
                State::Queued if beginning.contains(&migration.id) => links.prepares(turn.snap, migration),
                // A copy that was taken for ended by a stale fact goes on.
                State::Copying | State::Settling if !crossing::copy_is_over(turn, migration) => {
                    if let Some(way) = direction(turn.snap, &migration.from, &migration.to) {
                        let load = links.loads.entry(way).or_default();
                        if nearly_over(turn, migration) { load.ending += 1 } else { load.copying += 1 }
                    }
                }
                _ => {}
            }
        }
        links
    }

    /// Whether another migration may begin to prepare.
    pub(crate) fn may_prepare(&self, turn: &Turn<'_>, migration: &Migration) -> bool {
        let load = self.load(turn.snap, migration);
        load.preparing + load.copying < turn.rules.in_flight + turn.rules.ahead
    }

    /// Reckons one that begins to prepare.
    pub(crate) fn prepares(&mut self, snap: &Snapshot, migration: &Migration) {
        if let Some(way) = direction(snap, &migration.from, &migration.to) {
            self.loads.entry(way).or_default().preparing += 1;
        }
    }

    /// Whether another migration may begin to copy.
    pub(crate) fn may_copy(&self, turn: &Turn<'_>, migration: &Migration) -> bool {
        let load = self.load(turn.snap, migration);
        // Two that share the link end together, and it must not stand empty while the third greets its
        // target. More are not piled up.
        let has_room = load.copying < turn.rules.in_flight && load.copying + load.ending < 3 * turn.rules.in_flight;
        has_room && !load.awaited
    }

    /// Keeps the link free for one that prepares, if that has not taken long yet. Migrations ask in the order of
    /// their turns.
    pub(crate) fn awaits(&mut self, turn: &Turn<'_>, migration: &Migration) {
        if turn.now.millis_since(migration.changed_at) < GRACE_MS
            && let Some(way) = direction(turn.snap, &migration.from, &migration.to)
        {
            self.loads.entry(way).or_default().awaited = true;
        }
    }

    /// Reckons one that goes over from preparing to copying.
    pub(crate) fn copies(&mut self, snap: &Snapshot, migration: &Migration) {
        if let Some(way) = direction(snap, &migration.from, &migration.to) {
            let load = self.loads.entry(way).or_default();
            load.preparing = load.preparing.saturating_sub(1);
            load.copying += 1;
        }
    }

    fn load(&self, snap: &Snapshot, migration: &Migration) -> Load {
        let way = direction(snap, &migration.from, &migration.to);
        way.and_then(|way| self.loads.get(&way).copied()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_nearly_ends_when_its_memory_travels_and_little_is_left() {
        let halfway = Transfer { memory_total: 100, memory_sent: 40, memory_left: 60, rate: 25, ..Transfer::default() };
        assert!(ends_within(&halfway, 2_500) && !ends_within(&halfway, 2_400));
        assert!(!ends_within(&Transfer { rate: 0, ..halfway }, 60_000), "it stands still");
        let disk = Transfer { memory_total: 0, memory_sent: 0, memory_left: 0, disk_left: 1, ..halfway };
        assert!(!ends_within(&disk, 60_000), "its memory is still to come");
        assert!(!ends_within(&halfway, 0), "0 waits for its end");
    }
}
