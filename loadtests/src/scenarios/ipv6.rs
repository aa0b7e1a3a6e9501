//! A server that has IPv6 beside IPv4.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, ensure};

use super::{Stage, guards::Listener, segment::CAMPUS, until};

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("a_server_with_ipv6_is_reached_by_it_takes_no_others_address_and_keeps_its_own", both)];

/// An address of the campus that nobody has.
const NOBODYS: &str = "2001:db8:0:1::222";
/// The client's own, at which it hears what guests send.
const CLIENT: &str = "2001:db8:0:1::10";
/// The guest's echo.
const ECHO: u16 = 7;
const PATIENCE: Duration = Duration::from_secs(20);

fn echo(open: &mut TcpStream) -> anyhow::Result<()> {
    open.write_all(b"ping\n")?;
    let mut answer = [0; 5];
    open.read_exact(&mut answer)?;
    ensure!(&answer == b"ping\n", "the echo is {answer:?}");
    Ok(())
}

fn both(stage: &Stage) -> anyhow::Result<()> {
    let subnets =
        ["--cidr", "203.0.113.0/24", "--range", "203.0.113.230-203.0.113.233", "--cidr6", "2001:db8:0:1::/64"];
    stage.watari(&[&["network", "create", "dual", "--provider"], &subnets[..]].concat())?;
    // The first of the range would be drawn, and what goes with it is the client's.
    let strange = ["203.0.113.230", "2001:db8:0:1::cb00:71e6"];
    let alias = format!("{}/64", strange[1]);
    stage.client(&["ip", "addr", "add", &alias, "dev", CAMPUS, "nodad"])?;
    let made = stage.create("dual", "dual", &[]);
    stage.client(&["ip", "addr", "del", &alias, "dev", CAMPUS])?;
    made?;
    let marked = stage.show("network", "dual")?["strangers"].clone();
    let told = [&marked[0]["address"], &marked[0]["address6"]];
    ensure!(told == strange && stage.address("dual")? != strange[0], "marked are {marked}");
    let addresses = stage.show("vm", "dual")?["addresses"].clone();
    let own =
        |n: usize| addresses[n].as_str().map(str::to_owned).with_context(|| format!("no address {n}: {addresses}"));
    let (own, own6) = (own(0)?, own(1)?);
    let place = format!("[{own6}]");
    until(120, "it answers by IPv6", || stage.is_open(&place, ECHO))?;
    let mut open = stage.call(&place, ECHO, PATIENCE)?;
    open.set_read_timeout(Some(PATIENCE))?;
    echo(&mut open)?;

    let listener = Listener::at(stage, CLIENT)?;
    let answer = stage.ask_guest(&own, &format!("claim {NOBODYS} {CLIENT}"))?;
    ensure!(answer == "done", "the guest did not try: {answer}");
    let (said, from) = listener.hears()?;
    ensure!(said == "truth" && from == own6, "heard {said:?} from {from}");

    stage.watari(&["vm", "migrate", "dual", "--to", stage.other_side("dual")?, "--wait"])?;
    echo(&mut open).context("the open connection did not live")?;
    ensure!(stage.is_open(&place, ECHO)?, "it is not found anew");
    ensure!(stage.show("vm", "dual")?["addresses"] == addresses, "it has other addresses");
    stage.watari(&["vm", "delete", "dual", "--yes", "--wait"])?;
    stage.watari(&["network", "delete", "dual", "--yes"])?;
    Ok(())
}
