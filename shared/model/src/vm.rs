//! A server (virtual machine): what is wanted of it, where it may run, and how far it is.
//!
//! ```text
//!             granted                  seen running
//!  Pending ─────────▶ Starting ───────────────────────▶ Running ◀──────┐
//!     │                │ │ ▲ ▲                            │  │         │ settled
//!     │ broke    broke │ │ │ │ granted         stop asked │  └──▶ Migrating
//!     ▼                │ │ │ │                            ▼
//!   Failed ◀───────────┘ │ │ └─── Stopped ◀─────────── Stopping ◀── stop asked ── Starting
//!     │ granted          │ │         ▲     seen off
//!     └──────────────────┼─┘         │
//!                        └───────────┴── seen off ── Running
//!
//!  Stopping ── seen saved ──▶ Suspended ── granted ──▶ Starting; forced off ──▶ Stopped
//!  Stopped ── granted a copy, its node being off ──▶ Starting
//!  Starting, Stopped, Failed ── copy discarded, if it never ran ──▶ Stopped ── granted back ──▶ Stopped
//!  Failed ── start asked, if no node ever had it ──▶ Pending
//!  any but Migrating ── delete asked ──▶ Deleting ──▶ (no document)
//! ```
//!
//! A change of size changes no state ([`Growth`]). The state follows what agents report, never what a failed order
//! suggests.

mod after;
mod base;
mod change;
mod console;
mod copy;
mod crossing;
mod first_boot;
mod growth;
mod halt;
mod layers;
mod preseed;
mod probe;
mod restart;
mod snapshot;
mod standstill;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use after::{MOST_AFTER, circle};
pub use base::Base;
pub use change::{Change, NotNow};
pub use console::Opening;
pub use copy::{Copied, Restored};
pub use crossing::{Crossing, Leftover};
pub use first_boot::{FirstBoot, Login};
pub use growth::{Growth, Size};
pub use halt::{Halt, Way};
pub use layers::{Layer, Mark, Stack, weight};
pub use preseed::{Preseed, Seeded};
pub use probe::{MOST_PROBES, NotAProbe, Probe};
pub use restart::Restart;
pub use snapshot::{MOST_SNAPSHOTS, Outcome, Revert, Snapshot, Snapshots, Taken};
pub use standstill::Standstill;

use crate::{
    Document, FirewallName, GroupName, HostName, NetworkName, NodeName, ProjectName, Refusal, SegmentName, SiteName,
    Timestamp, VmName, isolation::OnIsolation,
};

/// The smallest and largest number of virtual CPUs.
pub const VCPUS: std::ops::RangeInclusive<u32> = 1..=256;
/// The smallest and largest memory in MiB.
pub const MEMORY_MIB: std::ops::RangeInclusive<u64> = 32..=(4 << 20);
/// The smallest and largest disk in GiB.
pub const DISK_GIB: std::ops::RangeInclusive<u64> = 1..=(64 << 10);

/// The longest that a server may choose to stand still for a migration, in seconds: users of what stands still for longer
/// give up.
pub const MOST_DOWNTIME_SECONDS: u32 = 60;

/// The right to run a server: only the node named here may, and only under this or a later
/// generation. Each new grant counts the generation up by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The one node that may run the server.
    pub node: NodeName,
    /// Counts grants of this server, from 1.
    pub generation: u64,
}

/// What the operator wants of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// It should run.
    Running,
    /// It should be off; its disk stays.
    Stopped,
    /// It should be gone with its disk and addresses.
    Deleted,
}

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; no node chosen yet.
    Pending,
    /// A node holds the grant and prepares or boots it.
    Starting,
    /// Seen running under the grant.
    Running,
    /// Crossing to another node; it runs on.
    Migrating,
    /// Asked to shut down.
    Stopping,
    /// Seen off; disk and address kept.
    Stopped,
    /// Seen off, with its memory saved on its node: its next start there goes on from that.
    Suspended,
    /// Being removed.
    Deleting,
    /// It could not be started; the fault says why.
    Failed,
}

impl State {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Migrating => "migrating",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        }
    }
}

/// One network card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// The network it is on.
    pub network: NetworkName,
    /// The segment that the node binds to a bridge.
    pub segment: SegmentName,
    /// `xx:xx:xx:xx:xx:xx`, lower case.
    pub mac: String,
    /// The server's address on the network.
    pub address: Ipv4Addr,
    /// Whether the address was asked for by name. One that was drawn may become another until the server has run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed: bool,
    /// Its IPv6 address, if the network has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
}

/// How a server leaves a site that is evacuated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evacuate {
    /// Live, without stopping.
    #[default]
    Live,
    /// It stays and dies with the site; the operator chose that.
    Stay,
}

/// Whether the members of a group want each other's company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Company {
    /// All on one node.
    Together,
    /// Each on another node.
    Apart,
}

/// A server's membership in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// The group.
    pub group: GroupName,
    /// Together with or apart from the others.
    pub company: Company,
}

/// What the server is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
    /// The image under the disk.
    pub base: Base,
    /// Network cards, in the guest's order.
    pub nics: Vec<Nic>,
    /// `key=value` labels a node must carry.
    #[serde(default)]
    pub node_labels: std::collections::BTreeMap<String, String>,
    /// Affinity and anti-affinity.
    #[serde(default)]
    pub groups: Vec<Membership>,
    /// The firewall groups that it names; without one it is open.
    #[serde(default)]
    pub firewalls: Vec<FirewallName>,
    /// How it is asked from outside while an outage is under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// The servers on which it depends: it leaves, comes home and is started after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<VmName>,
    /// What it does when its site is evacuated.
    #[serde(default)]
    pub evacuate: Evacuate,
    /// Servers with a higher number leave and are started first. 0 to 100.
    #[serde(default)]
    pub priority: u8,
    /// Whether it is started again when it went off by itself.
    #[serde(default, skip_serializing_if = "Restart::is_usual")]
    pub restart: Restart,
    /// What it does when its node is cut off from everybody, from its next start or migration on.
    #[serde(default, skip_serializing_if = "OnIsolation::is_usual")]
    pub on_isolation: OnIsolation,
    /// When its node is lost it is started from a copy of its disk elsewhere that lacks no more than what was written in
    /// so many seconds. Never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_from_copy_seconds: Option<NonZeroU32>,
    /// How long it may stand still at the end of a live migration that would not end otherwise, at most
    /// [`MOST_DOWNTIME_SECONDS`]. Left out, it is never stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downtime_seconds: Option<NonZeroU32>,
    /// Whether it has a video device, from its first start on: what its screen shows can be looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub display: bool,
    /// What it is told when it first boots.
    #[serde(default)]
    pub first_boot: FirstBoot,
}

impl Spec {
    /// How large it is.
    #[must_use]
    pub const fn size(&self) -> Size {
        Size { vcpus: self.vcpus, memory_mib: self.memory_mib, disk_gib: self.disk_gib }
    }
}

/// A server's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vm {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: VmName,
    /// Fixed for life; also the domain's UUID.
    pub uuid: String,
    /// The project that it is counted with.
    #[serde(default, skip_serializing_if = "ProjectName::is_default")]
    pub project: ProjectName,
    /// What it is made of.
    pub spec: Spec,
    /// What the operator wants.
    pub desired: Desired,
    /// Whether stopping means off at once, instead of asking the guest.
    #[serde(default)]
    pub force_off: bool,
    /// Whether its disk stays on its node when it is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_disk: bool,
    /// Whether it was ever seen running: from then on its disk is never made anew.
    #[serde(default)]
    pub booted: bool,
    /// Where it belongs; recorded once.
    pub home_site: SiteName,
    /// How far it is.
    pub state: State,
    /// Who may run it.
    pub grant: Option<Grant>,
    /// The migration it is in.
    pub crossing: Option<Crossing>,
    /// Copies to be removed.
    #[serde(default)]
    pub leftovers: Vec<Leftover>,
    /// Why it is failed, or why the last thing asked of it could not be done.
    pub fault: Option<Refusal>,
    /// How large it will be from its next start on, if that is not how large it is. That the guest
    /// reboots itself is no start.
    #[serde(default)]
    pub pending: Option<Size>,
    /// Counts the reboots asked for, and those done.
    #[serde(default)]
    pub reboots: Reboots,
    /// Its disk sent ahead, if that was ever asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preseed: Option<Preseed>,
    /// Moments of its disk that have a name, if it ever had any.
    #[serde(default, skip_serializing_if = "Snapshots::is_blank")]
    pub snapshots: Snapshots,
    /// The outage that has it be off, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halt: Option<Halt>,
    /// The generation under which its node has said that it stops it when it is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarded: Option<u64>,
    /// The generation whose start may still be on its way: its node went off, or it was stopped, before it was seen running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<u64>,
    /// That it was started from a copy, its node having been lost, the last time that happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
    /// Counts this server's migrations; names them.
    #[serde(default)]
    pub migrations: u64,
    /// The last requests that changed this document, newest last, at most [`REQUESTS_KEPT`].
    #[serde(default)]
    pub requests: Vec<AnsweredRequest>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the state last changed.
    pub changed_at: Timestamp,
}

/// How many answered requests a document remembers.
pub const REQUESTS_KEPT: usize = 8;

/// A request that has been answered, so that it may be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnsweredRequest {
    /// The caller's name for it.
    pub request_id: String,
    /// A digest of what was asked.
    pub digest: String,
}

/// Reboots asked for and done; the loop reboots while they differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reboots {
    /// Asked for.
    pub asked: u64,
    /// Done.
    pub done: u64,
    /// Whether the newest one is to be hard.
    pub force: bool,
}

impl Document for Vm {
    const BUCKET: &'static str = "vms";
    fn key(&self) -> String {
        self.name.to_string()
    }
    fn belongs_to(&self) -> Option<&str> {
        self.node().map(NodeName::as_str)
    }
}

impl Vm {
    /// The node that may run it, if any.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        self.grant.as_ref().map(|g| &g.node)
    }

    /// What it calls itself.
    #[must_use]
    pub fn hostname(&self) -> HostName {
        self.spec.first_boot.hostname.clone().unwrap_or_else(|| HostName::from(&self.name))
    }

    /// The generation of the newest grant, 0 if there was none.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.grant.as_ref().map_or(0, |g| g.generation)
    }

    /// The nodes on which it takes room: where it runs, and where it is going.
    pub fn reserves_on(&self) -> impl Iterator<Item = &NodeName> {
        let held = self.state != State::Pending;
        let target = self.crossing.as_ref().map(|c| &c.to);
        self.node().filter(|_| held).into_iter().chain(target.filter(|t| Some(*t) != self.node()))
    }

    /// The one way in which a server's state changes.
    ///
    /// # Errors
    /// [`NotNow`] if the diagram above has no such arrow; the document is then unchanged.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Result<(), NotNow> {
        use State::{Deleting, Failed, Migrating, Pending, Running, Starting, Stopped, Stopping, Suspended};
        let from = self.state;
        let next = match (from, &change) {
            (Stopped, Change::Granted(_) | Change::GrantedCopy) if self.is_going_back() => {
                return Err(NotNow { state: from, change: change.word() });
            }
            (Pending | Stopped | Suspended | Failed | Starting, Change::Granted(node)) => {
                self.grant = Some(Grant { node: node.clone(), generation: self.generation() + 1 });
                self.fault = None;
                Starting
            }
            (Stopped, Change::GrantedCopy) => {
                if !self.take_copy(now) {
                    return Err(NotNow { state: from, change: change.word() });
                }
                Starting
            }
            (Starting | Stopped | Failed, Change::CopyDiscarded) => {
                if !self.discard_copy() {
                    return Err(NotNow { state: from, change: change.word() });
                }
                Stopped
            }
            (Stopped, Change::GrantedBack) => {
                if !self.take_back() {
                    return Err(NotNow { state: from, change: change.word() });
                }
                Stopped
            }
            (Starting | Running | Stopping, Change::SeenRunning) => {
                self.booted = true;
                self.stands_on_copy();
                if from == Stopping { Stopping } else { Running }
            }
            (Starting | Running | Stopping | Suspended, Change::SeenOff) => {
                self.take_size();
                Stopped
            }
            // It keeps the size that its memory has.
            (Stopping, Change::SeenSaved) => Suspended,
            (Failed, Change::StartAsked) if self.grant.is_none() => {
                self.fault = None;
                Pending
            }
            (Running, Change::StopAsked) => Stopping,
            (Starting, Change::StopAsked) => {
                self.unseen = Some(self.generation());
                Stopping
            }
            (Running, Change::MigrationBegan { id, to }) if self.node().is_some_and(|n| n != to) => {
                self.crossing = Some(Crossing { id: id.clone(), to: to.clone(), switched: false, abandoned: false });
                Migrating
            }
            (Migrating, Change::Switched) => {
                let generation = self.generation();
                let Some(crossing) = self.crossing.as_mut().filter(|c| !c.switched && !c.abandoned) else {
                    return Err(NotNow { state: from, change: change.word() });
                };
                crossing.switched = true;
                if let Some(old) = self.grant.replace(Grant { node: crossing.to.clone(), generation: generation + 1 }) {
                    let (node, generation) = (old.node, old.generation);
                    self.leftovers.push(Leftover { node, generation, since: now, migration: None, newest: false });
                }
                Migrating
            }
            (Migrating, Change::Abandoned) => {
                let Some(crossing) = self.crossing.as_mut().filter(|c| !c.switched) else {
                    return Err(NotNow { state: from, change: change.word() });
                };
                crossing.abandoned = true;
                Migrating
            }
            (Migrating, Change::Regranted) if self.crossing.as_ref().is_some_and(|c| c.switched || c.abandoned) => {
                if let Some(grant) = &mut self.grant {
                    grant.generation += 1;
                }
                Migrating
            }
            (Migrating, Change::LeftBehind(node)) if self.node() != Some(node) => {
                let generation = self.generation();
                self.leftovers.retain(|l| l.node != *node);
                let migration = self.crossing.as_ref().map(|c| c.id.clone());
                let node = node.clone();
                self.leftovers.push(Leftover { node, generation, since: now, migration, newest: false });
                Migrating
            }
            (Migrating, Change::MigrationEnded) => {
                self.crossing = None;
                Running
            }
            (Pending | Starting, Change::Broke(refusal)) => {
                self.fault = Some(refusal.clone());
                Failed
            }
            (Pending | Stopped | Failed | Starting | Running | Stopping | Migrating, Change::Resized(size)) => {
                self.want_size(*size);
                // What failed to start may run after all, unless nobody was ever to run it.
                if matches!(from, Pending | Stopped) || self.grant.is_none() {
                    self.take_size();
                }
                from
            }
            (Running, Change::Grown(growth)) => {
                self.take_growth(*growth);
                Running
            }
            (
                Pending | Starting | Running | Stopping | Stopped | Suspended | Failed | Deleting,
                Change::DeleteAsked,
            ) => Deleting,
            _ => return Err(NotNow { state: from, change: change.word() }),
        };
        if next != from {
            self.changed_at = now;
        }
        self.state = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
