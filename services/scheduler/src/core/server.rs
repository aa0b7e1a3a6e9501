//! A server as its node needs to know it.

use watari_contracts::agent::{Ipv6Wire, Seed, Server, Wire};
use watari_model::{network::Route, userdata::Text, vm::Vm};

use super::Snapshot;

/// Puts a server and its networks together; `None` while a document is not here: a network's, or
/// the user-data of a server that never booted.
pub(crate) fn describe(snap: &Snapshot, vm: &Vm) -> Option<Server> {
    let wires = vm.spec.nics.iter().map(|nic| {
        let network = &snap.networks.get(nic.network.as_str())?.value;
        let reaches = |route: &&Route| route.via.is_ipv4() || nic.address6.is_some();
        Some(Wire {
            network: nic.network.clone(),
            kind: network.kind,
            segment: nic.segment.clone(),
            vlan: network.vlan,
            mtu: network.mtu,
            overlay: network.overlay,
            cidr: network.cidr.to_string(),
            gateway: network.gateway,
            dns: network.dns.clone(),
            routes: network.routes.iter().filter(reaches).copied().collect(),
            mac: nic.mac.clone(),
            address: nic.address,
            ipv6: nic.address6.and_then(|address| Some(Ipv6Wire { network: network.ipv6.clone()?, address })),
        })
    });
    Some(Server {
        name: vm.name.clone(),
        uuid: vm.uuid.clone(),
        vcpus: vm.spec.vcpus,
        memory_mib: vm.spec.memory_mib,
        disk_gib: vm.spec.disk_gib,
        base: vm.spec.base.clone(),
        wires: wires.collect::<Option<_>>()?,
        seed: Seed {
            hostname: vm.hostname(),
            keys: vm.spec.first_boot.logins.iter().map(|login| login.key.clone()).collect(),
            user_data: user_data(snap, vm).ok()?,
        },
        firewalls: vm.spec.firewalls.clone(),
        on_isolation: vm.spec.on_isolation,
        display: vm.spec.display,
    })
}

/// That user-data is not here which a server's first boot needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing;

/// A server's user-data, if it has any. One that has booted does without rather than be kept from
/// leaving a site: cloud-init reads it once.
pub(crate) fn user_data(snap: &Snapshot, vm: &Vm) -> Result<Option<Text>, Missing> {
    match snap.userdata.get(&vm.uuid) {
        Some(there) => Ok(Some(there.value.text.clone())),
        None if vm.spec.first_boot.user_data.is_some() && !vm.booted => Err(Missing),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use watari_chassis::Entry;
    use watari_model::vm::Nic;

    use super::*;
    use crate::core::tests::documents::{at, network, nic, vm};

    #[test]
    fn a_card_has_the_packets_of_its_network_and_its_routes_as_far_as_its_addresses_go() {
        let mut campus = network("campus");
        let routes = ["198.51.100.0/24=203.0.113.2", "2001:db8:7::/48=2001:db8:0:1::2"];
        campus.mtu = Some(1_400);
        campus.routes = routes.iter().map(|text| text.parse().unwrap()).collect();
        let mut mail = vm("mail", 128);
        let dual = Nic { address6: "2001:db8:0:1::cb00:7165".parse().ok(), ..nic(&campus, 101) };
        mail.spec.nics = vec![nic(&campus, 100), dual];
        let campus = Arc::new(Entry { value: campus, revision: 1, created: at(0) });
        let networks = Arc::new(BTreeMap::from([("campus".to_owned(), campus)]));
        let wires = describe(&Snapshot { networks, ..Snapshot::default() }, &mail).unwrap().wires;
        let told: Vec<Vec<String>> =
            wires.iter().map(|wire| wire.routes.iter().map(Route::to_string).collect()).collect();
        assert_eq!(told, [&routes[..1], &routes[..]]);
        assert!(wires.iter().all(|wire| wire.mtu == Some(1_400)));
    }
}
