//! An outage that is known beforehand.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("a_scheduled_outage_is_over_in_time_outlives_its_scheduler_and_ends_when_the_power_is_back", inspection)];

/// The lab's scheduler begins a minute before the power goes.
const FROM: Duration = Duration::from_secs(75);
const UNTIL: Duration = Duration::from_secs(90);

fn inspection(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let home = stage.send_home("mail")?;
    let (other, nodes) = if home == "myodaiji" { ("yamate", ["m1", "m2"]) } else { ("myodaiji", ["y1", "y2"]) };
    let schedule = |site: &str, from: Duration, until: Duration| {
        let (from, until) = (format!("+{}s", from.as_secs()), format!("+{}s", until.as_secs()));
        ["outage", "schedule", site, "--from", &from, "--until", &until, "--note", "inspection"].map(str::to_owned)
    };
    let words = schedule(&home, FROM, UNTIL);
    let asked_at = Instant::now();
    let shown = stage.watari(&words.each_ref().map(String::as_str))?;
    let id = shown["id"].as_str().context("it has no name")?.to_owned();
    let planned = shown["plan"]["moves"].as_array().context("no plan")?;
    ensure!(shown["state"] == "scheduled", "it is {shown}");
    ensure!(planned.iter().any(|row| row["vm"] == "mail"), "mail is not in the plan: {shown}");
    for (site, code) in [(home.as_str(), "outage.overlaps"), (other, "outage.everywhere")] {
        let words = schedule(site, FROM + Duration::from_secs(5), UNTIL);
        stage.refused(code, &words.each_ref().map(String::as_str))?;
    }
    // Whoever leads goes on from the document.
    for front in ["m-front", "y-front"] {
        stage.lab.run(&["kill", front, "watari-scheduler", "KILL"])?;
    }
    until(FROM.as_secs(), "the site is empty", || Ok(stage.show("outage", &id)?["state"] == "evacuated"))?;
    ensure!(asked_at.elapsed() < FROM, "it was not done before the power goes");
    ensure!(stage.site_of("mail")? != home, "mail is still there");

    for node in nodes {
        stage.lab.run(&["power-off", node])?;
    }
    thread::sleep((UNTIL + Duration::from_secs(5)).saturating_sub(asked_at.elapsed()));
    let overrun = stage.show("outage", &id);
    for node in nodes {
        stage.lab.run(&["power-on", node])?;
    }
    let overrun = overrun?;
    ensure!(overrun["state"] == "evacuated", "the power is not back, and it is {}", overrun["state"]);
    until(180, "everything is home", || Ok(stage.show("outage", &id)?["state"] == "completed"))?;
    ensure!(stage.site_of("mail")? == home, "it did not come home");
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)
}
