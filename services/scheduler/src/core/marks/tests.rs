//! When a moment is taken, what is then in the document, and what going back does.

use std::sync::Arc;

use watari_contracts::agent::{Domain, Layer, OffReason, VmFact};
use watari_model::{SnapshotName, image::Consistency};

use super::*;
use crate::core::{
    Action, Rules, Snapshot,
    snapshot::{Answer, Heard},
    tests::{
        campus::{Campus, SECOND},
        documents::{at, facts, put},
    },
};

const OFF: Domain = Domain::Off(OffReason::Shutdown);

/// Mail in Myodaiji, and what its agent says of it.
struct Scene {
    campus: Campus,
    fact: VmFact,
    answers: Vec<(String, Outcome, u32)>,
    /// Since when.
    age_ms: u64,
}

fn name(name: &str) -> SnapshotName {
    name.parse().unwrap()
}

fn mark(number: u64, layer: u32) -> Mark {
    Mark { number, layer, at: at(5), consistency: Consistency::Crash }
}

impl Scene {
    fn new() -> Self {
        let fact = VmFact {
            vm: "mail".parse().unwrap(),
            uuid: None,
            domain: Domain::Running,
            generation: 1,
            granted: true,
            disk: true,
            passage: None,
            stack: Stack::default(),
            still: None,
        };
        Self { campus: Campus::new(Rules::default()), fact, answers: Vec::new(), age_ms: 0 }
    }

    fn mail(&self) -> Vm {
        self.campus.docs.vms["mail"].value.clone()
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Vm)) {
        let there = self.campus.docs.vms["mail"].clone();
        let mut mail = there.value.clone();
        edit(&mut mail);
        assert!(put(&mut self.campus.docs.vms, &mut self.campus.docs.revision, mail, there.revision));
    }

    /// What its agent has answered.
    fn answers(&mut self, key: String, progress: Progress, attempt: u32) {
        self.answers.push((key, Outcome::Order(progress, self.fact.clone()), attempt));
    }

    fn ordered(&mut self) -> Vec<(String, Order)> {
        self.ordered_at(SECOND)
    }

    /// What is ordered at a moment; what is written is done.
    fn ordered_at(&mut self, now: u64) -> Vec<(String, Order)> {
        let mut facts = facts("m1", "myodaiji");
        facts.vms.insert("mail".parse().unwrap(), self.fact.clone());
        let age_ms = self.age_ms;
        let answer = |(key, outcome, attempt): &(String, Outcome, u32)| {
            (key.clone(), Answer { attempt: *attempt, outcome: outcome.clone(), age_ms, news: false })
        };
        let snap = Snapshot {
            epoch: 1,
            vms: self.campus.docs.vms.clone(),
            nodes: self.campus.docs.nodes.clone(),
            heard: [(facts.node.clone(), Heard { facts: Arc::new(facts), age_ms: 0 })].into(),
            answers: self.answers.iter().map(answer).collect(),
            ..Snapshot::default()
        };
        let mut turn = Turn::new(&snap, &self.campus.rules, at(now));
        decide(&mut turn);
        let mut ordered = Vec::new();
        for action in turn.actions {
            match action {
                Action::StoreVm { vm, .. } => self.edit(|mail| *mail = *vm),
                Action::Order { key, order, .. } => ordered.push((key, order)),
                other => panic!("{other:?}"),
            }
        }
        ordered
    }

    /// Off by an operator's word, with two moments.
    fn off() -> Self {
        let mut scene = Self::new();
        scene.edit(|mail| {
            (mail.state, mail.desired) = (State::Stopped, Desired::Stopped);
            for (number, layer, called) in [(1, 2, "one"), (2, 4, "two")] {
                mail.ask_snapshot(name(called), at(0)).unwrap();
                mail.snapshots.note(number, Ok(taken(&mark(number, layer), &Stack::default())));
            }
        });
        scene.fact.domain = OFF;
        scene
    }
}

#[test]
fn a_moment_is_ordered_until_the_agent_says_that_it_has_it_whoever_heard_the_answer() {
    let mut scene = Scene::new();
    assert!(scene.ordered().is_empty(), "nobody asked");
    scene.edit(|mail| mail.ask_snapshot(name("one"), at(0)).unwrap());
    let ordered = scene.ordered();
    let [(key, Order::TakeSnapshot(take))] = ordered.as_slice() else { panic!("{ordered:?}") };
    assert_eq!((take.number, take.generation, &take.named.numbers), (1, 1, &vec![1]));
    assert!(key.ends_with("@m1"), "{key}");
    // The agent of another grant's time has another disk.
    scene.fact.stack.marks = vec![mark(1, 3)];
    scene.fact.generation = 7;
    assert!(scene.ordered().is_empty());
    scene.fact.generation = 1;
    assert!(scene.ordered().is_empty());
    assert_eq!(scene.mail().snapshots.list[0].taken, Some(taken(&mark(1, 3), &Stack::default())));
    assert!(scene.ordered().is_empty(), "it is taken once");
    let known = named(&scene.mail());
    assert_eq!((known.newest, known.numbers, known.layers), (1, vec![1], vec![3]));
}

#[test]
fn what_lies_on_the_disk_for_it_is_kept_free_wherever_its_server_goes() {
    let mut scene = Scene::new();
    let layer = |index, mib: u64| Layer { index, sha256: None, size_bytes: mib << 20 };
    scene.fact.stack.layers = vec![layer(0, 1_000), layer(3, 1_000), layer(4, 9_000)];
    scene.fact.stack.marks = vec![mark(1, 3)];
    scene.edit(|mail| mail.ask_snapshot(name("one"), at(0)).unwrap());
    scene.ordered();
    let free = scene.mail().spec.disk_gib;
    assert_eq!(scene.mail().claims().disk_gib, free + 2, "what is above it is the server's own");
    scene.fact.stack.layers = vec![layer(3, 1_000)];
    scene.ordered();
    assert_eq!(scene.mail().claims().disk_gib, free + 1, "what was below it has been merged");
    assert!(scene.ordered().is_empty());
}

#[test]
fn of_a_server_that_is_off_it_is_taken_too_and_not_while_it_stops_or_is_saved() {
    let mut scene = Scene::off();
    scene.edit(|mail| mail.ask_snapshot(name("three"), at(0)).unwrap());
    let ordered = scene.ordered();
    assert!(matches!(ordered.as_slice(), [(_, Order::TakeSnapshot(take))] if take.number == 3), "{ordered:?}");
    for state in [State::Stopping, State::Suspended, State::Starting] {
        scene.edit(|mail| mail.state = state);
        assert!(scene.ordered().is_empty(), "{state:?}");
    }
}

#[test]
fn why_it_is_not_taken_is_said_and_it_stays_due() {
    let mut scene = Scene::new();
    scene.edit(|mail| mail.ask_snapshot(name("one"), at(0)).unwrap());
    let (key, _) = scene.ordered().swap_remove(0);
    let full = Refusal::SnapshotLayersFull { vm: "mail".to_owned(), most: "7".to_owned() };
    scene.answers(key, Progress::Failed(full.clone()), 0);
    scene.ordered();
    assert_eq!(scene.mail().snapshots.due().and_then(|due| due.fault.clone()), Some(full));
}

#[test]
fn a_disk_goes_back_while_its_server_is_off_and_takes_the_later_name_along() {
    let mut scene = Scene::off();
    scene.edit(|mail| mail.ask_revert(&name("one"), at(0)).unwrap());
    scene.fact.domain = Domain::Running;
    assert!(scene.ordered().is_empty(), "its agent says that it runs");
    scene.fact.domain = OFF;
    let (key, order) = scene.ordered().swap_remove(0);
    assert!(matches!(&order, Order::RevertDisk(revert) if (revert.layer, revert.generation) == (2, 1)), "{order:?}");
    scene.answers(key, Progress::Done, 0);
    assert!(scene.ordered().is_empty());
    let snapshots = scene.mail().snapshots;
    assert_eq!((snapshots.list.len(), snapshots.reverting()), (1, None));
    assert_eq!(snapshots.revert.map(|revert| revert.outcome), Some(vm::Outcome::Done));
}

#[test]
fn a_going_back_that_cannot_be_ends_and_one_that_only_fails_now_is_tried_again_for_a_while() {
    let missing = Refusal::SnapshotLayerMissing { vm: "mail".to_owned(), node: "m1".to_owned() };
    let busy = Refusal::DiskFull { node: "m1".to_owned(), detail: "1 GiB is free".to_owned() };
    for (why, attempt, over) in [(missing, 0, true), (busy.clone(), 0, false), (busy, TRIES, true)] {
        let mut scene = Scene::off();
        scene.edit(|mail| mail.ask_revert(&name("one"), at(0)).unwrap());
        let (key, _) = scene.ordered().swap_remove(0);
        scene.answers(key, Progress::Failed(why.clone()), attempt);
        scene.ordered();
        let snapshots = scene.mail().snapshots;
        assert_eq!((snapshots.reverting().is_none(), snapshots.list.len()), (over, 2), "{why}");
    }
}

#[test]
fn a_going_back_that_nobody_answers_for_is_given_up_so_that_the_server_can_be_started() {
    let mut scene = Scene::off();
    scene.edit(|mail| mail.ask_revert(&name("one"), at(0)).unwrap());
    let (key, _) = scene.ordered().swap_remove(0);
    scene.answers.push((key, Outcome::Silent(Refusal::NoAnswer { who: "node m1".to_owned() }), 0));
    scene.ordered_at(SILENT_MS - 1);
    assert!(scene.mail().snapshots.reverting().is_some());
    scene.age_ms = scene.campus.rules.repeat_ms;
    assert_eq!(scene.ordered_at(SILENT_MS).len(), 1, "it was away, and is asked again first");
    assert!(scene.mail().snapshots.reverting().is_some());
    scene.age_ms = 0;
    scene.ordered_at(SILENT_MS);
    assert_eq!(scene.mail().keeps_its_disk(), Ok(()));
    assert_eq!(scene.mail().snapshots.list.len(), 2);
}
