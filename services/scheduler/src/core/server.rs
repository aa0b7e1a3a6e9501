//! A server as its node needs to know it.

use watari_contracts::agent::{Server, Wire};
use watari_model::vm::Vm;

use super::Snapshot;

/// Puts a server and its networks together; `None` while a network's document is not here.
pub(crate) fn describe(snap: &Snapshot, vm: &Vm) -> Option<Server> {
    let wires = vm.spec.nics.iter().map(|nic| {
        let network = &snap.networks.get(nic.network.as_str())?.value;
        Some(Wire {
            network: nic.network.clone(),
            kind: network.kind,
            segment: nic.segment.clone(),
            overlay: network.overlay,
            cidr: network.cidr.to_string(),
            gateway: network.gateway,
            dns: network.dns.clone(),
            mac: nic.mac.clone(),
            address: nic.address,
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
    })
}
