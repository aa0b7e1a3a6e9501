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
