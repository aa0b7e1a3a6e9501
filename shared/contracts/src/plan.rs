//! What the network service has each node's agent lay: the network plan of that node.
//!
//! A plan is the whole truth for its node, not a change: it is sent again whenever it differs from
//! what the agent has acknowledged, and laying one twice changes nothing. The agent keeps the newest
//! on its disk, so that a restart, or a bus that is away, changes nothing either.
//!
//! A plan holds only networks on which the node has servers, or is about to receive one. Which links
//! a network needs here follows from the servers' own orders ([`crate::agent::Wire`]); the plan says
//! what belongs on those links: where every port of the network is reached, and what goes for each
//! port that is here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{FirewallName, NetworkName, Refusal, SegmentName, VmName, firewall::Rule, network};

use crate::Command;

/// Which plan of a node this is. A later tenure of the network service has a higher epoch, and
/// within a tenure each new plan of the node a higher revision: the agent lays none that is older
/// than what it has. These epochs are the network service's own and are never compared with the
/// scheduler's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edition {
    /// The sender's epoch.
    pub epoch: u64,
    /// Counts this node's plans within the epoch.
    pub revision: u64,
}

/// Lay a node's network plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayPlan {
    /// Which plan it is.
    pub edition: Edition,
    /// What is to be laid.
    pub plan: NetworkPlan,
}

/// Everything that a node must know of its servers' networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkPlan {
    /// By name.
    pub networks: Vec<PlannedNetwork>,
    /// The firewall groups of the servers that are on this node or about to arrive, by name.
    #[serde(default)]
    pub firewalls: Vec<PlannedFirewall>,
    /// The groups that a rule of these names as the other end, by name.
    #[serde(default)]
    pub members: Vec<Members>,
}

/// What a firewall group lets through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedFirewall {
    /// The group.
    pub firewall: FirewallName,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// Who is behind a firewall group, wherever they run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// The group.
    pub firewall: FirewallName,
    /// The addresses of all servers that name it, ascending.
    pub addresses: Vec<IpAddr>,
}

/// One network with servers on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedNetwork {
    /// The network.
    pub network: NetworkName,
    /// What it is made of.
    pub kind: network::Kind,
    /// What only an overlay network has.
    pub overlay: Option<network::Overlay>,
    /// The ports that are on this node or about to arrive, by address.
    pub here: Vec<LocalPort>,
    /// All other ports, by address.
    pub elsewhere: Vec<RemotePort>,
}

/// A port of a server that this node runs or is about to receive. What is laid for one port of the
/// node's own, such as its firewall rules, belongs here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalPort {
    /// The server.
    pub vm: VmName,
    /// Its UUID.
    pub vm_uuid: String,
    /// Which of the server's cards, from 0; with the UUID it names the tap.
    pub card: u32,
    /// Its MAC.
    pub mac: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its IPv6 address, if the network has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// While the server is arriving: where it still runs, by that node's tunnel address.
    pub via: Option<Ipv4Addr>,
    /// The public address that leads to it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<PublicPort>,
}

/// A public address of a server that this node runs or is about to receive: the node answers for it on the
/// campus's own segment, but only while the server is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicPort {
    /// The public address.
    pub address: Ipv4Addr,
    /// The segment that it is on.
    pub segment: SegmentName,
    /// The segment's subnet, `a.b.c.d/n`: whoever is in it is reached without a router.
    pub subnet: String,
    /// The segment's router, by which everybody else is reached; the node's own routes if there is none.
    pub gateway: Option<Ipv4Addr>,
}

/// A port that is on another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemotePort {
    /// The server, by whose name its neighbours find it.
    pub vm: VmName,
    /// Its MAC.
    pub mac: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its IPv6 address, if the network has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// The tunnel address of the node that runs it; none while no node does, or on a network
    /// without tunnels.
    pub via: Option<Ipv4Addr>,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanLaid {
    /// The plan that the agent has now: the sent one, or a newer one.
    pub edition: Edition,
    /// Why it is not laid in full yet. The agent goes on trying.
    pub fault: Option<Refusal>,
}

impl Command for LayPlan {
    const VERB: &'static str = "network-plan";
    const ABOUT: &'static str = "Lay the node's network plan.";
    type Reply = PlanLaid;
}

/// Every verb of the network service's that an agent knows.
pub const VERBS: &[&str] = &[LayPlan::VERB];
