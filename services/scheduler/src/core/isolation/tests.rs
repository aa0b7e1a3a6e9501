use std::{collections::BTreeMap, sync::Arc};

use watari_contracts::agent::{Domain, Guard, Guarded, NodeFacts, OffReason, Stack, VmFact};
use watari_model::isolation::{Ledger, OnIsolation, Terms};

use super::*;
use crate::core::{
    Heard,
    tests::documents::{Documents, at, facts, name, node, put, runs, vm},
};

const SILENT: u64 = 15_000;

/// `mail`, granted to m1 and guarded there.
fn mail() -> Vm {
    let mut mail = vm("mail", 128);
    mail.spec.on_isolation = OnIsolation::Stop;
    mail.apply(watari_model::vm::Change::Granted(name("m1")), at(0)).unwrap();
    mail.apply(watari_model::vm::Change::SeenRunning, at(0)).unwrap();
    mail.guarded = Some(1);
    mail
}

fn says(facts: NodeFacts, age_ms: u64) -> Heard {
    Heard { facts: Arc::new(facts), age_ms }
}

/// m1 is lost and silent, m2 is heard, and the tenure is as old as it takes.
fn scene(m1: impl FnOnce(&mut node::Node)) -> Snapshot {
    let (mut docs, mut counter) = (Documents::default(), 0);
    let mut lost = node("m1", "myodaiji", 1_024);
    lost.state = node::State::Lost;
    m1(&mut lost);
    put(&mut docs.nodes, &mut counter, lost, 0);
    put(&mut docs.nodes, &mut counter, node("m2", "myodaiji", 1_024), 0);
    let m2 = says(facts("m2", "myodaiji"), 0);
    Snapshot {
        nodes: docs.nodes,
        heard: BTreeMap::from([(name("m2"), m2)]),
        ledger: Ledger::begin(0, Terms::MOST),
        boot_ms: Terms::MOST.wait_ms(),
        ..Snapshot::default()
    }
}

#[test]
fn a_server_has_ceased_only_if_everything_speaks_for_it() {
    let proved = scene(|_| {});
    assert!(has_ceased(&proved, &mail(), SILENT));
    assert!(may_go_on_elsewhere(&proved, &mail(), &name("m1"), SILENT));
    assert!(!may_go_on_elsewhere(&proved, &mail(), &name("m2"), SILENT), "it is not there");
    let mut never = mail();
    never.spec.restart = Restart::Never;
    assert!(has_ceased(&proved, &never, SILENT) && !may_go_on_elsewhere(&proved, &never, &name("m1"), SILENT));

    // Its node has said so of an earlier grant, or not at all.
    for guarded in [None, Some(0), Some(2)] {
        assert!(!has_ceased(&proved, &Vm { guarded, ..mail() }, SILENT), "{guarded:?}");
    }
    assert!(!has_ceased(&scene(|m1| m1.cordoned = true), &mail(), SILENT), "somebody is at work there");
    assert!(!has_ceased(&scene(|m1| m1.state = node::State::Suspect), &mail(), SILENT));
    let early = Snapshot { boot_ms: Terms::MOST.wait_ms() - 1, ..proved.clone() };
    assert!(!has_ceased(&early, &mail(), SILENT));
    let mut heard = proved.clone();
    heard.heard.insert(name("m1"), says(facts("m1", "myodaiji"), SILENT));
    assert!(!has_ceased(&heard, &mail(), SILENT));
    let mut alone = proved.clone();
    alone.heard.clear();
    assert!(!has_ceased(&alone, &mail(), SILENT), "both nodes of the site are silent: it is the network");
    let mut granted = proved;
    assert!(granted.ledger.grant(&name("m1"), Terms { lease_ms: 1, stop_ms: 1 }, granted.boot_ms));
    assert!(!has_ceased(&granted, &mail(), SILENT), "it was granted a lease a moment ago");
}

#[test]
fn what_a_node_took_back_with_its_last_word_is_not_counted_on() {
    let last = |domain, guarded: Option<u64>| {
        let (vm, uuid) = (mail().name, Some(mail().uuid));
        let fact = VmFact {
            vm: vm.clone(),
            uuid,
            domain,
            generation: 1,
            granted: true,
            disk: true,
            passage: None,
            stack: Stack::default(),
            still: None,
        };
        let vms = guarded.map(|generation| (vm.clone(), Guarded { generation, stopped: false })).into_iter().collect();
        let guard = Some(Guard { terms: Terms::MOST, watchdog: true, vms });
        let facts = NodeFacts { vms: BTreeMap::from([(vm, fact)]), guard, ..facts("m1", "myodaiji") };
        let mut snap = scene(|_| {});
        snap.heard.insert(name("m1"), says(facts, 10 * SILENT));
        has_ceased(&snap, &mail(), SILENT)
    };
    assert!(last(Domain::Running, Some(1)));
    assert!(!last(Domain::Running, None), "its agent lost its journal, or started it without a lease");
    assert!(!last(Domain::Unknown, Some(2)), "of another grant");
    assert!(last(Domain::Absent, None), "it was off before the node was cut off");
}

#[test]
fn whose_wish_it_is_that_a_server_is_off_is_not_known_before_its_node_has_said_whether_it_stopped_it() {
    let said = |vms: &[(u64, bool)]| {
        let guarded =
            |(generation, stopped): &(u64, bool)| (mail().name, Guarded { generation: *generation, stopped: *stopped });
        let guard = Guard { terms: Terms::MOST, watchdog: true, vms: vms.iter().map(guarded).collect() };
        let facts = NodeFacts { guard: Some(guard), ..facts("m1", "myodaiji") };
        let snap = Snapshot { heard: BTreeMap::from([(name("m1"), says(facts, 0))]), ..Snapshot::default() };
        was_stopped(&snap, &VmFact { domain: Domain::Off(OffReason::Shutdown), ..runs(&mail()) }, &name("m1"))
    };
    assert_eq!(said(&[(1, true)]), Stopped::Yes);
    assert_eq!(said(&[(1, false)]), Stopped::Unsaid, "it was alive when the node said so");
    assert_eq!(said(&[]), Stopped::No, "its users shut it down");
    assert_eq!(said(&[(2, true)]), Stopped::No, "of another grant");
}

#[test]
fn a_node_is_taken_at_its_word_as_far_as_it_is_trusted() {
    let said = |watchdog, generation| {
        let vms = BTreeMap::from([(mail().name, Guarded { generation, stopped: false })]);
        let facts = NodeFacts { guard: Some(Guard { terms: Terms::MOST, watchdog, vms }), ..facts("m1", "myodaiji") };
        Snapshot { heard: BTreeMap::from([(name("m1"), says(facts, 0))]), ..Snapshot::default() }
    };
    let (strict, lenient) = (Rules::default(), Rules { trust: Trust::Agent, ..Rules::default() });
    assert_eq!(told(&said(true, 1), &mail(), &strict), Some(Some(1)));
    assert_eq!(told(&said(false, 1), &mail(), &strict), Some(None), "its agent may be dead");
    assert!(!differs(&said(false, 1), &Vm { guarded: None, ..mail() }), "it was told all the same");
    assert!(differs(&said(true, 2), &mail()) && differs(&Snapshot::default(), &mail()));
    assert!(!differs(&Snapshot::default(), &vm("web", 128)));
    assert_eq!(told(&said(false, 1), &mail(), &lenient), Some(Some(1)));
    assert_eq!(told(&said(true, 2), &mail(), &strict), Some(None), "of another grant");
    assert_eq!(told(&Snapshot::default(), &mail(), &strict), None, "nothing is known of who is silent");
    assert_eq!(told(&Snapshot::default(), &vm("web", 128), &strict), Some(None), "nobody ever had it");
}
