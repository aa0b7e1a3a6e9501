//! What a tunnel knows: at which node each MAC is, and for which addresses it answers. Pure but for
//! reading it from the kernel.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr},
};

use watari_contracts::plan::PlannedNetwork;

use super::mac;
use crate::plumbing::links::{Links, Mac};

/// A tunnel's two tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    nodes: BTreeMap<Mac, Ipv4Addr>,
    addresses: BTreeMap<IpAddr, Mac>,
}

/// One step from what is to what should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Reach a MAC at a node.
    Reach(Mac, Ipv4Addr),
    /// Reach a MAC no more by this tunnel.
    Forget(Mac),
    /// Answer for an address.
    Answer(IpAddr, Mac),
    /// Answer for an address no more.
    Silence(IpAddr),
}

impl Entries {
    /// What the plan says. Ports that no node runs, or that are here, are not the tunnel's business;
    /// nor are those that were claimed for this node.
    pub(super) fn planned(network: &PlannedNetwork, claimed: impl Fn(&Mac) -> bool) -> Self {
        let here = network.here.iter().map(|port| (&port.mac, port.address, port.address6, port.via));
        let elsewhere = network.elsewhere.iter().map(|port| (&port.mac, port.address, port.address6, port.via));
        let mut entries = Self::default();
        for (text, address, address6, via) in here.chain(elsewhere) {
            let (Some(mac), Some(node)) = (mac(text), via) else { continue };
            if !claimed(&mac) {
                entries.nodes.insert(mac, node);
                entries.addresses.insert(IpAddr::V4(address), mac);
                entries.addresses.extend(address6.map(|address| (IpAddr::V6(address), mac)));
            }
        }
        entries
    }

    /// What the kernel has.
    pub(super) async fn read(links: &Links, tunnel: u32) -> io::Result<Self> {
        let mut nodes = links.reached(tunnel).await?;
        let switched = links.switched(tunnel).await?;
        // One half alone is none: it is laid again as a whole.
        nodes.retain(|mac, _| switched.contains(mac));
        Ok(Self { nodes, addresses: links.answered(tunnel).await? })
    }

    /// The way from here to there; what is new first, since somebody may wait for it.
    pub(super) fn changes(&self, wanted: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (mac, node) in wanted.nodes.iter().filter(|(mac, node)| self.nodes.get(*mac) != Some(*node)) {
            changes.push(Change::Reach(*mac, *node));
        }
        for (address, mac) in wanted.addresses.iter().filter(|(a, mac)| self.addresses.get(*a) != Some(*mac)) {
            changes.push(Change::Answer(*address, *mac));
        }
        for mac in self.nodes.keys().filter(|mac| !wanted.nodes.contains_key(*mac)) {
            changes.push(Change::Forget(*mac));
        }
        for address in self.addresses.keys().filter(|address| !wanted.addresses.contains_key(*address)) {
            changes.push(Change::Silence(*address));
        }
        changes
    }

    /// Notes that a step was done.
    pub(super) fn note(&mut self, change: &Change) {
        match change {
            Change::Reach(mac, node) => drop(self.nodes.insert(*mac, *node)),
            Change::Forget(mac) => drop(self.nodes.remove(mac)),
            Change::Answer(address, mac) => drop(self.addresses.insert(*address, *mac)),
            Change::Silence(address) => drop(self.addresses.remove(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use watari_contracts::plan::{LocalPort, RemotePort};
    use watari_model::network::Kind;

    use super::*;

    fn here(n: u8, via: Option<Ipv4Addr>) -> LocalPort {
        let (vm, vm_uuid) = (format!("h{n}").parse().unwrap(), String::new());
        let (mac, address) = (format!("52:57:0a:01:00:{n:02x}"), [10, 1, 0, n].into());
        LocalPort { vm, vm_uuid, card: 0, mac, address, address6: None, via, public: None }
    }

    fn elsewhere(n: u8, via: Option<Ipv4Addr>) -> RemotePort {
        let LocalPort { vm, mac, address, address6, via, .. } = here(n, via);
        RemotePort { vm, mac, address, address6, via }
    }

    fn network(here: Vec<LocalPort>, elsewhere: Vec<RemotePort>) -> PlannedNetwork {
        PlannedNetwork { network: "lab".parse().unwrap(), kind: Kind::Overlay, overlay: None, here, elsewhere }
    }

    #[test]
    fn the_tunnel_knows_what_is_elsewhere_and_what_has_not_arrived_yet() {
        let (a, b) = (Some(Ipv4Addr::new(192, 0, 2, 1)), Some(Ipv4Addr::new(192, 0, 2, 2)));
        let planned = network(vec![here(1, None), here(2, a)], vec![elsewhere(3, b), elsewhere(4, None)]);
        let entries = Entries::planned(&planned, |_| false);
        let at = |n| mac(&format!("52:57:0a:01:00:{n:02x}")).unwrap();
        assert_eq!(entries.nodes, BTreeMap::from([(at(2), a.unwrap()), (at(3), b.unwrap())]));
        assert_eq!(entries.addresses.len(), 2);
        // By IPv6 too, where there is one.
        let both = RemotePort { address6: Some("2001:db8::1".parse().unwrap()), ..elsewhere(5, b) };
        let answered = Entries::planned(&network(vec![], vec![both]), |_| false).addresses;
        assert_eq!(answered, BTreeMap::from([([10, 1, 0, 5].into(), at(5)), ("2001:db8::1".parse().unwrap(), at(5))]));
        // It was resumed here before the plan knew.
        let entries = Entries::planned(&planned, |mac| *mac == at(2));
        assert_eq!(entries.nodes, BTreeMap::from([(at(3), b.unwrap())]));
    }

    #[test]
    fn changes_lead_from_what_is_to_what_should_be_and_then_there_are_none() {
        let (a, b) = (Some(Ipv4Addr::new(192, 0, 2, 1)), Some(Ipv4Addr::new(192, 0, 2, 2)));
        let mut now = Entries::planned(&network(vec![], vec![elsewhere(1, a), elsewhere(2, a)]), |_| false);
        let wanted = Entries::planned(&network(vec![], vec![elsewhere(2, b), elsewhere(3, a)]), |_| false);
        let changes = now.changes(&wanted);
        let at = |n| mac(&format!("52:57:0a:01:00:{n:02x}")).unwrap();
        assert_eq!(
            changes,
            [
                Change::Reach(at(2), b.unwrap()),
                Change::Reach(at(3), a.unwrap()),
                Change::Answer([10, 1, 0, 3].into(), at(3)),
                Change::Forget(at(1)),
                Change::Silence([10, 1, 0, 1].into()),
            ]
        );
        changes.iter().for_each(|change| now.note(change));
        assert_eq!(now, wanted);
        assert_eq!(now.changes(&wanted), []);
    }
}
