//! One node with many guests: what its agent holds and uses while they idle. The node is said to have more memory meanwhile than
//! the lab says, and the other one of its site takes none.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::{
    Bound,
    consumption::{cpu_seconds, resident_mib},
};
use crate::{
    lab::Lab,
    scenarios::{Stage, until},
};

const NODE: &str = "m1";
const NEIGHBOUR: &str = "m2";
const AGENT: &str = "watari-node-agent";
const SETTINGS: &str = "/etc/watari/node-agent.toml";
/// For each guest of 128 MiB, with something to spare for others that are there.
const MEMORY_MIB: u16 = 160;

/// An agent with many guests.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Crowd {
    /// How many guests were made on its node.
    pub guests: u16,
    /// Its processor time, in percent of one core.
    pub agent_percent: f64,
    /// Its resident memory, in MiB.
    pub agent_resident_mib: f64,
}

impl Crowd {
    /// With 50 guests below 1 % of a core and 16 MiB.
    #[must_use]
    pub fn bounds(&self) -> [Bound; 2] {
        let of = |what: &str| format!("{what} of the agent with {} guests", self.guests);
        [
            Bound::most(of("percent"), self.agent_percent, 1.0),
            Bound::most(of("resident_mib"), self.agent_resident_mib, 16.0),
        ]
    }
}

/// Makes so many guests on one node, looks for `lasting` at its agent once all have booted, and removes them.
///
/// # Errors
/// When they do not come to run, or the lab cannot be left as it was.
pub fn run(stage: &Stage, guests: u16, lasting: Duration) -> anyhow::Result<Crowd> {
    let (lab, settings) = (&stage.lab, stage.lab.file(NODE, SETTINGS));
    let kept = fs::read_to_string(&settings)?;
    let names: Vec<String> = (1..=guests).map(|number| format!("crowd{number}")).collect();
    let measured = || {
        lab.watari(&["node", "cordon", NEIGHBOUR])?;
        fs::write(&settings, with_memory(&kept, guests)?)?;
        again(stage)?;
        crowd(stage, &names)?;
        look(lab, guests, lasting)
    };
    let outcome = measured();
    // Whatever of it has come about, and the others if one does not go.
    let removed: Vec<_> = names.iter().map(|name| gone(stage, name)).collect();
    let mended = [
        lab.watari(&["node", "uncordon", NEIGHBOUR]).map(drop),
        fs::write(&settings, &kept).map_err(Into::into),
        again(stage),
    ];
    let crowd = outcome?;
    removed.into_iter().chain(mended).collect::<anyhow::Result<()>>()?;
    Ok(crowd)
}

/// A node's settings with room for so many guests.
fn with_memory(settings: &str, guests: u16) -> anyhow::Result<String> {
    let mut table: toml::Table = settings.parse().context("the node's settings are no TOML")?;
    let capacity = table.get_mut("capacity").and_then(toml::Value::as_table_mut).context("the node has no capacity")?;
    let most = capacity.get("memory_mib").and_then(toml::Value::as_integer).unwrap_or_default();
    capacity.insert("memory_mib".to_owned(), (i64::from(guests) * i64::from(MEMORY_MIB)).max(most).into());
    Ok(table.to_string())
}

/// Starts the agent anew, and waits until the cloud has heard from it what its node has.
fn again(stage: &Stage) -> anyhow::Result<()> {
    let settings: toml::Table = fs::read_to_string(stage.lab.file(NODE, SETTINGS))?.parse()?;
    let memory = settings.get("capacity").and_then(|capacity| capacity.get("memory_mib"));
    let memory = memory.and_then(toml::Value::as_integer).context("the node has no memory")?;
    stage.lab.run(&["restart", NODE, AGENT])?;
    until(60, &format!("{NODE} is ready with {memory} MiB"), || {
        let node = stage.show("node", NODE)?;
        Ok(node["state"] == "ready" && node["memory_mib_total"] == memory)
    })
}

/// Makes the guests and waits until all of them have booted.
fn crowd(stage: &Stage, names: &[String]) -> anyhow::Result<()> {
    for (number, name) in (1..).zip(names) {
        stage.create(name, "campus", &[])?;
        let node = stage.node_of(name)?;
        ensure!(node == NODE, "{name} came to {node}");
        eprintln!("{number} of {} guests run", names.len());
    }
    for name in names {
        // All of them boot at once, under emulation some minutes long.
        stage.until_page(&stage.address(name)?, 900)?;
    }
    eprintln!("all guests have booted");
    Ok(())
}

fn look(lab: &Lab, guests: u16, lasting: Duration) -> anyhow::Result<Crowd> {
    let agents = lab.pids(NODE, AGENT);
    let [agent] = agents.as_slice() else { anyhow::bail!("{} agents run on {NODE}", agents.len()) };
    let (before, began) = (cpu_seconds(*agent)?, Instant::now());
    std::thread::sleep(lasting);
    let agent_percent = (cpu_seconds(*agent)? - before) / began.elapsed().as_secs_f64() * 100.0;
    Ok(Crowd { guests, agent_percent, agent_resident_mib: resident_mib(*agent)? })
}

fn gone(stage: &Stage, name: &str) -> anyhow::Result<()> {
    if stage.show("vm", name).is_ok() {
        stage.lab.watari(&["vm", "delete", name, "--yes", "--wait"])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_given_memory_for_its_guests_and_is_else_as_it_was() {
        let settings = "node = \"m1\"\n\n[capacity]\nmemory_mib = 4096\nvcpus = 8\n";
        let memory = |guests: u16| -> toml::Table { with_memory(settings, guests).unwrap().parse().unwrap() };
        assert_eq!(memory(50)["capacity"]["memory_mib"].as_integer(), Some(8_000));
        assert_eq!(memory(50)["capacity"]["vcpus"].as_integer(), Some(8));
        assert_eq!(memory(1)["capacity"]["memory_mib"].as_integer(), Some(4_096), "it never has less");
        assert_eq!(memory(50)["node"].as_str(), Some("m1"));
        assert!(with_memory("node = \"m1\"\n", 50).is_err());
    }
}
