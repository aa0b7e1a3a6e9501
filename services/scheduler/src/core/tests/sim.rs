//! The simulated world: time, chance, faults. A seed replays everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use watari_contracts::agent::NodeFacts;
use watari_model::{MigrationId, NodeName, VmName, isolation::Ledger, migration::Migration, node, vm::Vm};
use watari_testkit::Dice;

use super::{
    agent::{Guest, Host, Process},
    documents::{self, Docs, Documents, put},
    fencing::Fencer,
    flow::Flow,
    isolation::TERMS,
    scheduler::{Question, Reply, Scheduler, Task},
    wishes::Wish,
};
use crate::core::{Order, Rules};

/// In milliseconds, as all of the simulation's time.
pub(crate) const MINUTE: u64 = 60_000;
/// The servers of most stories, with their memory in MiB.
pub(crate) const SERVERS: &[(&str, u64)] = &[("mail", 192), ("web", 128), ("a", 256), ("b", 96)];

/// What befalls whom, and when.
pub(crate) struct Rng(Dice);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0.draw()
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// Once in a hundred, `percent` times.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.next() % 100 < percent
    }

    pub(crate) fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        let index = self.between(0, from.len() as u64 - 1);
        &from[usize::try_from(index).unwrap()]
    }
}

/// How the protocol may be broken, to see that it is caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Nothing,
    /// The copy runs on arrival, as libvirt's ordinary migration does.
    ArrivesRunning,
    /// The target alone is believed.
    AsksOnlyTarget,
    /// Reservations are not counted.
    Overbooks,
    /// Nodes that are cut off stop nothing, though they said they would.
    GuardSleeps,
}

/// How bad the world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Percent of messages that are lost.
    pub(crate) loss: u64,
    /// Percent of orders that come twice, the second time late.
    pub(crate) twice: u64,
    /// Milliseconds between faults, about; 0 for none.
    pub(crate) every: u64,
    /// Whether nodes lose power, which kills guests.
    pub(crate) power: bool,
    /// Percent of a switch-over's steps at which the link is cut.
    pub(crate) aim: u64,
    /// Percent of seconds in which an operator looks after a lost node, and says so if it is dark.
    pub(crate) looks: u64,
}

/// Nothing goes wrong.
pub(crate) const CALM: Faults = Faults { loss: 0, twice: 0, every: 0, power: false, aim: 0, looks: 0 };

pub(crate) enum Event {
    Tick,
    Turn,
    Ask(u64, NodeName, Question),
    Reply(u64, NodeName, Reply),
    Write(u64),
    Operation(NodeName, u64, String, Order),
    Flow(MigrationId),
    Fact(NodeFacts),
    Hold(super::isolation::Grant),
    Fault,
    Elect,
    Mend(NodeName),
    Relink(NodeName, NodeName),
    Operator(Wish),
}

/// What really holds of a server, whatever the books say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    /// Where its newest disk is: on both sides while the copy is whole and neither runs.
    pub(crate) disk: BTreeSet<NodeName>,
    /// How often it was booted.
    pub(crate) boots: u32,
    /// Whether a fault has killed it, or may have.
    pub(crate) hurt: bool,
}

pub(crate) struct Sim {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    pub(crate) rules: Rules,
    pub(crate) docs: Documents,
    pub(crate) hosts: BTreeMap<NodeName, Host>,
    pub(crate) flows: BTreeMap<MigrationId, Flow>,
    pub(crate) scheduler: Scheduler,
    pub(crate) primary: bool,
    pub(crate) epoch: u64,
    pub(crate) tasks: BTreeMap<u64, Task>,
    pub(crate) next: u64,
    pub(crate) faults: Faults,
    pub(crate) broken: Broken,
    pub(crate) truth: BTreeMap<VmName, Truth>,
    pub(crate) cut: BTreeSet<(NodeName, NodeName)>,
    pub(crate) violation: Option<String>,
    pub(crate) trouble_until: u64,
    pub(crate) events: u64,
    pub(crate) calm: bool,
    /// Bytes a second of the link; 0 leaves it to chance how long a copy takes.
    pub(crate) link: u64,
    /// The documents as they were lately.
    past: VecDeque<Past>,
    pub(crate) behind: Option<Behind>,
    /// Who cuts lost nodes' power; nobody if there is none.
    pub(crate) fencer: Option<Fencer>,
    /// Which leases were granted in this tenure, and how many servers were stopped for want of one.
    pub(crate) ledger: Ledger,
    pub(crate) halts: u32,
    queue: BTreeMap<(u64, u64), Event>,
    turning: bool,
    lines: VecDeque<String>,
}

struct Past {
    at: u64,
    revision: u64,
    vms: Docs<Vm>,
    migrations: Docs<Migration>,
}

/// What a new scheduler's copies have not learnt yet: each is of another moment, and knows beside that
/// only what was written since the tenure began.
pub(crate) struct Behind {
    pub(crate) vms: Docs<Vm>,
    pub(crate) migrations: Docs<Migration>,
    pub(crate) since: u64,
    pub(crate) until: u64,
}

/// How old a copy may be, and how long it may stay so.
const MOST_BEHIND: u64 = 4_000;

const LINES: usize = 400;
/// A good run has some ten thousand.
const MOST_EVENTS: u64 = 200_000;

impl Sim {
    /// Two sites of two nodes each; every site can take all servers.
    pub(crate) fn new(seed: u64, servers: &[(&str, u64)], faults: Faults, broken: Broken) -> Self {
        let mut sim = Self {
            seed,
            rng: Rng(Dice::new(seed)),
            now: 0,
            rules: Rules { leftover_ms: 5_000, ..Rules::default() },
            docs: Documents::default(),
            hosts: BTreeMap::new(),
            flows: BTreeMap::new(),
            scheduler: Scheduler::new(1),
            primary: true,
            epoch: 1,
            tasks: BTreeMap::new(),
            next: 0,
            faults,
            broken,
            truth: BTreeMap::new(),
            cut: BTreeSet::new(),
            violation: None,
            trouble_until: 0,
            events: 0,
            calm: faults.loss == 0,
            link: 0,
            past: VecDeque::new(),
            behind: None,
            fencer: None,
            ledger: Ledger::begin(0, TERMS),
            halts: 0,
            queue: BTreeMap::new(),
            turning: false,
            lines: VecDeque::new(),
        };
        for site in ["myodaiji", "yamate"] {
            let docs = &mut sim.docs;
            assert!(put(&mut docs.sites, &mut docs.revision, documents::site(site), 0));
        }
        for (name, site) in [("m1", "myodaiji"), ("m2", "myodaiji"), ("y1", "yamate"), ("y2", "yamate")] {
            sim.hosts.insert(documents::name(name), Host::new(name, site));
            let docs = &mut sim.docs;
            assert!(put(&mut docs.nodes, &mut docs.revision, documents::node(name, site, 1_024), 0));
        }
        for (name, memory) in servers {
            assert!(sim.put_vm(documents::vm(name, *memory), 0));
        }
        sim.after(0, Event::Tick);
        sim
    }

    pub(crate) fn log(&mut self, line: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>7} {line}", self.now));
    }

    /// What happened last, for a person.
    pub(crate) fn story(&self) -> String {
        self.lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn violate(&mut self, what: String) {
        self.log(format!("VIOLATED: {what}"));
        self.violation.get_or_insert(what);
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.next += 1;
        self.queue.insert((self.now + delay, self.next), event);
    }

    pub(crate) fn delay(&mut self) -> u64 {
        if self.rng.chance(self.faults.loss) { self.rng.between(1, 6_000) } else { self.rng.between(1, 8) }
    }

    pub(crate) fn wake(&mut self) {
        if !self.turning {
            self.turning = true;
            self.after(1, Event::Turn);
        }
    }

    pub(crate) fn linked(&self, a: &NodeName, b: &NodeName) -> bool {
        self.hosts[a].up && self.hosts[b].up && !self.cut.contains(&(a.clone(), b.clone()))
    }

    pub(crate) fn guest(&mut self, node: &NodeName, vm: &VmName) -> &mut Guest {
        self.hosts.get_mut(node).unwrap().guests.entry(vm.clone()).or_default()
    }

    pub(crate) fn hurt(&mut self, vm: &VmName) {
        self.truth.entry(vm.clone()).or_default().hurt = true;
    }

    /// An agent tells what it sees.
    pub(crate) fn publish(&mut self, node: &NodeName) {
        let now = self.now;
        let host = self.hosts.get_mut(node).unwrap();
        if host.hears() {
            let facts = host.facts(now);
            if !self.rng.chance(self.faults.loss) {
                let delay = self.delay();
                self.after(delay, Event::Fact(facts));
            }
        }
    }

    /// Runs until `until`, or until an invariant is broken.
    pub(crate) fn run(&mut self, until: u64) {
        while self.violation.is_none()
            && let Some((at, event)) = self.queue.pop_first()
        {
            let (when, _) = at;
            if when > until {
                self.queue.insert(at, event);
                self.now = until;
                return;
            }
            self.now = when;
            self.events += 1;
            if self.events > MOST_EVENTS {
                self.violate("the world does not come to rest: something is asked over and over".to_owned());
            }
            self.happen(event);
            self.remember();
            self.check_world();
        }
    }

    fn remember(&mut self) {
        if self.past.back().is_none_or(|past| past.revision != self.docs.revision) {
            let (vms, migrations) = (self.docs.vms.clone(), self.docs.migrations.clone());
            self.past.push_back(Past { at: self.now, revision: self.docs.revision, vms, migrations });
        }
        while self.past.get(1).is_some_and(|second| second.at + MOST_BEHIND < self.now) {
            self.past.pop_front();
        }
    }

    /// The copies of whoever begins to lead may be old, each to another degree.
    pub(crate) fn fall_behind(&mut self) {
        let (now, past, rng) = (self.now, &self.past, &mut self.rng);
        let mut some_time_ago = || {
            let at = now.saturating_sub(rng.between(0, MOST_BEHIND));
            past.iter().rfind(|past| past.at <= at).or_else(|| past.front())
        };
        let vms = some_time_ago().map(|past| past.vms.clone());
        let migrations = some_time_ago().map(|past| past.migrations.clone());
        let since = self.docs.revision;
        let until = self.now + self.rng.between(0, MOST_BEHIND);
        self.behind = vms.zip(migrations).map(|(vms, migrations)| Behind { vms, migrations, since, until });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick => self.tick(),
            Event::Turn => {
                self.turning = false;
                self.turn();
            }
            Event::Ask(task, node, question) => self.answer(task, &node, &question),
            Event::Reply(task, node, reply) => self.replied(task, &node, reply),
            Event::Write(task) => self.write(task),
            Event::Operation(node, instance, operation, order) => {
                let host = &self.hosts[&node];
                if host.up && host.agent_up && host.instance == instance {
                    self.carry_out(&node, &order, &operation);
                }
            }
            Event::Flow(id) => self.advance_flow(&id),
            Event::Fact(facts) => {
                if self.primary {
                    let now = self.now;
                    self.grant(&facts);
                    self.scheduler.hear(facts, now);
                    self.wake();
                }
            }
            Event::Hold(grant) => self.hold(&grant),
            Event::Fault => self.fault(),
            Event::Elect => self.elect_scheduler(),
            Event::Mend(node) => self.mend(&node),
            Event::Relink(a, b) => {
                self.cut.remove(&(a, b));
            }
            Event::Operator(wish) => self.wish(&wish),
        }
    }

    /// A second: the monitor looks, agents tell, the loop turns.
    fn tick(&mut self) {
        let nodes: Vec<NodeName> = self.hosts.keys().cloned().collect();
        for name in &nodes {
            if self.now % 4_000 < 1_000 {
                self.publish(name);
            }
            self.monitor(name);
            // Who looks tells the truth; a word about a node that runs is nobody's to mend.
            if self.rng.chance(self.faults.looks) && !self.hosts[name].up {
                self.say_off(name, false);
            }
        }
        self.fence();
        self.guard();
        self.wake();
        self.after(1_000, Event::Tick);
    }

    fn monitor(&mut self, name: &NodeName) {
        let now = self.now;
        let host = self.hosts.get_mut(name).unwrap();
        if host.hears() {
            host.silent_since = None;
        } else if host.silent_since.is_none() {
            host.silent_since = Some(now);
        }
        let silent = host.silent_since.map_or(0, |since| now - since);
        let limits = node::Limits { suspect_after_ms: 3_000, lost_after_ms: 10_000 };
        let state = node::State::after(silent, true, limits);
        let entry = self.docs.nodes[name.as_str()].clone();
        if entry.value.state != state {
            self.log(format!("node {name} is {}", state.word()));
            let mut changed = entry.value.clone();
            changed.apply(node::Change::Judged(state), documents::at(now));
            let docs = &mut self.docs;
            assert!(put(&mut docs.nodes, &mut docs.revision, changed, entry.revision));
        }
    }

    /// An operator says that a node is off; of one that is not lost that changes nothing.
    pub(crate) fn say_off(&mut self, name: &NodeName, for_good: bool) {
        let entry = self.docs.nodes[name.as_str()].clone();
        let mut changed = entry.value.clone();
        let word = node::Off { by: "sato".to_owned(), at: documents::at(self.now), for_good };
        changed.apply(node::Change::ConfirmedOff(word), documents::at(self.now));
        if changed != entry.value {
            self.log(format!("the operator says that {name} is off"));
            let docs = &mut self.docs;
            assert!(put(&mut docs.nodes, &mut docs.revision, changed, entry.revision));
            self.wake();
        }
    }

    /// The monitor writes down what is done with a node's power; whether it stands then.
    pub(crate) fn note_fencing(&mut self, name: &NodeName, told: &node::Fencing) -> bool {
        let entry = self.docs.nodes[name.as_str()].clone();
        let mut changed = entry.value.clone();
        changed.apply(node::Change::Fenced(Box::new(told.clone())), documents::at(self.now));
        let stands = changed.fencing.as_ref() == Some(told);
        if changed != entry.value {
            let word = if changed.off.is_some() { "; it is off" } else { "" };
            self.log(format!("fencing of {name}: {:?}{word}", told.outcome));
            let docs = &mut self.docs;
            assert!(put(&mut docs.nodes, &mut docs.revision, changed, entry.revision));
        }
        stands
    }

    /// A node goes dark, and stays so until it is mended.
    pub(crate) fn darken(&mut self, node: &NodeName) {
        self.log(format!("{node} loses power"));
        let killed = self.hosts.get_mut(node).unwrap().lose_power();
        killed.iter().for_each(|vm| self.hurt(vm));
        let with = |f: &&Flow| f.from == *node || f.to == *node;
        let ids: Vec<_> = self.flows.values().filter(with).map(|f| f.migration.clone()).collect();
        ids.iter().for_each(|id| self.break_flow(id));
    }

    fn fault(&mut self) {
        if self.now >= self.trouble_until {
            return;
        }
        let every = self.faults.every;
        let next = self.rng.between(every / 2, every * 2);
        self.after(next, Event::Fault);
        let nodes: Vec<NodeName> = self.hosts.keys().cloned().collect();
        let node = self.rng.pick(&nodes).clone();
        let back = self.rng.between(500, 30_000);
        match self.rng.between(0, if self.faults.power { 9 } else { 7 }) {
            0 | 1 if self.primary => {
                let linger = self.rng.chance(60);
                self.log(format!("FAULT the scheduler dies, its tasks linger: {linger}"));
                self.crash_scheduler(linger);
                let back = self.rng.between(1, 8_000);
                self.after(back, Event::Elect);
            }
            2 | 3 if self.hosts[&node].up => {
                self.log(format!("FAULT the agent of {node} dies"));
                self.hosts.get_mut(&node).unwrap().agent_up = false;
                self.after(back, Event::Mend(node));
            }
            4 => {
                self.log(format!("FAULT {node} is cut from the bus"));
                self.hosts.get_mut(&node).unwrap().connected = false;
                self.after(back, Event::Mend(node));
            }
            5..=7 => {
                let other = self.rng.pick(&nodes).clone();
                if other != node {
                    self.log(format!("FAULT the link {node} – {other} is cut"));
                    for (a, b) in [(node.clone(), other.clone()), (other.clone(), node.clone())] {
                        self.cut.insert((a.clone(), b.clone()));
                        self.after(back, Event::Relink(a, b));
                    }
                    // keepalive notices at once, or a little later when the flow goes on
                    if self.rng.chance(50) {
                        let broken = |f: &&Flow| (f.from == node && f.to == other) || (f.from == other && f.to == node);
                        let ids: Vec<_> = self.flows.values().filter(broken).map(|f| f.migration.clone()).collect();
                        ids.iter().for_each(|id| self.break_flow(id));
                    }
                }
            }
            8 | 9 if self.hosts[&node].up => {
                self.log("FAULT".to_owned());
                self.darken(&node);
                self.after(back, Event::Mend(node));
            }
            _ => {}
        }
    }

    pub(crate) fn mend(&mut self, node: &NodeName) {
        self.log(format!("{node} is well"));
        let flows: BTreeSet<MigrationId> = self.flows.keys().cloned().collect();
        let host = self.hosts.get_mut(node).unwrap();
        host.connected = true;
        if !host.up || !host.agent_up {
            host.up = true;
            host.agent_up = true;
            host.restart_agent(&flows);
        }
        self.publish(node);
    }

    /// Two minutes of trouble begin, in which a site is emptied and, mostly, filled again.
    pub(crate) fn trouble(&mut self) {
        self.run(3_000);
        self.trouble_until = 2 * MINUTE;
        if self.faults.every > 0 {
            self.after(self.seed % 500, Event::Fault);
        }
        self.after(500, Event::Operator(Wish::Evacuate("myodaiji")));
        if !self.seed.is_multiple_of(3) {
            self.after(MINUTE, Event::Operator(Wish::Return("myodaiji")));
        }
    }

    /// The trouble is over, and in the end all is as it should be.
    pub(crate) fn recover(&mut self) {
        if self.violation.is_none() {
            self.heal();
            // What is paused for good is never over.
            self.after(0, Event::Operator(Wish::Resume("myodaiji")));
            self.run(9 * MINUTE);
        }
        if self.violation.is_none() {
            self.check_end();
        }
    }

    /// Everything works again.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults { loss: 0, twice: 0, every: 0, power: false, aim: 0, looks: 0 };
        self.cut.clear();
        let nodes: Vec<NodeName> = self.hosts.keys().cloned().collect();
        nodes.iter().for_each(|node| self.mend(node));
        if !self.primary || self.scheduler_is_overtaken() {
            self.elect_scheduler();
        }
        self.log("HEALED".to_owned());
    }

    fn scheduler_is_overtaken(&self) -> bool {
        self.hosts.values().any(|host| host.epoch > self.scheduler.epoch)
    }

    /// Where the server's processors run now.
    pub(crate) fn running(&self, vm: &VmName) -> Vec<&NodeName> {
        let runs = |host: &&Host| host.guests.get(vm).is_some_and(|g| g.process == Process::Running);
        self.hosts.values().filter(runs).map(|host| &host.name).collect()
    }

    pub(crate) fn document(&self, vm: &VmName) -> Option<&Vm> {
        self.docs.vms.get(vm.as_str()).map(|entry| &entry.value)
    }

    /// One more node's document; nobody is there.
    pub(crate) fn add_node(&mut self, node: node::Node) {
        let docs = &mut self.docs;
        assert!(put(&mut docs.nodes, &mut docs.revision, node, 0));
    }

    /// Changes a server's document as a request would.
    pub(crate) fn amend(&mut self, vm: &str, change: impl FnOnce(&mut Vm)) {
        let entry = self.docs.vms[vm].clone();
        let mut changed = entry.value.clone();
        change(&mut changed);
        assert!(self.put_vm(changed, entry.revision));
        self.wake();
    }
}
