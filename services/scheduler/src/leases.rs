//! Grants leases to nodes that ask for one with their facts, while this process leads. What follows from a lease that
//! has run out, and why the grant is noted before it is sent, is said in [`watari_model::isolation`].

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use watari_contracts::agent::{Hold, NodeFacts, Order};
use watari_model::{NodeName, isolation::Terms};

use crate::doing::Executor;

/// Askings that may wait. A node asks again several times before its lease runs out.
pub(crate) const WAITING: usize = 1_024;

/// A node asks for a lease.
pub(crate) struct Asking {
    node: NodeName,
    instance: String,
    seq: u64,
    terms: Terms,
}

impl Asking {
    /// What is asked for with these facts, if anything is.
    pub(crate) fn of(facts: &NodeFacts) -> Option<Self> {
        let terms = facts.guard.as_ref()?.terms;
        Some(Self { node: facts.node.clone(), instance: facts.instance.clone(), seq: facts.seq, terms })
    }
}

/// Grants until the process ends. Who leads nothing grants nothing.
pub(crate) async fn grant(executor: Executor, mut askings: mpsc::Receiver<Asking>) {
    let hands = Arc::new(Semaphore::new(executor.bounds.in_flight));
    let shutdown = executor.ctx.shutdown.clone();
    loop {
        let asking = tokio::select! {
            () = shutdown.cancelled() => return,
            asking = askings.recv() => asking,
        };
        let Some(asking) = asking else { return };
        let Ok(hand) = Arc::clone(&hands).try_acquire_owned() else { continue };
        let epoch = executor.leadership.borrow().epoch();
        // Who stood still has heard by now what was asked of its successor, and may not know yet that it has one.
        let Some(epoch) = epoch.filter(|epoch| executor.leads(*epoch)) else { continue };
        // Before anything is sent: from now on it may hold.
        if !executor.memory.grant(&asking.node, asking.terms) {
            tracing::warn!(node = %asking.node, terms = ?asking.terms, "a node asks for a longer lease than is granted");
            continue;
        }
        let granting = executor.clone();
        executor.ctx.spawn("lease", async move {
            granting.hold(epoch, asking).await;
            drop(hand);
        });
    }
}

impl Executor {
    async fn hold(&self, epoch: u64, asking: Asking) {
        let Asking { node, instance, seq, .. } = asking;
        let order = Order { epoch, operation: format!("hold-{instance}-{seq}") };
        let granted = self.ctx.bus.command_within(&node, &Hold { order, instance, seq }, self.bounds.look).await;
        if let Err(error) = granted {
            tracing::debug!(%node, %error, "nobody knows whether a lease has arrived; the node asks again");
        }
    }
}
