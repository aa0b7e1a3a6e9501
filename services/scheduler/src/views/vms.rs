//! A server's view.

use std::net::IpAddr;

use watari_contracts::scheduler::{Fault, VmView};
use watari_model::{
    NodeName, Refusal, SiteName, Timestamp, node, said,
    vm::{Preseed, State, Vm},
};

use crate::core::Snapshot;

/// What a server's view says that is not in its document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    pub(crate) site: Option<SiteName>,
    pub(crate) reachable: bool,
    /// How long it has had to shut down by now, in milliseconds, if its guest does not heed the wish.
    pub(crate) unheeding_ms: Option<u64>,
    /// How much a start from the copy elsewhere would lose by now, if there is one.
    pub(crate) copy_loss_seconds: Option<u64>,
}

impl Whereabouts {
    /// The same of one server, whose guest may not heed the wish to shut down: after `heeds_ms` that is told. What is
    /// saved or forced off has no say in it.
    pub(crate) fn of(&self, vm: &Vm, heeds_ms: u64, now: Timestamp) -> Self {
        let asked = vm.state == State::Stopping && self.reachable && !vm.force_off && !vm.suspends();
        let late = asked && now.millis_since(vm.changed_at) >= heeds_ms;
        let copy_loss_seconds = vm.copy_loss_seconds(now);
        Self { unheeding_ms: late.then_some(heeds_ms), copy_loss_seconds, ..self.clone() }
    }
}

/// Where a node's servers are, and whether they are reachable: if it was heard within `silent_ms`.
pub(crate) fn whereabouts(snap: &Snapshot, node: Option<&NodeName>, silent_ms: u64) -> Whereabouts {
    Whereabouts {
        site: node.and_then(|node| snap.site_of(node)).cloned(),
        reachable: node
            .is_none_or(|node| snap.heard_within(node, silent_ms).is_some() && !snap.unreachable(node, silent_ms)),
        unheeding_ms: None,
        copy_loss_seconds: None,
    }
}

/// What would travel of a server, as its node has measured.
pub(crate) fn weight(snap: &Snapshot, vm: &Vm) -> Option<node::Weight> {
    let node = snap.nodes.get(vm.node()?.as_str())?;
    node.value.inventory.weights.get(&vm.name).copied()
}

/// A server as it stands, on a node with these whereabouts.
pub(crate) fn vm(vm: &Vm, whereabouts: &Whereabouts) -> VmView {
    VmView {
        name: vm.name.clone(),
        state: vm.state,
        project: vm.project.clone(),
        site: whereabouts.site.clone(),
        node: vm.node().cloned(),
        home_site: vm.home_site.clone(),
        addresses: addresses(vm),
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
        leftovers: vm.leftovers.iter().map(|leftover| leftover.node.clone()).collect(),
        rebooting: vm.reboots.asked != vm.reboots.done,
        pending: vm.pending,
        growing: vm.grows_now(),
        preseed: sent_ahead(vm),
        snapshots: vm.snapshots.clone(),
        reachable: whereabouts.reachable,
        fault: fault(vm, whereabouts),
        warnings: Vec::new(),
        groups: vm.spec.groups.clone(),
        firewalls: vm.spec.firewalls.clone(),
        probes: vm.spec.probes.clone(),
        after: vm.spec.after.clone(),
        before: None,
        weight: None,
        sending: None,
        node_labels: vm.spec.node_labels.clone(),
        evacuate: vm.spec.evacuate,
        priority: vm.spec.priority,
        restart: vm.spec.restart,
        on_isolation: vm.spec.on_isolation,
        restart_from_copy_seconds: vm.spec.restart_from_copy_seconds,
        max_downtime_seconds: vm.spec.max_downtime_seconds,
        copy_loss_seconds: whereabouts.copy_loss_seconds,
        restored: vm.restored.clone(),
        guarded: vm.guarded.is_some_and(|generation| generation == vm.generation()),
        display: vm.spec.display,
        hostname: vm.hostname(),
        keys: vm.spec.first_boot.logins.iter().map(|login| login.name.clone()).collect(),
        user_data: vm.spec.first_boot.user_data.clone(),
        created_at: vm.created_at,
        changed_at: vm.changed_at,
    }
}

/// One IPv4 address for each card, in their order, then the IPv6 addresses of those that have one.
fn addresses(vm: &Vm) -> Vec<IpAddr> {
    let nics = || vm.spec.nics.iter();
    let ipv4 = nics().map(|nic| IpAddr::V4(nic.address));
    ipv4.chain(nics().filter_map(|nic| nic.address6.map(IpAddr::V6))).collect()
}

/// What is the matter; or why it is off though it is wanted, or does not go off, if nothing worse is.
fn fault(vm: &Vm, whereabouts: &Whereabouts) -> Option<Fault> {
    let unheeding = || {
        let seconds = whereabouts.unheeding_ms? / 1_000;
        let waited = said!("{seconds} s", "{seconds} 秒");
        Some(Fault::from(&Refusal::GuestHeedsNot { vm: vm.name.to_string(), waited }))
    };
    let halted = || vm.halt.as_ref().map(|halt| Fault::from(&halt.fault));
    vm.fault.as_ref().map(Fault::from).or_else(halted).or_else(unheeding)
}

/// What of its disk lies, or is to lie, elsewhere: what was sent to where it runs now has served its purpose.
fn sent_ahead(vm: &Vm) -> Option<Preseed> {
    let elsewhere = |node: &NodeName| vm.node() != Some(node);
    let mut shown = vm.preseed.clone()?;
    let due = shown.is_due();
    shown.done = shown.done.filter(|done| elsewhere(&done.node));
    shown.to = shown.to.filter(elsewhere);
    // Who waits for one that was taken back learns so.
    (due || shown.cancelled || shown.done.is_some()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use watari_model::vm::{Desired, Grant, Seeded};

    use super::*;

    #[test]
    fn a_guest_that_does_not_shut_down_is_told_of_once_it_has_had_its_time_and_only_then() {
        let samples = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
        let mut mail = serde_json::from_str::<Vec<Vm>>(samples).unwrap().swap_remove(0);
        (mail.state, mail.desired, mail.fault, mail.halt) = (State::Stopping, Desired::Stopped, None, None);
        (mail.force_off, mail.changed_at) = (false, mail.created_at);
        let heard = Whereabouts { reachable: true, ..Whereabouts::default() };
        let told = |whereabouts: &Whereabouts, mail: &Vm, after_ms: u64| {
            let now = mail.created_at.plus_millis(after_ms);
            vm(mail, &whereabouts.of(mail, 30_000, now)).fault.map(|fault| (fault.code, fault.cause, fault.ja.cause))
        };
        assert_eq!(told(&heard, &mail, 29_999), None);
        let (code, en, ja) = told(&heard, &mail, 90_000).unwrap();
        assert_eq!(code, "vm.not-shut-down");
        assert!(en.contains("after 30 s") && ja.contains("30 秒"), "{en} / {ja}");
        assert_eq!(told(&Whereabouts::default(), &mail, 90_000), None, "its node says nothing");
        let forced = Vm { force_off: true, ..mail.clone() };
        assert_eq!(told(&heard, &forced, 90_000), None, "nobody asks the guest");
        mail.state = State::Running;
        assert_eq!(told(&heard, &mail, 90_000), None);
    }

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
        mail.preseed.as_mut().unwrap().done =
            Some(Seeded { number: 1, node: node("y1"), at: now, bytes: 7, copy: None });
        assert!(sent_ahead(&mail).is_some_and(|shown| !shown.is_due()));
        mail.grant.as_mut().unwrap().node = node("y1");
        assert_eq!(sent_ahead(&mail), None);
        // Asked for once more, it goes elsewhere, to where is not known yet.
        mail.ask_preseed(None, now);
        let shown = sent_ahead(&mail).unwrap();
        assert_eq!((&shown.to, &shown.done, shown.is_due()), (&None, &None, true));
        mail.cancel_preseed(now);
        assert!(sent_ahead(&mail).is_some_and(|shown| shown.cancelled && shown.to.is_none()));
    }
}
