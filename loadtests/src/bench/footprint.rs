//! What the processes hold and what they do while nothing happens.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde::Serialize;

use super::{
    Bound,
    consumption::{cpu_seconds, resident_mib},
};
use crate::lab::{Lab, NODES};

/// Memory and idle processor time.
#[derive(Clone, Debug, Serialize)]
pub struct Footprint {
    /// Resident memory of the largest process of each program, in MiB.
    pub resident_mib: BTreeMap<String, f64>,
    /// Processor time of each program's processes together, in percent of one core.
    pub idle_percent: BTreeMap<String, f64>,
    /// The services and NATS servers of both front ends and the witness together, in percent of one core.
    pub control_plane_percent: f64,
}

impl Footprint {
    /// An agent below 20 MiB, each service below 40, the idle control plane below 3 % of a core.
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
        bounds
    }
}

const CONTROL_PLANE: [&str; 5] =
    ["watari-scheduler", "watari-image", "watari-network", "watari-monitor", "nats-server"];

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
    let mut footprint =
        Footprint { resident_mib: BTreeMap::new(), idle_percent: BTreeMap::new(), control_plane_percent: 0.0 };
    for ((program, pid), before) in processes.iter().zip(before) {
        let percent = (cpu_seconds(*pid)? - before) / elapsed * 100.0;
        *footprint.idle_percent.entry((*program).to_owned()).or_default() += percent;
        let resident = footprint.resident_mib.entry((*program).to_owned()).or_default();
        *resident = resident.max(resident_mib(*pid)?);
        if CONTROL_PLANE.contains(program) {
            footprint.control_plane_percent += percent;
        }
    }
    Ok(footprint)
}
