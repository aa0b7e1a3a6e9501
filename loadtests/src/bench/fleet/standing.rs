//! Servers that stand on their nodes while the scheduler is asked of them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use watari_contracts::scheduler::{GetVm, ListVms};
use watari_model::{VmName, vm::State};

use super::{
    agents::Agents,
    documents::{Place, places, servers, store_nodes, store_servers},
    stage::{LOOK, READY, Stage},
};

/// So many servers are stored, and so many nodes say what they have of them.
pub(super) struct Standing {
    pub(super) places: Vec<Place>,
    pub(super) servers: usize,
    agents: Agents,
}

impl Standing {
    /// Nodes without servers, and a scheduler that leads.
    pub(super) async fn begin(stage: &mut Stage, nodes: usize) -> anyhow::Result<Self> {
        let places = places(nodes)?;
        store_nodes(&stage.ctx, &places).await?;
        let agents = Agents::start(stage, &places).await?;
        stage.start("scheduler").await?;
        Ok(Self { places, servers: 0, agents })
    }

    /// The same with servers.
    pub(super) async fn with(stage: &mut Stage, nodes: usize, servers: usize) -> anyhow::Result<Self> {
        let mut standing = Self::begin(stage, nodes).await?;
        standing.grow(stage, servers).await?;
        Ok(standing)
    }

    /// Makes it so many servers, and waits until the scheduler has heard of all.
    pub(super) async fn grow(&mut self, stage: &Stage, to: usize) -> anyhow::Result<()> {
        stage.tell(format!("up to {to} servers are stored"));
        let more = servers(&self.places, self.servers, to)?;
        // At once: what its agent does not name would be off, and what has no document an alarm.
        store_servers(&stage.ctx, &more, |vm| self.agents.have(vm)).await?;
        self.servers = to;
        self.known(stage).await?;
        stage.tell(format!("the scheduler knows {to} servers"));
        Ok(())
    }

    /// Waits until the scheduler answers with the last server; how long that took.
    pub(super) async fn known(&self, stage: &Stage) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let last = GetVm { name: name(self.servers - 1)? };
        while stage.ctx.bus.request(&last).await.is_err() {
            ensure!(begun.elapsed() < READY, "the scheduler does not hear of {} servers", self.servers);
            tokio::time::sleep(LOOK).await;
        }
        Ok(begun.elapsed())
    }

    /// A question that is another server's each time.
    pub(super) fn show(&self, turn: usize) -> anyhow::Result<GetVm> {
        // A step that has no factor in common with the number of servers goes through all of them.
        Ok(GetVm { name: name(turn * 7_919 % self.servers)? })
    }

    /// Filtered pages, by what a person filters: a node, a campus, a state.
    pub(super) fn page(&self, turn: usize) -> ListVms {
        let place = &self.places[turn * 31 % self.places.len()];
        let page = ListVms { limit: Some(100), ..ListVms::default() };
        match turn % 3 {
            0 => ListVms { node: Some(place.name.clone()), ..page },
            1 => ListVms { site: Some(place.site.clone()), ..page },
            _ => ListVms { state: Some(State::Running), ..page },
        }
    }
}

fn name(number: usize) -> anyhow::Result<VmName> {
    Ok(format!("server-{number:06}").parse()?)
}
