//! Forgetting what is long over: each document that stays costs memory in every front end.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use watari_model::{migration::Migration, outage::Outage, userdata::UserData};

use super::{Action, naming, turn::Turn};

/// User-data that belongs to no server so long after it was stored belongs to one that was never
/// made: the scheduler stores it first, and may die before the server's document.
const ORPHAN_MS: u64 = 600_000;

/// Forgets finished migrations beyond the newest of each server, never those of an outage that is
/// not over; and finished outages beyond the newest.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    let open: BTreeSet<_> = snap.outages.values().filter(|e| !e.value.state.is_over()).map(|e| &e.value.id).collect();

    let mut finished: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in snap.migrations.values() {
        let migration = &entry.value;
        let kept = migration.outage.as_ref().is_some_and(|outage| open.contains(outage));
        if migration.state.over() && !kept {
            finished.entry(&migration.vm).or_default().push(entry);
        }
    }
    for mut entries in finished.into_values() {
        entries.sort_by_key(|entry| naming::number(entry.value.id.as_str()));
        let surplus = entries.len().saturating_sub(turn.rules.keep_migrations);
        for entry in entries.into_iter().take(surplus) {
            if turn.settled::<Migration>(entry.value.id.as_str()) {
                turn.push(Action::DropMigration { id: entry.value.id.clone(), revision: entry.revision });
            }
        }
    }

    let servers: HashSet<_> = snap.vms.values().map(|entry| entry.value.uuid.as_str()).collect();
    for (uuid, entry) in snap.userdata.iter().filter(|(uuid, _)| !servers.contains(uuid.as_str())) {
        if turn.now.millis_since(entry.value.created_at) > ORPHAN_MS && turn.settled::<UserData>(uuid) {
            turn.push(Action::DropUserData { uuid: uuid.clone(), revision: entry.revision });
        }
    }

    let mut past: Vec<_> = snap.outages.values().filter(|entry| entry.value.state.is_over()).collect();
    past.sort_by_key(|entry| (entry.value.created_at, entry.revision));
    let surplus = past.len().saturating_sub(turn.rules.keep_outages);
    for entry in past.into_iter().take(surplus) {
        if turn.settled::<Outage>(entry.value.id.as_str()) {
            turn.push(Action::DropOutage { id: entry.value.id.clone(), revision: entry.revision });
        }
    }
}
