//! A server that writes to its memory faster than the link carries.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[(
    "a_server_that_writes_faster_than_the_link_carries_is_slowed_down_or_crosses_in_one_pause_that_it_allows",
    crosses,
)];

const VM: &str = "busy";
/// What it writes to all the time, in MiB. A pass over that takes QEMU longer than a second, the least after which it slows a
/// guest down further; and what is left after each is far more than goes within the pause that a cloud plans for.
const WRITES: &str = "write 24";
/// The links' rate while it is slowed down, in Mbit/s.
const SLOWED_MBIT: u64 = 200;
/// The same for its one pause: what is left after each pass needs 5 s.
const PAUSED_MBIT: u64 = 40;
/// The longest pause that it allows, in seconds.
const MOST_SECONDS: u64 = 20;
/// A cloud plans for far less than that, in milliseconds.
const USUAL_MS: u64 = 1_000;

fn crosses(stage: &Stage) -> anyhow::Result<()> {
    stage.create(VM, "campus", &[])?;
    let outcome = crosses_both_ways(stage);
    let gone = stage.watari(&["vm", "delete", VM, "--yes", "--wait"]);
    outcome.and(gone.map(drop))
}

fn crosses_both_ways(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address(VM)?;
    stage.until_page(&address, 120)?;
    let boot = stage.boot_id(&address)?;
    until(60, "it writes", || Ok(stage.ask_guest(&address, WRITES)? == "done"))?;
    until(120, "its node has measured what would travel", || {
        let shown = stage.watari(&["vm", "show", VM])?;
        let weight = &shown["weight"];
        Ok(weight["disk_bytes"].as_u64() > Some(0) && weight["dirty_bytes_per_second"].is_u64())
    })?;
    slowed_down(stage)?;
    stage.sound(VM, &boot)?;
    stage.watari(&["vm", "edit", VM, "--max-downtime", &MOST_SECONDS.to_string()])?;
    in_one_pause(stage)?;
    stage.sound(VM, &boot)
}

/// It allows no longer pause, so that only a slower guest can arrive.
fn slowed_down(stage: &Stage) -> anyhow::Result<()> {
    let (from, to) = (stage.node_of(VM)?, stage.other_side(VM)?);
    let mut most = 0;
    stage.at_rate(SLOWED_MBIT, |stage| {
        stage.watari(&["vm", "migrate", VM, "--to", to])?;
        until(180, "it has crossed", || {
            most = most.max(throttle(stage, &from));
            Ok(stage.node_of(VM)? == to)
        })
    })?;
    ensure!(most > 0, "it crossed without being slowed down: {}", measured(stage)?);
    eprintln!("it was slowed down by {most} percent: {}", measured(stage)?);
    Ok(())
}

/// By how much QEMU slows it down at this moment, in percent.
fn throttle(stage: &Stage, node: &str) -> u64 {
    let words = ["exec", node, "--", "virsh", "-q", "-c", "qemu:///system", "domjobinfo", VM];
    // Before the copy begins there is nothing to tell, and after it nobody here to tell of.
    let told = stage.lab.run(&words).unwrap_or_default();
    let percent = told.lines().find_map(|line| line.strip_prefix("Auto converge throttle:"));
    percent.and_then(|percent| percent.trim().parse().ok()).unwrap_or(0)
}

fn in_one_pause(stage: &Stage) -> anyhow::Result<()> {
    let to = stage.other_side(VM)?;
    stage.at_rate(PAUSED_MBIT, |stage| stage.watari(&["vm", "migrate", VM, "--to", to, "--wait"]))?;
    ensure!(stage.node_of(VM)? == to, "it did not move");
    let measured = measured(stage)?;
    let pause = measured["downtime_ms"].as_u64().with_context(|| format!("no pause was measured: {measured}"))?;
    ensure!((USUAL_MS..=MOST_SECONDS * 1_000).contains(&pause), "it stood still for {pause} ms: {measured}");
    eprintln!("it stood still for {pause} ms, with {} bytes of memory sent", measured["memory_bytes"]);
    Ok(())
}

/// What was measured of its last migration.
fn measured(stage: &Stage) -> anyhow::Result<Value> {
    let list = stage.watari(&["migration", "list", "--vm", VM, "--limit", "1"])?;
    Ok(list[0]["measured"].clone())
}
