//! Servers made from an image that their node has already, beside `virsh define` and `virsh start` of a twin of each.
//!
//! What Watari adds is the time from the agent's taking the order to start to its having seen the domain run, as the
//! agent itself tells it, less the twin's: so the disk, the rules, DHCP, the seed and the journal are in it, and neither
//! the scheduler nor the command, which are told beside it.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::{FRONTS, told, until_copied};
use crate::{
    bench::{Bound, Spread, plain::Twin},
    lab::Lab,
    scenarios::{Stage, until_some},
};

const VM: &str = "bench-start";
/// The nodes of the campus where they are made.
const HERE: [&str; 2] = ["m1", "m2"];
const AGENT_PORT: u16 = 9105;
const IMAGE_PORT: u16 = 9102;
/// What Watari may add at the median.
const MOST_ADDED_MS: f64 = 50.0;

/// The comparison. Times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Starts {
    /// How many servers.
    pub runs: usize,
    /// From taking the order to the domain seen running.
    pub agent_ms: Spread,
    /// libvirt's define and start of the twin.
    pub libvirt_ms: Spread,
    /// What Watari adds, pair by pair.
    pub added_ms: Spread,
    /// `watari vm create --wait`, as the operator waits.
    pub command_ms: Spread,
    /// What the front ends handed out of images meanwhile, in bytes.
    pub image_bytes: f64,
}

impl Starts {
    pub(super) fn bounds(&self) -> [Bound; 2] {
        [
            Bound::most("starts.added_ms.median", self.added_ms.median, MOST_ADDED_MS),
            Bound::most("starts.image_bytes", self.image_bytes, 0.0),
        ]
    }
}

/// What a node's agent tells of the starts that it has carried out.
#[derive(Clone, Copy)]
struct Carried {
    count: f64,
    seconds: f64,
}

impl Carried {
    fn by(lab: &Lab, node: &str) -> anyhow::Result<Self> {
        let of = |what: &str| format!("watari_agent_operation_seconds_{what}{{verb=\"start\"}}");
        let read = |what: &str| told(lab, node, AGENT_PORT, &of(what));
        Ok(Self { count: read("count")?, seconds: read("sum")? })
    }

    /// How long the only one since took, once it is told.
    fn next_ms(self, lab: &Lab, node: &str) -> anyhow::Result<f64> {
        let now = until_some(10, &format!("{node} has told of the start"), || {
            Ok(Some(Self::by(lab, node)?).filter(|now| now.count > self.count))
        })?;
        ensure!(now.count < self.count + 1.5, "{node} has started others meanwhile");
        Ok((now.seconds - self.seconds) * 1000.0)
    }
}

fn handed_out(lab: &Lab) -> anyhow::Result<f64> {
    FRONTS.into_iter().map(|front| told(lab, front, IMAGE_PORT, "watari_image_served_bytes_total")).sum()
}

/// Makes servers one after the other until `runs` of them count: the first on a node brings the image there.
pub(super) fn run(stage: &Stage, runs: usize) -> anyhow::Result<Starts> {
    let lab = &stage.lab;
    let (mut agent, mut libvirt, mut added, mut command) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut image_bytes, mut visited) = (0.0, BTreeSet::new());
    until_copied(lab, "mini")?;
    Twin::clear(lab)?;
    remove(lab)?;
    while agent.len() < runs {
        let (before, handed) = ([Carried::by(lab, HERE[0])?, Carried::by(lab, HERE[1])?], handed_out(lab)?);
        let who = ["vm", "create", VM, "--image", "mini", "--network", "campus", "--site", "myodaiji"];
        let began = Instant::now();
        let made = lab.watari(&[&who[..], &["--memory", "128MiB", "--disk", "1GiB", "--wait"]].concat())?;
        let command_ms = began.elapsed().as_secs_f64() * 1000.0;
        let bytes = handed_out(lab)? - handed;
        let node = made["node"].as_str().context("it is nowhere")?;
        let place = HERE.iter().position(|here| *here == node).with_context(|| format!("it is on {node}"))?;
        let agent_ms = before[place].next_ms(lab, node)?;
        let twin = Twin::make(lab, VM, node, 1)?;
        // Its guest boots, and the twin shall have the machine to itself as it had.
        lab.watari(&["vm", "stop", VM, "--force", "--wait"])?;
        let libvirt_ms = twin.begin(node)?.as_secs_f64() * 1000.0;
        twin.end(node)?;
        remove(lab)?;
        if visited.insert(place) {
            continue;
        }
        eprintln!("started in {command_ms:.0} ms; the agent took {agent_ms:.0} ms, libvirt takes {libvirt_ms:.0} ms");
        agent.push(agent_ms);
        libvirt.push(libvirt_ms);
        added.push(agent_ms - libvirt_ms);
        command.push(command_ms);
        image_bytes += bytes;
    }
    Ok(Starts {
        runs,
        agent_ms: Spread::of(agent),
        libvirt_ms: Spread::of(libvirt),
        added_ms: Spread::of(added),
        command_ms: Spread::of(command),
        image_bytes,
    })
}

fn remove(lab: &Lab) -> anyhow::Result<()> {
    if lab.watari(&["vm", "show", VM]).is_ok() {
        lab.watari(&["vm", "delete", VM, "--yes", "--wait"])?;
    }
    Ok(())
}
