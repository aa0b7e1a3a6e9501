//! Whom to ask: the servers that an outage which is under way touches, as far as they have probes. Pure.

use std::{collections::BTreeMap, net::Ipv4Addr};

use watari_model::{
    NodeName, OutageId, SiteName, VmName,
    outage::{Outage, Scope},
    vm::{Desired, Probe, State, Vm},
};

/// One probe of one server during one outage.
pub(super) type Key = (OutageId, VmName, Probe);

/// Everything to be asked now, and where. Whoever was touched once is watched until the outage is over, wherever
/// it is by then: `known` says who that was.
pub(super) fn targets<'d>(
    outages: &[&Outage],
    vms: impl Iterator<Item = &'d Vm>,
    site_of: impl Fn(&NodeName) -> Option<SiteName>,
    known: impl Fn(&OutageId, &VmName) -> bool,
) -> BTreeMap<Key, Ipv4Addr> {
    let mut found = BTreeMap::new();
    for vm in vms.filter(|vm| !vm.spec.probes.is_empty() && is_to_answer(vm)) {
        let Some(address) = vm.spec.nics.first().map(|nic| nic.address) else { continue };
        let touched = outages.iter().filter(|outage| touches(outage, vm, &site_of) || known(&outage.id, &vm.name));
        for outage in touched {
            let keys = vm.spec.probes.iter().map(|probe| (outage.id.clone(), vm.name.clone(), probe.clone()));
            found.extend(keys.map(|key| (key, address)));
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
        let found = targets(&[&outage], vms.iter(), site, |_, vm| known.contains(&vm.as_str()));
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
