//! Migrations that do not happen: the server goes on where it was.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until, until_some};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_cancelled_migration_leaves_the_server_where_it_was", cancelled),
    ("a_target_that_dies_half_way_leaves_the_server_where_it_was", target_dies),
    ("a_server_whose_qemu_dies_on_the_way_is_started_again_where_it_was", qemu_dies),
    ("a_target_whose_disk_is_full_leaves_the_server_where_it_was", target_full),
    ("a_copy_of_which_nothing_gets_across_is_broken_off", stalls),
    ("a_migration_goes_on_while_both_agents_are_restarted", agents_restart),
    ("a_server_that_does_not_answer_any_more_is_not_reported_as_moved", unanswering),
];

/// Slows the link, so that there is time to do something in the middle of a migration.
pub(super) fn slowly(stage: &Stage, act: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    stage.at_rate(20, |_| act())
}

/// Begins a migration and waits until it copies.
pub(super) fn copying(stage: &Stage, to: &str) -> anyhow::Result<String> {
    let asked = stage.watari(&["vm", "migrate", "mail", "--to", to])?;
    let id = asked["id"].as_str().unwrap_or_default().to_owned();
    let early = ["queued", "preparing"];
    let shown = until_some(60, "it copies", || {
        let shown = stage.show("migration", &id)?;
        let copies = shown["state"].as_str().is_some_and(|state| !early.contains(&state));
        Ok(copies.then_some(shown))
    })?;
    ensure!(shown["state"] == "copying", "it is {shown}");
    Ok(id)
}

fn over(stage: &Stage, id: &str, seconds: u64) -> anyhow::Result<Value> {
    until_some(seconds, "the migration is over", || {
        let shown = stage.show("migration", id)?;
        let over = ["completed", "failed", "cancelled"].iter().any(|s| shown["state"] == *s);
        Ok(over.then_some(shown))
    })
}

fn cancelled(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    let to = stage.other_side("mail")?;
    slowly(stage, || {
        let id = copying(stage, to)?;
        stage.watari(&["migration", "cancel", &id])?;
        let shown = over(stage, &id, 60)?;
        ensure!(shown["state"] == "cancelled", "it is {}", shown["state"]);
        Ok(())
    })?;
    ensure!(stage.node_of("mail")? == node, "it moved");
    stage.sound("mail", &boot)
}

fn target_dies(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    let to = stage.other_side("mail")?;
    let outcome = slowly(stage, || {
        let id = copying(stage, to)?;
        stage.lab.run(&["power-off", to])?;
        let shown = over(stage, &id, 120)?;
        ensure!(shown["state"] == "failed" && !shown["fault"]["remedy"].is_null(), "it is {shown}");
        Ok(())
    });
    stage.lab.run(&["power-on", to])?;
    outcome?;
    stage.until_nodes_ready()?;
    ensure!(stage.node_of("mail")? == node, "it moved");
    stage.sound("mail", &boot)
}

/// No host and no service fails, only the one process that is the server.
fn qemu_dies(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    let to = stage.other_side("mail")?;
    slowly(stage, || {
        let id = copying(stage, to)?;
        stage.lab.run(&["exec", &node, "--", "pkill", "-KILL", "-f", "guest=mail,"])?;
        let shown = over(stage, &id, 60)?;
        ensure!(shown["state"] == "failed" && !shown["fault"]["remedy"].is_null(), "it is {shown}");
        Ok(())
    })?;
    stage.until_page(&address, 120)?;
    ensure!(stage.node_of("mail")? == node, "it moved");
    ensure!(stage.boot_id(&address)? != boot, "it cannot have gone on");
    stage.sound("mail", &stage.boot_id(&address)?)
}

fn target_full(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    let to = stage.other_side("mail")?;
    // An old disk of the server there would only be hidden by what is mounted over it, and be in the way later.
    let folder = "/var/lib/watari/disks";
    let uuid = stage.show("vm", "mail")?["uuid"].as_str().context("no uuid")?.to_owned();
    let old = stage.lab.file(to, &format!("{folder}/{uuid}.qcow2"));
    until(60, "its old disk is gone from there", || Ok(!old.exists()))?;
    let mount = ["exec", to, "--", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder];
    let unmount = || stage.lab.run(&["exec", to, "--", "umount", folder]);
    let asked = until_some(60, "it is asked for before the node has told of its room", || {
        // A disk of one MiB, full as soon as the guest's own changes arrive.
        stage.lab.run(&mount)?;
        match stage.watari(&["vm", "migrate", "mail", "--to", to]) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => {
                unmount()?;
                ensure!(format!("{error:#}").contains("[placement.node-unfit]"), "{error:#}");
                Ok(None)
            }
        }
    })?;
    let outcome = over(stage, asked["id"].as_str().unwrap_or_default(), 120).and_then(|shown| {
        ensure!(shown["state"] == "failed", "it is {}", shown["state"]);
        Ok(())
    });
    unmount()?;
    outcome?;
    ensure!(stage.node_of("mail")? == node, "it moved");
    stage.sound("mail", &boot)?;
    // It was for the disk alone. The node's next beats tell of its room: whoever comes next finds it as ever.
    super::kills::ask(stage, to)?;
    until(60, "it moves there when there is room", || Ok(stage.node_of("mail")? == to))?;
    stage.sound("mail", &boot)
}

/// Both nodes answer, and what the one's QEMU sends to the other's is thrown away. Its disk is being copied: libvirt waits
/// for what of it is under way, until the agent has the connection cut.
fn stalls(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    let to = stage.other_side("mail")?;
    let nft = |words: &[&str]| stage.lab.run(&[&["exec", to, "--", "nft"], words].concat());
    nft(&["add", "table", "inet", "deaf"])?;
    // So slow that it is seen while it is at the disk.
    let outcome = stage.at_rate(4, |stage| {
        let id = copying(stage, to)?;
        until(60, "its disk travels", || {
            let shown = stage.show("migration", &id)?;
            let more = |what: &str| shown["transfer"][what].as_u64().is_some_and(|bytes| bytes > 0);
            Ok(more("disk_sent") && more("disk_left"))
        })?;
        nft(&["add", "chain", "inet", "deaf", "input", "{ type filter hook input priority 0; }"])?;
        // Where libvirt has QEMU listen, unless its own settings say otherwise.
        nft(&["add", "rule", "inet", "deaf", "input", "tcp", "dport", "49152-49215", "drop"])?;
        // A minute until it is said to stand still, and some ten seconds until the connection is cut.
        let shown = over(stage, &id, 150)?;
        let told = shown["state"] == "failed" && shown["fault"]["code"] == "migration.stalled";
        ensure!(told, "it is {shown}");
        Ok(())
    });
    nft(&["delete", "table", "inet", "deaf"])?;
    outcome?;
    ensure!(stage.node_of("mail")? == node, "it moved");
    stage.sound("mail", &boot)
}

/// libvirt goes on with the copy; the agents that come back find it, and see it to its end.
fn agents_restart(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let (from, to) = (stage.node_of("mail")?, stage.other_side("mail")?);
    let mut id = String::new();
    slowly(stage, || {
        id = copying(stage, to)?;
        stage.lab.run(&["kill", &from, "watari-node-agent", "KILL"])?;
        stage.lab.run(&["kill", to, "watari-node-agent", "KILL"])?;
        // Both are back before anything can have arrived.
        until(30, "both agents are heard again", || {
            let shown = stage.show("migration", &id)?;
            ensure!(shown["state"] == "copying", "it is {} already", shown["state"]);
            let again = |node: &str| stage.lab.pids(node, "watari-node-agent").len() == 1;
            Ok(again(&from) && again(to) && stage.show("vm", "mail")?["reachable"] == true)
        })
    })?;
    let shown = over(stage, &id, 120)?;
    ensure!(shown["state"] == "completed", "it is {shown}");
    let bytes = &shown["measured"]["memory_bytes"];
    ensure!(bytes.as_u64().is_some_and(|bytes| bytes > 0), "{bytes} bytes of memory are said to have travelled");
    ensure!(stage.node_of("mail")? == to, "it did not move");
    stage.sound("mail", &boot)
}

/// The guest itself is well; what it says to the node is thrown away there.
fn unanswering(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let to = stage.other_side("mail")?;
    let nft = |words: &[&str]| stage.lab.run(&[&["exec", to, "--", "nft"], words].concat());
    nft(&["add", "table", "bridge", "deaf"])?;
    let outcome = (|| {
        nft(&["add", "chain", "bridge", "deaf", "input", "{ type filter hook input priority 0; }"])?;
        nft(&["add", "rule", "bridge", "deaf", "input", "arp", "operation", "reply", "drop"])?;
        let asked = stage.watari(&["vm", "migrate", "mail", "--to", to])?;
        let shown = over(stage, asked["id"].as_str().unwrap_or_default(), 120)?;
        let told = shown["state"] == "failed" && shown["fault"]["code"] == "migration.unanswering";
        ensure!(told, "it is {shown}");
        Ok(())
    })();
    nft(&["delete", "table", "bridge", "deaf"])?;
    outcome?;
    ensure!(stage.node_of("mail")? == to, "it is not where it runs");
    stage.sound("mail", &boot)
}
