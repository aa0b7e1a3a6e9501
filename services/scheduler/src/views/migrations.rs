//! A migration's view.

use watari_contracts::scheduler::{Fault, MigrationView};
use watari_model::migration::Migration;

use crate::core::Snapshot;

/// A migration as it stands, with what has travelled so far by the source's last word.
pub(crate) fn migration(snap: &Snapshot, migration: &Migration) -> MigrationView {
    let passage = snap.passages.get(&(migration.from.clone(), migration.id.clone()));
    MigrationView {
        id: migration.id.clone(),
        vm: migration.vm.clone(),
        from: migration.from.clone(),
        to: migration.to.clone(),
        reason: migration.reason,
        outage: migration.outage.clone(),
        state: migration.state,
        transfer: passage.and_then(|passage| passage.transfer).filter(|_| !migration.state.over()),
        measured: migration.measured,
        fault: migration.fault.as_ref().map(Fault::from),
        created_at: migration.created_at,
        copying_at: migration.copying_at,
        changed_at: migration.changed_at,
    }
}
