//! Has an agent measure the way to another site where nothing else has shown for long how fast that is
//! ([`crate::core::way_to_measure`]). What is seen comes with the node's inventory, from where estimates have it.

use std::{convert::Infallible, future::ready, time::Duration};

use tokio::sync::watch;
use watari_chassis::{Leadership, Wake, clock, looper};
use watari_contracts::agent::{MeasureWay, Measuring, Order};
use watari_model::NodeName;

use crate::{core::way_to_measure, doing::Executor};

/// How often it is looked whether that is due. The first time is as long after the process' start, and so is a next try.
const LOOK_MS: u64 = 3_600_000;

/// Looks until the process ends. `leadership` is that of a tenure that has begun in earnest.
pub(crate) async fn keep_measuring(
    executor: Executor,
    leadership: watch::Receiver<Leadership>,
    tick: Duration,
    every_ms: u64,
) {
    let ctx = executor.ctx.clone();
    let mut looked = clock::boot_millis();
    let step = || {
        let (epoch, now) = (leadership.borrow().epoch(), clock::boot_millis());
        if now.saturating_sub(looked) >= LOOK_MS {
            looked = now;
            let way = way_to_measure(&executor.stores.snapshot(), every_ms, clock::now());
            if let Some((epoch, (from, address))) = epoch.zip(way) {
                let asking = executor.clone();
                executor.ctx.spawn("ways", async move { asking.measure(epoch, &from, address).await });
            }
        }
        ready(Ok::<(), Infallible>(()))
    };
    looper::run(&ctx, "ways", Wake::new(), tick, step).await;
}

impl Executor {
    async fn measure(&self, epoch: u64, from: &NodeName, address: String) {
        let order = Order { epoch, operation: format!("measure-way-{}", clock::boot_millis()) };
        let order = MeasureWay { order, address };
        match self.ctx.bus.command_within(from, &order, self.bounds.look).await {
            Ok(Measuring { begun }) => {
                tracing::info!(%from, to = order.address, begun, "the way to another site is measured")
            }
            Err(error) => tracing::info!(%from, to = order.address, %error, "the way to another site is not measured"),
        }
    }
}
