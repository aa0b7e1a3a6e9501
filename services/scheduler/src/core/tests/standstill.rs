//! A server that stands still on its node for no order.

use watari_model::{
    NodeName, Refusal, VmName,
    vm::{Restart, Standstill, State},
};

use super::{
    faults::CALM,
    sim::{Broken, MINUTE, Sim},
};

fn mail() -> VmName {
    "mail".parse().unwrap()
}

fn runs(seed: u64) -> Sim {
    let mut sim = Sim::new(seed, &[("mail", 192)], CALM, Broken::Nothing);
    sim.run(20_000);
    sim
}

/// It stands still from now on; where, and under which generation.
fn stands_still(sim: &mut Sim, by: Standstill) -> (NodeName, u64) {
    let vm = sim.document(&mail()).unwrap();
    let (node, generation) = (vm.node().unwrap().clone(), vm.generation());
    sim.log(format!("mail stands still on {node}: {by:?}"));
    sim.hurt(&mail());
    sim.guest(&node, &mail()).still = Some(by);
    sim.publish(&node);
    (node, generation)
}

fn is_told(sim: &Sim) -> bool {
    matches!(sim.document(&mail()).unwrap().fault, Some(Refusal::VmStandsStill { .. }))
}

#[test]
fn a_server_that_has_crashed_and_stands_still_starts_again_where_its_disk_is_as_often_as_it_happens() {
    for seed in 0..10 {
        let mut sim = runs(seed);
        for crash in 1..=3 {
            let (node, generation) = stands_still(&mut sim, Standstill::Internal);
            sim.run(sim.now + MINUTE);
            let vm = sim.document(&mail()).unwrap();
            assert_eq!((vm.state, vm.node()), (State::Running, Some(&node)), "{}", sim.story());
            assert!(vm.generation() > generation && !is_told(&sim), "{}", sim.story());
            assert_eq!((sim.running(&mail()), sim.truth[&mail()].boots), (vec![&node], 1 + crash), "{}", sim.story());
        }
        sim.assert_sound();
    }
}

#[test]
fn one_that_may_go_on_or_is_not_to_start_again_is_only_told_until_it_runs() {
    for by in Standstill::ALL {
        let mut sim = runs(7);
        if by.is_a_crash() {
            sim.amend("mail", |vm| vm.spec.restart = Restart::Never);
        }
        let (node, generation) = stands_still(&mut sim, by);
        sim.run(sim.now + MINUTE);
        let vm = sim.document(&mail()).unwrap();
        assert_eq!((vm.state, vm.generation()), (State::Running, generation), "{}", sim.story());
        assert!(is_told(&sim), "{}", sim.story());
        sim.guest(&node, &mail()).still = None;
        sim.publish(&node);
        sim.run(sim.now + MINUTE);
        assert!(!is_told(&sim), "{}", sim.story());
        assert_eq!(sim.truth[&mail()].boots, 1, "{}", sim.story());
        sim.assert_sound();
    }
}
