//! What a node must know of firewall groups. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use watari_contracts::plan::{Members, NetworkPlan, PlannedFirewall};
use watari_model::{FirewallName, NodeName, firewall::Peer};

use super::{Documents, places};

/// The groups that servers name and that have no document, which is an alarm and no order.
pub(super) fn vanished(documents: &impl Documents) -> BTreeSet<FirewallName> {
    let named: BTreeSet<&FirewallName> = documents.vms().flat_map(|vm| &vm.spec.firewalls).collect();
    named.into_iter().filter(|name| documents.firewall(name).is_none()).cloned().collect()
}

/// Adds to every node's plan the groups of its servers, and who is behind those that they name.
pub(super) fn add(documents: &impl Documents, plans: &mut BTreeMap<NodeName, NetworkPlan>) {
    let mut of_node: BTreeMap<&NodeName, BTreeSet<&FirewallName>> = BTreeMap::new();
    let mut behind: BTreeMap<&FirewallName, BTreeSet<IpAddr>> = BTreeMap::new();
    for vm in documents.vms() {
        let (runs, arrives) = places(vm);
        for node in runs.into_iter().chain(arrives) {
            of_node.entry(node).or_default().extend(&vm.spec.firewalls);
        }
        for group in &vm.spec.firewalls {
            let addresses =
                vm.spec.nics.iter().flat_map(|nic| [Some(IpAddr::V4(nic.address)), nic.address6.map(IpAddr::V6)]);
            behind.entry(group).or_default().extend(addresses.flatten());
        }
    }
    for (node, groups) in of_node {
        let Some(plan) = plans.get_mut(node) else { continue };
        let mut named = BTreeSet::new();
        // A group that is gone has no rules here, and agents keep those that they know.
        for group in groups.into_iter().filter_map(|name| documents.firewall(name)) {
            named.extend(group.rules.iter().filter_map(|rule| match &rule.peer {
                Peer::Group(peer) => Some(peer),
                Peer::Anywhere | Peer::Cidr(_) => None,
            }));
            plan.firewalls.push(PlannedFirewall { firewall: group.name.clone(), rules: group.rules.clone() });
        }
        plan.members = named
            .into_iter()
            .map(|peer| Members {
                firewall: peer.clone(),
                addresses: behind.get(peer).into_iter().flatten().copied().collect(),
            })
            .collect();
    }
}
