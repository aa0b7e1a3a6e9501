//! What one operation costs with a thousand, ten thousand and a hundred thousand servers: its time, and the processor time of
//! all services for it, less what they use anyway. The slope is that of the line through both logarithms:
//! 0 is flat, 1 is in proportion.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;
use watari_chassis::{Bus, Message, Messages};
use watari_contracts::scheduler::{CreateVm, DeleteVm, ListVms};
use watari_model::{VmName, vm::State};

use super::{
    Measured,
    creations::Told,
    documents::{SITES, store_ground},
    plan,
    stage::{READY, Stage, of_services, since},
    standing::Standing,
};
use crate::bench::{
    Bound,
    latency::{Latency, Taken},
};

/// How long the services are watched while nothing is asked of them.
const IDLE: Duration = Duration::from_secs(5);
/// Servers on one network, as those have that are made as fast as can be.
const ON_A_NETWORK: usize = 4;

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
    /// Processor time of the services with nothing to do, in percent of a core.
    idle_percent: Vec<f64>,
}

/// What is done over and over.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Get,
    Page,
    /// Of a server that is not started and has no network, so that nobody but the scheduler has to do with it.
    Create,
    /// Of one on a network, until it runs.
    Start,
    /// Of those, until nothing of them is left.
    Delete,
}

/// In this order: what is deleted was started before.
const OPERATIONS: [Operation; 5] =
    [Operation::Get, Operation::Page, Operation::Create, Operation::Start, Operation::Delete];

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "vm.get",
            Self::Page => "vm.list, a page",
            Self::Create => "vm.create",
            Self::Start => "vm.create on a network, until it runs",
            Self::Delete => "vm.delete, until it is gone",
        }
    }

    /// How often it is done. What is waited for takes longer.
    const fn times(self, plan: &plan::Slope) -> usize {
        match self {
            Self::Get | Self::Page | Self::Create => plan.requests,
            Self::Start | Self::Delete => plan.starts,
        }
    }
}

/// Measures.
pub(super) async fn run(stage: &mut Stage, plan: plan::Slope) -> anyhow::Result<Measured> {
    let networks = plan.starts.div_ceil(ON_A_NETWORK);
    store_ground(&stage.ctx, networks).await?;
    let mut standing = Standing::begin(stage, plan.nodes).await?;
    stage.start("network").await?;
    let mut costs: BTreeMap<&'static str, Vec<Cost>> = BTreeMap::new();
    let mut idle_percent = Vec::new();
    for (turn, servers) in plan.servers.iter().enumerate() {
        standing.grow(stage, *servers).await?;
        let before = stage.cpu()?;
        tokio::time::sleep(IDLE).await;
        let idle = of_services(&since(&before, &stage.cpu()?)) / IDLE.as_secs_f64();
        idle_percent.push(idle * 100.0);
        let mut asker = Asker::new(stage, &standing, turn, networks).await?;
        for operation in OPERATIONS {
            let cost = asker.measure(operation, operation.times(&plan), idle).await?;
            stage.tell(format!("{}: {} ms at the median", operation.name(), cost.latency.p50_ms));
            costs.entry(operation.name()).or_default().push(cost);
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

/// Who asks, with so many servers.
struct Asker<'s> {
    stage: &'s Stage,
    standing: &'s Standing,
    /// Which of the sizes this is: names are used once.
    turn: usize,
    networks: usize,
    /// What is written of servers.
    events: Messages,
    /// Over which it is heard.
    _hearing: Bus,
}

impl<'s> Asker<'s> {
    async fn new(stage: &'s Stage, standing: &'s Standing, turn: usize, networks: usize) -> anyhow::Result<Self> {
        let hearing = stage.bus().await?;
        let events = hearing.subscribe("watari.event.vms.>").await?;
        Ok(Self { stage, standing, turn, networks, events, _hearing: hearing })
    }

    async fn measure(&mut self, operation: Operation, times: usize, idle: f64) -> anyhow::Result<Cost> {
        let mut taken = Taken::none()?;
        let (before, begun) = (self.stage.cpu()?, Instant::now());
        for number in 0..times {
            let asked = Instant::now();
            self.carry_out(operation, number).await?;
            taken.take(asked)?;
        }
        let used = of_services(&since(&before, &self.stage.cpu()?)) - idle * begun.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a number of requests")]
        Ok(Cost { latency: taken.latency(), cpu_us: used.max(0.0) / times as f64 * 1e6 })
    }

    async fn carry_out(&mut self, operation: Operation, number: usize) -> anyhow::Result<()> {
        let bus = &self.stage.ctx.bus;
        match operation {
            Operation::Get => drop(bus.request(&self.standing.show(number)?).await?),
            Operation::Page => drop(bus.request(&ListVms { limit: Some(100), ..ListVms::default() }).await?),
            Operation::Create => drop(bus.request(&created(self.turn, number)?).await?),
            Operation::Start => {
                let server = started(self.turn, number, self.networks)?;
                bus.request(&server).await?;
                told(&mut self.events, &server.name, runs).await?;
            }
            Operation::Delete => {
                let name = name_of_started(self.turn, number)?;
                bus.request(&DeleteVm { request_id: None, name: name.clone(), keep_disk: false }).await?;
                told(&mut self.events, &name, |event| event.deleted).await?;
            }
        }
        Ok(())
    }
}

/// Waits until an event says so of a server.
async fn told(events: &mut Messages, server: &VmName, so: impl Fn(&Message) -> bool) -> anyhow::Result<()> {
    let subject = format!("watari.event.vms.{server}");
    let seen = async {
        while let Some(event) = events.next().await {
            if event.subject == subject && so(&event) {
                return anyhow::Ok(());
            }
        }
        bail!("the events ended")
    };
    tokio::time::timeout(READY, seen).await.with_context(|| format!("{server} comes to nothing"))?
}

fn runs(event: &Message) -> bool {
    serde_json::from_slice::<Told>(&event.payload).is_ok_and(|told| told.state == State::Running)
}

fn name_of_started(turn: usize, number: usize) -> anyhow::Result<VmName> {
    Ok(format!("started-{turn}-{number}").parse()?)
}

/// A server that is started, with an address.
fn started(turn: usize, number: usize, networks: usize) -> anyhow::Result<CreateVm> {
    let (name, network) = (name_of_started(turn, number)?, format!("net-{}", number % networks));
    let networks = json!([{"network": network}]);
    let server = json!({"name": name, "image": "mini", "site": SITES[0], "networks": networks, "disk_gib": 2});
    Ok(serde_json::from_value(server)?)
}

/// A server that is not started and has no network.
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

    #[test]
    fn what_is_started_has_a_network_and_the_name_by_which_it_is_deleted() {
        let request = started(2, 5, 4).unwrap();
        assert!(request.start);
        assert_eq!(request.networks[0].network.as_str(), "net-1");
        assert_eq!(request.name, name_of_started(2, 5).unwrap());
    }
}
