//! Telling every agent its plan, and telling it again until it says that it has it.
//!
//! ```text
//!          plan differs             acknowledged without a fault
//!  told ◀──────────────── sending ────────────────────────────────▶ laid ──▶ again, seldom
//!   │ tick                  ▲  │ silent, or a fault                   │ plan differs
//!   └───────────────────────┴──┘◀──────────────────────────────────────┘
//! ```
//!
//! A new plan does not wait for the answer to the one before: while a server stands still between
//! two nodes every millisecond counts. The agent orders them by their editions.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use watari_chassis::{CallError, Context, Leadership, Mirror, Snapshot, Wake, clock, looper};
use watari_contracts::plan::{Edition, LayPlan, NetworkPlan};
use watari_model::{
    FirewallName, NetworkName, NodeName,
    address::PublicAddress,
    firewall::Firewall,
    network::{Network, Port},
    node::Node,
    vm::Vm,
};

use super::{Documents, firewalls::vanished, plans};
use crate::{book::Book, firewalls::Firewalls, settings::Plans};

/// To one agent at the same time: the newest, and one before it whose answer is still to come.
const TO_ONE: usize = 2;

/// Keeps every agent's plan up to date while this process leads.
pub(crate) async fn run(
    ctx: Context,
    book: Arc<Book>,
    firewalls: Arc<Firewalls>,
    settings: Plans,
    leadership: watch::Receiver<Leadership>,
) {
    let Ok(nodes) = Mirror::<Node>::of_another(&ctx).await else { return };
    book.learn_nodes(nodes.clone());
    let Ok(vms) = book.servers(&ctx).await else { return };
    let wake = Wake::new();
    book.networks().wakes(&wake);
    book.ports().wakes(&wake);
    book.addresses().wakes(&wake);
    vms.wakes(&wake);
    nodes.wakes(&wake);
    firewalls.groups().wakes(&wake);
    let tick = Duration::from_millis(settings.tick_ms);
    let desk = Desk { ctx: ctx.clone(), settings, wake: wake.clone(), told: Arc::default() };
    let mut alarmed = BTreeSet::new();
    looper::run_as_primary(&ctx, "plans", leadership, wake, tick, |epoch| {
        let begun = Instant::now();
        let documents = Snapshots {
            vms: vms.snapshot(),
            nodes: nodes.snapshot(),
            networks: book.networks().snapshot(),
            ports: book.ports().snapshot(),
            addresses: book.addresses().snapshot(),
            firewalls: firewalls.groups().snapshot(),
        };
        let gone = vanished(&documents);
        for firewall in gone.difference(&alarmed) {
            tracing::error!(%firewall, "servers name a firewall group that has no document; its last known rules stay. Make it again");
        }
        alarmed = gone;
        // Where there is no network at all, either none was made yet or all documents are lost: what the
        // nodes have laid for servers that run on is then not taken away.
        if !documents.networks.is_empty() {
            desk.tell(epoch, plans(&documents));
        }
        let crosses = documents.vms().any(|vm| vm.crossing.is_some());
        async move {
            // Each plan has all ports of its networks: that grows faster than there are servers. Who crosses is not
            // reached before the turn that sees its grant move.
            if !crosses {
                looper::rest(begun, 3).await;
            }
            Ok::<(), Infallible>(())
        }
    })
    .await;
}

struct Snapshots {
    vms: Snapshot<Vm>,
    nodes: Snapshot<Node>,
    networks: Snapshot<Network>,
    ports: Snapshot<Port>,
    addresses: Snapshot<PublicAddress>,
    firewalls: Snapshot<Firewall>,
}

impl Documents for Snapshots {
    fn vms(&self) -> impl Iterator<Item = &Vm> {
        self.vms.values().map(|entry| &entry.value)
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().map(|entry| &entry.value)
    }

    fn network(&self, name: &NetworkName) -> Option<&Network> {
        self.networks.get(name.as_str()).map(|entry| &entry.value)
    }

    fn port(&self, key: &str) -> Option<&Port> {
        self.ports.get(key).map(|entry| &entry.value)
    }

    fn addresses(&self) -> impl Iterator<Item = &PublicAddress> {
        self.addresses.values().map(|entry| &entry.value)
    }

    fn firewall(&self, name: &FirewallName) -> Option<&Firewall> {
        self.firewalls.get(name.as_str()).map(|entry| &entry.value)
    }
}

/// What one agent was told.
struct Told {
    plan: Arc<NetworkPlan>,
    revision: u64,
    /// When the agent said that this very plan is laid, on the boot clock in milliseconds.
    laid_at: Option<u64>,
    /// When it was last sent.
    sent_at: Option<u64>,
    in_flight: usize,
    /// The last complaint, so that each is logged once.
    complaint: Option<String>,
}

#[derive(Default)]
struct Tellings {
    epoch: u64,
    nodes: HashMap<NodeName, Told>,
}

struct Desk {
    ctx: Context,
    settings: Plans,
    wake: Wake,
    told: Arc<Mutex<Tellings>>,
}

impl Desk {
    fn tellings(&self) -> MutexGuard<'_, Tellings> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is new, and again what was not acknowledged. It waits for nobody.
    fn tell(&self, epoch: u64, plans: BTreeMap<NodeName, NetworkPlan>) {
        let mut tellings = self.tellings();
        if tellings.epoch != epoch {
            *tellings = Tellings { epoch, nodes: HashMap::new() };
        }
        tellings.nodes.retain(|node, _| plans.contains_key(node));
        let now = clock::boot_millis();
        let mut in_flight: usize = tellings.nodes.values().map(|told| told.in_flight).sum();
        for (node, plan) in plans {
            let told = tellings.nodes.entry(node.clone()).or_insert_with(Told::nothing);
            told.want(plan);
            if in_flight < self.settings.in_flight && told.is_due(now, &self.settings) {
                told.in_flight += 1;
                told.sent_at = Some(now);
                in_flight += 1;
                let edition = Edition { epoch, revision: told.revision };
                self.send(node, LayPlan { edition, plan: told.plan.as_ref().clone() });
            }
        }
    }

    fn send(&self, node: NodeName, order: LayPlan) {
        let (bus, told, wake) = (self.ctx.bus.clone(), Arc::clone(&self.told), self.wake.clone());
        let bound = Duration::from_millis(self.settings.answer_ms);
        self.ctx.spawn("plan", async move {
            let answer = bus.command_within(&node, &order, bound).await;
            let outcome = match answer {
                Ok(laid) => match laid.fault {
                    Some(fault) => Err(fault.to_string()),
                    // The agent has this one or a newer one, which is then still to be answered.
                    None => Ok(laid.edition == order.edition),
                },
                Err(CallError::Refused(body)) if body.refusal.tells_of_a_later_leader() => {
                    Err(format!("it has seen a later network service: {}", body.message))
                }
                Err(error) => Err(error.to_string()),
            };
            let mut tellings = told.lock().unwrap_or_else(PoisonError::into_inner);
            if tellings.epoch == order.edition.epoch
                && let Some(told) = tellings.nodes.get_mut(&node)
            {
                told.answered(&node, order.edition.revision, outcome);
            }
            drop(tellings);
            // What waited for its turn may go now; what failed waits for the tick.
            wake.wake();
        });
    }
}

impl Told {
    fn nothing() -> Self {
        let plan = Arc::default();
        Self { plan, revision: 0, laid_at: None, sent_at: None, in_flight: 0, complaint: None }
    }

    /// A plan that differs is a new revision, at once due.
    fn want(&mut self, plan: NetworkPlan) {
        if self.revision == 0 || *self.plan != plan {
            self.plan = Arc::new(plan);
            self.revision += 1;
            self.laid_at = None;
            self.sent_at = None;
        }
    }

    /// Whether it is to be sent now: it never was, or it was not acknowledged for a tick, or so long
    /// ago that the agent's disk may be another.
    fn is_due(&self, now: u64, settings: &Plans) -> bool {
        let Some(sent_at) = self.sent_at else { return self.in_flight < TO_ONE };
        let age = now.saturating_sub(sent_at);
        match self.laid_at {
            Some(_) => self.in_flight == 0 && age >= settings.refresh_seconds.saturating_mul(1_000),
            None => self.in_flight == 0 && age >= settings.tick_ms,
        }
    }

    fn answered(&mut self, node: &NodeName, revision: u64, outcome: Result<bool, String>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if revision != self.revision {
            return;
        }
        match outcome {
            Ok(laid) => {
                self.laid_at = laid.then(clock::boot_millis);
                if self.complaint.take().is_some() {
                    tracing::info!(%node, "the node's network plan is laid");
                }
            }
            Err(complaint) => {
                self.laid_at = None;
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::warn!(%node, complaint, "the node's network plan is not laid; it is sent again");
                    self.complaint = Some(complaint);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Plans {
        Plans { tick_ms: 1_000, answer_ms: 2_000, refresh_seconds: 30, in_flight: 10 }
    }

    #[test]
    fn a_plan_is_sent_until_it_is_laid_and_then_seldom() {
        let (settings, node) = (settings(), "m1".parse().unwrap());
        let mut told = Told::nothing();
        told.want(NetworkPlan::default());
        assert!(told.is_due(0, &settings), "also an empty one, once");
        (told.sent_at, told.in_flight) = (Some(0), 1);
        assert!(!told.is_due(5_000, &settings), "its answer is still to come");
        told.answered(&node, 1, Err("silent".to_owned()));
        assert!(!told.is_due(999, &settings) && told.is_due(1_000, &settings));
        told.in_flight = 1;
        told.answered(&node, 1, Ok(true));
        assert!(!told.is_due(29_999, &settings) && told.is_due(30_000, &settings));
    }

    #[test]
    fn a_new_plan_does_not_wait_for_an_answer_and_an_old_answer_does_not_count_for_it() {
        let (settings, node) = (settings(), "m1".parse().unwrap());
        let mut told = Told::nothing();
        told.want(NetworkPlan::default());
        (told.sent_at, told.in_flight) = (Some(0), 1);
        let network = watari_contracts::plan::PlannedNetwork {
            network: "lab".parse().unwrap(),
            kind: watari_model::network::Kind::Overlay,
            overlay: None,
            here: Vec::new(),
            elsewhere: Vec::new(),
        };
        told.want(NetworkPlan { networks: vec![network], ..NetworkPlan::default() });
        assert!(told.is_due(1, &settings));
        assert_eq!(told.revision, 2);
        (told.sent_at, told.in_flight) = (Some(1), 2);
        told.answered(&node, 1, Ok(true));
        assert_eq!((told.laid_at, told.in_flight), (None, 1));
    }
}
