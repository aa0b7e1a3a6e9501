//! Doing what was decided. Each action is a task of its own; while it is in hand nothing of its
//! key is decided again, and its end wakes the loop. There are no choices here but the one that
//! [`crate::core::crossing::verdict`] makes.

mod consoles;
mod memory;
mod metrics;
mod orders;
mod power;
mod quotas;
mod settle;
mod standing;
mod traces;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use watari_chassis::{CallError, Context, Leadership, Wake, WriteError, telemetry::trace};
use watari_contracts::{
    agent::{Brought, NodeFacts, ObserveAll, Progress},
    network::ReleasePorts,
};
use watari_model::{
    NodeName, Refusal, VmName,
    vm::{State, Vm},
};

pub(crate) use memory::Memory;
pub(crate) use metrics::Metrics;

use crate::{
    core::{Action, Outcome, Snapshot, listen_key, start_key},
    stores::Stores,
};

/// How much may be in hand, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Actions in hand at the same time; what ends a migration's pause is not held up by it.
    pub(crate) in_flight: usize,
    /// How long an agent may take to answer an order.
    pub(crate) order: Duration,
    /// How long an agent may take to look.
    pub(crate) look: Duration,
}

/// Does actions. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) ctx: Context,
    pub(crate) stores: Stores,
    pub(crate) memory: Arc<Memory>,
    pub(crate) metrics: Metrics,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) wake: Wake,
    pub(crate) bounds: Bounds,
}

/// Takes an action out of hand, whatever becomes of its task.
struct InHand {
    executor: Executor,
    key: String,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.executor.memory.done(&self.key);
        self.executor.wake.wake();
    }
}

impl Executor {
    /// Begins what was decided, as far as the bound allows; the rest is decided again.
    pub(crate) fn start(&self, actions: Vec<Action>) {
        for action in actions {
            // Telling is no work: were it in hand, its end would wake the loop, which would tell it
            // again, and so on for as long as the trouble lasts.
            if let Action::Alarm { key, text } = &action {
                self.metrics.alarm(key, text);
                continue;
            }
            let urgent = matches!(action, Action::Settle(_));
            if !urgent && self.memory.in_hand() >= self.bounds.in_flight {
                continue;
            }
            let (key, action) = (action.key(), Arc::new(action));
            if !self.memory.take(&key, &action) {
                continue;
            }
            let in_hand = InHand { executor: self.clone(), key };
            let (executor, parent) = (self.clone(), self.trace_of(&action));
            self.ctx.spawn("action", async move {
                let work = executor.perform(&action, &in_hand.key);
                trace::step(parent, action.verb(), &in_hand.key, work).await;
                drop(in_hand);
            });
        }
    }

    /// Whether this process still leads under `epoch`, by what it was told and by the clock: it may have stood still.
    pub(crate) fn leads(&self, epoch: u64) -> bool {
        self.leadership.borrow().epoch() == Some(epoch) && self.ctx.may_act()
    }

    async fn perform(&self, action: &Action, key: &str) {
        // What was decided before this process stood still is decided anew by whoever leads.
        if !self.ctx.may_act() {
            return;
        }
        match action {
            Action::StoreVm { vm, revision, restart } => {
                let stored = self.stores.vms.update(vm, *revision).await;
                if !self.written(action, stored.map(|_| ())) {
                    return;
                }
                if *restart {
                    self.memory.restarted(&vm.name);
                    tell_restored(vm);
                }
                if !traces::is_under_way(vm.state) {
                    self.memory.end_trace(&vm.name, trace::recorded());
                }
                // How its start went has been written down. Were it asked for all the same, the agent would say it again.
                if vm.state == State::Running
                    && let Some(key) = start_key(vm)
                {
                    self.memory.forget(&key);
                }
            }
            Action::DropVm { name, revision } => {
                let _ = self.written(action, self.stores.vms.delete(name.as_str(), *revision).await.map(|_| ()));
            }
            Action::NewMigration(migration) => {
                let _ = self.written(action, self.stores.migrations.create(migration).await.map(|_| ()));
            }
            Action::StoreMigration { migration, revision } => {
                if self.written(action, self.stores.migrations.update(migration, *revision).await.map(|_| ())) {
                    self.metrics.migration(migration);
                }
            }
            Action::DropMigration { id, revision } => {
                let _ = self.written(action, self.stores.migrations.delete(id.as_str(), *revision).await.map(|_| ()));
            }
            Action::NewOutage(outage) => {
                let _ = self.written(action, self.stores.outages.create(outage).await.map(|_| ()));
            }
            Action::StoreOutage { outage, revision } => {
                let _ = self.written(action, self.stores.outages.update(outage, *revision).await.map(|_| ()));
            }
            Action::DropOutage { id, revision } => {
                let _ = self.written(action, self.stores.outages.delete(id.as_str(), *revision).await.map(|_| ()));
            }
            Action::StoreSite { site, revision } => {
                let _ = self.written(action, self.stores.sites.update(site, *revision).await.map(|_| ()));
            }
            Action::DropUserData { uuid, revision } => {
                let _ = self.written(action, self.stores.userdata.delete(uuid, *revision).await.map(|_| ()));
            }
            Action::StorePrimacy { primacy, revision } => {
                let stored = match revision {
                    Some(revision) => self.stores.frontends.update(primacy, *revision).await,
                    None => self.stores.frontends.create(primacy).await,
                };
                let _ = self.written(action, stored.map(|_| ()));
            }
            Action::Order { attempt, node, order, .. } => {
                let asked = self.memory.asking(&[node]);
                let outcome = self.order(node, order).await;
                self.metrics.action(order.verb(), outcome_word(&outcome));
                self.memory.answered(key.to_owned(), *attempt, outcome, asked);
            }
            Action::Look { node, look, .. } => {
                let asked = self.memory.asking(&[node]);
                let outcome = match self.look(node, look).await {
                    Ok(fact) => Outcome::Seen(fact),
                    Err(refusal) => Outcome::Silent(refusal),
                };
                self.metrics.action("observe", outcome_word(&outcome));
                self.memory.answered(key.to_owned(), 0, outcome, asked);
            }
            Action::LookAtAll { node } => self.listen(node).await,
            Action::DropLayers { node, drop, .. } => {
                let outcome = self.drop_layers(node, drop).await;
                self.metrics.action("drop-layers", outcome_word(&outcome));
                self.memory.answered(key.to_owned(), 0, outcome, Vec::new());
            }
            Action::ShutDown { node, order, .. } => {
                let outcome = self.shut_down(node, order).await;
                self.metrics.action("shut-down", outcome_word(&outcome));
                self.memory.answered(key.to_owned(), 0, outcome, Vec::new());
            }
            Action::Power { node, wish, by, .. } => {
                let outcome = self.power(node, *wish, by).await;
                self.metrics.action("power", outcome_word(&outcome));
                self.memory.answered(key.to_owned(), 0, outcome, Vec::new());
            }
            Action::Settle(settle) => self.settle(settle, key).await,
            Action::ReplacePort { replace, .. } => {
                let outcome = match self.ctx.bus.request(&**replace).await.map_err(Refusal::from) {
                    Ok(given) => Outcome::Port(Box::new(given.port)),
                    Err(refusal) if refusal.retryable() => Outcome::Silent(refusal),
                    Err(refusal) => Outcome::Refused(refusal),
                };
                self.metrics.action("replace-port", outcome_word(&outcome));
                self.memory.answered(key.to_owned(), 0, outcome, Vec::new());
            }
            Action::ReleasePorts { vm, uuid } => {
                let request = ReleasePorts { vm: vm.clone(), vm_uuid: uuid.clone() };
                let outcome = match self.ctx.bus.request(&request).await {
                    Ok(_) => Outcome::Done,
                    Err(error) => Outcome::Silent(Refusal::from(error)),
                };
                self.metrics.action("release-ports", outcome_word(&outcome));
                self.memory.answered(key.to_owned(), 0, outcome, Vec::new());
            }
            Action::Alarm { .. } => {}
        }
    }

    /// Asks a node for all it sees.
    pub(crate) async fn listen(&self, node: &NodeName) {
        let said = self.ctx.bus.command_within(node, &ObserveAll {}, self.bounds.look).await;
        let outcome = self.heard(node, said);
        self.memory.answered(listen_key(node), 0, outcome, Vec::new());
    }

    /// Takes in what a node was asked for: all it sees.
    fn heard(&self, node: &NodeName, said: Result<NodeFacts, CallError>) -> Outcome {
        match said {
            Ok(facts) if facts.node == *node => {
                self.memory.hear(facts);
                Outcome::Done
            }
            Ok(facts) => Outcome::Silent(Refusal::Internal { detail: format!("{node} answers as {}", facts.node) }),
            Err(error) => Outcome::Silent(Refusal::from(error)),
        }
    }

    /// Counts a write. A conflict is no fault: somebody was faster, and it is decided anew.
    fn written(&self, action: &Action, result: Result<(), WriteError>) -> bool {
        let word = match &result {
            Ok(()) => "ok",
            Err(WriteError::Exists { .. } | WriteError::Conflict { .. }) => "conflict",
            Err(WriteError::NotLeading { .. }) => "overtaken",
            Err(error @ WriteError::Bus { .. }) => {
                tracing::warn!(%error, "a document was not written; it is decided anew");
                "unknown"
            }
        };
        self.metrics.action(action.verb(), word);
        result.is_ok()
    }

    /// Everything at this moment.
    pub(crate) fn snapshot(&self, epoch: u64) -> Snapshot {
        let mut snap = self.stores.snapshot();
        snap.epoch = epoch;
        self.memory.fill(&mut snap);
        snap
    }

    /// What tells where the servers of `node` are: the nodes' documents, and what that one last said. A view that shows one
    /// server needs nothing of all others, and holds no snapshot that a write would have to copy.
    pub(crate) fn whereabouts(&self, node: Option<&NodeName>) -> Snapshot {
        let mut snap = Snapshot { nodes: self.stores.nodes.snapshot(), ..Snapshot::default() };
        if let Some(node) = node {
            self.memory.fill_sight(&mut snap, node);
        }
        snap
    }

    /// How much of a server's disk that is being sent ahead is there by now.
    pub(crate) fn brought(&self, vm: &VmName) -> Option<Brought> {
        self.memory.brought(vm)
    }

    /// What views show: documents and sights.
    pub(crate) fn view(&self) -> Snapshot {
        let mut snap = self.stores.snapshot();
        self.memory.fill_sights(&mut snap);
        snap
    }
}

/// Says of a server that was just granted a copy what that loses.
fn tell_restored(vm: &Vm) {
    if let Some(restored) = vm.restored.as_ref().filter(|restored| restored.generation == vm.generation()) {
        let (from, to) = (restored.from.as_str(), vm.node().map(NodeName::as_str));
        let (vm, lost_seconds) = (vm.name.as_str(), restored.lost_seconds);
        tracing::warn!(
            vm,
            from,
            to,
            lost_seconds,
            "vm.restarted-from-copy: its node is off; what it wrote last stays there"
        );
    }
}

const fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Order(Progress::Working, _) => "working",
        Outcome::Order(Progress::Done, _)
        | Outcome::Seen(_)
        | Outcome::Both(_)
        | Outcome::Done
        | Outcome::Port(_)
        | Outcome::Power(_) => "ok",
        Outcome::Order(Progress::Failed(_), _) => "failed",
        Outcome::Refused(_) => "refused",
        Outcome::Silent(_) => "silent",
    }
}

impl Action {
    /// One word for metrics.
    const fn verb(&self) -> &'static str {
        match self {
            Self::StoreVm { .. } => "store-vm",
            Self::DropVm { .. } => "drop-vm",
            Self::NewMigration(_) => "new-migration",
            Self::StoreMigration { .. } => "store-migration",
            Self::DropMigration { .. } => "drop-migration",
            Self::NewOutage(_) => "new-outage",
            Self::StoreOutage { .. } => "store-outage",
            Self::DropOutage { .. } => "drop-outage",
            Self::StoreSite { .. } => "store-site",
            Self::DropUserData { .. } => "drop-user-data",
            Self::StorePrimacy { .. } => "store-primacy",
            Self::Order { order, .. } => order.verb(),
            Self::Look { .. } => "observe",
            Self::LookAtAll { .. } => "observe-all",
            Self::DropLayers { .. } => "drop-layers",
            Self::Settle(_) => "settle",
            Self::ShutDown { .. } => "shut-down",
            Self::Power { .. } => "power",
            Self::ReplacePort { .. } => "replace-port",
            Self::ReleasePorts { .. } => "release-ports",
            Self::Alarm { .. } => "alarm",
        }
    }
}

/// What a refusal says of the order. A node that obeys a later leader says nothing of what it was asked.
fn not_done(refusal: Refusal) -> Outcome {
    if refusal.retryable() || refusal.tells_of_a_later_leader() {
        Outcome::Silent(refusal)
    } else {
        Outcome::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use watari_chassis::{Bucket, Lease, config::Common, prometheus::Registry};
    use watari_contracts::Service;
    use watari_model::{
        firewall::Firewall,
        image::Image,
        network::{Network, Port},
        node::Node,
    };
    use watari_testkit::NatsServer;

    use super::*;

    async fn context(nats: &NatsServer) -> Context {
        Context::new(Service::Scheduler, &Common::at([nats.url()]).unwrap()).await.unwrap()
    }

    /// One that was told that it leads.
    async fn executor(nats: &NatsServer) -> Executor {
        let ctx = context(nats).await;
        // What others own is waited for.
        Bucket::<Node>::open(&ctx).await.unwrap();
        Bucket::<Image>::open(&ctx).await.unwrap();
        Bucket::<Network>::open(&ctx).await.unwrap();
        Bucket::<Port>::open(&ctx).await.unwrap();
        Bucket::<Firewall>::open(&ctx).await.unwrap();
        Executor {
            stores: Stores::open(&ctx).await.unwrap(),
            memory: Arc::default(),
            metrics: Metrics::register(&Registry::new()).unwrap(),
            leadership: watch::Sender::new(Leadership::Primary { epoch: 1 }).subscribe(),
            wake: Wake::new(),
            bounds: Bounds { in_flight: 1, order: Duration::from_secs(1), look: Duration::from_secs(1) },
            ctx,
        }
    }

    #[tokio::test]
    async fn what_was_decided_while_the_lease_held_is_not_begun_once_it_holds_no_more() {
        let nats = NatsServer::start();
        let (executor, other) = (executor(&nats).await, context(&nats).await);
        let look = |node: &str| Action::LookAtAll { node: node.parse().unwrap() };
        let answered = || executor.snapshot(1).answers.len();
        executor.perform(&look("m1"), "m1").await;
        assert!(executor.leads(1) && answered() == 1, "it competes for no lease yet");

        let ttl = Duration::from_secs(60);
        let mut elsewhere = Lease::campaign(&other, Service::Scheduler, ttl).await.unwrap();
        elsewhere.wait_for(|leadership| leadership.epoch().is_some()).await.unwrap();
        drop(Lease::campaign(&executor.ctx, Service::Scheduler, ttl).await.unwrap());
        executor.perform(&look("m2"), "m2").await;
        assert!(!executor.leads(1) && answered() == 1, "another leads, though nobody has told it");
    }

    #[tokio::test]
    async fn an_alarm_is_told_and_leaves_nothing_in_hand_that_would_wake_the_loop() {
        let nats = NatsServer::start();
        let executor = executor(&nats).await;
        executor.start(vec![Action::Alarm { key: "alarm/vm/twin".to_owned(), text: "it has no document".to_owned() }]);
        assert_eq!(executor.memory.in_hand(), 0);
        assert!(executor.metrics.knows_alarm("alarm/vm/twin"));
    }
}
