//! The whole control plane loses what it had stored, and gets it back from one file.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("a_control_plane_that_lost_everything_is_restored_under_running_servers", everything_lost)];

const FRONTS: [&str; 2] = ["m-front", "y-front"];
const STORES: [&str; 3] = ["m-front", "y-front", "witness"];
const SERVICES: [&str; 4] = ["scheduler", "image", "network", "monitor"];
const FILE: &str = "/var/lib/watari/lab.backup";
const COPY: &str = "/var/lib/watari/lab.backup.copy";

impl Stage {
    /// `watari backup …` as root on a front end.
    fn backup(&self, words: &[&str]) -> anyhow::Result<Value> {
        let all = [&["exec", "m-front", "--", "watari", "-o", "json", "backup"], words].concat();
        serde_json::from_str(&self.lab.run(&all)?).context("the answer is no JSON")
    }

    /// Every server with its node and addresses.
    fn whereabouts(&self) -> anyhow::Result<Vec<(String, String, String)>> {
        let list = self.watari(&["vm", "list"])?;
        let of = |vm: &Value| (vm["name"].to_string(), vm["node"].to_string(), vm["addresses"].to_string());
        let mut all: Vec<_> = list.as_array().context("no list")?.iter().map(of).collect();
        all.sort();
        Ok(all)
    }

    fn services(&self, verb: &str) -> anyhow::Result<()> {
        for front in FRONTS {
            for service in SERVICES {
                self.lab.run(&[verb, front, service])?;
            }
        }
        Ok(())
    }

    fn until_somebody_leads(&self) -> anyhow::Result<()> {
        until(120, "all services are led from one site", || Ok(self.lab.led_from()?.is_some()))
    }
}

fn everything_lost(stage: &Stage) -> anyhow::Result<()> {
    stage.until_whole()?;
    for old in [FILE, COPY] {
        stage.lab.run(&["exec", "m-front", "--", "rm", "-f", old])?;
    }
    let address = stage.address("mail")?;
    let boot = stage.boot_id(&address)?;

    stage.backup(&["create", FILE])?;
    stage.backup(&["verify", FILE])?;
    let mut bytes = fs::read(stage.lab.file("m-front", FILE))?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("the file is empty")? ^= 4;
    fs::write(stage.lab.file("m-front", COPY), bytes)?;
    let told = stage.backup(&["verify", COPY]).err().context("the damage was not seen")?;
    ensure!(format!("{told:#}").contains("[backup.damaged]"), "{told:#}");

    // The world goes on after a backup.
    stage.watari(&["vm", "migrate", "mail", "--to", stage.other_side("mail")?, "--wait"])?;
    stage.sound("mail", &boot)?;
    let before = stage.whereabouts()?;

    for host in STORES {
        stage.lab.run(&["power-off", host])?;
    }
    for host in STORES {
        fs::remove_dir_all(stage.lab.file(host, "/var/lib/nats"))?;
    }
    for host in STORES {
        stage.lab.run(&["power-on", host])?;
    }
    stage.until_somebody_leads()?;
    stage.until_nodes_ready()?;
    ensure!(stage.whereabouts()?.is_empty(), "something was left");
    ensure!(stage.lab.copies("mail").len() == 1, "missing documents stopped a server");
    ensure!(stage.boot_id(&address)? == boot, "missing documents stopped a server");

    stage.services("stop")?;
    let restored = stage.backup(&["restore", FILE, "--yes"]);
    stage.services("start")?;
    eprintln!("restored: {}", restored?);
    stage.until_somebody_leads()?;
    stage.until_nodes_ready()?;
    until(60, "every server is shown where it is", || Ok(stage.whereabouts()? == before))?;
    stage.sound("mail", &boot)?;

    stage.watari(&["vm", "migrate", "mail", "--to", stage.other_side("mail")?, "--wait"])?;
    stage.sound("mail", &boot)?;
    for file in [FILE, COPY] {
        stage.lab.run(&["exec", "m-front", "--", "rm", "-f", file])?;
    }
    stage.until_whole()
}
