//! Which kept layers go, and which stay because nobody can be sure.

use std::{num::NonZeroU32, sync::Arc};

use watari_contracts::agent::{Domain, NodeFacts, Stack, VmFact};
use watari_model::vm::{Copied, Preseed, Seeded};

use super::*;
use crate::core::{
    Rules, Snapshot,
    snapshot::{Answer, Heard, Outcome},
    tests::{
        campus::{Campus, SECOND},
        documents::{at, facts, name, put},
    },
};

fn layer(index: u32) -> Layer {
    Layer { index, sha256: Some(format!("{index:02x}").repeat(32)), size_bytes: 64 << 20 }
}

/// Mail runs in Myodaiji on those layers, and Yamate keeps some.
struct Scene {
    campus: Campus,
    source: NodeFacts,
    target: NodeFacts,
}

impl Scene {
    fn new(stack: Vec<Layer>, kept: Vec<Layer>) -> Self {
        let campus = Campus::new(Rules::default());
        let uuid = campus.docs.vms["mail"].value.uuid.clone();
        let (mut source, mut target) = (facts("m1", "myodaiji"), facts("y1", "yamate"));
        let fact = VmFact {
            vm: "mail".parse().unwrap(),
            uuid: Some(uuid.clone()),
            domain: Domain::Running,
            generation: 1,
            granted: true,
            disk: true,
            passage: None,
            stack: Stack { layers: stack, top: 9, marks: Vec::new() },
            still: None,
        };
        source.vms.insert(fact.vm.clone(), fact);
        target.layers.insert(uuid, kept);
        Self { campus, source, target }
    }

    fn mail(&mut self) -> &mut VmFact {
        self.source.vms.values_mut().next().unwrap()
    }

    fn snap(&self) -> Snapshot {
        let heard = [&self.source, &self.target]
            .map(|facts| (facts.node.clone(), Heard { facts: Arc::new(facts.clone()), age_ms: 0 }));
        Snapshot {
            epoch: 3,
            vms: self.campus.docs.vms.clone(),
            nodes: self.campus.docs.nodes.clone(),
            heard: heard.into(),
            ..Snapshot::default()
        }
    }

    fn decided(&self, snap: &Snapshot) -> Vec<Action> {
        let mut turn = Turn::new(snap, &self.campus.rules, at(SECOND));
        decide(&mut turn);
        turn.actions
    }

    /// What stays of mail's layers in Yamate; none if nothing is ordered.
    fn stays(&self) -> Option<Vec<Layer>> {
        match self.decided(&self.snap()).as_slice() {
            [] => None,
            [Action::DropLayers { node, drop, .. }] => {
                assert_eq!((node.as_str(), drop.order.epoch), ("y1", 3));
                Some(drop.keep.clone())
            }
            other => panic!("{other:?}"),
        }
    }

    fn without_document(mut self) -> Self {
        Arc::make_mut(&mut self.campus.docs.vms).clear();
        self
    }
}

#[test]
fn layers_that_were_merged_go_where_they_were_sent_and_the_others_stay() {
    let merged = || vec![layer(0), layer(5)];
    assert_eq!(Scene::new(merged(), vec![layer(0), layer(1), layer(2)]).stays(), Some(merged()));
    assert_eq!(Scene::new(merged(), vec![layer(0)]).stays(), None, "nothing of it is useless");
    let other = Layer { sha256: Some("ff".repeat(32)), ..layer(0) };
    assert_eq!(Scene::new(merged(), vec![other]).stays(), Some(merged()), "of another content");
}

#[test]
fn merged_layers_that_a_server_may_be_started_from_stay_until_there_is_a_newer_copy() {
    let stays = |seconds: u32, at_node: &str| {
        let mut scene = Scene::new(vec![layer(5)], vec![layer(0), layer(1)]);
        let entry = scene.campus.docs.vms["mail"].clone();
        let mut mail = entry.value.clone();
        mail.spec.restart_from_copy_seconds = NonZeroU32::new(seconds);
        let copy = Some(Copied { as_of: at(0), stack: Stack { layers: vec![layer(0)], top: 1, marks: Vec::new() } });
        let done = Some(Seeded { number: 1, node: name(at_node), at: at(0), bytes: 1, copy });
        mail.preseed = Some(Preseed { number: 2, to: None, asked_at: at(0), done, fault: None, cancelled: false });
        let docs = &mut scene.campus.docs;
        assert!(put(&mut docs.vms, &mut docs.revision, mail, entry.revision));
        scene.stays()
    };
    assert_eq!(stays(60, "y1"), Some(vec![layer(5), layer(0)]));
    assert_eq!(stays(0, "y1"), Some(vec![layer(5)]), "nobody is started from it");
    assert_eq!(stays(60, "m2"), Some(vec![layer(5)]), "it lies elsewhere");
}

#[test]
fn nothing_goes_while_it_is_not_known_for_sure_what_a_server_stands_on() {
    let unsure = |change: &dyn Fn(&mut VmFact)| {
        let mut scene = Scene::new(vec![layer(0), layer(5)], vec![layer(1)]);
        change(scene.mail());
        scene.stays()
    };
    assert!(unsure(&|_| {}).is_some());
    assert_eq!(unsure(&|fact| fact.stack.layers[1].sha256 = None), None, "its digest is still to be read");
    assert_eq!(unsure(&|fact| fact.stack = Stack::default()), None, "the agent has lost its journal");
    assert_eq!(unsure(&|fact| fact.generation = 0), None);
    assert_eq!(unsure(&|fact| fact.domain = Domain::Off(watari_contracts::agent::OffReason::Unknown)), None);
}

#[test]
fn layers_of_a_server_that_was_deleted_go_and_of_one_whose_document_is_lost_they_stay() {
    let mut scene = Scene::new(vec![layer(0)], vec![layer(0)]).without_document();
    assert_eq!(scene.stays(), None, "it runs, and its document is missing");
    scene.source.vms.clear();
    assert_eq!(scene.stays(), Some(Vec::new()));

    let mut unsure = scene.snap();
    scene.source.hypervisor_answers = false;
    assert_eq!(scene.stays(), None, "its node may have it and cannot say");
    let source: NodeName = "m1".parse().unwrap();
    unsure.heard.get_mut(&source).unwrap().age_ms = scene.campus.rules.silent_ms + 1;
    assert_eq!(scene.decided(&unsure), [], "its node is silent");
    unsure.heard.remove(&source);
    assert_eq!(scene.decided(&unsure), [], "its node was never heard");
}

#[test]
fn a_node_is_not_asked_again_at_once() {
    let scene = Scene::new(vec![layer(0)], vec![layer(1)]);
    let mut snap = scene.snap();
    let decided = scene.decided(&snap);
    let [Action::DropLayers { key, .. }] = &decided[..] else { panic!("{decided:?}") };
    let answer = |age_ms| Answer { attempt: 0, outcome: Outcome::Done, age_ms, news: false };
    snap.answers.insert(key.clone(), answer(0));
    assert_eq!(scene.decided(&snap), []);
    snap.answers.insert(key.clone(), answer(scene.campus.rules.poll_ms));
    assert_eq!(scene.decided(&snap).len(), 1);
}

#[test]
fn where_a_server_runs_nothing_of_it_is_kept_beside() {
    let mut scene = Scene::new(vec![layer(0)], Vec::new());
    let mail: Vm = scene.campus.docs.vms["mail"].value.clone();
    scene.target.layers.clear();
    scene.source.layers.insert(mail.uuid, vec![layer(0)]);
    let decided = scene.decided(&scene.snap());
    assert!(matches!(&decided[..], [Action::DropLayers { drop, .. }] if drop.keep.is_empty()), "{decided:?}");
}
