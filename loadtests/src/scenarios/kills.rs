//! SIGKILL to each process concerned at every step of a migration, the moment its document says so.

use std::{thread, time::Duration};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until};
use crate::{
    faults::{Fault, Struck},
    watch::{Heard, Watch},
};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_scheduler_killed_at_any_step_loses_no_server", |s| at_every_step(s, Fault::Scheduler)),
    ("a_source_agent_killed_at_any_step_loses_no_server", |s| at_every_step(s, Fault::SourceAgent)),
    ("a_target_agent_killed_at_any_step_loses_no_server", |s| at_every_step(s, Fault::TargetAgent)),
    ("a_source_libvirtd_killed_at_any_step_loses_no_server", |s| at_every_step(s, Fault::SourceLibvirtd)),
    ("a_target_libvirtd_killed_at_any_step_loses_no_server", |s| at_every_step(s, Fault::TargetLibvirtd)),
    ("a_nats_server_killed_at_any_step_loses_no_server", |s| at_every_step(s, Fault::NatsServer)),
    ("an_evacuation_goes_on_when_the_scheduler_is_killed", |s| evacuation(s, Fault::Scheduler)),
    ("an_evacuation_goes_on_or_says_why_not_when_an_agent_is_killed", |s| evacuation(s, Fault::SourceAgent)),
    ("an_evacuation_goes_on_or_says_why_not_when_libvirtd_is_killed", |s| evacuation(s, Fault::SourceLibvirtd)),
    ("an_evacuation_goes_on_when_a_nats_server_is_killed", |s| evacuation(s, Fault::NatsServer)),
];

/// The steps that a migration passes.
const STEPS: [&str; 5] = ["queued", "preparing", "copying", "settling", "switching"];

/// How often a step may be missed.
const TRIES: usize = 6;

fn rank(state: &str) -> usize {
    STEPS.iter().position(|step| *step == state).unwrap_or(STEPS.len())
}

fn site_of(node: &str) -> &'static str {
    if node.starts_with('m') { "myodaiji" } else { "yamate" }
}

/// Asks for a migration of `mail`. A node that was hit after its migration was over is noticed by
/// its next beat only, and refuses for the moment: then it is asked again. What the asker is told
/// when the blow falls meanwhile is not judged here: the documents are.
pub(super) fn ask(stage: &Stage, node: &str) -> anyhow::Result<()> {
    until(60, &format!("{node} may be asked for"), || {
        let answer = stage.watari(&["vm", "migrate", "mail", "--to", node]);
        Ok(!answer.is_err_and(|error| format!("{error:#}").contains("[placement.node-unfit]")))
    })
}

/// Strikes as soon as the next migration of `mail` is heard to have come to a step.
fn strike_at(stage: &Stage, watch: &Watch, fault: Fault, step: &str) -> anyhow::Result<(Heard, Struck)> {
    let source = stage.node_of("mail")?;
    let target = if site_of(&source) == "myodaiji" { "y1" } else { "m1" };
    let armed = fault.arm(&stage.lab)?;
    watch.forget();
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask(stage, target));
        let heard = watch.first(Duration::from_secs(60), &format!("a migration that is {step}"), |heard| {
            heard.document["vm"] == "mail" && rank(&heard.state) >= rank(step)
        })?;
        let struck = armed.strike(&source, target, site_of(&source))?;
        asking.join().ok().context("the asker panicked")??;
        Ok((heard, struck))
    })
}

fn at_every_step(stage: &Stage, fault: Fault) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let watch = Watch::start(&stage.lab)?;
    for step in STEPS {
        let mut missed = Vec::new();
        while !blow(stage, &watch, fault, step, &boot, &mut missed)? {
            ensure!(missed.len() < TRIES, "aimed at {step}, struck at {}", missed.join(", "));
        }
    }
    Ok(())
}

/// One blow, and what must hold after it, wherever it fell. Tells whether it fell in its step or just
/// after it; a step may last for some milliseconds only.
fn blow(
    stage: &Stage,
    watch: &Watch,
    fault: Fault,
    step: &str,
    boot: &str,
    missed: &mut Vec<String>,
) -> anyhow::Result<bool> {
    let (heard, struck) = strike_at(stage, watch, fault, step)?;
    let phase = watch.state_at(&heard.id, struck.began);
    stage.sound("mail", boot)?;
    let shown = stage.show("migration", &heard.id)?;
    let told = shown["state"] == "completed" || !shown["fault"].is_null();
    ensure!(told, "{} ended {} without a reason", heard.id, shown["state"]);
    stage.until_nodes_ready()?;
    // The last step must not be over: what is struck afterwards is no migration any more.
    let hit = rank(&phase) <= (rank(step) + 1).min(STEPS.len() - 1);
    if !hit {
        missed.push(phase);
    }
    Ok(hit)
}

/// Strikes while `mail` travels in an evacuation. It is over in the end, and tells of each server
/// that it moved or why it did not; asked once more, it moves what it could not.
fn evacuation(stage: &Stage, fault: Fault) -> anyhow::Result<()> {
    let (boot, source) = (stage.boot_id(&stage.address("mail")?)?, stage.node_of("mail")?);
    let site = site_of(&source);
    let watch = Watch::start(&stage.lab)?;
    let armed = fault.arm(&stage.lab)?;
    let asked = stage.watari(&["site", "evacuate", site])?;
    let outage = asked["id"].as_str().context("the evacuation has no name")?.to_owned();
    let heard = watch.first(Duration::from_secs(60), "a copying migration", |heard| {
        heard.document["vm"] == "mail" && heard.state == "copying"
    })?;
    armed.strike(&source, heard.document["to"].as_str().context("it goes nowhere")?, site)?;
    until(180, "the evacuation is over", || Ok(stage.show("outage", &outage)?["state"] == "evacuated"))?;
    stage.sound("mail", &boot)?;

    let shown = stage.show("outage", &outage)?;
    let list = |field: &str| shown[field].as_array().cloned().unwrap_or_default();
    let of_mail = |rows: &[Value]| rows.iter().filter(|row| row["vm"] == "mail").count();
    let (moved, failed) = (list("moved"), list("failed"));
    let left = site_of(&stage.node_of("mail")?) != site;
    ensure!(of_mail(&moved) == usize::from(left), "mail has left: {left}; moved: {moved:?}");
    ensure!(of_mail(&failed) == usize::from(!left), "mail has left: {left}; failed: {failed:?}");
    let reasoned =
        |row: &Value| ["code", "cause", "remedy"].iter().all(|f| row[f].as_str().is_some_and(|t| !t.is_empty()));
    ensure!(failed.iter().all(reasoned), "a failure without code, cause and remedy: {failed:?}");

    stage.until_nodes_ready()?;
    if !left {
        stage.watari(&["site", "evacuate", site, "--wait"])?;
    }
    stage.watari(&["site", "return", site, "--wait"])?;
    stage.sound("mail", &boot)
}
