//! The simulated world: time, chance, faults. A seed replays everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use watari_contracts::agent::NodeFacts;
use watari_model::{MigrationId, NodeName, Timestamp, VmName, isolation::Ledger, node, vm::Vm};
use watari_testkit::Dice;

use super::{
    agent::{Guest, Host, Process},
    documents::{self, Documents, put},
    faults::{Fault, Faults, wall},
    fencing::Fencer,
    flow::Flow,
    isolation::TERMS,
    mirror::Copies,
    orders::Doom,
    scheduler::{Held, Question, Reply, Scheduler, Task},
    sweep::Aim,
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
    /// Agents obey whoever sends.
    IgnoresEpochs,
    /// The same, and that it happens is not held against them: only what follows from it.
    IgnoresEpochsUnseen,
}

impl Broken {
    pub(crate) const fn ignores_epochs(self) -> bool {
        matches!(self, Self::IgnoresEpochs | Self::IgnoresEpochsUnseen)
    }
}

pub(crate) enum Event {
    Tick,
    Turn,
    Ask(u64, NodeName, Question),
    Reply(u64, NodeName, Box<Reply>),
    Write(u64),
    Operation(NodeName, u64, String, Order),
    Flow(MigrationId),
    Fact(NodeFacts),
    Hold(super::isolation::Grant),
    Fault,
    Elect,
    Succeed(u64),
    Thaw,
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
    /// How often each kind of fault has come.
    pub(crate) counts: BTreeMap<Fault, u64>,
    /// The whole bus is down until then.
    pub(crate) bus_until: u64,
    /// A scheduler that stands still, and what it has decided.
    pub(crate) held: Option<Held>,
    /// How many actions were begun, and what is to become of one of them.
    pub(crate) begun: u64,
    pub(crate) aim: Option<Aim>,
    pub(crate) dooms: BTreeMap<String, Doom>,
    pub(crate) trouble_until: u64,
    pub(crate) events: u64,
    pub(crate) calm: bool,
    /// Bytes a second of the link; 0 leaves it to chance how long a copy takes.
    pub(crate) link: u64,
    /// Who is off by an operator's will in the end; everybody else runs.
    pub(crate) stopped: BTreeSet<VmName>,
    /// At which write the sum of what is reserved was last looked at.
    pub(crate) summed_at: u64,
    pub(crate) copies: Copies,
    /// Who cuts lost nodes' power; nobody if there is none.
    pub(crate) fencer: Option<Fencer>,
    /// Which leases were granted in this tenure, and how many servers were stopped for want of one.
    pub(crate) ledger: Ledger,
    pub(crate) halts: u32,
    /// How often a node's power was cut to be sure of it.
    pub(crate) fenced: u32,
    /// Boxed, since the map moves what it holds about.
    queue: BTreeMap<(u64, u64), Box<Event>>,
    turning: bool,
    lines: VecDeque<String>,
}

/// How often an agent that stands still is looked after.
const PAUSED_MS: u64 = 200;
/// Once nothing fails any more, all is well within so long.
const MOST_REST: u64 = 7 * MINUTE;
/// How often it is looked whether it is, and how many times in a row it must be.
const LOOKS: u64 = 4_000;
const LONG_WELL: u32 = 6;

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
            counts: BTreeMap::new(),
            bus_until: 0,
            held: None,
            begun: 0,
            aim: None,
            dooms: BTreeMap::new(),
            trouble_until: 0,
            events: 0,
            calm: faults.loss == 0,
            link: 0,
            stopped: BTreeSet::new(),
            summed_at: 0,
            copies: Copies::default(),
            fencer: None,
            ledger: Ledger::begin(0, TERMS),
            halts: 0,
            fenced: 0,
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
        self.queue.insert((self.now + delay, self.next), Box::new(event));
    }

    pub(crate) fn delay(&mut self) -> u64 {
        if self.befalls(self.faults.loss, Fault::Late) { self.rng.between(1, 6_000) } else { self.rng.between(1, 8) }
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

    /// The time by the scheduler's clock on the wall.
    pub(crate) fn wall(&self) -> Timestamp {
        wall(self.now, self.scheduler.jump)
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
        if host.speaks() {
            let facts = host.facts(now);
            if !self.is_lost() {
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
            // What is known and decided moves nothing in the world; most of what happens is that.
            let stirs = !matches!(*event, Event::Turn | Event::Reply(..) | Event::Fact(_));
            self.happen(*event);
            if stirs {
                self.check_world();
            }
        }
    }

    /// What comes while the one it is for stands still waits for it. What travels while the bus is down is lost, and
    /// who wants something of the bus waits.
    fn unless_held_up(&mut self, event: Event) -> Option<Event> {
        let wait = match &event {
            Event::Ask(_, node, _) | Event::Operation(node, ..) if self.hosts[node].is_paused() => PAUSED_MS,
            Event::Hold(grant) if self.hosts[&grant.node].is_paused() => PAUSED_MS,
            Event::Reply(task, ..) | Event::Write(task) => self.held_for(*task),
            Event::Fact(_) if self.stands_still() => self.held.as_ref().map_or(0, |held| held.until - self.now),
            Event::Elect | Event::Operator(_) => self.bus_until.saturating_sub(self.now),
            _ => 0,
        };
        let silent = matches!(&event, Event::Reply(_, _, reply) if matches!(**reply, Reply::Nothing));
        let travels = matches!(event, Event::Ask(..) | Event::Reply(..) | Event::Fact(_) | Event::Hold(_));
        if wait > 0 {
            self.after(wait, event);
            return None;
        }
        (!travels || silent || !self.bus_is_down()).then_some(event)
    }

    fn happen(&mut self, event: Event) {
        let Some(event) = self.unless_held_up(event) else { return };
        match event {
            Event::Tick => self.tick(),
            Event::Turn => {
                self.turning = false;
                if !self.stands_still() {
                    self.turn();
                }
            }
            Event::Ask(task, node, question) => self.answer(task, &node, &question),
            Event::Reply(task, node, reply) => self.replied(task, &node, *reply),
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
            Event::Succeed(epoch) => self.succeed(epoch),
            Event::Thaw => self.thaw(),
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
            // Without a bus nobody writes anything down.
            if self.bus_is_down() {
                continue;
            }
            self.monitor(name);
            // Who looks tells the truth; a word about a node that runs is nobody's to mend.
            if self.rng.chance(self.faults.looks) && !self.hosts[name].up {
                self.say_off(name, false);
            }
        }
        if !self.bus_is_down() {
            self.fence();
        }
        self.guard();
        self.wake();
        self.after(1_000, Event::Tick);
    }

    fn monitor(&mut self, name: &NodeName) {
        let now = self.now;
        let host = self.hosts.get_mut(name).unwrap();
        if host.speaks() {
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

    /// Trouble begins that lasts so long, in which a site is emptied and, mostly, filled again.
    pub(crate) fn trouble(&mut self, until: u64) {
        self.run(3_000);
        self.trouble_until = until;
        if self.faults.every > 0 {
            self.after(self.seed % 500, Event::Fault);
        }
        self.after(500, Event::Operator(Wish::Evacuate("myodaiji")));
        if !self.seed.is_multiple_of(3) {
            self.after(until / 2, Event::Operator(Wish::Return("myodaiji")));
        }
    }

    /// The trouble is over, and in the end all is as it should be.
    pub(crate) fn recover(&mut self) {
        if self.violation.is_none() {
            self.heal();
            // What is paused for good is never over, and a wish may have waited for the bus.
            self.queue.retain(|_, event| !matches!(**event, Event::Operator(_)));
            self.after(0, Event::Operator(Wish::Resume("myodaiji")));
            self.rest();
        }
        if self.violation.is_none() {
            self.check_end();
        }
    }

    /// Runs until all is well and has been so for a while: what came late in the trouble has come by then.
    pub(crate) fn rest(&mut self) {
        let (most, mut well) = (self.now + MOST_REST, 0);
        while self.violation.is_none() && self.now < most && well < LONG_WELL {
            self.run(self.now + LOOKS);
            well = if self.ills().is_empty() { well + 1 } else { 0 };
        }
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
