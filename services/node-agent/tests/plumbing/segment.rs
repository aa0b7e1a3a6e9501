//! The campus's own segment on real links: who has an address there already, who is told where a server runs, and VLANs
//! of it. Needs root, as the agent does. This machine's kernel may make no VLANs, which is then said; they are tried on one that does.

mod announced;
mod vlan;

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use watari_chassis::CancellationToken;
use watari_contracts::agent::{Ipv6Wire, Server, Wire};
use watari_model::{
    Refusal,
    network::{Ipv6, mac_of},
};
use watari_node_agent::{layout::Layout, plumbing::Plumbing, settings::Networks};
use watari_testkit::{in_a_machine_of_its_own, in_a_network_of_its_own, orders};

use crate::shell::{must, pings, run};

#[test]
fn strangers_are_found_and_everybody_is_told_where_a_server_runs() {
    in_a_network_of_its_own("segment::inside_its_own_network");
}

#[test]
fn vlans_are_laid_kept_apart_and_removed_without_a_trace() {
    in_a_machine_of_its_own("segment::inside_its_own_machine");
}

/// A machine of its own on a bridge.
fn plug(name: &str, port: &str, bridge: &str, mac: &str, address: Ipv4Addr) {
    must(&format!("ip netns add {name}"));
    must(&format!("ip link add {port} type veth peer name eth0 address {mac} netns {name}"));
    must(&format!("ip link set {port} master {bridge} up"));
    must(&format!("ip -n {name} addr add {address}/24 dev eth0"));
    must(&format!("ip -n {name} link set eth0 up"));
}

const STRANGER: &str = "02:00:00:00:00:07";
const LATE: &str = "02:00:00:00:00:09";
/// When nobody waits for the answer to a question any more.
const LONG_AFTER: Duration = Duration::from_secs(1);

fn server(network: &str, vlan: Option<u16>, address: Ipv4Addr) -> Server {
    let card = Wire { network: network.parse().unwrap(), vlan, ..orders::card(address) };
    let uuid = format!("{:08x}-1d52-48f3-9d2c-0c0d8e1a7b6f", address.octets()[3]);
    Server { wires: vec![card], ..orders::server("mail", &uuid) }
}

/// A server of the campus with IPv6 beside.
fn dual(n: u8) -> Server {
    let mut server = server("campus", None, campus(n));
    let network = Ipv6 { cidr: "2001:db8:0:1::/64".parse().unwrap(), gateway: None, dns: Vec::new() };
    let address = network.beside(campus(n));
    server.wires[0].ipv6 = Some(Ipv6Wire { network, address });
    server
}

/// Nothing is waited for but the answers.
fn ready() -> CancellationToken {
    let ready = CancellationToken::new();
    ready.cancel();
    ready
}

fn campus(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, n)
}

/// The node's bridge, a machine of the campus on it, and where the agent keeps what it knows.
fn lay() -> (PathBuf, Layout) {
    for (kind, at) in [("tmpfs", "/run"), ("sysfs", "/sys")] {
        must(&format!("mount -t {kind} {kind} {at}"));
    }
    must("ip link set lo up");
    must("ip link add br-campus type bridge forward_delay 0 mcast_snooping 0");
    must("ip addr add 203.0.113.1/24 dev br-campus");
    must("ip link set br-campus up");
    plug("client", "cable", "br-campus", STRANGER, campus(50));
    let folder = PathBuf::from(format!("/tmp/watari-segment-{}", std::process::id()));
    let layout = Layout::new(&folder.join("data"), &folder.join("run"));
    layout.make().unwrap();
    (folder, layout)
}

/// An agent that binds that segment to the bridge.
fn plumbing(layout: &Layout, segment: &str) -> Plumbing {
    let segments = [(segment.parse().unwrap(), "br-campus".to_owned())].into();
    let settings = Networks { lease_minutes: 60, guard: true, segments, ..Networks::default() };
    Plumbing::open("m1".parse().unwrap(), layout.clone(), settings, None).unwrap()
}

#[tokio::test]
#[ignore = "runs in a namespace that another test makes"]
async fn inside_its_own_network() {
    let (folder, layout) = lay();
    let node = plumbing(&layout, "campus");
    strangers(&node).await;
    strangers_by_ipv6(&node).await;
    announced::to_everybody(&node).await;
    let elsewhere = plumbing(&layout, "other").ask_for_strangers(&server("campus", None, campus(51)), &ready()).await;
    assert!(matches!(elsewhere, Err(Refusal::SegmentUnbound { .. })), "{elsewhere:?}");
    node.restore(&[]).await;
    if !Path::new("/proc/net/vlan").exists() {
        assert_eq!(node.vlans(), None);
        let refused = node.connect(&server("staff", Some(42), Ipv4Addr::new(192, 0, 2, 100))).await;
        assert!(
            matches!(&refused, Err(Refusal::NodeUnfit { detail, .. }) if detail.en.contains("8021q")),
            "{refused:?}"
        );
        assert!(!run("nft list table inet watari-vlan").0, "rules for nothing");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
#[ignore = "runs in a machine that another test starts"]
async fn inside_its_own_machine() {
    let (_, layout) = lay();
    vlan::hold(&layout).await;
}

async fn strangers(node: &Plumbing) {
    let asked = async |n: u8| match node.ask_for_strangers(&server("campus", None, campus(n)), &ready()).await {
        Ok(()) => None,
        Err(Refusal::AddressStrange { mac, address, .. }) => Some((mac, address)),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(asked(50).await, Some((STRANGER.to_owned(), campus(50).to_string())));
    assert_eq!(asked(51).await, None, "nobody has it");
    plug("itself", "itself", "br-campus", &mac_of(campus(52)), campus(52));
    assert_eq!(asked(52).await, None, "the server itself, wherever it runs");
    let own = fs::read_to_string("/sys/class/net/br-campus/address").unwrap();
    assert_eq!(asked(1).await, Some((own.trim().to_owned(), campus(1).to_string())), "the node itself");
    // One that is plugged in after all questions speaks of itself, which nobody asked for, while the server is being made.
    let late = server("campus", None, campus(54));
    let unready = CancellationToken::new();
    let questions = tokio::time::timeout(LONG_AFTER, node.ask_for_strangers(&late, &unready)).await;
    assert!(questions.is_err(), "as long as it is not ready, somebody may still come: {questions:?}");
    let comes = tokio::task::spawn_blocking(|| {
        plug("late", "late", "br-campus", LATE, campus(54));
        pings("late", campus(1))
    });
    let found = node.ask_for_strangers(&late, &unready).await;
    assert!(matches!(&found, Err(Refusal::AddressStrange { mac, .. }) if mac == LATE), "{found:?}");
    assert!(comes.await.unwrap());
}

/// What goes with a server's address by IPv6 may be a stranger's who has no IPv4 address of the campus at all.
async fn strangers_by_ipv6(node: &Plumbing) {
    let beside = |n: u8| dual(n).wires[0].ipv6.as_ref().unwrap().address;
    let asked = async |n: u8| match node.ask_for_strangers(&dual(n), &ready()).await {
        Ok(()) => None,
        Err(Refusal::AddressStrange6 { mac, address, address6, .. }) => {
            assert_eq!(address, campus(n).to_string(), "by which it is marked");
            Some((mac, address6))
        }
        Err(other) => panic!("{other}"),
    };
    has_too("client", beside(61));
    assert_eq!(asked(61).await, Some((STRANGER.to_owned(), beside(61).to_string())));
    assert_eq!(asked(62).await, None, "nobody has it");
    has_too("itself", beside(52));
    assert_eq!(asked(52).await, None, "the server itself, wherever it runs");
    must(&format!("ip addr add {}/64 dev br-campus nodad", beside(63)));
    let own = fs::read_to_string("/sys/class/net/br-campus/address").unwrap();
    assert_eq!(asked(63).await, Some((own.trim().to_owned(), beside(63).to_string())), "the node itself");
    let by_both = node.ask_for_strangers(&dual(50), &ready()).await;
    assert!(matches!(&by_both, Err(Refusal::AddressStrange { .. })), "it has the other alone: {by_both:?}");
}

/// A machine has an IPv6 address as well, and hears who asks for it: the kernel begins to listen a moment later.
fn has_too(machine: &str, address: Ipv6Addr) {
    must(&format!("ip -n {machine} addr add {address}/64 dev eth0 nodad"));
    let [.., a, b, c] = address.octets();
    let group = format!("33:33:ff:{a:02x}:{b:02x}:{c:02x}");
    let listens = (0..1_000).any(|_| must(&format!("ip -n {machine} maddr show dev eth0")).contains(&group));
    assert!(listens, "{machine} does not listen for {address}");
}
