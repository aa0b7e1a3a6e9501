//! What the processes hold and what they do while nothing happens, and how long they take to tell that to Prometheus.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::{
    Bound, Spread,
    consumption::{cpu_seconds, resident_mib},
    crowd::Crowd,
};
use crate::{
    answer,
    lab::{Lab, NODES, VOTERS},
};

/// Memory and idle processor time.
#[derive(Clone, Debug, Serialize)]
pub struct Footprint {
    /// Resident memory of the largest process of each program, in MiB.
    pub resident_mib: BTreeMap<String, f64>,
    /// Processor time of each program's processes together, in percent of one core.
    pub idle_percent: BTreeMap<String, f64>,
    /// The services and NATS servers of both front ends and the witness together, in percent of one core.
    pub control_plane_percent: f64,
    /// How long each program's processes take for a scrape, in milliseconds; `watari-nats` tells how its NATS server is.
    pub scrape_ms: BTreeMap<&'static str, Spread>,
    /// One node with many guests, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crowd: Option<Crowd>,
}

impl Footprint {
    /// An agent below 20 MiB, each service below 40, the idle control plane below 3 % of a core, a scrape below 50 ms; and what
    /// an agent with many guests keeps to.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let resident = self.resident_mib.iter().filter(|(program, _)| *program != "nats-server");
        let mut bounds: Vec<Bound> = resident
            .map(|(program, mib)| {
                let most = if program == "watari-node-agent" { 20.0 } else { 40.0 };
                Bound::most(format!("resident_mib of {program}"), *mib, most)
            })
            .collect();
        bounds.push(Bound::most("control_plane_percent", self.control_plane_percent, 3.0));
        let scrapes = self.scrape_ms.iter();
        bounds.extend(scrapes.map(|(program, ms)| Bound::most(format!("scrape_ms of {program}"), ms.most, 50.0)));
        bounds.extend(self.crowd.iter().flat_map(Crowd::bounds));
        bounds
    }
}

const CONTROL_PLANE: [&str; 5] =
    ["watari-scheduler", "watari-image", "watari-network", "watari-monitor", "nats-server"];

/// Which programs tell Prometheus how they are, and by which settings each knows where.
const SCRAPED: [(&str, &str); 5] = [
    ("watari-scheduler", "scheduler"),
    ("watari-image", "image"),
    ("watari-network", "network"),
    ("watari-monitor", "monitor"),
    ("watari-nats", "nats"),
];
const AGENT: (&str, &str) = ("watari-node-agent", "node-agent");
/// So often each of them is scraped.
const SCRAPES: usize = 20;
/// How long a process may take to accept a connection.
const CALL: Duration = Duration::from_secs(5);

/// Looks for `lasting` at a lab in which nothing is asked.
///
/// # Errors
/// When a process is missing.
pub fn run(lab: &Lab, lasting: Duration) -> anyhow::Result<Footprint> {
    let mut processes = Vec::new();
    let mut look = |host, program| processes.extend(lab.pids(host, program).into_iter().map(|pid| (program, pid)));
    for program in CONTROL_PLANE {
        look("m-front", program);
        look("y-front", program);
    }
    look("witness", "nats-server");
    for node in NODES {
        look(node, "watari-node-agent");
    }
    ensure!(processes.len() == 2 * CONTROL_PLANE.len() + 1 + NODES.len(), "not all processes run: {processes:?}");
    let before: Vec<f64> = processes.iter().map(|(_, pid)| cpu_seconds(*pid)).collect::<anyhow::Result<_>>()?;
    let began = Instant::now();
    std::thread::sleep(lasting);
    let elapsed = began.elapsed().as_secs_f64();
    let mut footprint = Footprint {
        resident_mib: BTreeMap::new(),
        idle_percent: BTreeMap::new(),
        control_plane_percent: 0.0,
        scrape_ms: BTreeMap::new(),
        crowd: None,
    };
    for ((program, pid), before) in processes.iter().zip(before) {
        let percent = (cpu_seconds(*pid)? - before) / elapsed * 100.0;
        *footprint.idle_percent.entry((*program).to_owned()).or_default() += percent;
        let resident = footprint.resident_mib.entry((*program).to_owned()).or_default();
        *resident = resident.max(resident_mib(*pid)?);
        if CONTROL_PLANE.contains(program) {
            footprint.control_plane_percent += percent;
        }
    }
    footprint.scrape_ms = scraped(lab)?;
    Ok(footprint)
}

/// How long a scrape takes, by program, of all its processes in the lab.
fn scraped(lab: &Lab) -> anyhow::Result<BTreeMap<&'static str, Spread>> {
    let mut took: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let [fronts @ .., witness] = VOTERS;
    let of_fronts = fronts.into_iter().flat_map(|front| SCRAPED.map(|program| (front, program)));
    let of_witness = SCRAPED.into_iter().filter(|(program, _)| *program == "watari-nats").map(|nats| (witness, nats));
    let of_nodes = NODES.into_iter().map(|node| (node, AGENT));
    for (host, (program, settings)) in of_fronts.chain(of_witness).chain(of_nodes) {
        let settings = fs::read_to_string(lab.file(host, &format!("/etc/watari/{settings}.toml")))?;
        let place = listens(&settings).with_context(|| format!("{program} on {host}"))?;
        took.entry(program).or_default().extend(lab.within(host, || scrapes(place))?);
    }
    Ok(took.into_iter().map(|(program, ms)| (program, Spread::of(ms))).collect())
}

/// Where a process with these settings is scraped.
fn listens(settings: &str) -> anyhow::Result<SocketAddr> {
    let table: toml::Table = settings.parse()?;
    let telemetry = table.get("telemetry").and_then(|section| section.get("listen"));
    Ok(telemetry.and_then(toml::Value::as_str).context("it is scraped nowhere")?.parse()?)
}

/// How long each scrape takes, in milliseconds, with the connection for it.
fn scrapes(place: SocketAddr) -> anyhow::Result<Vec<f64>> {
    let scrape = |_| {
        let began = Instant::now();
        let told = answer::page_of(place, "/metrics", CALL)?;
        ensure!(told.contains("# HELP "), "{place} tells no metrics");
        Ok(began.elapsed().as_secs_f64() * 1_000.0)
    };
    (0..SCRAPES).map(scrape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_scraped_where_its_settings_say() {
        let settings = "node = \"m1\"\n[bus]\nca = \"ca.crt\"\n[telemetry]\nlisten = \"127.0.0.1:9105\"\n";
        assert_eq!(listens(settings).unwrap(), SocketAddr::from(([127, 0, 0, 1], 9105)));
        assert!(listens("[telemetry]\nlisten = \"\"\n").is_err() && listens("node = \"m1\"\n").is_err());
    }

    #[test]
    fn the_slowest_scrape_of_a_program_counts_and_a_crowd_has_bounds_of_its_own() {
        let footprint = Footprint {
            resident_mib: BTreeMap::from([("watari-node-agent".to_owned(), 15.0)]),
            idle_percent: BTreeMap::new(),
            control_plane_percent: 1.0,
            scrape_ms: BTreeMap::from([("watari-image", Spread::of(vec![1.0, 2.0, 51.0]))]),
            crowd: Some(Crowd { guests: 50, agent_percent: 1.1, agent_resident_mib: 16.5 }),
        };
        let missed = footprint.bounds().into_iter().filter(|bound| !bound.is_kept()).map(|bound| bound.what);
        let told: Vec<_> = missed.collect();
        assert_eq!(
            told,
            [
                "scrape_ms of watari-image",
                "percent of the agent with 50 guests",
                "resident_mib of the agent with 50 guests"
            ]
        );
    }
}
