//! What the process remembers between turns. All of it can be lost: facts are sent again, orders
//! repeated, and pauses forgotten cost one try too many.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use watari_chassis::{TraceParent, clock};
use watari_contracts::{
    agent::{Brought, NodeFacts, Passage, VmFact},
    monitor::CapacityChanged,
};
use watari_model::{
    MigrationId, NodeName, VmName,
    isolation::{Ledger, Terms},
};

use crate::core::{self, Action, Control, Heard, Load, Outcome, Restarts, Snapshot, known};

/// An answer older than this is forgotten: its order is repeated, which is asking.
const ANSWERS_KEPT_MS: u64 = 600_000;
/// Starts further apart than this are not "in a row".
const IN_A_ROW_MS: u64 = 300_000;

/// What was told of a node's load longer ago is forgotten: while it matters it is told anew, far sooner.
const LOADS_KEPT_MS: u64 = 60_000;

/// How much of a disk is there is told each second while it is sent ahead: what is so old says nothing of now.
const BROUGHT_KEPT_MS: u64 = 10_000;

/// What is done for a server later belongs to its request's trace no more.
const TRACES_KEPT_MS: u64 = 600_000;
/// The most servers whose traces are kept. Beyond that only those that are new are told whole.
const MOST_TRACES: usize = 10_000;

/// Who is heard again after so long is news by being heard.
const LONG_MS: u64 = 2_000;

/// Shared by the loop, its tasks, the subscriptions and the views.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    nodes: BTreeMap<NodeName, Node>,
    passages: HashMap<(NodeName, MigrationId), Passage>,
    answers: HashMap<String, Answer>,
    busy: HashMap<String, Arc<Action>>,
    restarts: HashMap<VmName, Restart>,
    /// What the monitor told of nodes' loads, and when.
    loads: BTreeMap<NodeName, (Arc<CapacityChanged>, u64)>,
    /// How much of disks that are sent ahead is there, and when their nodes said so.
    brought: HashMap<VmName, (Brought, u64)>,
    control: Control,
    ledger: Ledger,
    /// To which traces what is done for servers belongs, and since when.
    traces: HashMap<VmName, (TraceParent, u64)>,
}

struct Node {
    facts: Arc<NodeFacts>,
    at: u64,
    /// Counts what it published that was new.
    count: u64,
}

struct Answer {
    attempt: u32,
    outcome: Outcome,
    at: u64,
    heard: Vec<(NodeName, u64)>,
}

struct Restart {
    count: u32,
    at: u64,
}

/// How often nodes had been heard when something was asked of them.
pub(crate) type Asked = Vec<(NodeName, u64)>;

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is one call and leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what an agent published or answered; whether that says anything new. What is older
    /// than what is known is ignored.
    pub(crate) fn hear(&self, facts: NodeFacts) -> bool {
        let now = clock::boot_millis();
        let mut inner = self.lock();
        let Inner { nodes, passages, .. } = &mut *inner;
        facts.vms.values().for_each(|fact| note_passage(passages, &facts.node, fact));
        match nodes.get_mut(&facts.node) {
            Some(node) => {
                let same = node.facts.instance == facts.instance;
                if (same && facts.seq < node.facts.seq) || (!same && facts.at < node.facts.at) {
                    return false;
                }
                let was_silent = now.saturating_sub(node.at) > LONG_MS;
                let news = !same
                    || was_silent
                    || facts.vms != node.facts.vms
                    || facts.layers != node.facts.layers
                    || facts.guard != node.facts.guard
                    || facts.hypervisor_answers != node.facts.hypervisor_answers;
                node.at = now;
                node.count += u64::from(news);
                node.facts = Arc::new(facts);
                news
            }
            None => {
                nodes.insert(facts.node.clone(), Node { facts: Arc::new(facts), at: now, count: 1 });
                true
            }
        }
    }

    /// Takes in what the monitor tells of a node; whether more of it has changed than its load.
    pub(crate) fn weigh(&self, told: CapacityChanged) -> bool {
        let mut inner = self.lock();
        let room = |told: &CapacityChanged| (told.state, told.memory_free_mib, told.disk_free_gib);
        let news = inner.loads.get(&told.node).is_none_or(|(known, _)| room(known) != room(&told));
        inner.loads.insert(told.node.clone(), (Arc::new(told), clock::boot_millis()));
        news
    }

    /// Whether all of these nodes were heard within the last so many milliseconds.
    pub(crate) fn hears<'n>(&self, mut nodes: impl Iterator<Item = &'n NodeName>, within_ms: u64) -> bool {
        let now = clock::boot_millis();
        let inner = self.lock();
        nodes.all(|name| inner.nodes.get(name).is_some_and(|node| now.saturating_sub(node.at) <= within_ms))
    }

    /// Notes how often nodes have been heard, before something is asked of them.
    pub(crate) fn asking(&self, nodes: &[&NodeName]) -> Asked {
        let inner = self.lock();
        nodes.iter().map(|name| ((*name).clone(), inner.nodes.get(*name).map_or(0, |node| node.count))).collect()
    }

    /// Takes in what one agent answered of one server.
    pub(crate) fn see(&self, node: &NodeName, fact: &VmFact) {
        let mut inner = self.lock();
        note_passage(&mut inner.passages, node, fact);
        if let Some(node) = inner.nodes.get_mut(node) {
            node.at = clock::boot_millis();
            if known(fact).is_some() {
                Arc::make_mut(&mut node.facts).vms.insert(fact.vm.clone(), fact.clone());
            }
        }
    }

    /// Notes how much of a server's disk that is sent ahead is there, or that nothing of it travels.
    pub(crate) fn note_brought(&self, vm: &VmName, brought: Option<Brought>) {
        let mut inner = self.lock();
        if let Some(brought) = brought {
            inner.brought.insert(vm.clone(), (brought, clock::boot_millis()));
        } else {
            inner.brought.remove(vm);
        }
    }

    /// How much of a server's disk that is being sent ahead is there by now.
    pub(crate) fn brought(&self, vm: &VmName) -> Option<Brought> {
        let (brought, at) = *self.lock().brought.get(vm)?;
        (clock::boot_millis().saturating_sub(at) < BROUGHT_KEPT_MS).then_some(brought)
    }

    /// Keeps an answer.
    pub(crate) fn answered(&self, key: String, attempt: u32, outcome: Outcome, asked: Asked) {
        let answer = Answer { attempt, outcome, at: clock::boot_millis(), heard: asked };
        self.lock().answers.insert(key, answer);
    }

    /// Forgets an answer that nobody asks for any more: each turn goes through all that are kept.
    pub(crate) fn forget(&self, key: &str) {
        self.lock().answers.remove(key);
    }

    /// Marks an action as in hand; whether it was not before.
    pub(crate) fn take(&self, key: &str, action: &Arc<Action>) -> bool {
        let mut inner = self.lock();
        if inner.busy.contains_key(key) {
            return false;
        }
        inner.busy.insert(key.to_owned(), Arc::clone(action));
        true
    }

    /// The action is no longer in hand.
    pub(crate) fn done(&self, key: &str) {
        self.lock().busy.remove(key);
    }

    /// How much is in hand.
    pub(crate) fn in_hand(&self) -> usize {
        self.lock().busy.len()
    }

    /// Counts a start that nobody asked for.
    pub(crate) fn restarted(&self, vm: &VmName) {
        let now = clock::boot_millis();
        let mut inner = self.lock();
        let restart = inner.restarts.entry(vm.clone()).or_insert(Restart { count: 0, at: now });
        let fresh = now.saturating_sub(restart.at) > IN_A_ROW_MS;
        *restart = Restart { count: if fresh { 1 } else { restart.count.saturating_add(1) }, at: now };
    }

    /// Notes to which trace what is done for a server from now on belongs, if there is one that is recorded.
    pub(crate) fn note_trace(&self, vm: &VmName, trace: Option<TraceParent>) {
        let Some(trace) = trace else { return };
        let mut inner = self.lock();
        if inner.traces.len() >= MOST_TRACES {
            inner.traces.clear();
        }
        inner.traces.insert(vm.clone(), (trace, clock::boot_millis()));
    }

    /// To which trace what is done for a server belongs.
    pub(crate) fn trace(&self, vm: &VmName) -> Option<TraceParent> {
        let (trace, at) = *self.lock().traces.get(vm)?;
        (clock::boot_millis().saturating_sub(at) < TRACES_KEPT_MS).then_some(trace)
    }

    /// The server is as somebody wanted it in this trace: what is done from now on is done for nobody's request, unless
    /// somebody has asked for something else meanwhile.
    pub(crate) fn end_trace(&self, vm: &VmName, ended: Option<TraceParent>) {
        let mut inner = self.lock();
        let is_ended = |(kept, _): &(TraceParent, u64)| ended.is_some_and(|ended| ended.trace_id() == kept.trace_id());
        if inner.traces.get(vm).is_some_and(is_ended) {
            inner.traces.remove(vm);
        }
    }

    /// What was seen of the control plane.
    pub(crate) fn saw_control(&self, control: Control) {
        self.lock().control = control;
    }

    /// Whether the control plane is still to be looked at in this tenure.
    pub(crate) fn has_not_seen_control(&self) -> bool {
        matches!(self.lock().control, Control::Unseen)
    }

    /// Notes that a node is about to be granted a lease; whether it may be.
    pub(crate) fn grant(&self, node: &NodeName, terms: Terms) -> bool {
        self.lock().ledger.grant(node, terms, clock::boot_millis())
    }

    /// Forgets answers, as a new tenure begins: they were given to somebody else.
    pub(crate) fn begin_tenure(&self) {
        let mut inner = self.lock();
        inner.answers.clear();
        inner.restarts.clear();
        inner.ledger = Ledger::begin(clock::boot_millis(), Terms::MOST);
        if !matches!(inner.control, Control::Unmanaged) {
            inner.control = Control::Unseen;
        }
    }

    /// Fills in what is known of nodes, for views.
    pub(crate) fn fill_sights(&self, snap: &mut Snapshot) {
        let now = clock::boot_millis();
        let inner = self.lock();
        snap.heard = inner.nodes.iter().map(|(name, node)| (name.clone(), node.heard(now))).collect();
        snap.passages = inner.passages.clone();
        snap.control = inner.control.clone();
        snap.ledger = inner.ledger.clone();
        snap.boot_ms = now;
    }

    /// Fills in what one node last said: a server's view needs no more, and there may be thousands of nodes.
    pub(crate) fn fill_sight(&self, snap: &mut Snapshot, node: &NodeName) {
        if let Some(known) = self.lock().nodes.get(node) {
            snap.heard.insert(node.clone(), known.heard(clock::boot_millis()));
        }
    }

    /// Fills in everything, for deciding, and forgets what is old.
    pub(crate) fn fill(&self, snap: &mut Snapshot) {
        self.fill_sights(snap);
        let now = clock::boot_millis();
        let mut inner = self.lock();
        inner.answers.retain(|_, answer| now.saturating_sub(answer.at) < ANSWERS_KEPT_MS);
        inner.loads.retain(|_, (_, at)| now.saturating_sub(*at) < LOADS_KEPT_MS);
        inner.brought.retain(|_, (_, at)| now.saturating_sub(*at) < BROUGHT_KEPT_MS);
        inner.restarts.retain(|_, restart| now.saturating_sub(restart.at) < IN_A_ROW_MS);
        let active = |id: &MigrationId| snap.migrations.get(id.as_str()).is_some_and(|m| !m.value.state.over());
        inner.passages.retain(|(_, id), _| active(id));
        let news = |answer: &Answer| {
            let count = |node: &NodeName| inner.nodes.get(node).map_or(0, |node| node.count);
            answer.heard.iter().any(|(node, then)| count(node) > *then)
        };
        let age = |at: u64| now.saturating_sub(at);
        snap.answers = inner
            .answers
            .iter()
            .map(|(key, answer)| {
                let Answer { attempt, outcome, at, .. } = answer;
                let known =
                    core::Answer { attempt: *attempt, outcome: outcome.clone(), age_ms: age(*at), news: news(answer) };
                (key.clone(), known)
            })
            .collect();
        let load = |(told, at): &(Arc<CapacityChanged>, u64)| Load { told: Arc::clone(told), age_ms: age(*at) };
        snap.loads = inner.loads.iter().map(|(node, known)| (node.clone(), load(known))).collect();
        snap.busy = inner.busy.clone();
        snap.restarts = inner
            .restarts
            .iter()
            .map(|(vm, restart)| (vm.clone(), Restarts { count: restart.count, age_ms: age(restart.at) }))
            .collect();
    }
}

impl Node {
    fn heard(&self, now: u64) -> Heard {
        Heard { facts: Arc::clone(&self.facts), age_ms: now.saturating_sub(self.at) }
    }
}

/// Keeps the last figures of a migration: agents forget them when they forget the server.
fn note_passage(passages: &mut HashMap<(NodeName, MigrationId), Passage>, node: &NodeName, fact: &VmFact) {
    let Some(passage) = &fact.passage else { return };
    let key = (node.clone(), passage.migration.clone());
    let old = passages.get(&key);
    let merged = Passage {
        transfer: passage.transfer.or_else(|| old.and_then(|p| p.transfer)),
        complaint: passage.complaint.clone().or_else(|| old.and_then(|p| p.complaint.clone())),
        stalled_seconds: passage.stalled_seconds.or_else(|| old.and_then(|p| p.stalled_seconds)),
        paused_ms: passage.paused_ms.or_else(|| old.and_then(|p| p.paused_ms)),
        answers: passage.answers.or_else(|| old.and_then(|p| p.answers)),
        ..passage.clone()
    };
    passages.insert(key, merged);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(node: &NodeName) -> NodeFacts {
        NodeFacts {
            node: node.clone(),
            site: "myodaiji".parse().unwrap(),
            instance: "one".to_owned(),
            seq: 1,
            epoch: 1,
            hypervisor_answers: true,
            at: clock::now(),
            vms: BTreeMap::new(),
            layers: BTreeMap::new(),
            guard: None,
        }
    }

    #[test]
    fn nodes_are_heard_while_the_last_word_of_each_is_no_older_than_that() {
        let memory = Memory::default();
        let nodes: [NodeName; 2] = ["m1", "m2"].map(|name| name.parse().unwrap());
        assert!(memory.hears(nodes[..0].iter(), 10_000), "nobody is missed where there is nobody");
        assert!(memory.hear(facts(&nodes[0])));
        assert!(memory.hears(nodes[..1].iter(), 10_000));
        assert!(!memory.hears(nodes.iter(), 10_000), "nothing was heard of the other");
        assert!(memory.hear(facts(&nodes[1])));
        assert!(memory.hears(nodes.iter(), 10_000));
        let before = clock::boot_millis().saturating_sub(10_001);
        memory.lock().nodes.values_mut().for_each(|node| node.at = before.min(node.at));
        assert!(!memory.hears(nodes.iter(), 10_000));
    }

    #[test]
    fn how_much_of_a_disk_is_there_is_known_while_its_node_says_so() {
        let (memory, vm) = (Memory::default(), "mail".parse::<VmName>().unwrap());
        let brought = Brought { brought_bytes: 30, total_bytes: 100 };
        memory.note_brought(&vm, Some(brought));
        assert_eq!(memory.brought(&vm), Some(brought));
        let before = clock::boot_millis().saturating_sub(BROUGHT_KEPT_MS);
        memory.lock().brought.values_mut().for_each(|(_, at)| *at = before);
        assert_eq!(memory.brought(&vm), None, "that was long ago");
        memory.note_brought(&vm, Some(brought));
        memory.note_brought(&vm, None);
        assert_eq!(memory.brought(&vm), None, "it has arrived");
    }
}
