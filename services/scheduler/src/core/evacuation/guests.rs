//! A home that is full of others' servers. While some of its own stand elsewhere and find no room because of them, such
//! guests go home themselves, live, one round after another: what comes home makes room elsewhere, and what goes makes room
//! here. So servers that stand in each other's places change them, if there is room for one of them there. Where that does
//! not help, others may ([`super::detour`]).
//!
//! Nobody is sent to where neither is its home; whose home is being emptied or on battery, or who has chosen to stay, is left
//! alone. Nobody goes in vain either: guests leave a node only if one that belongs there has room on it when they are gone.
//! Each goes home once, and nothing but an outage brings it back.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use watari_model::{
    NodeName, Refusal, SiteName,
    migration::Reason,
    outage::{Left, Outage},
    site::Supply,
    vm::{Evacuate, State, Vm},
};

use super::{Standing, begin, standing};
use crate::core::{
    Amount, lint,
    placement::{self, Crowd, Need},
    turn::Turn,
};

/// One that belongs to another site.
struct Guest<'s> {
    vm: &'s Vm,
    /// The place that is kept for it at its home, once one is.
    to: Option<NodeName>,
    /// Whether it is to be gone without our doing anything now: its last try failed a moment ago, or it is being deleted.
    waits: bool,
}

/// What changes on a node within the round.
#[derive(Clone, Copy, Default)]
struct Round {
    freed: Amount,
    wanted: Amount,
}

/// Has guests of a site go home, as many as are in the way of those that are `left` without room. Whether any begins, or
/// is to be tried again.
pub(super) fn make_way(turn: &mut Turn<'_>, outage: &Outage, site: &SiteName, left: &[Left]) -> bool {
    let snap = turn.snap;
    let lacks_room = left.iter().filter(|left| matches!(left.fault, Refusal::NoRoom { .. }));
    let short = lacks_room.filter_map(|left| snap.vms.get(left.vm.as_str())).map(|entry| &entry.value);
    let short: Vec<&Vm> = short.collect();
    if short.is_empty() {
        return false;
    }
    let mut guests = guests(turn, outage, site);
    if guests.is_empty() {
        return false;
    }
    let before = turn.rooms.clone();
    let mut rounds: HashMap<NodeName, Round> = HashMap::new();
    let mut leaving: Vec<Guest<'_>> = Vec::new();
    for vm in short {
        if guests.is_empty() {
            break;
        }
        let need = Need::crossing(vm, snap);
        let crowded = placement::crowded(&turn.rooms, &need, &|node| node.site == *site);
        for Crowd { node, free, .. } in crowded.into_iter().filter(|crowd| crowd.apart.is_empty()) {
            let Some(there) = guests.get_mut(&node) else { continue };
            let round = rounds.get(&node).copied().unwrap_or_default();
            let free = free.plus(round.freed).minus(round.wanted);
            let Some(gone) = taken_out(turn, there, need.amount.minus(free)) else { continue };
            let freed = sum(&gone);
            let round = Round { freed: round.freed.plus(freed), wanted: round.wanted.plus(need.amount) };
            rounds.insert(node, round);
            leaving.extend(gone);
            break;
        }
    }
    let any = go(turn, outage, leaving);
    if !any {
        // What was kept free for those that do not go keeps nobody else away.
        turn.rooms = before;
    }
    any
}

/// Takes guests out of the list, the largest first, until so much is free; none if they are too few, or find no room at
/// their homes. What is kept for those there then is free again in the next turn.
fn taken_out<'s>(turn: &mut Turn<'s>, there: &mut Vec<Guest<'s>>, lacks: Amount) -> Option<Vec<Guest<'s>>> {
    let is_enough = |freed: Amount| lacks.minus(freed) == Amount::default();
    // Most nodes are out of the question by that, before anybody is looked a place for.
    if !is_enough(sum(there)) {
        return None;
    }
    let (mut freed, mut gone) = (Amount::default(), 0);
    while !is_enough(freed) {
        let guest = there.get_mut(gone)?;
        if guest.waits || guest.to.is_some() || finds_home(turn, guest) {
            freed = freed.plus(Amount::of(guest.vm.claims()));
            gone += 1;
        } else {
            there.remove(gone);
        }
    }
    Some(there.drain(..gone).collect())
}

/// Keeps a place at its home for a guest, if there is one.
fn finds_home(turn: &mut Turn<'_>, guest: &mut Guest<'_>) -> bool {
    let vm = guest.vm;
    let need = Need::crossing(vm, turn.snap);
    let found = placement::choose(&turn.rooms, &need, &|node| node.site == vm.home_site, &[]);
    guest.to = found.ok();
    if let Some(to) = &guest.to {
        turn.rooms.reserve(to, vm);
    }
    guest.to.is_some()
}

fn sum(guests: &[Guest<'_>]) -> Amount {
    guests.iter().map(|guest| Amount::of(guest.vm.claims())).fold(Amount::default(), Amount::plus)
}

/// Begins to move those that are to go, as far as that stands the check.
fn go(turn: &mut Turn<'_>, outage: &Outage, leaving: Vec<Guest<'_>>) -> bool {
    let waits = leaving.iter().any(|guest| guest.waits);
    let moves = leaving.into_iter().filter_map(|guest| Some((guest.vm, guest.to?))).collect();
    // To leave this site is what they have in common with an evacuation.
    set_out(turn, outage, Reason::Return, Reason::Evacuation, moves) || waits
}

/// Begins moves of an outage's leg that stand the check for those of `checked_as`. Whether any does.
pub(super) fn set_out(
    turn: &mut Turn<'_>,
    outage: &Outage,
    leg: Reason,
    checked_as: Reason,
    moves: Vec<(&Vm, NodeName)>,
) -> bool {
    let (going, places): (Vec<&Vm>, Vec<NodeName>) = moves.into_iter().unzip();
    let proposal = places.into_iter().map(Ok).enumerate();
    let checked = lint::checked(turn, outage, checked_as, &going, proposal, &|_| false);
    let mut any = false;
    for (vm, to) in going.into_iter().zip(checked) {
        if let Ok(to) = to {
            begin(turn, Some(outage), leg, vm, to);
            any = true;
        }
    }
    any
}

/// Those that belong to another site and could go there, by their nodes, the largest first.
fn guests<'s>(turn: &Turn<'s>, outage: &Outage, site: &SiteName) -> BTreeMap<NodeName, Vec<Guest<'s>>> {
    let snap = turn.snap;
    let mut guests: BTreeMap<NodeName, Vec<Guest<'s>>> = BTreeMap::new();
    for vm in snap.vms.values().map(|entry| &entry.value) {
        let Some(node) = vm.node().filter(|node| snap.site_of(node) == Some(site)) else { continue };
        let is_guest = vm.home_site != *site && vm.spec.evacuate == Evacuate::Live && vm.state == State::Running;
        if !is_guest || turn.drains(&vm.home_site) || is_on_battery(turn, &vm.home_site) {
            continue;
        }
        let waits = match standing(turn, outage, Reason::Return, vm) {
            Standing::ToPlace => false,
            Standing::Waiting => true,
            Standing::Moving | Standing::Halted | Standing::Left(_) => continue,
        };
        guests.entry(node.clone()).or_default().push(Guest { vm, to: None, waits });
    }
    for there in guests.values_mut() {
        there.sort_by_key(|guest| (Reverse(guest.vm.claims().memory_mib), guest.vm.name.clone()));
    }
    guests
}

pub(super) fn is_on_battery(turn: &Turn<'_>, site: &SiteName) -> bool {
    let power = turn.snap.sites.get(site.as_str()).and_then(|entry| entry.value.power);
    power.is_some_and(|power| power.supply == Supply::Battery)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use watari_chassis::Entry;
    use watari_model::{
        migration::{self, Migration},
        outage::{Change, Scope},
        vm,
    };

    use super::*;
    use crate::core::{
        Action, Rules, Snapshot,
        evacuation::decide,
        tests::documents::{self, Documents, at, name, node, put, site, vm as server},
    };

    /// A server that runs on a node and belongs to a site.
    pub(in crate::core::evacuation) fn on(node: &str, name: &str, home: &str, memory_mib: u64) -> Vm {
        let mut vm = server(name, memory_mib);
        vm.home_site = home.parse().unwrap();
        vm.apply(vm::Change::Granted(node.parse().unwrap()), at(0)).unwrap();
        vm.apply(vm::Change::SeenRunning, at(0)).unwrap();
        vm
    }

    /// A GiB at home, of which a guest has most, and two elsewhere; Myodaiji's own come home.
    fn returning(vms: Vec<Vm>) -> Snapshot {
        returning_to(&[("m1", "myodaiji", 1_024), ("y1", "yamate", 2_048)], vms)
    }

    /// Nodes with their sites and MiB; Myodaiji's servers come home.
    pub(in crate::core::evacuation) fn returning_to(nodes: &[(&str, &str, u64)], vms: Vec<Vm>) -> Snapshot {
        let (mut docs, mut counter) = (Documents::default(), 0);
        for name in ["myodaiji", "yamate", "okazaki"] {
            put(&mut docs.sites, &mut counter, site(name), 0);
        }
        for (name, site, memory_mib) in nodes {
            put(&mut docs.nodes, &mut counter, node(name, site, *memory_mib), 0);
        }
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
    pub(in crate::core::evacuation) fn begun(snap: &Snapshot) -> Vec<(String, NodeName)> {
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
        let full = |elsewhere_mib| {
            let guests = [on("m1", "g1", "yamate", 500), on("m1", "g2", "yamate", 500)];
            returning([vec![own(), on("y1", "x", "yamate", elsewhere_mib)], guests.into()].concat())
        };
        assert_eq!(begun(&full(900)), [], "there is room for one of the two, and that one alone makes too little way");
        let both = ["g1", "g2"].map(|guest| (guest.to_owned(), name("y1")));
        assert_eq!(begun(&full(400)), both);
        let large = returning(vec![on("y1", "mail", "myodaiji", 1_100), on("m1", "guest", "yamate", 800)]);
        assert_eq!(begun(&large), [], "an empty node would be too small for it");
        let mut picky = own();
        picky.spec.node_labels.insert("disk".to_owned(), "ssd".to_owned());
        assert_eq!(begun(&returning(vec![picky, on("m1", "guest", "yamate", 800)])), [], "room would not help");
    }

    #[test]
    fn no_guest_goes_home_to_a_battery() {
        let mut snap = returning(vec![on("y1", "mail", "myodaiji", 600), on("m1", "guest", "yamate", 800)]);
        let mut yamate = site("yamate");
        yamate.apply(watari_model::site::Change::Told(Supply::Battery, None), at(500));
        let entry = Entry { value: yamate, revision: 99, created: at(0) };
        Arc::make_mut(&mut snap.sites).insert("yamate".to_owned(), Arc::new(entry));
        assert_eq!(begun(&snap), []);
    }

    #[test]
    fn a_return_waits_for_a_guest_that_is_tried_again() {
        let mut snap = returning(vec![on("y1", "mail", "myodaiji", 600), on("m1", "guest", "yamate", 800)]);
        let failed = Migration {
            reason: Reason::Return,
            outage: Some("myodaiji-1".parse().unwrap()),
            state: migration::State::Failed,
            created_at: at(2),
            changed_at: at(500),
            ..documents::migration("guest")
        };
        let entry = Entry { value: failed, revision: 99, created: at(2) };
        snap.migrations = Arc::new(BTreeMap::from([("guest-1".to_owned(), Arc::new(entry))]));
        let rules = Rules::default();
        let decided = |now: u64| {
            let mut turn = Turn::new(&snap, &rules, at(now));
            decide(&mut turn);
            turn.actions
        };
        assert_eq!(decided(1_000), [], "neither it nor the return is given up");
        assert!(matches!(&decided(1_500)[..], [Action::NewMigration(again)] if again.id.as_str() == "guest-2"));
    }
}
