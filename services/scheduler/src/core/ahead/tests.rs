//! When a disk is frozen, sent and said to be there; and where its server then goes.

use std::{num::NonZeroU32, sync::Arc};

use watari_contracts::agent::{Domain, Layer, Order as Head, Progress, Stack, VmFact};
use watari_model::{
    outage::{Outage, Scope, Window},
    vm::Vm,
};

use super::*;
use crate::core::{
    Action, PreseedRules, Rules,
    snapshot::{Answer, Heard},
    tests::{
        campus::{Campus, SECOND},
        documents::{at, facts, migration, node as a_node, put},
    },
};

fn layer() -> Layer {
    Layer { index: 0, sha256: Some("0a".repeat(32)), size_bytes: 300 << 20 }
}

fn frozen() -> Stack {
    Stack { layers: vec![layer()], top: 1, marks: Vec::new() }
}

fn runs(stack: &Stack) -> VmFact {
    VmFact {
        vm: "mail".parse().unwrap(),
        uuid: None,
        domain: Domain::Running,
        generation: 1,
        granted: true,
        disk: true,
        passage: None,
        stack: stack.clone(),
        still: None,
    }
}

/// Mail runs in Myodaiji, and its disk is wanted in Yamate.
struct Scene {
    campus: Campus,
    stack: Stack,
    kept: Vec<Layer>,
    answers: Vec<(String, Progress)>,
}

impl Scene {
    fn new(rules: Rules) -> Self {
        Self { campus: Campus::new(rules), stack: Stack::default(), kept: Vec::new(), answers: Vec::new() }
    }

    fn mail(&self) -> Vm {
        self.campus.docs.vms["mail"].value.clone()
    }

    fn store(&mut self, vm: Vm) {
        let revision = self.campus.docs.vms["mail"].revision;
        assert!(put(&mut self.campus.docs.vms, &mut self.campus.docs.revision, vm, revision));
    }

    fn ask(&mut self) {
        let mut mail = self.mail();
        mail.ask_preseed(None, at(0));
        self.store(mail);
    }

    fn snap(&self) -> Snapshot {
        let (mut source, mut target) = (facts("m1", "myodaiji"), facts("y1", "yamate"));
        source.vms.insert("mail".parse().unwrap(), runs(&self.stack));
        if !self.kept.is_empty() {
            target.layers.insert(self.mail().uuid, self.kept.clone());
        }
        let heard = [source, target].map(|facts| (facts.node.clone(), Heard { facts: Arc::new(facts), age_ms: 0 }));
        let answer = |progress: &Progress| Answer {
            attempt: 0,
            outcome: Outcome::Order(progress.clone(), runs(&self.stack)),
            age_ms: 0,
            news: false,
        };
        Snapshot {
            epoch: 1,
            heard: heard.into(),
            answers: self.answers.iter().map(|(key, progress)| (key.clone(), answer(progress))).collect(),
            ..self.campus.snapshot()
        }
    }

    /// What is decided at a second; what is written is done.
    fn decided(&mut self, second: u64) -> Vec<Action> {
        let snap = self.snap();
        let mut turn = Turn::new(&snap, &self.campus.rules, at(second * SECOND));
        decide(&mut turn);
        let actions = turn.actions;
        for action in &actions {
            if let Action::StoreVm { vm, .. } = action {
                self.store(Vm::clone(vm));
            }
        }
        actions
    }

    /// The one order that is decided, and its key.
    fn ordered(&mut self) -> (String, Order) {
        match self.decided(1).as_slice() {
            [Action::Order { key, order, .. }] => (key.clone(), order.clone()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_a_server_may_be_started_from_holds_all_that_was_frozen_whatever_was_told_before() {
    let mut scene = Scene::new(Rules::default());
    let mut mail = scene.mail();
    mail.spec.restart_from_copy_seconds = NonZeroU32::new(60);
    mail.ask_preseed(None, at(0));
    scene.store(mail);
    scene.decided(1);
    let (key, order) = scene.ordered();
    assert!(matches!(order, Order::Freeze(freeze) if freeze.least_mib == 0), "be it ever so little");
    scene.answers.push((key, Progress::Done));
    (scene.stack, scene.kept) = (frozen(), vec![layer()]);

    // The node's word from before the freezing comes after its answer.
    let mut late = scene.snap();
    let heard = late.heard.get_mut(&"m1".parse::<NodeName>().unwrap()).unwrap();
    Arc::make_mut(&mut heard.facts).vms.insert("mail".parse().unwrap(), runs(&Stack::default()));
    let mut turn = Turn::new(&late, &scene.campus.rules, at(SECOND));
    decide(&mut turn);
    assert_eq!(turn.actions, []);

    scene.decided(1);
    let copy = scene.mail().preseed.unwrap().done.unwrap().copy;
    assert_eq!(copy, Some(Copied { as_of: at(0), stack: frozen() }));
}

#[test]
fn a_disk_is_frozen_then_sent_and_is_there_when_the_other_node_says_so() {
    let mut scene = Scene::new(Rules::default());
    assert_eq!(scene.decided(1), [], "nobody asked");
    scene.ask();
    scene.decided(1);
    assert_eq!(scene.mail().seeded_on().map(NodeName::as_str), Some("y1"), "the other site has one node");

    let (key, order) = scene.ordered();
    assert!(matches!(&order, Order::Freeze(freeze) if freeze.generation == 1), "{order:?}");
    assert!(key.ends_with("@m1"), "{key}");
    scene.answers.push((key, Progress::Done));
    scene.stack = frozen();
    let (key, order) = scene.ordered();
    let Order::SendAhead(ahead) = &order else { panic!("{order:?}") };
    assert!(!ahead.urgent && ahead.bandwidth_mib == 20 && key.ends_with("@m1"), "{order:?}");

    // It was sent, and then frozen once more: that is another sending, and due at once.
    scene.answers.push((key.clone(), Progress::Done));
    assert_eq!(scene.decided(1), []);
    scene.stack.layers.push(Layer { index: 1, ..layer() });
    scene.stack.top = 2;
    let (again, order) = scene.ordered();
    assert!(matches!(order, Order::SendAhead(_)) && again != key, "{again}");
    scene.stack = frozen();

    scene.kept = vec![layer()];
    scene.decided(2);
    let done = scene.mail().preseed.and_then(|preseed| preseed.done).unwrap();
    assert_eq!((done.node.as_str(), done.bytes, done.at), ("y1", 300 << 20, at(2 * SECOND)));
    assert_eq!(scene.decided(3), [], "it is asked for once");
}

#[test]
fn a_layer_whose_digest_is_another_or_not_known_yet_is_not_there() {
    let scene = Scene { kept: vec![layer()], ..Scene::new(Rules::default()) };
    let (snap, mail, y1) = (scene.snap(), scene.mail(), "y1".parse().unwrap());
    let stack = |layer: Layer| Stack { layers: vec![layer], ..frozen() };
    let held = |layer: Layer| is_held(&snap, &y1, &mail, &stack(layer), None);
    assert!(held(layer()));
    assert!(!held(Layer { sha256: None, ..layer() }));
    assert!(!held(Layer { sha256: Some("0b".repeat(32)), ..layer() }));
    assert!(!held(Layer { index: 2, ..layer() }));
    assert!(is_held(&snap, &y1, &mail, &Stack::default(), None), "of nothing, nothing is missing");
}

#[test]
fn nothing_is_frozen_while_a_migration_is_to_come() {
    let mut scene = Scene::new(Rules::default());
    scene.ask();
    scene.decided(1);
    put(&mut scene.campus.docs.migrations, &mut scene.campus.docs.revision, migration("mail"), 0);
    assert_eq!(scene.decided(2), []);
}

#[test]
fn what_cannot_be_done_is_told_and_tried_again() {
    let mut scene = Scene::new(Rules::default());
    scene.ask();
    scene.decided(1);
    let (key, _) = scene.ordered();
    let full = Refusal::DiskFull { node: "m1".to_owned(), detail: "1 GiB is free".to_owned() };
    scene.answers.push((key, Progress::Failed(full.clone())));
    scene.decided(2);
    assert_eq!(scene.mail().preseed.and_then(|preseed| preseed.fault), Some(full));
    assert!(scene.mail().preseed.is_some_and(|preseed| preseed.is_due()));
}

/// Myodaiji's power goes at that second, and its servers are sent ahead 10,000 s and 1,000 s before.
fn with_outage(from: u64) -> Scene {
    let preseed = PreseedRules { lead_ms: 10_000 * SECOND, again_ms: 1_000 * SECOND, ..PreseedRules::default() };
    let mut scene = Scene::new(Rules { preseed, ..Rules::default() });
    let window = Window { from: at(from * SECOND), until: at((from + 100) * SECOND) };
    let scope = Scope::Site("myodaiji".parse().unwrap());
    let outage =
        Outage::scheduled("myodaiji-1".parse().unwrap(), scope, window, "inspection".into(), "r".into(), at(0));
    put(&mut scene.campus.docs.outages, &mut scene.campus.docs.revision, outage, 0);
    scene
}

#[test]
fn what_was_taken_back_before_an_outage_is_asked_for_again_only_shortly_before_it() {
    let from = 100_000;
    let node = |name: &str| Some(name.parse::<NodeName>().unwrap());
    // The wish is older than the time for it; or it follows one within the site, to which it then goes back.
    for (to, number) in [(node("y1"), 1), (node("m2"), 2)] {
        let mut scene = with_outage(from);
        put(&mut scene.campus.docs.nodes, &mut scene.campus.docs.revision, a_node("m2", "myodaiji", 4096), 0);
        let mut mail = scene.mail();
        mail.ask_preseed(to.clone(), at(0));
        if to == node("m2") {
            let done = Seeded { number: 1, node: "m2".parse().unwrap(), at: at(1), bytes: 1, copy: None };
            mail.preseed.as_mut().unwrap().done = Some(done);
        }
        scene.store(mail);
        scene.decided(from - 10_000);
        let mut mail = scene.mail();
        mail.cancel_preseed(at((from - 9_999) * SECOND));
        scene.store(mail);
        for (second, number, is_due) in [(from - 9_998, number, false), (from - 1_000, number + 1, true)] {
            scene.decided(second);
            let preseed = scene.mail().preseed.unwrap();
            assert_eq!((preseed.number, preseed.is_due()), (number, is_due), "{to:?} at {second}");
        }
    }
}

#[test]
fn a_site_whose_outage_is_near_is_sent_ahead_and_once_more_shortly_before() {
    let from = 100_000;
    let mut scene = with_outage(from);
    let number = |scene: &Scene| scene.mail().preseed.map(|preseed| preseed.number);
    scene.decided(from - 10_001);
    assert_eq!(number(&scene), None);
    scene.decided(from - 10_000);
    assert_eq!(number(&scene), Some(1));
    let mut mail = scene.mail();
    let node: NodeName = "y1".parse().unwrap();
    let done = Seeded { number: 1, node, at: at((from - 9_000) * SECOND), bytes: 1, copy: None };
    mail.preseed.as_mut().unwrap().done = Some(done);
    scene.store(mail);
    scene.decided(from - 1_001);
    assert_eq!(number(&scene), Some(1));
    scene.decided(from - 1_000);
    assert_eq!(number(&scene), Some(2));
}

#[test]
fn a_disk_that_was_sent_within_its_site_goes_to_another_site_when_it_is_asked_for_without_a_target() {
    let mut scene = Scene::new(Rules::default());
    put(&mut scene.campus.docs.nodes, &mut scene.campus.docs.revision, a_node("m2", "myodaiji", 4096), 0);
    let node = |name: &str| name.parse::<NodeName>().unwrap();
    for done in [None, Some(Seeded { number: 1, node: node("m2"), at: at(1), bytes: 1, copy: None })] {
        let mut mail = scene.mail();
        let (to, fault, cancelled) = (Some(node("m2")), None, false);
        mail.preseed = Some(Preseed { number: 1, to, asked_at: at(0), done, fault, cancelled });
        ask_elsewhere(&scene.snap(), &mut mail, at(2));
        assert!(mail.preseed.as_ref().is_some_and(Preseed::is_due));
        scene.store(mail);
        scene.decided(3);
        assert_eq!(scene.mail().seeded_on(), Some(&node("y1")));
    }
    // Where it lies at the other site already, it is sent again.
    let mut mail = scene.mail();
    ask_elsewhere(&scene.snap(), &mut mail, at(4));
    assert_eq!(mail.seeded_on(), Some(&node("y1")));
}

#[test]
fn an_order_to_send_ahead_names_what_a_migration_waits_for() {
    let scene = Scene { stack: frozen(), ..Scene::new(Rules::default()) };
    let (snap, mail) = (scene.snap(), scene.mail());
    let mut turn = Turn::new(&snap, &scene.campus.rules, at(SECOND));
    let _ = send(&mut turn, "send-ahead-mail-1", &mail, &"y1".parse().unwrap(), Haste::Migration);
    let [Action::Order { order: Order::SendAhead(ahead), .. }] = turn.actions.as_slice() else {
        panic!("{:?}", turn.actions)
    };
    assert!(ahead.urgent);
    assert_eq!(ahead.order, Head { epoch: 1, operation: "send-ahead-mail-1".to_owned() });
}

/// Yamate is being emptied, or comes home again.
fn yamate(scene: &mut Scene, state: State) {
    let scope = Scope::Site("yamate".parse().unwrap());
    let begun = Outage::begun("yamate-1".parse().unwrap(), scope, String::new(), at(0));
    let revision = scene.campus.docs.outages.get("yamate-1").map_or(0, |entry| entry.revision);
    let outage = Outage { state, ..begun };
    assert!(put(&mut scene.campus.docs.outages, &mut scene.campus.docs.revision, outage, revision));
}

#[test]
fn a_disk_that_has_nowhere_to_go_says_why_as_long_as_that_is_so() {
    let mut scene = Scene::new(Rules::default());
    scene.ask();
    scene.decided(1);
    assert_eq!(scene.mail().seeded_on().map(NodeName::as_str), Some("y1"));
    yamate(&mut scene, State::Evacuating);
    scene.decided(2);
    let preseed = scene.mail().preseed.unwrap();
    let (site, outage) = ("yamate".to_owned(), "yamate-1".to_owned());
    assert_eq!((preseed.to.clone(), preseed.fault.clone()), (None, Some(Refusal::SiteDraining { site, outage })));
    assert!(preseed.is_due() && scene.mail().fault.is_none(), "nothing is the matter with the server");
    assert_eq!(scene.decided(3), [], "it is said once");
    yamate(&mut scene, State::Completed);
    scene.decided(4);
    let preseed = scene.mail().preseed.unwrap();
    assert_eq!((preseed.to.as_ref().map(NodeName::as_str), preseed.fault), (Some("y1"), None));
}

#[test]
fn what_befell_a_sending_is_said_no_more_once_it_is_under_way_again() {
    let mut scene = Scene::new(Rules::default());
    scene.ask();
    scene.decided(1);
    let (key, _) = scene.ordered();
    let full = Refusal::DiskFull { node: "m1".to_owned(), detail: "1 GiB is free".to_owned() };
    for (progress, fault) in [(Progress::Failed(full.clone()), Some(full)), (Progress::Working, None)] {
        scene.answers = vec![(key.clone(), progress)];
        scene.decided(2);
        assert_eq!(scene.mail().preseed.unwrap().fault, fault);
    }
}

#[test]
fn a_wish_that_is_taken_back_is_followed_no_more_and_asked_again_it_is_another_one() {
    let mut scene = Scene::new(Rules::default());
    scene.ask();
    scene.decided(1);
    let mut mail = scene.mail();
    mail.cancel_preseed(at(1));
    scene.store(mail);
    assert_eq!(scene.decided(2), []);
    assert_eq!(scene.mail().seeded_on(), None, "no room is kept for it");
    scene.ask();
    scene.decided(3);
    let (key, order) = scene.ordered();
    assert!(matches!(order, Order::Freeze(_)) && key.ends_with("-2@m1"), "{key}");
}

#[test]
fn a_server_that_was_stopped_meanwhile_says_that_it_is_to_be_started_and_goes_on_then() {
    let mut scene = Scene::new(Rules::default());
    scene.ask();
    scene.decided(1);
    let on = scene.mail();
    scene.store(Vm { state: vm::State::Stopped, desired: Desired::Stopped, ..on.clone() });
    scene.decided(2);
    let fault = scene.mail().preseed.unwrap().fault;
    assert!(matches!(fault, Some(Refusal::PreseedNotRunning { .. })), "{fault:?}");
    scene.store(Vm { state: on.state, desired: on.desired, ..scene.mail() });
    scene.decided(3);
    let preseed = scene.mail().preseed.unwrap();
    assert_eq!((preseed.fault.is_none(), preseed.to.as_ref().map(NodeName::as_str)), (true, Some("y1")));
}

#[test]
fn frozen_layers_that_a_node_lacks_are_counted_among_what_travels_with_their_server() {
    let mut scene = Scene::new(Rules::default());
    scene.stack = frozen();
    scene.ask();
    let missing = |scene: &Scene, to: Option<&str>| {
        let to = to.map(|node| node.parse().unwrap());
        missing_bytes(&scene.snap(), &scene.mail(), to.as_ref()) >> 20
    };
    let planned = |scene: &Scene| {
        let site = "myodaiji".parse().unwrap();
        let plan = crate::core::forecast::forecast(&scene.snap(), &scene.campus.rules, &site, at(0)).unwrap();
        plan.moves.iter().map(|one| one.bytes >> 20).collect::<Vec<_>>()
    };
    assert_eq!((missing(&scene, Some("y1")), planned(&scene)), (300, vec![128 + 300]));
    scene.kept = vec![layer()];
    assert_eq!((missing(&scene, Some("y1")), planned(&scene)), (0, vec![128]));
    assert_eq!(missing(&scene, None), 300, "nobody knows where it goes");
}
