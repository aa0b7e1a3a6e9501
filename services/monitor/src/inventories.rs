//! Taking inventories: those that agents send by themselves, and those of nodes that speak but
//! have sent none that this tenure knows of.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch::Receiver, time::Instant};
use watari_chassis::{Leadership, Message, Messages, clock, looper};
use watari_contracts::agent::TakeInventory;
use watari_model::{NodeName, SiteName, node::Inventory};

use crate::{beats::place, documents, watch::Watch};

/// So many agents are asked at a time, and in one step, so that a monitor that begins to lead
/// makes no storm.
const AT_A_TIME: usize = 16;
const IN_ONE_STEP: usize = 512;
/// More than an inventory of any machine.
const MOST_BYTES: usize = 256 * 1024;
/// How often an agent that did not answer is asked again.
const PAUSE_MS: u64 = 5_000;
const TICK: Duration = Duration::from_secs(1);
/// Steps are at least so far apart, however many beats call for one.
const APART: Duration = Duration::from_millis(100);

/// Takes what agents send, until the process shuts down. A standby only notes that they live.
pub(crate) async fn hear(watch: Arc<Watch>, mut inventories: Messages, leadership: Receiver<Leadership>) {
    let shutdown = watch.ctx.shutdown.clone();
    loop {
        let next = tokio::select! {
            next = inventories.next() => next,
            () = shutdown.cancelled() => return,
        };
        let Some(message) = next else { return };
        let Some((site, node, inventory)) = read(&watch, &message) else { continue };
        let leads = leadership.borrow().epoch().is_some();
        let noted = watch.fleet().sent_inventory(&site, &node, clock::boot_millis());
        if let Err(doubtful) = noted {
            watch.metrics.inventories_refused.with_label_values(&[doubtful.word()]).inc();
            tracing::warn!(%node, %site, why = doubtful.word(), "an inventory is not believed");
        } else if leads {
            let written = documents::inventory(&watch, &site, &node, inventory).await;
            watch.metrics.wrote("inventory", &node, &written);
        }
    }
}

fn read(watch: &Watch, message: &Message) -> Option<(SiteName, NodeName, Inventory)> {
    let refused = |why: &str| {
        watch.metrics.inventories_refused.with_label_values(&[why]).inc();
        tracing::warn!(subject = message.subject, why, "an inventory is not believed");
        None
    };
    let named = place(&message.subject).and_then(|(site, node)| Some((site.parse().ok()?, node.parse().ok()?)));
    let Some((site, node)) = named else { return refused("not-a-name") };
    if message.payload.len() > MOST_BYTES {
        return refused("too-large");
    }
    match serde_json::from_slice::<Inventory>(&message.payload) {
        Ok(inventory) => Some((site, node, inventory)),
        Err(_) => refused("malformed"),
    }
}

/// Asks nodes for their inventories, while this process leads.
pub(crate) async fn ask(watch: Arc<Watch>, leadership: Receiver<Leadership>) {
    let (ctx, wake) = (watch.ctx.clone(), watch.ask.clone());
    let mut next = Instant::now();
    looper::run_as_primary(&ctx, "inventories", leadership, wake, TICK, |_| {
        let (watch, apart) = (Arc::clone(&watch), looper::apart(&mut next, APART));
        async move {
            apart.await;
            step(&watch).await;
            Ok::<(), Infallible>(())
        }
    })
    .await;
}

async fn step(watch: &Watch) {
    let due = watch.fleet().due_for_asking(clock::boot_millis(), PAUSE_MS, IN_ONE_STEP);
    stream::iter(due)
        .for_each_concurrent(AT_A_TIME, |(node, instance)| async move {
            match watch.ctx.bus.command(&node, &TakeInventory {}).await {
                Ok(inventory) => take(watch, &node, instance, inventory).await,
                // Its agent may have just started, or be of another version: asked again.
                Err(error) => tracing::debug!(%node, %error, "no inventory"),
            }
            looper::goes_on();
        })
        .await;
}

async fn take(watch: &Watch, node: &NodeName, instance: u64, inventory: Inventory) {
    let site = watch.fleet().get(node.as_str()).map(|heard| heard.site.clone());
    let Some(site) = site else { return };
    let written = documents::inventory(watch, &site, node, inventory).await;
    if written.is_ok() {
        watch.fleet().inventoried(node, instance);
    }
    watch.metrics.wrote("inventory", node, &written);
}
