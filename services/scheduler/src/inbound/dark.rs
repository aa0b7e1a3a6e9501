//! Shutting the nodes of a site down that goes dark.

use watari_contracts::{
    monitor::{PowerNode, PowerWish},
    scheduler::{DarkPlan, Fault, NodesDark, ShutDownNodes},
};
use watari_model::{
    NodeName, Refusal,
    node::Node,
    outage::{Change, Outage, Scope, State},
};

use super::{Desk, find, sites::apply};
use crate::core::dark;

/// The most nodes that one answer names: the monitor is asked about each.
const MOST_NODES: usize = 500;

impl Desk {
    pub(super) async fn shut_down_nodes(self, request: ShutDownNodes) -> Result<NodesDark, Refusal> {
        let ShutDownNodes { id, withdraw, dry_run } = request;
        let unknown = || Refusal::OutageUnknown { outage: id.to_string() };
        let entry = find(&self.stores().outages, id.as_str()).await?.ok_or_else(unknown)?;
        check(&entry.value)?;
        if !dry_run {
            let wish = |outage: &mut Outage| {
                check(outage)?;
                apply(outage, Change::ShutDownWished(!withdraw))
            };
            self.amend_outage(&id, wish).await?;
        }
        let snap = self.executor.view();
        let turns: Vec<&Node> = dark::turns(&snap, &entry.value).take(MOST_NODES).collect();
        let mut nodes = Vec::new();
        let mut silent = None;
        for node in turns {
            nodes.push(self.turn_of(node, &mut silent).await);
        }
        let before = entry.value.dark.as_ref().is_some_and(|dark| dark.wished);
        Ok(NodesDark { outage: id, wished: if dry_run { before } else { !withdraw }, nodes })
    }

    /// By what a node would be shut down and switched on. A monitor that did not answer once is asked no more.
    async fn turn_of(&self, node: &Node, silent: &mut Option<Refusal>) -> DarkPlan {
        let agent = node.inventory.host.shut_down.clone();
        let mut plan = DarkPlan { node: node.name.clone(), agent, off: Vec::new(), on: Vec::new(), why: None };
        if self.rules.fronts.contains(&node.name) {
            plan.agent = Vec::new();
            plan.why = Some(Fault::from(&Refusal::NodeIsFrontEnd { node: node.name.to_string() }));
            return plan;
        }
        let mut why = None;
        if plan.agent.is_empty() {
            match self.programs(&node.name, PowerWish::Off, silent).await {
                Ok(programs) if programs.is_empty() => {
                    why = Some(Refusal::ShutDownMissing { node: node.name.to_string() });
                }
                Ok(programs) => plan.off = programs,
                Err(refusal) => why = Some(refusal),
            }
        }
        match self.programs(&node.name, PowerWish::On, silent).await {
            Ok(programs) => plan.on = programs,
            Err(refusal) => why = why.or(Some(refusal)),
        }
        plan.why = why.as_ref().map(Fault::from);
        plan
    }

    /// What the monitor would run for it; nothing if nothing is configured.
    async fn programs(
        &self,
        node: &NodeName,
        wish: PowerWish,
        silent: &mut Option<Refusal>,
    ) -> Result<Vec<Vec<String>>, Refusal> {
        if let Some(refusal) = silent {
            return Err(refusal.clone());
        }
        let asked = PowerNode { name: node.clone(), wish, by: None, dry_run: true };
        match self.executor.ctx.bus.request(&asked).await.map_err(Refusal::from) {
            Ok(answer) => Ok(answer.commands),
            Err(Refusal::FencingMissing { .. }) => Ok(Vec::new()),
            Err(refusal) => {
                if matches!(refusal, Refusal::NoAnswer { .. }) {
                    *silent = Some(refusal.clone());
                }
                Err(refusal)
            }
        }
    }
}

/// Only a site goes dark, and only before its servers come home.
fn check(outage: &Outage) -> Result<(), Refusal> {
    let is_ahead = outage.state == State::Scheduled || outage.state.drains();
    match &outage.scope {
        Scope::Site(_) if is_ahead => Ok(()),
        _ => {
            let state = outage.state.word().to_owned();
            Err(Refusal::ShutDownNotNow { outage: outage.id.to_string(), state })
        }
    }
}
