//! A server whose disk goes back to a moment that was kept.

use anyhow::ensure;

use super::{Stage, life::send_mail, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("a_server_goes_back_to_its_snapshot_at_the_other_campus_where_it_is_by_then", |s| tidily(s, went_back))];

const VM: &str = "moment";

/// Runs the scenario with a server of its own, and leaves none.
fn tidily(stage: &Stage, scenario: Run) -> anyhow::Result<()> {
    clear(stage)?;
    stage.create(VM, "campus", &[])?;
    let outcome = scenario(stage);
    outcome.and(clear(stage))
}

fn clear(stage: &Stage) -> anyhow::Result<()> {
    if stage.show("vm", VM).is_ok() {
        stage.watari(&["vm", "delete", VM, "--yes", "--wait"])?;
    }
    Ok(())
}

fn went_back(stage: &Stage) -> anyhow::Result<()> {
    let address = stage.address(VM)?;
    stage.until_page(&address, 120)?;
    let boot = stage.boot_id(&address)?;
    // Its web server is up before its mail server.
    until(60, "it takes mail", || Ok(send_mail(stage, &address, "before-it-was-kept").is_ok()))?;
    let kept = stage.watari(&["vm", "snapshot", "create", VM, "kept", "--wait"])?;
    // No agent of its own is in this guest.
    ensure!(kept["name"] == "kept" && kept["taken"]["consistency"] == "crash", "it is {kept}");
    send_mail(stage, &address, "after-it-was-kept")?;
    let other = stage.other_side(VM)?;
    stage.watari(&["vm", "migrate", VM, "--to", other, "--wait"])?;
    ensure!(stage.boot_id(&address)? == boot, "it was booted again");
    let revert = ["vm", "snapshot", "revert", VM, "kept", "--yes", "--wait"];
    stage.refused("snapshot.not-stopped", &revert)?;

    stage.watari(&["vm", "stop", VM, "--wait"])?;
    stage.watari(&revert)?;
    stage.watari(&["vm", "start", VM, "--wait"])?;
    stage.until_page(&address, 120)?;
    ensure!(stage.node_of(VM)? == other, "it is elsewhere than where its disk is");
    let mailbox = stage.page(&address, "/mbox")?;
    ensure!(mailbox.contains("before-it-was-kept"), "what was kept is lost: {} bytes", mailbox.len());
    ensure!(!mailbox.contains("after-it-was-kept"), "its disk did not go back");
    let shown = stage.show("vm", VM)?;
    let there = shown["snapshots"]["list"].as_array().map_or(0, Vec::len);
    ensure!(there == 1 && shown["snapshots"]["revert"]["outcome"] == "done", "it is {shown}");
    Ok(())
}
