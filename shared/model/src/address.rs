//! Public addresses: addresses of a campus's own segment that lead to servers on overlay networks.
//!
//! ```text
//!   (none) ──allocate──▶ held ──associate──▶ a server's ──disassociate──▶ held ──release──▶ (none)
//! ```
//!
//! They come from provider networks that are set apart for them ([`crate::network::Network::public`]), on which
//! no server has a port: so that no port and no public address is ever the same follows from the networks'
//! ranges alone. Two holders of one cannot be written down, since the key is network and address.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, NetworkName, Timestamp, VmName, network::port_key};

/// A public address's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublicAddress {
    /// The document's version.
    pub v: u32,
    /// The provider network that it is of.
    pub network: NetworkName,
    /// The address.
    pub address: Ipv4Addr,
    /// Where it leads; nowhere if it is only held.
    #[serde(default)]
    pub leads_to: Option<Target>,
    /// The request that allocated it.
    pub request_id: String,
    /// When it was allocated.
    pub created_at: Timestamp,
    /// When it last began or ceased to lead somewhere.
    pub changed_at: Timestamp,
}

/// A server's port on an overlay network, to which a public address leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The server.
    pub vm: VmName,
    /// Its UUID, so that a new server of an old name is not taken for the old one.
    pub vm_uuid: String,
    /// The overlay network.
    pub network: NetworkName,
    /// The server's own address there.
    pub address: Ipv4Addr,
}

impl Document for PublicAddress {
    const BUCKET: &'static str = "addresses";
    fn key(&self) -> String {
        port_key(&self.network, self.address)
    }
}
