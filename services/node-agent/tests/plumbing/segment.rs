//! The campus's own segment on real links: who has an address there already, and a VLAN of it. Needs root, as the agent
//! does; a kernel without VLANs is only asked to say so.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use watari_contracts::agent::{Seed, Server, Wire};
use watari_model::{
    Refusal,
    image::Format,
    network::{Kind, mac_of},
    vm::Base,
};
use watari_node_agent::{layout::Layout, plumbing::Plumbing, settings::Networks};
use watari_testkit::in_a_network_of_its_own;

use crate::shell::{must, pings, run};

#[test]
fn strangers_are_found_and_a_vlan_is_laid_and_removed_without_a_trace() {
    in_a_network_of_its_own("segment::inside_its_own_network");
}

/// A machine of its own on a bridge.
fn plug(name: &str, port: &str, bridge: &str, mac: &str, address: Ipv4Addr) {
    must(&format!("ip netns add {name}"));
    must(&format!("ip link add {port} type veth peer name eth0 address {mac} netns {name}"));
    must(&format!("ip link set {port} master {bridge} up"));
    must(&format!("ip -n {name} addr add {address}/24 dev eth0"));
    must(&format!("ip -n {name} link set eth0 up"));
}

const UUID: &str = "0000000a-1d52-48f3-9d2c-0c0d8e1a7b6f";
const TAP: &str = "wt0000000a1d52a";
const STRANGER: &str = "02:00:00:00:00:07";

fn server(network: &str, vlan: Option<u16>, address: Ipv4Addr) -> Server {
    let [a, b, c, _] = address.octets();
    Server {
        name: "mail".parse().unwrap(),
        uuid: UUID.to_owned(),
        vcpus: 1,
        memory_mib: 32,
        disk_gib: 1,
        base: Base {
            image: "mini".parse().unwrap(),
            sha256: "0".repeat(64),
            format: Format::Raw,
            firmware: Default::default(),
        },
        wires: vec![Wire {
            network: network.parse().unwrap(),
            kind: Kind::Provider,
            segment: "campus".parse().unwrap(),
            vlan,
            overlay: None,
            cidr: format!("{a}.{b}.{c}.0/24"),
            gateway: None,
            dns: Vec::new(),
            mac: mac_of(address),
            address,
            ipv6: None,
        }],
        seed: Seed { hostname: "mail".parse().unwrap(), keys: Vec::new(), user_data: None },
        firewalls: Vec::new(),
        on_isolation: watari_model::isolation::OnIsolation::Keep,
    }
}

fn campus(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, n)
}

fn staff(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, n)
}

#[tokio::test]
#[ignore = "runs in a namespace that the other test makes"]
async fn inside_its_own_network() {
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
    let plumbing = |segment: &str| {
        let segments = [(segment.parse().unwrap(), "br-campus".to_owned())].into();
        let settings = Networks { lease_minutes: 60, segments, ..Networks::default() };
        Plumbing::open("m1".parse().unwrap(), layout.clone(), settings, None).unwrap()
    };
    let node = plumbing("campus");

    strangers(&node).await;
    let elsewhere = plumbing("other").ask_for_strangers(&server("campus", None, campus(51))).await;
    assert!(matches!(elsewhere, Err(Refusal::SegmentUnbound { .. })), "{elsewhere:?}");

    node.restore(&[]).await;
    if Path::new("/proc/net/vlan").exists() {
        vlan(&node).await;
        // An agent that knows nothing of a VLAN that another laid takes it away.
        node.connect(&server("staff", Some(30), staff(100))).await.unwrap();
        plumbing("campus").restore(&[]).await;
    } else {
        println!("this kernel knows no VLANs");
        assert_eq!(node.vlans(), None);
        let refused = node.connect(&server("staff", Some(30), staff(100))).await;
        assert!(
            matches!(&refused, Err(Refusal::NodeUnfit { detail, .. }) if detail.en.contains("8021q")),
            "{refused:?}"
        );
    }
    let left = must("ip link show");
    assert!(!left.contains("wv01e") && !left.contains("wu01e"), "{left}");
    assert!(!run("nft list table inet watari-vlan").0);
    fs::remove_dir_all(&folder).unwrap();
}

async fn strangers(node: &Plumbing) {
    let asked = async |n: u8| match node.ask_for_strangers(&server("campus", None, campus(n))).await {
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
}

/// A server on VLAN 30 of the segment, and a client that is on the VLAN as well.
async fn vlan(node: &Plumbing) {
    assert_eq!(node.vlans(), Some(BTreeMap::new()));
    must("ip -n client link add link eth0 name eth0.30 type vlan id 30");
    must("ip -n client addr add 192.0.2.10/24 dev eth0.30");
    must("ip -n client link set eth0.30 up");
    let taken = node.ask_for_strangers(&server("staff", Some(30), staff(10))).await;
    assert!(matches!(&taken, Err(Refusal::AddressStrange { .. })), "{taken:?}");

    let tagged = server("staff", Some(30), staff(100));
    let nics = node.connect(&tagged).await.unwrap();
    let bridge = nics[0].bridge.clone();
    assert_eq!((node.vlans().unwrap().get(&tagged.wires[0].network), nics[0].mtu), (Some(&bridge), 1_500));
    plug("guest", TAP, &bridge, &mac_of(staff(100)), staff(100));
    assert!(pings("client", staff(100)) && pings("guest", staff(10)), "by the VLAN");
    must("ip -n guest route add default dev eth0");
    assert!(!pings("guest", campus(1)) && !pings("guest", campus(50)), "neither the node nor beyond it");
    assert!(!pings("guest", Ipv4Addr::new(169, 254, 87, 1)), "nor the address that only dnsmasq needs");
    // Somebody meddles; the next look mends it.
    must(&format!("ip link set {bridge} down"));
    must(&format!("ip link del {}", bridge.replace("wv", "wu")));
    must("nft delete table inet watari-vlan");
    node.tend().await;
    assert!(pings("client", staff(100)) && run("nft list table inet watari-vlan").0, "mended");
    must("ip -n client link del eth0.30");
    must("ip -n client addr add 192.0.2.10/24 dev eth0");
    assert!(!pings("client", staff(100)), "without a tag");
    node.disconnect(&tagged).await.unwrap();
    assert_eq!(node.vlans(), Some(BTreeMap::new()));
}
