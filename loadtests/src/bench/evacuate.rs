//! Six servers over a shaped link: Watari's evacuation beside loops of `virsh migrate`, one by
//! one and all at once, of six twins. While the twins travel Watari's servers are off, so that each
//! has the machine to itself.

use std::{thread, time::Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::{Bound, plain::Twin};
use crate::{lab::Lab, scenarios::Stage};

/// The comparison. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The link in Mbit/s.
    pub link_mbit: u64,
    /// How many servers.
    pub servers: usize,
    /// What Watari moved.
    pub bytes: u64,
    /// Watari's makespan.
    pub watari_ms: f64,
    /// The time that those bytes need at the link's rate.
    pub bound_ms: f64,
    /// Their ratio.
    pub watari_to_bound: f64,
    /// A loop of `virsh migrate`, one after another.
    pub virsh_one_by_one_ms: f64,
    /// All of them at once.
    pub virsh_all_at_once_ms: f64,
}

impl Comparison {
    /// No slower than a quarter more than the bytes need, and faster than both loops.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        vec![
            Bound::most("watari_to_bound", self.watari_to_bound, 1.25),
            Bound::most("watari_ms (beside virsh_one_by_one_ms)", self.watari_ms, self.virsh_one_by_one_ms),
            Bound::most("watari_ms (beside virsh_all_at_once_ms)", self.watari_ms, self.virsh_all_at_once_ms),
        ]
    }
}

/// Measures with `mail` and as many more servers as it takes, all in Myodaiji.
///
/// # Errors
/// When a server cannot be made or a migration fails.
pub fn run(stage: &Stage, servers: usize, link_mbit: u32) -> anyhow::Result<Comparison> {
    let lab = &stage.lab;
    let names: Vec<String> =
        (1..=servers).map(|n| if n == 1 { "mail".to_owned() } else { format!("server{n}") }).collect();
    for name in &names {
        stage.ready(name)?;
    }
    // A guest's first migration takes two to three times as long as its next: nobody's counts.
    evacuated(lab)?;
    lab.watari(&["site", "return", "myodaiji", "--wait"])?;
    lab.run(&["link", "--mbit", &link_mbit.to_string()])?;
    let report = evacuated(lab)?;
    lab.run(&["link", "--mbit", "0"])?;
    let moved = report["moved"].as_array().context("no report")?;
    let bytes: u64 = moved.iter().flat_map(|m| [&m["memory_bytes"], &m["disk_bytes"]]).filter_map(Value::as_u64).sum();
    let watari_ms = report["makespan_ms"].as_f64().context("no makespan")?;
    #[allow(clippy::cast_precision_loss, reason = "bytes of an evacuation are far below 2^53")]
    let bound_ms = bytes as f64 * 8.0 / (f64::from(link_mbit) * 1000.0);
    eprintln!("evacuated {} servers in {watari_ms:.0} ms; their bytes need {bound_ms:.0} ms", moved.len());

    lab.watari(&["site", "return", "myodaiji", "--wait"])?;
    let mut twins = twins(lab, &names)?;
    cross_all(lab, &mut twins)?;
    lab.run(&["link", "--mbit", &link_mbit.to_string()])?;
    let began = Instant::now();
    for (twin, node) in &mut twins {
        cross(lab, twin, node)?;
    }
    let virsh_one_by_one_ms = began.elapsed().as_secs_f64() * 1000.0;
    eprintln!("twins one by one: {virsh_one_by_one_ms:.0} ms");
    let began = Instant::now();
    cross_all(lab, &mut twins)?;
    let virsh_all_at_once_ms = began.elapsed().as_secs_f64() * 1000.0;
    eprintln!("twins all at once: {virsh_all_at_once_ms:.0} ms");
    lab.run(&["link", "--mbit", "0"])?;
    for (twin, node) in twins {
        twin.end(&node)?;
    }
    Ok(Comparison {
        link_mbit: link_mbit.into(),
        servers: moved.len(),
        bytes,
        watari_ms,
        bound_ms,
        watari_to_bound: watari_ms / bound_ms,
        virsh_one_by_one_ms,
        virsh_all_at_once_ms,
    })
}

fn evacuated(lab: &Lab) -> anyhow::Result<Value> {
    lab.watari(&["site", "evacuate", "myodaiji", "--wait"])
}

/// A twin of each server, and the node where it runs. The servers themselves are switched off.
fn twins(lab: &Lab, names: &[String]) -> anyhow::Result<Vec<(Twin, String)>> {
    Twin::clear(lab)?;
    let mut twins = Vec::new();
    for (number, vm) in (1..).zip(names) {
        let node = lab.watari(&["vm", "show", vm])?["node"].as_str().context("nowhere")?.to_owned();
        let twin = Twin::start(lab, vm, &node, number)?;
        lab.watari(&["vm", "stop", vm, "--force", "--wait"])?;
        twins.push((twin, node));
    }
    for (twin, node) in &twins {
        twin.until_idle(node)?;
    }
    Ok(twins)
}

fn cross_all(lab: &Lab, twins: &mut [(Twin, String)]) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let crossings: Vec<_> = twins.iter_mut().map(|(twin, node)| scope.spawn(|| cross(lab, twin, node))).collect();
        crossings.into_iter().try_for_each(|c| c.join().unwrap_or_else(|_| anyhow::bail!("a crossing panicked")))
    })
}

/// To the node of the same number on the other campus.
fn cross(lab: &Lab, twin: &Twin, node: &mut String) -> anyhow::Result<()> {
    let to = if node.starts_with('m') { node.replace('m', "y") } else { node.replace('y', "m") };
    twin.prepare(&to)?;
    lab.run(&twin.migration(node, &format!("qemu+tls://{to}/system")))?;
    twin.forget(node)?;
    *node = to;
    Ok(())
}
