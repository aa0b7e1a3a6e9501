//! Six servers over a shaped link: Watari's evacuation beside loops of `virsh migrate`, one by
//! one and all at once, of six twins. While the twins travel Watari's servers are off, so that each
//! has the machine to itself. Each is done several times, and its median counts: emulated guests wake
//! when they like.
//!
//! What `outage plan` and `outage rehearse` say of each evacuation beforehand is compared with what it then takes. The link
//! is the same all the time, there and back: they know it by what travelled before.

use std::{thread, time::Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::Value;
use watari_model::Timestamp;

use super::{Bound, Spread, idle, plain::Twin};
use crate::{lab::Lab, scenarios::Stage};

/// Of each, so many: odd, for a median.
const ROUNDS: usize = 5;

/// The comparison. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The link in Mbit/s.
    pub link_mbit: u64,
    /// How many servers.
    pub servers: usize,
    /// Watari's makespan.
    pub watari_ms: Spread,
    /// The time that the bytes it moved need at the link's rate.
    pub bound_ms: Spread,
    /// Their ratio, of each evacuation.
    pub watari_to_bound: Spread,
    /// The part of the time between the first and the last copy in which the link was idle.
    pub link_idle: Spread,
    /// By which part `outage plan` was wrong about each.
    pub estimate_error: Spread,
    /// By which part `outage rehearse` was, which was told how fast the link is.
    pub rehearsal_error: Spread,
    /// A loop of `virsh migrate`, one after another.
    pub virsh_one_by_one_ms: Spread,
    /// All of them at once.
    pub virsh_all_at_once_ms: Spread,
}

impl Comparison {
    /// No slower than a quarter more than the bytes need, and faster than both loops; the link all but never idle; foreseen
    /// to a fifth by the plan and to a tenth by the rehearsal.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let (watari, one_by_one, at_once) = (self.watari_ms, self.virsh_one_by_one_ms, self.virsh_all_at_once_ms);
        vec![
            Bound::most("watari_to_bound", self.watari_to_bound.median, 1.25),
            Bound::most("link_idle", self.link_idle.median, 0.03),
            Bound::most("estimate_error", self.estimate_error.median, 0.20),
            Bound::most("rehearsal_error", self.rehearsal_error.median, 0.10),
            Bound::most("watari_ms (beside virsh_one_by_one_ms)", watari.median, one_by_one.median),
            Bound::most("watari_ms (beside virsh_all_at_once_ms)", watari.median, at_once.median),
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
    let shaped = |mbit: u32| lab.run(&["link", "--mbit", &mbit.to_string()]);
    // A guest's first migration takes two to three times as long as its next: nobody's counts.
    shaped(link_mbit)?;
    evacuated(lab)?;
    let (mut watari, mut bound, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    let (mut estimate, mut rehearsal) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        lab.watari(&["site", "return", "myodaiji", "--wait"])?;
        let (estimated, rehearsed) = foreseen(lab, link_mbit)?;
        let (report, unused) = idle::during(lab, link_mbit, || evacuated(lab))?;
        let (took, needed) = figures(&report, servers, link_mbit)?;
        eprintln!(
            "evacuated in {took:.0} ms; the bytes need {needed:.0} ms; planned {estimated:.0} ms, rehearsed {rehearsed:.0} ms"
        );
        watari.push(took);
        bound.push(needed);
        idle.push(unused);
        estimate.push((estimated / took - 1.0).abs());
        rehearsal.push((rehearsed / took - 1.0).abs());
    }
    shaped(0)?;
    let ratios = watari.iter().zip(&bound).map(|(took, needed)| took / needed).collect();

    lab.watari(&["site", "return", "myodaiji", "--wait"])?;
    let mut twins = twins(lab, &names)?;
    cross_all(lab, &mut twins)?;
    shaped(link_mbit)?;
    let (mut one_by_one, mut all_at_once) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for (twin, node) in &mut twins {
            cross(lab, twin, node)?;
        }
        one_by_one.push(began.elapsed().as_secs_f64() * 1000.0);
        let began = Instant::now();
        cross_all(lab, &mut twins)?;
        all_at_once.push(began.elapsed().as_secs_f64() * 1000.0);
        eprintln!("twins one by one and all at once: {:.0?} and {:.0?} ms", one_by_one.last(), all_at_once.last());
    }
    shaped(0)?;
    for (twin, node) in twins {
        twin.end(&node)?;
    }
    Ok(Comparison {
        link_mbit: link_mbit.into(),
        servers,
        watari_ms: Spread::of(watari),
        bound_ms: Spread::of(bound),
        watari_to_bound: Spread::of(ratios),
        link_idle: Spread::of(idle),
        estimate_error: Spread::of(estimate),
        rehearsal_error: Spread::of(rehearsal),
        virsh_one_by_one_ms: Spread::of(one_by_one),
        virsh_all_at_once_ms: Spread::of(all_at_once),
    })
}

/// How long an evacuation took, and how long its bytes need, in milliseconds.
fn figures(report: &Value, servers: usize, link_mbit: u32) -> anyhow::Result<(f64, f64)> {
    let moved = report["moved"].as_array().context("no report")?;
    ensure!(moved.len() == servers, "not everybody moved: {report}");
    let bytes: u64 = moved.iter().flat_map(|m| [&m["memory_bytes"], &m["disk_bytes"]]).filter_map(Value::as_u64).sum();
    #[allow(clippy::cast_precision_loss, reason = "bytes of an evacuation are far below 2^53")]
    let needed = bytes as f64 * 8.0 / (f64::from(link_mbit) * 1000.0);
    Ok((report["makespan_ms"].as_f64().context("no makespan")?, needed))
}

/// How long an evacuation would take that begins now, in milliseconds: by the plan, and as it is rehearsed.
fn foreseen(lab: &Lab, link_mbit: u32) -> anyhow::Result<(f64, f64)> {
    let plan = lab.watari(&["outage", "plan", "myodaiji"])?;
    let estimated = plan["estimated_ms"].as_f64().context("the plan has no estimate")?;
    // What Ethernet, IP and TCP leave of a frame (`deploy/lab.d/net.sh`).
    let payload = (link_mbit * 956 / 1_000).to_string();
    let rehearsal = lab.watari(&["outage", "rehearse", "--site", "myodaiji", "--link-mbit", &payload])?;
    let at = |field: &str| serde_json::from_value::<Timestamp>(rehearsal[field].clone()).context("no moment");
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of an evacuation are far below 2^53")]
    let rehearsed = at("empty_at")?.millis_since(at("begins_at")?) as f64;
    let servers = rehearsal["servers"].as_array().context("nobody is rehearsed")?;
    let bytes: u64 = servers.iter().filter_map(|server| server["bytes"].as_u64()).sum();
    // Where they are wrong this tells if it is what travels, or how fast.
    eprintln!(
        "planned with {} bytes, {} a second and {} ms for each server; rehearsed with {bytes} bytes",
        plan["bytes"], plan["bytes_per_second"], plan["fixed_ms"]
    );
    Ok((estimated, rehearsed))
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
