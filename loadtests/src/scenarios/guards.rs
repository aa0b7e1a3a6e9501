//! What guests and strangers try, and what the nodes let them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use super::{Stage, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("a_guest_that_takes_anothers_address_is_silent", another_address),
    ("a_guarded_server_is_reached_as_its_group_says_and_nobody_else", guarded),
    ("a_change_of_rules_is_felt_within_a_second", felt),
    ("rules_and_open_connections_move_with_the_server", moved),
    ("a_group_that_a_server_names_is_not_deleted", in_use),
];

/// An address of the campus that nobody has.
const NOBODYS: &str = "203.0.113.222";
/// Where the client hears what guests send.
const LISTENER: &str = "203.0.113.10:7778";
/// How long a call is waited for that must not come about.
const SHUT: Duration = Duration::from_millis(700);
/// The same where the time until a change is measured.
const GLANCE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(20);

impl Stage {
    pub(super) fn call(&self, address: &str, port: u16, within: Duration) -> anyhow::Result<TcpStream> {
        let to: SocketAddr = format!("{address}:{port}").parse()?;
        self.lab.within("client", || Ok(TcpStream::connect_timeout(&to, within)?))
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
    pub(super) fn ask_guest(&self, address: &str, line: &str) -> anyhow::Result<String> {
        let mut stream = self.call(address, 13, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{line}")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
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
    stage.until_open(&own, 13)?;
    let listener = stage.lab.within("client", || Ok(UdpSocket::bind(LISTENER)?))?;
    listener.set_read_timeout(Some(PATIENCE))?;
    let answer = stage.ask_guest(&own, &format!("claim {NOBODYS}"))?;
    ensure!(answer == "done", "the guest did not try: {answer}");
    // What was sent first and is not heard first was not let through.
    let mut packet = [0; 16];
    let (length, from) = listener.recv_from(&mut packet).context("nothing at all was heard of the guest")?;
    let said = String::from_utf8_lossy(&packet[..length]).trim().to_owned();
    ensure!((said.as_str(), from.ip().to_string()) == ("truth", own.clone()), "heard {said:?} from {from}");
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
    stage.until_open(&mail, 13)?;
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

fn in_use(stage: &Stage) -> anyhow::Result<()> {
    stage.guarded()?;
    stage.refused("firewall.in-use", &["firewall", "delete", "smtp", "--yes"])?;
    stage.refused("firewall.unknown", &["vm", "create", "x", "--image", "mini", "--firewall", "nothing"])?;
    stage.refused("firewall.bad-rule", &["firewall", "allow", "smtp", "in", "icmp", "8"])?;
    stage.watari(&["vm", "delete", "guarded", "--yes", "--wait"])?;
    stage.watari(&["firewall", "delete", "smtp", "--yes"])?;
    Ok(())
}
