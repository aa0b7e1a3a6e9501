//! What agents publish by themselves, and what the monitor says of room: both wake the loop.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::sync::mpsc;
use watari_chassis::{BusError, Context, Wake};
use watari_contracts::{agent::NodeFacts, monitor::CapacityChanged, subjects};

use crate::{doing::Memory, leases::Asking};

/// A fact may come just before the answer to an order that it is about. A second wake, a little
/// later, finds the answer.
const AGAIN: Duration = Duration::from_millis(25);

/// Follows facts and capacity events until the process ends. Who asks for a lease is handed on; when too many do, it
/// asks again.
///
/// # Errors
/// If a subscription is refused.
pub(crate) async fn follow(
    ctx: &Context,
    memory: &Arc<Memory>,
    wake: &Wake,
    leases: mpsc::Sender<Asking>,
) -> Result<(), BusError> {
    let mut facts = ctx.bus.subscribe(subjects::FACTS).await?;
    let mut capacities = ctx.bus.subscribe(subjects::CAPACITIES).await?;
    let (memory, wake, shutdown) = (Arc::clone(memory), wake.clone(), ctx.shutdown.clone());
    ctx.spawn("facts", async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(message) = facts.next() => {
                    let Some(heard) = read(&message.subject, &message.payload) else { continue };
                    if let Some(asking) = Asking::of(&heard) {
                        let _ = leases.try_send(asking);
                    }
                    // Most facts only say that the agent is there.
                    if !memory.hear(heard) {
                        continue;
                    }
                    wake.wake();
                    let again = wake.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(AGAIN).await;
                        again.wake();
                    });
                }
                Some(message) = capacities.next() => {
                    // That only a load has changed is seen at the next tick: a whole site may tell it within a moment.
                    if weigh(&message.subject, &message.payload).is_none_or(|told| memory.weigh(told)) {
                        wake.wake();
                    }
                }
                else => return,
            }
        }
    });
    Ok(())
}

/// Reads what the monitor tells of a node. What this version cannot read is a reason to look at everything, as before.
fn weigh(subject: &str, payload: &[u8]) -> Option<CapacityChanged> {
    let told: CapacityChanged = serde_json::from_slice(payload).ok()?;
    (subjects::capacity(&told.site, &told.node) == subject).then_some(told)
}

/// Reads facts; an agent speaks for its own node only, which is the one in the subject that it has
/// the right to publish to.
fn read(subject: &str, payload: &[u8]) -> Option<NodeFacts> {
    match serde_json::from_slice::<NodeFacts>(payload) {
        Ok(facts) if subjects::fact(&facts.site, &facts.node) == subject => Some(facts),
        Ok(facts) => {
            tracing::warn!(subject, node = %facts.node, "facts of another node are not believed");
            None
        }
        Err(error) => {
            tracing::warn!(subject, %error, "facts cannot be read");
            None
        }
    }
}
