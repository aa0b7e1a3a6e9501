//! Firewall groups on the taps of two guests.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use watari_contracts::plan::NetworkPlan;
use watari_model::{
    Refusal,
    firewall::{Direction, Peer, Protocol, Rule},
};
use watari_node_agent::plumbing::{Plumbing, Policy};

use super::wire::{CAMPUS, Guest, MAIL, WEB, heard, inside, run, socket};

/// How long a connection is waited for that must not come about. Those that may take milliseconds.
const REFUSED_MS: u64 = 400;

fn rule(direction: Direction, protocol: Protocol, port: Option<&str>, peer: Peer) -> Rule {
    Rule { direction, protocol, ports: port.map(|text| text.parse().unwrap()), peer }
}

pub(super) fn tcp_in(port: &str) -> Rule {
    rule(Direction::In, Protocol::Tcp, Some(port), Peer::Anywhere)
}

/// The groups `mail` (with these rules) and `web` (which `mail` may reach at port 80, and whose servers
/// may reach only port 9000).
pub(super) fn policy(mail: &[Rule]) -> Policy {
    let from_mail = rule(Direction::In, Protocol::Tcp, Some("80-81"), Peer::Group("mail".parse().unwrap()));
    let campus = Peer::Cidr("203.0.113.0/28".parse().unwrap());
    let out = rule(Direction::Out, Protocol::Tcp, Some("9000"), campus);
    Policy {
        groups: [("mail".parse().unwrap(), mail.to_vec()), ("web".parse().unwrap(), vec![from_mail, out])].into(),
        members: [("mail".parse().unwrap(), [MAIL.address.parse().unwrap()].into())].into(),
    }
}

fn listen(machine: &'static str, port: u16) -> TcpListener {
    inside(machine, move || TcpListener::bind(("0.0.0.0", port)).unwrap())
}

fn dial(machine: &'static str, to: &'static str, port: u16, within_ms: u64) -> Option<TcpStream> {
    inside(machine, move || {
        let to = format!("{to}:{port}").parse().unwrap();
        TcpStream::connect_timeout(&to, Duration::from_millis(within_ms)).ok()
    })
}

pub(super) fn reaches(machine: &'static str, to: &'static str, port: u16) -> bool {
    let target = [("203.0.113.10", "campus"), (MAIL.address, "mail"), (WEB.address, "web")];
    let of = target.iter().find(|(address, _)| *address == to).unwrap().1;
    let _listener = listen(of, port);
    // A connection that is let through comes about at once; the bound is for a busy machine.
    dial(machine, to, port, REFUSED_MS).is_some()
}

/// A connection and both its ends.
pub(super) struct Call {
    caller: TcpStream,
    callee: TcpStream,
}

impl Call {
    pub(super) fn make(from: &'static str, of: &'static str, to: &'static str, port: u16) -> Self {
        let listener = listen(of, port);
        let caller = dial(from, to, port, 10_000).unwrap();
        let callee = listener.accept().unwrap().0;
        Self { caller, callee }
    }

    /// Whether what either end says is heard at the other within the time.
    pub(super) fn lives(&mut self, within_ms: u64) -> bool {
        says(&mut self.caller, &mut self.callee, within_ms) && says(&mut self.callee, &mut self.caller, within_ms)
    }

    /// Goes on without this node: more is said than any window holds, past the rules.
    fn goes_on_elsewhere(&mut self) {
        const SAID: usize = 8 << 20;
        let before = switch();
        fs::write(SWITCH, "0").unwrap();
        let (mut caller, callee) = (self.caller.try_clone().unwrap(), &mut self.callee);
        let saying = std::thread::spawn(move || caller.write_all(&vec![b'x'; SAID]).unwrap());
        callee.set_read_timeout(None).unwrap();
        callee.read_exact(&mut vec![0; SAID]).unwrap();
        saying.join().unwrap();
        fs::write(SWITCH, before).unwrap();
    }
}

/// Whether this very message is heard; those before it, which were held up, may come first.
fn says(speaker: &mut TcpStream, hearer: &mut TcpStream, within_ms: u64) -> bool {
    static SAID: AtomicU64 = AtomicU64::new(0);
    let message = SAID.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    speaker.write_all(&message).unwrap();
    hearer.set_read_timeout(Some(Duration::from_millis(within_ms))).unwrap();
    let mut heard = [0; 8];
    loop {
        match hearer.read_exact(&mut heard) {
            Ok(()) if heard == message => return true,
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(super) fn grouped(guest: Guest) -> watari_contracts::agent::Server {
    let mut server = guest.server();
    server.firewalls = vec![guest.name.parse().unwrap()];
    server
}

/// The bridge's own switch of bridge netfilter.
const SWITCH: &str = "/sys/class/net/br-t/bridge/nf_call_iptables";
/// Whether connection tracking does not insist on windows.
const LIBERAL: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

fn switch() -> String {
    read(SWITCH)
}

/// The whole life of two guarded servers. `open` makes an agent as it is after a restart.
pub(crate) async fn hold(open: impl Fn() -> Plumbing) {
    // As on a machine whose bridges nobody filters yet.
    let everywhere = Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
    if everywhere.exists() {
        fs::write(everywhere, "0").unwrap();
    }
    let node = open();
    node.restore(&[]).await;
    node.connect(&MAIL.server()).await.unwrap();
    node.connect(&WEB.server()).await.unwrap();
    assert_eq!(switch(), "0", "a bridge without guarded servers is left alone");
    assert!(reaches("campus", MAIL.address, 26), "a server without a group is open");
    let mut old = Call::make("campus", "mail", MAIL.address, 9100);
    let mut silent = Call::make("campus", "mail", MAIL.address, 9101);
    assert!(old.lives(10_000));

    // Rules that have not come yet may forbid anything.
    node.connect(&grouped(MAIL)).await.unwrap();
    node.connect(&grouped(WEB)).await.unwrap();
    assert_eq!(switch(), "1");
    assert!(!reaches("campus", MAIL.address, 25) && !reaches("mail", CAMPUS, 9000));
    let early = node.expect(&grouped(MAIL)).await;
    assert!(matches!(early, Err(Refusal::FirewallRulesMissing { .. })), "nobody arrives before its rules: {early:?}");

    let ping = rule(Direction::In, Protocol::Icmp, None, Peer::Anywhere);
    node.follow(policy(&[tcp_in("25"), ping.clone()])).await.unwrap();
    assert!(reaches("campus", MAIL.address, 25));
    assert!(!reaches("campus", MAIL.address, 26), "nothing comes in without a rule");
    assert!(reaches("mail", CAMPUS, 9000), "everything may leave without a rule");
    assert!(reaches("mail", WEB.address, 80) && reaches("mail", WEB.address, 81), "a group may be the other end");
    assert!(!reaches("campus", WEB.address, 80) && !reaches("mail", WEB.address, 82));
    assert!(reaches("web", CAMPUS, 9000) && !reaches("web", CAMPUS, 9001), "a rule for out closes the rest");
    run(&format!("ip netns exec campus ping -c 1 -W 5 {}", MAIL.address));
    // What is for all has no address that a rule could name.
    unasked("203.0.113.255", 9002);

    // A connection that this node has not seen begin is only taken up after an arrival.
    assert!(!old.lives(REFUSED_MS), "the middle of a connection that nobody began");
    node.expect(&grouped(MAIL)).await.unwrap();
    assert!(old.lives(10_000), "what was held up comes through");
    // That is all that an arrival opens: whatever begins something is shut as before, and UDP has no middle.
    node.expect(&grouped(WEB)).await.unwrap();
    assert!(!reaches("campus", MAIL.address, 26) && !reaches("web", CAMPUS, 9001), "an arrival opens a shut port");
    unasked(MAIL.address, 9003);

    // Changes are felt at once; what is open stays open.
    let mut open_call = Call::make("campus", "mail", MAIL.address, 25);
    node.follow(policy(&[tcp_in("26")])).await.unwrap();
    assert!(reaches("campus", MAIL.address, 26) && !reaches("campus", MAIL.address, 25));
    assert!(open_call.lives(10_000));
    // It was away and comes back, having gone on without this node.
    assert_eq!(read(LIBERAL), "1");
    open_call.goes_on_elsewhere();
    assert!(open_call.lives(10_000), "this node remembers an older window");

    // A group whose document vanished stays as it was: open to what it let in, shut to the rest.
    let before = policy(&[tcp_in("26")]);
    node.follow(Policy::default()).await.unwrap();
    assert!(reaches("campus", MAIL.address, 26) && !reaches("campus", MAIL.address, 25));
    assert!(reaches("mail", WEB.address, 80) && !reaches("web", CAMPUS, 9001), "and so do those it names");
    let kept = node.with_known_rules(NetworkPlan::default()).await;
    assert_eq!(Policy::from(&kept), before, "also on the disk");
    node.follow(before).await.unwrap();

    // A bridge that somebody made anew is filtered again at the next look.
    fs::write(SWITCH, "0").unwrap();
    assert!(reaches("campus", MAIL.address, 27));
    node.tend().await;
    assert!(!reaches("campus", MAIL.address, 27));

    // Somebody flushes everything; the next look puts it right.
    run("nft flush ruleset");
    assert!(reaches("campus", MAIL.address, 27));
    node.tend().await;
    assert!(!reaches("campus", MAIL.address, 27) && reaches("campus", MAIL.address, 26));

    // An agent that lost its journal, and so what guards whom, opens nothing.
    drop(node);
    let node = open();
    node.restore(&[]).await;
    assert!(!reaches("campus", MAIL.address, 26) && !reaches("mail", CAMPUS, 9000));
    assert!(open_call.lives(10_000));
    drop(node);
    let node = open();
    node.follow(policy(&[tcp_in("26")])).await.unwrap();
    node.restore(&[grouped(MAIL), grouped(WEB)]).await;
    assert!(reaches("campus", MAIL.address, 26));
    assert!(silent.lives(10_000), "an arrival is one also for the next agent");

    node.disconnect(&grouped(MAIL)).await.unwrap();
    assert_eq!(switch(), "1", "the other one is still guarded");
    node.disconnect(&grouped(WEB)).await.unwrap();
    assert_eq!((switch().as_str(), read(LIBERAL).as_str()), ("0", "0"), "all is as it was found");
}

/// What nobody at a guarded server asked for and no rule lets in does not reach it by UDP, sent to this address.
fn unasked(to: &str, port: u16) {
    let (mail, speaker) = (socket("mail", &format!("0.0.0.0:{port}")), socket("campus", "0.0.0.0:0"));
    speaker.send_to(b"unasked", (to, port)).unwrap();
    // `mail` asks, so that the answer may come.
    mail.send_to(b"anything?", speaker_address(&speaker)).unwrap();
    let (_, from) = heard(&speaker);
    speaker.send_to(b"for mail", from).unwrap();
    assert_eq!(heard(&mail).0, "for mail");
}

fn speaker_address(speaker: &std::net::UdpSocket) -> (&'static str, u16) {
    (CAMPUS, speaker.local_addr().unwrap().port())
}
