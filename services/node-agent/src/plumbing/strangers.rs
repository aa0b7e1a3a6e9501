//! Whether somebody who is no server of ours has a server's address already.

use std::{net::IpAddr, time::Duration};

use futures_util::future::try_join_all;
use watari_chassis::CancellationToken;
use watari_contracts::agent::{Server, Wire};
use watari_model::{Refusal, network::Kind};

use super::{Plumbing, arp, overlay};

/// Between two questions for a public address that somebody has.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Plumbing {
    /// Asks for each of a server's addresses on the campus's own segments, all at once, for a moment (240 ms), and listens
    /// on until the server is `ready` to run. Whoever answers with the server's own MAC is the server, as on its way from one
    /// node to another: a port's MAC follows from its address, so that no other port of ours has it.
    ///
    /// # Errors
    /// [`Refusal::AddressStrange`], [`Refusal::AddressStrange6`]: somebody has one of them. That a network is not here.
    pub async fn ask_for_strangers(&self, server: &Server, ready: &CancellationToken) -> Result<(), Refusal> {
        let mut asked = Vec::new();
        for wire in server.wires.iter().filter(|wire| wire.kind == Kind::Provider) {
            asked.push(self.ask_for_stranger(wire, ready));
        }
        try_join_all(asked).await.map(drop)
    }

    /// Asks for public addresses that were newly led to servers here, and has those answered that nobody has.
    pub async fn ask_for_public_addresses(&self) {
        if self.public.ask().await {
            self.publish().await;
        }
    }

    /// The same when a plan has been laid. An address that was taken from a server of another node is answered there until
    /// that node has its plan too: so whoever answers is asked again for a few seconds, not only by the next look.
    pub async fn ask_after_plan(&self) {
        self.ask_for_public_addresses().await;
        while self.public.may_be_free_soon() {
            tokio::time::sleep(ASK_AGAIN).await;
            self.ask_for_public_addresses().await;
        }
    }

    async fn ask_for_stranger(&self, wire: &Wire, ready: &CancellationToken) -> Result<(), Refusal> {
        if wire.vlan.is_some() {
            // As when it is connected.
            let _networks = self.networks.lock().await;
            self.link(wire).await?;
        }
        let bridge = self.bridge_of(wire)?;
        let mut asked = vec![self.ask_for(wire, &bridge, wire.address.into(), ready)];
        if let Some(ipv6) = &wire.ipv6 {
            asked.push(self.ask_for(wire, &bridge, ipv6.address.into(), ready));
        }
        try_join_all(asked).await.map(drop)
    }

    async fn ask_for(
        &self,
        wire: &Wire,
        bridge: &str,
        asked: IpAddr,
        ready: &CancellationToken,
    ) -> Result<(), Refusal> {
        let Some(own) = overlay::mac(&wire.mac) else { return Ok(()) };
        // A node does not hear itself on its own bridge. On a VLAN it is no machine, whatever its addresses elsewhere.
        let is_ours = wire.vlan.is_none() && matches!(self.links.with_address(asked).await, Ok(Some(_)));
        let found = match asked {
            _ if is_ours => arp::hardware(bridge).map(Some),
            IpAddr::V4(address) => arp::holder(bridge, own, address, ready).await,
            IpAddr::V6(address) => arp::holder6(bridge, own, address, ready).await,
        };
        let mac = match found {
            Ok(None) => return Ok(()),
            Ok(Some(mac)) => overlay::text(mac),
            Err(error) => {
                // No reason to keep a server off.
                tracing::warn!(address = %asked, bridge, %error, "nobody can be asked whether an address is free");
                return Ok(());
            }
        };
        let (network, address, node) = (wire.network.to_string(), wire.address.to_string(), self.node.to_string());
        Err(match asked {
            IpAddr::V4(_) => Refusal::AddressStrange { network, address, mac, node },
            IpAddr::V6(address6) => {
                Refusal::AddressStrange6 { network, address, address6: address6.to_string(), mac, node }
            }
        })
    }
}
