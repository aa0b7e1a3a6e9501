//! The simulated scheduler's process: the real `decide`, and an executor like the real one whose
//! every message takes time, may be lost, and may come from somebody who has been replaced.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use watari_contracts::agent::{self, NodeFacts, Passage, VmFact};
use watari_model::{
    Document, MigrationId, NodeName, Refusal, VmName,
    isolation::Ledger,
    vm::{Change, Vm},
};

use super::{
    documents::{delete, put},
    faults::Fault,
    isolation::TERMS,
    mirror::Copies,
    sim::{Broken, Event, Sim},
    sweep::Mishap,
};
use crate::core::{
    Action, Answer, Both, Heard, Order, Outcome, Restarts, Settle, Snapshot,
    crossing::{Verdict, may_switch, verdict},
    decide, listen_key, resume_key, resume_operation,
};

/// One tenure.
#[derive(Default)]
pub(crate) struct Scheduler {
    pub(crate) epoch: u64,
    heard: BTreeMap<NodeName, (Arc<NodeFacts>, u64, u64)>,
    passages: HashMap<(NodeName, MigrationId), Passage>,
    answers: HashMap<String, Kept>,
    busy: HashMap<String, Arc<Action>>,
    restarts: HashMap<VmName, (u32, u64)>,
    overtaken: bool,
    /// By how many milliseconds its clock on the wall is wrong.
    pub(crate) jump: i64,
}

/// What a scheduler that stands still has decided and not begun; it does so when it goes on.
pub(crate) struct Held {
    pub(crate) epoch: u64,
    pub(crate) until: u64,
    pub(crate) actions: Vec<Action>,
}

struct Kept {
    attempt: u32,
    outcome: Outcome,
    at: u64,
    asked: Vec<(NodeName, u64)>,
}

/// What is asked of an agent.
#[derive(Clone)]
pub(crate) enum Question {
    Order(Order),
    Look(VmName),
    All,
}

/// What an agent says.
#[derive(Clone)]
pub(crate) enum Reply {
    Order(Result<agent::Answer, Refusal>),
    Look(VmFact),
    All(NodeFacts),
    Nothing,
}

/// An action in hand: what it waits for.
pub(crate) struct Task {
    pub(crate) epoch: u64,
    key: String,
    action: Arc<Action>,
    asked: Vec<(NodeName, u64)>,
    step: Step,
    /// What is to become of it, if not the usual.
    mishap: Option<Mishap>,
}

enum Step {
    Answer,
    Written,
    Both { a: Option<Option<Box<VmFact>>>, b: Option<Option<Box<VmFact>>> },
    Switched(Box<Vm>),
    Resumed(String),
}

impl Scheduler {
    pub(crate) fn new(epoch: u64) -> Self {
        Self { epoch, ..Self::default() }
    }

    fn note(&mut self, node: &NodeName, fact: &VmFact) {
        if let Some(passage) = &fact.passage {
            self.passages.insert((node.clone(), passage.migration.clone()), passage.clone());
        }
    }

    pub(crate) fn hear(&mut self, facts: NodeFacts, now: u64) {
        facts.vms.values().for_each(|fact| self.note(&facts.node, fact));
        match self.heard.get_mut(&facts.node) {
            Some((known, when, count)) => {
                let same = known.instance == facts.instance;
                if (same && facts.seq < known.seq) || (!same && facts.at < known.at) {
                    return;
                }
                *when = now;
                *count += 1;
                *known = Arc::new(facts);
            }
            None => {
                self.heard.insert(facts.node.clone(), (Arc::new(facts), now, 1));
            }
        }
    }

    fn see(&mut self, node: &NodeName, fact: &VmFact, now: u64) {
        self.note(node, fact);
        if let Some((known, when, _)) = self.heard.get_mut(node) {
            *when = now;
            Arc::make_mut(known).vms.insert(fact.vm.clone(), fact.clone());
        }
    }

    pub(crate) fn is_busy(&self, key: &str) -> bool {
        self.busy.contains_key(key)
    }

    fn asking(&self, nodes: &[&NodeName]) -> Vec<(NodeName, u64)> {
        nodes.iter().map(|n| ((*n).clone(), self.heard.get(*n).map_or(0, |h| h.2))).collect()
    }
}

impl Sim {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let s = &self.scheduler;
        let age = |then: u64| self.now - then;
        let count = |node: &NodeName| s.heard.get(node).map_or(0, |h| h.2);
        let Copies { vms, migrations, late } = &self.copies;
        let (vms, migrations) =
            if late.is_empty() { (&self.docs.vms, &self.docs.migrations) } else { (vms, migrations) };
        Snapshot {
            epoch: s.epoch,
            vms: Arc::clone(vms),
            migrations: Arc::clone(migrations),
            outages: Arc::clone(&self.docs.outages),
            sites: Arc::clone(&self.docs.sites),
            userdata: Arc::default(),
            nodes: Arc::clone(&self.docs.nodes),
            networks: Arc::default(),
            heard: s
                .heard
                .iter()
                .map(|(n, (facts, when, _))| (n.clone(), Heard { facts: Arc::clone(facts), age_ms: age(*when) }))
                .collect(),
            passages: s.passages.clone(),
            answers: s
                .answers
                .iter()
                .map(|(key, kept)| {
                    let news = kept.asked.iter().any(|(node, then)| count(node) > *then);
                    let (attempt, outcome) = (kept.attempt, kept.outcome.clone());
                    (key.clone(), Answer { attempt, outcome, age_ms: age(kept.at), news })
                })
                .collect(),
            busy: s.busy.clone(),
            restarts: s
                .restarts
                .iter()
                .map(|(vm, (count, when))| (vm.clone(), Restarts { count: *count, age_ms: age(*when) }))
                .collect(),
            ledger: self.ledger.clone(),
            boot_ms: self.now,
            ..Snapshot::default()
        }
    }

    /// One turn of the loop.
    pub(crate) fn turn(&mut self) {
        if !self.primary || self.scheduler.overtaken {
            return;
        }
        self.follow();
        let snap = self.snapshot();
        let mut rules = self.rules.clone();
        rules.overcommit.memory = if self.broken == Broken::Overbooks { 100.0 } else { rules.overcommit.memory };
        let actions = decide(&snap, &rules, self.wall());
        for action in actions {
            self.check_action(&snap, &action);
            let (key, action) = (action.key(), Arc::new(action));
            // It may have died of the one before.
            if self.primary && !self.scheduler.is_busy(&key) {
                self.scheduler.busy.insert(key.clone(), Arc::clone(&action));
                self.begin(self.scheduler.epoch, key, action);
            }
        }
    }

    /// A scheduler that stood still goes on. If it leads no more, it does not know that yet.
    pub(crate) fn thaw(&mut self) {
        let now = self.now;
        let Some(held) = self.held.take_if(|held| held.until <= now) else { return };
        if self.primary && held.epoch == self.scheduler.epoch {
            return self.wake();
        }
        self.log(format!("the scheduler of epoch {} goes on with {} actions", held.epoch, held.actions.len()));
        for action in held.actions {
            self.begin(held.epoch, action.key(), Arc::new(action));
        }
    }

    /// For how long a task waits for its scheduler, which stands still.
    pub(crate) fn held_for(&self, task: u64) -> u64 {
        let epoch = self.tasks.get(&task).map(|task| task.epoch);
        let held = self.held.as_ref().filter(|held| Some(held.epoch) == epoch);
        held.map_or(0, |held| held.until.saturating_sub(self.now))
    }

    fn task(&mut self, task: Task) -> u64 {
        self.next += 1;
        self.tasks.insert(self.next, task);
        self.next
    }

    /// Begins to do what the scheduler of an epoch has decided.
    fn begin(&mut self, epoch: u64, key: String, action: Arc<Action>) {
        match action.as_ref() {
            Action::ReleasePorts { .. } => {
                self.keep(&key, 0, Outcome::Done, Vec::new());
                self.scheduler.busy.remove(&key);
                self.wake();
            }
            Action::Alarm { text, .. } => {
                if text.starts_with("outage.plan-flawed") {
                    self.violate(format!("the planner and the check of its plans differ: {text}"));
                }
                self.log(format!("alarm: {text}"));
                self.scheduler.busy.remove(&key);
            }
            _ => {
                let mishap = self.mishap(epoch, &key, &action);
                if mishap == Some(Mishap::DiesBefore) {
                    return self.scheduler_dies(false, 8_000);
                }
                if mishap == Some(Mishap::Twice) {
                    self.send(epoch, key.clone(), Arc::clone(&action), None);
                }
                self.send(epoch, key, action, mishap);
            }
        }
    }

    /// What is to become of an action that begins: what somebody wants to see, or what chance has.
    fn mishap(&mut self, epoch: u64, key: &str, action: &Action) -> Option<Mishap> {
        self.begun += 1;
        let begun = self.begun;
        let order = if let Action::Order { order, .. } = action { Some(order) } else { None };
        if let Some(aim) = self.aim.as_mut().filter(|aim| aim.at == begun) {
            aim.hit = Some(key.to_owned());
            let mishap = aim.mishap;
            let doomed = order.zip(mishap.doom());
            self.dooms.extend(doomed.map(|(order, doom)| (order.parts().0.operation.clone(), doom)));
            return Some(mishap);
        }
        let asks = matches!(action, Action::Look { .. } | Action::LookAtAll { .. });
        if asks || !self.primary || epoch != self.scheduler.epoch {
            return None;
        }
        if self.befalls(self.faults.dies, Fault::SchedulerDiesBefore) {
            return Some(Mishap::DiesBefore);
        }
        self.befalls(self.faults.dies, Fault::SchedulerDiesAfter).then_some(Mishap::DiesAfter)
    }

    fn send(&mut self, epoch: u64, key: String, action: Arc<Action>, mishap: Option<Mishap>) {
        let (asked, step) = match action.as_ref() {
            Action::Order { node, .. } | Action::Look { node, .. } => (self.scheduler.asking(&[node]), Step::Answer),
            Action::LookAtAll { .. } => (Vec::new(), Step::Answer),
            Action::Settle(settle) => {
                (self.scheduler.asking(&[&settle.from, &settle.to]), Step::Both { a: None, b: None })
            }
            _ => (Vec::new(), Step::Written),
        };
        let id = self.task(Task { epoch, key, action: Arc::clone(&action), asked, step, mishap });
        match action.as_ref() {
            Action::Order { node, order, .. } => self.ask(id, node, Question::Order(order.clone()), 5_000),
            Action::Look { node, look, .. } => self.ask(id, node, Question::Look(look.vm.clone()), 2_000),
            Action::LookAtAll { node } => self.ask(id, node, Question::All, 2_000),
            Action::Settle(settle) => {
                if let Some(both) = settle.reported.clone() {
                    let task = self.tasks.remove(&id).unwrap();
                    return self.settled(id, task, settle, both.source, both.target);
                }
                self.ask(id, &settle.from, Question::Look(settle.vm.clone()), 2_000);
                self.ask(id, &settle.to, Question::Look(settle.vm.clone()), 2_000);
            }
            _ => {
                let delay = self.rng.between(1, 10);
                self.after(delay, Event::Write(id));
            }
        }
    }

    fn ask(&mut self, task: u64, node: &NodeName, question: Question, bound: u64) {
        let node = node.clone();
        let delay = self.delay();
        self.after(bound, Event::Reply(task, node.clone(), Box::new(Reply::Nothing)));
        if self.is_lost() || self.fails(task) {
            return;
        }
        if self.befalls(self.faults.twice, Fault::Twice) {
            let later = self.rng.between(1, 4_000);
            self.after(later, Event::Ask(task, node.clone(), question.clone()));
        }
        self.after(delay, Event::Ask(task, node, question));
    }

    fn keep(&mut self, key: &str, attempt: u32, outcome: Outcome, asked: Vec<(NodeName, u64)>) {
        self.scheduler.answers.insert(key.to_owned(), Kept { attempt, outcome, at: self.now, asked });
    }

    /// Whether a task belongs to the scheduler that leads; those of its predecessor may linger.
    pub(crate) fn is_mine(&self, task: &Task) -> bool {
        self.primary && task.epoch == self.scheduler.epoch
    }

    fn end(&mut self, task: &Task) {
        if !self.is_mine(task) {
            return;
        }
        if task.mishap == Some(Mishap::DiesAfter) {
            return self.scheduler_dies(false, 8_000);
        }
        self.scheduler.busy.remove(&task.key);
        self.wake();
    }

    /// Whether a write or a question comes to nothing. An order that fails does so at its agent.
    fn fails(&self, task: u64) -> bool {
        let task = self.tasks.get(&task);
        let fails = |task: &&Task| task.mishap == Some(Mishap::Fails);
        task.filter(fails).is_some_and(|task| !matches!(task.action.as_ref(), Action::Order { .. }))
    }

    fn outcome(&mut self, mine: bool, node: &NodeName, reply: Reply) -> Outcome {
        let silent = || Outcome::Silent(Refusal::NoAnswer { who: node.to_string() });
        let now = self.now;
        match reply {
            Reply::Order(Ok(answer)) => {
                if mine {
                    self.scheduler.see(node, &answer.fact, now);
                }
                Outcome::Order(answer.progress, answer.fact)
            }
            Reply::Order(Err(refusal)) => {
                if mine && refusal.tells_of_a_later_leader() {
                    self.scheduler.overtaken = true;
                }
                if refusal.retryable() { Outcome::Silent(refusal) } else { Outcome::Refused(refusal) }
            }
            Reply::Look(fact) => {
                if mine {
                    self.scheduler.see(node, &fact, now);
                }
                Outcome::Seen(fact)
            }
            Reply::All(facts) => {
                if mine {
                    self.scheduler.hear(facts, now);
                }
                Outcome::Done
            }
            Reply::Nothing => silent(),
        }
    }

    /// A reply comes, or its time is over.
    pub(crate) fn replied(&mut self, id: u64, node: &NodeName, reply: Reply) {
        let Some(mut task) = self.tasks.remove(&id) else { return };
        let mine = self.is_mine(&task);
        match &mut task.step {
            Step::Answer => {
                let attempt = if let Action::Order { attempt, .. } = task.action.as_ref() { *attempt } else { 0 };
                let outcome = self.outcome(mine, node, reply);
                if mine {
                    let key = if let Action::LookAtAll { node } = task.action.as_ref() {
                        listen_key(node)
                    } else {
                        task.key.clone()
                    };
                    self.keep(&key, attempt, outcome, task.asked.clone());
                }
                self.end(&task);
            }
            Step::Both { a, b } => {
                let Action::Settle(settle) = task.action.as_ref() else { return };
                let fact = if let Reply::Look(fact) = &reply { Some(Box::new(fact.clone())) } else { None };
                if *node == settle.from && a.is_none() {
                    *a = Some(fact);
                } else if *node == settle.to && b.is_none() {
                    *b = Some(fact);
                }
                let both = a.clone().zip(b.clone());
                let settle = settle.clone();
                let _ = self.outcome(mine, node, reply);
                match both {
                    Some((a, b)) => self.settled(id, task, &settle, a.map(|fact| *fact), b.map(|fact| *fact)),
                    None => {
                        self.tasks.insert(id, task);
                    }
                }
            }
            Step::Resumed(key) => {
                let key = key.clone();
                let outcome = self.outcome(mine, node, reply);
                if mine {
                    self.keep(&key, 0, outcome, task.asked.clone());
                }
                self.end(&task);
            }
            Step::Written | Step::Switched(_) => {
                self.tasks.insert(id, task);
            }
        }
    }

    fn settled(&mut self, id: u64, mut task: Task, settle: &Settle, a: Option<VmFact>, b: Option<VmFact>) {
        let copy = settle.copy;
        let verdict = match self.broken {
            // "The call is over and there is a copy, so it must have worked."
            Broken::AsksOnlyTarget if b.as_ref().is_some_and(|f| f.domain == agent::Domain::Paused) => Verdict::Switch,
            _ => verdict(&settle.migration, &Both { copy, source: a.clone(), target: b.clone(), off: settle.off }),
        };
        self.log(format!("{}: {verdict:?} by {:?} and {:?}", settle.migration, domain(&a), domain(&b)));
        if self.is_mine(&task) {
            let key = task.key.clone();
            let both = Both { copy, source: a, target: b, off: settle.off };
            self.keep(&key, 0, Outcome::Both(both), task.asked.clone());
        }
        let current = self.docs.vms.get(settle.vm.as_str()).cloned();
        if verdict == Verdict::Switch
            && let Some(entry) = current
            && may_switch(&entry.value, &settle.migration)
            && entry.value.node() == Some(&settle.from)
        {
            let mut vm = entry.value.clone();
            vm.apply(Change::Switched, self.wall()).unwrap();
            task.step = Step::Switched(Box::new(vm));
            // The write carries the revision that was read now.
            task.asked.push((settle.to.clone(), entry.revision));
            self.tasks.insert(id, task);
            let delay = self.rng.between(1, 30);
            self.after(delay, Event::Write(id));
        } else {
            self.end(&task);
        }
    }

    /// A write arrives at the bucket.
    pub(crate) fn write_now(&mut self, id: u64) {
        let fails = self.fails(id) || self.bus_is_down();
        let Some(mut task) = self.tasks.remove(&id) else { return };
        if fails {
            return self.end(&task);
        }
        if let Step::Switched(vm) = &task.step {
            let vm = vm.as_ref().clone();
            let (to, revision) = task.asked.pop().unwrap();
            let done = self.put_vm(vm.clone(), revision);
            // A scheduler that was replaced may not have noticed it yet: the lease's bound is not exact.
            if done && !self.is_lost() {
                let (grant, key) = (vm.grant.clone().unwrap(), resume_key(&vm).unwrap());
                let order = agent::Order { epoch: task.epoch, operation: resume_operation(&vm) };
                let resume = Order::Resume(agent::Resume { order, vm: vm.name.clone(), grant });
                task.step = Step::Resumed(key);
                self.tasks.insert(id, task);
                self.ask(id, &to, Question::Order(resume), 5_000);
            } else {
                self.end(&task);
            }
            return;
        }
        if !matches!(task.step, Step::Written) {
            self.tasks.insert(id, task);
            return;
        }
        let (docs, now) = (&mut self.docs, self.now);
        match task.action.as_ref() {
            Action::StoreVm { vm, revision, restart } => {
                let stored = self.put_vm(vm.as_ref().clone(), *revision);
                if stored && *restart && self.is_mine(&task) {
                    let entry = self.scheduler.restarts.entry(vm.name.clone()).or_insert((0, now));
                    *entry = (entry.0 + 1, now);
                }
            }
            Action::DropVm { name, revision } => {
                let _ = delete(&mut docs.vms, name.as_str(), *revision);
            }
            Action::NewMigration(migration) => {
                let _ = put(&mut docs.migrations, &mut docs.revision, migration.as_ref().clone(), 0);
            }
            Action::StoreMigration { migration, revision } => {
                let migration = migration.as_ref().clone();
                if put(&mut docs.migrations, &mut docs.revision, migration.clone(), *revision) {
                    self.check_migration(&migration);
                }
            }
            Action::DropMigration { id, revision } => {
                let _ = delete(&mut docs.migrations, id.as_str(), *revision);
            }
            Action::StoreOutage { outage, revision } => {
                let outage = outage.as_ref().clone();
                self.log(format!("outage {} is {}", outage.id, outage.state.word()));
                let docs = &mut self.docs;
                let _ = put(&mut docs.outages, &mut docs.revision, outage, *revision);
            }
            Action::StoreSite { site, revision } => {
                let site = site.as_ref().clone();
                let _ = put(&mut docs.sites, &mut docs.revision, site, *revision);
            }
            Action::DropOutage { id, revision } => {
                let _ = delete(&mut docs.outages, id.as_str(), *revision);
            }
            _ => {}
        }
        self.end(&task);
    }

    pub(crate) fn put_vm(&mut self, vm: Vm, revision: u64) -> bool {
        let text = format!("{} {} under {:?} crossing {:?}", vm.key(), vm.state.word(), vm.grant, vm.crossing);
        let docs = &mut self.docs;
        let switched = vm.crossing.as_ref().filter(|crossing| crossing.switched).map(|crossing| crossing.to.clone());
        let name = vm.name.clone();
        let done = put(&mut docs.vms, &mut docs.revision, vm, revision);
        if done {
            self.log(text);
            // From here on the copy counts, whatever its source did after it was whole (README: what a node that is
            // cut off loses).
            self.truth.entry(name).or_default().disk.extend(switched);
        }
        done
    }

    /// The scheduler dies; its tasks are gone, or linger as those of somebody who does not know.
    pub(crate) fn crash_scheduler(&mut self, linger: bool) {
        self.primary = false;
        if !linger {
            self.tasks.clear();
        }
    }

    pub(crate) fn elect_scheduler(&mut self) {
        self.epoch += 1;
        self.scheduler = Scheduler::new(self.epoch);
        self.ledger = Ledger::begin(self.now, TERMS);
        self.primary = true;
        self.copies.late.clear();
        self.wake();
    }
}

fn domain(fact: &Option<VmFact>) -> Option<agent::Domain> {
    fact.as_ref().map(|f| f.domain)
}
