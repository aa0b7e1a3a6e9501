//! Myodaiji while it is emptied, and before.

use watari_contracts::agent::{Passage, Phase, Transfer};
use watari_model::{
    Refusal,
    migration::{Measured, Migration, Reason},
    outage::{Change, Window},
    vm,
};

use super::*;
use crate::core::tests::{
    campus::Campus,
    documents::{at, migration as a_migration, put, vm as server},
};

fn add(campus: &mut Campus, name: &str, node: &str, memory_mib: u64, change: impl FnOnce(&mut Vm)) {
    let mut vm = server(name, memory_mib);
    vm.apply(vm::Change::Granted(node.parse().unwrap()), at(0)).unwrap();
    vm.apply(vm::Change::SeenRunning, at(0)).unwrap();
    change(&mut vm);
    put(&mut campus.docs.vms, &mut campus.docs.revision, vm, 0);
}

fn switch_off(vm: &mut Vm) {
    vm.desired = Desired::Stopped;
    vm.state = vm::State::Stopped;
}

fn crossing(campus: &mut Campus, vm: &str, state: Stage) {
    let measured = Measured { total_ms: 1_000, memory_bytes: 64 << 20, ..Measured::default() };
    let migration = Migration {
        reason: Reason::Evacuation,
        outage: Some("myodaiji-1".parse().unwrap()),
        state,
        measured: (state == Stage::Completed).then_some(measured),
        fault: (state == Stage::Failed).then(|| Refusal::VmUnknown { vm: vm.to_owned() }),
        copying_at: Some(at(0)),
        ..a_migration(vm)
    };
    put(&mut campus.docs.migrations, &mut campus.docs.revision, migration, 0);
}

fn begun() -> Campus {
    let mut campus = Campus::new(Rules::default());
    let scope = Scope::Site("myodaiji".parse().unwrap());
    let outage = Outage::begun("myodaiji-1".parse().unwrap(), scope, "r".to_owned(), at(0));
    put(&mut campus.docs.outages, &mut campus.docs.revision, outage, 0);
    campus
}

#[test]
fn servers_of_a_site_that_is_emptied_are_counted_by_how_far_they_are() {
    let mut campus = begun();
    for (name, node, state) in
        [("moved", "y1", Stage::Completed), ("moving", "m1", Stage::Copying), ("failed", "m1", Stage::Failed)]
    {
        add(&mut campus, name, node, 64, |_| {});
        crossing(&mut campus, name, state);
    }
    add(&mut campus, "old", "m1", 64, |vm| vm.spec.evacuate = Evacuate::Stay);
    add(&mut campus, "off", "m1", 64, switch_off);
    let all = progress(&campus.snapshot(), &campus.rules, at(1_000));
    let [myodaiji, yamate] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((myodaiji.site.as_str(), myodaiji.state), ("myodaiji", Some(State::Evacuating)));
    // Only mail still waits for its turn.
    let counts = (myodaiji.moved, myodaiji.moving, myodaiji.failed, myodaiji.waiting);
    assert_eq!(counts, (1, 1, 1, 1), "{myodaiji:?}");
    // One server took 750 ms in any case, and 250 ms for 64 MiB; five are there, with 384 MiB.
    assert_eq!(myodaiji.left_ms, Some(5_250));
    let nothing = Progress {
        site: "yamate".parse().unwrap(),
        state: None,
        moved: 0,
        moving: 0,
        waiting: 0,
        failed: 0,
        left_ms: Some(0),
        power_off_at: None,
    };
    assert_eq!(*yamate, nothing);
}

#[test]
fn on_the_way_home_those_wait_who_are_still_away_and_nobody_leaves() {
    let mut campus = begun();
    add(&mut campus, "away", "y1", 64, |_| {});
    campus.asked(Change::Emptied(Vec::new()), 1);
    let seen = progress(&campus.snapshot(), &campus.rules, at(1_500)).remove(0);
    assert_eq!((seen.state, seen.waiting, seen.left_ms), (Some(State::Evacuated), 0, Some(0)));
    campus.asked(Change::ReturnAsked, 2);
    let seen = progress(&campus.snapshot(), &campus.rules, at(2_500)).remove(0);
    assert_eq!((seen.state, seen.waiting, seen.moved, seen.left_ms), (Some(State::Returning), 1, 0, Some(0)));
}

#[test]
fn when_the_power_goes_is_said_until_everybody_comes_home() {
    let mut campus = Campus::new(Rules::default());
    let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
    let window = Window { from: at(60_000), until: at(90_000) };
    let outage = Outage::scheduled(id, scope, window, String::new(), String::new(), at(0));
    put(&mut campus.docs.outages, &mut campus.docs.revision, outage, 0);
    let seen = |campus: &Campus| progress(&campus.snapshot(), &campus.rules, at(9_000)).remove(0).power_off_at;
    assert_eq!(seen(&campus), None, "what is to come is told as such");
    for change in [Change::BeginAsked, Change::Emptied(Vec::new())] {
        campus.asked(change, 1_000);
        assert_eq!(seen(&campus), Some(at(60_000)));
    }
    campus.asked(Change::ReturnAsked, 2_000);
    assert_eq!(seen(&campus), None);
}

#[test]
fn how_long_leaving_takes_is_not_said_before_anything_has_travelled() {
    let seen = progress(&begun().snapshot(), &Rules::default(), at(1_000)).remove(0);
    assert_eq!((seen.waiting, seen.left_ms), (1, None));
}

#[test]
fn what_travels_is_summed_up_over_those_that_copy() {
    let mut campus = begun();
    for (name, state) in [
        ("one", Stage::Copying),
        ("two", Stage::Copying),
        ("three", Stage::Queued),
        ("four", Stage::Switching),
        ("five", Stage::Completed),
    ] {
        crossing(&mut campus, name, state);
    }
    let mut snap = campus.snapshot();
    for (number, id) in (1..).zip(["one-1", "two-1", "four-1"]) {
        let transfer = Transfer {
            memory_sent: 10 * number,
            memory_left: 5,
            disk_sent: 100,
            disk_left: 50,
            rate: 7,
            dirty_rate: 3,
            ..Transfer::default()
        };
        let passage = Passage { transfer: Some(transfer), ..Passage::new(id.parse().unwrap(), Phase::Copying) };
        snap.passages.insert(("m1".parse().unwrap(), id.parse().unwrap()), passage);
    }
    let seen = traffic(&snap);
    let wanted = Traffic { counts: [1, 0, 2, 0, 1, 0], sent: 230, left: 110, rate: 14, dirty_rate: 6 };
    assert_eq!(seen, wanted);
}

#[test]
fn every_site_says_what_would_become_of_its_servers_if_it_were_emptied_now() {
    let mut campus = Campus::new(Rules::default());
    // Yamate has 4,096 MiB: the largest is placed first, and mail finds no room beside it.
    add(&mut campus, "large", "m1", 4_096, |_| {});
    add(&mut campus, "old", "m1", 64, |vm| vm.spec.evacuate = Evacuate::Stay);
    add(&mut campus, "off", "m1", 64, switch_off);
    let all = readiness(&campus.snapshot(), &campus.rules, at(0));
    let of = |site: &str, counts: [usize; 4]| {
        let [leaving, staying, by_policy, off] = counts;
        let fates = Fates { leaving, staying, by_policy, off };
        Readiness { site: site.parse().unwrap(), fates, estimated_ms: None }
    };
    assert_eq!(all, [of("myodaiji", [1, 1, 1, 1]), of("yamate", [0; 4])]);
}
