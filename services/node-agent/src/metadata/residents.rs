//! Who is told something: the servers of this node, by where their questions come from.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;
use watari_contracts::agent::Server;

use super::{facts::Facts, tokens::Tokens};
use crate::resolver::Asker;

/// Connections of one server at the same time, so that none keeps its neighbours out.
const SEATS: usize = 8;
/// Questions for names by UDP of one server at the same time, likewise: a mail server has many.
const QUESTIONS: usize = 128;

/// Where a server's questions come from: the bridge that it is plugged into, and its address there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// The bridge's name.
    pub(crate) bridge: String,
    /// The address that its tap is held to.
    pub(crate) address: Ipv4Addr,
}

/// One server of this node.
pub(crate) struct Resident {
    ports: Vec<Port>,
    pub(super) facts: Facts,
    tokens: Mutex<Tokens>,
    /// Places for its connections.
    pub(crate) seats: Arc<Semaphore>,
    /// Its cards that ask for names here, by their addresses.
    askers: BTreeMap<Ipv4Addr, Arc<Asker>>,
    /// Places for these questions.
    pub(crate) questions: Arc<Semaphore>,
}

impl Resident {
    pub(super) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks for names from that address of it; none if that card is to ask others.
    pub(crate) fn asker(&self, address: Ipv4Addr) -> Option<Arc<Asker>> {
        self.askers.get(&address).cloned()
    }
}

/// The servers of this node, by UUID.
#[derive(Default)]
pub(crate) struct Residents(Mutex<BTreeMap<String, Arc<Resident>>>);

impl Residents {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Resident>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a server from now on, at these ports. What it was given before is forgotten.
    pub(crate) fn know(&self, server: &Server, ports: Vec<Port>) {
        let (facts, tokens, seats) = (Facts::from(server), Mutex::default(), Arc::new(Semaphore::new(SEATS)));
        let askers = server.wires.iter().filter_map(|wire| Some((wire.address, Arc::new(Asker::of(wire)?)))).collect();
        let questions = Arc::new(Semaphore::new(QUESTIONS));
        let resident = Resident { ports, facts, tokens, seats, askers, questions };
        self.all().insert(server.uuid.clone(), Arc::new(resident));
    }

    /// Answers a server no more.
    pub(crate) fn forget(&self, uuid: &str) {
        self.all().remove(uuid);
    }

    /// The bridges at which somebody asks for names.
    pub(crate) fn asking(&self) -> BTreeSet<String> {
        let all = self.all();
        let asks = |resident: &Arc<Resident>| -> Vec<String> {
            let ports = resident.ports.iter().filter(|port| resident.askers.contains_key(&port.address));
            ports.map(|port| port.bridge.clone()).collect()
        };
        all.values().flat_map(asks).collect()
    }

    /// Whose port that is; none if it could be either of two.
    pub(crate) fn at(&self, bridge: &str, address: Ipv4Addr) -> Option<Arc<Resident>> {
        let all = self.all();
        let is_there = |resident: &&Arc<Resident>| {
            resident.ports.iter().any(|port| port.bridge == bridge && port.address == address)
        };
        let mut there = all.values().filter(is_there);
        let found = there.next().cloned();
        found.filter(|_| there.next().is_none())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use watari_contracts::agent::{Seed, Wire};
    use watari_model::{
        key::Line,
        network::{Kind, Overlay},
        userdata::Text,
    };
    use watari_testkit::orders;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxdAgfcDWihODsMd0E+dEcsAxR7LJqwDhyGhI6p5rCh sato@example.jp";

    /// A server on the overlay network `lab`.
    pub(in crate::metadata) fn server(n: u8) -> Server {
        let card = Wire {
            network: "lab".parse().unwrap(),
            kind: Kind::Overlay,
            segment: "lab".parse().unwrap(),
            overlay: Some(Overlay { vni: 4_096, mtu: 1_450 }),
            gateway: Some(Ipv4Addr::new(10, 1, 0, 254)),
            ..orders::card(Ipv4Addr::new(10, 1, 0, n))
        };
        Server {
            wires: vec![card],
            seed: Seed {
                hostname: format!("app{n}.example.jp").parse().unwrap(),
                keys: vec![Line::parse(KEY).unwrap()],
                user_data: Some(Text(format!("#!/bin/sh\necho {n}\n"))),
            },
            ..orders::server(&format!("app{n}"), &format!("{n:08x}-1d52-48f3-9d2c-0c0d8e1a7b6f"))
        }
    }

    pub(in crate::metadata) fn port(bridge: &str, n: u8) -> Port {
        Port { bridge: bridge.to_owned(), address: Ipv4Addr::new(10, 1, 0, n) }
    }

    #[test]
    fn a_server_is_known_by_its_bridge_and_address_together() {
        let residents = Residents::default();
        residents.know(&server(1), vec![port("wb001000", 1)]);
        residents.know(&server(2), vec![port("wb001000", 2), port("br-campus", 1)]);
        let at = |bridge: &str, n: u8| {
            let found = residents.at(bridge, port(bridge, n).address)?;
            found.facts.read("/latest/meta-data/local-ipv4")
        };
        assert_eq!(at("wb001000", 1).as_deref(), Some("10.1.0.1"));
        assert_eq!(at("br-campus", 1).as_deref(), Some("10.1.0.2"));
        assert_eq!((at("wb001001", 1), at("wb001000", 3)), (None, None));
        residents.forget(&server(1).uuid);
        assert_eq!(at("wb001000", 1), None);
    }

    #[test]
    fn names_are_asked_for_at_the_bridges_of_cards_that_have_the_node_as_a_name_server() {
        let residents = Residents::default();
        let mut both = server(1);
        let dns = vec![crate::metadata::ADDRESS];
        both.wires.push(Wire { dns, ..orders::card(Ipv4Addr::new(203, 0, 113, 1)) });
        let campus = Port { bridge: "br-campus".to_owned(), address: Ipv4Addr::new(203, 0, 113, 1) };
        residents.know(&both, vec![port("wb001000", 1), campus.clone()]);
        residents.know(&server(2), vec![port("wb001000", 2)]);
        assert_eq!(residents.asking(), ["br-campus".to_owned()].into());
        let resident = residents.at("br-campus", campus.address).unwrap();
        assert!(resident.asker(campus.address).is_some() && resident.asker(port("wb001000", 1).address).is_none());
        residents.forget(&both.uuid);
        assert!(residents.asking().is_empty());
    }

    #[test]
    fn nobody_is_answered_at_a_port_that_two_servers_claim() {
        let residents = Residents::default();
        residents.know(&server(1), vec![port("br-campus", 1)]);
        residents.know(&server(2), vec![port("br-campus", 1)]);
        assert!(residents.at("br-campus", port("br-campus", 1).address).is_none());
    }
}
