//! What nodes can say of a server, and what follows.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use watari_contracts::agent::{Domain, Guard, Guarded, NodeFacts, OffReason, Passage, Phase, Stack, VmFact};
use watari_model::{
    NodeName, Timestamp,
    isolation::Terms,
    vm::{Crossing, Desired, Grant, State, Vm},
};

use super::{Finding, Heard, reconcile};

const SAMPLES: &str = include_str!("../../../../../shared/contracts/tests/golden/document.vms.json");

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// It runs on m1 under its fifth grant, as the backup knows it.
fn mail() -> Vm {
    let samples: Vec<Vm> = serde_json::from_str(SAMPLES).unwrap();
    let mut vm = samples.into_iter().next().unwrap();
    vm.state = State::Running;
    vm.desired = Desired::Running;
    vm.grant = Some(Grant { node: name("m1"), generation: 5 });
    (vm.crossing, vm.fault) = (None, None);
    vm.leftovers.clear();
    vm
}

fn fact(vm: &Vm, domain: Domain, generation: u64, granted: bool) -> VmFact {
    let uuid = Some(vm.uuid.clone());
    VmFact {
        vm: vm.name.clone(),
        uuid,
        domain,
        generation,
        granted,
        disk: true,
        stack: Stack::default(),
        still: None,
        passage: None,
    }
}

fn heard<const N: usize>(nodes: [(&str, Option<VmFact>); N]) -> Heard {
    let facts = |node: &str, fact: Option<VmFact>| NodeFacts {
        node: name(node),
        site: "myodaiji".parse().unwrap(),
        instance: "1".to_owned(),
        seq: 1,
        epoch: 9,
        hypervisor_answers: true,
        at: Timestamp(OffsetDateTime::UNIX_EPOCH),
        vms: fact.into_iter().map(|fact| (fact.vm.clone(), fact)).collect::<BTreeMap<_, _>>(),
        layers: BTreeMap::new(),
        guard: None,
    };
    nodes.into_iter().map(|(node, fact)| (name(node), facts(node, fact))).collect()
}

const GONE: Domain = Domain::Off(OffReason::Migrated);

#[test]
fn a_server_that_is_where_it_was_is_left_as_it_was() {
    let (mut vm, before) = (mail(), mail());
    let there = heard([("m1", Some(fact(&before, Domain::Running, 5, true))), ("y1", None)]);
    assert_eq!(reconcile(&mut vm, &there), Finding::AsBefore);
    assert_eq!((&vm.grant, vm.state, vm.desired), (&before.grant, State::Running, Desired::Running));
}

#[test]
fn a_server_that_has_moved_since_is_taken_for_where_it_is_and_its_old_copy_for_left_over() {
    let mut vm = mail();
    let (left, runs) = (fact(&vm, GONE, 5, true), fact(&vm, Domain::Running, 6, true));
    assert_eq!(reconcile(&mut vm, &heard([("m1", Some(left)), ("y1", Some(runs))])), Finding::Moved);
    assert_eq!(vm.grant, Some(Grant { node: name("y1"), generation: 6 }));
    assert_eq!((vm.state, vm.desired), (State::Running, Desired::Running));
    let leftovers: Vec<_> = vm.leftovers.iter().map(|l| (l.node.as_str(), l.generation)).collect();
    assert_eq!(leftovers, [("m1", 5)]);
}

#[test]
fn one_that_was_stopped_since_or_whose_migration_has_ended_since_is_so() {
    let mut vm = mail();
    vm.state = State::Migrating;
    let (id, to) = ("mail-1".parse().unwrap(), name("y1"));
    vm.crossing = Some(Crossing { id, to, switched: false, abandoned: false });
    let off = fact(&vm, Domain::Off(OffReason::Shutdown), 6, true);
    assert_eq!(reconcile(&mut vm, &heard([("m1", None), ("y1", Some(off))])), Finding::Moved);
    assert_eq!((vm.state, &vm.crossing, vm.node()), (State::Stopped, &None, Some(&name("y1"))));
    assert_eq!(vm.desired, Desired::Stopped, "nobody starts it on the word of a backup");
    let mut vm = mail();
    let off = fact(&vm, Domain::Off(OffReason::Destroyed), 5, true);
    assert_eq!(reconcile(&mut vm, &heard([("m1", Some(off))])), Finding::AsBefore);
    assert_eq!(vm.desired, Desired::Stopped, "it was forced off under the same grant");
    let mut vm = mail();
    let saved = fact(&vm, Domain::Off(OffReason::Saved), 6, true);
    assert_eq!(reconcile(&mut vm, &heard([("m1", None), ("y1", Some(saved))])), Finding::Moved);
    assert_eq!(vm.state, State::Suspended, "its memory is saved there, and its next start goes on from that");
}

#[test]
fn one_that_its_node_stopped_since_it_was_cut_off_is_to_run_again() {
    for stopped in [true, false] {
        let mut vm = mail();
        let off = fact(&vm, Domain::Off(OffReason::Shutdown), 5, true);
        let mut there = heard([("m1", Some(off))]);
        let vms = BTreeMap::from([(vm.name.clone(), Guarded { generation: 5, stopped })]);
        let terms = Terms { lease_ms: 30_000, stop_ms: 60_000 };
        there.get_mut(&name("m1")).unwrap().guard = Some(Guard { terms, watchdog: false, vms });
        assert_eq!(reconcile(&mut vm, &there), Finding::AsBefore);
        assert_eq!(vm.desired == Desired::Running, stopped);
    }
}

#[test]
fn one_that_its_node_knows_nothing_of_is_not_started_by_itself() {
    let mut vm = mail();
    assert_eq!(reconcile(&mut vm, &heard([("m1", None), ("y1", None)])), Finding::Gone);
    assert_eq!((vm.state, vm.desired, vm.booted), (State::Stopped, Desired::Stopped, true));
    assert_eq!(vm.fault.map(|fault| fault.code()), Some("vm.restored-not-found"));
    let mut vm = Vm { state: State::Suspended, ..mail() };
    assert_eq!(reconcile(&mut vm, &heard([("m1", None), ("y1", None)])), Finding::Gone);
    assert_eq!(vm.state, State::Stopped, "nor is its memory where it was saved");
}

#[test]
fn one_whose_node_is_silent_stays_there() {
    let (mut vm, before) = (mail(), mail());
    vm.guarded = Some(5);
    assert_eq!(reconcile(&mut vm, &heard([("y1", None)])), Finding::Silent);
    assert_eq!((vm.grant, vm.state, vm.desired), (before.grant, State::Running, Desired::Running));
    assert_eq!(vm.guarded, None, "whether its node would stop it now nobody knows");
}

#[test]
fn one_that_no_node_had_is_not_placed_by_itself_since_it_may_have_been_placed_since() {
    let mut vm = mail();
    (vm.grant, vm.state, vm.booted) = (None, State::Pending, false);
    let mut placed = vm.clone();
    assert_eq!(reconcile(&mut vm, &heard([("m1", None)])), Finding::Unplaced);
    assert_eq!((vm.desired, vm.state, vm.grant), (Desired::Stopped, State::Pending, None));
    let runs = fact(&placed, Domain::Running, 1, true);
    assert_eq!(reconcile(&mut placed, &heard([("m1", None), ("m2", Some(runs))])), Finding::Moved);
    assert_eq!((placed.node(), placed.booted), (Some(&name("m2")), true));
}

#[test]
fn another_server_of_the_same_name_proves_nothing() {
    let mut vm = mail();
    let mut other = fact(&vm, Domain::Running, 9, true);
    other.uuid = Some("00000000-0000-4000-8000-000000000000".to_owned());
    assert_eq!(reconcile(&mut vm, &heard([("m1", None), ("y1", Some(other))])), Finding::Gone);
}

#[test]
fn a_node_that_has_seen_a_newer_grant_than_its_own_does_not_hold_the_server() {
    // m1 was the source, and y1, which is silent, has it now.
    let mut vm = mail();
    let old = VmFact { granted: false, ..fact(&vm, GONE, 6, false) };
    assert_eq!(reconcile(&mut vm, &heard([("m1", Some(old))])), Finding::Gone);
    assert_eq!(vm.grant, Some(Grant { node: name("m1"), generation: 6 }), "its own next grant is newer than all seen");
    assert_eq!((vm.state, vm.desired), (State::Stopped, Desired::Stopped));
}

#[test]
fn one_that_was_just_sent_to_a_node_that_is_silent_is_not_started_from_the_old_disk() {
    let mut vm = mail();
    let passage = Passage::new("mail-7".parse().unwrap(), Phase::Ended);
    let sent = VmFact { passage: Some(passage), ..fact(&vm, GONE, 5, true) };
    assert_eq!(reconcile(&mut vm, &heard([("m1", Some(sent))])), Finding::Gone);
    assert_eq!((vm.state, vm.desired), (State::Stopped, Desired::Stopped));
}

#[test]
fn what_names_operations_is_never_used_again() {
    let (mut vm, before) = (mail(), mail());
    let there = heard([("m1", Some(fact(&before, Domain::Running, 5, true)))]);
    reconcile(&mut vm, &there);
    assert!(vm.migrations > before.migrations + 100 && vm.reboots.asked > before.reboots.asked + 100);
    assert_eq!(vm.reboots.asked, vm.reboots.done, "no reboot comes by surprise");
}
