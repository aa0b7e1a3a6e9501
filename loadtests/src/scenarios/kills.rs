//! SIGKILL to each process concerned at every step of a migration.

use anyhow::{Context, ensure};

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_scheduler_killed_at_any_step_loses_no_server", |s| at_every_step(s, Victim::Scheduler)),
    ("a_source_agent_killed_at_any_step_loses_no_server", |s| at_every_step(s, Victim::SourceAgent)),
    ("a_target_agent_killed_at_any_step_loses_no_server", |s| at_every_step(s, Victim::TargetAgent)),
    ("a_source_libvirtd_killed_at_any_step_loses_no_server", |s| at_every_step(s, Victim::SourceLibvirtd)),
    ("a_target_libvirtd_killed_at_any_step_loses_no_server", |s| at_every_step(s, Victim::TargetLibvirtd)),
    ("a_nats_server_killed_at_any_step_loses_no_server", |s| at_every_step(s, Victim::NatsServer)),
    ("an_evacuation_goes_on_when_the_scheduler_is_killed", evacuation),
];

#[derive(Clone, Copy)]
enum Victim {
    Scheduler,
    SourceAgent,
    TargetAgent,
    SourceLibvirtd,
    TargetLibvirtd,
    NatsServer,
}

/// The steps that a migration passes. One that is over before the blow falls is hit after it.
const STEPS: [&str; 5] = ["queued", "preparing", "copying", "settling", "switching"];

/// Kills on every host of the list that runs the program; it starts again by itself.
fn kill(stage: &Stage, hosts: &[&str], program: &str) -> anyhow::Result<()> {
    // Of two, one may not have come back since the last blow.
    let struck = hosts.iter().filter(|host| stage.lab.run(&["kill", host, program, "KILL"]).is_ok()).count();
    ensure!(struck > 0, "no {program} was there to be killed");
    Ok(())
}

/// The id of a migration of `mail` to the node. A node that was hit after its migration was over is
/// noticed by its next beat only, and refuses for the moment: then it is asked again.
fn asked_to(stage: &Stage, node: &str) -> anyhow::Result<String> {
    let mut asked = None;
    until(60, &format!("{node} may be asked for"), || {
        let answer = stage.watari(&["vm", "migrate", "mail", "--to", node]);
        // Any other refusal is not of the moment: it ends the waiting and the scenario.
        let unfit = answer.as_ref().is_err_and(|error| format!("{error:#}").contains("[placement.node-unfit]"));
        asked = Some(answer);
        Ok(!unfit)
    })?;
    asked.context("nobody was asked")??["id"].as_str().map(str::to_owned).context("the migration has no id")
}

fn at_every_step(stage: &Stage, victim: Victim) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    for step in STEPS {
        let (source, target) = (stage.node_of("mail")?, stage.other_side("mail")?);
        let id = asked_to(stage, target)?;
        let rank = |state: &str| STEPS.iter().position(|s| *s == state).unwrap_or(STEPS.len());
        until(60, &format!("it is {step}"), || {
            Ok(rank(stage.show("migration", &id)?["state"].as_str().unwrap_or_default()) >= rank(step))
        })?;
        let struck = match victim {
            Victim::Scheduler => kill(stage, &["m-front", "y-front"], "watari-scheduler"),
            Victim::SourceAgent => kill(stage, &[&source], "watari-node-agent"),
            Victim::TargetAgent => kill(stage, &[target], "watari-node-agent"),
            Victim::SourceLibvirtd => kill(stage, &[&source], "libvirtd"),
            Victim::TargetLibvirtd => kill(stage, &[target], "libvirtd"),
            Victim::NatsServer => kill(stage, &["m-front"], "nats-server"),
        };
        struck?;
        stage.sound("mail", &boot)?;
        let shown = stage.show("migration", &id)?;
        let told = shown["state"] == "completed" || !shown["fault"].is_null();
        ensure!(told, "{id} ended {} without a reason", shown["state"]);
        stage.until_nodes_ready()?;
    }
    Ok(())
}

fn evacuation(stage: &Stage) -> anyhow::Result<()> {
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let from = if stage.node_of("mail")?.starts_with('m') { "myodaiji" } else { "yamate" };
    let asked = stage.watari(&["site", "evacuate", from])?;
    let outage = asked["id"].as_str().unwrap_or_default().to_owned();
    until(60, "a server is moving", || {
        let shown = stage.show("outage", &outage)?;
        Ok(shown["moving"].as_array().is_some_and(|m| !m.is_empty()) || shown["state"] != "evacuating")
    })?;
    kill(stage, &["m-front", "y-front"], "watari-scheduler")?;
    until(120, "the evacuation is over", || Ok(stage.show("outage", &outage)?["state"] == "evacuated"))?;
    let shown = stage.show("outage", &outage)?;
    ensure!(shown["failed"].as_array().is_some_and(Vec::is_empty), "not all left: {}", shown["failed"]);
    stage.watari(&["site", "return", from, "--wait"])?;
    stage.sound("mail", &boot)
}
