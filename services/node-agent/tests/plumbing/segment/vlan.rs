//! Two VLANs of one segment, each with a server here and a machine of the campus; and what of them is on the wire.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs,
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use serde_json::Value;
use watari_contracts::agent::{Ipv6Wire, Server};
use watari_model::{Refusal, network::Ipv6};
use watari_node_agent::{layout::Layout, plumbing::Plumbing};

use super::{STRANGER, campus, plug, plumbing, ready, server};
use crate::{
    client::{ask, ask_until, message, socket},
    client6,
    inside::inside,
    shell::{must, pings, run},
};

const STAFF: u16 = 42;
const LAB: u16 = 43;

/// Both networks have one subnet: what keeps them apart is the tag alone.
fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, n)
}

fn ipv6() -> Ipv6 {
    Ipv6 { cidr: "2001:db8:0:2::/64".parse().unwrap(), gateway: None, dns: Vec::new() }
}

/// A server on the one VLAN, with IPv6.
fn of_staff(n: u8) -> Server {
    let mut server = server("staff", Some(STAFF), address(n));
    server.wires[0].ipv6 = Some(Ipv6Wire { network: ipv6(), address: ipv6().beside(address(n)) });
    server
}

/// And on the other, without.
fn of_lab(n: u8) -> Server {
    server("lab", Some(LAB), address(n))
}

/// The node's links, without what follows a moment after a change, such as whether there is a carrier.
fn links() -> Vec<[Value; 7]> {
    let told: Vec<Value> = serde_json::from_str(&must("ip -j link show")).unwrap();
    let lasting = ["ifindex", "ifname", "address", "mtu", "master", "link", "ifalias"];
    told.iter().map(|link| lasting.map(|key| link[key].clone())).collect()
}

fn tables() -> BTreeSet<String> {
    must("nft list tables").lines().map(str::to_owned).collect()
}

fn rules() -> String {
    // With their handles, which are others after each transaction.
    must("nft -a list table inet watari-vlan")
}

fn mtu(link: &str) -> String {
    fs::read_to_string(format!("/sys/class/net/{link}/mtu")).unwrap().trim().to_owned()
}

/// A machine of the campus joins a VLAN.
fn join(machine: &str, vlan: u16, address: Ipv4Addr) {
    must(&format!("ip -n {machine} link add link eth0 name eth0.{vlan} type vlan id {vlan}"));
    must(&format!("ip -n {machine} addr add {address}/24 dev eth0.{vlan}"));
    must(&format!("ip -n {machine} link set eth0.{vlan} up"));
}

/// Whether an answer comes in the end: a port passes frames a moment after it is made, and an emulated machine may be slow.
fn reaches(machine: &str, address: impl Display) -> bool {
    (0..5).any(|_| pings(machine, &address))
}

/// Who has the server's address, if anybody says so in the end: an agent waits for an answer no longer than a server can.
async fn asked_again(node: &Plumbing, server: &Server) -> Result<(), Refusal> {
    for _ in 0..5 {
        node.ask_for_strangers(server, &ready()).await?;
    }
    Ok(())
}

/// Counts at the machine's end of the wire what a guest sent: with the tag, and otherwise.
fn count(machine: &str, mac: &str, vlan: u16) {
    let nft = |line: &str| must(&format!("ip netns exec {machine} nft {line}"));
    nft("add table netdev wire");
    nft("add chain netdev wire heard { type filter hook ingress device eth0 priority 0 ; }");
    nft(&format!("add rule netdev wire heard ether saddr {mac} vlan id {vlan} counter accept"));
    nft(&format!("add rule netdev wire heard ether saddr {mac} counter"));
}

fn counted(machine: &str) -> Vec<u64> {
    let said = must(&format!("ip netns exec {machine} nft list chain netdev wire heard"));
    let counts = said.split("counter packets ").skip(1);
    counts.map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
}

/// The server runs here, as far as its network can tell.
async fn start(node: &Plumbing, server: &Server) -> (String, String) {
    let nic = node.connect(server).await.unwrap().remove(0);
    let wire = &server.wires[0];
    assert_eq!((node.vlans().unwrap().get(&wire.network), nic.mtu), (Some(&nic.bridge), 1_500));
    plug(wire.network.as_str(), &nic.tap, &nic.bridge, &wire.mac, wire.address);
    must(&format!("ip -n {} route add default dev eth0", wire.network));
    (nic.bridge, nic.tap)
}

pub(crate) async fn hold(layout: &Layout) {
    let node = plumbing(layout, "campus");
    node.restore(&[]).await;
    plug("neighbour", "wire", "br-campus", "02:00:00:00:00:08", campus(53));
    let before = (links(), tables());
    assert_eq!(node.vlans(), Some(BTreeMap::new()), "the kernel makes VLANs");
    let (staff, lab) = (of_staff(100), of_lab(101));

    others_are_left_alone(&node, &staff).await;
    assert_eq!((links(), tables()), before);

    join("client", STAFF, address(10));
    join("neighbour", LAB, address(11));
    let taken = asked_again(&node, &of_staff(10)).await;
    assert!(matches!(&taken, Err(Refusal::AddressStrange { .. })), "{taken:?}");
    let free = node.ask_for_strangers(&of_lab(10), &ready()).await;
    assert_eq!(free, Ok(()), "that is another VLAN's");
    count("client", &staff.wires[0].mac, STAFF);

    let (bridge, tap) = start(&node, &staff).await;
    let (_, other_tap) = start(&node, &lab).await;
    kept_apart();
    // Asking for what is there changes nothing.
    let laid = (links(), rules());
    node.connect(&staff).await.unwrap();
    node.tend().await;
    assert_eq!((links(), rules()), laid);
    as_large_as_without_a_tag(&node, &bridge).await;
    as_large_as_its_network_says(&node, &staff, &bridge).await;
    addresses_for_servers_alone(&staff.wires[0].mac);
    as_well_by_ipv6(&staff.wires[0].mac);
    mended(&node, &bridge).await;

    must(&format!("ip -n client link del eth0.{STAFF}"));
    must(&format!("ip -n client addr add {}/24 dev eth0", address(10)));
    assert!(!pings("client", address(100)), "without a tag");
    let counts = counted("client");
    assert!(counts[0] > 0 && counts[1..] == [0], "with its tag, and nothing without: {counts:?}");

    node.disconnect(&staff).await.unwrap();
    assert!(reaches("neighbour", address(101)), "the other VLAN stays");
    must(&format!("ip link del {tap}"));
    must(&format!("ip link del {other_tap}"));
    // An agent that knows nothing of what another laid takes it away.
    let next = plumbing(layout, "campus");
    next.restore(&[]).await;
    assert_eq!((links(), tables()), before);
    assert_eq!(next.vlans(), Some(BTreeMap::new()));
}

/// The host's own interface with the same tag, on the bridge or on the bridge's wire, stays, and the VLAN is refused.
async fn others_are_left_alone(node: &Plumbing, staff: &Server) {
    for under in ["br-campus", "wire"] {
        must(&format!("ip link add link {under} name theirs type vlan id {STAFF}"));
        must("ip link set theirs up");
        let before = links();
        let refused = node.connect(staff).await;
        assert!(
            matches!(&refused, Err(Refusal::NodeUnfit { detail, .. }) if detail.en.contains("theirs")),
            "{refused:?}"
        );
        node.disconnect(staff).await.unwrap();
        assert_eq!(links(), before, "on {under}");
        must("ip link del theirs");
    }
}

/// Each is reached on its own VLAN, and from nowhere else.
fn kept_apart() {
    let own = address(100);
    assert!(reaches("client", own) && reaches("staff", address(10)), "by the VLAN");
    assert!(reaches("neighbour", address(101)) && reaches("lab", address(11)), "by the other");
    for (machine, address) in [("staff", address(101)), ("client", address(101)), ("neighbour", own)] {
        assert!(!pings(machine, address), "{machine} hears the other VLAN");
    }
    assert!(!pings("staff", campus(1)) && !pings("staff", campus(53)), "neither the node nor beyond it");
    assert!(!pings("staff", Ipv4Addr::new(169, 254, 87, 1)), "nor the address that only dnsmasq needs");
}

/// The tag takes nothing from a packet, and what the operator's bridge carries is followed.
async fn as_large_as_without_a_tag(node: &Plumbing, bridge: &str) {
    // 1,500 bytes with the heads of IPv4 and ICMP.
    assert!(run(&format!("ip netns exec staff ping -c 1 -W 1 -q -M do -s 1472 {}", address(10))).0);
    for wanted in ["1400", "1500"] {
        must(&format!("ip link set br-campus mtu {wanted}"));
        node.tend().await;
        assert_eq!([bridge, bridge.replace("wv", "wu").as_str()].map(mtu), [wanted, wanted]);
    }
}

/// A network with a packet size of its own has that from one end to the other, up to what the operator's bridge carries.
async fn as_large_as_its_network_says(node: &Plumbing, staff: &Server, bridge: &str) {
    let tagged = bridge.replace("wv", "wu");
    for (wanted, laid) in [(Some(1_400), "1400"), (None, "1500")] {
        let mut server = staff.clone();
        server.wires[0].mtu = wanted;
        assert_eq!(node.connect(&server).await.unwrap()[0].mtu.to_string(), laid);
        assert_eq!([bridge, tagged.as_str(), "br-campus"].map(mtu), [laid, laid, "1500"]);
    }
    let mut large = staff.clone();
    large.wires[0].mtu = Some(1_501);
    assert!(matches!(node.connect(&large).await, Err(Refusal::NodeUnfit { .. })));
    assert_eq!(mtu(bridge), "1500");
}

/// DHCP knows the server, and nobody who asks from elsewhere on the VLAN.
fn addresses_for_servers_alone(mac: &str) {
    let asking = |machine: &str, card: &str| {
        must(&format!("ip -n {machine} route add 255.255.255.255/32 dev {card}"));
        inside(machine, socket)
    };
    let (server, elsewhere) = (asking("staff", "eth0"), asking("client", &format!("eth0.{STAFF}")));
    ask_until(&server, &message(1, mac, None), Some((2, address(100))));
    assert_eq!(ask(&server, &message(1, STRANGER, None)), None);
    // It has not heard what the server was told either.
    assert_eq!(ask(&elsewhere, &message(1, mac, None)), None, "in the server's name");
}

/// The server is told its IPv6 address and reached at it; the node's own there is nobody's to ask for.
fn as_well_by_ipv6(mac: &str) {
    let client = inside("staff", || UdpSocket::bind("[::]:546").unwrap());
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let (own, request) = (ipv6().beside(address(100)), client6::message(client6::SOLICIT, mac, None));
    let told = || client6::ask("staff", &client, &request, own) == Some((client6::ADVERTISE, true));
    assert!((0..20).any(|_| told()), "no address is offered");
    let tagged = format!("eth0.{STAFF}");
    for (machine, card, n) in [("staff", "eth0", 100), ("client", tagged.as_str(), 10)] {
        must(&format!("ip -n {machine} addr add {}/64 dev {card} nodad", ipv6().beside(address(n))));
    }
    assert!(reaches("client", own) && reaches("staff", ipv6().beside(address(10))));
    assert!(!pings("client", ipv6().beside(Ipv4Addr::new(169, 254, 87, 1))));
    let routes = must("ip -6 route show");
    assert!(!routes.contains("2001:db8:0:2::/64"), "the node's own way to the prefix is another: {routes}");
}

/// Somebody meddles; the next look mends it.
async fn mended(node: &Plumbing, bridge: &str) {
    must(&format!("ip link set {bridge} down"));
    must(&format!("ip link del {}", bridge.replace("wv", "wu")));
    must("nft delete table inet watari-vlan");
    node.tend().await;
    assert!(reaches("client", address(100)) && run("nft list table inet watari-vlan").0);
}
