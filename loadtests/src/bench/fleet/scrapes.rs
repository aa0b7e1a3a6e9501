//! How long a scrape of each service takes when there is all that there may be.

use std::{collections::BTreeMap, time::Instant};

use anyhow::ensure;
use serde::Serialize;

use super::{
    Measured,
    beats::BEATS,
    herd::Herd,
    plan,
    stage::{LOOK, READY, Stage},
    standing::Standing,
};
use crate::bench::{
    Bound,
    latency::{Latency, Taken},
};

/// Samples in each beat of a node.
const SAMPLES: usize = 10;
/// Who is scraped. The image service needs certificates, and counts nothing that grows with nodes or servers.
const SERVICES: [&str; 3] = ["scheduler", "network", "monitor"];

#[derive(Clone, Debug, Serialize)]
struct Scraped {
    nodes: usize,
    servers: usize,
    scrapes: BTreeMap<&'static str, Latency>,
}

/// Measures.
pub(super) async fn run(stage: &mut Stage, plan: plan::Scrapes) -> anyhow::Result<Measured> {
    let standing = Standing::with(stage, plan.nodes, plan.servers).await?;
    stage.start("network").await?;
    stage.start("monitor").await?;
    let _herd = Herd::start(stage, &standing.places, SAMPLES).await?;
    let begun = Instant::now();
    #[allow(clippy::cast_precision_loss, reason = "a number of nodes")]
    let all = 2.0 * plan.nodes as f64;
    while stage.scrape("monitor").await?.total(BEATS) < all {
        ensure!(begun.elapsed() < READY, "the monitor does not hear the nodes");
        tokio::time::sleep(LOOK).await;
    }
    stage.tell("the monitor has heard all nodes");
    let mut scrapes = BTreeMap::new();
    for service in SERVICES {
        let mut taken = Taken::none()?;
        for _ in 0..plan.times {
            let begun = Instant::now();
            stage.scrape(service).await?;
            taken.take(begun)?;
        }
        scrapes.insert(service, taken.latency());
    }
    let bounds = scrapes
        .iter()
        .map(|(service, latency)| Bound::most(format!("scrapes: {service}'s p99_ms"), latency.p99_ms, 50.0));
    let bounds = bounds.collect();
    Measured::of(&Scraped { nodes: plan.nodes, servers: plan.servers, scrapes }, bounds)
}
