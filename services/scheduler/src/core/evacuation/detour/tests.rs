//! Whom a way leads where, and who never goes.

use std::{collections::BTreeMap, sync::Arc};

use watari_chassis::Entry;
use watari_model::{
    outage::Scope,
    site::{Change, Supply},
    vm::{Company, Membership},
};

use super::{
    guests::tests::{begun, on, returning_to},
    *,
};
use crate::core::{
    Rules,
    evacuation::target,
    tests::documents::{self, at, name, site},
};

const THREE: [(&str, &str, u64); 3] = [("m1", "myodaiji", 500), ("y1", "yamate", 500), ("o1", "okazaki", 500)];

/// Mail of Myodaiji stands in Yamate, and web of Yamate in Myodaiji.
fn swapped() -> Vec<Vm> {
    vec![on("y1", "mail", "myodaiji", 400), on("m1", "web", "yamate", 300)]
}

fn goes(vm: &str, to: &str) -> Vec<(String, NodeName)> {
    vec![(vm.to_owned(), name(to))]
}

#[test]
fn the_one_that_comes_home_steps_aside_where_it_stands_in_the_way_of_who_stands_in_its_place() {
    assert_eq!(begun(&returning_to(&THREE, swapped())), goes("mail", "o1"));
    // With that done web goes home, as any guest does.
    let later = vec![on("o1", "mail", "myodaiji", 400), on("m1", "web", "yamate", 300)];
    assert_eq!(begun(&returning_to(&THREE, later)), goes("web", "y1"));
    let full = [swapped(), vec![on("o1", "x", "okazaki", 200)]].concat();
    assert_eq!(begun(&returning_to(&THREE, full)), [], "there is no place through which they could");
}

#[test]
fn nobody_steps_aside_twice_nor_to_a_battery() {
    let mut snap = returning_to(&THREE, swapped());
    let strayed = Migration {
        reason: Reason::Return,
        outage: Some("myodaiji-1".parse().unwrap()),
        state: migration::State::Completed,
        from: name("o1"),
        to: name("y1"),
        created_at: at(2),
        ..documents::migration("mail")
    };
    let entry = Entry { value: strayed, revision: 99, created: at(2) };
    snap.migrations = Arc::new(BTreeMap::from([("mail-1".to_owned(), Arc::new(entry))]));
    assert_eq!(begun(&snap), []);

    let mut snap = returning_to(&THREE, swapped());
    let mut okazaki = site("okazaki");
    okazaki.apply(Change::Told(Supply::Battery, None), at(500));
    let entry = Entry { value: okazaki, revision: 99, created: at(0) };
    Arc::make_mut(&mut snap.sites).insert("okazaki".to_owned(), Arc::new(entry));
    assert_eq!(begun(&snap), []);
}

#[test]
fn a_ring_begins_with_the_one_whose_place_is_free() {
    let ring = || {
        let web = on("o1", "web", "yamate", 500);
        vec![on("y1", "mail", "myodaiji", 500), web, on("m1", "batch", "okazaki", 500)]
    };
    assert_eq!(begun(&returning_to(&THREE, ring())), [], "there is no free place");
    let four = [&THREE[..], &[("y2", "yamate", 500)]].concat();
    assert_eq!(begun(&returning_to(&four, ring())), goes("web", "y2"));
    // Then it is the turn of the one before it in the ring.
    let later = [vec![on("y2", "web", "yamate", 500)], vec![ring().remove(0), ring().remove(2)]].concat();
    assert_eq!(begun(&returning_to(&four, later)), goes("batch", "o1"));
    let mut stays = ring();
    stays[1].spec.evacuate = Evacuate::Stay;
    assert_eq!(begun(&returning_to(&four, stays)), [], "who has chosen to stay is left alone");
}

#[test]
fn room_that_lies_in_pieces_is_put_together_by_the_smallest_that_suffices_alone() {
    let nodes = [("m1", "myodaiji", 500), ("m2", "myodaiji", 500), ("y1", "yamate", 500)];
    let pieces = |c_mib: u64| {
        let (a, b) = (on("m1", "a", "myodaiji", 100), on("m1", "b", "myodaiji", 150));
        vec![on("y1", "mail", "myodaiji", 400), a, b, on("m2", "c", "myodaiji", c_mib)]
    };
    assert_eq!(begun(&returning_to(&nodes, pieces(200))), goes("b", "m2"));
    assert_eq!(begun(&returning_to(&nodes, pieces(400))), [], "there is room for a there, which is not enough");
}

#[test]
fn others_of_a_group_that_keeps_apart_go_first() {
    let member = |node: &str, name: &str| {
        let mut vm = on(node, name, "myodaiji", 100);
        vm.spec.groups.push(Membership { group: "mx".parse().unwrap(), company: Company::Apart });
        vm
    };
    let mut picky = member("y1", "mail");
    picky.spec.node_labels.insert("disk".to_owned(), "ssd".to_owned());
    let nodes = [("m1", "myodaiji", 500), ("m2", "myodaiji", 500), ("y1", "yamate", 500)];
    let mut snap = returning_to(&nodes, vec![picky, member("m1", "mail2")]);
    assert_eq!(begun(&snap), [], "room would not help");
    let mut entry = (*snap.nodes["m1"]).clone();
    entry.value.inventory.labels.insert("disk".to_owned(), "ssd".to_owned());
    Arc::make_mut(&mut snap.nodes).insert("m1".to_owned(), Arc::new(entry));
    assert_eq!(begun(&snap), goes("mail2", "m2"));
}

#[test]
fn who_makes_way_for_one_that_leaves_is_not_sent_to_another_site_when_its_target_is_no_longer_fit() {
    let nodes = [("m1", "myodaiji", 500), ("y1", "yamate", 500), ("y2", "yamate", 50), ("o1", "okazaki", 900)];
    let to = |nodes: &[(&str, &str, u64)]| {
        let mut snap = returning_to(nodes, vec![on("y1", "web", "yamate", 100)]);
        let (id, scope) = ("myodaiji-1".parse().unwrap(), Scope::Site("myodaiji".parse().unwrap()));
        let entry = Entry { value: Outage::begun(id, scope, String::new(), at(0)), revision: 99, created: at(0) };
        Arc::make_mut(&mut snap.outages).insert("myodaiji-1".to_owned(), Arc::new(entry));
        let aside = Migration {
            reason: Reason::Evacuation,
            outage: Some("myodaiji-1".parse().unwrap()),
            from: name("y1"),
            to: name("y2"),
            ..documents::migration("web")
        };
        let need = Need::crossing(&snap.vms["web"].value, &snap);
        target(&Turn::new(&snap, &Rules::default(), at(1_000)), &aside, &need).ok()
    };
    assert_eq!(to(&nodes), None);
    assert_eq!(to(&[&nodes[..], &[("y3", "yamate", 200)]].concat()), Some(name("y3")));
}
