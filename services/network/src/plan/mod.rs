//! The network plan of every node, from the documents alone: which of its servers' networks it has,
//! where each port of them is reached, and what goes for its own. Pure; [`push`] tells the agents.

mod firewalls;
mod public;
pub(crate) mod push;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{Ipv4Addr, Ipv6Addr},
};

use watari_contracts::plan::{LocalPort, NetworkPlan, PlannedNetwork, RemotePort};
use watari_model::{
    FirewallName, NetworkName, NodeName,
    address::PublicAddress,
    firewall::Firewall,
    network::{Kind, Network, Port, port_key},
    node::Node,
    vm::{State, Vm},
};

/// The documents that plans follow from.
pub(crate) trait Documents {
    /// All servers.
    fn vms(&self) -> impl Iterator<Item = &Vm>;
    /// All nodes.
    fn nodes(&self) -> impl Iterator<Item = &Node>;
    /// One network.
    fn network(&self, name: &NetworkName) -> Option<&Network>;
    /// One port, by its key.
    fn port(&self, key: &str) -> Option<&Port>;
    /// All public addresses.
    fn addresses(&self) -> impl Iterator<Item = &PublicAddress>;
    /// One firewall group.
    fn firewall(&self, name: &FirewallName) -> Option<&Firewall>;
}

/// A server's card on a network.
struct Card<'a> {
    vm: &'a Vm,
    index: u32,
    mac: &'a str,
    address: Ipv4Addr,
    address6: Option<Ipv6Addr>,
    /// The node that may run the server.
    runs: Option<&'a NodeName>,
    /// The node that is about to.
    arrives: Option<&'a NodeName>,
}

/// Every node's plan; a node without servers has an empty one.
pub(crate) fn plans(documents: &impl Documents) -> BTreeMap<NodeName, NetworkPlan> {
    let mut plans: BTreeMap<NodeName, NetworkPlan> = BTreeMap::new();
    let mut tunnels = HashMap::new();
    for node in documents.nodes() {
        plans.insert(node.name.clone(), NetworkPlan::default());
        tunnels.extend(node.inventory.tunnel.map(|tunnel| (&node.name, tunnel.address)));
    }
    let leading = public::leading(documents);
    for (name, cards) in &by_network(documents) {
        let Some(network) = documents.network(name) else { continue };
        let on: BTreeSet<&NodeName> = cards.iter().flat_map(|card| card.runs.into_iter().chain(card.arrives)).collect();
        for node in on {
            // A node that nobody has heard of yet is told when it is.
            if let Some(plan) = plans.get_mut(node) {
                plan.networks.push(of_node(network, cards, node, &tunnels, &leading));
            }
        }
    }
    firewalls::add(documents, &mut plans);
    plans
}

/// The node that may run the server, and the one that is about to.
fn places(vm: &Vm) -> (Option<&NodeName>, Option<&NodeName>) {
    let runs = vm.node().filter(|_| vm.state != State::Pending);
    (runs, vm.crossing.as_ref().map(|c| &c.to).filter(|to| Some(*to) != runs))
}

fn by_network(documents: &impl Documents) -> BTreeMap<&NetworkName, Vec<Card<'_>>> {
    let mut networks: BTreeMap<&NetworkName, Vec<Card<'_>>> = BTreeMap::new();
    for vm in documents.vms() {
        let (runs, arrives) = places(vm);
        for (index, nic) in vm.spec.nics.iter().enumerate() {
            // An address that was given to somebody else since is not this server's, whatever it thinks.
            let lost = |port: &Port| port.vm_uuid != vm.uuid;
            if documents.port(&port_key(&nic.network, nic.address)).is_some_and(lost) {
                continue;
            }
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let card = Card { vm, index, mac: &nic.mac, address: nic.address, address6: nic.address6, runs, arrives };
            networks.entry(&nic.network).or_default().push(card);
        }
    }
    networks.values_mut().for_each(|cards| cards.sort_unstable_by_key(|card| card.address));
    networks
}

/// One network as one node must know it.
fn of_node(
    network: &Network,
    cards: &[Card<'_>],
    node: &NodeName,
    tunnels: &HashMap<&NodeName, Ipv4Addr>,
    leading: &public::Leading<'_>,
) -> PlannedNetwork {
    let via = |card: &Card<'_>| {
        let elsewhere = card.runs.filter(|runs| *runs != node && network.kind == Kind::Overlay);
        elsewhere.and_then(|runs| tunnels.get(runs).copied())
    };
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    for card in cards {
        let (vm, mac, via) = (card.vm.name.clone(), card.mac.to_owned(), via(card));
        let Card { address, address6, .. } = *card;
        if [card.runs, card.arrives].contains(&Some(node)) {
            // While nobody knows by which tunnel the server is reached, it runs elsewhere nevertheless.
            let is_told = card.runs == Some(node) || via.is_some();
            let public = leading.get(&(card.vm.uuid.as_str(), &network.name, address)).filter(|_| is_told).cloned();
            let (vm_uuid, card) = (card.vm.uuid.clone(), card.index);
            here.push(LocalPort { vm, vm_uuid, card, mac, address, address6, via, public });
        } else {
            elsewhere.push(RemotePort { vm, mac, address, address6, via });
        }
    }
    PlannedNetwork { network: network.name.clone(), kind: network.kind, overlay: network.overlay, here, elsewhere }
}

#[cfg(test)]
mod tests;
