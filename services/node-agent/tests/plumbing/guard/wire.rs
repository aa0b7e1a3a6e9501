//! A node's bridge with two guests and a machine of the campus on it, each in a network namespace
//! of its own: real kernels that can be told to lie.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    process::Command,
    time::Duration,
};

use watari_contracts::agent::{Server, Wire};
use watari_testkit::orders;

pub(crate) use crate::inside::{index, inside};

/// The node's own address on the bridge.
pub(crate) const NODE: &str = "203.0.113.1";
/// The machine of the campus.
pub(crate) const CAMPUS: &str = "203.0.113.10";
const BOUND: Duration = Duration::from_secs(10);

/// One guest: its namespace, MAC and address.
#[derive(Clone, Copy)]
pub(crate) struct Guest {
    pub(crate) name: &'static str,
    uuid: &'static str,
    pub(crate) tap: &'static str,
    pub(crate) mac: &'static str,
    pub(crate) address: &'static str,
}

pub(crate) const MAIL: Guest = Guest {
    name: "mail",
    uuid: "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f",
    tap: "wt4dea22b31d52a",
    mac: "52:57:cb:00:71:64",
    address: "203.0.113.100",
};
pub(crate) const WEB: Guest = Guest {
    name: "web",
    uuid: "5dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f",
    tap: "wt5dea22b31d52a",
    mac: "52:57:cb:00:71:65",
    address: "203.0.113.101",
};

impl Guest {
    /// What an order says of it.
    pub(crate) fn server(&self) -> Server {
        let card = Wire { mac: self.mac.to_owned(), ..orders::card(self.address.parse().unwrap()) };
        Server { wires: vec![card], ..orders::server(self.name, self.uuid) }
    }
}

/// Runs a program of which nothing may fail.
pub(crate) fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Lays everything: `br-t` with the two taps and a port to the machine `campus`.
pub(crate) fn lay() {
    // The kernel shows the interfaces of the namespace in which /sys was mounted.
    run("mount -t sysfs sysfs /sys");
    fs::create_dir_all("/run/netns").unwrap();
    run("mount -t tmpfs tmpfs /run/netns");
    run("ip link set lo up");
    run("ip link add br-t type bridge forward_delay 0 mcast_snooping 0");
    run(&format!("ip addr add {NODE}/24 dev br-t"));
    run("ip link set br-t up");
    plug("campus", "port", "52:54:00:00:00:10", CAMPUS);
    for guest in [MAIL, WEB] {
        plug(guest.name, guest.tap, guest.mac, guest.address);
    }
}

fn plug(name: &str, port: &str, mac: &str, address: &str) {
    run(&format!("ip netns add {name}"));
    run(&format!("ip link add {port} type veth peer name eth0 address {mac} netns {name}"));
    run(&format!("ip link set {port} master br-t up"));
    run(&format!("ip -n {name} link set lo up"));
    // Its link-local address is nobody else's, and is used at once.
    inside(name, || fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0").unwrap());
    run(&format!("ip -n {name} link set eth0 up"));
    run(&format!("ip -n {name} addr add {address}/24 dev eth0"));
}

/// A socket of that machine's.
pub(crate) fn socket(machine: &str, address: &str) -> UdpSocket {
    let address = address.to_owned();
    inside(machine, move || {
        let socket = UdpSocket::bind(&address).unwrap_or_else(|error| panic!("{address}: {error}"));
        socket.set_broadcast(true).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        socket
    })
}

/// The first that arrives: what it says and who sent it.
pub(crate) fn heard(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut packet = [0; 64];
    let (length, from) = socket.recv_from(&mut packet).unwrap();
    (String::from_utf8_lossy(&packet[..length]).into_owned(), from)
}

/// Whether packets arrived at a machine's card, of whatever kind.
pub(crate) fn received(machine: &str) -> u64 {
    let output = Command::new("ip").args(["-n", machine, "-j", "-s", "link", "show", "eth0"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    told[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
}
