//! A server's view.

use watari_contracts::scheduler::{Fault, VmView};
use watari_model::{NodeName, SiteName, vm::Vm};

use crate::core::Snapshot;

/// What a server's view says that is not in its document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    pub(crate) site: Option<SiteName>,
    pub(crate) reachable: bool,
}

/// Where a node's servers are, and whether they are reachable: if it was heard within `silent_ms`.
pub(crate) fn whereabouts(snap: &Snapshot, node: Option<&NodeName>, silent_ms: u64) -> Whereabouts {
    Whereabouts {
        site: node.and_then(|n| snap.nodes.get(n.as_str())).map(|entry| entry.value.site.clone()),
        reachable: node.is_none_or(|node| {
            snap.heard.get(node).is_some_and(|heard| heard.age_ms <= silent_ms) && !snap.unreachable(node, silent_ms)
        }),
    }
}

/// A server as it stands, on a node with these whereabouts.
pub(crate) fn vm(vm: &Vm, whereabouts: &Whereabouts) -> VmView {
    VmView {
        name: vm.name.clone(),
        state: vm.state,
        site: whereabouts.site.clone(),
        node: vm.node().cloned(),
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
        pending: vm.pending,
        preseed: vm.preseed.clone(),
        reachable: whereabouts.reachable,
        // Why it is off though it is wanted, if nothing worse is the matter.
        fault: vm.fault.as_ref().or(vm.halt.as_ref().map(|halt| &halt.fault)).map(Fault::from),
        warnings: Vec::new(),
        groups: vm.spec.groups.clone(),
        firewalls: vm.spec.firewalls.clone(),
        node_labels: vm.spec.node_labels.clone(),
        evacuate: vm.spec.evacuate,
        priority: vm.spec.priority,
        restart: vm.spec.restart,
        hostname: vm.hostname(),
        keys: vm.spec.first_boot.logins.iter().map(|login| login.name.clone()).collect(),
        user_data: vm.spec.first_boot.user_data.clone(),
        created_at: vm.created_at,
        changed_at: vm.changed_at,
    }
}
