//! A node is lost for good, and an operator says that it is off.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{
    Stage,
    failures::{copying, slowly},
    until,
};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_paused_copy_runs_when_its_source_is_said_to_be_off", paused_copy),
    ("a_server_on_a_node_that_is_off_is_told_as_stranded_and_starts_when_it_is_back", stranded),
];

impl Stage {
    fn schedulers(&self, verb: &str) -> anyhow::Result<()> {
        for front in ["m-front", "y-front"] {
            self.lab.run(&[verb, front, "scheduler"])?;
        }
        Ok(())
    }

    fn until_lost(&self, node: &str) -> anyhow::Result<()> {
        until(120, &format!("{node} is lost"), || Ok(self.show("node", node)?["state"] == "lost"))
    }

    /// The migration that is under way, by its state; none if there is none.
    fn under_way(&self) -> anyhow::Result<Option<String>> {
        let active = self.watari(&["migration", "list", "--active", "--vm", "mail"])?;
        Ok(active[0]["state"].as_str().map(str::to_owned))
    }
}

/// While nobody decides, the copy arrives and its source's power goes.
fn paused_copy(stage: &Stage) -> anyhow::Result<()> {
    stage.until_nodes_ready()?;
    let address = stage.address("mail")?;
    let boot = stage.boot_id(&address)?;
    let (source, target) = (stage.node_of("mail")?, stage.other_side("mail")?);
    slowly(stage, || {
        copying(stage, target)?;
        stage.schedulers("stop")
    })?;
    let arrived = until(120, "the copy has arrived and its source is gone", || {
        let copies = stage.lab.copies("mail");
        Ok(matches!(copies.as_slice(), [(host, _)] if host == target))
    });
    if arrived.is_ok() {
        stage.lab.run(&["power-off", &source])?;
    }
    stage.schedulers("start")?;
    arrived?;
    stage.until_lost(&source)?;
    ensure!(stage.page(&address, "/uptime").is_err(), "a copy was resumed on the strength of silence");
    ensure!(stage.under_way()?.is_some(), "the migration was decided on the strength of silence");
    stage.refused("node.not-lost", &["node", "confirm-off", target, "--yes"])?;

    let said = Instant::now();
    stage.watari(&["node", "confirm-off", &source, "--yes"])?;
    let runs = stage.until_page(&address, 60);
    let took = said.elapsed();
    stage.lab.run(&["power-on", &source])?;
    runs?;
    eprintln!("the server ran {:.1} s after the word", took.as_secs_f64());
    ensure!(took < Duration::from_secs(60), "it took {took:?}");
    ensure!(stage.node_of("mail")? == target, "it runs elsewhere");
    stage.until_nodes_ready()?;
    stage.sound("mail", &boot)?;
    ensure!(stage.show("node", &source)?["off"].is_null(), "the word stands of a node that is back");
    Ok(())
}

fn stranded(stage: &Stage) -> anyhow::Result<()> {
    stage.ready("mail")?;
    stage.until_nodes_ready()?;
    let (address, node) = (stage.address("mail")?, stage.node_of("mail")?);
    stage.lab.run(&["power-off", &node])?;
    let told = stage.until_lost(&node).and_then(|()| {
        stage.watari(&["node", "confirm-off", &node, "--yes"])?;
        until(60, "it is told as stranded", || {
            let shown = stage.show("vm", "mail")?;
            Ok(shown["state"] == "stopped" && shown["fault"]["code"] == "vm.stranded")
        })?;
        stage.refused("vm.stranded", &["vm", "start", "mail", "--timeout", "2s"])?;
        stage.refused("node.has-servers", &["node", "remove", &node, "--yes"])
    });
    let copies = stage.lab.copies("mail");
    stage.lab.run(&["power-on", &node])?;
    told?;
    ensure!(copies.is_empty(), "it was started from nothing: {copies:?}");
    stage.until_nodes_ready()?;
    stage.until_page(&address, 180)?;
    stage.sound("mail", &stage.boot_id(&address)?)?;
    ensure!(stage.node_of("mail")? == node, "it was started elsewhere");
    Ok(())
}
