//! A site whose machines go off and come back, second by second, under schedulers that may forget what they heard.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use proptest::prelude::*;
use watari_contracts::agent::{Domain, Stack, VmFact};
use watari_model::{
    NodeName, Refusal, Timestamp,
    node::{
        self, Health, Host,
        fencing::Act,
        health::{Bridge, Link},
    },
    outage::{
        Change, Outage, Scope, State as Leg, Window,
        dark::{Hand, Stage},
    },
};

use super::{PowerWish, decide, rising};
use crate::core::{
    Action, Answer, DarkRules, Heard, Outcome, Rules, Snapshot,
    tests::documents::{Documents, at, facts, node as a_node, put, site},
    turn::Turn,
};

const ID: &str = "myodaiji-1";

#[derive(Clone, Debug)]
struct Machine {
    up: bool,
    /// Since when it is as it is, in seconds.
    since: u64,
    boots: u32,
    falls_at: Option<u64>,
    rises_at: Option<u64>,
    /// A server that lives on it.
    lives: bool,
    /// Whether its agent has a program that shuts it down.
    program: bool,
    controller: bool,
    /// It heeds no program.
    stubborn: bool,
    health: Health,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            up: true,
            since: 0,
            boots: 1,
            falls_at: None,
            rises_at: None,
            lives: false,
            program: true,
            controller: false,
            stubborn: false,
            health: Health::default(),
        }
    }
}

struct World {
    docs: Documents,
    rules: Rules,
    machines: BTreeMap<String, Machine>,
    answers: HashMap<String, (Outcome, u64)>,
    /// Which answers are lost, over and over.
    lost: Vec<bool>,
    asked: usize,
    now: u64,
    /// What was told to agents and controllers.
    told: Vec<String>,
    alarms: BTreeSet<String>,
}

fn second(second: u64) -> Timestamp {
    at(second * 1_000)
}

impl World {
    /// A site that has just been evacuated, and whose nodes are to be shut down.
    fn new(names: &[&str]) -> Self {
        let (mut docs, mut counter) = (Documents::default(), 0);
        put(&mut docs.sites, &mut counter, site("myodaiji"), 0);
        for name in names.iter().chain(&["y1"]) {
            let place = if *name == "y1" { "yamate" } else { "myodaiji" };
            put(&mut docs.nodes, &mut counter, a_node(name, place, 4_096), 0);
        }
        let scope = Scope::Site("myodaiji".parse().unwrap());
        let mut outage = Outage::begun(ID.parse().unwrap(), scope, "r".to_owned(), at(0));
        outage.apply(Change::ShutDownWished(true), at(0)).unwrap();
        outage.apply(Change::Emptied(Vec::new()), at(0)).unwrap();
        put(&mut docs.outages, &mut counter, outage, 0);
        docs.revision = counter;
        let dark = DarkRules { off_ms: 60_000, on_ms: 120_000, ..DarkRules::default() };
        let mut world = Self {
            docs,
            rules: Rules { dark, ..Rules::default() },
            machines: names.iter().map(|name| ((*name).to_owned(), Machine::default())).collect(),
            answers: HashMap::new(),
            lost: vec![false],
            asked: 0,
            now: 0,
            told: Vec::new(),
            alarms: BTreeSet::new(),
        };
        world.look();
        world
    }

    fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines.get_mut(name).unwrap()
    }

    fn outage(&self) -> &Outage {
        &self.docs.outages[ID].value
    }

    fn asks(&mut self, change: Change) {
        let there = self.docs.outages[ID].clone();
        let mut outage = there.value.clone();
        outage.apply(change, second(self.now)).unwrap();
        assert!(put(&mut self.docs.outages, &mut self.docs.revision, outage, there.revision));
    }

    fn stage(&self, node: &str) -> Option<&Stage> {
        let nodes = &self.outage().dark.as_ref().unwrap().nodes;
        nodes.iter().find(|one| one.node.as_str() == node).map(|one| &one.stage)
    }

    /// What the monitor makes of what it hears.
    fn look(&mut self) {
        for (name, machine) in &self.machines {
            let silent = if machine.up { 0 } else { self.now - machine.since };
            let state = match silent {
                0..3 => node::State::Ready,
                3..10 => node::State::Suspect,
                _ => node::State::Lost,
            };
            let there = self.docs.nodes[name.as_str()].clone();
            let mut node = there.value.clone();
            node.apply(node::Change::Judged(state), second(self.now));
            if machine.up {
                let host = Host { boot_id: Some(machine.boots.to_string()), shut_down: Vec::new(), uefi: false };
                let told = node::Inventory { host, health: Some(machine.health.clone()), ..node.inventory.clone() };
                node.apply(node::Change::Told(node.site.clone(), Box::new(told)), second(self.now));
            }
            if node != there.value {
                put(&mut self.docs.nodes, &mut self.docs.revision, node, there.revision);
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let heard = self.machines.iter().map(|(name, machine)| {
            let mut said = facts(name, "myodaiji");
            if machine.lives {
                let vm = VmFact {
                    vm: "db".parse().unwrap(),
                    uuid: None,
                    domain: Domain::Running,
                    generation: 1,
                    granted: true,
                    disk: true,
                    passage: None,
                    stack: Stack::default(),
                    still: None,
                };
                said.vms.insert(vm.vm.clone(), vm);
            }
            let age_ms = if machine.up { 0 } else { (self.now - machine.since) * 1_000 };
            (name.parse::<NodeName>().unwrap(), Heard { facts: Arc::new(said), age_ms })
        });
        let answers = self.answers.iter().map(|(key, (outcome, then))| {
            let age_ms = (self.now - then) * 1_000;
            (key.clone(), Answer { attempt: 0, outcome: outcome.clone(), age_ms, news: false })
        });
        Snapshot {
            outages: self.docs.outages.clone(),
            sites: self.docs.sites.clone(),
            nodes: self.docs.nodes.clone(),
            heard: heard.collect(),
            answers: answers.collect(),
            ..Snapshot::default()
        }
    }

    fn turn(&mut self) {
        self.now += 1;
        for machine in self.machines.values_mut() {
            if machine.falls_at.take_if(|when| *when <= self.now).is_some() {
                (machine.up, machine.since) = (false, self.now);
            }
            if machine.rises_at.take_if(|when| *when <= self.now).is_some() {
                (machine.up, machine.since, machine.boots) = (true, self.now, machine.boots + 1);
            }
        }
        self.look();
        let snap = self.snapshot();
        let actions = {
            let mut turn = Turn::new(&snap, &self.rules, second(self.now));
            decide(&mut turn);
            turn.actions
        };
        for action in actions {
            self.perform(action);
        }
        let nodes = self.outage().dark.iter().flat_map(|dark| &dark.nodes).collect::<Vec<_>>();
        let going = nodes.iter().filter(|one| matches!(one.stage, Stage::GoingOff { .. })).count();
        assert!(going <= 1 || self.outage().state == Leg::Returning, "one after another: {nodes:?}");
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.turn();
        }
    }

    fn perform(&mut self, action: Action) {
        let (key, outcome) = match action {
            Action::StoreOutage { outage, revision } => {
                assert!(put(&mut self.docs.outages, &mut self.docs.revision, *outage, revision));
                return;
            }
            Action::ShutDown { key, node, .. } => (key, self.ordered(node.as_str())),
            Action::Power { key, node, wish, .. } => (key, self.switched(node.as_str(), wish)),
            Action::Alarm { key, .. } => {
                self.alarms.insert(key);
                return;
            }
            other => panic!("{other:?}"),
        };
        self.asked += 1;
        if !self.lost[self.asked % self.lost.len()] {
            self.answers.insert(key, (outcome, self.now));
        }
    }

    /// What an agent answers.
    fn ordered(&mut self, name: &str) -> Outcome {
        let node = name.to_owned();
        let now = self.now;
        let machine = self.machine(name);
        if !machine.up {
            return Outcome::Silent(Refusal::NoAnswer { who: node });
        }
        if machine.lives {
            return Outcome::Silent(Refusal::NodeNotEmpty { node, domains: "db".to_owned() });
        }
        if !machine.program {
            return Outcome::Refused(Refusal::ShutDownMissing { node });
        }
        if !machine.stubborn {
            machine.falls_at.get_or_insert(now + 2);
        }
        self.told.push(format!("agent {name}"));
        Outcome::Done
    }

    /// What the monitor answers.
    fn switched(&mut self, name: &str, wish: PowerWish) -> Outcome {
        let now = self.now;
        let machine = self.machine(name);
        if !machine.controller {
            return Outcome::Refused(Refusal::FencingMissing { node: name.to_owned() });
        }
        match wish {
            PowerWish::Status => return Outcome::Power(if machine.up { Act::On } else { Act::Off }),
            PowerWish::Off => {
                assert!(!machine.lives, "the power of {name} was cut under a server");
                machine.falls_at.get_or_insert(now + 1);
                self.told.push(format!("off {name}"));
            }
            PowerWish::On => {
                if !machine.up {
                    machine.rises_at.get_or_insert(now + 5);
                }
                self.told.push(format!("on {name}"));
            }
        }
        Outcome::Done
    }
}

fn lacks(stage: Option<&Stage>) -> String {
    match stage {
        Some(Stage::Starting { lacks: Some(lacks) }) => lacks.english().cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_go_off_one_after_another_each_once_nothing_lives_on_it() {
    let mut world = World::new(&["m1", "m2", "m3"]);
    world.machine("m2").lives = true;
    world.run(8);
    assert_eq!(world.stage("m1"), Some(&Stage::GoingOff { by: Hand::Agent }));
    assert_eq!((world.stage("m3"), world.told.as_slice()), (None, &["agent m1".to_owned()][..]), "it waits");
    world.run(80);
    assert_eq!((world.stage("m1"), world.stage("m3")), (Some(&Stage::Off), Some(&Stage::Off)));
    assert_eq!((world.stage("m2"), world.machines["m2"].up), (None, true), "a server lives there");
    world.machine("m2").lives = false;
    world.run(40);
    assert_eq!(world.stage("m2"), Some(&Stage::Off));
    assert_eq!(world.told, ["agent m1", "agent m3", "agent m2"], "each once, and nobody of the other site");
    assert_eq!(world.outage().state, Leg::Evacuated);
}

#[test]
fn where_no_program_is_named_the_controller_cuts_the_power_and_who_has_neither_keeps_nobody() {
    let mut world = World::new(&["m1", "m2", "m3"]);
    (world.machine("m1").program, world.machine("m1").controller) = (false, true);
    world.machine("m2").program = false;
    world.run(90);
    assert_eq!((world.stage("m1"), world.stage("m3")), (Some(&Stage::Off), Some(&Stage::Off)));
    let failed = Stage::Failed { why: Refusal::ShutDownMissing { node: "m2".to_owned() } };
    assert_eq!(world.stage("m2"), Some(&failed));
    assert_eq!(world.told, ["off m1", "agent m3"]);
    assert!(world.machines["m2"].up && world.outage().state == Leg::Evacuated);
}

#[test]
fn who_does_not_go_off_in_time_is_told_of_keeps_nobody_and_is_tried_again_when_that_is_asked() {
    let mut world = World::new(&["m1", "m2"]);
    world.machine("m1").stubborn = true;
    world.run(62);
    assert!(matches!(world.stage("m1"), Some(Stage::Failed { why: Refusal::NodeStillOn { .. } })));
    world.run(1);
    assert!(world.alarms.contains("alarm/node/m1"), "{:?}", world.alarms);
    world.run(40);
    assert_eq!((world.stage("m2"), world.told.len()), (Some(&Stage::Off), 2));
    world.machine("m1").stubborn = false;
    world.asks(Change::ShutDownWished(true));
    world.run(40);
    assert_eq!((world.stage("m1"), world.told.len()), (Some(&Stage::Off), 3));
}

#[test]
fn the_host_of_a_front_end_is_left_on_and_so_is_everybody_once_the_wish_is_withdrawn() {
    let mut world = World::new(&["m1", "m2"]);
    world.rules.fronts = vec!["m1".parse().unwrap()];
    world.run(1);
    let front = Stage::Failed { why: Refusal::NodeIsFrontEnd { node: "m1".to_owned() } };
    assert_eq!(world.stage("m1"), Some(&front));
    world.asks(Change::ShutDownWished(false));
    world.run(60);
    assert_eq!((world.stage("m1"), world.stage("m2"), world.told.len()), (Some(&front), None, 0));
    assert_eq!(world.alarms.len(), 0, "that is as it should be");
}

#[test]
fn a_node_that_was_only_cut_off_is_told_again_when_it_is_heard() {
    let mut world = World::new(&["m1", "m2"]);
    world.machine("m1").stubborn = true;
    world.run(2);
    (world.machine("m1").up, world.machine("m1").since) = (false, world.now);
    world.run(50);
    assert_eq!((world.stage("m1"), world.stage("m2")), (Some(&Stage::Off), Some(&Stage::Off)));
    world.machine("m1").stubborn = false;
    world.machine("m1").up = true;
    world.run(40);
    assert_eq!((world.stage("m1"), world.machines["m1"].up), (Some(&Stage::Off), false));
    assert_eq!(world.told, ["agent m1", "agent m2", "agent m1"]);
}

#[test]
fn where_the_rules_say_so_nodes_go_off_unasked_unless_an_operator_says_otherwise() {
    let of = |always: bool, withdrawn: bool| {
        let mut world = World::new(&["m1"]);
        world.rules.dark.always = always;
        let there = world.docs.outages[ID].clone();
        let outage = Outage { dark: None, ..there.value.clone() };
        put(&mut world.docs.outages, &mut world.docs.revision, outage, there.revision);
        if withdrawn {
            world.asks(Change::ShutDownWished(false));
        }
        world.run(40);
        world.told.len()
    };
    assert_eq!([of(false, false), of(true, false), of(true, true)], [0, 1, 0]);
}

#[test]
fn a_return_has_nodes_switched_on_and_waits_until_they_are_heard_anew_and_well() {
    let mut world = World::new(&["m1", "m2", "m3"]);
    world.machine("m1").controller = true;
    world.run(100);
    assert!(["m1", "m2", "m3"].iter().all(|name| world.stage(name) == Some(&Stage::Off)), "{:?}", world.outage());
    let bridge = Bridge {
        segment: "campus".parse().unwrap(),
        name: "br0".to_owned(),
        link: Link::Down,
        addressed_ports: Vec::new(),
    };
    world.machine("m2").health.bridges = vec![bridge];
    world.asks(Change::ReturnAsked);
    world.run(20);
    assert_eq!((world.stage("m1"), world.told.last().unwrap().as_str()), (Some(&Stage::Back), "on m1"));
    assert!(lacks(world.stage("m2")).contains("switch it on by hand"));
    assert_eq!(rising(world.outage()).map(NodeName::as_str).collect::<Vec<_>>(), ["m2", "m3"]);
    world.machine("m2").rises_at = Some(0);
    world.run(5);
    assert!(lacks(world.stage("m2")).contains("br0"));
    world.machine("m2").health.bridges.clear();
    world.run(1);
    assert_eq!(world.stage("m2"), Some(&Stage::Back));
    assert_eq!(rising(world.outage()).count(), 1);
    world.run(120);
    assert!(matches!(world.stage("m3"), Some(Stage::Missing { why: Refusal::NodeNotBack { .. } })));
    assert_eq!(rising(world.outage()).count(), 0, "nobody waits for ever");
}

#[test]
fn a_return_does_without_a_cordoned_node_that_stays_off() {
    let mut world = World::new(&["m1"]);
    world.run(40);
    world.asks(Change::ReturnAsked);
    world.run(5);
    assert_eq!(rising(world.outage()).count(), 1);
    let there = world.docs.nodes["m1"].clone();
    let node = node::Node { cordoned: true, ..there.value.clone() };
    put(&mut world.docs.nodes, &mut world.docs.revision, node, there.revision);
    world.run(2);
    assert!(matches!(world.stage("m1"), Some(Stage::Missing { .. })), "{:?}", world.outage());
    assert_eq!(rising(world.outage()).count(), 0);
}

#[test]
fn a_return_that_is_paused_switches_nothing_on() {
    let mut world = World::new(&["m1"]);
    world.machine("m1").controller = true;
    world.run(30);
    world.asks(Change::ReturnAsked);
    world.asks(Change::PauseAsked);
    world.run(30);
    assert_eq!((world.stage("m1"), world.told.as_slice()), (Some(&Stage::Off), &["agent m1".to_owned()][..]));
    world.asks(Change::ResumeAsked);
    world.run(30);
    assert_eq!(world.stage("m1"), Some(&Stage::Back));
}

#[test]
fn a_node_that_is_still_going_off_when_its_return_is_asked_is_not_taken_for_one_that_is_back() {
    let mut world = World::new(&["m1"]);
    world.machine("m1").controller = true;
    world.run(2);
    assert_eq!(world.stage("m1"), Some(&Stage::GoingOff { by: Hand::Agent }));
    world.asks(Change::ReturnAsked);
    world.run(2);
    assert!(lacks(world.stage("m1")).contains("not been started anew"));
    world.run(60);
    assert_eq!((world.stage("m1"), world.machines["m1"].boots), (Some(&Stage::Back), 2));
}

#[test]
fn at_the_end_of_a_scheduled_outage_nodes_are_switched_on_and_nobody_is_given_up() {
    let mut world = World::new(&["m1", "m2"]);
    world.machine("m1").controller = true;
    let there = world.docs.outages[ID].clone();
    let window = Some(Window { from: second(50), until: second(200) });
    let outage = Outage { window, ..there.value.clone() };
    put(&mut world.docs.outages, &mut world.docs.revision, outage, there.revision);
    world.run(150);
    assert_eq!((world.stage("m1"), world.stage("m2")), (Some(&Stage::Off), Some(&Stage::Off)));
    world.run(400);
    assert_eq!(world.stage("m1"), Some(&Stage::Back), "the power is back");
    assert!(lacks(world.stage("m2")).contains("by hand"), "the inspection may take longer");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_forgotten_every_node_goes_off_or_is_told_of_and_comes_back_or_is_told_of(
        machines in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 3),
        mut lost in prop::collection::vec(any::<bool>(), 1..7),
        forgets in prop::collection::vec(1_u64..500, 0..5),
    ) {
        lost.push(false);
        let mut world = World::new(&["m1", "m2", "m3"]);
        world.lost = lost;
        for (name, (program, controller, stubborn, lives)) in ["m1", "m2", "m3"].into_iter().zip(machines) {
            let machine = world.machine(name);
            (machine.program, machine.controller, machine.stubborn, machine.lives) =
                (program, controller, stubborn, lives);
        }
        for _ in 0..400 {
            if forgets.contains(&world.now) {
                // Another scheduler leads.
                world.answers.clear();
            }
            world.turn();
        }
        for name in ["m1", "m2", "m3"] {
            let (machine, stage) = (&world.machines[name], world.stage(name));
            if machine.lives {
                prop_assert!(machine.up && stage.is_none(), "{stage:?}");
            } else {
                let settled = matches!(stage, Some(Stage::Off | Stage::Failed { .. }));
                prop_assert!(settled && (stage != Some(&Stage::Off) || !machine.up), "{stage:?} {machine:?}");
            }
        }
        world.asks(Change::ReturnAsked);
        world.run(200);
        prop_assert_eq!(rising(world.outage()).count(), 0);
        let is_ready = |node: &str| world.docs.nodes[node].value.state == node::State::Ready;
        for name in ["m1", "m2", "m3"] {
            let stage = world.stage(name);
            let told = matches!(stage, Some(Stage::Missing { .. }));
            prop_assert!(is_ready(name) || told, "{stage:?}");
            prop_assert!(!matches!(stage, Some(Stage::Back)) || is_ready(name));
        }
    }
}
