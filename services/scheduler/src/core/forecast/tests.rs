//! What is foreseen of servers that are neither running nor off.

use watari_model::{
    Refusal,
    migration::{Measured, Migration, Reason, State},
    node::{Carried, Node, Weight},
    outage::{Outage, Scope},
    vm::{Change, Desired, Vm},
};

use super::{Forecast, MOST_ON_PATH, forecast, forecast_scheduled, span, speed};
use crate::core::{
    DeadlineRules, Rules, Snapshot,
    tests::documents::{Documents, at, migration, name, node, put, site, vm},
};

fn running(name: &str) -> Vm {
    let mut vm = vm(name, 128);
    vm.apply(Change::Granted("m1".parse().unwrap()), at(0)).unwrap();
    vm.apply(Change::SeenRunning, at(0)).unwrap();
    vm
}

fn of(vms: Vec<Vm>, now: u64) -> Forecast {
    foreseen(vms, None, now)
}

fn foreseen(vms: Vec<Vm>, migration: Option<Migration>, now: u64) -> Forecast {
    foreseen_where(|_| {}, vms, migration, now)
}

/// The same where m1 tells something else of itself.
fn foreseen_where(tells: impl FnOnce(&mut Node), vms: Vec<Vm>, migration: Option<Migration>, now: u64) -> Forecast {
    let snap = snapshot(tells, vms, migration);
    forecast(&snap, &Rules::default(), &"myodaiji".parse().unwrap(), at(now)).unwrap()
}

fn snapshot(tells: impl FnOnce(&mut Node), vms: Vec<Vm>, migration: Option<Migration>) -> Snapshot {
    let (mut docs, mut counter) = (Documents::default(), 0);
    for name in ["myodaiji", "yamate"] {
        put(&mut docs.sites, &mut counter, site(name), 0);
    }
    let mut m1 = node("m1", "myodaiji", 4096);
    tells(&mut m1);
    put(&mut docs.nodes, &mut counter, m1, 0);
    put(&mut docs.nodes, &mut counter, node("y1", "yamate", 200), 0);
    for vm in vms {
        put(&mut docs.vms, &mut counter, vm, 0);
    }
    if let Some(migration) = migration {
        put(&mut docs.migrations, &mut counter, migration, 0);
    }
    let Documents { vms, sites, nodes, migrations, .. } = docs;
    Snapshot { vms, sites, nodes, migrations, ..Snapshot::default() }
}

#[test]
fn a_server_that_is_off_for_a_moment_is_waited_for_but_not_for_ever() {
    let mut rebooting = running("mail");
    rebooting.apply(Change::StopAsked, at(1_000)).unwrap();
    let soon = of(vec![rebooting.clone()], 2_000);
    assert_eq!(soon.starting, soon.waiting, "it is not on its way");
    assert_eq!((soon.waiting, soon.left.len()), (vec!["mail".parse().unwrap()], 0));
    let late = of(vec![rebooting.clone()], 62_000);
    assert_eq!((late.waiting.len(), late.left[0].fault.code()), (0, "outage.not-running"));

    let stopping = Vm { desired: Desired::Stopped, ..rebooting };
    assert_eq!(of(vec![stopping], 2_000).left[0].fault.code(), "outage.not-running");
}

#[test]
fn who_is_on_the_way_home_is_foreseen_as_moving() {
    let mut mail = vm("mail", 128);
    mail.apply(Change::Granted("y1".parse().unwrap()), at(0)).unwrap();
    mail.apply(Change::SeenRunning, at(0)).unwrap();
    let home = Migration {
        from: name("y1"),
        to: name("m1"),
        reason: Reason::Return,
        outage: Some("myodaiji-1".parse().unwrap()),
        state: State::Copying,
        copying_at: Some(at(0)),
        ..migration("mail")
    };
    let plan = foreseen(vec![mail.clone()], Some(home.clone()), 1_000);
    assert_eq!((plan.waiting.len(), plan.starting.len(), plan.moves.len()), (1, 0, 0), "{plan:?}");
    assert_eq!(plan.arriving, plan.waiting, "it will have to leave again");
    let away = Migration { from: name("m1"), to: name("y1"), ..home.clone() };
    let plan = foreseen(vec![running("mail")], Some(away), 1_000);
    assert_eq!((plan.waiting.len(), plan.arriving.len()), (1, 0), "{plan:?}");
    // It has the link before the others: what is named as deciding the end is in the sum as well.
    let plan = foreseen(vec![mail.clone(), small("web", &[])], Some(home.clone()), 1_000);
    let named: Vec<&str> = plan.path.vms.iter().map(|vm| vm.as_str()).collect();
    assert_eq!((named, plan.moves.len(), plan.bytes), (vec!["mail", "web"], 1, 136 << 20), "{plan:?}");
    let over = Migration { state: State::Cancelled, ..home };
    assert!(foreseen(vec![mail], Some(over), 1_000).waiting.is_empty(), "it stays where it is");
}

#[test]
fn who_finds_no_room_is_told_why_and_the_worthiest_go_first() {
    let mut mail = running("mail");
    mail.spec.priority = 9;
    let plan = of(vec![running("a"), mail], 1_000);
    let moves: Vec<&str> = plan.moves.iter().map(|m| m.vm.as_str()).collect();
    assert_eq!(moves, ["mail"], "{plan:?}");
    assert_eq!((plan.left[0].vm.as_str(), plan.left[0].fault.code()), ("a", "placement.no-room"));
    assert_eq!((plan.speed, plan.moves[0].bytes, plan.moves[0].measured), (None, 128 << 20, false));
}

#[test]
fn who_is_off_is_told_of_apart_also_if_no_node_ever_had_it() {
    let mut idle = vm("idle", 128);
    idle.desired = Desired::Stopped;
    let mut away = vm("away", 128);
    (away.desired, away.home_site) = (Desired::Stopped, "yamate".parse().unwrap());
    let mut off = running("off");
    off.apply(Change::SeenOff, at(1)).unwrap();
    off.desired = Desired::Stopped;
    let plan = of(vec![idle, away, off], 1_000);
    assert!(plan.left.iter().all(watari_model::outage::Left::is_off), "{plan:?}");
    let view = crate::views::plan("myodaiji".parse().unwrap(), plan, at(1_000));
    let names: Vec<&str> = view.off.iter().map(|vm| vm.as_str()).collect();
    assert_eq!((names, view.failed.len()), (vec!["off", "idle"], 0));
}

#[test]
fn who_did_not_arrive_the_last_time_could_leave_but_is_warned_of() {
    let fault = || Refusal::TargetLost { vm: "mail".to_owned(), node: "y1".to_owned() };
    let warned = |state: State| {
        let fault = (state == State::Failed).then(fault);
        let last = Migration { state, fault, changed_at: at(1_000), ..migration("mail") };
        let plan = foreseen(vec![running("mail")], Some(last), 9_000);
        plan.moves[0].warnings.clone()
    };
    let (vm, migration) = ("mail".to_owned(), "mail-1".to_owned());
    assert_eq!(warned(State::Failed), [Refusal::LastMoveFailed { vm, migration, detail: fault().said() }]);
    for state in [State::Completed, State::Cancelled] {
        assert_eq!(warned(state), [], "{state:?}");
    }
}

#[test]
fn where_the_other_site_is_emptied_itself_the_way_out_is_its_return_and_not_more_room() {
    let snap = snapshot(|_| {}, vec![running("mail")], None);
    let site = "myodaiji".parse().unwrap();
    let told = |snap: &Snapshot| {
        let plan = forecast(snap, &Rules::default(), &site, at(1_000)).unwrap();
        plan.left.iter().map(|left| left.fault.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&snap), []);
    let (mut emptied, mut counter) = (snap, 9);
    let scope = Scope::Site("yamate".parse().unwrap());
    let outage = Outage::begun("yamate-1".parse().unwrap(), scope, String::new(), at(0));
    put(&mut emptied.outages, &mut counter, outage, 0);
    let why = told(&emptied);
    assert_eq!(why, [Refusal::NoRefuge { site: "myodaiji".to_owned() }]);
    assert!(why[0].english().remedy.contains("watari site return"), "{why:?}");
}

#[test]
fn who_writes_as_fast_as_the_link_carries_counts_for_more_and_is_warned_of_unless_it_may_stand_still() {
    const MIB: u64 = 1 << 20;
    // Five seconds of these it did not travel: the link carries 10 MiB a second.
    let measured = Some(Measured { total_ms: 15_000, memory_bytes: 100 * MIB, ..Measured::default() });
    let times = |began, ended| Migration { copying_at: Some(at(began)), changed_at: at(ended), ..migration("mail") };
    let last = Migration { state: State::Completed, measured, ..times(0, 15_000) };
    let plan = |vm: Vm, mib: u64| {
        let weight = Weight { disk_bytes: 20 * MIB, dirty_bytes_per_second: Some(mib * MIB) };
        let tells = |m1: &mut Node| m1.inventory.weights.extend([(vm.name.clone(), weight)]);
        foreseen_where(tells, vec![vm.clone()], Some(last.clone()), 20_000)
    };
    let calm = plan(running("mail"), 5);
    assert_eq!((calm.moves[0].bytes / MIB, calm.moves[0].measured), (220, true), "{calm:?}");
    assert_eq!(calm.moves[0].warnings, []);
    let busy = plan(running("mail"), 10);
    assert_eq!(busy.moves[0].bytes / MIB, 2_020);
    let ten = || "10".to_owned();
    assert_eq!(busy.moves[0].warnings, [Refusal::TooBusy { vm: "mail".to_owned(), written: ten(), carried: ten() }]);
    let mut patient = running("mail");
    patient.spec.max_downtime_seconds = std::num::NonZeroU32::new(20);
    assert_eq!(plan(patient, 10).moves[0].warnings, []);
    let unmeasured = foreseen(vec![running("mail")], Some(last.clone()), 20_000);
    assert_eq!(unmeasured.moves[0].bytes / MIB, 100, "as the last time");
}

#[test]
fn a_copy_has_its_part_of_the_link_and_no_more_than_it_may_send_and_the_plan_reckons_with_that() {
    const MIB: u64 = 1 << 20;
    // The link carries 10 MiB a second, as above.
    let measured = Some(Measured { total_ms: 15_000, memory_bytes: 100 * MIB, ..Measured::default() });
    let last = Migration {
        state: State::Completed,
        measured,
        copying_at: Some(at(0)),
        changed_at: at(15_000),
        ..migration("mail")
    };
    let plan = |rules: &Rules, last: Option<&Migration>| {
        let weight = Weight { disk_bytes: 0, dirty_bytes_per_second: Some(4 * MIB) };
        let tells = |m1: &mut Node| m1.inventory.weights.extend([("mail".parse().unwrap(), weight)]);
        let snap = snapshot(tells, vec![running("mail")], last.cloned());
        let plan = forecast(&snap, rules, &"myodaiji".parse().unwrap(), at(20_000)).unwrap();
        let carried = plan.moves[0].warnings.iter().map(|why| match why {
            Refusal::TooBusy { carried, .. } => carried.clone(),
            other => panic!("{other:?}"),
        });
        (plan.moves[0].bytes / MIB, carried.collect::<Vec<_>>(), plan.estimated_ms())
    };
    let rules = |in_flight: usize, bandwidth_mib: u64| Rules { in_flight, bandwidth_mib, ..Rules::default() };
    // Of 100 MiB, 4 MiB a second are written anew while 10 are sent: 166 in all.
    assert_eq!(plan(&rules(1, 0), Some(&last)), (166, vec![], Some(21_666)));
    assert_eq!(plan(&rules(2, 0), Some(&last)).0, 500, "two share it");
    assert_eq!(plan(&rules(4, 0), Some(&last)).1, ["2"], "a fourth is slower than the server writes");
    let (bytes, carried, took) = plan(&rules(1, 3), Some(&last));
    assert_eq!((bytes, carried), (2_000, vec!["3".to_owned()]), "it is slowed down");
    assert_eq!(took.map(|ms| ms / 1_000), Some(666), "a bound that is set now holds whatever was learned before");
    // The bound is known before the link is; how long it takes is not.
    assert_eq!(plan(&rules(1, 3), None), (2_560, vec!["3".to_owned()], None));
}

#[test]
fn before_any_server_has_crossed_the_link_is_known_by_disks_that_were_sent_ahead_to_another_site() {
    let carried = |rate: u64, ms: u64| Carried { bytes_per_second: rate << 20, at: at(ms) };
    let tells = |m1: &mut Node| {
        let to = [("y1.test", carried(10, 5)), ("y1.old", carried(90, 9)), ("m1.test", carried(90, 8))];
        m1.inventory.carried = to.map(|(address, carried)| (address.to_owned(), carried)).into();
    };
    let plan = foreseen_where(tells, vec![running("mail")], None, 1_000);
    assert_eq!(plan.estimated_ms(), Some(12_800), "{plan:?}");
    let last = Migration {
        state: State::Completed,
        measured: Some(Measured { total_ms: 15_000, memory_bytes: 100 << 20, ..Measured::default() }),
        copying_at: Some(at(0)),
        ..migration("mail")
    };
    let plan = foreseen_where(tells, vec![running("mail")], Some(last.clone()), 20_000);
    assert_eq!(plan.estimated_ms(), Some(15_000), "migrations tell it better");
    let outdated = |m1: &mut Node| {
        let month = 31 * 86_400_000;
        m1.inventory.carried = [("y1.test".to_owned(), carried(20, month))].into();
    };
    let plan = foreseen_where(outdated, vec![running("mail")], Some(last), 20_000);
    assert_eq!(plan.estimated_ms(), Some(5_000), "but not for ever");
}

/// Of 8 MiB, which depends on others.
fn small(name: &str, after: &[&str]) -> Vm {
    let mut vm = running(name);
    vm.spec.memory_mib = 8;
    vm.spec.after = after.iter().map(|other| other.parse().unwrap()).collect();
    vm
}

#[test]
fn the_end_depends_on_all_that_share_the_link_or_on_a_chain_of_servers() {
    let path = |vms: Vec<Vm>| -> (Vec<String>, usize) {
        let plan = of(vms, 1_000);
        (plan.path.vms.iter().map(ToString::to_string).collect(), plan.path.count)
    };
    assert_eq!(path(Vec::new()), (Vec::new(), 0));
    assert_eq!(path(vec![small("b", &[]), small("a", &[])]), (vec!["a".to_owned(), "b".to_owned()], 2));
    let (names, count) = path(vec![small("a", &["z"]), small("m", &[]), small("z", &[])]);
    assert_eq!((names.last().map(String::as_str), count), (Some("a"), 3), "{names:?}");
    let many: Vec<Vm> = (10..30).map(|number| small(&format!("v{number}"), &[])).collect();
    let (names, count) = path(many);
    assert_eq!((names.len(), count, names.last().map(String::as_str)), (MOST_ON_PATH, 20, Some("v29")));
}

#[test]
fn who_would_not_have_arrived_when_the_power_goes_is_named_also_where_nothing_is_known_of_the_link() {
    let late = |plan: &Forecast, ms| plan.late(ms).iter().map(ToString::to_string).collect::<Vec<_>>();
    let servers = || vec![small("a", &[]), small("b", &[])];
    let tells = |m1: &mut Node| {
        let carried = Carried { bytes_per_second: 10 << 20, at: at(5) };
        m1.inventory.carried = [("y1.test".to_owned(), carried)].into();
    };
    // Each takes 800 ms.
    let known = foreseen_where(tells, servers(), None, 1_000);
    assert_eq!(late(&known, 1_600), Vec::<String>::new());
    assert_eq!(late(&known, 1_599), ["b"]);
    assert_eq!(late(&known, 799), ["a", "b"]);
    let unknown = of(servers(), 1_000);
    assert_eq!((unknown.estimated_ms(), late(&unknown, 1_000)), (None, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(late(&unknown, 60_000), Vec::<String>::new());
}

#[test]
fn who_goes_off_for_want_of_time_is_foreseen_of_a_scheduled_outage_where_that_is_chosen() {
    let last = Migration {
        state: State::Completed,
        measured: Some(Measured { total_ms: 15_000, memory_bytes: 100 << 20, ..Measured::default() }),
        copying_at: Some(at(0)),
        changed_at: at(15_000),
        ..migration("mail")
    };
    let snap = snapshot(|_| {}, vec![running("mail")], Some(last));
    let plan = |stops_scheduled: bool, time_ms: Option<u64>| {
        let deadline = DeadlineRules { stops_scheduled, ..DeadlineRules::default() };
        let rules = Rules { deadline, ..Rules::default() };
        forecast_scheduled(&snap, &rules, &"myodaiji".parse().unwrap(), time_ms, at(20_000)).unwrap()
    };
    let counted = |stops_scheduled: bool, time_ms: Option<u64>| {
        let plan = plan(stops_scheduled, time_ms);
        (plan.moves.len(), plan.halts.len())
    };
    assert_eq!((counted(true, Some(10_000)), counted(true, Some(3_600_000))), ((0, 1), (1, 0)));
    assert_eq!((counted(false, Some(10_000)), counted(true, None)), ((1, 0), (1, 0)), "nothing bounds it");
    // Whoever would be late is not lost with the power then: it goes off before.
    assert_eq!([true, false].map(|stops| plan(stops, Some(3_600_000)).late(0).len()), [0, 1]);
}

#[test]
fn how_sure_an_estimate_is_follows_from_how_much_the_last_migrations_differ() {
    let crossed = |number: u64, took_ms: u64| {
        let measured = Measured { total_ms: took_ms, memory_bytes: 100 << 20, ..Measured::default() };
        let began = number * 100_000;
        let last = migration("mail");
        Migration {
            id: format!("mail-{number}").parse().unwrap(),
            state: State::Completed,
            measured: Some(measured),
            copying_at: Some(at(began)),
            changed_at: at(began + took_ms),
            ..last
        }
    };
    let with = |took: &[u64]| {
        let (mut docs, mut counter) = (Documents::default(), 0);
        put(&mut docs.nodes, &mut counter, node("m1", "myodaiji", 4096), 0);
        put(&mut docs.nodes, &mut counter, node("y1", "yamate", 200), 0);
        for (number, took_ms) in (1_u64..).zip(took) {
            put(&mut docs.migrations, &mut counter, crossed(number, *took_ms), 0);
        }
        let snap = Snapshot { nodes: docs.nodes, migrations: docs.migrations, ..Snapshot::default() };
        let (rules, all) = (Rules::default(), speed(&snap, &Rules::default()).unwrap());
        (span(&snap, &rules, all, 10, 1_000 << 20), all.takes_ms(10, 1_000 << 20))
    };
    assert_eq!(with(&[10_000; 9]).0, None, "one group alone says nothing");
    let alike = with(&[10_000; 10]);
    assert_eq!(alike.0, Some((alike.1, alike.1)));
    let (differing, all) = with(&[10_000, 10_000, 10_000, 10_000, 10_000, 20_000, 20_000, 20_000, 20_000, 20_000]);
    let (least, most) = differing.unwrap();
    assert!(least < all && all < most, "{least} {all} {most}");
    // Three at once, of which one arrives every 100 s: of five 500 s are theirs, and not the 700 in which they were under way.
    let (together, all) = with(&[300_000; 15]);
    assert!(together.unwrap().0 < all, "{together:?} {all}");
}
