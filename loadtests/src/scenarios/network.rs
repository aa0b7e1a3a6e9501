//! Overlay networks: who reaches whom, on whichever campus and through crossings, and what a node
//! lays again by itself.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use super::{Stage, apart, doors, until, until_some};
use crate::{answer, lab::NODES};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("an_overlay_network_spans_the_campuses_and_a_connection_survives_crossings", spans),
    ("guests_of_two_networks_neither_reach_nor_pass_for_nor_hear_each_other", apart::apart),
    ("a_server_learns_who_it_is_from_its_node_and_not_who_its_neighbour_is", who_it_is),
    ("a_server_finds_its_neighbours_by_name_on_whichever_campus_it_runs", names),
    ("a_node_lays_its_overlay_networks_again_after_a_restart_and_a_power_cut", again),
];

const PATIENCE: Duration = Duration::from_secs(20);
/// How long somebody is waited for who may still be booting: then it is called anew, since a call that is repeated by
/// the kernel is so ever more seldom.
const GLANCE: Duration = Duration::from_secs(3);
/// The guest's echo, and its relay: see deploy/guest/build.
pub(super) const ECHO: u16 = 7;
const RELAY: u16 = 14;
/// Where a server reaches the node that it is on.
const NODE: &str = "169.254.169.254";

/// A connection from one server to another's echo port, held by the relay of the first.
pub(super) struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    /// With so long for every word of it.
    pub(super) fn begin(stage: &Stage, from: &str, to: &str, patience: Duration) -> anyhow::Result<Self> {
        Self::relayed(stage, from, &stage.address(to)?, ECHO, patience)
    }

    /// Comes in by the node that runs `from`, since nothing else reaches a private network.
    fn relayed(stage: &Stage, from: &str, to: &str, port: u16, patience: Duration) -> anyhow::Result<Self> {
        let relay: SocketAddr = format!("{}:{RELAY}", stage.address(from)?).parse()?;
        let node = stage.node_of(from)?;
        let connected = stage.lab.within(&node, || Ok(TcpStream::connect_timeout(&relay, patience)?));
        let mut stream = connected.with_context(|| format!("{from} is not reached from {node}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        writeln!(stream, "{to} {port}")?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Says a word and waits until it comes back.
    pub(super) fn echo(&mut self, word: &str) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        writeln!(self.stream.get_mut(), "{word}")?;
        let mut line = String::new();
        self.stream.read_line(&mut line).context("no echo")?;
        ensure!(line.trim_end() == word, "{word:?} came back as {line:?}");
        Ok(begun.elapsed())
    }
}

impl Stage {
    pub(crate) fn overlay(&self, name: &str, subnet: &str) -> anyhow::Result<()> {
        if self.show("network", name).is_err() {
            let (cidr, range) = (format!("{subnet}.0/24"), format!("{subnet}.10-{subnet}.99"));
            self.watari(&["network", "create", name, "--overlay", "--cidr", &cidr, "--range", &range])?;
        }
        Ok(())
    }

    /// A small server at a site, made if it is not there yet.
    pub(crate) fn server_at(&self, name: &str, network: &str, site: &str) -> anyhow::Result<()> {
        if self.show("vm", name).is_err() {
            let who = ["vm", "create", name, "--image", "mini", "--network", network, "--site", site];
            self.watari(&[&who[..], &["--memory", "128MiB", "--disk", "1GiB", "--wait"]].concat())?;
        }
        Ok(())
    }

    /// `near` and `far` on the network `lab`, one on each campus, and in conversation.
    pub(super) fn neighbours(&self) -> anyhow::Result<Talk> {
        self.overlay("lab", "10.1.0")?;
        self.server_at("near", "lab", "myodaiji")?;
        self.server_at("far", "lab", "yamate")?;
        self.until_talking("near", "far")
    }

    pub(super) fn until_talking(&self, from: &str, to: &str) -> anyhow::Result<Talk> {
        until_some(180, &format!("{from} reaches {to}"), || {
            let mut talk = Talk::begin(self, from, to, GLANCE)?;
            talk.echo("hello")?;
            talk.stream.get_ref().set_read_timeout(Some(PATIENCE))?;
            Ok(Some(talk))
        })
    }

    /// A public address that leads to a server.
    pub(crate) fn public_address(&self, vm: &str) -> anyhow::Result<String> {
        if self.show("network", "outside").is_err() {
            let range = ["--cidr", "203.0.113.0/24", "--range", "203.0.113.240-203.0.113.243"];
            self.watari(&[&["network", "create", "outside", "--provider", "--public"], &range[..]].concat())?;
        }
        let taken = self.watari(&["address", "allocate", "outside"])?;
        let address = taken["address"].as_str().context("no address")?.to_owned();
        self.watari(&["address", "associate", &address, vm])?;
        Ok(address)
    }

    /// What the metadata address answers a server: the status and the text.
    fn metadata(&self, vm: &str, question: &str, header: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = Talk::relayed(self, vm, NODE, 80, PATIENCE)?.stream;
        write!(stream.get_mut(), "{question} HTTP/1.1\r\nHost: metadata\r\n{header}\r\n\r\n")?;
        answer::read(&mut stream)
    }

    /// The address that a name server tells a server for a name, by the server's relay (RFC 1035, section 4).
    pub(super) fn resolved(&self, vm: &str, server: &str, name: &str) -> anyhow::Result<Ipv4Addr> {
        let mut stream = Talk::relayed(self, vm, server, 53, PATIENCE)?.stream;
        let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            question.push(u8::try_from(label.len())?);
            question.extend(label.bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        let length = u16::try_from(question.len())?.to_be_bytes();
        stream.get_mut().write_all(&[&length[..], &question].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).with_context(|| format!("{server} tells {vm} nothing of {name}"))?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        let found = answer.len() > question.len() && answer[3] & 0x0f == 0 && answer[7] > 0;
        ensure!(found, "{server} tells {vm} that there is no {name}: {answer:?}");
        Ok(Ipv4Addr::from(<[u8; 4]>::try_from(&answer[answer.len() - 4..])?))
    }

    /// A network's links on a node, and what its tunnel knows, in an order of its own.
    fn laid(&self, node: &str, network: &str) -> anyhow::Result<Vec<String>> {
        let vni = self.show("network", network)?["overlay"]["vni"].as_u64().context("no VNI")?;
        let (bridge, tunnel) = (format!("wb{vni:06x}"), format!("wx{vni:06x}"));
        let on = |command: &[&str]| self.lab.run(&[&["exec", node, "--"], command].concat());
        let mut lines: Vec<String> = Vec::new();
        for link in [&bridge, &tunnel] {
            lines.push(on(&["cat", &format!("/sys/class/net/{link}/ifalias")])?);
            lines.push(on(&["cat", &format!("/sys/class/net/{link}/mtu")])?);
        }
        let tables = [
            on(&["bridge", "fdb", "show", "dev", &tunnel])?,
            on(&["ip", "neigh", "show", "dev", &tunnel])?,
            on(&["ip", "-brief", "addr", "show", "dev", &bridge])?,
        ];
        // A link's own MAC is new with each link.
        let lasting = tables.iter().flat_map(|table| table.lines()).filter(|line| !line.contains(" permanent"));
        lines.extend(lasting.map(str::to_owned));
        lines.sort();
        Ok(lines)
    }
}

/// Echoes until `over`, and gives the longest time that one took.
fn keep_talking(talk: &mut Talk, over: &AtomicBool) -> anyhow::Result<Duration> {
    let mut longest = Duration::ZERO;
    for n in 0_u64.. {
        longest = longest.max(talk.echo(&format!("word {n}"))?);
        if over.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(longest)
}

fn spans(stage: &Stage) -> anyhow::Result<()> {
    let mut talk = stage.neighbours()?;
    ensure!(stage.node_of("near")?.starts_with('m') && stage.node_of("far")?.starts_with('y'), "not on two campuses");
    let public = stage.public_address("far")?;
    stage.until_page(&public, 30)?;
    let boot = stage.boot_id(&public)?;
    // To the other campus, onto the neighbour's own node if that is where it fits, and back.
    for _ in 0..2 {
        let to = stage.other_side("far")?;
        let over = AtomicBool::new(false);
        let longest = std::thread::scope(|scope| {
            let talking = scope.spawn(|| keep_talking(&mut talk, &over));
            let moved = stage.watari(&["vm", "migrate", "far", "--to", to, "--wait"]);
            over.store(true, Ordering::Relaxed);
            let longest = talking.join().map_err(|_| anyhow::anyhow!("the talk fell"))?;
            moved.and(longest)
        })?;
        let last = stage.watari(&["migration", "list", "--vm", "far", "--limit", "1"])?;
        println!("far to {to}: the longest echo took {longest:?}; {last}");
        ensure!(stage.node_of("far")? == to, "it is not on {to}");
        until(10, "its public address has moved with it", || Ok(stage.boot_id(&public)? == boot))?;
    }
    talk.echo("the same connection")?;
    stage.refused("consent.needed", &["address", "release", &public])?;
    stage.watari(&["address", "release", &public, "--yes"])?;
    until(5, "its public address leads nowhere", || Ok(stage.page(&public, "/uptime").is_err()))?;
    stage.watari(&["network", "delete", "outside", "--yes"])?;
    Ok(())
}

/// Names of neighbours are told on either campus: on an overlay network by its gateway, on the campus's own by the node.
fn names(stage: &Stage) -> anyhow::Result<()> {
    drop(stage.neighbours()?);
    let gateway = stage.show("network", "lab")?["gateway"].as_str().context("no gateway")?.to_owned();
    for (vm, other) in [("near", "far"), ("far", "near")] {
        let told = stage.resolved(vm, &gateway, &format!("{other}.lab.watari.internal"))?;
        ensure!(told.to_string() == stage.address(other)?, "{other} is at {told}, as {vm} is told");
    }
    // The client is the way out.
    let gateway = doors::on_campus(&stage.lab, "client")?;
    let range = ["--cidr", "203.0.113.0/24", "--range", "203.0.113.236-203.0.113.239", "--gateway", &gateway];
    let made = stage.watari(&[&["network", "create", "named", "--provider"], &range[..]].concat())?;
    ensure!(made["dns"][0] == NODE, "the node is not its name server: {made}");
    for vm in ["asker", "asked"] {
        stage.create(vm, "named", &[])?;
        stage.until_page(&stage.address(vm)?, 120)?;
    }
    let address = stage.address("asked")?;
    let is_told = || -> anyhow::Result<()> {
        let told = stage.resolved("asker", NODE, "asked.named.watari.internal")?;
        ensure!(told.to_string() == address, "asked is at {told}");
        Ok(())
    };
    is_told()?;
    // Told by another node, and of one that runs elsewhere.
    stage.watari(&["vm", "migrate", "asker", "--to", stage.other_side("asker")?, "--wait"])?;
    is_told()?;
    for vm in ["asker", "asked"] {
        stage.watari(&["vm", "delete", vm, "--yes", "--wait"])?;
    }
    stage.watari(&["network", "delete", "named", "--yes"])?;
    Ok(())
}

fn who_it_is(stage: &Stage) -> anyhow::Result<()> {
    drop(stage.neighbours()?);
    let question = "GET /latest/meta-data/instance-id";
    let token = |vm: &str| -> anyhow::Result<String> {
        let asked = ("PUT /latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60");
        let (status, token) = stage.metadata(vm, asked.0, asked.1)?;
        ensure!(status == 200, "{vm} is given no token: {status}");
        Ok(format!("X-aws-ec2-metadata-token: {token}"))
    };
    for vm in ["near", "far"] {
        let uuid = stage.show("vm", vm)?["uuid"].as_str().context("no uuid")?.to_owned();
        let told = stage.metadata(vm, question, &token(vm)?)?;
        ensure!(told == (200, uuid), "{vm} is told {told:?}");
    }
    let others = stage.metadata("far", question, &token("near")?)?;
    ensure!(others.0 == 401, "a neighbour's token is good for {others:?}");
    Ok(())
}

fn again(stage: &Stage) -> anyhow::Result<()> {
    let mut talk = stage.neighbours()?;
    let node = stage.node_of("far")?;
    let before = stage.laid(&node, "lab")?;
    stage.lab.run(&["kill", &node, "watari-node-agent", "KILL"])?;
    stage.until_nodes_ready()?;
    talk.echo("after the agent")?;
    ensure!(stage.laid(&node, "lab")? == before, "after the agent's restart: {:?}", stage.laid(&node, "lab"));

    stage.lab.run(&["power-off", &node])?;
    stage.lab.run(&["power-on", &node])?;
    stage.until_nodes_ready()?;
    until(60, "the node has laid its network again", || Ok(stage.laid(&node, "lab")? == before))?;
    if stage.show("vm", "far")?["state"] != "running" {
        stage.watari(&["vm", "start", "far", "--wait"])?;
    }
    drop(stage.until_talking("near", "far")?);
    // Nothing of a network stays where its last server was.
    for vm in ["near", "far"] {
        stage.watari(&["vm", "delete", vm, "--yes", "--wait"])?;
    }
    stage.watari(&["network", "delete", "lab", "--yes"])?;
    for node in NODES {
        let links = stage.lab.run(&["exec", node, "--", "ip", "-brief", "link"])?;
        ensure!(!links.contains("wb00") && !links.contains("wx00"), "left on {node}: {links}");
    }
    Ok(())
}
