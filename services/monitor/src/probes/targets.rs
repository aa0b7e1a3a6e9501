//! Whom to ask: the servers that an outage which is under way touches, as far as they have probes. Pure.

use std::{collections::BTreeMap, net::Ipv4Addr};

use watari_model::{
    NetworkName, NodeName, OutageId, SiteName, VmName,
    outage::{Outage, Scope},
    vm::{Desired, Nic, Probe, State, Vm},
};

/// One probe of one server during one outage.
pub(super) type Key = (OutageId, VmName, Probe);

/// Where a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At an address that front ends reach.
    At(Ipv4Addr),
    /// Nowhere: all that it has are addresses of overlay networks, as this one.
    Inside(Ipv4Addr),
}

/// Where a server can be asked from outside: at its own address on a campus's network, or at the public one that leads to
/// its address on an overlay network; the first of these in the order of its ports. None if it has no port.
pub(super) fn place(
    vm: &Vm,
    is_overlay: impl Fn(&NetworkName) -> bool,
    public: impl Fn(&Nic) -> Option<Ipv4Addr>,
) -> Option<Place> {
    let first = vm.spec.nics.first()?.address;
    let reached = |nic: &Nic| if is_overlay(&nic.network) { public(nic) } else { Some(nic.address) };
    Some(vm.spec.nics.iter().find_map(reached).map_or(Place::Inside(first), Place::At))
}

/// Everything to be asked now, and where. Whoever was touched once is watched until the outage is over, wherever
/// it is by then: `known` says who that was.
pub(super) fn targets<'d>(
    outages: &[&Outage],
    vms: impl Iterator<Item = &'d Vm>,
    site_of: impl Fn(&NodeName) -> Option<SiteName>,
    known: impl Fn(&OutageId, &VmName) -> bool,
    place: impl Fn(&Vm) -> Option<Place>,
) -> BTreeMap<Key, Place> {
    let mut found = BTreeMap::new();
    for vm in vms.filter(|vm| !vm.spec.probes.is_empty() && is_to_answer(vm)) {
        let Some(place) = place(vm) else { continue };
        let touched = outages.iter().filter(|outage| touches(outage, vm, &site_of) || known(&outage.id, &vm.name));
        for outage in touched {
            let keys = vm.spec.probes.iter().map(|probe| (outage.id.clone(), vm.name.clone(), probe.clone()));
            found.extend(keys.map(|key| (key, place)));
        }
    }
    found
}

/// One that is off because somebody wants that, or that never ran, is not silent; one that goes off by itself is. Who is
/// to be stopped while it crosses has to answer until it has arrived.
fn is_to_answer(vm: &Vm) -> bool {
    vm.booted && (vm.desired == Desired::Running || vm.state == State::Migrating)
}

fn touches(outage: &Outage, vm: &Vm, site_of: impl Fn(&NodeName) -> Option<SiteName>) -> bool {
    match &outage.scope {
        Scope::Site(site) => vm.home_site == *site || vm.node().and_then(site_of).is_some_and(|there| there == *site),
        Scope::Node(node) => vm.node() == Some(node),
    }
}

#[cfg(test)]
mod tests {
    use watari_model::{Timestamp, vm::Grant};

    use super::*;

    fn server(name: &str, home: &str, node: &str) -> Vm {
        let samples = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
        let mut vm = serde_json::from_str::<Vec<Vm>>(samples).unwrap().swap_remove(0);
        (vm.name, vm.home_site) = (name.parse().unwrap(), home.parse().unwrap());
        vm.grant = Some(Grant { node: node.parse().unwrap(), generation: 1 });
        (vm.desired, vm.booted) = (Desired::Running, true);
        vm.spec.probes = vec!["smtp:25".parse().unwrap()];
        vm
    }

    fn outage(scope: Scope) -> Outage {
        let at = Timestamp(time::OffsetDateTime::UNIX_EPOCH);
        Outage::begun("o-1".parse().unwrap(), scope, "r".to_owned(), at)
    }

    fn watched(scope: Scope, vms: &[Vm], known: &[&str]) -> Vec<String> {
        let outage = outage(scope);
        let site =
            |node: &NodeName| Some(if node.as_str().starts_with('m') { "myodaiji" } else { "yamate" }.parse().unwrap());
        let known = |_: &OutageId, vm: &VmName| known.contains(&vm.as_str());
        let found = targets(&[&outage], vms.iter(), site, known, |vm| place(vm, |_| false, |_| None));
        found.into_keys().map(|(_, vm, probe)| format!("{vm} {probe}")).collect()
    }

    #[test]
    fn whoever_is_at_home_or_stands_where_it_goes_dark_is_watched() {
        let site = || Scope::Site("myodaiji".parse().unwrap());
        let vms = [server("home", "myodaiji", "y1"), server("guest", "yamate", "m1"), server("other", "yamate", "y1")];
        assert_eq!(watched(site(), &vms, &[]), ["guest smtp:25", "home smtp:25"]);
        // The guest has left, and is watched on.
        assert_eq!(watched(site(), &vms[2..], &["other"]), ["other smtp:25"]);
        let node = Scope::Node("m1".parse().unwrap());
        assert_eq!(watched(node, &vms, &[]), ["guest smtp:25"]);
    }

    #[test]
    fn a_server_is_asked_at_the_first_address_that_leads_to_it_from_outside() {
        let (inner, outer, public) = ([10, 20, 0, 5].into(), [203, 0, 113, 100].into(), [203, 0, 113, 7].into());
        let mut vm = server("mail", "myodaiji", "m1");
        vm.spec.nics.truncate(1);
        vm.spec.nics[0].address = inner;
        let overlay = |name: &NetworkName| name.as_str() == "inner";
        assert_eq!(place(&vm, overlay, |_| None), Some(Place::At(inner)), "a campus's network");
        vm.spec.nics[0].network = "inner".parse().unwrap();
        assert_eq!(place(&vm, overlay, |_| None), Some(Place::Inside(inner)));
        assert_eq!(place(&vm, overlay, |_| Some(public)), Some(Place::At(public)));
        let second = Nic { network: "campus".parse().unwrap(), address: outer, ..vm.spec.nics[0].clone() };
        vm.spec.nics.push(second);
        assert_eq!(place(&vm, overlay, |_| None), Some(Place::At(outer)));
        vm.spec.nics.clear();
        assert_eq!(place(&vm, overlay, |_| Some(public)), None);
    }

    #[test]
    fn whoever_is_not_to_answer_is_not_asked() {
        let site = || Scope::Site("myodaiji".parse().unwrap());
        let wanted = server("mail", "myodaiji", "m1");
        assert_eq!(watched(site(), std::slice::from_ref(&wanted), &[]).len(), 1);
        let off = Vm { desired: Desired::Stopped, state: State::Stopping, ..wanted.clone() };
        let crosses = Vm { state: State::Migrating, ..off.clone() };
        assert_eq!(watched(site(), &[crosses], &[]).len(), 1);
        let never = Vm { booted: false, ..wanted.clone() };
        let mut nowhere = wanted.clone();
        nowhere.spec.nics.clear();
        let mut unasked = wanted;
        unasked.spec.probes.clear();
        assert!(watched(site(), &[off, never, nowhere, unasked], &[]).is_empty());
    }
}
