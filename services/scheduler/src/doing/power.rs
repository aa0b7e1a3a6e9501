//! Nodes that go dark on purpose: their agents shut them down, and the monitor has their power controllers.

use std::time::Duration;

use watari_contracts::{
    agent::ShutDown,
    monitor::{PowerNode, PowerWish},
};
use watari_model::{NodeName, Refusal};

use super::{Executor, not_done};
use crate::core::Outcome;

/// Longer than a power controller may take to answer.
const CONTROLLER: Duration = Duration::from_secs(90);

impl Executor {
    /// Has an agent shut its node down, unless this process no longer leads.
    pub(super) async fn shut_down(&self, node: &NodeName, order: &ShutDown) -> Outcome {
        if !self.leads(order.order.epoch) {
            return Outcome::Silent(Refusal::NotPrimary { service: "scheduler".to_owned() });
        }
        match self.ctx.bus.command_within(node, order, self.bounds.order).await {
            Ok(facts) => self.heard(node, Ok(facts)),
            Err(error) => not_done(Refusal::from(error)),
        }
    }

    /// Has the monitor ask a node's power controller, or begin to switch the node, unless this process no longer leads:
    /// its successor may want the node on that it wanted off.
    pub(super) async fn power(&self, node: &NodeName, wish: PowerWish, by: &str) -> Outcome {
        if self.leadership.borrow().epoch().is_none() {
            return Outcome::Silent(Refusal::NotPrimary { service: "scheduler".to_owned() });
        }
        let asked = PowerNode { name: node.clone(), wish, by: Some(by.to_owned()), dry_run: false };
        match self.ctx.bus.request_within(&asked, CONTROLLER).await {
            Ok(answer) => answer.says.map_or(Outcome::Done, Outcome::Power),
            Err(error) => not_done(Refusal::from(error)),
        }
    }
}
