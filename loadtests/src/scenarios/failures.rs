//! Migrations that do not happen: the server goes on where it was.

use anyhow::ensure;
use serde_json::Value;

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_cancelled_migration_leaves_the_server_where_it_was", cancelled),
    ("a_target_that_dies_half_way_leaves_the_server_where_it_was", target_dies),
    ("a_target_whose_disk_is_full_leaves_the_server_where_it_was", target_full),
    ("an_evacuation_with_no_refuge_is_refused", no_refuge),
];

/// Slows the link, so that there is time to do something in the middle of a migration.
fn slowly(stage: &Stage, act: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    stage.lab.run(&["link", "--mbit", "20"])?;
    let acted = act();
    stage.lab.run(&["link", "--mbit", "200"])?;
    acted
}

/// Begins a migration and waits until it copies.
fn copying(stage: &Stage, to: &str) -> anyhow::Result<String> {
    let asked = stage.watari(&["vm", "migrate", "mail", "--to", to])?;
    let id = asked["id"].as_str().unwrap_or_default().to_owned();
    until(60, "it copies", || Ok(stage.show("migration", &id)?["state"] == "copying"))?;
    Ok(id)
}

fn over(stage: &Stage, id: &str, seconds: u64) -> anyhow::Result<Value> {
    until(seconds, "the migration is over", || {
        let shown = stage.show("migration", id)?;
        Ok(["completed", "failed", "cancelled"].iter().any(|s| shown["state"] == *s))
    })?;
    stage.show("migration", id)
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

fn target_full(stage: &Stage) -> anyhow::Result<()> {
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    let boot = stage.boot_id(&address)?;
    let to = stage.other_side("mail")?;
    // A disk of one MiB, full as soon as the guest's own changes arrive.
    let folder = "/var/lib/watari/disks";
    stage.lab.run(&["exec", to, "--", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder])?;
    let outcome = (|| {
        let asked = stage.watari(&["vm", "migrate", "mail", "--to", to])?;
        let shown = over(stage, asked["id"].as_str().unwrap_or_default(), 120)?;
        ensure!(shown["state"] == "failed", "it is {}", shown["state"]);
        Ok(())
    })();
    stage.lab.run(&["exec", to, "--", "umount", folder])?;
    outcome?;
    ensure!(stage.node_of("mail")? == node, "it moved");
    stage.sound("mail", &boot)
}

fn no_refuge(stage: &Stage) -> anyhow::Result<()> {
    let away = if stage.node_of("mail")?.starts_with('m') { "yamate" } else { "myodaiji" };
    let home = if away == "yamate" { "myodaiji" } else { "yamate" };
    stage.watari(&["site", "evacuate", away, "--wait"])?;
    let refused = stage.refused("site.no-refuge", &["site", "evacuate", home]);
    stage.watari(&["site", "return", away, "--wait"])?;
    refused
}
