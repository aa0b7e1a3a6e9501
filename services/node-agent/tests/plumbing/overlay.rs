//! Overlay networks on real links: this node in a network namespace of its own, and a neighbour in
//! another, which is laid by hand. Needs root, as the agent does.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use watari_contracts::{
    agent::{Ipv6Wire, Server, Wire},
    plan::{LocalPort, NetworkPlan, PlannedNetwork, PublicPort, RemotePort},
};
use watari_model::{
    Refusal, Said,
    network::{Ipv6, Kind, Overlay, mac_of},
};
use watari_node_agent::{layout::Layout, plumbing::Plumbing, settings::Networks};
use watari_testkit::{eventually, in_a_network_of_its_own, orders};

use crate::shell::{must, pings, run};

const PATIENCE: Duration = Duration::from_secs(20);
/// Where this node's tunnels end, and where the neighbour's do.
const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The same two on that wire by IPv6.
const HERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
const THERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
/// On the campus's own segment: a server's public address, and whoever asks for it.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 200);
const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

#[test]
fn an_overlay_network_is_laid_followed_and_removed_without_a_trace() {
    in_a_network_of_its_own("overlay::inside_its_own_network");
}

/// Asks the node's resolver for an address (RFC 1035, section 4.1).
fn resolve(name: &str) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    socket.send_to(&question, "10.1.0.1:53").unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    let (failed, answers) = (answer[3] & 0x0f != 0, u16::from_be_bytes([answer[6], answer[7]]));
    let address: [u8; 4] = answer[length - 4..length].try_into().unwrap();
    (!failed && answers > 0).then(|| address.into())
}

fn guest_address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, n)
}

fn uuid(n: u8) -> String {
    format!("{n:08x}-1d52-48f3-9d2c-0c0d8e1a7b6f")
}

fn tap(n: u8) -> String {
    format!("wt{n:08x}1d52a")
}

fn server_on(network: &str, vni: u32, n: u8, address: Ipv4Addr) -> Server {
    let [a, b, c, _] = address.octets();
    let card = Wire {
        network: network.parse().unwrap(),
        kind: Kind::Overlay,
        segment: network.parse().unwrap(),
        overlay: Some(Overlay { vni, mtu: 1_450 }),
        gateway: Some(Ipv4Addr::new(a, b, c, 1)),
        dns: vec![Ipv4Addr::new(192, 0, 2, 53)],
        ipv6: Some(Ipv6Wire { network: side6(b), address: side6(b).beside(address) }),
        ..orders::card(address)
    };
    Server { wires: vec![card], ..orders::server(&format!("app{n}"), &uuid(n)) }
}

/// What the network of 10.N.0.0/24 has beside that; its router is the node.
fn side6(number: u8) -> Ipv6 {
    let mut side = Ipv6 { cidr: format!("fd00:{number}::/64").parse().unwrap(), gateway: None, dns: Vec::new() };
    side.gateway = Some(side.beside([10, number, 0, 1].into()));
    side
}

fn address6(n: u8) -> Ipv6Addr {
    side6(1).beside(guest_address(n))
}

/// One of the kernel's switches for IPv6.
fn switch6(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}")).unwrap().trim().to_owned()
}

fn server(n: u8) -> Server {
    server_on("lab", 4_096, n, guest_address(n))
}

/// A guest: a namespace whose one card is plugged into the bridge by the tap's name.
fn plug(n: u8, bridge: &str, address: Ipv4Addr) {
    let (name, tap) = (format!("g{n}"), tap(n));
    must(&format!("ip netns add {name}"));
    let mac = mac_of(address);
    must(&format!("ip link add {tap} mtu 1450 type veth peer name eth0 address {mac} mtu 1450 netns {name}"));
    must(&format!("ip link set {tap} master {bridge} up"));
    must(&format!("ip -n {name} addr add {address}/24 dev eth0"));
    must(&format!("ip -n {name} link set eth0 up"));
    let [a, b, c, _] = address.octets();
    must(&format!("ip -n {name} route add default via {a}.{b}.{c}.1"));
    let side = side6(b);
    must(&format!("ip -n {name} addr add {}/64 dev eth0 nodad", side.beside(address)));
    // The node may have told it of a router already.
    must(&format!("ip -n {name} route replace default via {}", side.gateway.unwrap()));
}

/// The neighbour: another node with a bridge and a tunnel, and one guest behind it.
fn lay_neighbour() {
    must("mount -t tmpfs tmpfs /run");
    // The kernel shows the interfaces of the namespace in which /sys was mounted.
    must("mount -t sysfs sysfs /sys");
    for (switch, to) in
        [("ipv4/ip_forward", "0"), ("ipv6/conf/all/forwarding", "0"), ("ipv6/conf/default/accept_ra", "1")]
    {
        fs::write(format!("/proc/sys/net/{switch}"), to).unwrap();
    }
    must("ip link set lo up");
    must("ip netns add there");
    must("ip link add under type veth peer name under netns there");
    must(&format!("ip addr add {HERE}/24 dev under"));
    must("ip link set under up");
    must(&format!("ip addr add {HERE6}/64 dev under nodad"));
    must("ip -n there link set lo up");
    must(&format!("ip -n there addr add {THERE}/24 dev under"));
    must("ip -n there link set under up");
    must(&format!("ip -n there addr add {THERE6}/64 dev under nodad"));
    must("ip -n there link add br0 type bridge mcast_snooping 0");
    must(&format!("ip -n there link add vx type vxlan id 4096 local {THERE} dstport 4789 nolearning proxy"));
    must("ip -n there link set vx master br0");
    must("ip -n there link set vx mtu 1450");
    must(&format!(
        "ip -n there link add app type veth peer name eth0 address {} netns there",
        mac_of(guest_address(20))
    ));
    must("ip netns add far");
    must("ip -n there link set eth0 netns far");
    must("ip -n there link set app master br0");
    for link in ["br0", "vx", "app"] {
        must(&format!("ip -n there link set {link} up"));
    }
    must("ip -n far addr add 10.1.0.20/24 dev eth0");
    must("ip -n far link set eth0 mtu 1450 up");
    must(&format!("ip -n far addr add {}/64 dev eth0 nodad", address6(20)));
    // It knows guest 10 as the plan would have it.
    let mac = mac_of(guest_address(10));
    must(&format!("bridge -n there fdb replace {mac} dev vx dst {HERE} self master static"));
    for address in [IpAddr::V4(guest_address(10)), IpAddr::V6(address6(10))] {
        must(&format!("ip -n there neigh replace {address} lladdr {mac} dev vx nud permanent"));
    }
}

fn local(n: u8, via: Option<Ipv4Addr>) -> LocalPort {
    let address = guest_address(n);
    let (vm, vm_uuid, mac) = (format!("app{n}").parse().unwrap(), uuid(n), mac_of(address));
    LocalPort { vm, vm_uuid, card: 0, mac, address, address6: Some(address6(n)), via, public: None }
}

fn remote(n: u8, via: Option<Ipv4Addr>) -> RemotePort {
    let LocalPort { vm, mac, address, address6, via, .. } = local(n, via);
    RemotePort { vm, mac, address, address6, via }
}

/// The campus's own segment: the operator's bridge, without an address of the subnet, and somebody on it.
fn lay_campus() {
    must("ip link add br-campus type bridge forward_delay 0 mcast_snooping 0");
    must("ip link set br-campus up");
    must("ip netns add client");
    must("ip link add cable type veth peer name eth0 netns client");
    must("ip link set cable master br-campus up");
    must("ip -n client addr add 203.0.113.10/24 dev eth0");
    must("ip -n client link set eth0 up");
}

/// A server with a public address.
fn led(n: u8, via: Option<Ipv4Addr>) -> LocalPort {
    let public = PublicPort {
        address: PUBLIC,
        segment: "campus".parse().unwrap(),
        subnet: "203.0.113.0/24".to_owned(),
        gateway: None,
    };
    LocalPort { public: Some(public), ..local(n, via) }
}

/// Whether anything of public addresses is left on this node.
fn is_public_laid() -> bool {
    let laid = format!("{}{}", must("ip rule show"), must("ip route show table all"));
    laid.contains("proto 87")
        || must("ip addr show").contains("203.0.113.")
        || run("nft list table inet watari-public").0
}

/// Whether the kernel insists that packets fit the TCP windows that it remembers.
fn is_tracking_strict() -> bool {
    fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal").unwrap().trim() == "0"
}

fn plan(here: Vec<LocalPort>, elsewhere: Vec<RemotePort>) -> NetworkPlan {
    let overlay = Some(Overlay { vni: 4_096, mtu: 1_450 });
    let network = PlannedNetwork { network: "lab".parse().unwrap(), kind: Kind::Overlay, overlay, here, elsewhere };
    NetworkPlan { networks: vec![network], ..NetworkPlan::default() }
}

fn entries() -> String {
    format!("{}{}", must("bridge fdb show dev wx001000"), must("ip neigh show dev wx001000"))
}

#[tokio::test]
#[ignore = "runs in a namespace that the other test makes"]
async fn inside_its_own_network() {
    lay_neighbour();
    lay_campus();
    let folder = PathBuf::from(format!("/tmp/watari-overlay-{}", std::process::id()));
    let layout = Layout::new(&folder.join("data"), &folder.join("run"));
    layout.make().unwrap();
    let plumbing = |tunnel| {
        let segments = [("campus".parse().unwrap(), "br-campus".to_owned())].into();
        let settings = Networks { lease_minutes: 60, segments, ..Networks::default() };
        Plumbing::open("m1".parse().unwrap(), layout.clone(), settings, tunnel).unwrap()
    };
    let nowhere = plumbing(None);
    assert!(matches!(nowhere.connect(&server(10)).await, Err(Refusal::NodeUnfit { .. })), "no tunnel address");

    // What comes out of the tunnel there is counted from the first frame on. Kernels ask again whom they know already, and
    // ask it alone.
    must("ip netns exec there nft add table netdev t");
    must("ip netns exec there nft add chain netdev t i { type filter hook ingress device vx priority 0; }");
    must("ip netns exec there nft add rule netdev t i meta pkttype broadcast ether type arp counter");
    must("ip netns exec there nft add rule netdev t i udp dport 67 counter");
    must("ip netns exec there nft add rule netdev t i meta pkttype multicast icmpv6 type nd-neighbor-solicit counter");
    must("ip netns exec there nft add rule netdev t i icmpv6 type nd-router-advert counter");

    // Two guests of one network, one of another, and a plan that came before.
    let first = plumbing(Some(HERE));
    let (ten, eleven) = (server(10), server(11));
    first.know(plan(vec![local(10, None), local(11, None)], vec![remote(20, Some(THERE)), remote(30, None)])).await;
    let nics = first.connect(&ten).await.unwrap();
    assert_eq!((nics[0].bridge.as_str(), nics[0].mtu), ("wb001000", 1_450));
    first.connect(&eleven).await.unwrap();
    first.connect(&server_on("other", 4_097, 12, Ipv4Addr::new(10, 2, 0, 12))).await.unwrap();
    plug(10, "wb001000", guest_address(10));
    plug(11, "wb001000", guest_address(11));
    plug(12, "wb001001", Ipv4Addr::new(10, 2, 0, 12));

    assert!(pings("g10", guest_address(11)), "within the node");
    assert!(pings("g10", guest_address(20)), "across the tunnel");
    assert!(pings("g10", guest_address(1)), "its gateway");
    for (n, what) in [(11, "within the node"), (20, "across the tunnel"), (1, "the node on it")] {
        assert!(pings("g10", address6(n)), "{what}, by IPv6");
    }
    assert!(!pings("g10", guest_address(30)), "who runs nowhere");
    assert!(!pings("g12", guest_address(10)) && !pings("g10", Ipv4Addr::new(10, 2, 0, 12)), "another network");
    assert!(!pings("g12", guest_address(1)), "another network's gateway");
    let twelfth = side6(2).beside([10, 2, 0, 12].into());
    assert!(!pings("g12", address6(10)) && !pings("g10", twelfth), "another network, by IPv6");
    assert!(!pings("g12", address6(1)) && !pings("g10", HERE6), "another's gateway, and the node itself, by IPv6");
    assert!(!pings("g10", HERE), "the node itself");

    // Names, by the resolver that every node has at the same address.
    eventually("a server is found by name", PATIENCE, || async {
        resolve("app20.lab.watari.internal") == Some(guest_address(20))
    })
    .await;
    assert_eq!(resolve("app10.lab.watari.internal"), Some(guest_address(10)));
    assert_eq!(resolve("nobody.lab.watari.internal"), None);

    // Only one side of the tunnel ever asks: neither ARP nor DHCP leaves, nor what is the same by IPv6, nor what the
    // node told its guests of routers when they came.
    assert!(pings("g10", guest_address(20)) && !pings("g10", guest_address(31)));
    assert!(pings("g10", address6(20)) && !pings("g10", address6(31)));
    let counted = must("ip netns exec there nft list table netdev t");
    assert_eq!(counted.matches("packets 0 bytes 0").count(), 4, "{counted}");

    // The agent comes and goes; the same stands.
    let before = entries();
    drop(first);
    let second = plumbing(Some(HERE));
    second.know(plan(vec![local(10, None), local(11, None)], vec![remote(20, Some(THERE)), remote(30, None)])).await;
    second.restore(&[ten.clone(), eleven.clone()]).await;
    assert_eq!(entries(), before);
    assert!(!run("ip link show wb001001").0, "a network that no server here needs is removed");
    // Somebody meddles; the next look mends it.
    must(&format!("bridge fdb del {} dev wx001000 self", mac_of(guest_address(20))));
    must("ip link set wb001000 down");
    second.tend().await;
    assert!(pings("g10", guest_address(20)) && pings("g10", address6(20)), "mended");

    // Guest 20 crosses to this node: it is reached there until it is resumed, and then here.
    let twenty = server(20);
    let arriving = plan(vec![local(10, None), local(20, Some(THERE))], vec![remote(11, Some(THERE))]);
    assert_eq!(second.lay(arriving.clone()).await, None);
    second.connect(&twenty).await.unwrap();
    assert!(pings("g10", guest_address(20)), "still there");
    must("ip -n there link set app down");
    plug(20, "wb001000", guest_address(20));
    second.settle(&twenty).await;
    assert!(pings("g10", guest_address(20)), "here, before the plan knew");
    assert_eq!(second.lay(arriving).await, None);
    assert!(pings("g10", guest_address(20)), "also after a late plan");
    assert_eq!(second.lay(plan(vec![local(10, None), local(20, None)], vec![remote(11, Some(THERE))])).await, None);
    assert!(pings("g10", guest_address(20)));
    let table = entries();
    assert!(table.contains(&format!("{} dst {THERE}", mac_of(guest_address(11)))), "{table}");
    assert!(!table.contains(&mac_of(guest_address(20))), "{table}");

    // A public address is another node's until its server is here; then whoever is on the segment reaches the server
    // by it, and is reached from it, though this node has no other address there.
    let with = |port| plan(vec![port, local(20, None)], vec![remote(11, Some(THERE))]);
    assert_eq!(second.lay(with(led(10, Some(THERE)))).await, None);
    assert!(!pings("client", PUBLIC) && !is_public_laid(), "it still runs elsewhere");
    assert_eq!(second.lay(with(led(10, None))).await, None);
    // The client still asks for it once a second, and would send nothing before it asks the next time.
    must(&format!("ip -n client neigh del {PUBLIC} dev eth0"));
    assert!(pings("client", PUBLIC), "from outside");
    assert!(pings("g10", CLIENT), "to the outside");
    assert!(pings("g20", PUBLIC) && pings("g20", PUBLIC), "from its neighbour");
    assert!(!is_tracking_strict(), "who comes home brings connections along");
    // Somebody meddles; the next look mends it.
    must("nft delete table inet watari-public");
    must(&format!("ip addr del {PUBLIC}/32 dev wb001000"));
    must(&format!("ip rule del from {}", guest_address(10)));
    second.tend().await;
    assert!(pings("client", PUBLIC) && pings("g10", CLIENT), "mended");
    // Its server is stopped, and the node hears of no other plan: it may run elsewhere.
    must(&format!("ip link set {} down", tap(10)));
    must(&format!("ip link set {} name wtaway", tap(10)));
    second.tend().await;
    assert!(!is_public_laid(), "it is not here");
    must(&format!("ip link set wtaway name {}", tap(10)));
    must(&format!("ip link set {} up", tap(10)));
    second.tend().await;
    eventually("it is here again", PATIENCE, || async { pings("client", PUBLIC) }).await;
    assert_eq!(second.lay(with(local(10, None))).await, None);
    assert!(!pings("client", PUBLIC) && !is_public_laid() && is_tracking_strict(), "it leads nowhere");
    // Resumed here before the plan knew.
    assert_eq!(second.lay(with(led(10, Some(THERE)))).await, None);
    second.settle(&ten).await;
    assert!(pings("client", PUBLIC), "at once");
    assert_eq!(second.lay(with(led(10, None))).await, None);
    assert!(pings("client", PUBLIC), "and when the plan knows");
    // Newly led to a server that is here, it is asked for first, and a stranger has it.
    assert_eq!(second.lay(with(local(10, None))).await, None);
    must(&format!("ip -n client addr add {PUBLIC}/24 dev eth0"));
    assert_eq!(second.lay(with(led(10, None))).await, None);
    assert!(!is_public_laid(), "nobody has been asked");
    second.ask_for_public_addresses().await;
    let fault = second.lay(with(led(10, None))).await;
    let says = |detail: &Said| detail.en.contains("used by a machine that is no server here");
    assert!(matches!(&fault, Some(Refusal::NodeUnfit { detail, .. }) if says(detail)), "{fault:?}");
    assert!(!is_public_laid(), "it is the stranger's");
    must(&format!("ip -n client addr del {PUBLIC}/24 dev eth0"));
    second.tend().await;
    assert_eq!(second.lay(with(led(10, None))).await, None);
    eventually("nobody has it any more", PATIENCE, || async { pings("client", PUBLIC) }).await;
    // Another node answers until it has its plan: that is not left to the next look.
    assert_eq!(second.lay(with(local(10, None))).await, None);
    must(&format!("ip -n client addr add {PUBLIC}/24 dev eth0"));
    assert_eq!(second.lay(with(led(10, None))).await, None);
    let lets_go = async { must(&format!("ip -n client addr del {PUBLIC}/24 dev eth0")) };
    tokio::join!(second.ask_after_plan(), lets_go);
    assert!(is_public_laid());

    // Out by the node's address, and back; nothing comes in unasked. (The public address leads elsewhere by then.)
    assert_eq!(second.lay(with(local(10, None))).await, None);
    must("ip netns exec there ip route add 10.1.0.0/24 via 192.0.2.1");
    must("ip -n there addr add 198.51.100.1/32 dev lo");
    must("ip route add 198.51.100.1/32 via 192.0.2.2");
    must("ip -n there route del 10.1.0.0/24");
    assert!(pings("g10", Ipv4Addr::new(198, 51, 100, 1)), "the neighbour only knows this node's address");
    must("ip -n there route add 10.1.0.0/24 via 192.0.2.1");
    assert!(!pings("there", guest_address(10)), "nobody asked for it");
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "1");
    // By IPv6 as well, and the node goes on to heed the routers of its own wire.
    must("ip -n there addr add 2001:db8:64::1/128 dev lo");
    must(&format!("ip route add 2001:db8:64::1/128 via {THERE6}"));
    assert!(pings("g10", "2001:db8:64::1"), "the neighbour knows no way back but to this node");
    must(&format!("ip -n there route add fd00:1::/64 via {HERE6}"));
    assert!(!pings("there", address6(10)), "nobody asked for it");
    let switches = || ["all/forwarding", "under/accept_ra", "default/accept_ra"].map(switch6);
    assert_eq!(switches(), ["1", "2", "2"]);
    // A node that has no IPv6 address itself passes nothing on, until it has one.
    must(&format!("ip addr del {HERE6}/64 dev under"));
    second.tend().await;
    assert_eq!(switches(), ["0", "1", "1"]);
    must(&format!("ip addr add {HERE6}/64 dev under nodad"));
    must(&format!("ip route replace 2001:db8:64::1/128 via {THERE6}"));
    second.tend().await;
    assert!(pings("g10", "2001:db8:64::1"), "again");

    // An interface of somebody else's is not touched.
    must("ip link add wb001002 type bridge");
    must("ip link set wb001002 alias theirs");
    let foreign = server_on("third", 4_098, 13, Ipv4Addr::new(10, 3, 0, 13));
    assert!(matches!(second.connect(&foreign).await, Err(Refusal::NodeUnfit { .. })));
    assert!(must("ip link show wb001002").contains("theirs"));
    must("ip link del wb001002");

    // The last server takes everything along.
    for server in [&ten, &eleven, &twenty] {
        second.disconnect(server).await.unwrap();
    }
    assert!(!is_public_laid());
    for trace in ["ip link show wb001000", "ip link show wx001000", "nft list table inet watari-overlay"] {
        assert!(!run(trace).0, "{trace}");
    }
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "0");
    assert_eq!(switches(), ["0", "1", "1"], "as they were");
    assert!(fs::read_dir(layout.dhcp()).unwrap().next().is_none(), "no file of DHCP or DNS is left");
    fs::remove_dir_all(&folder).unwrap();
}
