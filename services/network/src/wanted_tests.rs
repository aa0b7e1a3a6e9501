use proptest::prelude::*;
use time::OffsetDateTime;
use watari_model::network::Stranger;

use super::*;

const NOW: Timestamp = Timestamp(OffsetDateTime::UNIX_EPOCH);

fn asked(cidr: &str, range: &str) -> CreateNetwork {
    CreateNetwork {
        request_id: Some("r1".to_owned()),
        name: "campus".parse().unwrap(),
        kind: Kind::Provider,
        cidr: cidr.to_owned(),
        range: range.to_owned(),
        excluded: Vec::new(),
        gateway: None,
        dns: Vec::new(),
        routes: Vec::new(),
        segment: None,
        vlan: None,
        mtu: None,
        public: false,
        ipv6: None,
    }
}

fn made(cidr: &str, range: &str) -> Result<Network, Refusal> {
    network(&asked(cidr, range), 1 << 20, NOW)
}

fn lab() -> Network {
    made("203.0.113.0/24", "203.0.113.100-203.0.113.199").unwrap()
}

fn detail(refused: Result<Network, Refusal>) -> String {
    match refused {
        Err(Refusal::BadRange { detail, .. }) => detail.en,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_request_becomes_a_network_on_the_usual_segment() {
    let network = lab();
    assert_eq!((network.segment.as_str(), network.range.size(), network.request_id.as_str()), ("campus", 100, "r1"));
}

#[test]
fn each_thing_that_is_wrong_is_said() {
    for (cidr, range, says) in [
        ("203.0.113.0", "203.0.113.1-203.0.113.9", "no subnet such as"),
        ("203.0.113.0/33", "203.0.113.1-203.0.113.9", "no subnet such as"),
        ("203.0.113.0/24 ", "203.0.113.1-203.0.113.9", "no subnet such as"),
        ("203.0.113.0/24", "203.0.113.1", "no range such as"),
        ("203.0.113.0/24", "203.0.113.1 - 203.0.113.9", "no range such as"),
        ("203.0.113.0/24", "203.0.113.1-203.0.113.9-203.0.113.11", "no range such as"),
        ("203.0.113.0/24", "203.0.113.01-203.0.113.9", "no range such as"),
        ("203.0.113.0/24", "-", "no range such as"),
        ("203.0.113.0/24", "203.0.113.9-203.0.113.1", "before it begins"),
        ("203.0.113.0/24", "203.0.113.1-203.0.114.9", "outside"),
        ("203.0.113.5/24", "203.0.113.1-203.0.113.9", "the subnet is"),
        ("127.0.0.0/8", "127.0.0.1-127.0.0.9", "loopback"),
        ("224.0.0.0/8", "224.0.0.1-224.0.0.9", "multicast"),
        ("240.0.0.0/8", "240.0.0.1-240.0.0.9", "reserved"),
        ("169.254.0.0/16", "169.254.0.1-169.254.0.9", "give themselves"),
        ("0.0.0.0/8", "0.0.0.1-0.0.0.9", "this network"),
        ("10.0.0.0/8", "10.0.0.1-10.255.255.254", "are allowed"),
    ] {
        let said = detail(made(cidr, range));
        assert!(said.contains(says), "{cidr} {range}: {said}");
    }
    assert!(detail(made(&"x".repeat(5000), "a-b")).len() < 200);
}

#[test]
fn what_is_kept_back_is_read_in_whatever_order_and_must_leave_something() {
    let keeping = |excluded: &[&str]| CreateNetwork {
        excluded: excluded.iter().map(|text| text.parse().unwrap()).collect(),
        ..asked("203.0.113.0/24", "203.0.113.100-203.0.113.199")
    };
    let read = |excluded: &[&str]| network(&keeping(excluded), 1 << 20, NOW);
    let both = read(&["203.0.113.150-203.0.113.159=printers", "203.0.113.107"]).unwrap();
    assert_eq!((both.excluded[0].to_string(), both.drawable()), ("203.0.113.107".to_owned(), 89));
    let turned = read(&["203.0.113.107", "203.0.113.150-203.0.113.159=printers"]).unwrap();
    assert!(same(&both, &turned) && !same(&both, &lab()));
    for bad in [&["203.0.113.200"][..], &["203.0.113.100-203.0.113.199"], &["203.0.113.107", "203.0.113.107"]] {
        assert!(matches!(read(bad), Err(Refusal::BadExclusion { .. })), "{bad:?}");
    }
    // Kept back is not taken: whoever asks for it by name may have it.
    assert_eq!(fixed("203.0.113.150".parse().unwrap(), &both, &[]), Ok(()));
}

#[test]
fn gateways_and_name_servers_must_be_machines_outside_the_range() {
    let with = |gateway: Option<&str>, dns: &[&str]| {
        let mut wanted = asked("203.0.113.0/24", "203.0.113.100-203.0.113.199");
        wanted.gateway = gateway.map(|g| g.parse().unwrap());
        wanted.dns = dns.iter().map(|d| d.parse().unwrap()).collect();
        network(&wanted, 1 << 20, NOW)
    };
    assert!(with(Some("203.0.113.1"), &["203.0.113.2", "192.0.2.53"]).is_ok());
    for (gateway, dns) in [
        (Some("203.0.113.0"), &[][..]),
        (Some("203.0.113.255"), &[]),
        (Some("203.0.113.150"), &[]),
        (Some("192.0.2.1"), &[]),
        (None, &["203.0.113.150"]),
        (None, &["0.0.0.0"]),
        (None, &["127.0.0.53"]),
        (None, &["224.0.0.1"]),
        (None, &["255.255.255.255"]),
        (None, &["192.0.2.1", "192.0.2.1"]),
        (None, &["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]),
    ] {
        assert!(matches!(with(gateway, dns), Err(Refusal::BadRange { .. })), "{gateway:?} {dns:?}");
    }
}

#[test]
fn servers_ask_their_node_for_names_if_nobody_else_is_named_and_they_have_a_way_out() {
    let with = |gateway: Option<&str>, dns: &[&str]| {
        let mut wanted = asked("203.0.113.0/24", "203.0.113.100-203.0.113.199");
        wanted.gateway = gateway.map(|g| g.parse().unwrap());
        wanted.dns = dns.iter().map(|d| d.parse().unwrap()).collect();
        wanted
    };
    let made = |wanted: &CreateNetwork| network(wanted, 1 << 20, NOW);
    let (way_out, node) = (Some("203.0.113.1"), "169.254.169.254");
    let told = |gateway, dns: &[&str]| made(&with(gateway, dns)).unwrap().dns;
    assert_eq!(told(way_out, &[]), [NODE_ADDRESS]);
    assert_eq!(told(None, &[]), [] as [Ipv4Addr; 0]);
    // A request of before this was so may be repeated after.
    let now = made(&with(way_out, &[])).unwrap();
    let (before, other) = (Network { dns: Vec::new(), ..now.clone() }, made(&with(way_out, &["192.0.2.53"])).unwrap());
    assert!(same(&now, &before) && !same(&now, &other));
    assert_eq!(told(way_out, &["192.0.2.53"]), [Ipv4Addr::new(192, 0, 2, 53)]);
    assert_eq!(told(way_out, &[node, "192.0.2.53"]), [NODE_ADDRESS, Ipv4Addr::new(192, 0, 2, 53)]);
    assert_eq!(made(&CreateNetwork { public: true, ..with(way_out, &[]) }).unwrap().dns, [] as [Ipv4Addr; 0]);
    assert!(detail(made(&with(None, &[node]))).contains("only if the network has a gateway"));
    let overlay = CreateNetwork { kind: Kind::Overlay, ..with(None, &[node]) };
    assert!(detail(made(&overlay)).contains("ask its gateway for names"));
    // Whoever names one by IPv6 alone has them ask that one.
    let (cidr, dns) = ("2001:db8:0:1::/64".to_owned(), vec!["2001:db8::53".parse().unwrap()]);
    let ipv6 = Some(WantedIpv6 { cidr, gateway: None, dns });
    assert_eq!(made(&CreateNetwork { ipv6, ..with(way_out, &[]) }).unwrap().dns, [] as [Ipv4Addr; 0]);
}

fn asked_overlay(name: &str, cidr: &str, range: &str) -> CreateNetwork {
    CreateNetwork { name: name.parse().unwrap(), kind: Kind::Overlay, ..asked(cidr, range) }
}

fn made_overlay(name: &str, cidr: &str, range: &str) -> Network {
    network(&asked_overlay(name, cidr, range), 1 << 20, NOW).unwrap()
}

#[test]
fn an_overlay_network_has_a_gateway_of_its_own_and_no_segment_of_anybodys() {
    let gateway = |range: &str| made_overlay("lab", "10.1.0.0/24", range).gateway.unwrap().to_string();
    assert_eq!(gateway("10.1.0.10-10.1.0.99"), "10.1.0.1");
    assert_eq!(gateway("10.1.0.1-10.1.0.99"), "10.1.0.100");
    let full = network(&asked_overlay("lab", "10.1.0.0/24", "10.1.0.1-10.1.0.254"), 1 << 20, NOW);
    assert!(detail(full).contains("no address"), "the range leaves none");
    assert_eq!(made_overlay("lab", "10.1.0.0/24", "10.1.0.10-10.1.0.99").segment.as_str(), "lab");
    let good = asked_overlay("lab", "10.1.0.0/24", "10.1.0.10-10.1.0.99");
    for bad in [
        CreateNetwork { segment: Some("campus".parse().unwrap()), ..good.clone() },
        CreateNetwork { mtu: Some(575), ..good.clone() },
        CreateNetwork { mtu: Some(65_000), ..good.clone() },
    ] {
        assert!(matches!(network(&bad, 1 << 20, NOW), Err(Refusal::OutOfRange { .. })), "{bad:?}");
    }
}

#[test]
fn a_provider_network_may_say_how_large_packets_are() {
    let campus = |mtu| CreateNetwork { mtu, ..asked("203.0.113.0/24", "203.0.113.100-203.0.113.199") };
    let read = |wanted: &CreateNetwork| network(wanted, 1 << 20, NOW);
    let made = read(&campus(Some(9_000))).unwrap();
    assert_eq!((made.mtu, read(&campus(None)).unwrap().mtu), (Some(9_000), None));
    assert!(!same(&made, &lab()) && same(&made, &made.clone()));
    let inside = CreateNetwork { mtu: Some(1_400), ..asked_overlay("lab", "10.1.0.0/24", "10.1.0.10-10.1.0.99") };
    assert_eq!(read(&inside).unwrap().mtu, None, "that stands with its number");
    for bad in [
        campus(Some(575)),
        campus(Some(9_217)),
        CreateNetwork { public: true, ..campus(Some(1_400)) },
        with_ipv6(campus(Some(1_279)), "2001:db8:0:1::/64", Some("2001:db8:0:1::1")),
    ] {
        let refused = read(&bad);
        assert!(matches!(&refused, Err(Refusal::OutOfRange { field, .. }) if field == "mtu"), "{bad:?}");
    }
}

#[test]
fn nodes_route_every_overlay_network_so_that_their_subnets_are_apart() {
    let old = made_overlay("lab", "10.1.0.0/16", "10.1.0.10-10.1.0.99");
    let new = |cidr, range| beside(&made_overlay("second", cidr, range), &old);
    assert_eq!(new("10.2.0.0/24", "10.2.0.10-10.2.0.99"), Ok(()));
    assert!(matches!(new("10.1.7.0/24", "10.1.7.10-10.1.7.99"), Err(Refusal::SubnetsOverlap { .. })));
    let within = made("10.1.9.0/24", "10.1.9.10-10.1.9.99").unwrap();
    assert!(matches!(beside(&within, &old), Err(Refusal::SubnetsOverlap { .. })), "a campus's own segment too");
}

fn node(name: &str, mtu: Option<u32>) -> Node {
    Node {
        v: 1,
        name: name.parse().unwrap(),
        site: "myodaiji".parse().unwrap(),
        state: watari_model::node::State::Ready,
        cordoned: false,
        off: None,
        fencing: None,
        strains: Default::default(),
        inventory: watari_model::node::Inventory {
            vcpus: 1,
            memory_mib: 1,
            disk_gib: 1,
            cpu_model: String::new(),
            cpu_features: Vec::new(),
            libvirt: String::new(),
            qemu: String::new(),
            agent: String::new(),
            virtualisation: watari_model::node::Virtualisation::Qemu,
            migration_address: String::new(),
            segments: std::collections::BTreeMap::new(),
            segment_mtus: std::collections::BTreeMap::new(),
            vlans: None,
            labels: std::collections::BTreeMap::new(),
            protection: watari_model::node::Protection::default(),
            tunnel: mtu.map(|mtu| watari_model::node::Tunnel { address: Ipv4Addr::new(192, 0, 2, 1), mtu }),
            health: None,
            host: watari_model::node::Host::default(),
            images: Default::default(),
            disks: Default::default(),
            weights: Default::default(),
            carried: Default::default(),
        },
        first_seen_at: NOW,
        changed_at: NOW,
    }
}

#[test]
fn an_overlay_networks_packets_fit_every_node_and_its_number_is_nobody_elses() {
    let size = |wanted, mtus: &[Option<u32>]| {
        let nodes: Vec<Node> = mtus.iter().enumerate().map(|(n, mtu)| node(&format!("n{n}"), *mtu)).collect();
        overlay(wanted, std::iter::empty(), nodes.iter())
    };
    assert_eq!(size(None, &[]), Ok(Overlay { vni: *VNIS.start(), mtu: 1_450 }));
    assert_eq!(size(None, &[Some(9_000), Some(1_500), None]).unwrap().mtu, 1_450);
    assert_eq!(size(None, &[Some(9_000)]).unwrap().mtu, 8_950);
    assert_eq!(size(Some(1_400), &[Some(1_500)]).unwrap().mtu, 1_400);
    assert!(matches!(size(Some(1_451), &[Some(9_000), Some(1_500)]), Err(Refusal::OutOfRange { .. })));
    assert!(matches!(size(None, &[Some(600)]), Err(Refusal::NodeUnfit { .. })), "too small for any");

    let mut taken = Vec::new();
    for n in 0..3 {
        let next = overlay(None, taken.iter(), std::iter::empty()).unwrap();
        assert_eq!(next.vni, VNIS.start() + n);
        taken.push(Network { overlay: Some(next), ..lab() });
    }
    taken.remove(1);
    assert_eq!(overlay(None, taken.iter(), std::iter::empty()).unwrap().vni, VNIS.start() + 3, "not one given back");
    taken[0].overlay = Some(Overlay { vni: *VNIS.end(), mtu: 1_450 });
    assert_eq!(overlay(None, taken.iter(), std::iter::empty()).unwrap().vni, *VNIS.start(), "until there is no other");
}

#[test]
fn a_request_id_is_short_and_printable() {
    assert_eq!(request_id(None), Ok(String::new()));
    assert_eq!(request_id(Some("5f0c")), Ok("5f0c".to_owned()));
    for bad in ["", "a b", "a\n", "é", &"x".repeat(129)] {
        assert!(request_id(Some(bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn networks_of_one_segment_do_not_share_addresses() {
    let old = Network { gateway: Some("203.0.113.1".parse().unwrap()), ..lab() };
    let new = |range: &str| Network { name: "second".parse().unwrap(), ..made("203.0.113.0/24", range).unwrap() };
    assert_eq!(beside(&new("203.0.113.50-203.0.113.99"), &old), Ok(()));
    assert!(matches!(beside(&new("203.0.113.50-203.0.113.100"), &old), Err(Refusal::RangeOverlaps { .. })));
    assert!(matches!(beside(&new("203.0.113.1-203.0.113.9"), &old), Err(Refusal::BadRange { .. })));
    let inside = Network { gateway: Some("203.0.113.150".parse().unwrap()), ..new("203.0.113.50-203.0.113.99") };
    assert!(matches!(beside(&inside, &old), Err(Refusal::BadRange { .. })));
    let elsewhere = Network { segment: "lab".parse().unwrap(), ..new("203.0.113.100-203.0.113.199") };
    assert_eq!(beside(&elsewhere, &old), Ok(()));
}

#[test]
fn a_vlan_of_a_segment_is_a_wire_of_its_own_and_carries_one_network() {
    let (cidr, range) = ("203.0.113.0/24", "203.0.113.100-203.0.113.199");
    let on = |name: &str, vlan: Option<u16>| {
        network(&CreateNetwork { name: name.parse().unwrap(), vlan, ..asked(cidr, range) }, 1 << 20, NOW).unwrap()
    };
    let old = on("staff", Some(30));
    assert_eq!(beside(&on("guests", Some(31)), &old), Ok(()), "the same addresses on another VLAN");
    assert_eq!(beside(&on("campus", None), &old), Ok(()), "and on none");
    let taken = beside(&on("second", Some(30)), &old);
    assert!(matches!(&taken, Err(Refusal::VlanTaken { other, .. }) if other == "staff"), "{taken:?}");
    let elsewhere = Network { segment: "lab".parse().unwrap(), ..on("second", Some(30)) };
    assert_eq!(beside(&elsewhere, &old), Ok(()));
    assert!(!same(&old, &on("staff", None)) && same(&old, &on("staff", Some(30))));
    for bad in [
        CreateNetwork { vlan: Some(0), ..asked(cidr, range) },
        CreateNetwork { vlan: Some(4_095), ..asked(cidr, range) },
        CreateNetwork { vlan: Some(30), public: true, ..asked(cidr, range) },
        CreateNetwork { vlan: Some(30), ..asked_overlay("lab", "10.1.0.0/24", "10.1.0.10-10.1.0.99") },
    ] {
        let refused = network(&bad, 1 << 20, NOW);
        assert!(matches!(&refused, Err(Refusal::OutOfRange { field, .. }) if field == "vlan"), "{bad:?}");
    }
}

#[test]
fn routes_are_told_to_servers_of_a_segment_and_their_routers_are_no_servers() {
    let (cidr, range) = ("203.0.113.0/24", "203.0.113.100-203.0.113.199");
    let by = |asked: CreateNetwork, route: &str| CreateNetwork { routes: vec![route.parse().unwrap()], ..asked };
    let read = |wanted: &CreateNetwork| network(wanted, 1 << 20, NOW);
    let far = "198.51.100.0/24=203.0.113.2";
    let wanted = by(asked(cidr, range), far);
    let made = read(&wanted).unwrap();
    assert_eq!(made.routes, wanted.routes);
    assert!(!same(&made, &lab()) && same(&made, &made.clone()));
    let handed_out = read(&by(asked(cidr, range), "198.51.100.0/24=203.0.113.100"));
    assert!(matches!(&handed_out, Err(Refusal::BadRoute { .. })), "{handed_out:?}");
    for unsuited in [
        by(asked_overlay("inside", "10.1.0.0/24", "10.1.0.10-10.1.0.99"), "198.51.100.0/24=10.1.0.2"),
        CreateNetwork { public: true, ..by(asked(cidr, range), far) },
    ] {
        let refused = read(&unsuited);
        assert!(matches!(&refused, Err(Refusal::OutOfRange { field, .. }) if field == "routes"), "{refused:?}");
    }
    let asks = |address: &str| fixed(address.parse().unwrap(), &made, &[]);
    assert!(matches!(asks("203.0.113.2"), Err(Refusal::AddressTaken { .. })), "the router's");
    assert_eq!(asks("203.0.113.3"), Ok(()));
    let second = |range: &str| Network { name: "second".parse().unwrap(), ..self::made(cidr, range).unwrap() };
    assert!(matches!(beside(&second("203.0.113.1-203.0.113.9"), &made), Err(Refusal::BadRange { .. })));
    assert_eq!(beside(&second("203.0.113.10-203.0.113.19"), &made), Ok(()));
    // By IPv6 a router may be beside one of IPv4, and nobody else who would be a server.
    let dual = |v4: &str, v6: &str| {
        let asked = with_ipv6(asked(cidr, range), "2001:db8:0:1::/64", None);
        read(&CreateNetwork { routes: vec![v4.parse().unwrap(), v6.parse().unwrap()], ..asked })
    };
    assert!(dual(far, "2001:db8:7::/48=2001:db8:0:1::cb00:7102").is_ok());
    assert!(matches!(dual(far, "2001:db8:7::/48=2001:db8:0:1::cb00:7103"), Err(Refusal::BadRoute { .. })));
}

#[test]
fn a_fixed_address_lies_in_the_subnet_and_belongs_to_nobody_else() {
    let network = Network { gateway: Some("203.0.113.1".parse().unwrap()), ..lab() };
    let second =
        Network { name: "second".parse().unwrap(), ..made("203.0.113.0/24", "203.0.113.50-203.0.113.99").unwrap() };
    let asks = |address: &str| fixed(address.parse().unwrap(), &network, &[&second]);
    for good in ["203.0.113.100", "203.0.113.199", "203.0.113.20", "203.0.113.254"] {
        assert_eq!(asks(good), Ok(()), "{good}");
    }
    for bad in ["203.0.113.0", "203.0.113.255", "203.0.112.255", "192.0.2.1"] {
        assert!(matches!(asks(bad), Err(Refusal::OutOfRange { .. })), "{bad}");
    }
    for taken in ["203.0.113.1", "203.0.113.50"] {
        assert!(matches!(asks(taken), Err(Refusal::AddressTaken { .. })), "{taken}");
    }
    let stranger = Stranger {
        address: "203.0.113.100".parse().unwrap(),
        address6: None,
        mac: "02:00:00:00:00:07".to_owned(),
        node: "m1".parse().unwrap(),
        seen_at: NOW,
    };
    let by_ipv6 = Stranger { address6: Some("2001:db8::cb00:7164".parse().unwrap()), ..stranger.clone() };
    let asks = |stranger| {
        let marked = Network { strangers: vec![stranger], ..network.clone() };
        fixed("203.0.113.100".parse().unwrap(), &marked, &[])
    };
    assert!(matches!(asks(stranger), Err(Refusal::AddressStrange { mac, .. }) if mac == "02:00:00:00:00:07"));
    let strange = asks(by_ipv6);
    assert!(matches!(&strange, Err(Refusal::AddressStrange6 { address6, .. }) if address6 == "2001:db8::cb00:7164"));
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_accepted_makes_sense(cidr in ".{0,40}", range in ".{0,60}", prefix in 0_u8..40, a: u32, b: u32) {
        let _ = made(&cidr, &range);
        let near = format!("{}/{prefix}", Ipv4Addr::from(a));
        let ends = format!("{}-{}", Ipv4Addr::from(a.wrapping_add(1)), Ipv4Addr::from(b));
        if let Ok(network) = made(&near, &ends) {
            prop_assert!(network.cidr.contains(&network.range.first) && network.cidr.contains(&network.range.last));
            prop_assert!(network.range.size() >= 1);
        }
    }
}

fn with_ipv6(asked: CreateNetwork, cidr: &str, gateway: Option<&str>) -> CreateNetwork {
    let gateway = gateway.map(|text| text.parse().unwrap());
    CreateNetwork { ipv6: Some(WantedIpv6 { cidr: cidr.to_owned(), gateway, dns: Vec::new() }), ..asked }
}

#[test]
fn an_ipv6_side_is_read_and_what_no_server_could_live_with_is_refused() {
    let campus = || asked("203.0.113.0/24", "203.0.113.100-203.0.113.199");
    let overlay = || asked_overlay("inside", "10.1.0.0/24", "10.1.0.10-10.1.0.99");
    let read = |wanted: &CreateNetwork| network(wanted, 1 << 20, NOW);
    let made = read(&with_ipv6(campus(), "2001:db8:0:1::/64", Some("2001:db8:0:1::1"))).unwrap();
    assert_eq!(made.ipv6.unwrap().beside([203, 0, 113, 100].into()).to_string(), "2001:db8:0:1::cb00:7164");
    for bad in ["2001:db8:0:1::", "203.0.113.0/24", "2001:db8:0:1::1/64", "fe80::/64", "2001:db8::/48"] {
        let refused = read(&with_ipv6(campus(), bad, None));
        assert!(matches!(refused, Err(Refusal::BadIpv6 { .. })), "{bad}");
    }
    let servers = with_ipv6(campus(), "2001:db8:0:1::/64", Some("2001:db8:0:1::cb00:7164"));
    assert!(matches!(read(&servers), Err(Refusal::BadIpv6 { .. })), "a router with a server's address");
    assert!(read(&with_ipv6(overlay(), "fd00:1::/64", None)).is_ok());
    assert!(read(&CreateNetwork { vlan: Some(30), ..with_ipv6(campus(), "2001:db8:0:1::/64", None) }).is_ok());
    for unsuited in [
        CreateNetwork { public: true, ..with_ipv6(campus(), "2001:db8:0:1::/64", None) },
        with_ipv6(overlay(), "fd00:1::/64", Some("fd00:1::1")),
        CreateNetwork { mtu: Some(1_279), ..with_ipv6(overlay(), "fd00:1::/64", None) },
    ] {
        assert!(matches!(read(&unsuited), Err(Refusal::OutOfRange { .. })), "{unsuited:?}");
    }
    let inside = read(&with_ipv6(overlay(), "fd00:1::/64", None)).unwrap();
    assert!(matches!(carries(&inside, Overlay { vni: 4_096, mtu: 1_279 }), Err(Refusal::OutOfRange { .. })));
    assert!(carries(&inside, Overlay { vni: 4_096, mtu: 1_280 }).is_ok());
    let router = inside.ipv6.unwrap().gateway.map(|router| router.to_string());
    assert_eq!(router.as_deref(), Some("fd00:1::a01:1"), "every node, beside its IPv4 gateway");
}

#[test]
fn no_ipv6_address_is_a_servers_and_a_routers_and_no_two_overlay_networks_share_a_subnet() {
    let segment = |range: &str, gateway: Option<&str>| {
        let wanted = with_ipv6(asked("203.0.113.0/24", range), "2001:db8:0:1::/64", gateway);
        network(&wanted, 1 << 20, NOW).unwrap()
    };
    let old = segment("203.0.113.100-203.0.113.199", Some("2001:db8:0:1::1"));
    assert_eq!(beside(&segment("203.0.113.10-203.0.113.20", Some("2001:db8:0:1::1")), &old), Ok(()), "one subnet");
    let mut servers = segment("203.0.113.10-203.0.113.20", None);
    servers.ipv6.as_mut().unwrap().dns = vec!["2001:db8:0:1::cb00:7164".parse().unwrap()];
    assert!(matches!(beside(&servers, &old), Err(Refusal::BadIpv6 { .. })));
    assert!(matches!(beside(&old, &servers), Err(Refusal::BadIpv6 { .. })));
    let inside = |name: &str, cidr: &str, cidr6: &str| {
        let range = format!("{0}.10-{0}.99", cidr.trim_end_matches(".0/24"));
        network(&with_ipv6(asked_overlay(name, cidr, &range), cidr6, None), 1 << 20, NOW).unwrap()
    };
    let (one, other) = (inside("one", "10.1.0.0/24", "fd00:1::/64"), inside("other", "10.2.0.0/24", "fd00:1::/96"));
    let overlap =
        |cidr: &str| matches!(beside(&one, &other), Err(Refusal::SubnetsOverlap { cidr: c, .. }) if c == cidr);
    assert!(overlap("fd00:1::/64"));
    assert_eq!(beside(&one, &inside("third", "10.3.0.0/24", "fd00:3::/64")), Ok(()));
}
