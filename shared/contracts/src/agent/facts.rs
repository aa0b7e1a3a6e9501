//! What an agent sees, and tells.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{MigrationId, NodeName, SiteName, Timestamp, VmName, vm::Standstill};

use super::{Guard, Layer, Stack};

/// Why a domain is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffReason {
    /// The guest shut itself down, of its own or because it was asked.
    Shutdown,
    /// It was forced off.
    Destroyed,
    /// Its memory is saved here, and its next start goes on from that.
    Saved,
    /// QEMU or the guest crashed.
    Crashed,
    /// It went to another node.
    Migrated,
    /// Nobody knows: the node was restarted, or it was never started.
    Unknown,
}

/// What the hypervisor says of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// There is none.
    Absent,
    /// Its processors run.
    Running,
    /// It is here but does not run.
    Paused,
    /// It is arriving and not complete.
    Incoming,
    /// It is defined and off; no QEMU process of it lives.
    Off(OffReason),
    /// The hypervisor does not answer.
    Unknown,
}

impl Domain {
    /// Whether no process of it lives.
    #[must_use]
    pub const fn is_off(self) -> bool {
        matches!(self, Self::Absent | Self::Off(_))
    }
}

/// How far a migration is as one agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The target prepares.
    Preparing,
    /// The target is ready.
    Prepared,
    /// Bytes travel.
    Copying,
    /// The call is over, however it ended.
    Ended,
}

/// What has travelled. Sizes in bytes, times in milliseconds, rates in bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    /// Memory to move in all, with what was written again.
    pub memory_total: u64,
    /// Memory sent.
    pub memory_sent: u64,
    /// Memory left.
    pub memory_left: u64,
    /// Disk to move in all.
    pub disk_total: u64,
    /// Disk sent.
    pub disk_sent: u64,
    /// Disk left.
    pub disk_left: u64,
    /// How fast the guest writes to its memory.
    pub dirty_rate: u64,
    /// How fast bytes travel.
    pub rate: u64,
    /// Since the start.
    pub elapsed_ms: u64,
    /// The pause that QEMU expects, or at the end the pause it measured.
    pub downtime_ms: u64,
}

/// An agent's part in a migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Passage {
    /// The migration.
    pub migration: MigrationId,
    /// How far it is here.
    pub phase: Phase,
    /// What has travelled, at the source.
    pub transfer: Option<Transfer>,
    /// What libvirt complained of, if the call failed. A hint only.
    pub complaint: Option<String>,
    /// At the source, if its agent has broken the copy off: for how many seconds nothing of it had got across.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_seconds: Option<u64>,
    /// At the source: milliseconds since its processors stopped for good; at the target: how
    /// long the arrived copy stood paused before it was resumed. For the measurement.
    pub paused_ms: Option<u64>,
    /// Whether the guest answers at its address: at the source when it was about to leave, at the
    /// target since it was resumed. None while nobody knows.
    #[serde(default)]
    pub answers: Option<bool>,
}

impl Passage {
    /// One of which no more is known than how far it is.
    #[must_use]
    pub fn new(migration: MigrationId, phase: Phase) -> Self {
        Self {
            migration,
            phase,
            transfer: None,
            complaint: None,
            stalled_seconds: None,
            paused_ms: None,
            answers: None,
        }
    }
}

/// What an agent sees of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VmFact {
    /// The server.
    pub vm: VmName,
    /// Its UUID, if the agent knows it.
    pub uuid: Option<String>,
    /// What the hypervisor says.
    pub domain: Domain,
    /// The newest generation that the agent has seen of it, 0 if none.
    pub generation: u64,
    /// Whether that generation was granted to this node.
    pub granted: bool,
    /// Whether a disk of it is here.
    pub disk: bool,
    /// The migration it takes part in.
    pub passage: Option<Passage>,
    /// What its disk here is made of above its image.
    #[serde(default, skip_serializing_if = "Stack::is_plain")]
    pub stack: Stack,
    /// Why it stands still though it is granted to this node and nothing is being done with it that would make it, if
    /// that has lasted for some seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<Standstill>,
}

/// Everything one agent sees. Published when anything changes and every few seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeFacts {
    /// The node.
    pub node: NodeName,
    /// Its site.
    pub site: SiteName,
    /// Differs after each start of the agent.
    pub instance: String,
    /// Counts the facts of this instance.
    pub seq: u64,
    /// The highest epoch it has seen, by service.
    pub epoch: u64,
    /// Whether libvirt answers.
    pub hypervisor_answers: bool,
    /// When it looked.
    pub at: Timestamp,
    /// Its servers, by name.
    pub vms: BTreeMap<VmName, VmFact>,
    /// Layers of other nodes' servers that are kept here whole and checked, by the servers' UUIDs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, Vec<Layer>>,
    /// That it asks for a lease, if it has servers that are to stop when it is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}
