//! What the network service answers: networks, and the ports servers have on them.

use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{NetworkName, NodeName, SegmentName, Timestamp, VmName, network};

use crate::{Request, Service, wire::requests};

/// Make a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateNetwork {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Its name.
    pub name: NetworkName,
    /// What it is made of.
    pub kind: network::Kind,
    /// The subnet, `a.b.c.d/n`.
    pub cidr: String,
    /// What is handed out, `A-B`.
    pub range: String,
    /// What of it is kept back: given only to servers that ask for an address of it by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<network::Exclusion>,
    /// The router told to servers, outside the range. An overlay network, whose router every node is,
    /// takes the first address outside the range if it is left out.
    #[serde(default)]
    pub gateway: Option<Ipv4Addr>,
    /// The name servers told to servers.
    #[serde(default)]
    pub dns: Vec<Ipv4Addr>,
    /// Ways out besides the gateway's, for servers of a provider network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<network::Route>,
    /// The segment that nodes bind to a bridge; `campus` if left out. An overlay network has none.
    #[serde(default)]
    pub segment: Option<SegmentName>,
    /// The VLAN of the segment on which a provider network lives, 1 to 4,094; its frames have no tag if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The largest packet of its servers, in bytes. If left out: as the nodes' bridges, or what every node carries of an
    /// overlay network.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Whether a provider network's range is for public addresses, and no server's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Its IPv6 side; IPv4 only if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<WantedIpv6>,
}

/// The IPv6 side of a network: every server gets, beside its IPv4 address, the one that has that as its last 32 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedIpv6 {
    /// The subnet, `P::/64` to `P::/96`.
    pub cidr: String,
    /// The router told to servers, none of their own addresses. Of an overlay network every node is that, at the address beside
    /// its IPv4 gateway, and none is given here.
    #[serde(default)]
    pub gateway: Option<Ipv6Addr>,
    /// The name servers told to servers.
    #[serde(default)]
    pub dns: Vec<Ipv6Addr>,
}

/// Show one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetNetwork {
    /// Which.
    pub name: NetworkName,
}

/// List networks, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListNetworks {}

/// Networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkPage {
    /// By name.
    pub networks: Vec<NetworkView>,
}

/// Change what a network hands out. What servers have stays theirs, and asking twice changes nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditNetwork {
    /// The network.
    pub name: NetworkName,
    /// What is handed out from now on, `A-B`. What is in use of the range before must lie in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// What of it is kept back from now on, in place of all that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Vec<network::Exclusion>>,
}

/// Give an address out again that somebody else had, who is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearAddress {
    /// The network.
    pub network: NetworkName,
    /// The address that is marked as a stranger's. One that is not marked stays as it is.
    pub address: Ipv4Addr,
}

/// Remove a network that no server uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteNetwork {
    /// Which.
    pub name: NetworkName,
}

/// A network as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkView {
    /// Its name.
    pub name: NetworkName,
    /// What it is made of.
    pub kind: network::Kind,
    /// The segment that nodes bind to a bridge; an overlay network is its own, of its own name.
    pub segment: SegmentName,
    /// The VLAN of the segment on which a provider network lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The largest packet of a provider network's servers, in bytes; as the nodes' bridges if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether its range is for public addresses, and no server's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// What only an overlay network has.
    pub overlay: Option<network::Overlay>,
    /// The subnet.
    pub cidr: String,
    /// What is handed out, `A-B`.
    pub range: String,
    /// What of it is kept back, by address: given only to servers that ask for an address of it by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<network::Exclusion>,
    /// The router told to servers.
    pub gateway: Option<Ipv4Addr>,
    /// The name servers told to servers.
    pub dns: Vec<Ipv4Addr>,
    /// Ways out besides the gateway's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<network::Route>,
    /// Its IPv6 side, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<network::Ipv6>,
    /// How many addresses are in use.
    pub addresses_used: u64,
    /// How many are left to be drawn.
    pub addresses_free: u64,
    /// Addresses that somebody has who is no server, and that are given out to none, by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<network::Stranger>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// List ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListPorts {
    /// Only those on this network.
    #[serde(default)]
    pub network: Option<NetworkName>,
    /// Only those after this one: the `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// At most so many, 1 to 1,000; 1,000 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortPage {
    /// By network, then by address as text.
    pub ports: Vec<network::Port>,
    /// Give this as `after` for the next page; none after the last.
    pub next: Option<String>,
}

/// Give a server a port, or the one that it has. From the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllocatePort {
    /// The network.
    pub network: NetworkName,
    /// The server.
    pub vm: VmName,
    /// Its UUID.
    pub vm_uuid: String,
    /// A fixed address; without it one is drawn.
    pub address: Option<Ipv4Addr>,
}

/// A port and the network it is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Allocated {
    /// The port.
    pub port: network::Port,
    /// The network's segment.
    pub segment: SegmentName,
}

/// A stranger has a server's address: mark it, and give the server another, or the one that it was given since.
/// From the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplacePort {
    /// The network.
    pub network: NetworkName,
    /// The server.
    pub vm: VmName,
    /// Its UUID.
    pub vm_uuid: String,
    /// The address that is a stranger's.
    pub address: Ipv4Addr,
    /// What goes with it by IPv6, if it is that which the stranger has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// Who answered for it.
    pub mac: String,
    /// The node that asked.
    pub node: NodeName,
    /// Whether the address was asked for by name, so that the server gets no other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed: bool,
}

/// Give back all ports of a server. From the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleasePorts {
    /// The server.
    pub vm: VmName,
    /// Its UUID.
    pub vm_uuid: String,
}

/// How many ports were given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Released {
    /// The number.
    pub ports: u32,
}

requests! {
    Network, "Every subject the network service answers.";
    CreateNetwork "watari.v1.network.create" => NetworkView, "Make a network.";
    GetNetwork "watari.v1.network.get" => NetworkView, "Show one network.";
    ListNetworks "watari.v1.network.list" => NetworkPage, "List networks.";
    EditNetwork "watari.v1.network.edit" => NetworkView, "Change what a network hands out.";
    ClearAddress "watari.v1.network.clear" => NetworkView, "Give an address out again that a stranger had.";
    DeleteNetwork "watari.v1.network.delete" => NetworkView, "Remove a network that no server uses.";
    ListPorts "watari.v1.port.list" => PortPage, "List the addresses in use.";
    AllocatePort "watari.service.port.allocate" => Allocated, "Give a server a port, or the one it has.";
    ReplacePort "watari.service.port.replace" => Allocated, "Mark a server's address as a stranger's and give it another.";
    ReleasePorts "watari.service.port.release" => Released, "Give back all ports of a server.";
}
