//! Lost nodes that an operator says are off: what waits for them is decided, nothing runs twice, and what
//! is only there is started nowhere else.

use watari_model::{
    NodeName, Refusal, SiteName, VmName, migration,
    vm::{Desired, State},
};

use super::{
    agent::{Disk, Process},
    documents::at,
    faults::CALM,
    flow::Stage,
    sim::{Broken, Event, Sim},
    wishes::Wish,
};
use crate::core::forecast::forecast;

/// Longer than it takes until a silent node is lost.
const LOST: u64 = 15_000;

fn mail() -> VmName {
    "mail".parse().unwrap()
}

/// `mail` runs; where.
fn running(seed: u64) -> (Sim, NodeName) {
    let mut sim = Sim::new(seed, &[("mail", 192)], CALM, Broken::Nothing);
    sim.run(5_000);
    let node = sim.document(&mail()).unwrap().node().unwrap().clone();
    assert_eq!(sim.running(&mail()), [&node], "{}", sim.story());
    (sim, node)
}

/// `mail` has arrived at its target, paused, and its source loses its power that moment; from where to where.
fn dark_at_the_switch_over(seed: u64) -> (Sim, NodeName, NodeName) {
    let (mut sim, from) = running(seed);
    sim.after(0, Event::Operator(Wish::Migrate(mail())));
    while !sim.flows.values().any(|flow| flow.stage == Stage::Arrived) {
        assert!(sim.now < 60_000, "{}", sim.story());
        sim.run(sim.now + 1);
    }
    let to = sim.flows.values().next().unwrap().to.clone();
    sim.darken(&from);
    sim.run(sim.now + LOST);
    assert!(sim.running(&mail()).is_empty(), "nothing is resumed on the strength of silence: {}", sim.story());
    (sim, from, to)
}

fn sound(sim: &mut Sim) {
    sim.run(sim.now + 120_000);
    if sim.violation.is_none() {
        sim.check_end();
    }
    sim.assert_sound();
}

#[test]
fn a_paused_copy_runs_once_its_source_is_said_to_be_off_and_the_source_comes_back_as_a_stranger() {
    for seed in 0..20 {
        let (mut sim, from, to) = dark_at_the_switch_over(seed);
        sim.say_off(&from, false);
        sim.run(sim.now + 20_000);
        assert_eq!(sim.running(&mail()), [&to], "{}", sim.story());
        assert_eq!(sim.truth[&mail()].boots, 1, "it was not booted anew");
        let ended = sim.docs.migrations.values().all(|m| m.value.state == migration::State::Completed);
        assert!(ended, "{}", sim.story());
        sim.mend(&from);
        sound(&mut sim);
        assert_eq!(sim.running(&mail()), [&to]);
    }
}

#[test]
fn a_source_that_was_left_standing_goes_on_once_its_target_is_said_to_be_off() {
    let mut stood = 0;
    for seed in 0..40 {
        let (mut sim, from) = running(seed);
        sim.after(0, Event::Operator(Wish::Migrate(mail())));
        while !sim.flows.values().any(|flow| flow.stage == Stage::Stopped) {
            assert!(sim.now < 60_000, "{}", sim.story());
            sim.run(sim.now + 1);
        }
        let to = sim.flows.values().next().unwrap().to.clone();
        sim.darken(&to);
        sim.run(sim.now + LOST);
        stood += u32::from(sim.running(&mail()).is_empty());
        sim.say_off(&to, false);
        sim.run(sim.now + 30_000);
        assert_eq!(sim.running(&mail()), [&from], "{}", sim.story());
        sim.mend(&to);
        sound(&mut sim);
    }
    assert!(stood > 0, "the case did not come up");
}

#[test]
fn a_server_whose_only_disk_is_on_a_node_that_is_off_waits_for_it_and_says_so() {
    for seed in 0..10 {
        let (mut sim, node) = running(seed);
        sim.darken(&node);
        sim.run(sim.now + LOST);
        assert_eq!(sim.document(&mail()).unwrap().state, State::Running, "silence proves nothing");
        sim.say_off(&node, false);
        sim.run(sim.now + 60_000);
        let vm = sim.document(&mail()).unwrap();
        assert_eq!((vm.state, vm.desired, vm.node()), (State::Stopped, Desired::Running, Some(&node)));
        assert!(matches!(vm.fault, Some(Refusal::VmStranded { .. })), "{vm:?}");
        assert!(sim.running(&mail()).is_empty(), "it is not started from nothing");
        sim.mend(&node);
        sound(&mut sim);
        let vm = sim.document(&mail()).unwrap();
        assert_eq!((vm.fault.clone(), sim.running(&mail())), (None, vec![&node]), "{}", sim.story());
    }
}

#[test]
fn a_server_on_a_node_that_is_off_is_deleted_but_for_its_disk_and_wholly_when_the_node_is_given_up_or_back() {
    for (seed, for_good) in [(1, false), (2, true), (3, false), (4, true)] {
        let (mut sim, node) = running(seed);
        sim.darken(&node);
        sim.run(sim.now + LOST);
        sim.amend("mail", |vm| vm.desired = Desired::Deleted);
        sim.run(sim.now + 10_000);
        let vm = sim.document(&mail()).unwrap();
        assert_eq!((vm.state, &vm.fault), (State::Deleting, &None), "a node that is only lost is waited for");
        sim.say_off(&node, false);
        sim.run(sim.now + 10_000);
        let vm = sim.document(&mail()).unwrap();
        assert!(matches!(vm.fault, Some(Refusal::DeletionWaits { .. })), "{vm:?}");
        if for_good {
            sim.say_off(&node, true);
        } else {
            sim.mend(&node);
        }
        sim.run(sim.now + 30_000);
        assert!(sim.document(&mail()).is_none(), "{}", sim.story());
    }
}

/// `mail` was deleted while its node was dark and given up: its document is gone, its disk is there.
fn left_behind(seed: u64) -> (Sim, NodeName) {
    let (mut sim, node) = running(seed);
    sim.darken(&node);
    sim.run(sim.now + LOST);
    sim.amend("mail", |vm| vm.desired = Desired::Deleted);
    sim.say_off(&node, true);
    sim.run(sim.now + 30_000);
    assert!(sim.document(&mail()).is_none(), "{}", sim.story());
    let remembered: Vec<_> = remains(&sim).into_iter().map(|(node, vm)| (vm, node)).collect();
    assert_eq!(remembered, [(mail(), node.clone())], "{}", sim.story());
    assert_eq!(sim.guest(&node, &mail()).disk, Disk::Whole);
    (sim, node)
}

fn remains(sim: &Sim) -> Vec<(NodeName, VmName)> {
    let all = sim.docs.sites.values().flat_map(|entry| &entry.value.remains);
    all.map(|remains| (remains.node.clone(), remains.vm.clone())).collect()
}

#[test]
fn a_node_that_was_given_up_and_comes_back_is_cleared_of_what_was_deleted_meanwhile() {
    for seed in 0..20 {
        let (mut sim, node) = left_behind(seed);
        sim.mend(&node);
        sim.run(sim.now + 30_000);
        let guest = sim.guest(&node, &mail()).clone();
        assert_eq!((guest.disk, guest.defined), (Disk::None, None), "{}", sim.story());
        assert!(remains(&sim).is_empty(), "{}", sim.story());
        sound(&mut sim);
    }
}

#[test]
fn what_runs_on_a_node_that_comes_back_is_not_touched_and_neither_is_what_nobody_deleted() {
    let (mut sim, node) = left_behind(1);
    sim.guest(&node, &mail()).process = Process::Running;
    sim.mend(&node);
    sim.run(sim.now + 60_000);
    assert_eq!(sim.running(&mail()), [&node], "somebody has started it by hand: {}", sim.story());
    assert_eq!(sim.guest(&node, &mail()).disk, Disk::Whole);
    // A document that is only missing is no word of anybody's.
    let (mut sim, node) = running(2);
    sim.darken(&node);
    sim.run(sim.now + LOST);
    std::sync::Arc::make_mut(&mut sim.docs.vms).clear();
    sim.mend(&node);
    sim.run(sim.now + 60_000);
    assert_eq!(sim.guest(&node, &mail()).disk, Disk::Whole);
    assert_eq!(sim.violation, None);
}

#[test]
fn the_plan_says_of_a_server_on_a_node_that_is_off_what_its_document_says() {
    let (mut sim, node) = running(1);
    sim.darken(&node);
    sim.run(sim.now + LOST);
    let site: SiteName = sim.hosts[&node].site.parse().unwrap();
    let why = |sim: &Sim| {
        let plan = forecast(&sim.snapshot(), &sim.rules, &site, at(sim.now)).unwrap();
        plan.left.iter().map(|left| left.fault.code()).collect::<Vec<_>>()
    };
    assert_eq!(why(&sim), ["vm.unreachable"]);
    sim.say_off(&node, false);
    sim.run(sim.now + 10_000);
    assert_eq!(why(&sim), ["vm.stranded"]);
    sim.amend("mail", |vm| vm.desired = Desired::Stopped);
    assert_eq!(why(&sim), ["outage.not-running"]);
}
