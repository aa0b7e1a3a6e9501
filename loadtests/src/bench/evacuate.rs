//! Six servers over a shaped link: Watari's evacuation beside loops of `virsh migrate`, one by
//! one and all at once, of six twins.

use std::{thread, time::Instant};

use anyhow::Context;
use serde::Serialize;

use super::plain::Twin;
use crate::lab::Lab;

/// The comparison. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The link in Mbit/s.
    pub link_mbit: u64,
    /// Watari's makespan.
    pub watari_ms: f64,
    /// The time that the bytes it moved need at the link's rate.
    pub bound_ms: f64,
    /// Their ratio.
    pub watari_to_bound: f64,
    /// A loop of `virsh migrate`, one after another.
    pub virsh_one_by_one_ms: f64,
    /// All of them at once.
    pub virsh_all_at_once_ms: f64,
}

/// Measures. The servers must be on Myodaiji's nodes.
///
/// # Errors
/// When a migration fails.
pub fn run(lab: &Lab, vms: &[&str], link_mbit: u32) -> anyhow::Result<Comparison> {
    let mut twins = Vec::new();
    for (number, vm) in (1..).zip(vms) {
        let node = lab.watari(&["vm", "show", vm])?["node"].as_str().context("nowhere")?.to_owned();
        twins.push((Twin::start(lab, vm, &node, number)?, node));
    }
    for (twin, node) in &twins {
        twin.until_idle(node)?;
    }
    lab.run(&["link", "--mbit", &link_mbit.to_string()])?;
    let report = lab.watari(&["site", "evacuate", "myodaiji", "--wait"])?;
    let moved = report["moved"].as_array().context("no report")?;
    let bytes: u64 =
        moved.iter().flat_map(|m| [&m["memory_bytes"], &m["disk_bytes"]]).filter_map(serde_json::Value::as_u64).sum();
    let watari_ms = report["makespan_ms"].as_f64().context("no makespan")?;
    #[allow(clippy::cast_precision_loss, reason = "bytes of an evacuation are far below 2^53")]
    let bound_ms = bytes as f64 * 8.0 / (f64::from(link_mbit) * 1000.0);

    let other = |node: &str| if node.starts_with('m') { node.replace('m', "y") } else { node.replace('y', "m") };
    let began = Instant::now();
    for (twin, node) in &twins {
        cross(lab, twin, node, &other(node))?;
    }
    let virsh_one_by_one_ms = began.elapsed().as_secs_f64() * 1000.0;
    for (twin, node) in &mut twins {
        twin.forget(node)?;
        *node = other(node);
    }
    let began = Instant::now();
    thread::scope(|scope| {
        let crossings: Vec<_> =
            twins.iter().map(|(twin, node)| scope.spawn(|| cross(lab, twin, node, &other(node)))).collect();
        crossings.into_iter().try_for_each(|c| c.join().unwrap_or_else(|_| anyhow::bail!("a crossing panicked")))
    })?;
    let virsh_all_at_once_ms = began.elapsed().as_secs_f64() * 1000.0;
    for (twin, node) in twins {
        twin.forget(&node)?;
        twin.end(&other(&node))?;
    }
    lab.watari(&["site", "return", "myodaiji", "--wait"])?;
    lab.run(&["link", "--mbit", "0"])?;
    Ok(Comparison {
        link_mbit: link_mbit.into(),
        watari_ms,
        bound_ms,
        watari_to_bound: watari_ms / bound_ms,
        virsh_one_by_one_ms,
        virsh_all_at_once_ms,
    })
}

fn cross(lab: &Lab, twin: &Twin, from: &str, to: &str) -> anyhow::Result<()> {
    twin.prepare(to)?;
    lab.run(&twin.migration(from, &format!("qemu+tls://{to}/system")))?;
    Ok(())
}
