//! Guests of two networks, on one node, try to reach each other, to pass for each other, and to hear what the others say.

use std::{
    io::{BufRead, BufReader},
    net::{TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use super::{
    Stage,
    doors::on_campus,
    guards::{ACCOMPLICE, CLIENT, Listener},
    network::{ECHO, Talk},
    segment::CAMPUS,
    until,
};

/// A server of the overlay network beside that of `near` and `far`.
const ALONE: &str = "alone";
const ISLE: &str = "isle";
/// The port at which a guest that listens is told to stop. Nobody is there.
const STOP: u16 = 9;
/// How often everybody says something while others listen.
const WORDS: usize = 20;
const GLANCE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(20);

/// A guest, and the host that reaches it: nothing but its node reaches one on an overlay network.
struct Guest<'s> {
    stage: &'s Stage,
    vm: &'static str,
    address: String,
    host: String,
}

impl<'s> Guest<'s> {
    fn on_campus(stage: &'s Stage, vm: &'static str) -> anyhow::Result<Self> {
        Ok(Self { stage, vm, address: stage.address(vm)?, host: "client".to_owned() })
    }

    fn on_overlay(stage: &'s Stage, vm: &'static str) -> anyhow::Result<Self> {
        Ok(Self { stage, vm, address: stage.address(vm)?, host: stage.node_of(vm)? })
    }

    fn asked(&self, line: &str) -> anyhow::Result<String> {
        let asked = self.stage.ask_from(&self.host, &self.address, line);
        Ok(asked.with_context(|| format!("{} is asked to {line}", self.vm))?.0)
    }

    fn does(&self, line: &str) -> anyhow::Result<()> {
        let answer = self.asked(line)?;
        ensure!(answer == "done", "{} did not {line}: {answer}", self.vm);
        Ok(())
    }
}

/// How the accomplice in one guest tries to reach another: by TCP and by ICMP.
fn ways(to: &str) -> [String; 2] {
    [format!("call {to} {ECHO}"), format!("ping {to}")]
}

pub(super) fn apart(stage: &Stage) -> anyhow::Result<()> {
    let mut talk = stage.neighbours()?;
    stage.overlay(ISLE, "10.2.0")?;
    stage.server_at(ALONE, ISLE, "myodaiji")?;
    // Its programs are up when it reaches itself.
    drop(stage.until_talking(ALONE, ALONE)?);
    // There is the least between them on one node.
    let node = stage.node_of("near")?;
    for vm in [ALONE, "mail"] {
        if stage.node_of(vm)? != node {
            stage.watari(&["vm", "migrate", vm, "--to", &node, "--wait"])?;
        }
    }
    let boot = stage.boot_id(&stage.address("mail")?)?;
    let outcome = strangers(stage, &node, &mut talk);
    let cleared = stage.watari(&["vm", "delete", ALONE, "--yes", "--wait"]);
    outcome.and(cleared.and_then(|_| stage.watari(&["network", "delete", ISLE, "--yes"])))?;
    stage.sound("mail", &boot)
}

fn strangers(stage: &Stage, node: &str, talk: &mut Talk) -> anyhow::Result<()> {
    let overlay = |vm| Guest::on_overlay(stage, vm);
    let (near, far, alone) = (overlay("near")?, overlay("far")?, overlay(ALONE)?);
    let mail = Guest::on_campus(stage, "mail")?;
    until_accomplices(&[&near, &far, &alone, &mail])?;
    let router = on_campus(&stage.lab, node)?;
    reach(&near, &far, &alone, &mail, &router)?;
    talk.echo("nobody came between").context("after they tried to reach each other")?;
    pass(&[(&alone, &near), (&alone, &mail), (&mail, &near)])?;
    talk.echo("nobody was believed").context("after they took each other's addresses")?;
    hear(&near, &alone, &mail, talk)
}

fn until_accomplices(guests: &[&Guest<'_>]) -> anyhow::Result<()> {
    for guest in guests {
        let up = || Ok(guest.stage.call_from(&guest.host, &guest.address, ACCOMPLICE, GLANCE).is_ok());
        until(60, &format!("the accomplice in {} is up", guest.vm), up)?;
    }
    Ok(())
}

/// What is allowed is tried as well, and shows that the trying is in earnest.
fn reach(near: &Guest<'_>, far: &Guest<'_>, alone: &Guest<'_>, mail: &Guest<'_>, router: &str) -> anyhow::Result<()> {
    let until_open = |from: &Guest<'_>, line: &str| {
        until(60, &format!("{} can {line}", from.vm), || Ok(from.asked(line)? == "open"))
    };
    for line in ways(&far.address) {
        until_open(near, &line)?;
    }
    until_open(mail, &format!("ping {router}"))?;
    // The campus has no way to private networks; the node that both are on would be one.
    for private in [near, alone] {
        mail.does(&format!("way {} {router}", private.address))?;
    }
    // All at once, since each waits for an answer that must not come.
    let pairs = [(alone, near), (near, alone), (alone, far), (mail, near), (mail, alone)];
    let tried = thread::scope(|scope| {
        let trying = pairs.map(|(from, to)| scope.spawn(move || shut(from, to)));
        trying.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("who tried fell"))?)
    });
    for private in [near, alone] {
        mail.does(&format!("way {}", private.address))?;
    }
    tried
}

fn shut(from: &Guest<'_>, to: &Guest<'_>) -> anyhow::Result<()> {
    for line in ways(&to.address) {
        let answer = from.asked(&line)?;
        ensure!(answer == "shut", "{}, on another network than {}, is asked to {line}: {answer}", from.vm, to.vm);
    }
    Ok(())
}

/// The first of each takes the address of the second for a moment.
fn pass(pairs: &[(&Guest<'_>, &Guest<'_>)]) -> anyhow::Result<()> {
    for (from, whose) in pairs {
        let (stage, route) = (from.stage, format!("{}/32", whose.address));
        let listener = Listener::at(stage, CLIENT)?;
        // A host that knows no way back may not heed what comes from there; this one shall.
        stage.client(&["ip", "route", "replace", &route, "dev", CAMPUS])?;
        let heard = from.does(&format!("claim {}", whose.address)).and_then(|()| listener.hears());
        stage.client(&["ip", "route", "del", &route, "dev", CAMPUS])?;
        let (said, at) = heard?;
        ensure!(said == "truth", "{} passes for {}: {said:?} is heard from {at}", from.vm, whose.vm);
    }
    Ok(())
}

/// A guest that listens to its wire until it is told to stop.
struct Ear<'s> {
    guest: &'s Guest<'s>,
    says: BufReader<TcpStream>,
}

impl<'s> Ear<'s> {
    fn open(guest: &'s Guest<'s>) -> anyhow::Result<Self> {
        let (answer, says) = guest.stage.ask_from(&guest.host, &guest.address, &format!("listen {STOP}"))?;
        ensure!(answer == "listening", "{} does not listen: {answer}", guest.vm);
        says.get_ref().set_read_timeout(Some(GLANCE))?;
        Ok(Self { guest, says })
    }

    /// How many frames it has heard that were for others, and how many for itself, that which told it to stop included.
    fn close(mut self) -> anyhow::Result<(u64, u64)> {
        let Guest { stage, vm, address, host } = self.guest;
        let teller = stage.lab.within(host, || Ok(UdpSocket::bind("0.0.0.0:0")?))?;
        let mut told = String::new();
        until(PATIENCE.as_secs(), &format!("{vm} hears that it is to stop"), || {
            teller.send_to(b"enough", (address.as_str(), STOP))?;
            self.says.read_line(&mut told)?;
            Ok(told.ends_with('\n'))
        })?;
        let words: Vec<&str> = told.split_whitespace().collect();
        let ["others", others, "own", own] = words.as_slice() else { bail!("{vm} says {told:?}") };
        Ok((others.parse()?, own.parse()?))
    }
}

/// Each listens while all of them talk, on every network.
fn hear(near: &Guest<'_>, alone: &Guest<'_>, mail: &Guest<'_>, talk: &mut Talk) -> anyhow::Result<()> {
    let stage = near.stage;
    let ears = [near, alone, mail].into_iter().map(Ear::open).collect::<anyhow::Result<Vec<_>>>()?;
    let mut isle = Talk::begin(stage, ALONE, ALONE, PATIENCE)?;
    for n in 0..WORDS {
        talk.echo(&format!("between neighbours {n}"))?;
        isle.echo(&format!("on the isle {n}"))?;
        stage.page(&mail.address, "/uptime")?;
    }
    for ear in ears {
        let vm = ear.guest.vm;
        let (others, own) = ear.close()?;
        ensure!(own > 0, "{vm} does not even hear what is for it");
        ensure!(others == 0, "{vm} hears {others} frames that are for others, beside {own} of its own");
    }
    Ok(())
}
