//! Servers whose node is off and that accept losing what was written since a copy: they run where the copy is, once,
//! and what the lost node has is neither run nor lost.

use std::num::NonZeroU32;

use watari_contracts::agent::{Layer, Stack};
use watari_model::{
    NodeName, VmName,
    vm::{Change, Copied, Desired, Preseed, Restart, Seeded, State},
};

use super::{
    agent::Disk,
    documents::at,
    faults::CALM,
    sim::{Broken, Event, Sim},
};

/// Longer than it takes until a silent node is lost.
const LOST: u64 = 15_000;

fn mail() -> VmName {
    "mail".parse().unwrap()
}

/// A copy of `mail`, which runs, lies at another site from now on, and so much loss is accepted; where both are.
pub(super) fn copy_elsewhere(sim: &mut Sim, seconds: u32) -> (NodeName, NodeName) {
    let from = sim.document(&mail()).unwrap().node().unwrap().clone();
    let home = sim.hosts[&from].site.clone();
    let to = sim.hosts.values().find(|host| host.site != home).unwrap().name.clone();
    let layers = vec![Layer { index: 0, sha256: Some("0a".repeat(32)), size_bytes: 4 << 20 }];
    let uuid = sim.document(&mail()).unwrap().uuid.clone();
    sim.hosts.get_mut(&to).unwrap().layers.insert(uuid, layers.clone());
    let (now, node) = (at(sim.now), to.clone());
    sim.amend("mail", |vm| {
        vm.spec.restart_from_copy_seconds = NonZeroU32::new(seconds);
        let copy = Copied { as_of: now, stack: Stack { layers, top: 1, marks: Vec::new() } };
        let done = Some(Seeded { number: 1, node: node.clone(), at: now, bytes: 4 << 20, copy: Some(copy) });
        vm.preseed = Some(Preseed { number: 1, to: Some(node), asked_at: now, done, fault: None, cancelled: false });
    });
    sim.publish(&to);
    (from, to)
}

/// `mail` runs, and accepts so much loss; where, and where its copy is.
fn copied(seed: u64, seconds: u32) -> (Sim, NodeName, NodeName) {
    let mut sim = Sim::new(seed, &[("mail", 192)], CALM, Broken::Nothing);
    sim.run(5_000);
    let (from, to) = copy_elsewhere(&mut sim, seconds);
    sim.run(sim.now + 2_000);
    assert_eq!(sim.running(&mail()), [&from], "{}", sim.story());
    (sim, from, to)
}

/// In the end it runs at `node`, and nothing of it is anywhere else.
fn sound(sim: &mut Sim, node: &NodeName) {
    sim.run(sim.now + 120_000);
    if sim.violation.is_none() {
        sim.check_end();
    }
    sim.assert_sound();
    assert_eq!(sim.running(&mail()), [node], "{}", sim.story());
}

#[test]
fn it_runs_from_its_copy_once_its_node_is_said_to_be_off_and_the_node_comes_back_as_a_stranger() {
    for seed in 0..20 {
        let (mut sim, from, to) = copied(seed, 3_600);
        sim.darken(&from);
        sim.run(sim.now + LOST);
        assert!(sim.running(&mail()).is_empty(), "silence proves nothing: {}", sim.story());
        sim.say_off(&from, false);
        sim.run(sim.now + 20_000);
        assert_eq!(sim.running(&mail()), [&to], "{}", sim.story());
        let vm = sim.document(&mail()).unwrap();
        let restored = vm.restored.clone().unwrap();
        assert_eq!((restored.from, restored.stack), (from.clone(), None));
        assert!((17..=60).contains(&restored.lost_seconds), "{}", restored.lost_seconds);
        assert!(vm.leftovers.iter().any(|leftover| leftover.node == from && leftover.newest));
        // However long it runs, what it wrote last is not cleared away as what migrations leave.
        sim.run(sim.now + 60_000);
        assert_eq!(sim.hosts[&from].guests[&mail()].disk, Disk::Whole, "{}", sim.story());
        sim.mend(&from);
        sound(&mut sim, &to);
        assert_eq!(sim.truth[&mail()].boots, 2);
    }
}

#[test]
fn it_runs_once_whenever_its_node_comes_back_and_whenever_the_scheduler_dies() {
    let mut elsewhere = 0;
    for seed in 0..60 {
        let (mut sim, from, to) = copied(seed, 3_600);
        sim.darken(&from);
        sim.run(sim.now + LOST);
        sim.say_off(&from, false);
        sim.run(sim.now + seed * 20);
        if seed % 2 == 0 {
            sim.crash_scheduler(seed % 4 == 0);
            sim.after(3_000, Event::Elect);
        }
        sim.run(sim.now + seed % 7 * 100);
        sim.mend(&from);
        sim.run(sim.now + 20_000);
        let vm = sim.document(&mail()).unwrap();
        let node = if vm.restored.is_some() { &to } else { &from };
        elsewhere += u32::from(node == &to);
        assert_eq!(vm.node(), Some(node), "{}", sim.story());
        sound(&mut sim, node);
    }
    assert!((1..60).contains(&elsewhere), "{elsewhere} of 60: both are to come up");
}

#[test]
fn a_loss_that_is_not_accepted_waits_for_the_node_and_so_does_a_copy_that_is_not_whole() {
    for case in ["old", "never", "gone", "restart", "stopped"] {
        let (mut sim, from, to) = copied(3, if case == "old" { 10 } else { 3_600 });
        match case {
            "never" => sim.amend("mail", |vm| vm.spec.restart_from_copy_seconds = None),
            "gone" => sim.hosts.get_mut(&to).unwrap().layers.clear(),
            "restart" => sim.amend("mail", |vm| vm.spec.restart = Restart::Never),
            "stopped" => sim.amend("mail", |vm| vm.desired = Desired::Stopped),
            _ => {}
        }
        sim.run(sim.now + 3_000);
        sim.darken(&from);
        sim.run(sim.now + LOST);
        sim.say_off(&from, false);
        sim.run(sim.now + 60_000);
        let vm = sim.document(&mail()).unwrap();
        assert_eq!(
            (vm.state, vm.node(), &vm.restored),
            (State::Stopped, Some(&from), &None),
            "{case}: {}",
            sim.story()
        );
        assert!(sim.running(&mail()).is_empty(), "{case}: {}", sim.story());
        // It may be accepted when it is known how much it is.
        if case == "old" {
            sim.amend("mail", |vm| vm.spec.restart_from_copy_seconds = NonZeroU32::new(60));
            sim.run(sim.now + 20_000);
            assert_eq!(sim.running(&mail()), [&to], "{}", sim.story());
        }
    }
}

#[test]
fn a_copy_that_never_comes_up_is_given_up_for_the_disk_of_the_lost_node_once_that_is_back() {
    for seed in 0..20 {
        let (mut sim, from, to) = copied(seed, 3_600);
        sim.hosts.get_mut(&to).unwrap().spoilt = true;
        sim.darken(&from);
        sim.run(sim.now + LOST);
        sim.say_off(&from, false);
        sim.run(sim.now + 20_000 + seed * 100);
        let vm = sim.document(&mail()).unwrap();
        assert!(vm.node() == Some(&to) && vm.disk_before_copy() == Some(&from), "{}", sim.story());
        sim.mend(&from);
        sim.run(sim.now + 20_000);
        assert!(sim.running(&mail()).is_empty(), "nobody has said so: {}", sim.story());
        assert_eq!(sim.hosts[&from].guests[&mail()].disk, Disk::Whole, "{}", sim.story());
        // Its agent may be away just then, the scheduler may die, and what is given up may be able to start after all.
        if seed % 3 == 1 {
            sim.hosts.get_mut(&to).unwrap().connected = false;
        }
        let now = at(sim.now);
        sim.amend("mail", |vm| vm.apply(Change::CopyDiscarded, now).unwrap());
        if seed % 4 == 2 {
            sim.crash_scheduler(true);
            sim.after(3_000, Event::Elect);
        }
        sim.run(sim.now + 25_000);
        sim.mend(&to);
        sound(&mut sim, &from);
        assert_eq!((sim.truth[&mail()].boots, &sim.document(&mail()).unwrap().restored), (2, &None));
    }
}
