//! What is decided of a server that is being saved, or was.

use std::{collections::BTreeMap, sync::Arc};

use watari_contracts::agent::{NodeFacts, Stack, VmFact};
use watari_model::{
    Said,
    vm::{Halt, Size, Standstill},
};

use super::*;
use crate::core::{
    Rules, Snapshot,
    snapshot::{Answer, Heard},
    tests::documents::{Documents, at, facts, name, node, put, runs, vm},
};

/// Mail, with a grant for m1, after these changes.
fn mail(changes: impl IntoIterator<Item = Change>) -> Vm {
    let mut mail = vm("mail", 128);
    for change in [Change::Granted(name("m1"))].into_iter().chain(changes) {
        mail.apply(change, at(0)).unwrap();
    }
    mail
}

/// What is decided of mail at a moment when its node's agent says this of it.
fn decided(mail: Vm, domain: Domain, answers: &[(String, Outcome)], now: u64) -> Vec<Action> {
    let (mut docs, mut counter) = (Documents::default(), 0);
    put(&mut docs.nodes, &mut counter, node("m1", "myodaiji", 4096), 0);
    let fact = VmFact {
        vm: mail.name.clone(),
        uuid: Some(mail.uuid.clone()),
        domain,
        generation: mail.generation(),
        granted: true,
        disk: true,
        passage: None,
        stack: Stack::default(),
        still: None,
    };
    let facts = NodeFacts { at: at(now), vms: BTreeMap::from([(mail.name.clone(), fact)]), ..facts("m1", "myodaiji") };
    put(&mut docs.vms, &mut counter, mail, 0);
    let answer = |outcome: &Outcome| Answer { attempt: 0, outcome: outcome.clone(), age_ms: 0, news: false };
    let Documents { vms, nodes, .. } = docs;
    let snap = Snapshot {
        epoch: 1,
        vms,
        nodes,
        heard: BTreeMap::from([(name("m1"), Heard { facts: Arc::new(facts), age_ms: 0 })]),
        answers: answers.iter().map(|(key, outcome)| (key.clone(), answer(outcome))).collect(),
        ..Snapshot::default()
    };
    let rules = Rules::default();
    let mut turn = Turn::new(&snap, &rules, at(now));
    decide(&mut turn);
    turn.actions
}

const SAVED: Domain = Domain::Off(OffReason::Saved);

#[test]
fn whoever_forces_a_server_off_while_it_is_being_saved_gives_up_what_is_saved_of_it() {
    let stopping = || mail([Change::SeenRunning, Change::StopAsked]);
    let forced = Vm { force_off: true, ..stopping() };
    let decided = |mail, domain| decided(mail, domain, &[], 1_000);
    let ordered = decided(forced.clone(), SAVED);
    assert!(matches!(&ordered[..], [Action::Order { order: Order::Stop(stop), .. }] if stop.force), "{ordered:?}");
    for (mail, domain) in [(forced, Domain::Off(OffReason::Shutdown)), (stopping(), SAVED)] {
        let looks = decided(mail, domain);
        assert!(matches!(&looks[..], [Action::Look { .. }, ..]), "{looks:?}");
    }
}

#[test]
fn what_is_saved_is_started_with_its_old_size_and_what_is_off_takes_the_new_one_first() {
    let larger = Vm { pending: Some(Size { vcpus: 2, memory_mib: 256, disk_gib: 2 }), ..mail([]) };
    let started = decided(larger.clone(), SAVED, &[], 1_000);
    assert!(matches!(&started[..], [Action::Order { order: Order::Start(_), .. }]), "{started:?}");
    let looks = decided(larger, Domain::Off(OffReason::Shutdown), &[], 1_000);
    assert!(matches!(&looks[..], [Action::Look { .. }, ..]), "{looks:?}");
}

#[test]
fn a_server_that_no_agent_answers_for_is_shut_down_instead_of_saved_and_one_whose_agent_is_busy_is_not() {
    let fault = Refusal::NoTime { vm: "mail".to_owned(), detail: Said::both("1") };
    let halt = Halt { outage: "myodaiji-1".parse().unwrap(), way: Way::Suspend, fault, since: at(0) };
    let stopping = Vm { halt: Some(halt), ..mail([Change::SeenRunning, Change::StopAsked]) };
    let key = naming::at(&naming::of_vm("suspend", &stopping, stopping.generation()), &name("m1"));
    let ways = |why: Refusal, now| -> Vec<Way> {
        let decided = decided(stopping.clone(), Domain::Running, &[(key.clone(), Outcome::Silent(why))], now);
        let way = |action: &Action| match action {
            Action::StoreVm { vm, .. } => vm.halt.as_ref().map(|halt| halt.way),
            _ => None,
        };
        decided.iter().filter_map(way).collect()
    };
    let half = Rules::default().deadline.stop_ms / 2;
    let nobody = || Refusal::NoAnswer { who: "m1".to_owned() };
    assert_eq!((ways(nobody(), half - 1), ways(nobody(), half)), (vec![], vec![Way::ShutDown]));
    let (vm, node) = ("mail".to_owned(), "m1".to_owned());
    let busy = Refusal::AgentState { vm, node, state: "busy".to_owned(), wanted: "suspend".to_owned() };
    assert_eq!(ways(busy, half), []);
}

#[test]
fn a_server_whose_disk_is_kept_is_shut_down_before_it_is_removed_and_any_other_is_removed_at_once() {
    let deleted = |keep_disk, changes: &[Change]| {
        let desired = Desired::Deleted;
        Vm { keep_disk, desired, ..mail(changes.iter().cloned()) }
    };
    let (on, asked) = ([Change::SeenRunning], [Change::SeenRunning, Change::StopAsked]);
    let stored = |actions: &[Action]| match actions {
        [Action::StoreVm { vm, .. }, ..] => Some(vm.state),
        _ => None,
    };
    let decided = |mail, domain| decided(mail, domain, &[], 1_000);
    assert_eq!(stored(&decided(deleted(true, &on), Domain::Running)), Some(State::Stopping));
    let ordered = decided(deleted(true, &asked), Domain::Running);
    assert!(matches!(&ordered[..], [Action::Order { order: Order::Stop(stop), .. }] if !stop.force), "{ordered:?}");
    let off = [&asked[..], &[Change::SeenOff]].concat();
    let off = decided(deleted(true, &off), Domain::Off(OffReason::Shutdown));
    assert_eq!(stored(&off), Some(State::Deleting));
    assert_eq!(stored(&decided(deleted(false, &on), Domain::Running)), Some(State::Deleting));
}

#[test]
fn of_one_that_stood_still_and_was_forced_off_is_told_why_only_while_it_is_to_start_again() {
    let off = Domain::Off(OffReason::Destroyed);
    for desired in [Desired::Running, Desired::Stopped] {
        let fault = Some(Standstill::Internal.refusal(&"mail".parse().unwrap(), &name("m1")));
        let stopping = mail([Change::SeenRunning, Change::StopAsked]);
        let forced = Vm { fault: fault.clone(), desired, force_off: true, ..stopping };
        // The second document of this world.
        let looked =
            (naming::look(&forced.name, 2, &name("m1")), Outcome::Seen(VmFact { domain: off, ..runs(&forced) }));
        let decided = decided(forced, off, &[looked], 1_000);
        let [Action::StoreVm { vm, .. }, ..] = &decided[..] else { panic!("{decided:?}") };
        let told = (desired == Desired::Running).then_some(fault).flatten();
        assert_eq!((vm.state, vm.desired, &vm.fault), (State::Stopped, desired, &told));
    }
}
