//! An evacuation that stands still because an operator wants it so.

use std::{thread, time::Duration};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until};
use crate::watch::{Heard, Watch};

/// The rate of the link when the pause is asked for, in Mbit/s.
const BUSY_MBIT: u64 = 200;

/// An order to send that has been given shows within so long.
const BEGINS: Duration = Duration::from_secs(2);

/// The pause is looked at for so long: a scheduler decides at least once a second.
const LOOK: Duration = Duration::from_secs(5);

/// Empties a site of `mail` and of `others`, which answer to pings and of which the pause finds some that have not begun;
/// the outage.
pub(super) fn evacuated(stage: &Stage, home: &str, others: &[&str]) -> anyhow::Result<String> {
    let watch = Watch::start(&stage.lab)?;
    // Over a fast link everybody would have begun before a person can ask for a pause.
    let (id, since) = stage.at_rate(BUSY_MBIT, |stage| {
        let asked = stage.watari(&["site", "evacuate", home])?;
        let id = asked["id"].as_str().context("the evacuation has no name")?.to_owned();
        let copies = |heard: &Heard| heard.document["outage"] == id && heard.state == "copying";
        watch.first(Duration::from_secs(60), "a copy", copies)?;
        let told = stage.watari(&["outage", "pause", home])?;
        let since = told["paused_at"].clone();
        ensure!(told["state"] == "evacuating" && since.is_string(), "it is not paused: {told}");
        Ok((id, since))
    })?;
    // What was ordered before the pause was heard may only be about to begin.
    until(120, "nothing travels any more", || {
        Ok(stands_still(stage)? && {
            thread::sleep(BEGINS);
            stands_still(stage)?
        })
    })?;
    let moved = |outage: &Value| outage["moved"].as_array().map_or(0, Vec::len);
    let before = moved(&stage.show("outage", &id)?);
    ensure!(before <= others.len(), "everybody had left before the pause was heard");

    watch.forget();
    for front in ["m-front", "y-front"] {
        stage.lab.run(&["kill", front, "watari-scheduler", "KILL"])?;
    }
    // Who answers leads, and has begun its tenure.
    until(60, "somebody leads and knows of the pause", || Ok(stage.show("outage", &id)?["paused_at"] == since))?;
    let begun = watch.first(LOOK, "a copy", |heard| heard.state == "copying");
    ensure!(begun.is_err(), "somebody begins in a pause: {begun:?}");
    ensure!(stands_still(stage)? && moved(&stage.show("outage", &id)?) == before, "it does not stand still");
    ensure!(stage.doctor(&[])?.names("outage.paused", &id), "the doctor does not name the pause");

    let report = stage.watari(&["outage", "resume", home, "--wait"])?;
    ensure!(report["state"] == "evacuated" && report["paused_at"].is_null(), "it is {report}");
    ensure!(report["failed"].as_array().is_some_and(Vec::is_empty), "not everybody left: {}", report["failed"]);
    for &name in others.iter().chain(&["mail"]) {
        ensure!(stage.site_of(name)? != home, "{name} is still there");
    }
    echoed(stage, &id, others)?;
    Ok(id)
}

/// Whether both front ends have had echoes of those that are to answer, as the report tells it.
fn echoed(stage: &Stage, outage: &str, others: &[&str]) -> anyhow::Result<()> {
    let report = stage.watari(&["outage", "report", outage])?;
    for &name in others {
        let server = report["servers"].as_array().and_then(|all| all.iter().find(|server| server["vm"] == name));
        let seen = server.and_then(|server| server["seen"].as_array()).context("nobody has asked")?;
        let answered = |seen: &Value| seen["probe"] == "icmp" && seen["asked"].as_u64() > seen["failed"].as_u64();
        ensure!(seen.len() == 2 && seen.iter().all(answered), "{name} has not answered: {seen:?}");
    }
    Ok(())
}

/// Whether whatever is under way has not begun to travel.
fn stands_still(stage: &Stage) -> anyhow::Result<bool> {
    let active = stage.watari(&["migration", "list", "--active"])?;
    let waits = |migration: &Value| ["queued", "preparing"].contains(&migration["state"].as_str().unwrap_or_default());
    Ok(active.as_array().context("no list")?.iter().all(waits))
}
