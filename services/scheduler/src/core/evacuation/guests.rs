//! A home that is full of others' servers. While some of its own stand elsewhere and find no room because of them, such
//! guests go home themselves, live, one round after another: what comes home makes room elsewhere, and what goes makes room
//! here. So a ring of servers that stand in each other's places comes undone, if there is room for one of them anywhere.
//!
//! Nobody is sent to where neither is its home; whose home is being emptied, or who has chosen to stay, is left alone.

use std::{cmp::Reverse, collections::HashSet};

use watari_model::{
    NodeName, Refusal, SiteName,
    migration::Reason,
    outage::{Left, Outage},
    vm::{Evacuate, Vm},
};

use super::{Standing, begin, standing};
use crate::core::{
    lint,
    placement::{self, Need},
    turn::Turn,
};

/// Has guests of a site go home, as many as are in the way of those that are `left` without room. Whether any begins.
pub(super) fn make_way(turn: &mut Turn<'_>, outage: &Outage, site: &SiteName, left: &[Left]) -> bool {
    let snap = turn.snap;
    let (mut full, mut lacks_mib): (HashSet<NodeName>, u64) = (HashSet::new(), 0);
    for one in left.iter().filter(|left| matches!(left.fault, Refusal::NoRoom { .. })) {
        let Some(vm) = snap.vms.get(one.vm.as_str()).map(|entry| &entry.value) else { continue };
        let nodes = placement::too_full(&turn.rooms, &Need::crossing(vm, snap), &|node| node.site == *site);
        if !nodes.is_empty() {
            lacks_mib = lacks_mib.saturating_add(vm.claims().memory_mib);
            full.extend(nodes);
        }
    }
    if full.is_empty() {
        return false;
    }
    let (mut going, mut proposal): (Vec<&Vm>, Vec<lint::Answer>) = (Vec::new(), Vec::new());
    let mut freed_mib = 0_u64;
    for vm in guests(turn, outage, site, &full) {
        if freed_mib >= lacks_mib {
            break;
        }
        let need = Need::crossing(vm, snap);
        let Ok(to) = placement::choose(&turn.rooms, &need, &|node| node.site == vm.home_site, &[]) else { continue };
        turn.rooms.reserve(&to, vm);
        proposal.push((going.len(), Ok(to)));
        going.push(vm);
        freed_mib = freed_mib.saturating_add(vm.claims().memory_mib);
    }
    // To leave this site is what they have in common with an evacuation.
    let checked = lint::checked(turn, outage, Reason::Evacuation, &going, proposal, &|_| false);
    let mut any = false;
    for (vm, to) in going.into_iter().zip(checked) {
        if let Ok(to) = to {
            begin(turn, Some(outage), Reason::Return, vm, to);
            any = true;
        }
    }
    any
}

/// Those on these nodes that belong to another site and could go there, the largest first.
fn guests<'s>(turn: &Turn<'s>, outage: &Outage, site: &SiteName, nodes: &HashSet<NodeName>) -> Vec<&'s Vm> {
    let is_guest = |vm: &Vm| {
        vm.node().is_some_and(|node| nodes.contains(node))
            && vm.home_site != *site
            && vm.spec.evacuate == Evacuate::Live
            && !turn.drains(&vm.home_site)
            && matches!(standing(turn, outage, Reason::Return, vm), Standing::ToPlace)
    };
    let all = turn.snap.vms.values().map(|entry| &entry.value);
    let mut guests: Vec<&'s Vm> = all.filter(|vm| is_guest(vm)).collect();
    guests.sort_by_key(|vm| (Reverse(vm.claims().memory_mib), vm.name.clone()));
    guests
}

#[cfg(test)]
mod tests {
    use watari_model::{
        outage::{Change, Scope},
        vm,
    };

    use super::*;
    use crate::core::{
        Action, Rules, Snapshot,
        evacuation::decide,
        tests::documents::{Documents, at, name, node, put, site, vm as server},
    };

    /// A server that runs on a node and belongs to a site.
    fn on(node: &str, name: &str, home: &str, memory_mib: u64) -> Vm {
        let mut vm = server(name, memory_mib);
        vm.home_site = home.parse().unwrap();
        vm.apply(vm::Change::Granted(node.parse().unwrap()), at(0)).unwrap();
        vm.apply(vm::Change::SeenRunning, at(0)).unwrap();
        vm
    }

    /// A GiB at home, of which a guest has most, and two elsewhere; Myodaiji's own come home.
    fn returning(vms: Vec<Vm>) -> Snapshot {
        let (mut docs, mut counter) = (Documents::default(), 0);
        for name in ["myodaiji", "yamate"] {
            put(&mut docs.sites, &mut counter, site(name), 0);
        }
        put(&mut docs.nodes, &mut counter, node("m1", "myodaiji", 1_024), 0);
        put(&mut docs.nodes, &mut counter, node("y1", "yamate", 2_048), 0);
        for vm in vms {
            put(&mut docs.vms, &mut counter, vm, 0);
        }
        let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
        let mut outage = Outage::begun(id, scope, String::new(), at(0));
        outage.apply(Change::ReturnAsked, at(1)).unwrap();
        put(&mut docs.outages, &mut counter, outage, 0);
        let Documents { vms, sites, nodes, outages, .. } = docs;
        Snapshot { vms, sites, nodes, outages, ..Snapshot::default() }
    }

    /// Who begins to move, and where to.
    fn begun(snap: &Snapshot) -> Vec<(String, NodeName)> {
        let rules = Rules::default();
        let mut turn = Turn::new(snap, &rules, at(1_000));
        decide(&mut turn);
        let begins = |action: Action| match action {
            Action::NewMigration(migration) => Some((migration.vm.to_string(), migration.to)),
            _ => None,
        };
        turn.actions.into_iter().filter_map(begins).collect()
    }

    #[test]
    fn a_guest_goes_home_first_where_one_that_belongs_there_finds_no_room() {
        let own = || on("y1", "mail", "myodaiji", 600);
        let snap = returning(vec![own(), on("m1", "guest", "yamate", 800)]);
        assert_eq!(begun(&snap), [("guest".to_owned(), name("y1"))]);
        let later = returning(vec![own(), on("y1", "guest", "yamate", 800)]);
        assert_eq!(begun(&later), [("mail".to_owned(), name("m1"))]);
    }

    #[test]
    fn nobody_is_sent_away_in_vain_or_against_its_policy() {
        let own = || on("y1", "mail", "myodaiji", 600);
        let small = returning(vec![own(), on("m1", "guest", "yamate", 100)]);
        assert_eq!(begun(&small), [("mail".to_owned(), name("m1"))], "there is room for both");
        let mut stays = on("m1", "guest", "yamate", 800);
        stays.spec.evacuate = Evacuate::Stay;
        assert_eq!(begun(&returning(vec![own(), stays])), []);
        assert_eq!(begun(&returning(vec![own(), on("m1", "guest", "myodaiji", 800)])), [], "it is at home");
        let crowded = returning(vec![own(), on("y1", "x", "yamate", 1_000), on("m1", "guest", "yamate", 800)]);
        assert_eq!(begun(&crowded), [], "there is no room at its own home");
        let mut picky = own();
        picky.spec.node_labels.insert("disk".to_owned(), "ssd".to_owned());
        assert_eq!(begun(&returning(vec![picky, on("m1", "guest", "yamate", 800)])), [], "room would not help");
    }
}
