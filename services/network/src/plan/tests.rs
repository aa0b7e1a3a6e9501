use time::OffsetDateTime;
use watari_model::{
    ProjectName, Timestamp,
    address::Target,
    network::{Overlay, Range, mac_of},
    node::{Inventory, State as NodeState, Tunnel, Virtualisation},
    vm::{Base, Crossing, Desired, Evacuate, Grant, Nic, Reboots, Spec},
};

use super::*;

const AT: Timestamp = Timestamp(OffsetDateTime::UNIX_EPOCH);

#[derive(Default)]
struct World {
    vms: Vec<Vm>,
    nodes: Vec<Node>,
    networks: BTreeMap<NetworkName, Network>,
    ports: BTreeMap<String, Port>,
    addresses: Vec<PublicAddress>,
    firewalls: BTreeMap<FirewallName, Firewall>,
}

impl Documents for World {
    fn vms(&self) -> impl Iterator<Item = &Vm> {
        self.vms.iter()
    }
    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }
    fn network(&self, name: &NetworkName) -> Option<&Network> {
        self.networks.get(name)
    }
    fn port(&self, key: &str) -> Option<&Port> {
        self.ports.get(key)
    }
    fn addresses(&self) -> impl Iterator<Item = &PublicAddress> {
        self.addresses.iter()
    }
    fn firewall(&self, name: &FirewallName) -> Option<&Firewall> {
        self.firewalls.get(name)
    }
}

fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, n)
}

fn tunnel(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, n)
}

fn node(name: &str, number: u8) -> Node {
    Node {
        v: 1,
        name: name.parse().unwrap(),
        site: "myodaiji".parse().unwrap(),
        state: NodeState::Ready,
        cordoned: false,
        off: None,
        fencing: None,
        strains: Default::default(),
        inventory: Inventory {
            vcpus: 8,
            memory_mib: 4_096,
            disk_gib: 100,
            cpu_model: String::new(),
            cpu_features: Vec::new(),
            libvirt: String::new(),
            qemu: String::new(),
            agent: String::new(),
            virtualisation: Virtualisation::Qemu,
            migration_address: String::new(),
            segments: BTreeMap::new(),
            segment_mtus: BTreeMap::new(),
            vlans: None,
            labels: BTreeMap::new(),
            protection: watari_model::node::Protection::default(),
            tunnel: Some(Tunnel { address: tunnel(number), mtu: 1_500 }),
            health: None,
            host: watari_model::node::Host::default(),
            images: Default::default(),
            disks: Default::default(),
            weights: Default::default(),
            carried: Default::default(),
        },
        first_seen_at: AT,
        changed_at: AT,
    }
}

fn network(name: &str, kind: Kind) -> Network {
    Network {
        v: 1,
        name: name.parse().unwrap(),
        kind,
        segment: name.parse().unwrap(),
        vlan: None,
        mtu: None,
        public: false,
        overlay: (kind == Kind::Overlay).then_some(Overlay { vni: 4_096, mtu: 1_450 }),
        cidr: "10.1.0.0/24".parse().unwrap(),
        range: Range { first: address(10), last: address(99) },
        excluded: Vec::new(),
        gateway: Some(address(1)),
        dns: Vec::new(),
        routes: Vec::new(),
        strangers: Vec::new(),
        ipv6: None,
        request_id: String::new(),
        created_at: AT,
    }
}

/// A server on that network; `on` is the node that has its grant.
fn server(name: &str, on: Option<&str>, on_network: &str, number: u8) -> Vm {
    let nic = Nic {
        network: on_network.parse().unwrap(),
        segment: on_network.parse().unwrap(),
        mac: mac_of(address(number)),
        address: address(number),
        fixed: false,
        address6: None,
    };
    Vm {
        v: 1,
        name: name.parse().unwrap(),
        uuid: format!("uuid-{name}"),
        project: ProjectName::default(),
        spec: Spec {
            vcpus: 1,
            memory_mib: 64,
            disk_gib: 1,
            base: Base {
                image: "mini".parse().unwrap(),
                sha256: String::new(),
                format: watari_model::image::Format::Raw,
                firmware: Default::default(),
            },
            nics: vec![nic],
            node_labels: BTreeMap::new(),
            groups: Vec::new(),
            firewalls: Vec::new(),
            probes: Vec::new(),
            after: Vec::new(),
            evacuate: Evacuate::Live,
            priority: 0,
            restart: watari_model::vm::Restart::Always,
            on_isolation: watari_model::isolation::OnIsolation::Keep,
            restart_from_copy_seconds: None,
            max_downtime_seconds: None,
            display: false,
            first_boot: watari_model::vm::FirstBoot::default(),
        },
        desired: Desired::Running,
        force_off: false,
        keep_disk: false,
        booted: true,
        home_site: "myodaiji".parse().unwrap(),
        state: if on.is_some() { State::Running } else { State::Pending },
        grant: on.map(|node| Grant { node: node.parse().unwrap(), generation: 1 }),
        crossing: None,
        leftovers: Vec::new(),
        fault: None,
        pending: None,
        reboots: Reboots::default(),
        preseed: None,
        snapshots: watari_model::vm::Snapshots::default(),
        halt: None,
        guarded: None,
        unseen: None,
        restored: None,
        migrations: 0,
        requests: Vec::new(),
        created_at: AT,
        changed_at: AT,
    }
}

/// Three nodes; `a` and `b` on an overlay on two of them, `c` on another network on the third.
fn world() -> World {
    let networks = [network("lab", Kind::Overlay), network("campus", Kind::Provider)];
    World {
        vms: vec![
            server("b", Some("y1"), "lab", 11),
            server("a", Some("m1"), "lab", 10),
            server("c", Some("m2"), "campus", 20),
        ],
        nodes: vec![node("m1", 11), node("m2", 12), node("y1", 21)],
        networks: networks.into_iter().map(|n| (n.name.clone(), n)).collect(),
        ports: BTreeMap::new(),
        addresses: Vec::new(),
        firewalls: BTreeMap::new(),
    }
}

/// What a node knows of a network: (name, via) of those here and those elsewhere.
type Known = (Vec<(String, Option<Ipv4Addr>)>, Vec<(String, Option<Ipv4Addr>)>);

fn known(plans: &BTreeMap<NodeName, NetworkPlan>, node: &str, network: &str) -> Option<Known> {
    let plan = &plans[&node.parse::<NodeName>().unwrap()];
    let network = plan.networks.iter().find(|n| n.network.as_str() == network)?;
    let here = network.here.iter().map(|port| (port.vm.to_string(), port.via)).collect();
    let elsewhere = network.elsewhere.iter().map(|port| (port.vm.to_string(), port.via)).collect();
    Some((here, elsewhere))
}

fn cross(world: &mut World, name: &str, to: &str, switched: bool) {
    let vm = world.vms.iter_mut().find(|vm| vm.name.as_str() == name).unwrap();
    vm.state = State::Migrating;
    let to: NodeName = to.parse().unwrap();
    if switched {
        vm.grant = Some(Grant { node: to.clone(), generation: 2 });
    }
    vm.crossing = Some(Crossing { id: "x-1".parse().unwrap(), to, switched, abandoned: false });
}

fn one(name: &str, via: Option<Ipv4Addr>) -> Vec<(String, Option<Ipv4Addr>)> {
    vec![(name.to_owned(), via)]
}

#[test]
fn a_node_knows_its_own_servers_networks_and_nothing_else() {
    let plans = plans(&world());
    assert_eq!(known(&plans, "m1", "lab"), Some((one("a", None), one("b", Some(tunnel(21))))));
    assert_eq!(known(&plans, "y1", "lab"), Some((one("b", None), one("a", Some(tunnel(11))))));
    assert_eq!(known(&plans, "m2", "campus"), Some((one("c", None), vec![])));
    assert_eq!((known(&plans, "m2", "lab"), known(&plans, "m1", "campus")), (None, None));
}

#[test]
fn until_the_grant_moves_a_crossing_server_is_reached_at_its_source_and_from_then_on_at_its_target() {
    let mut world = world();
    cross(&mut world, "a", "m2", false);
    let before = plans(&world);
    assert_eq!(known(&before, "m2", "lab"), Some((one("a", Some(tunnel(11))), one("b", Some(tunnel(21))))));
    assert_eq!(known(&before, "y1", "lab"), Some((one("b", None), one("a", Some(tunnel(11))))));
    cross(&mut world, "a", "m2", true);
    let after = plans(&world);
    assert_eq!(known(&after, "m2", "lab"), Some((one("a", None), one("b", Some(tunnel(21))))));
    assert_eq!(known(&after, "y1", "lab"), Some((one("b", None), one("a", Some(tunnel(12))))));
    assert_eq!(known(&after, "m1", "lab"), None, "its last server has left");
}

#[test]
fn who_runs_nowhere_or_on_an_unknown_node_is_known_by_name_and_reached_nowhere() {
    let mut world = world();
    world.vms.push(server("d", None, "lab", 12));
    world.vms.push(server("e", Some("unheard"), "lab", 13));
    let plans = plans(&world);
    let elsewhere = known(&plans, "m1", "lab").unwrap().1;
    assert_eq!(elsewhere, [one("b", Some(tunnel(21))), one("d", None), one("e", None)].concat());
    assert!(!plans.contains_key(&"unheard".parse().unwrap()));
}

#[test]
fn a_public_address_is_told_where_its_server_is_and_where_it_arrives() {
    let mut world = world();
    let campus: NetworkName = "campus".parse().unwrap();
    let target = |uuid: &str| Target {
        vm: "a".parse().unwrap(),
        vm_uuid: uuid.to_owned(),
        network: "lab".parse().unwrap(),
        address: address(10),
    };
    let public = |n: u8, leads_to: Option<Target>| PublicAddress {
        v: 1,
        network: campus.clone(),
        address: address(n),
        leads_to,
        request_id: String::new(),
        created_at: AT,
        changed_at: AT,
    };
    world.addresses = vec![public(200, Some(target("uuid-a"))), public(201, Some(target("older"))), public(202, None)];
    let told = |world: &World, node: &str| -> Vec<(String, Option<Ipv4Addr>)> {
        let plan = &plans(world)[&node.parse::<NodeName>().unwrap()];
        let here = plan.networks.iter().flat_map(|network| &network.here);
        here.filter_map(|port| Some((port.public.as_ref()?.address.to_string(), port.via))).collect()
    };
    assert_eq!(told(&world, "m1"), one("10.1.0.200", None), "of another life's and of nobody's nothing is said");
    assert!(told(&world, "y1").is_empty());
    let port = plans(&world)[&"m1".parse::<NodeName>().unwrap()].networks[0].here[0].public.clone().unwrap();
    assert_eq!(
        (port.subnet.as_str(), port.segment.as_str(), port.gateway),
        ("10.1.0.0/24", "campus", Some(address(1)))
    );

    // Known before it arrives, and laid when it has: the write that moves the grant moves the address.
    cross(&mut world, "a", "m2", false);
    assert_eq!(told(&world, "m1"), one("10.1.0.200", None));
    assert_eq!(told(&world, "m2"), one("10.1.0.200", Some(tunnel(11))));
    let known = world.nodes[0].inventory.tunnel.take();
    assert!(told(&world, "m2").is_empty(), "it runs elsewhere, whether or not its tunnel is known");
    world.nodes[0].inventory.tunnel = known;
    cross(&mut world, "a", "m2", true);
    assert_eq!((told(&world, "m1"), told(&world, "m2")), (vec![], one("10.1.0.200", None)));
}

#[test]
fn an_address_that_is_anothers_by_its_port_is_not_laid() {
    let mut world = world();
    let port = Port {
        v: 1,
        network: "lab".parse().unwrap(),
        address: address(10),
        address6: None,
        mac: mac_of(address(10)),
        vm: "a".parse().unwrap(),
        vm_uuid: "of-another-life".to_owned(),
        created_at: AT,
    };
    world.ports.insert(port_key(&port.network, port.address), port);
    let plans = plans(&world);
    assert_eq!(known(&plans, "m1", "lab"), None);
    assert_eq!(known(&plans, "y1", "lab"), Some((one("b", None), vec![])));
}

#[test]
fn a_node_is_told_the_groups_of_its_servers_and_who_is_behind_those_that_they_name() {
    use watari_model::firewall::{Direction, Peer, Protocol, Rule};
    let name = |text: &str| -> FirewallName { text.parse().unwrap() };
    let group = |text: &str, peer: Peer| {
        let rule = Rule { direction: Direction::In, protocol: Protocol::Tcp, ports: None, peer };
        let (v, request_id) = (1, String::new());
        Firewall { v, name: name(text), rules: vec![rule], request_id, created_at: AT, changed_at: AT }
    };
    let mut world = world();
    for made in [group("db", Peer::Group(name("web"))), group("web", Peer::Anywhere)] {
        world.firewalls.insert(made.name.clone(), made);
    }
    world.vms[0].spec.firewalls = vec![name("web")];
    world.vms[1].spec.firewalls = vec![name("db"), name("gone")];
    let told = plans(&world);
    let of = |node: &str| &told[&node.parse::<NodeName>().unwrap()];
    let m1 = of("m1");
    let groups: Vec<_> = m1.firewalls.iter().map(|f| f.firewall.as_str()).collect();
    assert_eq!(groups, ["db"], "of one that is gone nothing is said, so that its last known rules stay");
    assert_eq!(firewalls::vanished(&world), [name("gone")].into());
    assert_eq!((m1.members[0].firewall.as_str(), &m1.members[0].addresses), ("web", &vec![address(11).into()]));
    assert_eq!((of("y1").firewalls.len(), of("y1").members.len(), of("m2").firewalls.len()), (1, 0, 0));

    // What is about to arrive brings its groups' rules along before it comes.
    world.vms[1].crossing =
        Some(Crossing { id: "a-1".parse().unwrap(), to: "m2".parse().unwrap(), switched: false, abandoned: false });
    let told = plans(&world);
    assert_eq!(told[&"m2".parse::<NodeName>().unwrap()].firewalls[0].firewall, name("db"));
}
