//! The twin of the cloud: its documents and agents in memory, in time that passes as it is told to. What is decided is
//! decided by the scheduler's own core.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use watari_contracts::{
    Service,
    agent::{Domain, Layer, OffReason, Receive, VmFact},
};
use watari_model::{
    NodeName, OutageId, Refusal, SiteName, Timestamp, VmName,
    migration::Reason,
    node::{self, Node},
    outage::{Change, Outage},
    site::{self, Site},
    vm::Base,
};

use super::{
    buckets::{delete, put},
    diary::Diary,
    link::{Flow, Link, Loads},
    world,
};
use crate::core::{Action, Answer, Both, Control, ControlSight, Outcome, Rules, Settle, Snapshot, decide};

/// Between two turns that follow one another: a write and an order to an agent take about so long.
pub(super) const STEP_MS: u64 = 20;
/// What was answered longer ago is forgotten, as by the scheduler itself, unless time goes in larger steps.
const ANSWERS_KEPT_MS: u64 = 600_000;
/// A node that says nothing is taken for lost after so long.
const LOST_MS: u64 = 10_000;
/// Standbys at the other site lead after so long.
const LEADS_MS: u64 = 10_000;

/// What happens by itself at its time.
#[derive(Debug)]
pub(super) enum Due {
    /// A server runs that was ordered to start.
    Runs { key: String, attempt: u32, node: NodeName, vm: VmName, generation: u64 },
    /// A server is off that was ordered to be.
    Off { key: String, attempt: u32, node: NodeName, vm: VmName, reason: OffReason },
    /// A base image has arrived, for whom it was fetched.
    Fetched { key: String, attempt: u32, node: NodeName, order: Box<Receive> },
    /// Frozen layers have arrived.
    Sent { key: String, attempt: u32, node: NodeName, to: NodeName, vm: VmName, uuid: String, layers: Vec<Layer> },
    /// A node loses power.
    Fails(NodeName),
    /// It is taken for lost.
    Lost(NodeName),
    /// The link carries so many bytes a second from then on.
    Slows(u64),
    /// The services are led from a site.
    Leads(SiteName),
    /// The power of the site that is rehearsed goes.
    PowerOff,
}

/// The twin.
pub(super) struct Twin {
    pub(super) snap: Snapshot,
    pub(super) rules: Rules,
    /// The outage that is rehearsed.
    pub(super) id: OutageId,
    pub(super) site: SiteName,
    start: Timestamp,
    /// Milliseconds since `start`.
    pub(super) clock: u64,
    pub(super) turns: u32,
    pub(super) link: Link,
    pub(super) loads: Loads,
    pub(super) diary: Diary,
    /// Operations that are under way, by the keys of their orders.
    pub(super) in_hand: BTreeSet<String>,
    /// Until when each node's disk is busy with saving memory.
    pub(super) saving: BTreeMap<NodeName, u64>,
    /// Who says nothing, and since when.
    down: BTreeMap<NodeName, u64>,
    /// When answers were given.
    given: HashMap<String, u64>,
    keeps_ms: u64,
    agenda: BTreeMap<(u64, u64), Due>,
    next: u64,
    revision: u64,
    boot_ms: u64,
}

impl Twin {
    /// A twin whose time begins at `start`.
    pub(super) fn new(
        mut snap: Snapshot,
        rules: Rules,
        (id, site): (OutageId, SiteName),
        (link, loads): (Link, Loads),
        start: Timestamp,
    ) -> Self {
        let down = world::begin(&mut snap, start);
        let revision = newest(&snap);
        let boot_ms = snap.boot_ms;
        Self {
            snap,
            rules,
            id,
            site,
            start,
            clock: 0,
            turns: 0,
            link,
            loads,
            diary: Diary::default(),
            in_hand: BTreeSet::new(),
            saving: BTreeMap::new(),
            down,
            given: HashMap::new(),
            keeps_ms: ANSWERS_KEPT_MS,
            agenda: BTreeMap::new(),
            next: 0,
            revision,
            boot_ms,
        }
    }

    /// Has answers outlast several steps of so many milliseconds.
    pub(super) fn goes_in_steps_of(&mut self, step_ms: u64) {
        self.keeps_ms = ANSWERS_KEPT_MS.max(step_ms.saturating_mul(16));
    }

    pub(super) fn now(&self) -> Timestamp {
        self.at(self.clock)
    }

    pub(super) fn at(&self, clock: u64) -> Timestamp {
        self.start.plus_millis(clock)
    }

    pub(super) fn due(&mut self, after_ms: u64, what: Due) {
        self.next += 1;
        self.agenda.insert((self.clock.saturating_add(after_ms), self.next), what);
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.snap.outages.get(self.id.as_str()).map(|entry| &entry.value)
    }

    /// Whether it is down, by its own fault or by being asked to fail.
    pub(super) fn is_down(&self, node: &NodeName) -> bool {
        self.down.contains_key(node)
    }

    /// Whether nothing is under way that would end by itself.
    pub(super) fn is_at_rest(&self) -> bool {
        self.in_hand.is_empty() && !self.link.is_busy()
    }

    /// When the next thing happens by itself.
    pub(super) fn next_event(&self) -> Option<u64> {
        let due = self.agenda.keys().next().map(|(at, _)| *at);
        let ends = self.link.next_in().map(|ms| self.clock.saturating_add(ms));
        [due, ends].into_iter().flatten().min()
    }

    /// What an operator asks of the outage; what its state does not allow is not done.
    pub(super) fn ask(&mut self, change: Change) {
        let Some(entry) = self.snap.outages.get(self.id.as_str()) else { return };
        let (mut outage, revision) = (entry.value.clone(), entry.revision);
        if outage.apply(change, self.now()).is_ok() {
            self.diary.outage(&outage, self.clock);
            put(&mut self.snap.outages, &mut self.revision, outage, revision);
        }
    }

    /// Makes an outage.
    pub(super) fn make(&mut self, outage: Outage) {
        put(&mut self.snap.outages, &mut self.revision, outage, 0);
    }

    /// Tells where the site's power comes from.
    pub(super) fn tell(&mut self, supply: site::Supply, seconds_left: Option<u64>) {
        let Some(entry) = self.snap.sites.get(self.site.as_str()) else { return };
        let (mut site, revision): (Site, u64) = (entry.value.clone(), entry.revision);
        site.apply(site::Change::Told(supply, seconds_left), self.now());
        put(&mut self.snap.sites, &mut self.revision, site, revision);
    }

    /// One turn of the scheduler's loop; whether it has changed anything.
    pub(super) fn turn(&mut self) -> bool {
        self.show();
        let actions = decide(&self.snap, &self.rules, self.now());
        self.turns += 1;
        let mut changed = false;
        for action in actions {
            changed |= self.perform(action);
        }
        changed
    }

    /// Brings what is seen up to this moment.
    fn show(&mut self) {
        let (clock, keeps_ms, boot_ms) = (self.clock, self.keeps_ms, self.boot_ms);
        let Self { snap, given, down, .. } = self;
        given.retain(|_, at| clock.saturating_sub(*at) < keeps_ms);
        snap.answers.retain(|key, answer| {
            let at = given.get(key).copied();
            answer.age_ms = at.map_or(0, |at| clock.saturating_sub(at));
            at.is_some()
        });
        for (node, heard) in &mut snap.heard {
            heard.age_ms = down.get(node).map_or(0, |since| clock.saturating_sub(*since));
        }
        snap.boot_ms = boot_ms.saturating_add(clock);
        let travelling: Vec<_> = self.link.travelling().map(|(flow, rate)| (flow.clone(), rate)).collect();
        for (flow, rate) in travelling {
            let transfer = flow.transfer(clock, rate);
            self.change(&flow.from, &flow.vm, |fact| {
                if let Some(passage) = &mut fact.passage {
                    passage.transfer = Some(transfer);
                }
            });
        }
    }

    fn perform(&mut self, action: Action) -> bool {
        let key = action.key();
        let (snap, counter) = (&mut self.snap, &mut self.revision);
        match action {
            Action::StoreVm { vm, revision, .. } => {
                let before = snap.vms.get(vm.name.as_str()).map(|entry| entry.value.state);
                self.diary.server(&vm, before, self.clock);
                put(&mut snap.vms, counter, *vm, revision)
            }
            Action::DropVm { name, revision } => delete(&mut snap.vms, name.as_str(), revision),
            Action::NewMigration(migration) => put(&mut snap.migrations, counter, *migration, 0),
            Action::StoreMigration { migration, revision } => {
                if migration.state.over() {
                    snap.passages.retain(|(_, id), _| *id != migration.id);
                }
                put(&mut snap.migrations, counter, *migration, revision)
            }
            Action::DropMigration { id, revision } => delete(&mut snap.migrations, id.as_str(), revision),
            Action::NewOutage(outage) => put(&mut snap.outages, counter, *outage, 0),
            Action::StoreOutage { outage, revision } => {
                if outage.id == self.id {
                    self.diary.outage(&outage, self.clock);
                }
                put(&mut snap.outages, counter, *outage, revision)
            }
            Action::DropOutage { id, revision } => delete(&mut snap.outages, id.as_str(), revision),
            Action::StoreSite { site, revision } => put(&mut snap.sites, counter, *site, revision),
            Action::DropUserData { uuid, revision } => delete(&mut snap.userdata, &uuid, revision),
            Action::StorePrimacy { primacy, revision } => {
                let site = primacy.site.clone();
                let stored = put(&mut snap.frontends, counter, *primacy, revision.unwrap_or(0));
                self.due(LEADS_MS, Due::Leads(site));
                stored
            }
            Action::Order { attempt, node, order, .. } => self.ordered(key, attempt, &node, &order),
            Action::Look { node, look, .. } => {
                let outcome =
                    if self.is_down(&node) { silent(&node) } else { Outcome::Seen(self.fact(&node, &look.vm)) };
                self.keep(key, 0, outcome)
            }
            Action::LookAtAll { node } => self.keep(key, 0, silent(&node)),
            Action::Settle(settle) => self.settled(key, settle),
            Action::DropLayers { node, drop, .. } => {
                if let Some(heard) = self.snap.heard.get_mut(&node) {
                    let layers = &mut Arc::make_mut(&mut heard.facts).layers;
                    layers.entry(drop.uuid.clone()).or_default().retain(|layer| drop.keep.contains(layer));
                    layers.retain(|_, kept| !kept.is_empty());
                }
                self.keep(key, 0, Outcome::Done)
            }
            Action::ReleasePorts { .. } => self.keep(key, 0, Outcome::Done),
            // Nobody strange is on the segments of a rehearsal.
            Action::ReplacePort { .. } => false,
            // Nodes are not switched here, and nobody is told of anything.
            Action::ShutDown { node, .. } | Action::Power { node, .. } => self.keep(key, 0, silent(&node)),
            Action::Alarm { .. } => false,
        }
    }

    /// Keeps an answer; whether it says anything new.
    pub(super) fn keep(&mut self, key: String, attempt: u32, outcome: Outcome) -> bool {
        let known = self.snap.answers.get(&key);
        let news = known.is_none_or(|known| known.attempt != attempt || known.outcome != outcome);
        self.given.insert(key.clone(), self.clock);
        self.snap.answers.insert(key, Answer { attempt, outcome, age_ms: 0, news: false });
        news
    }

    /// What both sides of a migration say; what follows from it is decided in the next turn.
    fn settled(&mut self, key: String, settle: Settle) -> bool {
        let Settle { vm, from, to, copy, off, reported, .. } = settle;
        let look = |twin: &Self, node: &NodeName| (!twin.is_down(node)).then(|| twin.fact(node, &vm));
        let both = match reported {
            Some(both) => *both,
            None => Both { copy, source: look(self, &from), target: look(self, &to), off },
        };
        self.keep(key, 0, Outcome::Both(both))
    }

    /// What a node says of a server.
    pub(super) fn fact(&self, node: &NodeName, vm: &VmName) -> VmFact {
        let known = self.snap.heard.get(node).and_then(|heard| heard.facts.vms.get(vm));
        known.cloned().unwrap_or_else(|| world::nothing(vm))
    }

    /// Changes what a node has of a server.
    pub(super) fn change(&mut self, node: &NodeName, vm: &VmName, edit: impl FnOnce(&mut VmFact)) {
        let Snapshot { heard, passages, .. } = &mut self.snap;
        let Some(heard) = heard.get_mut(node) else { return };
        let fact = Arc::make_mut(&mut heard.facts).vms.entry(vm.clone()).or_insert_with(|| world::nothing(vm));
        edit(fact);
        if let Some(passage) = fact.passage.clone() {
            passages.insert((node.clone(), passage.migration.clone()), passage);
        }
    }

    /// Removes all that a node has of a server.
    pub(super) fn forget(&mut self, node: &NodeName, vm: &VmName) {
        if let Some(heard) = self.snap.heard.get_mut(node) {
            Arc::make_mut(&mut heard.facts).vms.remove(vm);
        }
    }

    /// Lets time pass until `to`, with all that happens by itself.
    pub(super) fn pass(&mut self, to: u64) {
        while let Some(next) = self.next_event().filter(|next| *next <= to) {
            self.advance(next);
            while let Some(entry) = self.agenda.first_entry()
                && entry.key().0 <= self.clock
            {
                let what = entry.remove();
                self.happen(what);
            }
        }
        self.advance(to);
    }

    fn advance(&mut self, to: u64) {
        let ms = to.saturating_sub(self.clock);
        self.clock = self.clock.max(to);
        for flow in self.link.advance(ms, self.clock) {
            self.arrived(&flow);
        }
    }

    fn happen(&mut self, what: Due) {
        match what {
            Due::Runs { key, attempt, node, vm, generation } => self.runs(key, attempt, &node, &vm, generation),
            Due::Off { key, attempt, node, vm, reason } => self.goes_off(key, attempt, &node, &vm, reason),
            Due::Fetched { key, attempt, node, order } => self.fetched(key, attempt, &node, &order),
            Due::Sent { key, attempt, node, to, vm, uuid, layers } => {
                if let Some(heard) = self.snap.heard.get_mut(&to).filter(|_| !self.down.contains_key(&to)) {
                    Arc::make_mut(&mut heard.facts).layers.insert(uuid, layers);
                }
                self.done(key, attempt, &node, &vm);
            }
            Due::Fails(node) => self.fail(node),
            Due::Slows(rate) => self.link.goes_at(rate),
            Due::Lost(node) => self.judge(&node, node::State::Lost),
            Due::Leads(site) => self.lead(&site),
            Due::PowerOff => {
                let there = self.still_there();
                self.diary.power_off(there);
            }
        }
    }

    /// Who runs at the site at this moment.
    pub(super) fn still_there(&self) -> Vec<VmName> {
        use watari_model::vm::State::{Migrating, Running, Starting, Stopping};
        let at_site = |node: &NodeName| self.snap.nodes.get(node.as_str()).is_some_and(|n| n.value.site == self.site);
        let vms = self.snap.vms.values().map(|entry| &entry.value);
        let there = vms.filter(|vm| {
            matches!(vm.state, Running | Starting | Stopping | Migrating)
                && vm.node().is_some_and(at_site)
                && !self.diary.has_left(&vm.name)
                && !vm.node().is_some_and(|node| self.diary.fell_with(&vm.name, node))
        });
        there.map(|vm| vm.name.clone()).collect()
    }

    /// A node is dark from now on: what travels from or to it breaks off, and its servers are gone with it.
    fn fail(&mut self, node: NodeName) {
        if self.is_down(&node) {
            return;
        }
        let clock = self.clock;
        let running = self.running_on(&node);
        self.diary.went_down(running, &node, clock);
        for flow in self.link.take(|flow| flow.from == node || flow.to == node, clock) {
            if flow.from == node {
                self.in_hand.remove(&flow.key);
            } else {
                self.diary.in_vain(&flow);
                self.broke_off(&flow);
            }
        }
        self.down.insert(node.clone(), clock);
        self.due(LOST_MS, Due::Lost(node));
    }

    /// Who runs on a node, or has arrived there and is about to.
    fn running_on(&self, node: &NodeName) -> Vec<VmName> {
        let Some(heard) = self.snap.heard.get(node) else { return Vec::new() };
        let live = heard.facts.vms.values().filter(|fact| matches!(fact.domain, Domain::Running | Domain::Paused));
        live.map(|fact| fact.vm.clone()).collect()
    }

    /// Whether a node of another site had power at that time.
    pub(super) fn has_refuge(&self, clock: u64) -> bool {
        let dark = |node: &NodeName| self.down.get(node).is_some_and(|since| *since <= clock);
        self.snap.nodes.values().map(|entry| &entry.value).any(|node| node.site != self.site && !dark(&node.name))
    }

    fn judge(&mut self, name: &NodeName, state: node::State) {
        let Some(entry) = self.snap.nodes.get(name.as_str()) else { return };
        let (mut node, revision): (Node, u64) = (entry.value.clone(), entry.revision);
        node.apply(node::Change::Judged(state), self.now());
        put(&mut self.snap.nodes, &mut self.revision, node, revision);
    }

    /// A node keeps a base image from now on.
    pub(super) fn keeps(&mut self, name: &NodeName, base: &Base) {
        let Some(entry) = self.snap.nodes.get(name.as_str()) else { return };
        let (mut node, revision): (Node, u64) = (entry.value.clone(), entry.revision);
        node.inventory.images.insert(base.sha256.clone());
        put(&mut self.snap.nodes, &mut self.revision, node, revision);
    }

    /// Of each service a process at the site leads, if there is one.
    fn lead(&mut self, site: &SiteName) {
        let Control::Seen(sight) = &self.snap.control else { return };
        let mut standings = sight.standings.clone();
        for service in Service::OF_FRONT {
            let fit = standings.iter().position(|s| s.service == service && s.site.as_ref() == Some(site));
            let Some(leader) = fit else { continue };
            for (n, standing) in standings.iter_mut().enumerate().filter(|(_, s)| s.service == service) {
                standing.leads = n == leader;
            }
        }
        self.snap.control = Control::Seen(Arc::new(ControlSight { standings, ..ControlSight::default() }));
    }

    /// Why a migration was made, if it belongs to the outage.
    pub(super) fn reason(&self, flow: &Flow) -> Option<Reason> {
        let migration = &self.snap.migrations.get(flow.migration.as_str())?.value;
        (migration.outage.as_ref() == Some(&self.id)).then_some(migration.reason)
    }
}

/// That a node says nothing.
pub(super) fn silent(node: &NodeName) -> Outcome {
    Outcome::Silent(Refusal::NoAnswer { who: node.to_string() })
}

/// The newest write that there is.
fn newest(snap: &Snapshot) -> u64 {
    let all = [
        snap.vms.values().map(|entry| entry.revision).max(),
        snap.migrations.values().map(|entry| entry.revision).max(),
        snap.outages.values().map(|entry| entry.revision).max(),
        snap.sites.values().map(|entry| entry.revision).max(),
        snap.nodes.values().map(|entry| entry.revision).max(),
        snap.frontends.values().map(|entry| entry.revision).max(),
    ];
    all.into_iter().flatten().max().unwrap_or(0)
}
