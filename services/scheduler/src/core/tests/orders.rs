//! What agents do with what they are told, and what goes wrong with it.

use watari_contracts::agent;
use watari_model::{NodeName, Refusal, VmName};

use super::{
    agent::{Process, Taken, parts},
    faults::{Fault, Faults},
    flow::{Flow, Stage},
    scheduler::{Question, Reply},
    sim::{Broken, Event, Sim},
};
use crate::core::Order;

/// What is to become of an order that is carried out, if not the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    /// Nothing is done, and that is said.
    Fails,
    /// It is done, and said to have failed.
    Errs,
    /// The agent dies before it does it.
    DiesBefore,
    /// The agent dies after it has done it.
    DiesAfter,
}

/// How long an agent is away that died of an order.
const AWAY_MS: u64 = 3_000;

impl Sim {
    /// An agent is asked.
    pub(crate) fn answer(&mut self, task: u64, node: &NodeName, question: &Question) {
        if !self.hosts[node].hears() {
            return;
        }
        let now = self.now;
        let reply = match question {
            Question::Look(vm) => Reply::Look(self.hosts[node].fact(vm)),
            Question::All => Reply::All(self.hosts.get_mut(node).unwrap().facts(now)),
            Question::Order(order) => Reply::Order(self.ordered(node, order)),
        };
        if self.hosts[node].speaks() && !self.is_lost() {
            let delay = self.delay();
            self.after(delay, Event::Reply(task, node.clone(), Box::new(reply)));
        }
    }

    fn ordered(&mut self, node: &NodeName, order: &Order) -> Result<agent::Answer, Refusal> {
        let (head, vm) = parts(order);
        if self.hosts[node].ails.full && self.rng.chance(50) {
            // Its journal has no room.
            return Err(self.hosts[node].disk_full());
        }
        let (host, ignores) = (self.hosts.get_mut(node).unwrap(), self.broken.ignores_epochs());
        let obeyed = host.epoch;
        let progress = match host.take(order, ignores) {
            Taken::Said(said) => said?,
            Taken::Begun(operation) => {
                self.log(format!("{node} takes {operation}"));
                if head.epoch < obeyed && self.broken != Broken::IgnoresEpochsUnseen {
                    self.violate(format!("fencing: {node} obeys epoch {} after {obeyed}: {operation}", head.epoch));
                }
                let delay = match (self.hosts[node].ails.slow, order) {
                    (true, _) => self.rng.between(500, 20_000),
                    (false, Order::Resume(_)) => 0,
                    (false, _) => self.rng.between(1, 120),
                };
                if delay == 0 {
                    self.carry_out(node, order, &operation);
                } else {
                    let instance = self.hosts[node].instance;
                    self.after(delay, Event::Operation(node.clone(), instance, operation.clone(), order.clone()));
                }
                self.hosts[node].journal[&operation].clone()
            }
        };
        Ok(agent::Answer { progress, fact: self.hosts[node].fact(vm), brought: None })
    }

    /// An operation comes to its end, or a sending to its beginning.
    pub(crate) fn carry_out(&mut self, node: &NodeName, order: &Order, operation: &str) {
        let (_, vm) = parts(order);
        let vm = vm.clone();
        let doom = self.doom(operation);
        match doom {
            Some(Doom::Fails) => {
                let refusal = self.hosts[node].libvirt("internal error");
                return self.finish(node, &vm, operation, agent::Progress::Failed(refusal));
            }
            Some(Doom::DiesBefore) => return self.agent_dies(node, AWAY_MS),
            Some(Doom::Errs | Doom::DiesAfter) | None => {}
        }
        match order {
            Order::Send(send) => {
                let running = self.hosts[node].guests[&vm].process == Process::Running;
                if running && !self.hosts[node].closed.contains(&send.migration) {
                    self.begin_flow(Flow {
                        migration: send.migration.clone(),
                        vm,
                        from: node.clone(),
                        to: send.to.clone(),
                        operation: operation.to_owned(),
                        stage: Stage::Copying,
                    });
                } else {
                    let refusal = self.hosts[node].not_now(&vm, "not running", "send");
                    self.finish(node, &vm, operation, agent::Progress::Failed(refusal));
                }
            }
            Order::Abort(abort) => {
                if self.abort_flow(&abort.migration) {
                    self.finish(node, &vm, operation, agent::Progress::Done);
                } else {
                    let instance = self.hosts[node].instance;
                    self.after(50, Event::Operation(node.clone(), instance, operation.to_owned(), order.clone()));
                }
            }
            _ => {
                let progress = match self.hosts.get_mut(node).unwrap().perform(order) {
                    Ok(effect) => {
                        self.check_effect(node, &vm, effect);
                        agent::Progress::Done
                    }
                    Err(refusal) => agent::Progress::Failed(refusal),
                };
                let progress = match doom {
                    Some(Doom::Errs) => agent::Progress::Failed(self.hosts[node].libvirt("the connection broke")),
                    _ => progress,
                };
                if doom != Some(Doom::DiesAfter) {
                    self.finish(node, &vm, operation, progress);
                }
            }
        }
        if doom == Some(Doom::DiesAfter) {
            self.agent_dies(node, AWAY_MS);
        }
    }

    /// What is to become of an order: what somebody wants to see, or what chance has.
    fn doom(&mut self, operation: &str) -> Option<Doom> {
        let Faults { libvirt, dies, .. } = self.faults;
        let chances = [
            (libvirt, Fault::LibvirtFails, Doom::Fails),
            (libvirt, Fault::LibvirtErrs, Doom::Errs),
            (dies, Fault::AgentDiesBefore, Doom::DiesBefore),
            (dies, Fault::AgentDiesAfter, Doom::DiesAfter),
        ];
        let aimed = self.dooms.remove(operation);
        aimed
            .or_else(|| chances.into_iter().find(|(percent, fault, _)| self.befalls(*percent, *fault)).map(|(.., d)| d))
    }

    fn finish(&mut self, node: &NodeName, vm: &VmName, operation: &str, progress: agent::Progress) {
        self.log(format!("{node} ends {operation}: {progress:?}"));
        let host = self.hosts.get_mut(node).unwrap();
        host.journal.insert(operation.to_owned(), progress);
        let guest = host.guests.get_mut(vm).unwrap();
        if guest.working.as_deref() == Some(operation) {
            guest.working = None;
        }
        self.publish(node);
    }
}
