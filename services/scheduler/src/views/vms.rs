//! A server's view.

use watari_contracts::scheduler::{Fault, VmView};
use watari_model::vm::Vm;

use crate::core::Snapshot;

/// A server as it stands. It is reachable if its node was heard within `silent_ms`.
pub(crate) fn vm(snap: &Snapshot, vm: &Vm, silent_ms: u64) -> VmView {
    let node = vm.node().cloned();
    let site = node.as_ref().and_then(|n| snap.nodes.get(n.as_str())).map(|entry| entry.value.site.clone());
    let reachable = node.as_ref().is_none_or(|node| {
        snap.heard.get(node).is_some_and(|heard| heard.age_ms <= silent_ms) && !snap.unreachable(node, silent_ms)
    });
    VmView {
        name: vm.name.clone(),
        state: vm.state,
        site,
        node,
        home_site: vm.home_site.clone(),
        addresses: vm.spec.nics.iter().map(|nic| nic.address).collect(),
        vcpus: vm.spec.vcpus,
        memory_mib: vm.spec.memory_mib,
        disk_gib: vm.spec.disk_gib,
        image: vm.spec.base.image.clone(),
        desired: vm.desired,
        uuid: vm.uuid.clone(),
        networks: vm.spec.nics.iter().map(|nic| nic.network.clone()).collect(),
        generation: vm.generation(),
        migration: vm.crossing.as_ref().map(|crossing| crossing.id.clone()),
        rebooting: vm.reboots.asked != vm.reboots.done,
        reachable,
        fault: vm.fault.as_ref().map(Fault::from),
        groups: vm.spec.groups.clone(),
        firewalls: vm.spec.firewalls.clone(),
        evacuate: vm.spec.evacuate,
        priority: vm.spec.priority,
        hostname: vm.hostname(),
        keys: vm.spec.first_boot.logins.iter().map(|login| login.name.clone()).collect(),
        user_data: vm.spec.first_boot.user_data.clone(),
        created_at: vm.created_at,
        changed_at: vm.changed_at,
    }
}
