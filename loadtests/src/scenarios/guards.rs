//! What guests and strangers try, and what the nodes let them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_guest_that_takes_anothers_address_is_silent", another_address),
    ("a_guarded_server_is_reached_as_its_group_says_and_nobody_else", guarded),
    ("a_change_of_rules_is_felt_within_a_second", felt),
    ("rules_and_open_connections_move_with_the_server", moved),
    ("a_node_that_lost_its_agent_rules_dnsmasq_or_power_serves_and_guards_as_before", restored),
    ("a_group_that_a_server_names_is_not_deleted", in_use),
];

/// An address of the campus that nobody has.
const NOBODYS: &str = "203.0.113.222";
/// Where the client hears what guests send.
pub(super) const CLIENT: &str = "203.0.113.10";
const LISTENER: u16 = 7778;
/// A guest's accomplice: see deploy/guest/root/sbin/accomplice.
pub(super) const ACCOMPLICE: u16 = 13;
/// How long a call is waited for that must not come about.
const SHUT: Duration = Duration::from_millis(700);
/// The same where the time until a change is measured.
const GLANCE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(20);

/// Who hears, at an address of the client, what guests say that claim another's.
pub(super) struct Listener(UdpSocket);

impl Listener {
    pub(super) fn at(stage: &Stage, address: &str) -> anyhow::Result<Self> {
        let socket = stage.lab.within("client", || Ok(UdpSocket::bind((address, LISTENER))?))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// The next word, and the address from which it came: "lie" was said before "truth", so that it was not let through if
    /// it is not heard first.
    pub(super) fn hears(&self) -> anyhow::Result<(String, String)> {
        let mut packet = [0; 16];
        let (length, from) = self.0.recv_from(&mut packet).context("nothing at all was heard of the guest")?;
        let said = String::from_utf8_lossy(packet.get(..length).unwrap_or_default()).trim().to_owned();
        Ok((said, from.ip().to_string()))
    }
}

impl Stage {
    pub(super) fn call(&self, address: &str, port: u16, within: Duration) -> anyhow::Result<TcpStream> {
        self.call_from("client", address, port, within)
    }

    pub(super) fn call_from(
        &self,
        host: &str,
        address: &str,
        port: u16,
        within: Duration,
    ) -> anyhow::Result<TcpStream> {
        let to: SocketAddr = format!("{address}:{port}").parse()?;
        self.lab.within(host, || Ok(TcpStream::connect_timeout(&to, within)?))
    }

    /// Whether a call comes about in time. That it does not may be for another reason: ask first for
    /// what must be open.
    pub(super) fn is_open(&self, address: &str, port: u16) -> anyhow::Result<bool> {
        let to: SocketAddr = format!("{address}:{port}").parse()?;
        self.lab.within("client", || Ok(TcpStream::connect_timeout(&to, SHUT).is_ok()))
    }

    fn until_open(&self, address: &str, port: u16) -> anyhow::Result<()> {
        until(120, &format!("{address}:{port} is open"), || self.is_open(address, port))
    }

    /// What a guest's accomplice answers.
    pub(crate) fn ask_guest(&self, address: &str, line: &str) -> anyhow::Result<String> {
        Ok(self.ask_from("client", address, line)?.0)
    }

    /// The same of a guest that is reached from this host, and what more it will say.
    pub(super) fn ask_from(
        &self,
        host: &str,
        address: &str,
        line: &str,
    ) -> anyhow::Result<(String, BufReader<TcpStream>)> {
        let mut stream = self.call_from(host, address, ACCOMPLICE, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{line}")?;
        let (mut answer, mut more) = (String::new(), BufReader::new(stream));
        more.read_line(&mut answer)?;
        Ok((answer.trim().to_owned(), more))
    }

    /// The rules by which a node guards its servers, without what changes in them by itself.
    fn rules(&self, node: &str) -> anyhow::Result<Value> {
        let table = |family: &str| -> anyhow::Result<Value> {
            let told = self.lab.run(&["exec", node, "--", "nft", "-j", "list", "table", family, "watari"])?;
            Ok(serde_json::from_str(&told)?)
        };
        let mut rules = Value::Array(vec![table("bridge")?, table("inet")?]);
        keep_lasting(&mut rules);
        Ok(rules)
    }

    /// The server `guarded` with the group `smtp`, which lets in ports 7, 13 and 25.
    fn guarded(&self) -> anyhow::Result<String> {
        if self.show("firewall", "smtp").is_err() {
            self.watari(&["firewall", "create", "smtp"])?;
            for port in ["7", "13", "25"] {
                self.watari(&["firewall", "allow", "smtp", "in", "tcp", port])?;
            }
        }
        if self.show("vm", "guarded").is_err() {
            self.create("guarded", "campus", &["--firewall", "smtp"])?;
        }
        let address = self.address("guarded")?;
        self.until_open(&address, 25)?;
        Ok(address)
    }
}

fn another_address(stage: &Stage) -> anyhow::Result<()> {
    let own = stage.address("mail")?;
    stage.until_open(&own, ACCOMPLICE)?;
    let listener = Listener::at(stage, CLIENT)?;
    let answer = stage.ask_guest(&own, &format!("claim {NOBODYS}"))?;
    ensure!(answer == "done", "the guest did not try: {answer}");
    let (said, from) = listener.hears()?;
    ensure!(said == "truth" && from == own, "heard {said:?} from {from}");
    let neighbours = stage.lab.run(&["exec", "client", "--", "ip", "neigh", "show", NOBODYS])?;
    ensure!(!neighbours.contains("lladdr"), "the false address was believed: {neighbours}");
    Ok(())
}

fn guarded(stage: &Stage) -> anyhow::Result<()> {
    let (own, mail) = (stage.guarded()?, stage.address("mail")?);
    let banner = {
        let stream = stage.call(&own, 25, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        line
    };
    ensure!(banner.starts_with("220 "), "no mail server: {banner}");
    ensure!(!stage.is_open(&own, 80)?, "port 80 is open without a rule");
    // A server without a group is open.
    stage.until_open(&mail, 80)?;
    // From guest to guest it is the same, and what the guarded one begins is answered.
    stage.until_open(&mail, ACCOMPLICE)?;
    let between = |from: &str, to: &str, port: u16| stage.ask_guest(from, &format!("call {to} {port}"));
    ensure!(between(&mail, &own, 25)? == "open" && between(&mail, &own, 80)? == "shut");
    ensure!(between(&own, &mail, 80)? == "open", "what the guarded server asks is answered");
    Ok(())
}

fn felt(stage: &Stage) -> anyhow::Result<()> {
    let own = stage.guarded()?;
    for (verb, open) in [("allow", true), ("revoke", false)] {
        stage.watari(&["firewall", verb, "smtp", "in", "tcp", "80"])?;
        let began = Instant::now();
        until(5, &format!("{verb} is felt"), || Ok(stage.call(&own, 80, GLANCE).is_ok() == open))?;
        // A look that finds it shut takes its time by itself.
        let looking = if open { Duration::ZERO } else { GLANCE };
        let took = began.elapsed().saturating_sub(looking);
        ensure!(took < Duration::from_secs(1), "{verb} was felt after {} ms", took.as_millis());
    }
    Ok(())
}

fn moved(stage: &Stage) -> anyhow::Result<()> {
    let own = stage.guarded()?;
    let mut open = stage.call(&own, 7, PATIENCE)?;
    open.set_read_timeout(Some(PATIENCE))?;
    let echo = |open: &mut TcpStream| -> anyhow::Result<()> {
        open.write_all(b"ping\n")?;
        let mut answer = [0; 5];
        open.read_exact(&mut answer)?;
        if &answer != b"ping\n" {
            bail!("the echo is {answer:?}");
        }
        Ok(())
    };
    echo(&mut open)?;
    // There and back: the first node still remembers the connection as it was when it left.
    for way in ["out", "home"] {
        let before = stage.lab.copies("guarded");
        let other = stage.other_side("guarded")?;
        stage.watari(&["vm", "migrate", "guarded", "--to", other, "--wait"])?;
        ensure!(stage.lab.copies("guarded") != before, "it did not move");
        echo(&mut open).with_context(|| format!("the open connection did not live on the way {way}"))?;
        stage.until_open(&own, 25)?;
        ensure!(!stage.is_open(&own, 80)?, "a shut port is open on the way {way}");
    }
    Ok(())
}

/// Leaves of a listing of nft what stays the same while nobody changes a rule: counts, handles, the order of elements, and who
/// has just arrived, do not.
fn keep_lasting(listed: &mut Value) {
    match listed {
        Value::Object(fields) => {
            fields.remove("handle");
            fields.remove("counter");
            if fields.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with("arrived")) {
                fields.remove("elem");
            }
            for (name, field) in fields.iter_mut() {
                keep_lasting(field);
                if let (true, Value::Array(elements)) = (["elem", "set"].contains(&name.as_str()), field) {
                    elements.sort_by_key(Value::to_string);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(keep_lasting),
        _ => {}
    }
}

fn restored(stage: &Stage) -> anyhow::Result<()> {
    let (own, mail) = (stage.guarded()?, stage.address("mail")?);
    let node = stage.node_of("guarded")?;
    let on_node = |command: &[&str]| stage.lab.run(&[&["exec", &node, "--"], command].concat());
    let rules = stage.rules(&node)?;
    let as_before = |lost: &str| {
        until(180, &format!("{node} has its rules again after it lost its {lost}"), || Ok(stage.rules(&node)? == rules))
    };
    // The rules go while nobody is there to see it, so that they are there again only once somebody has laid them.
    stage.lab.run(&["stop", &node, "watari-node-agent"])?;
    let delete = |family| on_node(&["nft", "delete", "table", family, "watari"]).map(drop);
    let deleted = delete("bridge").and_then(|()| delete("inet"));
    stage.lab.run(&["start", &node, "watari-node-agent"])?;
    deleted?;
    as_before("agent and its rules")?;

    let served = || stage.lab.pids(&node, "dnsmasq");
    let killed = served();
    ensure!(!killed.is_empty(), "nobody serves addresses on {node}");
    on_node(&["pkill", "-KILL", "-x", "dnsmasq"])?;
    until(60, "somebody serves addresses again", || {
        let served = served();
        Ok(!served.is_empty() && served.iter().all(|pid| !killed.contains(pid)))
    })?;
    // A guest that boots has no address until it is given one.
    stage.watari(&["vm", "reboot", "guarded", "--force", "--wait"])?;
    stage.until_open(&own, 25)?;
    as_before("dnsmasq")?;

    stage.lab.run(&["power-off", &node])?;
    stage.lab.run(&["power-on", &node])?;
    stage.until_nodes_ready()?;
    as_before("power")?;
    // What ran there begins anew, and so may the server that all others use.
    stage.until_open(&own, 25)?;
    stage.until_page(&mail, 180)?;
    ensure!(stage.address("guarded")? == own, "it has another address");
    ensure!(!stage.is_open(&own, 80)?, "port 80 is open without a rule");
    Ok(())
}

fn in_use(stage: &Stage) -> anyhow::Result<()> {
    stage.guarded()?;
    stage.refused("firewall.in-use", &["firewall", "delete", "smtp", "--yes"])?;
    stage.refused("firewall.unknown", &["vm", "create", "x", "--image", "mini", "--firewall", "nothing"])?;
    stage.refused("firewall.bad-rule", &["firewall", "allow", "smtp", "in", "icmp", "8"])?;
    stage.watari(&["vm", "delete", "guarded", "--yes", "--wait"])?;
    stage.watari(&["firewall", "delete", "smtp", "--yes"])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_the_same_whatever_they_have_counted_and_others_are_not() {
        let listed = |handle: u64, packets: u64, taps: [&str; 2], port: u16| {
            let mut listed = json!({"nftables": [
                {"set": {"name": "guarded", "handle": handle, "elem": taps}},
                {"set": {"name": "arrived", "handle": 4, "elem": [{"elem": {"val": "a", "expires": packets}}]}},
                {"rule": {"handle": handle, "expr": [
                    {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": port}},
                    {"counter": {"packets": packets, "bytes": 9}},
                    {"drop": null},
                ]}},
            ]});
            keep_lasting(&mut listed);
            listed
        };
        let before = listed(1, 2, ["wt1", "wt2"], 25);
        assert_eq!(before, listed(7, 9, ["wt2", "wt1"], 25));
        assert_ne!(before, listed(1, 2, ["wt1", "wt2"], 80));
        assert_ne!(before, listed(1, 2, ["wt1", "wt3"], 25));
    }
}
