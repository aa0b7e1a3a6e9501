//! A server's view.

use watari_contracts::scheduler::{Fault, VmView};
use watari_model::{
    NodeName, SiteName,
    vm::{Preseed, Vm},
};

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
        site: node.and_then(|node| snap.site_of(node)).cloned(),
        reachable: node
            .is_none_or(|node| snap.heard_within(node, silent_ms).is_some() && !snap.unreachable(node, silent_ms)),
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
        firmware: vm.spec.base.firmware,
        desired: vm.desired,
        uuid: vm.uuid.clone(),
        networks: vm.spec.nics.iter().map(|nic| nic.network.clone()).collect(),
        generation: vm.generation(),
        migration: vm.crossing.as_ref().map(|crossing| crossing.id.clone()),
        rebooting: vm.reboots.asked != vm.reboots.done,
        pending: vm.pending,
        growing: vm.grows_now(),
        preseed: sent_ahead(vm),
        snapshots: vm.snapshots.clone(),
        reachable: whereabouts.reachable,
        // Why it is off though it is wanted, if nothing worse is the matter.
        fault: vm.fault.as_ref().or(vm.halt.as_ref().map(|halt| &halt.fault)).map(Fault::from),
        warnings: Vec::new(),
        groups: vm.spec.groups.clone(),
        firewalls: vm.spec.firewalls.clone(),
        probes: vm.spec.probes.clone(),
        node_labels: vm.spec.node_labels.clone(),
        evacuate: vm.spec.evacuate,
        priority: vm.spec.priority,
        restart: vm.spec.restart,
        on_isolation: vm.spec.on_isolation,
        guarded: vm.guarded.is_some_and(|generation| generation == vm.generation()),
        hostname: vm.hostname(),
        keys: vm.spec.first_boot.logins.iter().map(|login| login.name.clone()).collect(),
        user_data: vm.spec.first_boot.user_data.clone(),
        created_at: vm.created_at,
        changed_at: vm.changed_at,
    }
}

/// What of its disk lies, or is to lie, elsewhere: what was sent to where it runs now has served its purpose.
fn sent_ahead(vm: &Vm) -> Option<Preseed> {
    let elsewhere = |node: &NodeName| vm.node() != Some(node);
    let mut shown = vm.preseed.clone()?;
    let due = shown.is_due();
    shown.done = shown.done.filter(|done| elsewhere(&done.node));
    shown.to = shown.to.filter(elsewhere);
    (due || shown.done.is_some()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use watari_model::vm::{Grant, Seeded};

    use super::*;

    #[test]
    fn a_disk_that_was_sent_to_where_its_server_runs_now_is_shown_no_more() {
        let samples = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
        let mut mail = serde_json::from_str::<Vec<Vm>>(samples).unwrap().swap_remove(0);
        let node = |name: &str| name.parse::<NodeName>().unwrap();
        let now = mail.created_at;
        (mail.grant, mail.preseed) = (Some(Grant { node: node("m1"), generation: 2 }), None);
        mail.ask_preseed(Some(node("y1")), now);
        let shown = sent_ahead(&mail).unwrap();
        assert_eq!((shown.to.clone(), shown.is_due()), (Some(node("y1")), true));
        mail.preseed.as_mut().unwrap().done = Some(Seeded { number: 1, node: node("y1"), at: now, bytes: 7 });
        assert!(sent_ahead(&mail).is_some_and(|shown| !shown.is_due()));
        mail.grant.as_mut().unwrap().node = node("y1");
        assert_eq!(sent_ahead(&mail), None);
        // Asked for once more, it goes elsewhere, to where is not known yet.
        mail.ask_preseed(None, now);
        let shown = sent_ahead(&mail).unwrap();
        assert_eq!((&shown.to, &shown.done, shown.is_due()), (&None, &None, true));
    }
}
