//! `vm.list` of a thousand servers over the loopback, beside a bare NATS echo in the same run. It
//! needs no lab: a nats-server of its own, a real scheduler, and servers that are off.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures_util::StreamExt;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, json};
use watari_chassis::{Bucket, Bus, CallError, Context, config::Common};
use watari_contracts::{
    Service,
    scheduler::{ListVms, VmPage},
};
use watari_model::{VmName, vm::Vm};
use watari_testkit::NatsServer;

use super::{
    Bound,
    latency::Taken,
    program::{Program, open_buckets},
};

/// How long the scheduler may take to lead and to know all servers.
const READY: Duration = Duration::from_secs(60);

/// Latencies in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// How many servers there were.
    pub servers: usize,
    /// How many lists were asked for, of each kind.
    pub requests: u64,
    /// Median of the time until all of a list is here.
    pub p50_ms: f64,
    /// Its 99th percentile.
    pub p99_ms: f64,
    /// Median of the time until the asker has made servers of it as well, which is its own work.
    pub read_p50_ms: f64,
    /// Its 99th percentile.
    pub read_p99_ms: f64,
    /// A bare echo's 99th percentile, interleaved.
    pub echo_p99_ms: f64,
}

impl Listing {
    /// A thousand servers below 10 ms at the 99th percentile.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        vec![Bound::most("p99_ms", self.p99_ms, 10.0)]
    }
}

/// A server that is off, so that nothing but the list is asked of the scheduler.
fn server(number: usize) -> anyhow::Result<Vm> {
    const SAMPLE: &str = include_str!("../../../shared/contracts/tests/golden/document.vms.json");
    let [mut vm, ..]: [Value; 2] = serde_json::from_str(SAMPLE)?;
    vm["name"] = json!(format!("server-{number}"));
    vm["uuid"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
    vm["desired"] = json!("stopped");
    vm["state"] = json!("stopped");
    for empty in ["grant", "crossing", "fault"] {
        vm[empty] = Value::Null;
    }
    vm["leftovers"] = json!([]);
    Ok(serde_json::from_value(vm)?)
}

/// Lists `servers` servers, `requests` times. `program` is the scheduler's.
///
/// # Errors
/// When the bus or the scheduler does not start or answer.
pub async fn run(program: &Path, servers: usize, requests: u64) -> anyhow::Result<Listing> {
    let nats = NatsServer::start();
    let ctx = Context::new(Service::Scheduler, &Common::at([nats.url()])?).await?;
    open_buckets(&ctx).await?;
    let bucket = Bucket::<Vm>::open(&ctx).await?;
    for number in 0..servers {
        bucket.create(&server(number)?).await?;
    }
    let _scheduler = Program::start(program, &nats.url())?;
    let bus = &ctx.bus;
    let begun = Instant::now();
    loop {
        let listed = list(bus, Outline::told).await;
        if listed.as_ref().is_ok_and(|listed| *listed == servers) {
            break;
        }
        ensure!(begun.elapsed() < READY, "the scheduler does not list {servers} servers, but {listed:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut heard = bus.subscribe("watari.bench.echo").await?;
    let (mut lists, mut reads, mut echoes) = (Taken::none()?, Taken::none()?, Taken::none()?);
    for _ in 0..requests {
        let began = Instant::now();
        list(bus, Outline::told).await?;
        lists.take(began)?;
        let began = Instant::now();
        list(bus, |page: VmPage| (page.vms.len(), page.next)).await?;
        reads.take(began)?;
        let began = Instant::now();
        bus.publish_json("watari.bench.echo", &()).await?;
        heard.next().await.context("no echo")?;
        echoes.take(began)?;
    }
    let (list, read, echo) = (lists.latency(), reads.latency(), echoes.latency());
    Ok(Listing {
        servers,
        requests,
        p50_ms: list.p50_ms,
        p99_ms: list.p99_ms,
        read_p50_ms: read.p50_ms,
        read_p99_ms: read.p99_ms,
        echo_p99_ms: echo.p99_ms,
    })
}

/// Of a page what its asker must know to go on.
#[derive(Deserialize)]
struct Outline {
    vms: Vec<IgnoredAny>,
    next: Option<VmName>,
}

impl Outline {
    fn told(self) -> (usize, Option<VmName>) {
        (self.vms.len(), self.next)
    }
}

/// Asks for all servers, page after page as the scheduler makes them (a message has its bounds), and counts them. `told`
/// says how many are on a page and after whom the next one begins.
async fn list<A: DeserializeOwned>(bus: &Bus, told: impl Fn(A) -> (usize, Option<VmName>)) -> Result<usize, CallError> {
    let mut ask = ListVms { limit: Some(1000), ..ListVms::default() };
    let mut listed = 0;
    loop {
        let (count, next) = told(bus.request_part(&ask).await?);
        listed += count;
        if next.is_none() {
            return Ok(listed);
        }
        ask.after = next;
    }
}
