//! What the monitor answers and tells: nodes, how they are, UPSes, and what happened.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{NetworkName, NodeName, SegmentName, SiteName, Timestamp, VmName, node};

pub use crate::history::{HistoryPage, ListHistory, ReportUsage, UsagePage};
use crate::{Request, Service, wire::requests};

/// List nodes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListNodes {
    /// Only those of this site.
    #[serde(default)]
    pub site: Option<SiteName>,
    /// Only those after this name: the `next` of the page before.
    #[serde(default)]
    pub after: Option<NodeName>,
    /// At most so many, 1 to 1,000; 1,000 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodePage {
    /// By name.
    pub nodes: Vec<NodeView>,
    /// Give this as `after` for the next page; none after the last.
    pub next: Option<NodeName>,
}

/// Show one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetNode {
    /// Which.
    pub name: NodeName,
}

/// Keep new servers away from a node; those on it run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CordonNode {
    /// Which.
    pub name: NodeName,
}

/// Let a node receive servers again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UncordonNode {
    /// Which.
    pub name: NodeName,
}

/// An operator's word that a lost node is off. It is withdrawn by itself when the node is heard again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmNodeOff {
    /// Which.
    pub name: NodeName,
    /// Who says so, 1 to 64 characters; what their key is called, and from where they ask, if left out.
    #[serde(default)]
    pub by: Option<String>,
}

/// Ask a node's power controller, or have it switch the node. What is to be switched is answered as soon as it is
/// begun; `fencing` in the node's view says what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerNode {
    /// Which.
    pub name: NodeName,
    /// What to do.
    pub wish: PowerWish,
    /// Who says so, as for [`ConfirmNodeOff`].
    #[serde(default)]
    pub by: Option<String>,
    /// Only say which programs would be run.
    #[serde(default)]
    pub dry_run: bool,
}

/// What may be wanted of a power controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PowerWish {
    /// That it cuts the power; what runs there dies.
    Off,
    /// That it switches the node on.
    On,
    /// That it says whether the node is on.
    Status,
}

/// What a power controller is asked by, and what is known then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodePower {
    /// Which node.
    pub name: NodeName,
    /// The programs with their arguments, in the order in which they are run.
    pub commands: Vec<Vec<String>>,
    /// What the controller says, if it was asked for just that.
    pub says: Option<node::fencing::Act>,
    /// What was begun.
    pub begun: Option<node::Fencing>,
}

/// Whether a node's power can be cut, and what was done with it last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FencingView {
    /// Whether the monitor that leads is configured with commands for it.
    pub configured: bool,
    /// What was done last, by itself or for somebody.
    pub last: Option<node::Fencing>,
}

/// Forget a node that is off and will not come back, with all that is on its disks. It is gone as soon as no
/// server's document names it; until then this may be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveNode {
    /// Which.
    pub name: NodeName,
    /// Who says so, as for [`ConfirmNodeOff`].
    #[serde(default)]
    pub by: Option<String>,
}

/// What became of a node that is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRemoval {
    /// Which.
    pub name: NodeName,
    /// Whether its document is gone.
    pub removed: bool,
    /// The servers that are being deleted, or have an old copy there, and still name it.
    pub waits_for: Vec<VmName>,
}

/// A node as people and programs see it. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// Its site.
    pub site: SiteName,
    /// What is heard of it.
    pub state: node::State,
    /// Whether new servers are kept away.
    pub cordoned: bool,
    /// The word that it is off, an operator's or its power controller's.
    #[serde(default)]
    pub off: Option<node::Off>,
    /// How its power can be cut, and was.
    #[serde(default)]
    pub fencing: FencingView,
    /// Processors that servers may use.
    pub vcpus_total: u32,
    /// Virtual CPUs of the servers running on it.
    pub vcpus_used: u32,
    /// Memory that servers may use.
    pub memory_mib_total: u64,
    /// Memory of the servers running on it.
    pub memory_mib_used: u64,
    /// Room for disks.
    pub disk_gib_total: u64,
    /// Room left for disks.
    pub disk_gib_free: u64,
    /// How many servers run on it.
    pub vms: u32,
    /// Milliseconds since its last beat.
    pub silent_ms: u64,
    /// How guests are run.
    pub virtualisation: node::Virtualisation,
    /// The processor's model.
    pub cpu_model: String,
    /// libvirt's version.
    pub libvirt: String,
    /// QEMU's version.
    pub qemu: String,
    /// The agent's version.
    pub agent: String,
    /// Whether servers can boot by UEFI on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uefi: bool,
    /// Which segment is bound to which bridge.
    pub segments: BTreeMap<SegmentName, String>,
    /// The largest packet, in bytes, of each of these bridges.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segment_mtus: BTreeMap<SegmentName, u32>,
    /// The bridges that it has made for VLANs of segments, by the networks that live there; none if it can make none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlans: Option<BTreeMap<NetworkName, String>>,
    /// How guests are kept from harming one another.
    pub protection: node::Protection,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Of what it has hardly any left.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub strains: BTreeSet<node::Strain>,
    /// When its state last changed.
    pub changed_at: Timestamp,
}

/// List what nodes find when they look at themselves, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListHealth {
    /// Only those after this name: the `next` of the page before.
    #[serde(default)]
    pub after: Option<NodeName>,
    /// At most so many, 1 to 100; 100 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// How nodes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthPage {
    /// By name.
    pub nodes: Vec<NodeHealth>,
    /// Give this as `after` for the next page; none after the last.
    pub next: Option<NodeName>,
}

/// A node, with everything that says whether it is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeHealth {
    /// The node as it is always shown.
    pub node: NodeView,
    /// Its processor's features, sorted.
    pub cpu_features: Vec<String>,
    /// Where overlay networks' packets reach it; none if it takes part in no overlay network.
    pub tunnel: Option<node::Tunnel>,
    /// Where other nodes' libvirt reaches it for migrations: a host name or an address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub migration_address: String,
    /// By how many milliseconds its clock is ahead of the monitor's, the way of a beat included; less than 0
    /// is behind. None if the monitor that leads has heard no beat of it.
    pub clock_ahead_ms: Option<i64>,
    /// What its agent finds; none from an agent that does not look.
    pub health: Option<node::Health>,
}

/// List the UPSes that the monitor that leads is configured to ask, by site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListUpses {}

/// UPSes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpsPage {
    /// By site, then by name. One that was not asked yet is left out.
    pub upses: Vec<UpsView>,
}

/// A UPS, as it was asked last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpsView {
    /// The site whose power it keeps.
    pub site: SiteName,
    /// Its name, `NAME@HOST` or `NAME@HOST:PORT`.
    pub name: String,
    /// Whether it answered.
    pub answers: bool,
}

/// What happened, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListEvents {
    /// Only those of this kind of resource: `vms`, `nodes`, `migrations`, …
    #[serde(default)]
    pub bucket: Option<String>,
    /// Only those of this resource.
    #[serde(default)]
    pub key: Option<String>,
    /// At most so many, 1 to 1,000; 50 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// Newest last.
    pub events: Vec<Event>,
}

/// One change of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When it was written down.
    pub at: Timestamp,
    /// The kind of resource.
    pub bucket: String,
    /// The resource.
    pub key: String,
    /// The document's revision.
    pub revision: u64,
    /// One line for people, such as `mail: running → migrating`.
    pub summary: String,
}

/// How busy a node's processors are, in thousandths of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Processors {
    /// What it has.
    pub total_milli: u64,
    /// What its servers use.
    pub used_milli: u64,
    /// Below this it is not overloaded, or no longer.
    pub calm_milli: u64,
}

/// What a node can take has changed, or is told anew since a node of its site is overloaded. Published on
/// `watari.capacity.<site>.<node>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityChanged {
    /// The node.
    pub node: NodeName,
    /// Its site.
    pub site: SiteName,
    /// What is heard of it.
    pub state: node::State,
    /// Memory that no running server uses, in MiB.
    pub memory_free_mib: u64,
    /// Room left for disks, in GiB.
    pub disk_free_gib: u64,
    /// How busy its processors are; none while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processors: Option<Processors>,
    /// What each of its servers uses of them, in thousandths of one; only of a node that is overloaded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub busy: BTreeMap<VmName, u64>,
    /// When it was seen.
    pub at: Timestamp,
}

requests! {
    Monitor, "Every subject the monitor answers.";
    ListNodes "watari.v1.node.list" => NodePage, "List nodes.";
    GetNode "watari.v1.node.get" => NodeView, "Show one node.";
    CordonNode "watari.v1.node.cordon" => NodeView, "Keep new servers away from a node.";
    UncordonNode "watari.v1.node.uncordon" => NodeView, "Let a node receive servers again.";
    ListHealth "watari.v1.health.list" => HealthPage, "List what nodes find when they look at themselves.";
    ListUpses "watari.v1.ups.list" => UpsPage, "List the UPSes that are asked, and whether they answer.";
    ConfirmNodeOff "watari.v1.node.confirm-off" => NodeView, "Say that a lost node is off.";
    PowerNode "watari.v1.node.power" => NodePower, "Ask a node's power controller, or have it switch the node.";
    RemoveNode "watari.v1.node.remove" => NodeRemoval, "Forget a node that is off and will not come back.";
    ListEvents "watari.v1.event.list" => EventPage, "Say what happened.";
    ListHistory "watari.v1.history.list" => HistoryPage, "Say who did what, when and why.";
    ReportUsage "watari.v1.usage.get" => UsagePage, "Say how much servers used.";
}
