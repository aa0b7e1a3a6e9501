//! Addresses of one wide network, drawn by many at once from a real network service on a nats-server
//! of its own that writes every acknowledged one to the disk. It needs no lab.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::json;
use watari_chassis::{Bus, BusSettings};
use watari_contracts::network::{AllocatePort, CreateNetwork};
use watari_testkit::NatsServer;

use super::{Bound, latency::Taken, program::Program};

/// How long the network service may take to lead.
const READY: Duration = Duration::from_secs(60);
/// The least that is drawn in a second.
const LEAST_PER_SECOND: f64 = 500.0;

/// What was drawn.
#[derive(Clone, Debug, Serialize)]
pub struct Drawing {
    /// How many servers asked for an address.
    pub servers: u32,
    /// How many of them at the same time.
    pub at_once: u16,
    /// How long all of it took.
    pub seconds: f64,
    /// Addresses in a second.
    pub per_second: f64,
    /// Servers that got an address that another one has, too.
    pub duplicates: usize,
    /// One request's time, its median.
    pub p50_ms: f64,
    /// One request's time, its 99th percentile.
    pub p99_ms: f64,
}

impl Drawing {
    /// More than 500 a second, and no address twice.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        #[allow(clippy::cast_precision_loss, reason = "a number of servers")]
        let duplicates = self.duplicates as f64;
        vec![
            Bound::most("seconds (500 addresses in each)", self.seconds, f64::from(self.servers) / LEAST_PER_SECOND),
            Bound::most("duplicates", duplicates, 0.0),
        ]
    }
}

/// Draws an address for each of `servers` servers, `at_once` of them at a time. `program` is the network service's.
///
/// # Errors
/// When the bus or the service does not start, or refuses one of them.
pub async fn run(program: &Path, servers: u32, at_once: u16) -> anyhow::Result<Drawing> {
    let nats = NatsServer::start();
    let _network = Program::start(program, &nats.url())?;
    let bus = Bus::connect(&BusSettings { urls: vec![nats.url()], ..BusSettings::default() }).await?;
    bus.request_patiently(&wide()?, READY).await?;
    let began = Instant::now();
    let drawn: Vec<(String, Duration)> = stream::iter(0..servers)
        .map(|number| draw(&bus, number))
        .buffer_unordered(usize::from(at_once))
        .try_collect()
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    let distinct: BTreeSet<&str> = drawn.iter().map(|(address, _)| address.as_str()).collect();
    let mut taken = Taken::none()?;
    for (_, time) in &drawn {
        taken.took(*time)?;
    }
    let latency = taken.latency();
    Ok(Drawing {
        servers,
        at_once,
        seconds,
        per_second: f64::from(servers) / seconds,
        duplicates: drawn.len() - distinct.len(),
        p50_ms: latency.p50_ms,
        p99_ms: latency.p99_ms,
    })
}

/// A network with more than 65,000 addresses.
fn wide() -> anyhow::Result<CreateNetwork> {
    let (cidr, range) = ("10.0.0.0/16", "10.0.0.10-10.0.255.254");
    Ok(serde_json::from_value(json!({"name": "wide", "kind": "provider", "cidr": cidr, "range": range}))?)
}

/// One server's address, and how long it was waited for.
async fn draw(bus: &Bus, number: u32) -> anyhow::Result<(String, Duration)> {
    let (vm, uuid) = (format!("server-{number}"), format!("00000000-0000-4000-8000-{number:012}"));
    let ask: AllocatePort = serde_json::from_value(json!({"network": "wide", "vm": vm, "vm_uuid": uuid}))?;
    let began = Instant::now();
    let allocated = bus.request(&ask).await?;
    Ok((allocated.port.address.to_string(), began.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_a_request() {
        assert_eq!(wide().unwrap().name.as_str(), "wide");
    }

    #[test]
    fn one_duplicate_is_one_too_many() {
        let drawing = |duplicates| Drawing {
            servers: 1000,
            at_once: 32,
            seconds: 1.9,
            per_second: 526.3,
            duplicates,
            p50_ms: 20.0,
            p99_ms: 40.0,
        };
        assert!(drawing(0).bounds().iter().all(Bound::is_kept));
        assert!(!drawing(1).bounds().iter().all(Bound::is_kept));
    }
}
