//! What agents say, for tests of those who decide by it.

use watari_contracts::agent::{Passage, Phase};
use watari_model::MigrationId;

/// An agent's part in a migration of a guest that answers before it leaves.
#[must_use]
pub fn passage(migration: &MigrationId, phase: Phase) -> Passage {
    let answers = (phase != Phase::Prepared).then_some(true);
    Passage { answers, ..Passage::new(migration.clone(), phase) }
}
