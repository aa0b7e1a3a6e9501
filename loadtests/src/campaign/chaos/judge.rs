//! What must hold once everything is healed, looked at from outside.

use std::time::{Duration, Instant};

use super::books::Books;
use crate::{
    beacon::Beacons,
    campaign::{processors::Processors, until_right},
    lab::Lab,
    scenarios::Stage,
    standing::{is_whole, led_from},
    watch::Watch,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

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
}

impl<'a> Judge<'a> {
    /// Begins to listen to these servers.
    pub(super) fn new(stage: &'a Stage, names: &[&'static str]) -> anyhow::Result<Self> {
        let watch = Watch::default();
        watch.listen_for_beacons(&stage.lab)?;
        let server =
            |name| Server { name, beacons: Beacons::default(), processors: Processors::start(&stage.lab, name) };
        Ok(Self { stage, watch, servers: names.iter().copied().map(server).collect() })
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
        let (nodes, networks) = (lab.watari(&["node", "list"])?, lab.watari(&["network", "list"])?);
        let books = Books { vms, nodes, networks, ports: lab.watari(&["port", "list"])? };
        if let Some(what) = books.wrong() {
            return Ok(Some(what));
        }
        let standing = lab.standing()?;
        if led_from(&standing)?.is_none() {
            return Ok(Some("the services are not led from one site".to_owned()));
        }
        Ok((!is_whole(&standing)).then(|| format!("NATS is not whole: {} {}", standing["quorum"], standing["streams"])))
    }
}
