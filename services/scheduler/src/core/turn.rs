//! One turn of deciding: the snapshot, what is reserved so far, and what has been decided.

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use watari_chassis::Entry;
use watari_contracts::agent::{self, Observe, Progress, Transfer, VmFact};
use watari_model::{
    Document, NodeName, Refusal, SiteName, Timestamp, VmName,
    migration::{self, Migration},
    node,
    outage::{Outage, Scope},
    vm::{self, Vm},
};

use super::{
    Action, Rules, Snapshot, action,
    action::Order,
    dependencies::Dependencies,
    forecast, isolation, naming,
    placement::Rooms,
    snapshot::{Answer, Outcome, Sight},
};

/// The longest pause between tries of an operation that fails.
const MOST_PAUSE_MS: u64 = 60_000;

/// A turn. Its parts add actions in the order of their urgency; of two with one key the first stays.
pub(crate) struct Turn<'a> {
    pub(crate) snap: &'a Snapshot,
    pub(crate) rules: &'a Rules,
    pub(crate) now: Timestamp,
    pub(crate) rooms: Rooms,
    pub(crate) dependencies: Dependencies<'a>,
    pub(crate) actions: Vec<Action>,
    taken: HashSet<String>,
    /// Servers that are off and wait for others on which they depend, as far as servers have been gone through.
    pub(crate) start_later: HashSet<VmName>,
    by_vm: HashMap<&'a VmName, Vec<&'a Migration>>,
    link_rate: OnceLock<Option<u64>>,
}

/// How far an ordered operation is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// Ordered; not known to be over.
    Working,
    /// Done; this was seen.
    Done(&'a VmFact),
    /// It cannot be done.
    Failed(&'a Refusal),
}

/// What to do about an operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Tell the caller.
    Tell,
    /// Try again, ever more rarely.
    TryAgain,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(snap: &'a Snapshot, rules: &'a Rules, now: Timestamp) -> Self {
        let rooms = Rooms::of(snap, rules);
        let mut by_vm: HashMap<&VmName, Vec<&Migration>> = HashMap::new();
        for entry in snap.migrations.values() {
            by_vm.entry(&entry.value.vm).or_default().push(&entry.value);
        }
        let dependencies = Dependencies::of(&snap.vms);
        let (taken, start_later) = (HashSet::new(), HashSet::new());
        let (actions, link_rate) = (Vec::new(), OnceLock::new());
        Self { snap, rules, now, rooms, dependencies, actions, taken, start_later, by_vm, link_rate }
    }

    /// All migrations of a server that are remembered.
    pub(crate) fn migrations_of(&self, vm: &VmName) -> impl Iterator<Item = &'a Migration> + use<'a> {
        self.by_vm.get(vm).cloned().unwrap_or_default().into_iter()
    }

    /// What the link between sites carried the last times, in bytes a second; none if nothing has shown it. All migrations are
    /// gone through for it: once, and only if somebody asks.
    pub(crate) fn link_rate(&self) -> Option<u64> {
        *self.link_rate.get_or_init(|| forecast::rate(self.snap))
    }

    /// Bytes a second for each of the copies that cross at once: its part of the link, and no more than it may send. None if
    /// neither is known.
    pub(crate) fn share(&self) -> Option<u64> {
        let part = self.link_rate().map(|rate| (rate / self.rules.flows()).max(1));
        part.into_iter().chain(self.rules.copy_bound()).min()
    }

    /// Whether a server is on its way, or about to be.
    pub(crate) fn moves(&self, vm: &Vm) -> bool {
        vm.crossing.is_some() || self.migrations_of(&vm.name).any(|migration| !migration.state.over())
    }

    /// How far a migration's copy is, as its source last said.
    pub(crate) fn transfer(&self, migration: &Migration) -> Option<Transfer> {
        self.snap.passages.get(&(migration.from.clone(), migration.id.clone()))?.transfer
    }

    /// Whether nothing of this key is in hand or decided already.
    pub(crate) fn is_free(&self, key: &str) -> bool {
        !self.snap.busy.contains_key(key) && !self.taken.contains(key)
    }

    /// Whether a document may be decided about: no write of it is on its way.
    pub(crate) fn settled<T: Document>(&self, key: &str) -> bool {
        // Each turn asks this of every server, most turns with nothing in hand.
        (self.snap.busy.is_empty() && self.taken.is_empty()) || self.is_free(&action::document_key::<T>(key))
    }

    pub(crate) fn push(&mut self, action: Action) {
        let key = action.key();
        if self.is_free(&key) {
            self.taken.insert(key);
            self.actions.push(action);
        }
    }

    pub(crate) fn sight(&self, node: &NodeName, vm: &VmName) -> Sight<'a> {
        self.snap.sight(node, vm, self.rules.silent_ms)
    }

    pub(crate) fn unreachable(&self, node: &NodeName) -> bool {
        self.state_of(node) != Some(node::State::Ready) && self.snap.unreachable(node, self.rules.silent_ms)
    }

    /// What is heard of a node. Each turn asks it for every server, so that it is found by hash.
    fn state_of(&self, node: &NodeName) -> Option<node::State> {
        self.rooms.get(node).map(|room| room.node().state)
    }

    /// Whether an operator has said that a node is off, and nothing speaks against it.
    pub(crate) fn is_off(&self, node: &NodeName) -> bool {
        self.state_of(node) == Some(node::State::Lost) && self.snap.off(node, self.rules.silent_ms).is_some()
    }

    /// Whether it will not come back either: nothing of it is waited for.
    pub(crate) fn is_given_up(&self, node: &NodeName) -> bool {
        self.snap.off(node, self.rules.silent_ms).is_some_and(|off| off.for_good)
    }

    /// Whether a server's node, which is cut off, must have stopped it.
    pub(crate) fn has_ceased(&self, vm: &Vm) -> bool {
        isolation::has_ceased(self.snap, vm, self.rules.silent_ms)
    }

    /// Whether nothing of a server runs any more where a migration takes it from, though nobody there says so.
    pub(crate) fn is_off_at_source(&self, vm: &Vm, migration: &Migration) -> bool {
        let from = &migration.from;
        self.is_off(from) || isolation::may_go_on_elsewhere(self.snap, vm, from, self.rules.silent_ms)
    }

    /// Whether a server is being shut down only to be started again, and not for long yet: a guest
    /// that does not heed the wish is not waited for.
    pub(crate) fn restarts_soon(&self, vm: &Vm) -> bool {
        vm.state == vm::State::Stopping
            && vm.desired == vm::Desired::Running
            && self.now.millis_since(vm.changed_at) < MOST_PAUSE_MS
    }

    /// Whether an outage that is not over has the server be off, where it goes dark.
    pub(crate) fn is_held(&self, vm: &Vm) -> bool {
        let Some(halt) = &vm.halt else { return false };
        let node = vm.node().and_then(|node| self.snap.nodes.get(node.as_str()));
        let outage = self.snap.outages.get(halt.outage.as_str());
        outage.zip(node).is_some_and(|(outage, node)| outage.value.keeps_away(&node.value))
    }

    /// Writes a server's document after `changes` and `edit`. A change that its state does not
    /// allow leaves everything as it is.
    pub(crate) fn change_vm(
        &mut self,
        entry: &Entry<Vm>,
        changes: impl IntoIterator<Item = vm::Change>,
        edit: impl FnOnce(&mut Vm),
    ) {
        self.rewrite_vm(entry, changes, edit, false);
    }

    /// The same for a server that is started again without being asked.
    pub(crate) fn restart_vm(&mut self, entry: &Entry<Vm>, node: NodeName, fault: Option<Refusal>) {
        self.rewrite_vm(entry, [vm::Change::Granted(node)], |vm| vm.fault = fault, true);
    }

    /// Writes a server's document after `changes` and `edit`; a restart is counted.
    pub(super) fn rewrite_vm(
        &mut self,
        entry: &Entry<Vm>,
        changes: impl IntoIterator<Item = vm::Change>,
        edit: impl FnOnce(&mut Vm),
        restart: bool,
    ) {
        let mut vm = entry.value.clone();
        for change in changes {
            if vm.apply(change, self.now).is_err() {
                return;
            }
        }
        edit(&mut vm);
        if vm != entry.value {
            self.rooms.claim(&vm);
            self.push(Action::StoreVm { vm: Box::new(vm), revision: entry.revision, restart });
        }
    }

    /// Writes a migration's document after `changes`.
    pub(crate) fn change_migration(
        &mut self,
        entry: &Entry<Migration>,
        changes: impl IntoIterator<Item = migration::Change>,
    ) {
        let mut migration = entry.value.clone();
        for change in changes {
            if migration.apply(change, self.now).is_err() {
                return;
            }
        }
        self.push(Action::StoreMigration { migration: Box::new(migration), revision: entry.revision });
    }

    /// Whether a site may receive nothing.
    pub(crate) fn drains(&self, site: &SiteName) -> bool {
        let of_site = |scope: &Scope| matches!(scope, Scope::Site(name) if name == site);
        self.snap.outages.values().any(|entry| entry.value.state.drains() && of_site(&entry.value.scope))
    }

    /// Writes an outage's document after `change`.
    pub(crate) fn change_outage(&mut self, entry: &Entry<Outage>, change: watari_model::outage::Change) {
        let mut outage = entry.value.clone();
        if outage.apply(change, self.now).is_ok() {
            self.push(Action::StoreOutage { outage: Box::new(outage), revision: entry.revision });
        }
    }

    /// Orders `operation` of `node` until it is over, and says how far it is. Repeating an order
    /// is asking; a new try after a failure has a name of its own.
    pub(crate) fn order(
        &mut self,
        operation: &str,
        node: &NodeName,
        on_failure: OnFailure,
        build: impl FnOnce(agent::Order) -> Order,
    ) -> Step<'a> {
        let key = naming::at(operation, node);
        let answer = self.snap.answers.get(&key);
        let (step, attempt) = match answer {
            None => (Step::Working, Some(0)),
            Some(answer) => self.after(answer, on_failure),
        };
        if let Some(attempt) = attempt.filter(|_| self.is_free(&key)) {
            let name = if attempt == 0 { operation.to_owned() } else { format!("{operation}-r{attempt}") };
            let order = build(agent::Order { epoch: self.snap.epoch, operation: name });
            self.push(Action::Order { key, attempt, node: node.clone(), order });
        }
        step
    }

    /// What an answer means, and which attempt is due now.
    fn after(&self, answer: &'a Answer, on_failure: OnFailure) -> (Step<'a>, Option<u32>) {
        let again = answer.age_ms >= self.rules.repeat_ms;
        match &answer.outcome {
            Outcome::Order(Progress::Done, fact) => (Step::Done(fact), None),
            Outcome::Order(Progress::Working, _) => (Step::Working, (again || answer.news).then_some(answer.attempt)),
            Outcome::Order(Progress::Failed(refusal), _) | Outcome::Refused(refusal) => match on_failure {
                OnFailure::Tell => (Step::Failed(refusal), None),
                OnFailure::TryAgain => {
                    let due = answer.age_ms >= pause_ms(answer.attempt, MOST_PAUSE_MS);
                    (Step::Working, due.then(|| answer.attempt.saturating_add(1)))
                }
            },
            // An agent that is busy says so, and tells when it is no longer.
            Outcome::Silent(Refusal::AgentState { .. }) => {
                (Step::Working, (again || answer.news).then_some(answer.attempt))
            }
            _ => (Step::Working, again.then_some(answer.attempt)),
        }
    }

    /// Has `node` look at a server now. What comes back was seen after the document's present
    /// write, since the question is named after it.
    pub(crate) fn look(&mut self, entry: &Entry<Vm>, node: &NodeName) -> Option<&'a VmFact> {
        self.look_within(entry, node, u64::MAX)
    }

    /// The same, but what was seen `most_ms` ago or earlier does not count.
    pub(crate) fn look_within(&mut self, entry: &Entry<Vm>, node: &NodeName, most_ms: u64) -> Option<&'a VmFact> {
        let vm = &entry.value.name;
        let key = naming::look(vm, entry.revision, node);
        let answer = self.snap.answers.get(&key);
        let counts = |answer: &&Answer| answer.age_ms < most_ms;
        if answer.is_none_or(|a| a.age_ms >= self.rules.repeat_ms || !counts(&a)) {
            self.push(Action::Look { key, node: node.clone(), look: Observe { vm: vm.clone() } });
        }
        match answer.filter(counts).map(|a| &a.outcome) {
            Some(Outcome::Seen(fact)) => Some(fact),
            _ => None,
        }
    }

    pub(crate) fn alarm(&mut self, key: String, text: String) {
        self.push(Action::Alarm { key, text });
    }
}

/// A pause that doubles from one second with each failure, up to `most_ms`.
pub(crate) fn pause_ms(failures: u32, most_ms: u64) -> u64 {
    (1_000_u64 << failures.min(16)).min(most_ms)
}
