//! A battery that ends before everybody could have left over a slow link.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("with_too_little_time_one_crosses_one_is_suspended_one_is_shut_down_and_all_are_back_afterwards", |stage| {
        stage.at_rate(KNOWN_MBIT, battery)
    })];

const SITE: &str = "myodaiji";
/// From the most to the least worth; `mail` has no priority.
const CROSSES: &str = "worthy";
const SUSPENDED: &str = "middling";
const SHUT_DOWN: &str = "mail";
/// How long the smallest of those that have moved before takes over the link: clearly longer than what is kept
/// beside it, or there would be time for two.
const SECONDS_EACH: u64 = 14;
/// What is known of the link by crossings before it, in Mbit/s; it is much slower when the battery is told of.
const KNOWN_MBIT: u64 = 200;
/// What a crossing takes beside its bytes, and to be sure.
const BESIDE: u64 = 8;
/// The lab's `stop_seconds`.
const STOPPING: u64 = 6;
/// The lab's `handover_seconds`; at most a third of all the time is kept for it.
const HANDOVER: u64 = 60;

fn battery(stage: &Stage) -> anyhow::Result<()> {
    ensure!(stage.send_home(SHUT_DOWN)? == SITE, "{SHUT_DOWN} belongs elsewhere");
    let node = stage.node_of(SHUT_DOWN)?;
    let made = make(stage, &node).and_then(|boots| Ok((out_of_time(stage)?, boots)));
    if made.is_err() {
        // The clearing away below changes what there is to see.
        eprintln!("{}", stage.look());
    }
    // Whatever happened, the campus has its power again, and the next scenario its room.
    stage.watari(&["site", "power", SITE, "mains"])?;
    let back = made.and_then(|(outage, boots)| all_back(stage, &outage, &boots));
    for name in [CROSSES, SUSPENDED] {
        if let Err(error) = stage.watari(&["vm", "delete", name, "--yes", "--wait"]) {
            eprintln!("{name} was not cleared away: {error:#}");
        }
    }
    back
}

/// All on one node, whose disk takes the memory of one of them in the time that there is. In which boots they are.
fn make(stage: &Stage, node: &str) -> anyhow::Result<[String; 2]> {
    for (name, priority) in [(CROSSES, "90"), (SUSPENDED, "50")] {
        stage.create(name, "campus", &["--priority", priority])?;
    }
    for name in [CROSSES, SUSPENDED] {
        stage.until_page(&stage.address(name)?, 60)?;
    }
    // How much travels of them is known afterwards.
    for to in ["y1", node] {
        stage.watari(&["vm", "migrate", SUSPENDED, "--to", to])?;
        stage.watari(&["vm", "migrate", CROSSES, "--to", to, "--wait"])?;
        until(60, &format!("both are at {to}"), || Ok(stage.node_of(SUSPENDED)? == to && is_free(stage, SUSPENDED)?))?;
    }
    // Who is still being cleared away somewhere is not ready to leave, and a lesser one would begin before it.
    until(60, "all are free to leave", || {
        Ok(is_free(stage, CROSSES)? && is_free(stage, SUSPENDED)? && is_free(stage, SHUT_DOWN)?)
    })?;
    let boot = |vm: &str| stage.boot_id(&stage.address(vm)?);
    Ok([boot(CROSSES)?, boot(SUSPENDED)?])
}

/// Whether a server runs, and nothing of it lies where it was before.
fn is_free(stage: &Stage, vm: &str) -> anyhow::Result<bool> {
    let shown = stage.show("vm", vm)?;
    let leftovers = shown["leftovers"].as_array().map_or(0, Vec::len);
    Ok(shown["state"] == "running" && leftovers == 0)
}

/// What travelled of a server the last time, or what is reckoned with if it has not moved yet.
fn travels(stage: &Stage, vm: &str) -> anyhow::Result<u64> {
    let moved = stage.watari(&["migration", "list", "--vm", vm])?;
    let mut moved = moved.as_array().context("no list")?.iter();
    let Some(last) = moved.find(|m| m["state"] == "completed") else { return Ok(128 << 20) };
    let measured = |what: &str| last["measured"][what].as_u64().unwrap_or(0);
    Ok(measured("memory_bytes") + measured("disk_bytes"))
}

/// The outage, once nobody runs at the campus any more.
fn out_of_time(stage: &Stage) -> anyhow::Result<String> {
    let (worthy, other) = (travels(stage, CROSSES)?, travels(stage, SHUT_DOWN)?);
    let bytes_per_second = (worthy.min(other) / SECONDS_EACH).max(500_000);
    let needed = worthy.div_ceil(bytes_per_second) + BESIDE + STOPPING;
    // Nine tenths of what a battery says are reckoned with, less what is kept for the front end.
    let left = (needed * 30).div_ceil(17).min(((needed + HANDOVER) * 10).div_ceil(9));
    let mut outage = String::new();
    stage.at_rate((bytes_per_second * 8).div_ceil(1_000_000), |stage| {
        let told_at = Instant::now();
        stage.watari(&["site", "power", SITE, "battery", "--left", &format!("{left}s")])?;
        outage = stage.emptying(SITE, 10)?;
        let is = |vm: &str, state: &str| Ok::<_, anyhow::Error>(stage.show("vm", vm)?["state"] == state);
        until(left, "each has gone its way", || {
            Ok(stage.site_of(CROSSES)? != SITE && is(SUSPENDED, "suspended")? && is(SHUT_DOWN, "stopped")?)
        })?;
        let rest = Duration::from_secs(left).saturating_sub(told_at.elapsed()).as_secs();
        ensure!(rest > 0, "the battery was empty before");
        until(rest, "the front end has left as well", || Ok(stage.show("outage", &outage)?["state"] == "evacuated"))
    })?;
    let shown = stage.show("outage", &outage)?;
    let way = |vm: &str| {
        let halted = shown["halted"].as_array().into_iter().flatten().find(|h| h["vm"] == vm);
        halted.map_or(Value::Null, |h| h["way"].clone())
    };
    ensure!(way(SUSPENDED) == "suspend" && way(SHUT_DOWN) == "shut_down", "the report says {shown}");
    ensure!(way(CROSSES).is_null(), "the report says {shown}");
    Ok(outage)
}

/// One has booted anew, and only that one.
fn all_back(stage: &Stage, outage: &str, boots: &[String; 2]) -> anyhow::Result<()> {
    until(120, "everything is home", || Ok(stage.show("outage", outage)?["state"] == "completed"))?;
    ensure!(stage.site_of(CROSSES)? == SITE, "{CROSSES} did not come home");
    for (name, boot) in [CROSSES, SUSPENDED].into_iter().zip(boots) {
        stage.sound(name, boot)?;
    }
    let address = stage.address(SHUT_DOWN)?;
    stage.until_page(&address, 60)?;
    stage.sound(SHUT_DOWN, &stage.boot_id(&address)?)
}
