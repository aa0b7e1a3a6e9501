//! An outage that is known beforehand.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, off::Controller, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    (
        "a_scheduled_outage_outlives_its_scheduler_shuts_its_nodes_down_and_ends_when_it_has_switched_them_on",
        inspection,
    ),
    ("a_calendar_that_is_imported_twice_changes_nothing_and_moves_and_cancels_what_it_says", institute),
];

/// The lab's scheduler begins a minute before the power goes.
const FROM: Duration = Duration::from_secs(63);
const UNTIL: Duration = Duration::from_secs(66);

fn inspection(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let home = stage.send_home("mail")?;
    let (other, nodes) = if home == "myodaiji" { ("yamate", ["m1", "m2"]) } else { ("myodaiji", ["y1", "y2"]) };
    let controller = Controller::of_site(stage, &home, &nodes)?;
    stage.until_nodes_ready()?;
    let schedule = |site: &str, from: Duration, until: Duration| {
        let (from, until) = (format!("+{}s", from.as_secs()), format!("+{}s", until.as_secs()));
        ["outage", "schedule", site, "--from", &from, "--until", &until, "--note", "inspection"].map(str::to_owned)
    };
    let words = schedule(&home, FROM, UNTIL);
    let asked_at = Instant::now();
    let words = [&words.each_ref().map(String::as_str)[..], &["--shut-down-nodes"]].concat();
    let shown = stage.watari(&words)?;
    let id = shown["id"].as_str().context("it has no name")?.to_owned();
    let planned = shown["plan"]["moves"].as_array().context("no plan")?;
    ensure!(shown["state"] == "scheduled", "it is {shown}");
    ensure!(planned.iter().any(|row| row["vm"] == "mail"), "mail is not in the plan: {shown}");
    // Each is reckoned from when it is asked, and must still overlap when the machine is busy.
    for (site, code) in [(home.as_str(), "outage.overlaps"), (other, "outage.everywhere")] {
        let words = schedule(site, FROM / 2, UNTIL);
        stage.refused(code, &words.each_ref().map(String::as_str))?;
    }
    // Whoever leads goes on from the document.
    for front in ["m-front", "y-front"] {
        stage.lab.run(&["kill", front, "watari-scheduler", "KILL"])?;
    }
    until(FROM.as_secs(), "the site is empty", || Ok(stage.show("outage", &id)?["state"] == "evacuated"))?;
    ensure!(asked_at.elapsed() < FROM, "it was not done before the power goes");
    ensure!(stage.site_of("mail")? != home, "mail is still there");

    // Nobody touches them: each is told by its own agent. What its controller would see it says.
    let all = |states: &[&str]| {
        let shown = stage.show("outage", &id)?["nodes"].as_array().cloned().unwrap_or_default();
        let are = shown.iter().all(|one| one["state"].as_str().is_some_and(|state| states.contains(&state)));
        Ok::<_, anyhow::Error>(shown.len() == nodes.len() && are)
    };
    let off = until(90, "its nodes are off", || {
        let (gone, left): (Vec<&str>, Vec<&str>) = nodes.into_iter().partition(|node| is_off(stage, node));
        gone.into_iter().try_for_each(|node| controller.says_of(node, "off"))?;
        Ok(all(&["off", "starting"])? && left.is_empty())
    });
    thread::sleep((UNTIL + Duration::from_secs(2)).saturating_sub(asked_at.elapsed()));
    let overrun = stage.show("outage", &id);
    // Nor does anybody now: each goes on when its controller is told so.
    let mut dark = nodes.to_vec();
    let told = until(60, "their controller is told to switch them on", || {
        let is_told = |node: &&str| controller.calls("on", node).is_ok_and(|calls| calls > 0);
        let (told, left): (Vec<&str>, Vec<&str>) = dark.iter().copied().partition(is_told);
        for node in told {
            stage.lab.run(&["power-on", node])?;
            controller.says_of(node, "on")?;
        }
        dark = left;
        Ok(dark.is_empty())
    });
    for node in dark {
        stage.lab.run(&["power-on", node])?;
    }
    off.and(told)?;
    let overrun = overrun?;
    ensure!(overrun["state"] == "evacuated", "the power is not back, and it is {}", overrun["state"]);
    until(180, "everything is home", || Ok(stage.show("outage", &id)?["state"] == "completed"))?;
    ensure!(stage.site_of("mail")? == home, "it did not come home");
    ensure!(all(&["back"])?, "not every node is back: {}", stage.show("outage", &id)?["nodes"]);
    for node in nodes {
        let last = stage.show("node", node)?["fencing"]["last"].clone();
        ensure!(last["act"] == "on" && last["outcome"]["state"] == "done", "of {node} is told {last}");
    }
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)
}

/// Whether nothing of a host runs any more.
fn is_off(stage: &Stage, host: &str) -> bool {
    ["watari-node-agent", "libvirtd"].iter().all(|program| stage.lab.pids(host, program).is_empty())
}

/// Our own calendar, under another's name: nobody has to know what day it is.
fn institute(stage: &Stage) -> anyhow::Result<()> {
    let words = ["outage", "schedule", "myodaiji", "--from", "+100h", "--until", "+110h", "--note", "inspection"];
    let own = stage.watari(&words)?["id"].as_str().context("it has no name")?.to_owned();
    let exported = stage.lab.run(&["exec", "client", "--", "watari", "outage", "export", "--site", "myodaiji"])?;
    stage.watari(&["outage", "cancel", &own])?;
    let event = exported.split("BEGIN:VEVENT").find(|event| event.contains(&format!("UID:{own}\r\n")));
    let event = event.and_then(|event| event.split("END:VCALENDAR").next()).context("it is not exported")?;
    let event = event.replace(&format!("UID:{own}\r\n"), "UID:a@institute\r\n");
    let calendar = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT{event}END:VCALENDAR\r\n");

    let first = import(stage, &calendar, "scheduled")?;
    let id = first["outage"].as_str().context("it has no name")?;
    ensure!(first["site"] == "myodaiji" && id != own, "it is {first}");
    let note = stage.show("outage", id)?["note"].as_str().map(str::to_owned).unwrap_or_default();
    ensure!(note.ends_with("inspection"), "its note is {note}");
    ensure!(import(stage, &calendar, "unchanged")?["outage"] == id, "it is another");

    let end = calendar.lines().find_map(|line| line.strip_prefix("DTEND:")).context("it has no end")?;
    let later = format!("{}{}", end.get(..13).context("no minute")?, if end.ends_with("00Z") { "30Z" } else { "00Z" });
    let moved = calendar.replace(&format!("DTEND:{end}"), &format!("DTEND:{later}"));
    ensure!(import(stage, &moved, "moved")?["outage"] == id, "it is another");
    ensure!(import(stage, &moved, "unchanged")?["outage"] == id, "it is another");
    import(stage, &moved.replace("STATUS:CONFIRMED", "STATUS:CANCELLED"), "cancelled")?;
    ensure!(stage.show("outage", id)?["state"] == "cancelled", "it is still to come");
    Ok(())
}

/// What is told of a calendar's only event.
fn import(stage: &Stage, calendar: &str, action: &str) -> anyhow::Result<Value> {
    let pipe = "printf %s \"$1\" | watari -o json outage import -";
    let told = stage.lab.run(&["exec", "client", "--", "bash", "-c", pipe, "import", calendar])?;
    let told: Value = serde_json::from_str(&told).context("what is told is no JSON")?;
    ensure!(told[0]["action"] == action && told[1].is_null(), "{action} was expected: {told}");
    Ok(told[0].clone())
}
