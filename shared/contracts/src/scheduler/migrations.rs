//! Servers that travel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{MigrationId, NodeName, OutageId, Timestamp, VmName, migration};

use super::Fault;
use crate::agent::Transfer;

/// List migrations, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListMigrations {
    /// Only this server's.
    #[serde(default)]
    pub vm: Option<VmName>,
    /// Only those that are not over.
    #[serde(default)]
    pub active: bool,
    /// Only those of this outage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<OutageId>,
    /// At most so many, 1 to 1,000; 100 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only those after this one: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<MigrationPlace>,
}

/// Where a migration stands among all, which are in the order of their making and then of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrationPlace {
    /// When it was made.
    pub created_at: Timestamp,
    /// Its name.
    pub id: MigrationId,
}

/// Migrations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationPage {
    /// Newest first.
    pub migrations: Vec<MigrationView>,
    /// Give this as `after` for the next page; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<MigrationPlace>,
}

/// Show one migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetMigration {
    /// Which.
    pub id: MigrationId,
}

/// Cancel a migration that has not switched over. The server goes on where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelMigration {
    /// Which.
    pub id: MigrationId,
}

/// A migration as people and programs see it. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationView {
    /// Its name.
    pub id: MigrationId,
    /// The server.
    pub vm: VmName,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// Why.
    pub reason: migration::Reason,
    /// The outage it belongs to.
    pub outage: Option<OutageId>,
    /// How far it is.
    pub state: migration::State,
    /// What has travelled so far.
    pub transfer: Option<Transfer>,
    /// What was measured, once completed.
    pub measured: Option<migration::Measured>,
    /// Why it did not happen.
    pub fault: Option<Fault>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When copying began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copying_at: Option<Timestamp>,
    /// When its state last changed.
    pub changed_at: Timestamp,
}
