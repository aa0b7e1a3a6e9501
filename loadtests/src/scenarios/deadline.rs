//! A UPS whose battery lasts for two minutes, and a link over which not everybody can have left by then.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until, until_some, ups::Ups};

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
/// How many seconds the battery lasts. By what is kept of that for stopping, for the front end and to be sure (the lab's rules,
/// and those by default), about a minute is left in which servers may cross.
const LASTS: u64 = 120;
/// How many seconds the worthiest takes over the link: in that minute it arrives, and no other would after it.
const CROSSING: u64 = 40;
/// What is known of the link by crossings before it, in Mbit/s; it is much slower when the battery is told of.
const KNOWN_MBIT: u64 = 200;

/// What a UPS says of its battery, which runs down for as long as it is asked for.
struct Battery<'u> {
    ups: &'u Ups<'u>,
    began: Instant,
}

impl<'u> Battery<'u> {
    fn begins(ups: &'u Ups<'u>) -> anyhow::Result<Self> {
        let battery = Self { ups, began: Instant::now() };
        battery.runs_down()?;
        Ok(battery)
    }

    /// Has the UPS say how many seconds are left by now; as many as that.
    fn runs_down(&self) -> anyhow::Result<u64> {
        let left = LASTS.saturating_sub(self.began.elapsed().as_secs());
        self.ups.says("OB DISCHRG", left)?;
        Ok(left)
    }
}

fn battery(stage: &Stage) -> anyhow::Result<()> {
    ensure!(stage.send_home(SHUT_DOWN)? == SITE, "{SHUT_DOWN} belongs elsewhere");
    let node = stage.node_of(SHUT_DOWN)?;
    let ups = Ups::start(stage)?;
    stage.until_supply("mains", None)?;
    let made = make(stage, &node).and_then(|boots| Ok((out_of_time(stage, &ups, &node)?, boots)));
    if made.is_err() {
        // The clearing away below changes what there is to see.
        eprintln!("{}", stage.look());
    }
    // Whatever happened, the campus has its power again, and the next scenario its room.
    ups.says("OL CHRG", LASTS)?;
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

/// What travelled of a server the last time.
fn travels(stage: &Stage, vm: &str) -> anyhow::Result<u64> {
    let moved = stage.watari(&["migration", "list", "--vm", vm])?;
    let mut moved = moved.as_array().context("no list")?.iter();
    let last = moved.find(|m| m["state"] == "completed").with_context(|| format!("{vm} has not moved"))?;
    let measured = |what: &str| last["measured"][what].as_u64().unwrap_or(0);
    Ok(measured("memory_bytes") + measured("disk_bytes"))
}

/// The outage, once nobody runs at the campus any more.
fn out_of_time(stage: &Stage, ups: &Ups<'_>, node: &str) -> anyhow::Result<String> {
    let bytes_per_second = (travels(stage, CROSSES)? / CROSSING).max(500_000);
    let mut outage = String::new();
    stage.at_rate((bytes_per_second * 8).div_ceil(1_000_000), |stage| {
        let battery = Battery::begins(ups)?;
        outage = until_some(30, "the campus is being emptied", || {
            battery.runs_down()?;
            stage.outage_at(SITE)
        })?;
        let is = |vm: &str, state: &str| Ok::<_, anyhow::Error>(stage.show("vm", vm)?["state"] == state);
        until(battery.runs_down()?, "each has gone its way", || {
            battery.runs_down()?;
            Ok(stage.site_of(CROSSES)? != SITE && is(SUSPENDED, "suspended")? && is(SHUT_DOWN, "stopped")?)
        })?;
        let rest = battery.runs_down()?;
        ensure!(rest > 0, "the battery was empty before");
        until(rest, "the front end has left as well", || {
            battery.runs_down()?;
            Ok(stage.show("outage", &outage)?["state"] == "evacuated")
        })?;
        eprintln!("all was done {} s before the battery was empty", battery.runs_down()?);
        Ok(())
    })?;
    let shown = stage.show("outage", &outage)?;
    let way = |vm: &str| {
        let halted = shown["halted"].as_array().into_iter().flatten().find(|h| h["vm"] == vm);
        halted.map_or(Value::Null, |h| h["way"].clone())
    };
    ensure!(way(SUSPENDED) == "suspend" && way(SHUT_DOWN) == "shut_down", "the report says {shown}");
    ensure!(way(CROSSES).is_null(), "the report says {shown}");
    // Whom somebody forced off libvirt calls destroyed.
    for (vm, state) in [(SUSPENDED, "shut off (saved)"), (SHUT_DOWN, "shut off (shutdown)")] {
        let words = ["exec", node, "--", "virsh", "-q", "-c", "qemu:///system", "domstate", "--reason", vm];
        let told = stage.lab.run(&words)?;
        ensure!(told.trim() == state, "{vm} is {told}");
    }
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
