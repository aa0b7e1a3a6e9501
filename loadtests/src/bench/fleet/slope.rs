//! What one operation costs with a thousand, ten thousand and a hundred thousand servers: its time, and the scheduler's
//! processor time for it, less what the scheduler uses anyway. The slope is that of the line through both logarithms:
//! 0 is flat, 1 is in proportion.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::json;
use watari_contracts::scheduler::{CreateVm, ListVms};

use super::{
    Measured,
    documents::{SITES, store_ground},
    plan,
    stage::{Cpu, Stage, since},
    standing::Standing,
};
use crate::bench::{
    Bound,
    latency::{Latency, Taken},
};

/// How long the scheduler is watched while nothing is asked of it.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, Serialize)]
struct Cost {
    latency: Latency,
    cpu_us: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Slopes {
    nodes: usize,
    servers: Vec<usize>,
    /// By operation, of each size.
    costs: BTreeMap<&'static str, Vec<Cost>>,
    /// Of the median time.
    slopes: BTreeMap<&'static str, f64>,
    /// Processor time of the scheduler with nothing to do, in percent of a core.
    idle_percent: Vec<f64>,
}

/// What is done over and over.
const OPERATIONS: [&str; 3] = ["vm.get", "vm.list, a page", "vm.create"];

/// Measures.
pub(super) async fn run(stage: &mut Stage, plan: plan::Slope) -> anyhow::Result<Measured> {
    store_ground(&stage.ctx, 0).await?;
    let mut standing = Standing::begin(stage, plan.nodes).await?;
    let mut costs: BTreeMap<&'static str, Vec<Cost>> = BTreeMap::new();
    let mut idle_percent = Vec::new();
    for (turn, servers) in plan.servers.iter().enumerate() {
        standing.grow(stage, *servers).await?;
        let before = stage.cpu()?;
        tokio::time::sleep(IDLE).await;
        let idle = scheduler(&since(&before, &stage.cpu()?)) / IDLE.as_secs_f64();
        idle_percent.push(idle * 100.0);
        for operation in OPERATIONS {
            let cost = measure(stage, &standing, operation, turn, plan.requests, idle).await?;
            costs.entry(operation).or_default().push(cost);
        }
    }
    let slopes: BTreeMap<_, _> = costs
        .iter()
        .map(|(operation, costs)| {
            (*operation, slope(&plan.servers, &costs.iter().map(|c| c.latency.p50_ms).collect::<Vec<_>>()))
        })
        .collect();
    let bounds =
        slopes.iter().map(|(operation, slope)| Bound::most(format!("slope: {operation}"), *slope, 0.05)).collect();
    Measured::of(&Slopes { nodes: plan.nodes, servers: plan.servers, costs, slopes, idle_percent }, bounds)
}

fn scheduler(used: &Cpu) -> f64 {
    used.get("scheduler").copied().unwrap_or(f64::NAN)
}

async fn measure(
    stage: &Stage,
    standing: &Standing,
    operation: &str,
    turn: usize,
    requests: usize,
    idle: f64,
) -> anyhow::Result<Cost> {
    let (bus, mut taken) = (&stage.ctx.bus, Taken::none()?);
    let (before, begun) = (stage.cpu()?, Instant::now());
    for number in 0..requests {
        let asked = Instant::now();
        match operation {
            "vm.get" => drop(bus.request(&standing.show(number)?).await?),
            "vm.create" => drop(bus.request(&created(turn, number)?).await?),
            _ => drop(bus.request(&ListVms { limit: Some(100), ..ListVms::default() }).await?),
        }
        taken.take(asked)?;
    }
    let used = scheduler(&since(&before, &stage.cpu()?)) - idle * begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a number of requests")]
    Ok(Cost { latency: taken.latency(), cpu_us: used.max(0.0) / requests as f64 * 1e6 })
}

/// A server that is not started and has no network, so that nobody but the scheduler has to do with it.
fn created(turn: usize, number: usize) -> anyhow::Result<CreateVm> {
    let name = format!("created-{turn}-{number}");
    Ok(serde_json::from_value(json!({"name": name, "image": "mini", "site": SITES[0], "start": false}))?)
}

/// The slope of the line through the logarithms of sizes and costs, by least squares.
fn slope(sizes: &[usize], costs: &[f64]) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a number of servers")]
    let points: Vec<(f64, f64)> =
        sizes.iter().zip(costs).map(|(size, cost)| ((*size as f64).ln(), cost.ln())).collect();
    #[allow(clippy::cast_precision_loss, reason = "three")]
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    both / square
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_flat_has_no_slope_and_what_grows_in_proportion_has_one() {
        let sizes = [1_000, 10_000, 100_000];
        assert!(slope(&sizes, &[0.3, 0.3, 0.3]).abs() < 1e-9);
        assert!((slope(&sizes, &[0.3, 3.0, 30.0]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_server_that_is_created_asks_for_nothing_but_an_image() {
        let request = created(0, 1).unwrap();
        assert!(!request.start && request.networks.is_empty());
    }
}
