//! Where frames go: a tunnel's own table (which node has a MAC), its bridge's table (which port), and
//! the addresses for which the tunnel answers.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr},
};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::{
    AddressFamily,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
};

use super::{Links, failed};

/// A hardware address.
pub(in crate::plumbing) type Mac = [u8; 6];

/// An entry that neither ages nor is taken for the bridge's own address (`NUD_NOARP | NUD_REACHABLE`,
/// what iproute2 calls *static*).
const STATIC: NeighbourState = NeighbourState::Other(0x42);

/// Not there is as good as removed.
fn gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

impl Links {
    /// Reaches a MAC by that tunnel at that node, whatever was known of it before.
    pub(in crate::plumbing) async fn reach(&self, tunnel: u32, mac: &Mac, node: Ipv4Addr) -> io::Result<()> {
        let neighbours = self.handle.neighbours();
        let entry = neighbours.add_bridge(tunnel, mac).destination(IpAddr::V4(node)).state(STATIC).replace();
        entry.flags(NeighbourFlags::Own).execute().await.map_err(failed("keep a tunnel's entry"))?;
        self.switch(tunnel, mac).await
    }

    /// Has the bridge reach a MAC by that port of its own, whichever it was before.
    pub(in crate::plumbing) async fn switch(&self, port: u32, mac: &Mac) -> io::Result<()> {
        let entry = self.handle.neighbours().add_bridge(port, mac).state(STATIC).replace();
        entry.flags(NeighbourFlags::Controller).execute().await.map_err(failed("keep a bridge's entry"))
    }

    /// Has the tunnel answer for an address.
    pub(in crate::plumbing) async fn answer(&self, tunnel: u32, address: IpAddr, mac: &Mac) -> io::Result<()> {
        let entry = self.handle.neighbours().add(tunnel, address).link_layer_address(mac).replace();
        entry.execute().await.map_err(failed("keep a neighbour"))
    }

    /// Reaches a MAC by that tunnel no more. If the bridge has it on another port by now, that stays.
    pub(in crate::plumbing) async fn forget(&self, tunnel: u32, mac: &Mac) -> io::Result<()> {
        for flags in [NeighbourFlags::Own, NeighbourFlags::Controller] {
            let mut entry = NeighbourMessage::default();
            entry.header.family = AddressFamily::Bridge;
            entry.header.ifindex = tunnel;
            entry.header.flags = flags;
            entry.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
            gone(self.handle.neighbours().del(entry).execute().await.map_err(failed("forget an entry")))?;
        }
        Ok(())
    }

    /// Answers for an address no more.
    pub(in crate::plumbing) async fn silence(&self, tunnel: u32, address: IpAddr) -> io::Result<()> {
        let mut entry = NeighbourMessage::default();
        let (family, destination) = match address {
            IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
            IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
        };
        entry.header.family = family;
        entry.header.ifindex = tunnel;
        entry.attributes.push(NeighbourAttribute::Destination(destination));
        gone(self.handle.neighbours().del(entry).execute().await.map_err(failed("forget a neighbour")))
    }

    async fn neighbours(&self, family: AddressFamily, link: u32) -> io::Result<Vec<NeighbourMessage>> {
        let all = self.handle.neighbours().get().set_address_family(family).execute();
        let all: Vec<NeighbourMessage> = all.try_collect().await.map_err(failed("list its neighbours"))?;
        Ok(all.into_iter().filter(|entry| entry.header.ifindex == link).collect())
    }

    /// The nodes at which a tunnel reaches MACs.
    pub(in crate::plumbing) async fn reached(&self, tunnel: u32) -> io::Result<BTreeMap<Mac, Ipv4Addr>> {
        let all = self.neighbours(AddressFamily::Bridge, tunnel).await?;
        let node = |entry: &NeighbourMessage| match destination(entry)? {
            IpAddr::V4(node) => Some(node),
            IpAddr::V6(_) => None,
        };
        Ok(all.iter().filter_map(|entry| Some((mac(entry)?, node(entry)?))).collect())
    }

    /// The MACs that the bridge has on that port by an entry of ours.
    pub(in crate::plumbing) async fn switched(&self, port: u32) -> io::Result<Vec<Mac>> {
        let all = self.neighbours(AddressFamily::Bridge, port).await?;
        let ours = |entry: &&NeighbourMessage| {
            entry.attributes.iter().any(|a| matches!(a, NeighbourAttribute::Controller(_)))
                && entry.header.state == NeighbourState::Noarp
        };
        Ok(all.iter().filter(ours).filter_map(mac).collect())
    }

    /// The addresses for which a tunnel answers.
    pub(in crate::plumbing) async fn answered(&self, tunnel: u32) -> io::Result<BTreeMap<IpAddr, Mac>> {
        let mut all = self.neighbours(AddressFamily::Inet, tunnel).await?;
        all.extend(self.neighbours(AddressFamily::Inet6, tunnel).await?);
        let fixed = all.iter().filter(|entry| entry.header.state == NeighbourState::Permanent);
        Ok(fixed.filter_map(|entry| Some((destination(entry)?, mac(entry)?))).collect())
    }
}

fn mac(entry: &NeighbourMessage) -> Option<Mac> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(mac) => mac.as_slice().try_into().ok(),
        _ => None,
    })
}

fn destination(entry: &NeighbourMessage) -> Option<IpAddr> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        // In the bridge family the crate cannot know the address's family.
        NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => {
            <[u8; 4]>::try_from(bytes.as_slice()).ok().map(IpAddr::from)
        }
        _ => None,
    })
}
