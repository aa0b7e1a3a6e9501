//! Nodes by the dozen with servers whose loads come and go, in simulated time: who is overloaded is relieved, within
//! bounds, and nobody goes back and forth.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;
use watari_contracts::agent::{Layer, NodeFacts, VmFact};
use watari_model::{
    VmName,
    migration::State as Moved,
    outage::{Outage, Scope},
    vm::{Change, Company, Membership, Seeded, Size},
};
use watari_testkit::Dice;

use super::*;
use crate::core::{
    Heard, Load, ReliefRules, Rules,
    tests::documents::{Documents, at, facts, migration, name, node, put, runs, vm},
};

/// Every node has eight processors, is overloaded from 90 percent on for two minutes, and calm again below 75 for one.
const TOTAL: u64 = 8_000;
const ENTER: u64 = TOTAL * 90 / 100;
const CALM: u64 = TOTAL * 75 / 100;
/// A step of simulated time.
const STEP_MS: u64 = 30_000;

struct World {
    docs: Documents,
    rules: Rules,
    now_ms: u64,
    busy: BTreeMap<VmName, u64>,
    /// How large the frozen layers of its disk are, of a server that has some.
    frozen: BTreeMap<VmName, u64>,
    /// For how long each node has been otherwise than its document says.
    otherwise: BTreeMap<NodeName, u64>,
    /// Who moved when, from where.
    moves: Vec<(VmName, u64, NodeName)>,
}

impl World {
    fn new(nodes: usize) -> Self {
        let sites = vec!["myodaiji".parse().unwrap()];
        let rules = Rules { relief: ReliefRules { sites, ..ReliefRules::default() }, ..Rules::default() };
        let mut world = Self {
            docs: Documents::default(),
            rules,
            // Long after whatever was before.
            now_ms: 1_000_000_000,
            busy: BTreeMap::new(),
            frozen: BTreeMap::new(),
            otherwise: BTreeMap::new(),
            moves: Vec::new(),
        };
        for number in 0..nodes {
            world.put_node(node(&format!("m{number}"), "myodaiji", 65_536));
        }
        world.put_node(node("y1", "yamate", 65_536));
        world
    }

    fn put_node(&mut self, node: Node) {
        let revision = self.docs.nodes.get(node.name.as_str()).map_or(0, |there| there.revision);
        assert!(put(&mut self.docs.nodes, &mut self.docs.revision, node, revision));
    }

    fn put_vm(&mut self, vm: Vm) {
        let revision = self.docs.vms.get(vm.name.as_str()).map_or(0, |there| there.revision);
        assert!(put(&mut self.docs.vms, &mut self.docs.revision, vm, revision));
    }

    /// A server that runs on a node and keeps so much of it busy.
    fn add(&mut self, called: &str, on: &str, busy_milli: u64) {
        self.put_vm(running(vm(called, 512), on));
        self.busy.insert(called.parse().unwrap(), busy_milli);
    }

    fn edit(&mut self, called: &str, edit: impl FnOnce(&mut Vm)) {
        let mut vm = self.docs.vms[called].value.clone();
        edit(&mut vm);
        self.put_vm(vm);
    }

    fn used(&self, node: &NodeName) -> u64 {
        let here = self.docs.vms.values().filter(|entry| entry.value.node() == Some(node));
        here.map(|entry| self.busy[&entry.value.name]).sum()
    }

    fn overloaded(&self) -> Vec<NodeName> {
        let nodes = self.docs.nodes.values().map(|entry| &entry.value);
        nodes.filter(|node| node.strains.contains(&Strain::Overloaded)).map(|node| node.name.clone()).collect()
    }

    /// What the monitor does about it.
    fn judge(&mut self) {
        let nodes: Vec<Node> = self.docs.nodes.values().map(|entry| entry.value.clone()).collect();
        for mut node in nodes {
            let (used, hot) = (self.used(&node.name), node.strains.contains(&Strain::Overloaded));
            let since = self.otherwise.entry(node.name.clone()).or_insert(self.now_ms);
            let (as_written, needed) = if hot { (used >= CALM, 60_000) } else { (used < ENTER, 120_000) };
            if as_written {
                *since = self.now_ms;
            } else if self.now_ms - *since >= needed {
                *since = self.now_ms;
                node.strains = if hot { BTreeSet::new() } else { BTreeSet::from([Strain::Overloaded]) };
                self.put_node(node);
            }
        }
    }

    /// What its agent says of a server.
    fn says(&self, vm: &Vm) -> VmFact {
        let mut fact = runs(vm);
        let layer = |size_bytes: &u64| Layer { index: 0, sha256: None, size_bytes: *size_bytes };
        fact.stack.layers = self.frozen.get(&vm.name).map(layer).into_iter().collect();
        fact
    }

    fn snapshot(&self) -> Snapshot {
        let mut snap = Snapshot {
            epoch: 1,
            vms: self.docs.vms.clone(),
            migrations: self.docs.migrations.clone(),
            outages: self.docs.outages.clone(),
            nodes: self.docs.nodes.clone(),
            ..Snapshot::default()
        };
        for Node { name, site, state, strains, .. } in self.docs.nodes.values().map(|entry| &entry.value) {
            let here: Vec<&Vm> =
                self.docs.vms.values().map(|entry| &entry.value).filter(|vm| vm.node() == Some(name)).collect();
            let vms = here.iter().map(|vm| (vm.name.clone(), self.says(vm))).collect();
            let facts = Arc::new(NodeFacts { vms, ..facts(name.as_str(), site.as_str()) });
            snap.heard.insert(name.clone(), Heard { facts, age_ms: 0 });
            let hot = strains.contains(&Strain::Overloaded);
            let told = CapacityChanged {
                node: name.clone(),
                site: site.clone(),
                state: *state,
                memory_free_mib: 0,
                disk_free_gib: 0,
                processors: Some(Processors { total_milli: TOTAL, used_milli: self.used(name), calm_milli: CALM }),
                busy: here.iter().filter(|_| hot).map(|vm| (vm.name.clone(), self.busy[&vm.name])).collect(),
                at: at(self.now_ms),
            };
            snap.loads.insert(name.clone(), Load { told: Arc::new(told), age_ms: 0 });
        }
        snap
    }

    fn decided(&self) -> Vec<Migration> {
        let snap = self.snapshot();
        let mut turn = Turn::new(&snap, &self.rules, at(self.now_ms));
        decide(&mut turn);
        let begun = turn.actions.into_iter().map(|action| match action {
            Action::NewMigration(migration) => *migration,
            other => panic!("{other:?}"),
        });
        begun.collect()
    }

    /// One step: the monitor judges, the scheduler decides, and a migration that began is over by the next one.
    fn step(&mut self) {
        self.now_ms += STEP_MS;
        self.judge();
        let begun = self.decided();
        assert!(begun.len() <= 1, "one at a time: {begun:?}");
        for migration in begun {
            let moved = &self.docs.vms[migration.vm.as_str()].value;
            assert_eq!((migration.reason, Some(&migration.from)), (Reason::Relief, moved.node()));
            assert!(self.overloaded().contains(&migration.from), "{} is not overloaded", migration.from);
            let with = self.used(&migration.to) + self.busy[&migration.vm];
            assert!(with < CALM, "{} becomes busy: {with}", migration.to);
            assert_eq!(self.docs.nodes[migration.to.as_str()].value.site.as_str(), "myodaiji");
            self.moves.push((migration.vm.clone(), self.now_ms, migration.from.clone()));
            let moved = Vm { migrations: moved.migrations + 1, grant: None, state: State::Pending, ..moved.clone() };
            self.put_vm(running(moved, migration.to.as_str()));
            let over = Migration { state: Moved::Completed, changed_at: at(self.now_ms), ..migration };
            assert!(put(&mut self.docs.migrations, &mut self.docs.revision, over, 0));
        }
    }

    fn check_rests(&self) {
        let relief = &self.rules.relief;
        for pair in self.moves.windows(2) {
            assert!(pair[1].1 - pair[0].1 >= relief.pause_ms, "the site did not wait: {pair:?}");
        }
        let mut last: BTreeMap<&VmName, u64> = BTreeMap::new();
        for (vm, when, _) in &self.moves {
            let before = last.insert(vm, *when);
            assert!(before.is_none_or(|before| when - before >= relief.rest_ms), "{vm} did not rest");
        }
    }
}

fn running(mut vm: Vm, on: &str) -> Vm {
    for change in [Change::Granted(name(on)), Change::SeenRunning] {
        vm.apply(change, at(0)).unwrap();
    }
    vm
}

/// A world in which m0 is overloaded by five servers and m1 idles.
fn hot() -> World {
    let mut world = World::new(2);
    for number in 0..5 {
        world.add(&format!("s{number}"), "m0", 1_500);
    }
    for _ in 0..5 {
        world.now_ms += STEP_MS;
        world.judge();
    }
    assert_eq!(world.overloaded(), [name("m0")]);
    world
}

#[test]
fn an_overloaded_node_is_relieved_by_one_server_and_then_there_is_peace() {
    let mut world = hot();
    for _ in 0..200 {
        world.step();
    }
    assert_eq!(world.overloaded(), [] as [NodeName; 0]);
    assert_eq!(
        world.moves.len(),
        2,
        "1.5 of 7.5 processors make it 6, which is not below 75 percent: {:?}",
        world.moves
    );
    world.check_rests();
}

#[test]
fn the_cheapest_server_that_suffices_goes_and_what_travelled_last_counts() {
    let mut world = hot();
    world.edit("s3", |vm| vm.spec.disk_gib = 1);
    assert_eq!(world.decided()[0].vm.as_str(), "s3");
    let measured = watari_model::migration::Measured { memory_bytes: 64 << 20, ..Default::default() };
    let last = Migration { state: Moved::Completed, measured: Some(measured), ..migration("s4") };
    put(&mut world.docs.migrations, &mut world.docs.revision, last, 0);
    assert_eq!(world.decided()[0].vm.as_str(), "s4");
    // A server that does little is left, however small.
    *world.busy.get_mut(&"s4".parse::<VmName>().unwrap()).unwrap() = 79;
    assert_eq!(world.decided()[0].vm.as_str(), "s3");
}

#[test]
fn a_server_whose_copy_lies_elsewhere_leaves_as_any_other_but_its_frozen_layers_travel_as_well() {
    let mut world = hot();
    for number in 0..5 {
        let called = format!("s{number}");
        world.edit(&called, |vm| {
            vm.spec.restart_from_copy_seconds = std::num::NonZeroU32::new(3_600);
            vm.ask_preseed(Some(name("y1")), at(0));
            let done = Seeded { number: 1, node: name("y1"), at: at(0), bytes: 1 << 30, copy: None };
            vm.preseed.as_mut().unwrap().done = Some(done);
        });
        world.frozen.insert(called.parse().unwrap(), if number == 3 { 1 << 30 } else { 2 << 30 });
    }
    assert_eq!(world.decided()[0].vm.as_str(), "s3");
}

#[test]
fn nobody_is_moved_where_it_was_not_asked_for_nor_while_anything_else_goes_on() {
    assert_eq!(hot().decided().len(), 1);
    let silent = |what: &str, change: &dyn Fn(&mut World)| {
        let mut world = hot();
        change(&mut world);
        assert_eq!(world.decided(), [], "{what}");
    };
    let all = |edit: fn(&mut Vm)| move |world: &mut World| (0..5).for_each(|n| world.edit(&format!("s{n}"), edit));
    let edited = |called: &str, edit: fn(&mut Node)| {
        let called = called.to_owned();
        move |world: &mut World| {
            let mut node = world.docs.nodes[&called].value.clone();
            edit(&mut node);
            world.put_node(node);
        }
    };
    silent("not asked for", &|world| world.rules.relief.sites.clear());
    silent("an outage is under way", &|world| {
        let scope = Scope::Site("yamate".parse().unwrap());
        let outage = Outage::begun("yamate-1".parse().unwrap(), scope, String::new(), at(0));
        put(&mut world.docs.outages, &mut world.docs.revision, outage, 0);
    });
    silent("somebody moves at this site", &|world| {
        let other = Migration { from: name("y1"), to: name("m1"), ..migration("other") };
        put(&mut world.docs.migrations, &mut world.docs.revision, other, 0);
    });
    silent("the target is cordoned", &edited("m1", |node| node.cordoned = true));
    silent(
        "the target is nearly full",
        &edited("m1", |node| {
            node.strains.insert(Strain::DiskNearlyFull);
        }),
    );
    silent("the node itself is cordoned", &edited("m0", |node| node.cordoned = true));
    silent("they stay", &all(|vm| vm.spec.evacuate = Evacuate::Stay));
    silent("they are to grow", &all(|vm| vm.pending = Some(Size { vcpus: 2, memory_mib: 512, disk_gib: 2 })));
    silent("their disks are being sent ahead", &all(|vm| vm.ask_preseed(Some(name("y1")), at(0))));
    silent("they are to stop", &all(|vm| vm.desired = Desired::Stopped));
    silent(
        "they want their company",
        &all(|vm| {
            vm.spec.groups = vec![Membership { group: "one".parse().unwrap(), company: Company::Together }];
        }),
    );
    silent("the target would be as busy", &|world| {
        world.add("big", "m1", 4_600);
    });
}

#[test]
fn old_news_of_loads_moves_nobody() {
    let world = hot();
    let mut snap = world.snapshot();
    for load in snap.loads.values_mut() {
        load.age_ms = FRESH_MS + 1;
    }
    let mut turn = Turn::new(&snap, &world.rules, at(world.now_ms));
    decide(&mut turn);
    assert_eq!(turn.actions, []);
}

/// Servers where chance puts them, half as busy in all as the nodes could bear; on all nodes but one there is one of a
/// group whose members keep apart.
fn by_chance(nodes: usize, dice: &mut Dice) -> World {
    let mut world = World::new(nodes);
    let mut left = nodes as u64 * TOTAL / 2;
    for number in 0.. {
        let busy = 200 + dice.below(800);
        let Some(rest) = left.checked_sub(busy) else { break };
        left = rest;
        let (called, apart) = (format!("s{number}"), number + 1 < nodes);
        // Crowded on few of them.
        let on = if apart { number as u64 } else { dice.below(nodes as u64).min(dice.below(nodes as u64)) };
        world.add(&called, &format!("m{on}"), busy);
        if apart {
            let group = Membership { group: "web".parse().unwrap(), company: Company::Apart };
            world.edit(&called, |vm| vm.spec.groups.push(group));
        }
    }
    world
}

fn check_apart(world: &World) {
    let members = world.docs.vms.values().map(|entry| &entry.value).filter(|vm| !vm.spec.groups.is_empty());
    let mut nodes: Vec<_> = members.map(|vm| vm.node().cloned()).collect();
    let count = nodes.len();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), count, "two of a group that keeps apart met");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// While loads stay as they are, everybody overloaded is relieved, nobody moves twice, and then nobody moves.
    #[test]
    fn steady_loads_are_spread_once_and_then_there_is_peace(nodes in 3_usize..9, seed: u64) {
        let mut world = by_chance(nodes, &mut Dice::new(seed));
        for _ in 0..4 * 120 {
            world.step();
        }
        prop_assert_eq!(world.overloaded(), [] as [NodeName; 0]);
        let moved: BTreeSet<&VmName> = world.moves.iter().map(|(vm, ..)| vm).collect();
        prop_assert_eq!(moved.len(), world.moves.len(), "somebody moved twice: {:?}", &world.moves);
        let peace = world.now_ms - 3_600_000;
        prop_assert!(world.moves.iter().all(|(_, when, _)| *when < peace), "still moving: {:?}", &world.moves);
        world.check_rests();
        check_apart(&world);
    }

    /// However loads come and go, everybody rests and waits as is set, and groups are kept.
    #[test]
    fn changing_loads_move_nobody_more_often_than_is_set(nodes in 3_usize..9, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut world = by_chance(nodes, &mut dice);
        for step in 0..2 * 120 {
            if step % 10 == 0 {
                world.busy.values_mut().for_each(|busy| *busy = dice.below(1_500));
            }
            world.step();
            check_apart(&world);
        }
        world.check_rests();
    }
}
