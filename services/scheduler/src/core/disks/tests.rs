//! What is decided of disks that outlive their servers.

use std::{collections::BTreeMap, sync::Arc};

use watari_model::{
    disk::KeptDisk,
    vm::{Change, Leftover, Size},
};

use super::*;
use crate::core::{
    Action, Order, Rooms, Rules, lifecycle,
    snapshot::Heard,
    tests::documents::{Documents, at, facts, name, node, put, runs, vm},
    turn::Turn,
};

const OLD: &str = "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41";

/// Two nodes, the second of which has more room; the first keeps a disk of 5 GiB.
fn snap(vms: impl IntoIterator<Item = Vm>) -> Snapshot {
    let (mut docs, mut counter) = (Documents::default(), 0);
    let mut keeper = node("m1", "myodaiji", 4_096);
    let base = vm("old", 128).spec.base;
    let (disk_gib, size_bytes) = (8, 5 << 30);
    let kept = KeptDisk { vm: "old".parse().unwrap(), project: None, base, disk_gib, size_bytes, kept_at: at(0) };
    keeper.inventory.disks.insert(OLD.to_owned(), kept);
    put(&mut docs.nodes, &mut counter, keeper, 0);
    put(&mut docs.nodes, &mut counter, node("m2", "myodaiji", 8_192), 0);
    for vm in vms {
        put(&mut docs.vms, &mut counter, vm, 0);
    }
    let heard = |of: &str| (name(of), Heard { facts: Arc::new(facts(of, "myodaiji")), age_ms: 0 });
    let Documents { vms, nodes, .. } = docs;
    let heard = BTreeMap::from([heard("m1"), heard("m2")]);
    Snapshot { epoch: 1, vms, nodes, heard, ..Snapshot::default() }
}

fn decided(snap: &Snapshot) -> Vec<Action> {
    let rules = Rules::default();
    let mut turn = Turn::new(snap, &rules, at(1_000));
    lifecycle::decide(&mut turn);
    turn.actions
}

/// A server that begins with the kept disk.
fn heir() -> Vm {
    let mut heir = vm("new", 128);
    heir.spec.first_boot.disk = Some(OLD.to_owned());
    heir
}

#[test]
fn a_disk_that_a_server_has_taken_is_in_use_and_not_unknown() {
    let said = |name: &str| missing(&snap([heir(), vm("other", 128)]), &name.parse().unwrap());
    assert!(matches!(said("older-7b1d4c2e"), Refusal::DiskInUse { vm, .. } if vm == "new"));
    for name in ["older-00000000", "older"] {
        assert!(matches!(said(name), Refusal::DiskUnknown { .. }), "{name}");
    }
}

#[test]
fn a_server_that_begins_with_a_kept_disk_goes_where_it_is_and_takes_it_once() {
    let placed = |vm: Vm| match &decided(&snap([vm]))[..] {
        [Action::StoreVm { vm, .. }] => vm.node().cloned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(placed(vm("any", 128)), Some(name("m2")), "where there is more room");
    assert_eq!(placed(heir()), Some(name("m1")));
    let takes = |vm: Vm| match &decided(&snap([vm]))[..] {
        [Action::Order { order: Order::Start(start), .. }] => start.kept.clone(),
        other => panic!("{other:?}"),
    };
    let mut begun = heir();
    begun.apply(Change::Granted(name("m1")), at(0)).unwrap();
    assert_eq!(takes(begun.clone()).as_deref(), Some(OLD));
    assert_eq!(takes(Vm { booted: true, ..begun }), None, "its disk is its own by now");
}

#[test]
fn what_is_gone_with_its_node_is_not_made_anew_elsewhere() {
    let mut heir = heir();
    heir.spec.first_boot.disk = Some(OLD.replace('7', "8"));
    match &decided(&snap([heir]))[..] {
        [Action::StoreVm { vm, .. }] => assert!(vm.grant.is_none() && vm.fault.is_some(), "{vm:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deleted_server_leaves_its_own_disk_and_no_copy_of_it() {
    let mut gone = vm("gone", 128);
    for change in [Change::Granted(name("m1")), Change::SeenRunning, Change::DeleteAsked] {
        gone.apply(change, at(0)).unwrap();
    }
    gone.leftovers.push(Leftover { node: name("m2"), generation: 1, since: at(0), migration: None, newest: false });
    gone.leftovers.push(Leftover { node: name("y1"), generation: 1, since: at(0), migration: None, newest: true });
    let stays = |keep_disk: bool| -> BTreeMap<String, bool> {
        let removals = |action: Action| match action {
            Action::Order { node, order: Order::Remove(remove), .. } => {
                Some((node.to_string(), remove.keep_disk.is_some()))
            }
            _ => None,
        };
        decided(&snap([Vm { keep_disk, ..gone.clone() }])).into_iter().filter_map(removals).collect()
    };
    // It was started from a copy: the node that was lost has one of its own as well.
    let all =
        |own: bool| BTreeMap::from([("m1", own), ("m2", false), ("y1", own)].map(|(node, is)| (node.to_owned(), is)));
    assert_eq!((stays(true), stays(false)), (all(true), all(false)));
}

#[test]
fn what_a_lost_node_has_of_a_server_waits_while_an_earlier_disk_of_that_name_is_kept_elsewhere() {
    let mut old = Vm { uuid: OLD.to_owned(), ..vm("old", 128) };
    for change in [Change::Granted(name("m2")), Change::SeenRunning] {
        old.apply(change, at(0)).unwrap();
    }
    old.leftovers.push(Leftover { node: name("m3"), generation: 1, since: at(0), migration: None, newest: true });
    let set_aside = |earlier: bool| {
        let mut snap = snap([old.clone()]);
        put(&mut snap.nodes, &mut 9, node("m3", "myodaiji", 4_096), 0);
        if !earlier {
            put(&mut snap.nodes, &mut 9, node("m1", "myodaiji", 4_096), 1);
        }
        let mut here = facts("m2", "myodaiji");
        here.vms.insert(old.name.clone(), runs(&old));
        for facts in [here, facts("m3", "myodaiji")] {
            snap.heard.insert(facts.node.clone(), Heard { facts: Arc::new(facts), age_ms: 0 });
        }
        decided(&snap)
    };
    match &set_aside(false)[..] {
        [Action::Order { node, order: Order::Remove(remove), .. }] => {
            assert!(*node == name("m3") && remove.keep_disk.is_some(), "{remove:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(&set_aside(true)[..], [Action::Alarm { .. }]), "it is neither taken away nor given that name");
}

#[test]
fn a_disk_that_may_have_grown_is_kept_as_a_large_one() {
    let mut gone = Vm { project: "research".parse().unwrap(), ..vm("gone", 128) };
    let size = Size { disk_gib: gone.spec.disk_gib + 1, ..gone.spec.size() };
    for change in [Change::Granted(name("m1")), Change::SeenRunning, Change::Resized(size), Change::DeleteAsked] {
        gone.apply(change, at(0)).unwrap();
    }
    match &decided(&snap([Vm { keep_disk: true, ..gone }]))[..] {
        [Action::Order { order: Order::Remove(remove), .. }] => {
            let keep = remove.keep_disk.as_ref().unwrap();
            assert_eq!((keep.disk_gib, keep.project.as_str()), (size.disk_gib, "research"), "who has it is known");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_kept_disk_takes_room_until_the_server_that_begins_with_it_does() {
    let free = |snap: &Snapshot| Rooms::of(snap, &Rules::default()).get(&name("m1")).unwrap().free().disk_gib;
    let before = free(&snap([]));
    let bare = {
        let mut bare = snap([]);
        let mut without = node("m1", "myodaiji", 4_096);
        without.inventory.disks.clear();
        put(&mut bare.nodes, &mut 9, without, 1);
        free(&bare)
    };
    assert_eq!(bare - before, 5);
    assert_eq!(free(&snap([heir()])), bare);
    let named = named(&snap([]), &"old-7b1d4c2e".parse().unwrap()).map(|kept| kept.node.name.clone());
    assert_eq!(named, Some(name("m1")));
    assert_eq!(taker(&snap([heir()]), OLD).map(|vm| vm.name.as_str().to_owned()), Some("new".to_owned()));
}
