//! Servers that depend on others: what uses a database leaves, comes home and is started after it.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, pauses, until_some};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    (
        "what_depends_on_others_leaves_through_a_pause_that_outlives_its_scheduler_comes_home_and_starts_after_them",
        in_order,
    ),
    ("nothing_is_deleted_on_which_another_depends_and_nothing_depends_on_itself", refused),
];

/// Each depends on the one before it.
const CHAIN: [(&str, &[&str]); 3] =
    [("database", &[]), ("web", &["--after", "database"]), ("shop", &["--after", "web"])];

/// The last first, since no other is let go.
fn clear(stage: &Stage) -> anyhow::Result<()> {
    for (name, _) in CHAIN.into_iter().rev() {
        if stage.show("vm", name).is_ok() {
            stage.watari(&["vm", "delete", name, "--yes", "--wait"])?;
        }
    }
    Ok(())
}

fn in_order(stage: &Stage) -> anyhow::Result<()> {
    clear(stage)?;
    let outcome = carried(stage).and_then(|()| powered(stage));
    clear(stage)?;
    outcome?;
    // Its node may have been the one that was off.
    stage.ready("mail")
}

/// There, with a pause, and back.
fn carried(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let home = stage.send_home("mail")?;
    for (name, after) in CHAIN {
        stage.create(name, "campus", &[after, &["--probe", "icmp"]].concat())?;
    }
    // Who has not booted cannot answer those that watch the outage.
    for (name, _) in CHAIN {
        stage.until_page(&stage.address(name)?, 120)?;
    }
    let in_order = |outage: &str, reason: &str, since: u64| {
        let moves = CHAIN.map(|(name, _)| migration(stage, name, outage, reason));
        one_after_another(stage, moves, ["preparing", "completed"], since)
    };
    let since = newest(stage, "migration")?;
    let outage = pauses::evacuated(stage, &home, &CHAIN.map(|(name, _)| name))?;
    in_order(&outage, "evacuation", since)?;
    let since = newest(stage, "migration")?;
    stage.watari(&["site", "return", &home, "--wait"])?;
    in_order(&outage, "return", since)?;
    ensure!(stage.site_of("mail")? == home, "it did not come home");
    stage.sound("mail", &boot)
}

/// The node on which they are loses its power, and they are started as soon as it is back.
fn powered(stage: &Stage) -> anyhow::Result<()> {
    let node = stage.node_of("database")?;
    for (name, _) in CHAIN {
        if stage.node_of(name)? != node {
            stage.watari(&["vm", "migrate", name, "--to", &node, "--wait"])?;
        }
    }
    let since = newest(stage, "vm")?;
    stage.lab.run(&["power-off", &node])?;
    stage.lab.run(&["power-on", &node])?;
    let servers = CHAIN.map(|(name, _)| Ok(format!("vm/{name}")));
    one_after_another(stage, servers, ["starting", "running"], since)?;
    stage.until_nodes_ready()
}

/// The migration with which a server arrived in an outage, as the history is asked for it.
fn migration(stage: &Stage, name: &str, outage: &str, reason: &str) -> anyhow::Result<String> {
    let all = stage.watari(&["migration", "list", "--vm", name])?;
    let arrived = |m: &&Value| m["outage"] == outage && m["reason"] == reason && m["state"] == "completed";
    let found = all.as_array().into_iter().flatten().find(arrived).and_then(|m| m["id"].as_str());
    found.map(|id| format!("migration/{id}")).with_context(|| format!("{name} did not travel"))
}

/// Each of these documents begins only once the one before it has come to its end. What says so are revisions: a bucket
/// counts those of all its documents together.
fn one_after_another(
    stage: &Stage,
    whats: [anyhow::Result<String>; 3],
    [begin, end]: [&str; 2],
    since: u64,
) -> anyhow::Result<()> {
    let mut before = 0;
    for what in whats {
        let what = what?;
        let begun = reached(stage, &what, begin, since)?;
        ensure!(begun > before, "{what} is {begin} before what it depends on is {end}");
        before = reached(stage, &what, end, begun)?;
    }
    Ok(())
}

/// The revision of the newest change that the history has of a bucket; 0 if it has none.
fn newest(stage: &Stage, noun: &str) -> anyhow::Result<u64> {
    let newest = stage.watari(&["history", noun, "--limit", "1"])?;
    Ok(newest[0]["revision"].as_u64().unwrap_or_default())
}

/// The first revision after `since` with which a document has come to a state.
fn reached(stage: &Stage, what: &str, state: &str, since: u64) -> anyhow::Result<u64> {
    let comes = |change: &&Value| {
        let mut fields = change["fields"].as_array().into_iter().flatten();
        fields.any(|field| field["field"] == "state" && field["after"] == state)
    };
    until_some(120, &format!("the history has {what} as {state}"), || {
        let changes = stage.watari(&["history", what, "--limit", "200"])?;
        let revisions = changes.as_array().into_iter().flatten().filter(comes);
        Ok(revisions.filter_map(|change| change["revision"].as_u64()).find(|revision| *revision > since))
    })
}

fn refused(stage: &Stage) -> anyhow::Result<()> {
    clear(stage)?;
    let outcome = refused_each(stage);
    outcome.and(clear(stage))
}

fn refused_each(stage: &Stage) -> anyhow::Result<()> {
    for (name, after) in CHAIN {
        stage.watari(&[&["vm", "create", name, "--image", "mini", "--no-start"][..], after].concat())?;
    }
    for name in ["database", "web"] {
        stage.refused("vm.depended-on", &["vm", "delete", name, "--yes"])?;
    }
    for other in ["database", "web", "shop"] {
        stage.refused("vm.after-cycle", &["vm", "edit", "database", "--after", other])?;
    }
    stage.refused("vm.unknown", &["vm", "edit", "database", "--after", "nobody"])
}
