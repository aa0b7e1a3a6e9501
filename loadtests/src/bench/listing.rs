//! `vm.list` over a scheduler that knows many servers, beside a bare NATS echo in the same run.

use std::time::Instant;

use anyhow::Context;
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use serde::Serialize;
use watari_chassis::{Bus, BusSettings};
use watari_contracts::scheduler::ListVms;

/// Latencies in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// How many servers there were.
    pub servers: usize,
    /// How many lists were asked for.
    pub requests: u64,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// A bare echo's 99th percentile, interleaved.
    pub echo_p99_ms: f64,
}

/// Asks for the whole list `requests` times.
///
/// # Errors
/// When the bus or the scheduler does not answer.
pub async fn run(settings: &BusSettings, requests: u64) -> anyhow::Result<Listing> {
    let bus = Bus::connect(settings).await?;
    let mut heard = bus.subscribe("watari.bench.echo").await?;
    let ask = ListVms { limit: Some(1000), ..ListVms::default() };
    let servers = bus.request(&ask).await.context("the scheduler does not answer")?.vms.len();
    let (mut lists, mut echoes) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    let micros = |began: Instant| u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    for _ in 0..requests {
        let began = Instant::now();
        bus.request(&ask).await?;
        lists.record(micros(began))?;
        let began = Instant::now();
        bus.publish_json("watari.bench.echo", &()).await?;
        heard.next().await.context("no echo")?;
        echoes.record(micros(began))?;
    }
    #[allow(clippy::cast_precision_loss, reason = "microseconds of a request are far below 2^53")]
    let at = |h: &Histogram<u64>, q: f64| h.value_at_quantile(q) as f64 / 1000.0;
    Ok(Listing { servers, requests, p50_ms: at(&lists, 0.5), p99_ms: at(&lists, 0.99), echo_p99_ms: at(&echoes, 0.99) })
}
