//! Evacuations against the clock: a slow link, and a battery that ends.

use watari_model::{
    VmName, outage,
    site::Supply,
    vm::{Desired, State, Way},
};

use super::{
    documents::at,
    faults::{CALM, Faults, LOSSY},
    sim::{Broken, Event, Sim},
    wishes::Wish,
};
use crate::core::report::report;

/// From the most to the least worth.
const SERVERS: &[(&str, u64)] = &[("mail", 128), ("web", 128), ("batch", 128), ("old", 128)];
const BEGAN: u64 = 4_000;
/// For how many seconds the battery lasts: two cross, and there is the time to stop and to hand over.
const LASTS: u64 = 190;
const ENDS: u64 = BEGAN + LASTS * 1_000;

/// The campus on battery, with a link over which each server takes half a minute.
fn on_battery(seed: u64, faults: Faults, save_mib: u64) -> Sim {
    let mut sim = Sim::new(seed, SERVERS, faults, Broken::Nothing);
    sim.link = 4 << 20;
    sim.rules.deadline.save_mib = save_mib;
    for ((vm, _), priority) in SERVERS.iter().zip([90, 60, 30, 0]) {
        sim.amend(vm, |vm| vm.spec.priority = priority);
    }
    sim.run(BEGAN);
    sim.after(0, Event::Operator(Wish::Power("myodaiji", Supply::Battery, Some(LASTS))));
    sim.after(0, Event::Operator(Wish::Evacuate("myodaiji")));
    sim
}

/// Where each server is, and how: `y` at the other campus.
fn standing(sim: &Sim) -> Vec<(String, State, bool)> {
    let of = |(vm, _): &(&str, u64)| {
        let vm = sim.document(&vm.parse().unwrap()).unwrap();
        (vm.name.to_string(), vm.state, vm.node().unwrap().as_str().starts_with('y'))
    };
    SERVERS.iter().map(of).collect()
}

fn come_home(sim: &mut Sim) {
    sim.after(0, Event::Operator(Wish::Power("myodaiji", Supply::Mains, None)));
    sim.after(0, Event::Operator(Wish::Return("myodaiji")));
    sim.run(sim.now + 300_000);
    sim.assert_sound();
    let outage = &sim.docs.outages["myodaiji-1"].value;
    assert_eq!(outage.state, outage::State::Completed, "{}", sim.story());
    for (name, state, away) in standing(sim) {
        assert_eq!((state, away), (State::Running, false), "{name}:\n{}", sim.story());
        let vm = sim.document(&name.parse().unwrap()).unwrap();
        assert!(vm.halt.is_none(), "{name} is still said to be off");
    }
}

#[test]
fn with_three_minutes_and_a_slow_link_the_worthiest_cross_and_the_others_are_suspended_in_time() {
    for seed in 0..8 {
        let mut sim = on_battery(seed, CALM, 100);
        sim.run(ENDS - 1_000);
        sim.assert_sound();
        let (run, off) = (State::Running, State::Suspended);
        let names = |n: usize| SERVERS[n].0.to_owned();
        let wanted = [(names(0), run, true), (names(1), run, true), (names(2), off, false), (names(3), off, false)];
        assert_eq!(standing(&sim), wanted, "seed {seed}:\n{}", sim.story());
        let outage = &sim.docs.outages["myodaiji-1"].value;
        assert_eq!(outage.state, outage::State::Evacuated, "seed {seed}");
        let halted: Vec<_> = outage.halted.iter().map(|h| (h.vm.as_str(), h.way, h.fault.code())).collect();
        let why = "outage.no-time";
        assert_eq!(halted, [("batch", Way::Suspend, why), ("old", Way::Suspend, why)]);
        assert!(outage.left.is_empty(), "{:?}", outage.left);
        assert_eq!(report(&sim.snapshot(), outage, at(sim.now)).moved.len(), 2);

        come_home(&mut sim);
        assert!(sim.truth.values().all(|truth| truth.boots == 1), "seed {seed}: all of them go on where they were");
    }
}

#[test]
fn what_no_disk_can_take_in_time_is_shut_down_and_boots_when_the_outage_is_over() {
    let mut sim = on_battery(1, CALM, 0);
    let stopped = "old".parse().unwrap();
    sim.run(60_000);
    let running = sim.document(&stopped).unwrap().state;
    assert_eq!(running, State::Running, "it runs until the last moment:\n{}", sim.story());
    sim.run(ENDS - 1_000);
    sim.assert_sound();
    let off: Vec<_> = standing(&sim).into_iter().filter(|(_, state, _)| *state == State::Stopped).collect();
    assert_eq!(off.len(), 2, "{}", sim.story());
    come_home(&mut sim);
    let boots = |vm: &str| sim.truth[&vm.parse::<VmName>().unwrap()].boots;
    assert_eq!(["mail", "web", "batch", "old"].map(boots), [1, 1, 2, 2]);
}

#[test]
fn what_others_depend_on_goes_off_after_them() {
    let mut sim = on_battery(1, CALM, 0);
    sim.amend("old", |vm| vm.spec.after = vec!["batch".parse().unwrap()]);
    sim.run(ENDS - 1_000);
    sim.assert_sound();
    let off = |vm: &str| {
        let vm = sim.document(&vm.parse().unwrap()).unwrap();
        (vm.state, vm.changed_at)
    };
    let ((old, first), (batch, last)) = (off("old"), off("batch"));
    assert_eq!((old, batch), (State::Stopped, State::Stopped), "{}", sim.story());
    assert!(first < last, "{}", sim.story());
}

#[test]
fn one_whose_database_has_no_time_goes_off_with_it_and_others_use_the_time() {
    const SERVERS: &[(&str, u64)] = &[("mail", 128), ("web", 128), ("batch", 128), ("db", 600)];
    for seed in 0..4 {
        let mut sim = Sim::new(seed, SERVERS, CALM, Broken::Nothing);
        sim.link = 4 << 20;
        for ((vm, _), priority) in SERVERS.iter().zip([90, 60, 30, 0]) {
            sim.amend(vm, |vm| vm.spec.priority = priority);
        }
        sim.amend("web", |vm| vm.spec.after = vec!["db".parse().unwrap()]);
        sim.run(20_000);
        sim.after(0, Event::Operator(Wish::Power("myodaiji", Supply::Battery, Some(LASTS))));
        sim.after(0, Event::Operator(Wish::Evacuate("myodaiji")));
        sim.run(20_000 + LASTS * 1_000 - 1_000);
        sim.assert_sound();
        for (name, crosses) in [("mail", true), ("batch", true), ("web", false), ("db", false)] {
            let vm = sim.document(&name.parse().unwrap()).unwrap();
            let is_away = vm.node().unwrap().as_str().starts_with('y');
            assert_eq!((is_away, is_off(vm.state)), (crosses, !crosses), "seed {seed}: {name}:\n{}", sim.story());
        }
    }
}

#[test]
fn nobody_is_left_running_when_the_power_goes_though_messages_are_lost() {
    for seed in 0..20 {
        let mut sim = on_battery(seed, Faults { aim: 0, ..LOSSY }, 100);
        sim.run(ENDS);
        sim.assert_sound();
        for (name, state, away) in standing(&sim) {
            let safe = if away { state == State::Running || state == State::Migrating } else { is_off(state) };
            assert!(safe, "seed {seed}: {name} is {state:?}:\n{}", sim.story());
        }
        sim.heal();
        come_home(&mut sim);
    }
}

const fn is_off(state: State) -> bool {
    matches!(state, State::Stopped | State::Suspended)
}

#[test]
fn an_outage_that_is_called_off_starts_whom_it_stopped_and_nobody_else() {
    let mut sim = on_battery(1, CALM, 100);
    sim.run(20_000);
    sim.amend("old", |vm| vm.desired = Desired::Stopped);
    sim.run(ENDS - 1_000);
    sim.assert_sound();
    sim.after(0, Event::Operator(Wish::CallOff("myodaiji")));
    sim.run(ENDS + 60_000);
    sim.assert_sound();
    let state = |vm: &str| sim.document(&vm.parse().unwrap()).unwrap().state;
    assert_eq!((state("batch"), state("old")), (State::Running, State::Stopped), "{}", sim.story());
}
