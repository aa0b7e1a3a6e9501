//! Two guests with IPv6: who is given which address, and what a guest may say of addresses and routers.

use std::{
    fs,
    net::{Ipv6Addr, UdpSocket},
    time::Duration,
};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
use watari_contracts::agent::{Ipv6Wire, Server};
use watari_model::{
    Refusal,
    firewall::{Direction, Peer, Protocol, Rule},
    network::Ipv6,
};
use watari_node_agent::plumbing::{Plumbing, Policy};

use super::{
    silent,
    wire::{Guest, MAIL, WEB, heard, index, inside, run, socket},
};
use crate::client6::{ADVERTISE, SOLICIT, ask, message};

/// The machine of the campus, and an address of nobody's.
const CAMPUS: &str = "2001:db8:0:1::10";
const NOBODYS: &str = "2001:db8:0:1::150";
/// What `mail` has by itself, from its MAC.
const LINK_LOCAL: &str = "fe80::5057:cbff:fe00:7164";
/// A router's advertisement was heard.
const OF_ROUTERS: &str = "Icmp6InRouterAdvertisements";
/// Messages of DHCPv6 beside those with which a client begins.
const REBIND: u8 = 6;
const REPLY: u8 = 7;
/// How long an answer is waited for that may not come.
const GLANCE: Duration = Duration::from_millis(500);

fn network() -> Ipv6 {
    Ipv6 { cidr: "2001:db8:0:1::/64".parse().unwrap(), gateway: None, dns: Vec::new() }
}

fn address(guest: &Guest) -> Ipv6Addr {
    network().beside(guest.address.parse().unwrap())
}

fn dual(guest: &Guest) -> Server {
    let mut server = guest.server();
    server.wires[0].ipv6 = Some(Ipv6Wire { network: network(), address: address(guest) });
    server
}

/// A socket by which a machine says what the kernel says by itself elsewhere.
fn raw(machine: &str, protocol: net::Protocol) -> UdpSocket {
    let opened = inside(machine, move || {
        let socket = socket_with(AddressFamily::INET6, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol));
        let socket = socket.unwrap();
        // Only a neighbour's packet arrives with all its hops.
        sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
        socket
    });
    let socket = UdpSocket::from(opened);
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// How often something has happened to the campus's machine, by the kernel's name for it.
fn counted(what: &str) -> u64 {
    let told = inside("campus", || fs::read_to_string("/proc/thread-self/net/snmp6").unwrap());
    let line = told.lines().find(|line| line.starts_with(what));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap()
}

pub(crate) async fn hold(node: Plumbing) {
    node.restore(&[]).await;
    let without = node.connect(&dual(&MAIL)).await;
    assert!(matches!(without, Err(Refusal::NodeUnfit { .. })), "the bridge has no address from which to answer");
    run("ip addr add 2001:db8:0:1::1/64 dev br-t nodad");
    run(&format!("ip -n campus addr add {CAMPUS}/64 dev eth0 nodad"));
    for guest in [MAIL, WEB] {
        node.connect(&dual(&guest)).await.unwrap();
    }
    given();
    for guest in [MAIL, WEB] {
        run(&format!("ip -n {} addr add {}/64 dev eth0 nodad", guest.name, address(&guest)));
    }
    honest();
    lies();
    guarded(&node).await;
    for guest in [MAIL, WEB] {
        node.disconnect(&dual(&guest)).await.unwrap();
    }
}

/// A server is told its address, and that it has to ask for it; a stranger hears nothing.
fn given() {
    let client = socket("mail", "[::]:546");
    client.set_read_timeout(Some(GLANCE)).unwrap();
    let own = address(&MAIL);
    let ask_mail = |request: &[u8], wanted: (u8, bool)| {
        // dnsmasq reads its folder a moment after a change.
        let found = (0..20).any(|_| ask("mail", &client, request, own) == Some(wanted));
        assert!(found, "not answered with {wanted:?}");
    };
    ask_mail(&message(SOLICIT, MAIL.mac, None), (ADVERTISE, true));
    // A server that moved here asks for what the node before gave it.
    ask_mail(&message(REBIND, MAIL.mac, Some(own)), (REPLY, true));

    let stranger = socket("campus", "[::]:546");
    stranger.set_read_timeout(Some(GLANCE)).unwrap();
    assert_eq!(ask("campus", &stranger, &message(SOLICIT, "52:54:00:00:00:10", None), own), None);
    assert_eq!(ask("campus", &stranger, &message(REBIND, "52:54:00:00:00:10", Some(own)), own), None);

    let asking = raw("mail", ipproto::ICMPV6);
    asking.send_to(&[133, 0, 0, 0, 0, 0, 0, 0], format!("[ff02::2%{}]:0", index("mail"))).unwrap();
    let mut packet = [0; 1_500];
    while packet[0] != 134 {
        asking.recv(&mut packet).unwrap();
    }
    assert_eq!((packet[5] & 0x80, &packet[6..8]), (0x80, &[0, 0][..]), "addresses are managed, and this is no router");
    assert_eq!(counted(OF_ROUTERS), 0, "the node's words for its servers are heard on the segment");
}

fn honest() {
    let (mail, web) = (address(&MAIL).to_string(), address(&WEB).to_string());
    for (one, other, at) in
        [("mail", "web", web.as_str()), ("campus", "mail", mail.as_str()), ("mail", "campus", CAMPUS)]
    {
        let listener = socket(other, "[::]:9001");
        let speaker = socket(one, "[::]:0");
        speaker.send_to(b"hello", format!("[{at}]:9001")).unwrap();
        let (_, from) = heard(&listener);
        listener.send_to(b"answer", from).unwrap();
        assert_eq!(heard(&speaker).0, "answer", "{one} to {other}");
    }
}

fn lies() {
    silent("another's IPv6 address", || {
        let web = address(&WEB);
        run(&format!("ip -n mail addr add {web}/64 dev eth0 nodad"));
        run(&format!("ip -n mail neigh replace {CAMPUS} lladdr 52:54:00:00:00:10 dev eth0"));
        socket("mail", &format!("[{web}]:0")).send_to(b"I am web", format!("[{CAMPUS}]:9000")).unwrap();
        run(&format!("ip -n mail addr del {web}/64 dev eth0"));
        run("ip -n mail neigh flush all");
    });
    // The campus asks, `mail` would advertise, nobody hears.
    run(&format!("ip -n mail addr add {NOBODYS}/64 dev eth0 nodad"));
    let ping = ["netns", "exec", "campus", "ping", "-c", "1", "-W", "2", NOBODYS];
    let asked = std::process::Command::new("ip").args(ping).output().unwrap();
    assert!(!asked.status.success(), "an address was advertised for another");
    run(&format!("ip -n mail addr del {NOBODYS}/64 dev eth0"));
    // A router, whose advertisement would be heard before what is said after it.
    silent("a router", || {
        let router = [134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
        raw("mail", ipproto::ICMPV6).send_to(&router, format!("[ff02::1%{}]:0", index("mail"))).unwrap();
    });
    assert_eq!(counted(OF_ROUTERS), 0);
    // The first of two fragments that is filled with options, after which something would follow that no guard sees.
    silent("half a packet", || {
        let mut packet = vec![0x60, 0, 0, 0, 0, 16, 44, 255];
        for address in [LINK_LOCAL, "ff02::1"] {
            packet.extend(address.parse::<Ipv6Addr>().unwrap().octets());
        }
        packet.extend([60, 0, 0, 1, 0, 0, 0, 7, 58, 0, 1, 4, 0, 0, 0, 0]);
        raw("mail", ipproto::RAW).send_to(&packet, format!("[ff02::1%{}]:0", index("mail"))).unwrap();
    });
    assert_eq!(counted("Ip6ReasmReqds"), 0);
}

/// A guarded server is reached as its group says by IPv6 too, and found.
async fn guarded(node: &Plumbing) {
    let mut server = dual(&MAIL);
    server.firewalls = vec!["mail".parse().unwrap()];
    let peer = Peer::Cidr(format!("{CAMPUS}/128").parse().unwrap());
    let rule = Rule { direction: Direction::In, protocol: Protocol::Udp, ports: "9100".parse().ok(), peer };
    let groups = [("mail".parse().unwrap(), vec![rule])].into();
    node.follow(Policy { groups, ..Policy::default() }).await.unwrap();
    node.connect(&server).await.unwrap();
    // Whoever knew it before asks anew.
    run("ip -n campus neigh flush all");
    let (open, shut) = (socket("mail", "[::]:9100"), socket("mail", "[::]:9101"));
    let speaker = socket("campus", &format!("[{CAMPUS}]:0"));
    for (port, said) in [(9_101, "shut"), (9_100, "open")] {
        speaker.send_to(said.as_bytes(), format!("[{}]:{port}", address(&MAIL))).unwrap();
    }
    let (said, from) = heard(&open);
    assert_eq!(said, "open");
    shut.set_nonblocking(true).unwrap();
    assert!(shut.recv(&mut [0; 64]).is_err(), "a shut port is open by IPv6");
    // What it was asked it answers, and what it begins is answered.
    open.send_to(b"answer", from).unwrap();
    assert_eq!(heard(&speaker).0, "answer");
    let (listener, caller) = (socket("campus", "[::]:9102"), socket("mail", "[::]:0"));
    caller.send_to(b"call", format!("[{CAMPUS}]:9102")).unwrap();
    let (_, from) = heard(&listener);
    listener.send_to(b"answer", from).unwrap();
    assert_eq!(heard(&caller).0, "answer");
}
