//! DHCP by a real dnsmasq on a real bridge, in a network namespace made for it. Needs root, as the agent does.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
};

use watari_contracts::agent::Server;
use watari_model::{Refusal, Said};
use watari_node_agent::{layout::Layout, plumbing::Plumbing, settings::Networks};
use watari_testkit::in_a_network_of_its_own;

use crate::{
    client::{ask, ask_option, ask_until, message, socket},
    guard::wire::{self, Guest, MAIL, WEB, inside},
};

const STRANGER: &str = "52:54:00:00:00:99";

#[test]
fn a_server_gets_its_address_and_a_stranger_no_word() {
    in_a_network_of_its_own("dhcp::inside_its_own_network");
}

/// A port of DHCP clients on a machine.
fn asking(machine: &str) -> UdpSocket {
    inside(machine, socket)
}

/// What is asked goes by each machine's card, and what comes from another subnet is heard.
fn open_doors() {
    for machine in ["mail", "web", "campus"] {
        wire::run(&format!("ip -n {machine} route add 255.255.255.255/32 dev eth0"));
        inside(machine, || heed_all("eth0"));
    }
    heed_all("br-t");
}

/// Of a network it is the larger of both that counts.
fn heed_all(device: &str) {
    for device in ["all", device] {
        fs::write(format!("/proc/sys/net/ipv4/conf/{device}/rp_filter"), "0").unwrap();
    }
}

fn server(guest: &Guest) -> Server {
    let mut server = guest.server();
    let wire = &mut server.wires[0];
    wire.gateway = Some(Ipv4Addr::new(203, 0, 113, 254));
    wire.routes = vec!["198.51.100.0/24=203.0.113.2".parse().unwrap()];
    wire.mtu = Some(1_400);
    server
}

fn pid(layout: &Layout) -> Option<i32> {
    fs::read_to_string(layout.dhcp_pid(&"campus".parse().unwrap())).ok()?.trim().parse().ok()
}

fn is_alive(pid: i32) -> bool {
    fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
#[ignore = "runs in a namespace that the other test makes"]
async fn inside_its_own_network() {
    wire::lay();
    open_doors();
    let folder = PathBuf::from(format!("/tmp/watari-dhcp-{}", std::process::id()));
    let layout = Layout::new(&folder.join("data"), &folder.join("run"));
    layout.make().unwrap();
    // dnsmasq reads its hosts as a user of its own, who must be able to come there.
    let plumbing = || {
        let settings = Networks {
            lease_minutes: 60,
            tunnel_address: String::new(),
            guard: true,
            rules_wait_ms: 200,
            arrival_minutes: 1,
            metadata_port: 0,
            names_port: 0,
            segments: [("campus".parse().unwrap(), "br-t".to_owned())].into(),
        };
        Plumbing::open("m1".parse().unwrap(), layout.clone(), settings, None).unwrap()
    };
    let [ours, other] = [MAIL, WEB].map(|guest| guest.address.parse::<Ipv4Addr>().unwrap());
    let (mail, web) = (server(&MAIL), server(&WEB));
    let (guest, neighbour, campus) = (asking("mail"), asking("web"), asking("campus"));

    let first = plumbing();
    first.restore(&[]).await;
    let table = Command::new("nft").args(["list", "table", "bridge", "watari"]).output().unwrap();
    assert!(table.status.success(), "the rules are laid");
    let nics = first.connect(&mail).await.unwrap();
    assert_eq!((nics[0].bridge.as_str(), nics[0].tap.as_str()), ("br-t", MAIL.tap));
    ask_until(&guest, &message(1, MAIL.mac, None), Some((2, ours)));
    // The gateway stands among the routes (RFC 3442): whoever takes these looks for it nowhere else.
    let routes = [0, 203, 0, 113, 254, 24, 198, 51, 100, 203, 0, 113, 2];
    assert_eq!(ask_option(&guest, &message(1, MAIL.mac, None), 121).as_deref(), Some(&routes[..]));
    // It is told how large packets are; its tap is as large as the bridge, which would become as small as its ports.
    assert_eq!(ask_option(&guest, &message(1, MAIL.mac, None), 26), Some(vec![0x05, 0x78]));
    assert_eq!((nics[0].mtu, first.segment_mtus().into_values().collect::<Vec<_>>()), (1_500, vec![1_500]));
    // A server that moved here asks for what the node before gave it.
    ask_until(&guest, &message(3, MAIL.mac, Some(ours)), Some((5, ours)));
    assert_eq!(ask(&guest, &message(1, STRANGER, None)), None);
    assert_eq!(ask(&guest, &message(3, STRANGER, Some(ours))), None, "not even a refusal");
    // Nobody on the campus has heard what was said to all, nor is heard, whoever's name it asks in.
    drop(guest);
    let guest = asking("mail");
    assert_eq!(ask(&campus, &message(1, MAIL.mac, None)), None);
    guest.set_nonblocking(true).unwrap();
    assert!(guest.recv(&mut [0; 1_500]).is_err(), "a question from the wire was answered");
    guest.set_nonblocking(false).unwrap();
    ask_until(&guest, &message(1, MAIL.mac, None), Some((2, ours)));

    // Somebody takes away what keeps it apart; the next look lays it again.
    wire::run("nft delete table inet watari-dhcp");
    first.tend().await;
    wire::run("nft list table inet watari-dhcp");

    // The agent comes and goes; dnsmasq stays, and is started again when it died.
    let running = pid(&layout).unwrap();
    drop(first);
    let second = plumbing();
    second.restore(std::slice::from_ref(&mail)).await;
    assert_eq!(pid(&layout), Some(running), "it was adopted");
    second.connect(&web).await.unwrap();
    ask_until(&neighbour, &message(1, WEB.mac, None), Some((2, other)));
    Command::new("kill").args(["-9", &running.to_string()]).status().unwrap();
    while is_alive(running) {}
    second.tend().await;
    assert_ne!(pid(&layout), Some(running));
    ask_until(&guest, &message(1, MAIL.mac, None), Some((2, ours)));

    // Who left is answered no more, and the last takes the process along.
    second.disconnect(&mail).await.unwrap();
    ask_until(&neighbour, &message(1, MAIL.mac, None), None);
    let last = pid(&layout).unwrap();
    second.disconnect(&web).await.unwrap();
    assert!(!is_alive(last) && pid(&layout).is_none());

    // What does not fit, or cannot be answered, is refused, with the reason.
    let mut large = mail.clone();
    large.wires[0].mtu = Some(1_501);
    let refused = second.connect(&large).await;
    let says = |detail: &Said| detail.en.contains("br-t carries packets of 1500 bytes");
    assert!(matches!(&refused, Err(Refusal::NodeUnfit { detail, .. }) if says(detail)), "{refused:?}");
    wire::run("ip addr flush dev br-t");
    assert!(matches!(second.connect(&mail).await, Err(Refusal::NodeUnfit { .. })));
    wire::run("ip addr add 198.51.100.1/24 dev br-t");
    second.connect(&mail).await.unwrap();
    ask_until(&guest, &message(1, MAIL.mac, None), Some((2, ours)));
    second.disconnect(&mail).await.unwrap();
    wire::run("ip link set br-t down");
    assert!(matches!(second.connect(&mail).await, Err(Refusal::SegmentUnbound { .. })));
    fs::remove_dir_all(&folder).unwrap();
}
