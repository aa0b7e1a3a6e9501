//! What is foreseen of servers that are neither running nor off.

use watari_model::{
    Refusal,
    migration::{Measured, Migration, Reason, State},
    vm::{Change, Desired, Vm},
};

use super::{Forecast, MOST_ON_PATH, forecast, span, speed};
use crate::core::{
    Rules, Snapshot,
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
    let (mut docs, mut counter) = (Documents::default(), 0);
    for name in ["myodaiji", "yamate"] {
        put(&mut docs.sites, &mut counter, site(name), 0);
    }
    put(&mut docs.nodes, &mut counter, node("m1", "myodaiji", 4096), 0);
    put(&mut docs.nodes, &mut counter, node("y1", "yamate", 200), 0);
    for vm in vms {
        put(&mut docs.vms, &mut counter, vm, 0);
    }
    if let Some(migration) = migration {
        put(&mut docs.migrations, &mut counter, migration, 0);
    }
    let Documents { vms, sites, nodes, migrations, .. } = docs;
    let snap = Snapshot { vms, sites, nodes, migrations, ..Snapshot::default() };
    forecast(&snap, &Rules::default(), &"myodaiji".parse().unwrap(), at(now)).unwrap()
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
        let all = speed(&snap).unwrap();
        (span(&snap, all, 10, 1_000 << 20), all.takes_ms(10, 1_000 << 20))
    };
    assert_eq!(with(&[10_000; 9]).0, None, "one group alone says nothing");
    let alike = with(&[10_000; 10]);
    assert_eq!(alike.0, Some((alike.1, alike.1)));
    let (differing, all) = with(&[10_000, 10_000, 10_000, 10_000, 10_000, 20_000, 20_000, 20_000, 20_000, 20_000]);
    let (least, most) = differing.unwrap();
    assert!(least < all && all < most, "{least} {all} {most}");
}
