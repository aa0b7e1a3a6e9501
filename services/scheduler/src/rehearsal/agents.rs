//! What the agents of the twin do with orders. What takes no time to speak of is done at once; the rest takes as long as
//! it usually does.

use watari_contracts::agent::{Domain, OffReason, Passage, Phase, Progress, Receive};
use watari_model::{NodeName, Refusal, VmName, size::MIB_PER_GIB, vm::Base};

use super::{
    link::{Flow, Way},
    twin::{Due, Twin, silent},
};
use crate::core::{Bases, Order, Outcome, Supply};

/// Until a server that is started runs.
const BOOTS_MS: u64 = 10_000;
/// Until a guest that is asked to shut down is off.
const SHUTS_DOWN_MS: u64 = 20_000;
/// How long an arrived copy stands still until it is resumed.
const PAUSED_MS: u64 = 20;

impl Twin {
    /// An order comes to its node; whether the answer says anything new.
    pub(super) fn ordered(&mut self, key: String, attempt: u32, node: &NodeName, order: &Order) -> bool {
        if self.is_down(node) {
            return self.keep(key, attempt, silent(node));
        }
        let (_, vm) = order.parts();
        let vm = vm.clone();
        let again = self.in_hand.contains(&key);
        let progress = if again { Progress::Working } else { self.carry_out(&key, attempt, node, order) };
        let fact = self.fact(node, &vm);
        let news = self.keep(key, attempt, Outcome::Order(progress, fact));
        // How far a copy is changes all the time, and nothing is decided because of that.
        news && !again
    }

    fn carry_out(&mut self, key: &str, attempt: u32, node: &NodeName, order: &Order) -> Progress {
        match order {
            Order::Start(o) => {
                let (vm, generation) = (o.server.name.clone(), o.grant.generation);
                let saved = self.fact(node, &vm).domain == Domain::Off(OffReason::Saved);
                let takes = if saved { self.saves_ms(&vm) } else { BOOTS_MS };
                let (key, node) = (key.to_owned(), node.clone());
                self.later(takes, Due::Runs { key, attempt, node, vm, generation })
            }
            Order::Stop(o) if !self.fact(node, &o.vm).domain.is_off() => {
                let (takes, reason) =
                    if o.force { (0, OffReason::Destroyed) } else { (SHUTS_DOWN_MS, OffReason::Shutdown) };
                let (key, node, vm) = (key.to_owned(), node.clone(), o.vm.clone());
                self.later(takes, Due::Off { key, attempt, node, vm, reason })
            }
            Order::Stop(o) => {
                // What was saved of its memory is dropped with it.
                self.change(node, &o.vm, |fact| {
                    if fact.domain == Domain::Off(OffReason::Saved) {
                        fact.domain = Domain::Off(OffReason::Destroyed);
                    }
                });
                Progress::Done
            }
            Order::Suspend(o) if self.fact(node, &o.vm).domain == Domain::Running => {
                let begins = self.saving.get(node).copied().unwrap_or(0).max(self.clock);
                let ends = begins.saturating_add(self.saves_ms(&o.vm));
                self.saving.insert(node.clone(), ends);
                let (key, node, vm, reason) = (key.to_owned(), node.clone(), o.vm.clone(), OffReason::Saved);
                self.later(ends - self.clock, Due::Off { key, attempt, node, vm, reason })
            }
            Order::Receive(o) => match self.fetching_ms(node, &o.server.base) {
                0 => {
                    self.prepared(node, o);
                    Progress::Done
                }
                takes => {
                    let (key, node, order) = (key.to_owned(), node.clone(), o.clone());
                    self.later(takes, Due::Fetched { key, attempt, node, order })
                }
            },
            Order::Send(o) => self.sends(key, attempt, node, o),
            Order::Abort(o) => {
                let clock = self.clock;
                for flow in self.link.take(|flow| flow.migration == o.migration, clock) {
                    self.broke_off(&flow);
                }
                Progress::Done
            }
            Order::Resume(o) => {
                let generation = o.grant.generation;
                self.change(node, &o.vm, |fact| {
                    (fact.domain, fact.granted, fact.disk) = (Domain::Running, true, true);
                    fact.generation = generation;
                    if let Some(passage) = &mut fact.passage {
                        passage.paused_ms = Some(PAUSED_MS);
                    }
                });
                Progress::Done
            }
            Order::Discard(o) => {
                let fact = self.fact(node, &o.vm);
                if !(fact.granted && fact.domain == Domain::Running) {
                    self.forget(node, &o.vm);
                }
                Progress::Done
            }
            Order::Remove(o) => {
                self.forget(node, &o.vm);
                Progress::Done
            }
            Order::Release(o) => {
                self.change(node, &o.vm, |fact| {
                    (fact.domain, fact.granted, fact.passage) = (Domain::Absent, false, None);
                });
                Progress::Done
            }
            Order::SendAhead(o) => {
                let target =
                    self.snap.nodes.values().find(|entry| entry.value.inventory.migration_address == o.address);
                let Some(to) = target.map(|entry| entry.value.name.clone()) else { return Progress::Done };
                let layers = self.fact(node, &o.vm).stack.layers;
                let bytes = watari_contracts::agent::weight(&layers);
                let bound = if o.bandwidth_mib == 0 { u64::MAX } else { o.bandwidth_mib << 20 };
                let takes = bytes.saturating_mul(1_000) / self.link.rate.min(bound).max(1);
                let (key, node, vm, uuid) = (key.to_owned(), node.clone(), o.vm.clone(), o.uuid.clone());
                self.later(takes, Due::Sent { key, attempt, node, to, vm, uuid, layers })
            }
            Order::Suspend(_) | Order::Reboot(_) | Order::Grow(_) | Order::Freeze(_) => Progress::Done,
            Order::TakeSnapshot(_) | Order::RevertDisk(_) => Progress::Done,
        }
    }

    /// A copy begins, or waits for its turn on the link. One that was over before is over.
    fn sends(&mut self, key: &str, attempt: u32, node: &NodeName, order: &watari_contracts::agent::Send) -> Progress {
        if self.link.carries(&order.migration) {
            return Progress::Working;
        }
        if self.fact(node, &order.vm).domain != Domain::Running {
            return Progress::Done;
        }
        let site = |node: &NodeName| self.snap.nodes.get(node.as_str()).map(|entry| entry.value.site.clone());
        let known = self.snap.vms.get(order.vm.as_str());
        let (Some(from), Some(to), Some(known)) = (site(node), site(&order.to), known) else {
            return Progress::Failed(Refusal::NodeUnknown { node: order.to.to_string() });
        };
        if self.is_down(&order.to) {
            let (vm, node) = (order.vm.to_string(), order.to.to_string());
            return Progress::Failed(Refusal::TargetLost { vm, node });
        }
        let (way, load): (Way, _) = ((from, to), self.loads.get(&known.value));
        let ends = (node.clone(), order.to.clone());
        let mut flow = Flow::new(order.migration.clone(), order.vm.clone(), ends, load);
        (flow.key, flow.attempt) = (key.to_owned(), attempt);
        self.change(node, &order.vm, |fact| fact.passage = Some(Passage::new(order.migration.clone(), Phase::Copying)));
        self.in_hand.insert(key.to_owned());
        self.link.begin(way, flow, self.clock);
        Progress::Working
    }

    /// Milliseconds in which a server's memory is written to its node's disk, or read from it.
    fn saves_ms(&self, vm: &VmName) -> u64 {
        let memory = self.snap.vms.get(vm.as_str()).map_or(MIB_PER_GIB, |entry| entry.value.spec.memory_mib);
        memory.saturating_mul(1_000) / self.rules.deadline.save_mib.max(1)
    }

    fn later(&mut self, after_ms: u64, what: Due) -> Progress {
        let (Due::Runs { key, .. } | Due::Off { key, .. } | Due::Fetched { key, .. } | Due::Sent { key, .. }) = &what
        else {
            return Progress::Done;
        };
        self.in_hand.insert(key.clone());
        self.due(after_ms, what);
        Progress::Working
    }

    /// An operation is over, well.
    pub(super) fn done(&mut self, key: String, attempt: u32, node: &NodeName, vm: &VmName) {
        self.in_hand.remove(&key);
        if !self.is_down(node) {
            let fact = self.fact(node, vm);
            self.keep(key, attempt, Outcome::Order(Progress::Done, fact));
        }
    }

    /// Milliseconds in which a node has what a disk stands on, from another site if it must come from there.
    fn fetching_ms(&self, node: &NodeName, base: &Base) -> u64 {
        let Some(known) = self.snap.nodes.get(node.as_str()) else { return 0 };
        match Bases::of(&self.snap).supply(base, &known.value) {
            Supply::Far(bytes) => bytes.saturating_mul(1_000) / self.link.rate.max(1),
            Supply::Near | Supply::Nowhere => 0,
        }
    }

    /// A node is ready to receive a server.
    fn prepared(&mut self, node: &NodeName, order: &Receive) {
        self.change(node, &order.server.name, |fact| {
            (fact.disk, fact.stack) = (true, order.stack.clone());
            fact.passage = Some(Passage::new(order.migration.clone(), Phase::Prepared));
        });
    }

    /// The same after its base image has come; the node keeps that.
    pub(super) fn fetched(&mut self, key: String, attempt: u32, node: &NodeName, order: &Receive) {
        if !self.is_down(node) {
            self.keeps(node, &order.server.base);
            self.prepared(node, order);
        }
        self.done(key, attempt, node, &order.server.name);
    }

    pub(super) fn runs(&mut self, key: String, attempt: u32, node: &NodeName, vm: &VmName, generation: u64) {
        if !self.is_down(node) {
            self.change(node, vm, |fact| {
                (fact.domain, fact.granted, fact.disk) = (Domain::Running, true, true);
                fact.generation = generation;
            });
        }
        self.done(key, attempt, node, vm);
    }

    pub(super) fn goes_off(&mut self, key: String, attempt: u32, node: &NodeName, vm: &VmName, reason: OffReason) {
        if !self.is_down(node) {
            self.change(node, vm, |fact| fact.domain = Domain::Off(reason));
        }
        self.done(key, attempt, node, vm);
    }

    /// A copy is whole: it stands paused at its target, and its source's process is gone.
    pub(super) fn arrived(&mut self, flow: &Flow) {
        let transfer = flow.transfer(self.clock, self.link.rate);
        self.change(&flow.from, &flow.vm, |fact| {
            (fact.domain, fact.granted) = (Domain::Off(OffReason::Migrated), false);
            fact.passage =
                Some(Passage { transfer: Some(transfer), ..Passage::new(flow.migration.clone(), Phase::Ended) });
        });
        self.change(&flow.to, &flow.vm, |fact| {
            (fact.domain, fact.granted, fact.disk) = (Domain::Paused, false, true);
            fact.passage = Some(Passage::new(flow.migration.clone(), Phase::Prepared));
        });
        if let Some(reason) = self.reason(flow) {
            self.diary.crossed(flow, reason, self.clock);
        }
        self.done(flow.key.clone(), flow.attempt, &flow.from, &flow.vm);
    }

    /// A copy came to nothing: the source runs on, and the target has nothing that could run.
    pub(super) fn broke_off(&mut self, flow: &Flow) {
        self.change(&flow.from, &flow.vm, |fact| {
            let complaint = Some("the connection broke".to_owned());
            fact.passage = Some(Passage { complaint, ..Passage::new(flow.migration.clone(), Phase::Ended) });
        });
        self.done(flow.key.clone(), flow.attempt, &flow.from, &flow.vm);
    }
}
