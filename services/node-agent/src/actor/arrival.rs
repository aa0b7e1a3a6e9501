//! What is watched beside orders: a copy that arrives, and after the agent's restart what it was
//! watching before.

use std::{sync::Arc, time::Duration};

use tokio_util::task::AbortOnDropHandle;
use watari_contracts::agent::Phase;
use watari_model::{VmName, admission::Seen};

use super::Actor;
use crate::{
    hypervisor::{self, Grant, Incoming},
    node::Node,
    record::Side,
};

/// How long an arrival is watched before looking whether it is still awaited.
const ARRIVAL: Duration = Duration::from_secs(600);
/// libvirt has no event for the beginning of an arrival.
const WHILE_ARRIVING: Duration = Duration::from_secs(1);

impl Actor {
    /// After a restart, an arrival that is awaited is watched again, and a server that was resumed
    /// just before gets its definition.
    pub(super) async fn resume_watches(&mut self) {
        let Some(record) = self.book.current().await else { return };
        if record.passage.as_ref().is_some_and(|p| p.side == Side::Target && p.phase != Phase::Ended) {
            self.watch_arrival();
        }
        self.ask_again(&record);
        // While it is being sent libvirt lets nobody change it.
        let leaving = record.passage.as_ref().is_some_and(|p| p.side == Side::Source && p.phase == Phase::Copying);
        if record.seen.is_granted() && !leaving {
            let (node, vm, seen) = (Arc::clone(&self.node), self.book.vm.clone(), record.seen.clone());
            tokio::spawn(async move { confirm(&node, &vm, &seen).await });
        }
    }

    /// Watches for the copy to be whole: no event tells, and every millisecond counts.
    pub(super) fn watch_arrival(&mut self) {
        if self.arrival.as_ref().is_some_and(|watch| !watch.is_finished()) {
            return;
        }
        let (node, book, look) = (Arc::clone(&self.node), Arc::clone(&self.book), Arc::clone(&self.look));
        self.arrival = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = tokio::time::interval(WHILE_ARRIVING);
            loop {
                let arrival = node.hypervisor.wait_incoming_paused(book.vm.as_str(), ARRIVAL);
                tokio::pin!(arrival);
                let outcome = loop {
                    tokio::select! {
                        // First: what stands still waits for it.
                        biased;
                        outcome = &mut arrival => break outcome,
                        _ = tick.tick() => look.notify_one(),
                    }
                };
                match outcome {
                    Ok(Incoming::Arrived) => return book.arrived().await,
                    Ok(Incoming::Running | Incoming::Failed) => return drop(book.look().await),
                    Err(error) => tracing::debug!(vm = %book.vm, %error, "the arrival is still awaited"),
                }
                let awaited = book.current().await.and_then(|record| record.passage);
                if !awaited.is_some_and(|p| p.side == Side::Target && p.phase != Phase::Ended) {
                    return;
                }
            }
        })));
    }
}

/// A server that runs here under our grant is persistent, and its definition names the grant.
async fn confirm(node: &Node, vm: &VmName, seen: &Seen) {
    node.hypervisor.ready().await;
    let outcome: hypervisor::Result<()> = async {
        if node.hypervisor.state(vm.as_str()).await? != hypervisor::DomainState::Running {
            return Ok(());
        }
        let grant = Grant { owner: node.name.to_string(), generation: seen.granted };
        node.hypervisor.persist(vm.as_str()).await?;
        let written = node.hypervisor.record(vm.as_str()).await?.and_then(|record| record.grant);
        if written.as_ref() == Some(&grant) {
            return Ok(());
        }
        node.hypervisor.set_grant(vm.as_str(), &grant).await
    }
    .await;
    if let Err(error) = outcome {
        tracing::warn!(%vm, %error, "the domain's definition is not up to date");
    }
}
