use std::{num::NonZeroU32, sync::Arc};

use watari_contracts::agent::{Layer, Stack};
use watari_model::{
    node::{self, Node},
    outage::{self, Outage, Scope},
    vm::{Copied, Desired, Leftover, Preseed, Seeded},
};

use super::*;
use crate::core::{
    Action, Heard, Rules,
    tests::{
        campus::{Campus, SECOND},
        documents::{at, facts, migration, name, put},
    },
};

fn layer() -> Layer {
    Layer { index: 0, sha256: Some("0a".repeat(32)), size_bytes: 300 << 20 }
}

/// Mail ran at m1, which is off since the 100th second; its copy of the 40th lies at y1.
struct Scene {
    campus: Campus,
    kept: Vec<Layer>,
    y1_age_ms: u64,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self { campus: Campus::new(Rules::default()), kept: vec![layer()], y1_age_ms: 0 };
        scene.node("m1", |m1| {
            m1.state = node::State::Lost;
            m1.off = Some(node::Off { by: "sato".to_owned(), at: at(100 * SECOND), for_good: false });
        });
        scene.mail(|mail| {
            mail.apply(Change::SeenOff, at(100 * SECOND)).unwrap();
            mail.spec.restart_from_copy_seconds = NonZeroU32::new(60);
            let stack = Stack { layers: vec![layer()], top: 1, marks: Vec::new() };
            let copy = Some(Copied { as_of: at(40 * SECOND), stack });
            let done = Some(Seeded { number: 1, node: name("y1"), at: at(50 * SECOND), bytes: 300 << 20, copy });
            let (to, asked_at) = (Some(name("y1")), at(40 * SECOND));
            mail.preseed = Some(Preseed { number: 1, to, asked_at, done, fault: None, cancelled: false });
        });
        scene
    }

    fn mail(&mut self, change: impl FnOnce(&mut Vm)) {
        let entry = self.campus.docs.vms["mail"].clone();
        let mut mail = entry.value.clone();
        change(&mut mail);
        assert!(put(&mut self.campus.docs.vms, &mut self.campus.docs.revision, mail, entry.revision));
    }

    fn node(&mut self, name: &str, change: impl FnOnce(&mut Node)) {
        let entry = self.campus.docs.nodes[name].clone();
        let mut node = entry.value.clone();
        change(&mut node);
        assert!(put(&mut self.campus.docs.nodes, &mut self.campus.docs.revision, node, entry.revision));
    }

    /// What is known long after.
    fn snapshot(&self) -> Snapshot {
        let mut there = facts("y1", "yamate");
        there.layers.insert(self.campus.docs.vms["mail"].value.uuid.clone(), self.kept.clone());
        let heard = Heard { facts: Arc::new(there), age_ms: self.y1_age_ms };
        Snapshot { heard: [(name("y1"), heard)].into(), ..self.campus.snapshot() }
    }

    /// The server as it is granted the copy then; none if it is not.
    fn granted(&self) -> Option<Vm> {
        let snap = self.snapshot();
        let mut turn = Turn::new(&snap, &self.campus.rules, at(5_000 * SECOND));
        let entry = &snap.vms["mail"];
        let said = decide(&mut turn, entry);
        match turn.actions.as_slice() {
            [Action::StoreVm { vm, revision, restart: true }] if said && *revision == entry.revision => {
                Some(Vm::clone(vm))
            }
            [] if !said => None,
            other => panic!("{said}: {other:?}"),
        }
    }
}

#[test]
fn a_server_is_granted_the_copy_where_it_lies_and_what_that_loses_is_written_down() {
    let mail = Scene::new().granted().unwrap();
    assert_eq!((mail.state, mail.node(), mail.generation()), (State::Starting, Some(&name("y1")), 2));
    let restored = mail.restored.unwrap();
    assert_eq!((restored.from, restored.lost_seconds), (name("m1"), 60));
    assert_eq!(restored.stack.map(|stack| stack.layers), Some(vec![layer()]));
    assert!(mail.leftovers.iter().any(|leftover| leftover.node == name("m1") && leftover.newest));
}

/// What makes one condition untrue.
type Spoil = fn(&mut Scene);

#[test]
fn it_is_not_granted_the_copy_if_anything_is_otherwise() {
    let cases: [(&str, Spoil); 15] = [
        ("nobody says that its node is off", |s| s.node("m1", |m1| m1.off = None)),
        ("its node is back", |s| s.node("m1", |m1| m1.state = node::State::Ready)),
        ("it is not known to be off itself", |s| s.mail(|mail| mail.state = State::Running)),
        ("its start may still come there", |s| s.mail(|mail| mail.unseen = Some(1))),
        ("it is to be off", |s| s.mail(|mail| mail.desired = Desired::Stopped)),
        ("it accepts less", |s| s.mail(|mail| mail.spec.restart_from_copy_seconds = NonZeroU32::new(59))),
        ("it accepts nothing", |s| s.mail(|mail| mail.spec.restart_from_copy_seconds = None)),
        ("the copy is not whole", |s| s.kept = vec![Layer { index: 1, ..layer() }]),
        ("the copy's node is silent", |s| s.y1_age_ms = 1_000_000),
        ("the copy's node is lost", |s| s.node("y1", |y1| y1.state = node::State::Lost)),
        ("the copy's node takes nothing", |s| s.node("y1", |y1| y1.cordoned = true)),
        ("there is no room", |s| s.node("y1", |y1| y1.inventory.memory_mib = 64)),
        ("a migration's copy lies there", |s| {
            let left = Leftover { node: name("y1"), generation: 1, since: at(0), migration: None, newest: false };
            s.mail(|mail| mail.leftovers.push(left));
        }),
        ("a migration is not over", |s| {
            assert!(put(&mut s.campus.docs.migrations, &mut s.campus.docs.revision, migration("mail"), 0));
        }),
        ("a planned outage has its node", |s| {
            let scope = Scope::Site("myodaiji".parse().unwrap());
            let begun = Outage::begun("myodaiji-1".parse().unwrap(), scope, String::new(), at(0));
            let outage = Outage { state: outage::State::Evacuated, ..begun };
            assert!(put(&mut s.campus.docs.outages, &mut s.campus.docs.revision, outage, 0));
        }),
    ];
    for (what, otherwise) in cases {
        let mut scene = Scene::new();
        otherwise(&mut scene);
        assert_eq!(scene.granted(), None, "{what}");
    }
}

#[test]
fn what_is_there_of_a_copy_that_was_given_up_is_cleared_away_unless_the_disk_before_it_is_lost_for_good() {
    let given_back = |m1: fn(&mut Node)| {
        let mut scene = Scene::new();
        scene.mail(|mail| {
            for change in [Change::GrantedCopy, Change::CopyDiscarded] {
                mail.apply(change, at(200 * SECOND)).unwrap();
            }
        });
        scene.node("m1", m1);
        let snap = scene.snapshot();
        let mut turn = Turn::new(&snap, &scene.campus.rules, at(5_000 * SECOND));
        let said = give_back(&mut turn, &snap.vms["mail"]);
        (said, turn.actions)
    };
    match given_back(|m1| (m1.state, m1.off) = (node::State::Ready, None)) {
        (true, actions) => match &actions[..] {
            [Action::Order { node, order: Order::Remove(remove), .. }] => {
                assert_eq!((node, remove.generation, remove.keep_layers), (&name("y1"), 3, true));
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    let for_good = given_back(|m1| m1.off.iter_mut().for_each(|off| off.for_good = true));
    assert_eq!(for_good, (false, Vec::new()), "it is to be started on what there is of the copy");
}
