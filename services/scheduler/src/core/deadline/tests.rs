//! Time and choice by themselves, and what is decided of a server half-way.

use std::sync::Arc;

use proptest::prelude::*;
use watari_contracts::{
    Service,
    agent::{Passage, Phase, Transfer},
    frontend::Standing,
};
use watari_model::{
    Said,
    migration::{Reason, State as Moved},
    outage::{State, Window},
    site,
};

use super::*;
use crate::core::{
    DeadlineRules, Snapshot, control, evacuation,
    tests::documents::{Documents, at, image, migration as a_migration, name, node, put, site as a_site, vm as a_vm},
};

const MIB: u64 = 1 << 20;

proptest! {
    #[test]
    fn nobody_is_past_the_deadline_if_estimates_hold(
        servers in prop::collection::vec((1_u64..102, 0_u64..60_000), 0..40),
        all_ms in 0_u64..600_000,
        stop_ms in 0_u64..60_000,
    ) {
        let deadline = DeadlineRules { stop_ms, ..DeadlineRules::default() };
        let rules = Rules { deadline, ..Rules::default() };
        let mut there: Vec<Candidate> = servers.into_iter().map(|(worth, cost)| Candidate { worth, cost }).collect();
        let mut now = 0;
        loop {
            prop_assert!(now <= all_ms, "somebody is on the way when the power goes");
            let time = Time::of(all_ms - now, all_ms, &rules);
            if time.is_up() {
                let rest = time.stop_ms + rules.handover_ms.min(all_ms / STOPPING_PART);
                prop_assert!(there.is_empty() || now + rest <= all_ms, "there is no time left to stop and to leave");
                break;
            }
            let chosen = worthiest(&there, &[], time.cross_ms);
            match chosen.iter().position(|leaves| *leaves) {
                Some(first) => now += there.remove(first).cost,
                None => now += time.cross_ms.min(1_000),
            }
        }
    }
}

/// A campus on battery since the beginning, for two minutes, with one server that is being copied away.
fn half_way(sent: u64, now: u64) -> (Snapshot, Timestamp) {
    let (mut docs, mut counter) = (Documents::default(), 0);
    let mut dark = a_site("myodaiji");
    dark.apply(site::Change::Told(Supply::Battery, Some(120)), at(0));
    put(&mut docs.sites, &mut counter, dark, 0);
    put(&mut docs.sites, &mut counter, a_site("yamate"), 0);
    put(&mut docs.nodes, &mut counter, node("m1", "myodaiji", 4096), 0);
    put(&mut docs.nodes, &mut counter, node("y1", "yamate", 4096), 0);
    let mut mail = a_vm("mail", 128);
    mail.apply(vm::Change::Granted(name("m1")), at(0)).unwrap();
    mail.apply(vm::Change::SeenRunning, at(0)).unwrap();
    let id: MigrationId = "mail-1".parse().unwrap();
    mail.apply(vm::Change::MigrationBegan { id: id.clone(), to: name("y1") }, at(0)).unwrap();
    let outage = outage();
    let migration = Migration {
        reason: Reason::Evacuation,
        outage: Some(outage.id.clone()),
        state: Moved::Copying,
        copying_at: Some(at(0)),
        ..a_migration("mail")
    };
    put(&mut docs.vms, &mut counter, mail, 0);
    put(&mut docs.migrations, &mut counter, migration, 0);
    put(&mut docs.outages, &mut counter, outage, 0);
    let transfer =
        Transfer { memory_total: 128 * MIB, memory_sent: sent, memory_left: 128 * MIB - sent, ..Transfer::default() };
    let passage = Passage { transfer: Some(transfer), ..Passage::new(id.clone(), Phase::Copying) };
    let Documents { vms, migrations, outages, sites, nodes, .. } = docs;
    let passages = [((name("m1"), id), passage)].into();
    (Snapshot { vms, migrations, outages, sites, nodes, passages, ..Snapshot::default() }, at(now))
}

fn outage() -> Outage {
    let scope = Scope::Site("myodaiji".parse().unwrap());
    Outage::begun("myodaiji-1".parse().unwrap(), scope, String::new(), at(0))
}

/// Who has go off, and how.
fn halted(sent: u64, now: u64) -> Vec<(String, Way)> {
    let (snap, now) = half_way(sent, now);
    let rules = Rules::default();
    let mut turn = Turn::new(&snap, &rules, now);
    let time = time(&turn, &outage()).unwrap();
    halt(&mut turn, &outage(), time);
    let of = |action: &Action| match action {
        Action::StoreVm { vm, .. } => vm.halt.as_ref().map(|halt| (vm.name.to_string(), halt.way)),
        other => panic!("{other:?}"),
    };
    turn.actions.iter().filter_map(of).collect()
}

#[test]
fn a_copy_that_will_not_arrive_is_called_back_once_the_link_has_shown_how_slow_it_is() {
    assert!(halted(64 * MIB, 10_000).is_empty(), "it has half of it behind itself");
    assert!(halted(2 * MIB, 4_000).is_empty(), "a copy begins slowly");
    assert_eq!(halted(8 * MIB, 10_000), [("mail".to_owned(), Way::Suspend)]);
    // There are 29 s to cross in, and the rest takes 39 s, or 33 s.
    assert_eq!(halted(26 * MIB, 10_000), [("mail".to_owned(), Way::Suspend)]);
    assert!(halted(30 * MIB, 10_000).is_empty(), "that is within what may be mismeasured");
    assert_eq!(halted(64 * MIB, 43_000), [("mail".to_owned(), Way::Suspend)], "time is up");
}

/// A second one leaves: it is being prepared, or has sent as much as the first in the same time.
fn beside(snap: &mut Snapshot, state: Moved) {
    let id: MigrationId = "next-1".parse().unwrap();
    let mut next = a_vm("next", 64);
    let began = vm::Change::MigrationBegan { id: id.clone(), to: name("y1") };
    for change in [vm::Change::Granted(name("m1")), vm::Change::SeenRunning, began] {
        next.apply(change, at(0)).unwrap();
    }
    let first = snap.migrations["mail-1"].value.clone();
    let (vm, copying_at) = (next.name.clone(), first.copying_at.filter(|_| state == Moved::Copying));
    if state == Moved::Copying {
        let theirs = snap.passages[&(name("m1"), first.id.clone())].clone();
        snap.passages.insert((name("m1"), id.clone()), Passage { migration: id.clone(), ..theirs });
    }
    let second = Migration { id, vm, state, copying_at, ..first };
    let entry = Entry { value: second, revision: 8, created: at(0) };
    Arc::make_mut(&mut snap.migrations).insert("next-1".to_owned(), Arc::new(entry));
    let entry = Entry { value: next, revision: 9, created: at(0) };
    Arc::make_mut(&mut snap.vms).insert("next".to_owned(), Arc::new(entry));
}

#[test]
fn whose_image_no_other_site_has_needs_the_time_for_that_as_well_until_it_is_being_copied() {
    let left_ms = |sites: &[&str], state: Moved| {
        let (mut snap, now) = half_way(30 * MIB, 10_000);
        beside(&mut snap, state);
        put(&mut snap.images, &mut 9, image(sites), 0);
        let rules = Rules::default();
        let turn = Turn::new(&snap, &rules, now);
        Pace::of(&turn, &outage()).left_ms(&turn, &snap.migrations["next-1"].value)
    };
    let more_ms = |state: Moved| left_ms(&["myodaiji"], state) - left_ms(&["myodaiji", "yamate"], state);
    // 64 MiB at 3 MiB a second.
    assert_eq!([Moved::Queued, Moved::Preparing, Moved::Copying].map(more_ms), [21_333, 21_333, 0]);
}

#[test]
fn copies_side_by_side_are_as_fast_as_the_link_and_have_no_more_time_together() {
    let fits = |state: Moved, in_flight: usize| {
        let (mut snap, now) = half_way(30 * MIB, 10_000);
        beside(&mut snap, state);
        let rules = Rules { in_flight, ..Rules::default() };
        let turn = Turn::new(&snap, &rules, now);
        let (pace, more) = (Pace::of(&turn, &outage()), [a_vm("a", 60), a_vm("b", 60)]);
        let servers: Vec<&Vm> = more.iter().collect();
        // There are 30 s besides what the two that are on their way still take.
        let moving: u64 = migrations(&turn, &outage()).into_iter().map(|m| pace.left_ms(&turn, m)).sum();
        let time = Time { left_ms: 600_000, cross_ms: moving + 30_000, stop_ms: 0 };
        (pace.takes_ms(60 * MIB), fitting(&turn, &outage(), time, &pace, &servers))
    };
    for in_flight in [1, 2] {
        assert_eq!(fits(Moved::Preparing, in_flight), (20_000, vec![true, false]), "one has the link to itself");
        assert_eq!(fits(Moved::Copying, in_flight), (10_000, vec![true, true]), "two share it");
    }
}

/// Who of `other`, `web` and `db`, on which web depends, leaves in 35 s, if db is as `change` makes it; the first two
/// take 15.6 s each.
fn leave(change: impl FnOnce(&mut Vm)) -> [bool; 3] {
    let (mut snap, now) = half_way(64 * MIB, 10_000);
    let [mut other, mut web, mut db] = ["other", "web", "db"].map(|called| a_vm(called, 100));
    (other.spec.priority, web.spec.priority, web.spec.after) = (50, 90, vec![db.name.clone()]);
    db.apply(vm::Change::Granted(name("m1")), at(0)).unwrap();
    change(&mut db);
    let all = [other, web, db];
    for vm in all.clone() {
        let entry = Entry { value: vm, revision: 9, created: at(0) };
        Arc::make_mut(&mut snap.vms).insert(entry.value.name.to_string(), Arc::new(entry));
    }
    let rules = Rules::default();
    let turn = Turn::new(&snap, &rules, now);
    let could: Vec<&Vm> = all.iter().filter(|vm| vm.halt.is_none()).collect();
    // 10 s for who is on the way.
    let time = Time { left_ms: 600_000, cross_ms: 45_000, stop_ms: 0 };
    let fits = fitting(&turn, &outage(), time, &Pace::of(&turn, &outage()), &could);
    let leaves = |vm: &Vm| could.iter().zip(&fits).any(|(one, leaves)| one.name == vm.name && *leaves);
    all.each_ref().map(leaves)
}

#[test]
fn what_is_worth_more_does_not_leave_without_what_it_depends_on() {
    assert_eq!(leave(|_| {}), [false, true, true]);
    assert_eq!(leave(|db| db.spec.memory_mib = 1_000), [true, false, false], "db has no time");
    let fault = Refusal::NoTime { vm: "db".to_owned(), detail: Said::both("1") };
    let halt = Halt { outage: outage().id, way: Way::Suspend, fault, since: at(0) };
    assert_eq!(leave(|db| db.halt = Some(halt)), [true, false, false], "db was called back");
}

#[test]
fn what_shares_the_link_takes_as_long_side_by_side_as_one_after_the_other() {
    let late = |in_flight: usize| -> Vec<String> {
        let (mut snap, now) = half_way(30 * MIB, 10_000);
        beside(&mut snap, Moved::Preparing);
        let rules = Rules { in_flight, ..Rules::default() };
        let turn = Turn::new(&snap, &rules, now);
        let (time, pace) = (time(&turn, &outage()).unwrap(), Pace::of(&turn, &outage()));
        called_back(&turn, &outage(), time, &pace).iter().map(|vm| vm.name.to_string()).collect()
    };
    // Both take 54 s together, and there is time for one.
    assert_eq!([late(1), late(2)], [["next"], ["next"]]);
}

/// What an evacuation decides.
fn decided(snap: &Snapshot, now: Timestamp) -> Vec<Action> {
    let rules = Rules::default();
    let mut turn = Turn::new(snap, &rules, now);
    evacuation::decide(&mut turn);
    turn.actions
}

#[test]
fn who_finds_no_room_elsewhere_does_not_use_up_the_time_of_who_does() {
    // The link takes one of them beside the one that is on its way.
    let (mut snap, now) = half_way(64 * MIB, 10_000);
    for (called, priority, label) in [("worthy", 90, Some("gpu")), ("other", 0, None)] {
        let mut there = a_vm(called, 100);
        there.spec.priority = priority;
        there.spec.node_labels.extend(label.map(|label| (label.to_owned(), "yes".to_owned())));
        there.apply(vm::Change::Granted(name("m1")), at(0)).unwrap();
        there.apply(vm::Change::SeenRunning, at(0)).unwrap();
        let entry = Entry { value: there, revision: 9, created: at(0) };
        Arc::make_mut(&mut snap.vms).insert(called.to_owned(), Arc::new(entry));
    }
    let decided = decided(&snap, now);
    assert!(matches!(&decided[..], [Action::NewMigration(begun)] if begun.vm.as_str() == "other"), "{decided:?}");
}

#[test]
fn a_guest_that_does_not_heed_the_shut_down_before_its_deletion_holds_an_evacuation_up_for_two_minutes_only() {
    let evacuated = |now: u64| -> Option<Vec<Refusal>> {
        let (mut snap, now) = half_way(0, now);
        (snap.sites, snap.migrations) = (Arc::default(), Arc::default());
        let mut mail = Vm { keep_disk: true, ..a_vm("mail", 128) };
        for change in [vm::Change::Granted(name("m1")), vm::Change::SeenRunning, vm::Change::StopAsked] {
            mail.apply(change, at(0)).unwrap();
        }
        mail.desired = Desired::Deleted;
        let entry = Entry { value: mail, revision: 9, created: at(0) };
        snap.vms = Arc::new([("mail".to_owned(), Arc::new(entry))].into());
        match &decided(&snap, now)[..] {
            [] => None,
            [Action::StoreOutage { outage, .. }] if outage.state == State::Evacuated => {
                Some(outage.left.iter().map(|left| left.fault.clone()).collect())
            }
            other => panic!("{other:?}"),
        }
    };
    let stays = Refusal::NotRunning { vm: "mail".to_owned(), state: vm::State::Stopping.word().to_owned() };
    assert_eq!((evacuated(HEEDS_MS - 1), evacuated(HEEDS_MS)), (None, Some(vec![stays])));
}

#[test]
fn the_front_end_leaves_when_time_is_up_though_servers_are_still_going_off() {
    let one = |service, at: &str| Standing {
        service,
        instance: at.to_owned(),
        site: Some(at.parse().unwrap()),
        leads: at == "myodaiji",
        epoch: None,
        leader: None,
        nats: String::new(),
        followed: BTreeMap::new(),
        wish: None,
        quorum: None,
        store: None,
        version: String::new(),
    };
    let standings = Service::OF_FRONT.into_iter().flat_map(|service| ["myodaiji", "yamate"].map(|at| one(service, at)));
    let sight = Arc::new(control::Sight { standings: standings.collect(), ..control::Sight::default() });
    let leaves = |now: u64| {
        let (mut snap, now) = half_way(64 * MIB, now);
        snap.control = control::Control::Seen(Arc::clone(&sight));
        let begun = |action: &Action| matches!(action, Action::StoreOutage { outage, .. } if outage.control.is_some());
        decided(&snap, now).iter().any(begun)
    };
    assert!(!leaves(10_000) && leaves(43_000));
}

#[test]
fn a_battery_that_should_have_been_empty_long_ago_bounds_nothing() {
    let left = |now: u64| {
        let (snap, now) = half_way(0, now);
        time(&Turn::new(&snap, &Rules::default(), now), &outage()).map(|time| (time.left_ms, time.is_up()))
    };
    assert_eq!((left(20_000), left(110_000)), (Some((100_000, false)), Some((10_000, true))));
    assert_eq!((left(120_000), left(179_999)), (Some((0, true)), Some((0, true))));
    assert_eq!(left(180_000), None);
}

#[test]
fn a_server_is_held_by_its_own_outage_where_that_goes_dark_and_only_until_it_is_over() {
    let held = |state: State, on: &str, by: &str| {
        let (mut snap, now) = half_way(0, 0);
        let mut dark = (*snap.outages["myodaiji-1"]).clone();
        dark.value.state = state;
        snap.outages = Arc::new([("myodaiji-1".to_owned(), Arc::new(dark))].into());
        let mut mail = a_vm("mail", 128);
        mail.apply(vm::Change::Granted(name(on)), at(0)).unwrap();
        let fault = Refusal::NoTime { vm: "mail".to_owned(), detail: Said::both("1") };
        mail.halt = Some(Halt { outage: by.parse().unwrap(), way: Way::ShutDown, fault, since: at(0) });
        let rules = Rules::default();
        Turn::new(&snap, &rules, now).is_held(&mail)
    };
    assert!(held(State::Evacuating, "m1", "myodaiji-1") && held(State::Evacuated, "m1", "myodaiji-1"));
    for over in [State::Returning, State::Completed, State::Cancelled] {
        assert!(!held(over, "m1", "myodaiji-1"), "{over:?}");
    }
    assert!(!held(State::Evacuated, "y1", "myodaiji-1"), "it has left after all");
    assert!(!held(State::Evacuated, "m1", "myodaiji-9"), "that outage is forgotten");
}

#[test]
fn a_scheduled_time_bounds_an_evacuation_where_that_is_chosen_and_of_it_and_a_battery_what_ends_sooner() {
    let (on_battery, now) = half_way(0, 10_000);
    let on_mains = Snapshot { sites: Arc::default(), ..on_battery.clone() };
    let left = |snap: &Snapshot, from: u64, now: Timestamp, stops_scheduled: bool| {
        let deadline = DeadlineRules { stops_scheduled, ..DeadlineRules::default() };
        let rules = Rules { deadline, ..Rules::default() };
        let window = Some(Window { from: at(from), until: at(3_600_000) });
        time(&Turn::new(snap, &rules, now), &Outage { window, ..outage() }).map(|time| time.left_ms)
    };
    assert_eq!([false, true].map(|chosen| left(&on_mains, 60_000, now, chosen)), [None, Some(50_000)]);
    assert_eq!([false, true].map(|chosen| left(&on_battery, 60_000, now, chosen)), [Some(110_000), Some(50_000)]);
    assert_eq!(left(&on_battery, 600_000, now, true), Some(110_000), "the battery is empty before");
    assert_eq!(left(&on_mains, 60_000, at(100_000), true), Some(0), "that moment lasts a minute");
    assert_eq!(left(&on_mains, 60_000, at(120_000), true), None, "the power is still there");
}

#[test]
fn who_cannot_leave_before_the_scheduled_loss_of_power_goes_off_in_time_where_that_is_chosen() {
    let (snap, now) = half_way(0, 119_000);
    let mains = Snapshot { sites: Arc::default(), ..snap };
    let rules = |stops_scheduled: bool| {
        let deadline = DeadlineRules { stops_scheduled, ..DeadlineRules::default() };
        Rules { deadline, ..Rules::default() }
    };
    let window = Some(Window { from: at(120_000), until: at(3_600_000) });
    let outage = Outage { window, ..outage() };
    let (chosen, not) = (rules(true), rules(false));
    assert_eq!(time(&Turn::new(&mains, &not, now), &outage), None);
    let mut turn = Turn::new(&mains, &chosen, now);
    let time = time(&turn, &outage).unwrap();
    halt(&mut turn, &outage, time);
    let halts = turn.actions.iter().filter(|action| matches!(action, Action::StoreVm { vm, .. } if vm.halt.is_some()));
    assert_eq!((time.is_up(), halts.count()), (true, 1), "{:?}", turn.actions);
}
