//! Disks of deleted servers, which a node keeps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{ProjectName, vm};

use super::Order;

/// That a server's disk is to be kept when everything else of it is removed, and what it is: whoever made the server
/// may be gone when somebody wants the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepDisk {
    /// The image under it.
    pub base: vm::Base,
    /// What a guest sees, in GiB.
    pub disk_gib: u64,
    /// The project of its server, with which it is still counted.
    #[serde(default, skip_serializing_if = "ProjectName::is_default")]
    pub project: ProjectName,
}

/// Delete a kept disk. One that is not there is deleted; one that a server has taken is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropDisk {
    /// Who orders.
    pub order: Order,
    /// The UUID of the server that it was of.
    pub uuid: String,
}
