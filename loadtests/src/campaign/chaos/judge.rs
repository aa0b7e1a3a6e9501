//! What must hold once everything is healed, looked at from outside.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;

use super::{
    blow::{DHCP, DISKS},
    books::Books,
};
use crate::{
    beacon::Beacons,
    campaign::{processors::Processors, until_right},
    lab::{Lab, NODES, VOTERS},
    scenarios::Stage,
    standing::{is_whole, led_from},
    watch::Watch,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Where a node's DHCP has whom it answers: a folder for each network, a file for each card.
const ANSWERED: &str = "/run/watari/dhcp";
/// So many more consumers than at the beginning are no storm: some come and go with who looks something up.
const FEW: u64 = 12;

/// One server, as it is heard and as its copies compute.
struct Server {
    name: &'static str,
    beacons: Beacons,
    processors: Processors,
}

/// What servers did that none may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubles {
    /// For how long two copies of one computed, in milliseconds.
    pub(super) overlap_ms: u64,
    /// Beacons that came from a second copy.
    pub(super) told_twice: u64,
    /// Beacons that missed on the server's disk what had been written there.
    pub(super) unwritten: u64,
}

/// Who looks.
pub(super) struct Judge<'a> {
    stage: &'a Stage,
    watch: Watch,
    servers: Vec<Server>,
    /// How many consumers NATS had before the first fault.
    consumers: Option<u64>,
}

impl<'a> Judge<'a> {
    /// Begins to listen to these servers.
    pub(super) fn new(stage: &'a Stage, names: &[&'static str]) -> anyhow::Result<Self> {
        let watch = Watch::default();
        watch.listen_for_beacons(&stage.lab)?;
        let server =
            |name| Server { name, beacons: Beacons::default(), processors: Processors::start(&stage.lab, name) };
        Ok(Self { stage, watch, servers: names.iter().copied().map(server).collect(), consumers: None })
    }

    /// From now on NATS may have a few consumers more than now, and no storm of them.
    pub(super) fn count_consumers(&mut self) -> anyhow::Result<()> {
        self.consumers = Some(consumers(self.lab())?);
        Ok(())
    }

    fn lab(&self) -> &Lab {
        &self.stage.lab
    }

    fn listen(&mut self) {
        let heard = self.watch.beacons();
        for server in &mut self.servers {
            server.beacons.take(heard.clone(), server.name);
        }
    }

    /// A server lost its power: it may be heard in another boot.
    pub(super) fn boots_again(&mut self, name: &str) {
        self.listen();
        self.servers.iter_mut().filter(|server| server.name == name).for_each(|server| server.beacons.boots_again());
    }

    /// What was noticed since the last call.
    pub(super) fn doubles(&mut self) -> Doubles {
        self.listen();
        self.servers.iter_mut().fold(Doubles::default(), |sum, server| Doubles {
            overlap_ms: sum.overlap_ms + server.processors.overlap_ms(),
            told_twice: sum.told_twice + server.beacons.told_twice(),
            unwritten: sum.unwritten + server.beacons.unwritten(),
        })
    }

    /// Waits until everything holds.
    pub(super) fn until_sound(&mut self, patience: Duration) -> anyhow::Result<()> {
        until_right(Instant::now() + patience, PAUSE, || self.wrong())
    }

    /// What does not hold now, if anything: what costs least to be asked first.
    fn wrong(&mut self) -> anyhow::Result<Option<String>> {
        self.listen();
        for server in &self.servers {
            if let Some(what) = server.beacons.silent_or_rebooted() {
                return Ok(Some(format!("{}: {what}", server.name)));
            }
        }
        let lab = self.lab();
        let vms = lab.watari(&["vm", "list"])?;
        for Server { name, .. } in &self.servers {
            let copies = lab.copies(name);
            let [(host, _)] = copies.as_slice() else {
                return Ok(Some(format!("{} copies of {name}: {copies:?}", copies.len())));
            };
            let Some(vm) = vms.as_array().into_iter().flatten().find(|vm| vm["name"] == *name) else {
                return Ok(Some(format!("the books have no {name}")));
            };
            if vm["state"] != "running" || vm["node"].as_str() != Some(host) {
                return Ok(Some(format!("{name} is {} on {}, its copy on {host}", vm["state"], vm["node"])));
            }
        }
        let open = lab.watari(&["migration", "list", "--active"])?.as_array().map_or(0, Vec::len);
        if open > 0 {
            return Ok(Some(format!("{open} migrations are not over")));
        }
        for Server { name, .. } in &self.servers {
            if let Some(what) = mislocked(lab, &vms, name)? {
                return Ok(Some(what));
            }
            if let Some(what) = unserved(lab, &vms, name)? {
                return Ok(Some(what));
            }
        }
        let (nodes, networks) = (lab.watari(&["node", "list"])?, lab.watari(&["network", "list"])?);
        let books = Books { vms, nodes, networks, ports: lab.watari(&["port", "list"])? };
        if let Some(what) = books.wrong() {
            return Ok(Some(what));
        }
        let standing = lab.standing()?;
        if led_from(&standing)?.is_none() {
            return Ok(Some("the services are not led from one site".to_owned()));
        }
        if !is_whole(&standing) {
            return Ok(Some(format!("NATS is not whole: {} {}", standing["quorum"], standing["streams"])));
        }
        let Some(before) = self.consumers else { return Ok(None) };
        let now = consumers(lab)?;
        Ok((now > before + FEW).then(|| format!("NATS has {now} consumers, and had {before} before")))
    }
}

/// What a server would not be given, that asked for its address now: its node's DHCP lives, and answers it with what the
/// books say.
fn unserved(lab: &Lab, vms: &Value, name: &str) -> anyhow::Result<Option<String>> {
    let vm = vms.as_array().into_iter().flatten().find(|vm| vm["name"] == name).context("the books have it not")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("the books do not say all of it");
    let (node, uuid, network, address) =
        (text(&vm["node"])?, text(&vm["uuid"])?, text(&vm["networks"][0])?, text(&vm["addresses"][0])?);
    if lab.pids(&node, DHCP).is_empty() {
        return Ok(Some(format!("nobody hands out addresses on {node}, where {name} runs")));
    }
    let card = format!("{ANSWERED}/{network}.hosts/{uuid}.0");
    let told = lab.run(&["exec", &node, "--", "cat", &card])?;
    // MAC, address, and more.
    let right = told.split(',').nth(1) == Some(address.as_str());
    Ok((!right).then(|| format!("{name} is answered {told:?} on {node}, the books say {address}")))
}

/// Where the disk of a server is locked, unless that is at the node that the books name and nowhere else.
fn mislocked(lab: &Lab, vms: &Value, name: &str) -> anyhow::Result<Option<String>> {
    let vm = vms.as_array().into_iter().flatten().find(|vm| vm["name"] == name).context("the books have it not")?;
    let uuid = vm["uuid"].as_str().context("it has no uuid")?;
    let mut at = Vec::new();
    for node in NODES {
        for layer in layers(lab, node, uuid)? {
            if is_locked(lab, node, &layer)? {
                at.push(node);
            }
        }
    }
    let right = at.len() == 1 && vm["node"] == at[0];
    Ok((!right).then(|| format!("{name}'s disk is locked at {at:?}, the books say {}", vm["node"])))
}

/// The files on a node that a server's disk is made of: of one that was sent ahead there are several, of which QEMU writes
/// to the last alone.
fn layers(lab: &Lab, node: &str, uuid: &str) -> anyhow::Result<Vec<String>> {
    let folder = lab.file(node, DISKS);
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let own = names.filter(|name| name.strip_suffix(".qcow2").is_some_and(|stem| stem.starts_with(uuid)));
    Ok(own.map(|name| format!("{DISKS}/{name}")).collect())
}

/// Whether a QEMU writes to a disk: then qemu-img, which asks for the lock of who only reads, does not get it. This
/// comes after it was seen that nothing moves, since who asks is in the way of one that starts.
fn is_locked(lab: &Lab, node: &str, disk: &str) -> anyhow::Result<bool> {
    match lab.run(&["exec", node, "--", "qemu-img", "info", disk]) {
        Ok(_) => Ok(false),
        Err(error) if format!("{error:#}").contains("Failed to get") => Ok(true),
        Err(error) => Err(error),
    }
}

/// How many consumers the NATS servers have together.
fn consumers(lab: &Lab) -> anyhow::Result<u64> {
    let mut sum = 0;
    for host in VOTERS {
        let told = lab.run(&["exec", host, "--", "curl", "-fsS", "-m", "5", "http://127.0.0.1:8222/jsz"])?;
        let told: Value = serde_json::from_str(&told)?;
        sum += told["consumers"].as_u64().with_context(|| format!("{host} tells no consumers: {told}"))?;
    }
    Ok(sum)
}
