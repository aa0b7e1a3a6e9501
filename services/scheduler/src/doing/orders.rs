//! Orders to agents, and what their answers mean.

use watari_chassis::CallError;
use watari_contracts::{
    Command,
    agent::{
        Abort, Answer, Discard, DropLayers, Freeze, Grow, Observe, Progress, Reboot, Receive, Release, Remove, Resume,
        RevertDisk, Send, SendAhead, Start, Stop, Suspend, TakeSnapshot, VmFact,
    },
};
use watari_model::{NodeName, Refusal};

use super::{Executor, not_done};
use crate::core::{Order, Outcome};

impl Order {
    /// The command's verb.
    pub(crate) const fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => Start::VERB,
            Self::Stop(_) => Stop::VERB,
            Self::Suspend(_) => Suspend::VERB,
            Self::Reboot(_) => Reboot::VERB,
            Self::Remove(_) => Remove::VERB,
            Self::Receive(_) => Receive::VERB,
            Self::Send(_) => Send::VERB,
            Self::Abort(_) => Abort::VERB,
            Self::Resume(_) => Resume::VERB,
            Self::Grow(_) => Grow::VERB,
            Self::Freeze(_) => Freeze::VERB,
            Self::TakeSnapshot(_) => TakeSnapshot::VERB,
            Self::RevertDisk(_) => RevertDisk::VERB,
            Self::SendAhead(_) => SendAhead::VERB,
            Self::Discard(_) => Discard::VERB,
            Self::Release(_) => Release::VERB,
        }
    }

    const fn epoch(&self) -> u64 {
        match self {
            Self::Start(start) => start.order.epoch,
            Self::Stop(stop) => stop.order.epoch,
            Self::Suspend(suspend) => suspend.order.epoch,
            Self::Reboot(reboot) => reboot.order.epoch,
            Self::Remove(remove) => remove.order.epoch,
            Self::Receive(receive) => receive.order.epoch,
            Self::Send(send) => send.order.epoch,
            Self::Abort(abort) => abort.order.epoch,
            Self::Resume(resume) => resume.order.epoch,
            Self::Grow(grow) => grow.order.epoch,
            Self::Freeze(freeze) => freeze.order.epoch,
            Self::TakeSnapshot(take) => take.order.epoch,
            Self::RevertDisk(revert) => revert.order.epoch,
            Self::SendAhead(ahead) => ahead.order.epoch,
            Self::Discard(discard) => discard.order.epoch,
            Self::Release(release) => release.order.epoch,
        }
    }
}

impl Executor {
    /// Orders, unless this process no longer leads, and takes in what the answer shows.
    pub(super) async fn order(&self, node: &NodeName, order: &Order) -> Outcome {
        if !self.leads(order.epoch()) {
            return Outcome::Silent(Refusal::NotPrimary { service: "scheduler".to_owned() });
        }
        let answer = match order {
            Order::Start(start) => self.send(node, start.as_ref()).await,
            Order::Stop(stop) => self.send(node, stop).await,
            Order::Suspend(suspend) => self.send(node, suspend).await,
            Order::Reboot(reboot) => self.send(node, reboot).await,
            Order::Remove(remove) => self.send(node, remove).await,
            Order::Receive(receive) => self.send(node, receive.as_ref()).await,
            Order::Send(send) => self.send(node, send).await,
            Order::Abort(abort) => self.send(node, abort).await,
            Order::Resume(resume) => self.send(node, resume).await,
            Order::Grow(grow) => self.send(node, grow).await,
            Order::Freeze(freeze) => self.send(node, freeze).await,
            Order::TakeSnapshot(take) => self.send(node, take).await,
            Order::RevertDisk(revert) => self.send(node, revert).await,
            Order::SendAhead(ahead) => self.send(node, ahead).await,
            Order::Discard(discard) => self.send(node, discard).await,
            Order::Release(release) => self.send(node, release).await,
        };
        match answer {
            Ok(Answer { progress, fact, brought }) => {
                self.memory.see(node, &fact);
                if let Order::SendAhead(ahead) = order {
                    self.memory.note_brought(&ahead.vm, brought);
                }
                if let (Order::Release(release), Progress::Done) = (order, &progress) {
                    self.carry_console(node, release);
                }
                Outcome::Order(progress, fact)
            }
            Err(error) => self.refused(order, node, Refusal::from(error)),
        }
    }

    async fn send<C: Command<Reply = Answer>>(&self, node: &NodeName, command: &C) -> Result<Answer, CallError> {
        self.ctx.bus.command_within(node, command, self.bounds.order).await
    }

    /// Has layers that are of no use deleted, unless this process no longer leads.
    pub(super) async fn drop_layers(&self, node: &NodeName, drop: &DropLayers) -> Outcome {
        if !self.leads(drop.order.epoch) {
            return Outcome::Silent(Refusal::NotPrimary { service: "scheduler".to_owned() });
        }
        let said = self.ctx.bus.command_within(node, drop, self.bounds.order).await;
        self.heard(node, said)
    }

    fn refused(&self, order: &Order, node: &NodeName, refusal: Refusal) -> Outcome {
        tracing::debug!(%node, verb = order.verb(), %refusal, "an order was refused or not answered");
        not_done(refusal)
    }

    /// Has an agent look at one server now.
    pub(super) async fn look(&self, node: &NodeName, look: &Observe) -> Result<VmFact, Refusal> {
        let fact = self.ctx.bus.command_within(node, look, self.bounds.look).await.map_err(Refusal::from)?;
        if fact.vm != look.vm {
            return Err(Refusal::Internal {
                detail: format!("{node} was asked of {} and speaks of {}", look.vm, fact.vm),
            });
        }
        self.memory.see(node, &fact);
        Ok(fact)
    }
}
