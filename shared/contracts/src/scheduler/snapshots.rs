//! Requests about moments of servers' disks that have a name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{SnapshotName, VmName};

/// Give a server's disk as it is now a name, whether the server runs or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSnapshot {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The server.
    pub vm: VmName,
    /// The snapshot's name, among those of that server.
    pub name: SnapshotName,
}

/// Put a stopped server's disk back to a snapshot. What was written since is lost, and so are later snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertSnapshot {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The server.
    pub vm: VmName,
    /// Which.
    pub name: SnapshotName,
}

/// Forget a snapshot, or give up one that is not taken yet. The disk stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteSnapshot {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The server.
    pub vm: VmName,
    /// Which.
    pub name: SnapshotName,
}
