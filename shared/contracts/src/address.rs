//! What the network service answers about public addresses.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{NetworkName, Timestamp, VmName, address::Target};

use crate::{Request, Service, wire::requests};

/// Take a public address out of a network that has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllocateAddress {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The network, made for public addresses.
    pub network: NetworkName,
    /// A certain address of its range; without it one is drawn.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
}

/// Show one public address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetAddress {
    /// Which.
    pub address: Ipv4Addr,
}

/// List public addresses, by network and address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListAddresses {
    /// Only those of this network.
    #[serde(default)]
    pub network: Option<NetworkName>,
    /// Only those that lead to this server.
    #[serde(default)]
    pub vm: Option<VmName>,
}

/// Public addresses; the service's settings say how many there may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressPage {
    /// By network, then by address.
    pub addresses: Vec<AddressView>,
}

/// Let a public address lead to a server on an overlay network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssociateAddress {
    /// The public address.
    pub address: Ipv4Addr,
    /// The server.
    pub vm: VmName,
    /// Which of its overlay networks; the first if left out.
    #[serde(default)]
    pub network: Option<NetworkName>,
}

/// Let a public address lead nowhere. It stays allocated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisassociateAddress {
    /// Which.
    pub address: Ipv4Addr,
}

/// Give a public address back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseAddress {
    /// Which.
    pub address: Ipv4Addr,
    /// Whether it may lead to a server, which then loses it.
    #[serde(default)]
    pub associated: bool,
}

/// A public address as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressView {
    /// The address.
    pub address: Ipv4Addr,
    /// The network that it is of.
    pub network: NetworkName,
    /// Where it leads; nowhere if it is only held.
    pub leads_to: Option<Target>,
    /// When it was allocated.
    pub created_at: Timestamp,
    /// When it last began or ceased to lead somewhere.
    pub changed_at: Timestamp,
}

requests! {
    Network, "Every subject about public addresses.";
    AllocateAddress "watari.v1.address.allocate" => AddressView, "Take a public address.";
    GetAddress "watari.v1.address.get" => AddressView, "Show one public address.";
    ListAddresses "watari.v1.address.list" => AddressPage, "List public addresses.";
    AssociateAddress "watari.v1.address.associate" => AddressView, "Let a public address lead to a server.";
    DisassociateAddress "watari.v1.address.disassociate" => AddressView, "Let a public address lead nowhere.";
    ReleaseAddress "watari.v1.address.release" => AddressView, "Give a public address back.";
}
