//! A server that writes to its memory faster than the link carries.

use anyhow::{Context, ensure};

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("a_server_that_writes_faster_than_the_link_carries_crosses_in_one_pause_that_it_allows", crosses)];

const VM: &str = "busy";
/// What it writes to all the time, in MiB, and the link's rate in Mbit/s: what is left after each pass needs 4 s.
const WRITES: &str = "write 20";
const LINK_MBIT: u64 = 40;
/// The longest pause that it allows, in seconds.
const MOST_SECONDS: u64 = 20;
/// A cloud plans for far less than that, in milliseconds.
const USUAL_MS: u64 = 1_000;

fn crosses(stage: &Stage) -> anyhow::Result<()> {
    stage.create(VM, "campus", &["--max-downtime", &MOST_SECONDS.to_string()])?;
    let outcome = crosses_once(stage);
    let gone = stage.watari(&["vm", "delete", VM, "--yes", "--wait"]);
    outcome.and(gone.map(drop))
}

fn crosses_once(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address(VM)?;
    stage.until_page(&address, 120)?;
    let boot = stage.boot_id(&address)?;
    until(60, "it writes", || Ok(stage.ask_guest(&address, WRITES)? == "done"))?;
    until(120, "its node has measured what would travel", || {
        let shown = stage.watari(&["vm", "show", VM])?;
        let weight = &shown["weight"];
        Ok(weight["disk_bytes"].as_u64() > Some(0) && weight["dirty_bytes_per_second"].is_u64())
    })?;
    let to = stage.other_side(VM)?;
    stage.at_rate(LINK_MBIT, |stage| stage.watari(&["vm", "migrate", VM, "--to", to, "--wait"]))?;
    ensure!(stage.node_of(VM)? == to, "it did not move");
    let list = stage.watari(&["migration", "list", "--vm", VM, "--limit", "1"])?;
    let measured = &list[0]["measured"];
    let pause = measured["downtime_ms"].as_u64().with_context(|| format!("no pause was measured: {list}"))?;
    ensure!((USUAL_MS..=MOST_SECONDS * 1_000).contains(&pause), "it stood still for {pause} ms: {measured}");
    eprintln!("it stood still for {pause} ms, with {} bytes of memory sent", measured["memory_bytes"]);
    stage.sound(VM, &boot)
}
