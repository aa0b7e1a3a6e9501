//! Servers whose disks were sent ahead of them.

use std::process;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, failures::slowly, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_server_that_was_sent_ahead_moves_less_than_a_tenth_of_its_disk_and_comes_home_whole", |s| tidily(s, evacuated)),
    ("a_sending_ahead_goes_on_when_the_agent_is_killed", |s| tidily(s, agent_killed)),
    ("a_server_goes_where_nothing_of_it_lies_and_takes_what_it_stands_on_along", |s| tidily(s, elsewhere)),
];

const VM: &str = "laden";
const MIB: u64 = 1 << 20;
/// How large its disk is.
const DISK: &str = "1GiB";
const DISK_MIB: u64 = 1_024;
/// What it holds before it is sent ahead, in MiB: far more than a tenth of its disk.
const CARGO_MIB: u64 = 192;
/// What of that may still be in its memory alone.
const UNWRITTEN_MIB: u64 = 60;

/// Runs a scenario with a server of its own, and leaves none.
fn tidily(stage: &Stage, scenario: Run) -> anyhow::Result<()> {
    clear(stage)?;
    stage.create(VM, "campus", &["--disk", DISK])?;
    stage.until_page(&stage.address(VM)?, 120)?;
    let outcome = scenario(stage);
    outcome.and(clear(stage))
}

fn clear(stage: &Stage) -> anyhow::Result<()> {
    if stage.show("vm", VM).is_ok() {
        stage.watari(&["vm", "delete", VM, "--yes", "--wait"])?;
    }
    Ok(())
}

/// A file that a guest was given, and what it must be when it is asked for it.
struct Cargo {
    name: &'static str,
    sha256: String,
}

fn sha256(told: &str) -> anyhow::Result<String> {
    told.split_whitespace().next().map(str::to_owned).context("no digest")
}

/// Has the guest keep so many MiB of what nobody can compress.
fn load(stage: &Stage, address: &str, name: &'static str, mib: u64) -> anyhow::Result<Cargo> {
    let file = format!("/tmp/watari-cargo-{}", process::id());
    let on_client = |words: &[&str]| stage.lab.run(&[&["exec", "client", "--"], words].concat());
    let (to, from, count) = (format!("of={file}"), "if=/dev/urandom", format!("count={mib}"));
    on_client(&["dd", from, &to, "bs=1M", &count, "status=none"])?;
    let sent = on_client(&["curl", "-fsS", "-m", "300", "-T", &file, &format!("http://{address}/data/{name}")]);
    let digest = on_client(&["sha256sum", &file]);
    on_client(&["rm", "-f", &file])?;
    sent?;
    Ok(Cargo { name, sha256: sha256(&digest?)? })
}

/// Whether the guest still has it, byte for byte.
fn unload(stage: &Stage, address: &str, cargo: &Cargo) -> anyhow::Result<()> {
    let file = format!("/tmp/watari-cargo-{}", process::id());
    let on_client = |words: &[&str]| stage.lab.run(&[&["exec", "client", "--"], words].concat());
    let url = format!("http://{address}/data/{}", cargo.name);
    let got = on_client(&["curl", "-fsS", "-m", "300", "-o", &file, &url]);
    let digest = on_client(&["sha256sum", &file]);
    on_client(&["rm", "-f", &file])?;
    got?;
    ensure!(sha256(&digest?)? == cargo.sha256, "{} is not what it was", cargo.name);
    Ok(())
}

/// Sends it ahead, and how many bytes lie at the other node then.
fn sent_ahead(stage: &Stage) -> anyhow::Result<u64> {
    let shown = stage.watari(&["vm", "preseed", VM, "--wait"])?;
    let done = &shown["preseed"]["done"];
    ensure!(done["node"].as_str().is_some_and(|node| node.starts_with('y')), "it lies elsewhere: {shown}");
    done["bytes"].as_u64().with_context(|| format!("nothing was sent ahead: {shown}"))
}

/// The disk that travelled with it, by the outage's report.
fn disk_moved(report: &Value) -> anyhow::Result<u64> {
    let moved = report["moved"].as_array().context("nothing has moved")?;
    let mine = moved.iter().find(|moved| moved["vm"] == VM).with_context(|| format!("it did not move: {report}"))?;
    mine["disk_bytes"].as_u64().context("nobody counted")
}

fn evacuated(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address(VM)?;
    let boot = stage.boot_id(&address)?;
    let cargo = load(stage, &address, "cargo", CARGO_MIB)?;
    let ahead = sent_ahead(stage)?;
    // What is still in the guest's memory is written later.
    ensure!(ahead > (CARGO_MIB - UNWRITTEN_MIB) * MIB, "{} MiB were sent ahead", ahead / MIB);
    let late = load(stage, &address, "late", 2)?;

    let target = stage.show("vm", VM)?["preseed"]["to"].clone();
    let report = stage.watari(&["site", "evacuate", "myodaiji", "--wait"])?;
    let away = disk_moved(&report)?;
    ensure!(target == stage.node_of(VM)?, "it went elsewhere than its disk: {target}");
    for cargo in [&cargo, &late] {
        unload(stage, &address, cargo)?;
    }
    stage.sound(VM, &boot)?;

    let report = stage.watari(&["site", "return", "myodaiji", "--wait"])?;
    let home = disk_moved(&report)?;
    stage.sound(VM, &boot)?;
    // Less than what it holds.
    let most = DISK_MIB * MIB / 10;
    ensure!(away < most && home < most, "{} MiB went and {} MiB came back", away / MIB, home / MIB);
    eprintln!("{} MiB sent ahead, {} KiB went, {} KiB came home", ahead / MIB, away >> 10, home >> 10);

    // It stands on more files than one now; that is nobody's business when it is started anew.
    stage.watari(&["vm", "stop", VM, "--wait"])?;
    stage.watari(&["vm", "start", VM, "--wait"])?;
    stage.until_page(&address, 120)?;
    [&cargo, &late].into_iter().try_for_each(|cargo| unload(stage, &address, cargo))
}

fn agent_killed(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address(VM)?;
    let (boot, node) = (stage.boot_id(&address)?, stage.node_of(VM)?);
    let cargo = load(stage, &address, "cargo", 100)?;
    let kill = || {
        stage.lab.run(&["kill", &node, "watari-node-agent", "KILL"])?;
        until(60, "it is there again", || Ok(stage.lab.pids(&node, "watari-node-agent").len() == 1))
    };
    slowly(stage, || {
        stage.watari(&["vm", "preseed", VM])?;
        kill()?;
        until(120, "a layer is on its way", || {
            let shown = stage.show("vm", VM)?;
            let to = shown["preseed"]["to"].as_str().context("it goes nowhere")?.to_owned();
            let folder = stage.lab.file(&to, "/var/lib/watari/layers/arriving");
            Ok(std::fs::read_dir(folder)?.next().is_some())
        })?;
        kill()
    })?;
    let ahead = sent_ahead(stage)?;
    ensure!(ahead > 50 * MIB, "{} MiB were sent ahead", ahead / MIB);
    stage.until_nodes_ready()?;
    let to = stage.show("vm", VM)?["preseed"]["to"].as_str().context("it goes nowhere")?.to_owned();
    stage.watari(&["vm", "migrate", VM, "--to", &to, "--wait"])?;
    unload(stage, &address, &cargo)?;
    stage.sound(VM, &boot)
}

fn elsewhere(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address(VM)?;
    let boot = stage.boot_id(&address)?;
    let cargo = load(stage, &address, "cargo", 60)?;
    sent_ahead(stage)?;
    let ahead = stage.show("vm", VM)?["preseed"]["to"].clone();
    let other = if ahead == "y1" { "y2" } else { "y1" };
    stage.watari(&["vm", "migrate", VM, "--to", other, "--wait"])?;
    unload(stage, &address, &cargo)?;
    stage.sound(VM, &boot)
}
