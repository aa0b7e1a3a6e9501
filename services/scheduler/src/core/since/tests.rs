//! Servers that did otherwise than their outage's report says.

use watari_model::{
    migration::{Migration, Reason, State as Moved},
    outage::{Change, Left, Scope},
};

use super::*;
use crate::core::{
    report::report,
    tests::documents::{Documents, at, migration, name, node, put, site, vm as server},
};

/// A server that runs on a node.
fn on(called: &str, node: &str) -> Vm {
    let mut vm = server(called, 128);
    vm.apply(vm::Change::Granted(name(node)), at(0)).unwrap();
    vm.apply(vm::Change::SeenRunning, at(0)).unwrap();
    vm
}

/// Myodaiji is evacuated: mail left for y1 by its outage, old stays by its policy, and idle was off. By now the servers
/// are as given.
fn evacuated(vms: Vec<Vm>) -> (Snapshot, Outage) {
    let mut outage =
        Outage::begun("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()), String::new(), at(0));
    let left = |called: &str, fault: Refusal| Left { vm: called.parse().unwrap(), fault };
    let stays = left("old", Refusal::PolicyStays { vm: "old".to_owned() });
    let off = left("idle", Refusal::NotRunning { vm: "idle".to_owned(), state: "stopped".to_owned() });
    outage.apply(Change::Emptied(vec![stays, off]), at(9)).unwrap();
    let moved = Migration {
        reason: Reason::Evacuation,
        outage: Some(outage.id.clone()),
        state: Moved::Completed,
        ..migration("mail")
    };
    let (mut docs, mut counter) = (Documents::default(), 0);
    for name in ["myodaiji", "yamate"] {
        put(&mut docs.sites, &mut counter, site(name), 0);
    }
    for (name, site) in [("m1", "myodaiji"), ("y1", "yamate"), ("y2", "yamate")] {
        put(&mut docs.nodes, &mut counter, node(name, site, 4096), 0);
    }
    put(&mut docs.migrations, &mut counter, moved, 0);
    for vm in vms {
        put(&mut docs.vms, &mut counter, vm, 0);
    }
    let Documents { vms, sites, nodes, migrations, .. } = docs;
    (Snapshot { vms, sites, nodes, migrations, ..Snapshot::default() }, outage)
}

/// Who still runs there and whether that is known from the report; and who is elsewhere than it says.
type Told = (Vec<(String, bool)>, Vec<(String, String)>);

fn told(vms: Vec<Vm>) -> Told {
    let (snap, outage) = evacuated(vms);
    let there = still_there(&snap, &outage).into_iter();
    let there = there.map(|vm| (vm.name.to_string(), never_left(&outage, &vm.name).is_some())).collect();
    let since = moved_since(&snap, &outage, &report(&snap, &outage, at(99))).into_iter();
    let place = |node: Option<NodeName>| node.map_or_else(|| "gone".to_owned(), |node| node.to_string());
    (there, since.map(|(vm, node)| (vm.to_string(), place(node))).collect())
}

fn idle() -> Vm {
    let mut idle = on("idle", "m1");
    idle.apply(vm::Change::SeenOff, at(0)).unwrap();
    idle
}

#[test]
fn as_long_as_all_is_as_it_was_only_who_never_left_is_told_of() {
    let (there, since) = told(vec![on("mail", "y1"), on("old", "m1"), idle()]);
    assert_eq!(there, [("old".to_owned(), true)]);
    assert!(since.is_empty(), "{since:?}");
}

#[test]
fn who_runs_there_again_is_told_of_as_such_and_as_being_elsewhere() {
    let (there, since) = told(vec![on("mail", "m1"), on("idle", "m1"), on("old", "y2")]);
    assert_eq!(there, [("idle".to_owned(), false), ("mail".to_owned(), false)]);
    let place = |vm: &str, node: &str| (vm.to_owned(), node.to_owned());
    assert_eq!(since, [place("mail", "m1"), place("old", "y2")]);
}

#[test]
fn who_moved_on_or_is_gone_is_told_of_and_of_an_outage_that_is_over_nothing_is() {
    let (there, since) = told(vec![on("mail", "y2"), idle()]);
    assert!(there.is_empty());
    let place = |vm: &str, node: &str| (vm.to_owned(), node.to_owned());
    assert_eq!(since, [place("mail", "y2"), place("old", "gone")]);
    let (snap, mut outage) = evacuated(vec![on("mail", "m1")]);
    outage.apply(Change::CancelAsked, at(10)).unwrap();
    assert!(still_there(&snap, &outage).is_empty());
    assert!(moved_since(&snap, &outage, &report(&snap, &outage, at(99))).is_empty());
}
