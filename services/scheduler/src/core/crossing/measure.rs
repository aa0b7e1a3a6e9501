//! What a migration is said to have taken.

use watari_model::{
    migration::{Measured, Migration},
    vm::{State, Vm},
};

use super::Turn;

/// From the agents' own figures; what no agent remembers is 0.
pub(super) fn of(turn: &Turn<'_>, migration: &Migration, vm: &Vm) -> Measured {
    let sent = turn.transfer(migration).unwrap_or_default();
    let arriving = turn.snap.passages.get(&(migration.to.clone(), migration.id.clone()));
    // The server's state last changed when it was seen running at the target.
    let arrived = if vm.state == State::Running { vm.changed_at } else { turn.now };
    Measured {
        total_ms: migration.copying_at.map_or(0, |began| arrived.millis_since(began)),
        downtime_ms: sent.downtime_ms,
        pause_ms: arriving.and_then(|passage| passage.paused_ms).unwrap_or(0),
        memory_bytes: sent.memory_sent,
        disk_bytes: sent.disk_sent,
    }
}
