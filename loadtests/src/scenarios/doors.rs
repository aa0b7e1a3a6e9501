//! What listens on the hosts, and what it says to whoever knocks without a key; and the lab's own command.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    process::{Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with,
        sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout},
    },
};
use serde_json::Value;

use super::Stage;
use crate::lab::Lab;

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] = &[
    ("nothing_listens_beyond_the_loopback_but_what_is_encrypted", listeners),
    ("libvirt_hears_nobody_without_a_certificate", libvirt),
    ("a_crossing_shows_nothing_of_the_server_to_the_wire", crossing),
    ("what_is_typed_at_the_client_finds_the_cloud_whatever_was_set_before", typed_at_client),
    ("up_changes_nothing_of_a_lab_that_is_up_but_its_links_rate", up_again),
];

/// Hosts, and the ports on which they may be called: TCP, then UDP. Nodes serve names and addresses to
/// their guests (53, 67 and 547; 16926 for names on provider networks), tell them who they are (16925) and carry overlay
/// networks (4789): the plain ones, and all of them for guests.
const DOORS: [(&[&str], &[u16], &[u16]); 4] = [
    (&["m-front", "y-front"], &[4222, 6222, 8443, 8444], &[]),
    (&["witness"], &[4222, 6222], &[]),
    (&["m1", "m2", "y1", "y2"], &[53, METADATA, RESOLVER, 16_514], &[53, 67, 547, 4789, RESOLVER]),
    (&["client"], &[], &[]),
];
/// DNS is spoken to guests as they know it.
const NAMES: u16 = 53;
/// Where a node tells its own servers who they are, once it has some. Nobody else gets through to it.
const METADATA: u16 = 16_925;
/// Where it tells them names on provider networks, likewise.
const RESOLVER: u16 = 16_926;
/// What a plain NATS client or a browser would say.
const KNOCKS: [&str; 2] = ["CONNECT {\"verbose\":true}\r\nPING\r\n", "GET /healthz HTTP/1.0\r\n\r\n"];
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a host's processes listen beyond its own loopback.
fn doors(lab: &Lab, host: &str, kind: &str) -> anyhow::Result<Vec<(String, u16)>> {
    let told = lab.run(&["exec", host, "--", "ss", "-H", "-l", "-n", kind])?;
    let mut found = Vec::new();
    for line in told.lines() {
        let local = line.split_whitespace().nth(3).with_context(|| format!("ss says {line:?}"))?;
        let (address, port) = local.rsplit_once(':').with_context(|| format!("no port in {local}"))?;
        // "%" leads in the interface to which a socket is bound.
        let address = address.split('%').next().unwrap_or_default();
        if !address.starts_with("127.") && address != "[::1]" {
            found.push((address.to_owned(), port.parse()?));
        }
    }
    Ok(found)
}

/// The host's address on the management network.
fn address_of(lab: &Lab, host: &str) -> anyhow::Result<String> {
    let told = lab.run(&["exec", "client", "--", "getent", "ahostsv4", host])?;
    told.split_whitespace().next().map(str::to_owned).with_context(|| format!("{host} has no address"))
}

/// The host's address on the campus network, which is that of its guests as well.
pub(super) fn on_campus(lab: &Lab, host: &str) -> anyhow::Result<String> {
    let told = lab.run(&["exec", host, "--", "ip", "-4", "-br", "address", "show", "to", "203.0.113.0/24"])?;
    let address = told.split_whitespace().nth(2).and_then(|address| address.split('/').next());
    address.map(str::to_owned).with_context(|| format!("{host} is not on the campus network"))
}

fn listeners(stage: &Stage) -> anyhow::Result<()> {
    let lab = &stage.lab;
    for (hosts, tcp, udp) in DOORS {
        for host in hosts {
            for (address, port) in doors(lab, host, "-u")? {
                ensure!(udp.contains(&port), "{host} listens on UDP {address}:{port}");
            }
            let open = doors(lab, host, "-t")?;
            for port in tcp.iter().filter(|port| ![NAMES, METADATA, RESOLVER].contains(port)) {
                ensure!(open.iter().any(|(_, p)| p == port), "nothing listens on {host}'s port {port}: {open:?}");
            }
            for (address, port) in open {
                ensure!(tcp.contains(&port), "{host} listens on TCP {address}:{port}");
                if [METADATA, RESOLVER].contains(&port) {
                    // Nobody beside the node's own servers comes through.
                    for address in [address_of(lab, host)?, on_campus(lab, host)?] {
                        ensure!(!stage.is_open(&address, port)?, "{host}'s {address}:{port} lets a stranger in");
                    }
                } else if port != NAMES {
                    let whole = address == "0.0.0.0" || address == "*" || address == "[::]";
                    let address = if whole { address_of(lab, host)? } else { address };
                    shut_to_plain_text(lab, &format!("{address}:{port}"))?;
                }
            }
        }
    }
    Ok(())
}

/// Knocks in plain text and expects nothing but to be told to encrypt, or nothing at all.
fn shut_to_plain_text(lab: &Lab, door: &str) -> anyhow::Result<()> {
    let to: SocketAddr = door.parse()?;
    for knock in KNOCKS {
        let said = lab.within("client", || {
            let mut stream = TcpStream::connect_timeout(&to, PATIENCE).with_context(|| format!("no way to {door}"))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(knock.as_bytes())?;
            // What came before the other side hung up counts.
            let mut said = Vec::new();
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut said);
            Ok(String::from_utf8_lossy(&said).into_owned())
        })?;
        let served = ["+OK", "PONG", "HTTP/1"].iter().any(|word| said.contains(word));
        ensure!(!served, "{door} answers plain text: {said:?}");
        ensure!(
            !said.starts_with("INFO") || said.contains("\"tls_required\":true"),
            "{door} asks for no TLS: {said:?}"
        );
    }
    Ok(())
}

/// The byte by which libvirt tells a caller that its certificate was accepted (`virNetTLSContext`).
const ACCEPTED: char = '\u{1}';

/// Makes a certificate for this node's name that no authority of the cluster has signed; it goes with the shell.
const FOREIGN: &str = "d=$(mktemp -d) && trap 'rm -r \"$d\"' EXIT && \
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=y1 -days 1 -keyout \"$d/key\" -out \"$d/crt\" 2>/dev/null &&";

fn libvirt(stage: &Stage) -> anyhow::Result<()> {
    let call = |before: &str, certificate: &str| {
        let caller = format!("openssl s_client -quiet -connect m1:16514 {certificate} 2>/dev/null");
        // The standard input stays open for as long as an answer may take.
        let line = format!("{before} {{ sleep 3 | timeout 3 {caller}; true; }}");
        stage.lab.run(&["exec", "y1", "--", "sh", "-c", &line])
    };
    thread::scope(|scope| {
        let stranger = scope.spawn(|| call("", ""));
        let foreigner = scope.spawn(|| call(FOREIGN, "-cert \"$d/crt\" -key \"$d/key\""));
        let own = call("", "-cert /etc/pki/libvirt/clientcert.pem -key /etc/pki/libvirt/private/clientkey.pem")?;
        ensure!(own.contains(ACCEPTED), "a node is not let in with its own certificate: {own:?}");
        let none = stranger.join().map_err(|_| anyhow::anyhow!("the stranger fell"))??;
        ensure!(none.is_empty(), "libvirt answers a caller without a certificate: {none:?}");
        let foreign = foreigner.join().map_err(|_| anyhow::anyhow!("the foreigner fell"))??;
        ensure!(foreign.is_empty(), "libvirt answers a caller with a certificate of another authority: {foreign:?}");
        Ok(())
    })
}

/// What the mail of the next scenario is full of, so that it is in the server's memory and on its disk.
const MARK: &str = "watari-not-for-the-wire-5b1f";
/// A server of this size sends more than this.
const LEAST: usize = 8 << 20;
/// How fast it is listened to, in Mbit/s, and for how long at most.
const EAR_MBIT: u64 = 200;
const LISTENING: Duration = Duration::from_secs(180);

fn crossing(stage: &Stage) -> anyhow::Result<()> {
    let lab = &stage.lab;
    let server = stage.address("mail")?;
    let text = format!("{MARK}\n").repeat(2_000);
    lab.run(&[
        "exec",
        "client",
        "--",
        "swaks",
        "--silent",
        "2",
        "--to",
        "desk@mail.test",
        "--server",
        &server,
        "--body",
        &text,
    ])?;
    super::until(30, "the mail is in the mailbox", || Ok(stage.page(&server, "/mbox")?.contains(MARK)))?;
    let (from, to) = (stage.node_of("mail")?, stage.other_side("mail")?);
    let target = address_of(lab, to)?;
    thread::scope(|scope| {
        let ear = scope.spawn(|| lab.within(&from, listen));
        // Whoever listens must not lose what a faster link brings.
        let moved = stage.at_rate(EAR_MBIT, |stage| stage.watari(&["vm", "migrate", "mail", "--to", to, "--wait"]));
        // Said last, so that what is heard of it shows that the ear heard plain text all the while.
        let told = super::until(60, "the ear hears what is sent in plain text", || {
            lab.within(&from, || {
                UdpSocket::bind("0.0.0.0:0")?.send_to(format!("control {MARK}").as_bytes(), format!("{target}:9"))?;
                Ok(())
            })?;
            Ok(ear.is_finished())
        });
        moved?;
        told?;
        let heard = ear.join().map_err(|_| anyhow::anyhow!("the ear fell"))??;
        ensure!(heard.bytes > LEAST, "only {} bytes were heard of the crossing", heard.bytes);
        ensure!(heard.marks == 0, "{} packets of the crossing show what is in the server", heard.marks);
        Ok(())
    })
}

#[derive(Default)]
struct Heard {
    bytes: usize,
    marks: usize,
}

/// Hears every packet of the host's network until what is said last. It is never silent there for long, where other
/// servers run.
fn listen() -> anyhow::Result<Heard> {
    let (socket, until) = (ear()?, Instant::now() + LISTENING);
    let (mut packet, mut heard) = (vec![0_u8; 1 << 16], Heard::default());
    let has = |packet: &[u8], what: &[u8]| packet.windows(what.len()).any(|window| window == what);
    loop {
        ensure!(Instant::now() < until, "nothing was heard in plain text");
        match recv(&socket, packet.as_mut_slice(), RecvFlags::empty()) {
            Ok((_, length)) => {
                let packet = packet.get(..length).unwrap_or_default();
                heard.bytes += length;
                if has(packet, MARK.as_bytes()) {
                    if has(packet, format!("control {MARK}").as_bytes()) {
                        return Ok(heard);
                    }
                    heard.marks += 1;
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A socket that hears everything (packet(7): the protocol is in the network's byte order).
fn ear() -> anyhow::Result<OwnedFd> {
    const ETH_P_ALL: u16 = 3;
    let everything = std::num::NonZeroU32::new(u32::from(ETH_P_ALL.to_be())).map(Protocol::from_raw);
    let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::CLOEXEC, everything)?;
    set_socket_recv_buffer_size_force(&socket, 64 << 20)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(200)))?;
    Ok(socket)
}

/// By the lab's own script, which scenarios go past.
fn typed_at_client(stage: &Stage) -> anyhow::Result<()> {
    let lab = &stage.lab;
    let typed = |words: &[&str]| -> anyhow::Result<Output> {
        let mut script = lab.script(&[&["exec", "client", "--"], words].concat());
        script.env("WATARI_NATS", "nats://192.0.2.1:4222").env_remove("WATARI_NKEY").stdin(Stdio::null());
        Ok(script.output()?)
    };
    let listed = typed(&["watari", "node", "list", "-o", "name"])?;
    ensure!(listed.status.success(), "it ends so: {}", String::from_utf8_lossy(&listed.stderr));
    ensure!(typed(&["sh", "-c", "exit 7"])?.status.code() == Some(7), "the exit status is another one");
    let settings = ["printenv", "WATARI_NATS", "WATARI_NKEY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"];
    let set = String::from_utf8(typed(&settings)?.stdout)?;
    let entered = lab.run(&[&["exec", "client", "--"], &settings[..]].concat())?;
    ensure!(set == entered && set.lines().count() == 4, "scenarios find {entered:?} there, and people {set:?}");
    Ok(())
}

fn up_again(stage: &Stage) -> anyhow::Result<()> {
    let lab = &stage.lab;
    let rate = || -> anyhow::Result<Option<u64>> {
        let status: Value = serde_json::from_str(&lab.run(&["status", "--json"])?)?;
        Ok(status["link_mbit"].as_u64())
    };
    stage.at_rate(200, |_| {
        lab.run(&["up"])?;
        ensure!(rate()? == Some(200), "the links have another rate");
        lab.run(&["up", "--link-mbit", "0"])?;
        ensure!(rate()? == Some(0), "the limit is still there");
        Ok(())
    })?;
    // Who runs no services has no log of theirs.
    lab.run(&["logs", "client"])?;
    Ok(())
}
