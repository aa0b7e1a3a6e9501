//! The order of turns, circles, and who is started after whom.

use std::sync::Arc;

use proptest::prelude::*;
use watari_contracts::agent::{Domain, NodeFacts, VmFact};
use watari_model::vm::Change;

use super::*;
use crate::core::{
    Heard, Rules, Snapshot,
    tests::{
        campus::{Campus, SECOND},
        documents::{at, facts, name, node as a_node, put, runs, vm as a_vm},
    },
};

fn called(number: usize) -> VmName {
    format!("vm{number}").parse().unwrap()
}

/// Servers with these priorities, each after those of these numbers.
fn servers(all: &[(u8, Vec<usize>)]) -> Docs<Vm> {
    let (mut docs, mut counter) = (Docs::default(), 0);
    for (number, (priority, after)) in all.iter().enumerate() {
        let mut vm = a_vm(called(number).as_str(), 64);
        vm.spec.priority = *priority;
        vm.spec.after = after.iter().map(|other| called(*other)).collect();
        assert!(put(&mut docs, &mut counter, vm, 0));
    }
    docs
}

fn of(docs: &Docs<Vm>, number: usize) -> &Vm {
    &docs[called(number).as_str()].value
}

proptest! {
    #[test]
    fn every_server_stands_behind_those_on_which_it_depends_and_lends_them_its_priority(
        drawn in prop::collection::vec((0_u8..=100, prop::collection::vec(any::<prop::sample::Index>(), 0..4)), 1..24),
    ) {
        // Only on those before it: without circles.
        let all: Vec<(u8, Vec<usize>)> = drawn.iter().enumerate().map(|(number, (priority, after))| {
            let after = after.iter().filter(|_| number > 0).map(|other| other.index(number));
            let mut after: Vec<usize> = after.collect();
            after.sort_unstable();
            after.dedup();
            (*priority, after)
        }).collect();
        let docs = servers(&all);
        let found = Dependencies::of(&docs);
        for (number, (priority, after)) in all.iter().enumerate() {
            let vm = of(&docs, number);
            prop_assert_eq!(found.before(vm).len(), after.len());
            prop_assert!(found.rank(vm).0 <= Reverse(*priority));
            for other in after {
                prop_assert!(found.rank(of(&docs, *other)) < found.rank(vm));
                prop_assert!(found.behind(&called(*other)).any(|dependent| dependent.name == vm.name));
            }
            // Nobody has a priority that was not given to it, or to one that depends on it.
            let behind: Vec<Reverse<u8>> = found.behind(&vm.name).map(|dependent| found.rank(dependent).0).collect();
            let lent = behind.into_iter().chain([Reverse(*priority)]).min();
            prop_assert_eq!(Some(found.rank(vm).0), lent);
            prop_assert!(circle(&docs, &vm.name, &vm.spec.after).is_none());
        }
    }
}

#[test]
fn without_dependencies_the_own_priority_is_the_rank() {
    let docs = servers(&[(7, vec![]), (9, vec![])]);
    let found = Dependencies::of(&docs);
    assert_eq!([0, 1].map(|number| found.rank(of(&docs, number))), [(Reverse(7), 0), (Reverse(9), 0)]);
    assert!(found.before(of(&docs, 0)).is_empty());
}

#[test]
fn what_is_in_a_circle_or_behind_one_waits_for_nobody() {
    let docs = servers(&[(0, vec![1]), (0, vec![0]), (50, vec![1, 3]), (0, vec![])]);
    let found = Dependencies::of(&docs);
    for number in 0..3 {
        assert!(found.before(of(&docs, number)).is_empty(), "vm{number}");
    }
    assert_eq!(found.behind(&called(0)).count() + found.behind(&called(3)).count(), 0);
}

#[test]
fn one_that_is_gone_is_not_waited_for() {
    let docs = servers(&[(0, vec![7])]);
    assert!(Dependencies::of(&docs).before(of(&docs, 0)).is_empty());
}

/// Web is off at m1 after db, which is as `change` makes it at m2.
fn powered_on(change: impl FnOnce(&mut Vm, &mut node::Node)) -> Snapshot {
    let mut campus = Campus::new(Rules::default());
    let mut there = a_node("m2", "myodaiji", 4_096);
    let mut db = a_vm("db", 64);
    db.apply(Change::Granted(name("m2")), at(0)).unwrap();
    change(&mut db, &mut there);
    let mut web = a_vm("web", 64);
    web.spec.after = vec![db.name.clone()];
    for change in [Change::Granted(name("m1")), Change::SeenOff] {
        web.apply(change, at(0)).unwrap();
    }
    let mut front = a_vm("front", 64);
    front.spec.after = vec![web.name.clone()];
    for change in [Change::Granted(name("m1")), Change::SeenOff] {
        front.apply(change, at(0)).unwrap();
    }
    put(&mut campus.docs.nodes, &mut campus.docs.revision, there, 0);
    for vm in [db, web, front] {
        put(&mut campus.docs.vms, &mut campus.docs.revision, vm, 0);
    }
    campus.snapshot()
}

fn waits(snap: &Snapshot, now: u64) -> bool {
    let rules = Rules::default();
    let mut turn = Turn::new(snap, &rules, at(now));
    starts_later(&mut turn, &snap.vms["web"].value)
}

#[test]
fn one_waits_for_another_that_is_being_started_until_it_runs_fails_or_takes_too_long() {
    let starting = powered_on(|_, _| {});
    assert!(waits(&starting, 1) && waits(&starting, STARTS_MS - 1) && !waits(&starting, STARTS_MS));
    assert!(!waits(&powered_on(|db, _| db.apply(Change::SeenRunning, at(0)).unwrap()), 1));
    let fault = watari_model::Refusal::VmUnknown { vm: "db".to_owned() };
    assert!(!waits(&powered_on(|db, _| db.fault = Some(fault)), 1));
}

#[test]
fn one_that_is_seen_off_is_waited_for_though_it_is_written_down_as_running() {
    let written = powered_on(|db, _| db.apply(Change::SeenRunning, at(0)).unwrap());
    let says = |fact: Option<VmFact>| {
        let vms = fact.map(|fact| (fact.vm.clone(), fact)).into_iter().collect();
        let facts = Arc::new(NodeFacts { vms, ..facts("m2", "myodaiji") });
        Snapshot { heard: [(name("m2"), Heard { facts, age_ms: 0 })].into(), ..written.clone() }
    };
    let fact = runs(&written.vms["db"].value);
    assert!(waits(&says(None), 1), "its node lost its power");
    assert!(!waits(&says(Some(fact.clone())), 1));
    let newer = VmFact { domain: Domain::Absent, generation: fact.generation + 1, ..fact };
    assert!(!waits(&says(Some(newer)), 1), "nothing is decided of it");
}

#[test]
fn who_depends_on_one_that_waits_waits_as_well() {
    let (snap, rules) = (powered_on(|_, _| {}), Rules::default());
    let mut turn = Turn::new(&snap, &rules, at(1));
    let [web, front] = ["web", "front"].map(|name| &snap.vms[name].value);
    assert!(!starts_later(&mut turn, front), "nobody has looked at web yet");
    assert!(starts_later(&mut turn, web) && starts_later(&mut turn, front));
}

#[test]
fn a_node_that_is_not_back_yet_is_waited_for_as_long_as_a_return_waits() {
    let away = |desired: Desired| {
        powered_on(move |db, there| {
            db.apply(Change::SeenOff, at(0)).unwrap();
            (db.desired, there.state) = (desired, node::State::Lost);
        })
    };
    let wanted = away(Desired::Running);
    assert!(waits(&wanted, 119 * SECOND) && !waits(&wanted, 120 * SECOND));
    assert!(!waits(&away(Desired::Stopped), SECOND), "nobody starts it");
    let mut known = wanted.clone();
    let mut there = (*known.nodes["m2"]).clone();
    there.value.cordoned = true;
    Arc::make_mut(&mut known.nodes).insert("m2".to_owned(), Arc::new(there));
    assert!(!waits(&known, SECOND), "somebody has said that it stays away");
}
