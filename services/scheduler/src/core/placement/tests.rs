//! Placement: never over what there is, groups kept, and words for why not.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use watari_chassis::Entry;
use watari_contracts::agent::{Layer, NodeFacts};
use watari_model::{
    Document, NodeName, Refusal,
    image::Firmware,
    network::{ENCAPSULATION, Kind, Network, Overlay},
    node::{self, Enforcement, Node, Protection, Tunnel, Virtualisation},
    outage::{Outage, Scope},
    vm::{Company, Membership, Vm},
};

use super::{super::tests::documents, Need, Rooms, Supply, check, choose, plan};
use crate::core::{Amount, Heard, Overcommit, Rules, Snapshot};

fn docs<T: Document>(values: impl IntoIterator<Item = T>) -> Arc<BTreeMap<String, Arc<Entry<T>>>> {
    let entry = |value: T| (value.key(), Arc::new(Entry { value, revision: 1, created: documents::at(0) }));
    Arc::new(values.into_iter().map(entry).collect())
}

fn snapshot(nodes: Vec<Node>) -> Snapshot {
    Snapshot { nodes: docs(nodes), ..Snapshot::default() }
}

fn member(name: &str, memory_mib: u64, group: &str, company: Company) -> Vm {
    let mut vm = documents::vm(name, memory_mib);
    vm.spec.groups.push(Membership { group: group.parse().unwrap(), company });
    vm
}

fn draining(site: &str) -> Outage {
    let (id, scope) = (format!("{site}-1").parse().unwrap(), Scope::Site(site.parse().unwrap()));
    Outage::begun(id, scope, String::new(), documents::at(0))
}

const ANYWHERE: &dyn Fn(&Node) -> bool = &|_| true;

#[test]
fn invariant_9_no_room_says_how_many_nodes_there_are_and_what_is_the_matter_with_each() {
    let mut cordoned = documents::node("y1", "yamate", 1_024);
    cordoned.cordoned = true;
    let small = documents::node("y2", "yamate", 128);
    let mut snap = snapshot(vec![
        documents::node("m1", "myodaiji", 1_024),
        documents::node("m2", "myodaiji", 1_024),
        cordoned,
        small,
    ]);
    snap.outages = docs([draining("myodaiji")]);
    let rules = Rules::default();
    let vm = documents::vm("mail", 192);
    let refusal = choose(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), ANYWHERE, &[]).unwrap_err();
    let cause = refusal.english().cause;
    assert!(cause.contains("4 nodes: 2 draining, 1 cordoned, 1 has 128 MiB free of the 192 MiB needed"), "{cause}");
    let cause = refusal.japanese().cause;
    assert!(
        cause.contains("4 台中 2 台は退避中、1 台は受入停止中、1 台はメモリ不足 (空き 128 MiB、必要 192 MiB)"),
        "{cause}"
    );
    // Where not all are asked about, nobody takes these for all.
    let there: &dyn Fn(&Node) -> bool = &|node| node.site.as_str() == "yamate";
    let refusal = choose(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), there, &[]).unwrap_err();
    let cause = refusal.english().cause;
    assert!(
        cause.contains("2 of 4 nodes in question, those of site yamate: 1 cordoned, 1 has 128 MiB free"),
        "{cause}"
    );
    let cause = refusal.japanese().cause;
    assert!(cause.contains("全 4 台のうち対象となるサイト yamate の 2 台について、1 台は受入停止中、"), "{cause}");
    // It belongs to Myodaiji: that it starts nowhere else is the reason why only those are named.
    let home: &dyn Fn(&Node) -> bool = &|node| node.site == vm.home_site;
    let refusal = choose(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), home, &[]).unwrap_err();
    let (en, ja) = (refusal.english(), refusal.japanese());
    assert!(
        en.cause.contains("those of site myodaiji, its home and the only one where it starts: 2 draining"),
        "{en:?}"
    );
    assert!(ja.cause.contains("サイト myodaiji (本来の場所で、起動できるのはここだけです) の 2 台について"), "{ja:?}");
    assert!(en.remedy.ends_with("if it is not wanted: watari vm delete mail"), "{en:?}");
    assert!(!en.remedy.contains("resize"), "its size is not what is in the way: {en:?}");
    let mixed: &dyn Fn(&Node) -> bool = &|node| node.name.as_str() != "m1";
    let refusal = choose(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), mixed, &[]).unwrap_err();
    let cause = refusal.english().cause;
    assert!(cause.contains("3 of 4 nodes in question: 1 draining, "), "they are of two sites: {cause}");
    let one = check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name("m1")).unwrap_err();
    assert!(one.english().cause.contains("it is draining"), "{one}");
    assert!(one.japanese().cause.ends_with(": 退避中"), "{:?}", one.japanese());
}

#[test]
fn a_live_server_goes_only_where_its_processor_is_and_a_started_one_anywhere() {
    let source = documents::node("m1", "myodaiji", 1_024);
    let mut kvm = documents::node("y1", "yamate", 1_024);
    kvm.inventory.virtualisation = Virtualisation::Kvm;
    let mut snap = snapshot(vec![source.clone(), kvm]);
    let mut vm = documents::vm("mail", 192);
    let rules = Rules::default();
    assert!(check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name("y1")).is_ok());
    vm.apply(watari_model::vm::Change::Granted(documents::name("m1")), documents::at(0)).unwrap();
    let refused = check(&Rooms::of(&snap, &rules), &Need::crossing(&vm, &snap), &documents::name("y1")).unwrap_err();
    assert!(refused.english().cause.contains("virtualisation"), "{refused}");

    // On real processors the target must have every feature that the guest may have seen.
    let on_kvm = |name: &str, site: &str, features: &[&str]| {
        let mut node = documents::node(name, site, 1_024);
        node.inventory.virtualisation = Virtualisation::Kvm;
        node.inventory.cpu_features = features.iter().map(|f| (*f).to_owned()).collect();
        node
    };
    snap.nodes = docs([
        on_kvm("m1", "myodaiji", &["aes", "avx2"]),
        on_kvm("y1", "yamate", &["aes"]),
        on_kvm("y2", "yamate", &["aes", "avx2", "avx512f"]),
    ]);
    let chosen = |snap: &Snapshot| choose(&Rooms::of(snap, &rules), &Need::crossing(&vm, snap), ANYWHERE, &[]);
    assert_eq!(chosen(&snap).unwrap().as_str(), "y2");
    let (home, poor) = (on_kvm("m1", "myodaiji", &["aes", "avx2"]), on_kvm("y1", "yamate", &["aes"]));
    snap.nodes = docs([home.clone(), poor.clone()]);
    let refused = chosen(&snap).unwrap_err();
    assert_eq!(refused.code(), "placement.no-processor", "its own node is not in question: {refused}");
    assert!(refused.english().remedy.contains("[cpu]") && refused.japanese().remedy.contains("[cpu]"), "{refused}");
    let mut full = on_kvm("y2", "yamate", &["aes", "avx2"]);
    full.inventory.memory_mib = 64;
    snap.nodes = docs([home, poor, full]);
    assert_eq!(chosen(&snap).unwrap_err().code(), "placement.no-room", "room on the other would help as well");
}

/// Two nodes at each campus, and the image of all servers at these sites.
fn with_image(sites: &[&str]) -> Snapshot {
    let node = |(name, site)| documents::node(name, site, 1_024);
    let nodes = [("m1", "myodaiji"), ("m2", "myodaiji"), ("y1", "yamate"), ("y2", "yamate")].map(node);
    let sites_of_nodes = ["myodaiji", "yamate"].map(documents::site);
    Snapshot { sites: docs(sites_of_nodes), images: docs([documents::image(sites)]), ..snapshot(nodes.into()) }
}

/// Has a node keep it.
fn keeps(snap: &mut Snapshot, name: &str) {
    let mut node = snap.nodes[name].value.clone();
    node.inventory.images.insert("0".repeat(64));
    Arc::make_mut(&mut snap.nodes)
        .insert(name.to_owned(), Arc::new(Entry { value: node, revision: 2, created: documents::at(0) }));
}

#[test]
fn a_server_whose_image_no_front_end_has_goes_only_where_it_is_kept_and_its_lack_is_told_by_name() {
    let (vm, rules) = (documents::vm("mail", 192), Rules::default());
    let chosen = |snap: &Snapshot| choose(&Rooms::of(snap, &rules), &Need::start(&vm, snap), ANYWHERE, &[]);
    let mut snap = with_image(&[]);
    let lacks = Refusal::NoImage { vm: "mail".to_owned(), image: "mini".to_owned() };
    assert_eq!(chosen(&snap), Err(lacks.clone()));
    assert_eq!(check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name("m1")), Err(lacks.clone()));
    let placed = |snap: &Snapshot| plan(&mut Rooms::of(snap, &rules), &[Need::start(&vm, snap)], ANYWHERE).remove(0);
    assert_eq!(placed(&snap), Err(lacks.clone()));
    snap.outages = docs([draining("myodaiji")]);
    assert_eq!(chosen(&snap), Err(lacks), "nodes that are out of the question have no part in it");

    keeps(&mut snap, "y2");
    let full = documents::vm("full", 8_192);
    let why = choose(&Rooms::of(&snap, &rules), &Need::start(&full, &snap), ANYWHERE, &[]).unwrap_err();
    assert!(why.english().cause.contains("1 without its base image, which no front end has"), "{why}");
    assert!(why.japanese().cause.contains("1 台はベースイメージなし"), "{:?}", why.japanese());
    assert_eq!((chosen(&snap).unwrap().as_str(), placed(&snap).unwrap().as_str()), ("y2", "y2"));
    snap.images = docs([]);
    assert!(chosen(&snap).is_ok(), "a document that is missing proves nothing");
}

#[test]
fn an_image_travels_once_to_each_node_whose_site_lacks_it_and_not_to_one_that_keeps_it() {
    let rules = Rules::default();
    let vms = ["a", "b", "c"].map(|name| {
        let mut vm = documents::vm(name, 64);
        vm.apply(watari_model::vm::Change::Granted(documents::name("m1")), documents::at(0)).unwrap();
        vm
    });
    let dark = Scope::Site("myodaiji".parse().unwrap());
    let image = 64 << 20;
    let seen = |snap: &Snapshot, servers: usize| {
        let (rooms, vms) = (Rooms::of(snap, &rules), vms.iter().take(servers).collect::<Vec<_>>());
        let supply = |node: &str| rooms.supply(&vms[0].spec.base, &documents::name(node));
        ([supply("m2"), supply("y1"), supply("y2")], rooms.base_to_send(vms[0]), rooms.bases_to_send(&vms, &dark))
    };
    let mut snap = with_image(&["myodaiji"]);
    let [near, far] = [Supply::Near, Supply::Far(image)];
    assert_eq!(seen(&snap, 1), ([near, far, far], image, image));
    assert_eq!(seen(&snap, 3), ([near, far, far], image, 2 * image), "two nodes fetch it, however many stand on it");
    keeps(&mut snap, "y1");
    assert_eq!(seen(&snap, 3), ([near, near, far], 0, image), "whoever is in haste goes where it is");
    snap.outages = docs([draining("yamate")]);
    assert_eq!(seen(&snap, 3).1, image, "one that receives nothing is no help");
    let everywhere = with_image(&["myodaiji", "yamate"]);
    assert_eq!(seen(&everywhere, 3), ([near; 3], 0, 0));
}

#[test]
fn a_server_that_boots_by_uefi_goes_only_where_that_firmware_is_and_its_lack_is_told_by_name() {
    let with = |uefi: bool, name: &str, memory_mib: u64| {
        let mut node = documents::node(name, "myodaiji", memory_mib);
        node.inventory.host.uefi = uefi;
        node
    };
    let mut vm = documents::vm("mail", 192);
    vm.spec.base.firmware = Firmware::Uefi;
    let place = |vm: &Vm, nodes: Vec<Node>| {
        let (snap, rules) = (snapshot(nodes), Rules::default());
        choose(&Rooms::of(&snap, &rules), &Need::start(vm, &snap), ANYWHERE, &[]).map(|node| node.to_string())
    };
    let (m1, m2, full) = (with(false, "m1", 4_096), with(true, "m2", 1_024), with(true, "m3", 64));
    assert_eq!(place(&vm, vec![m1.clone(), m2.clone()]), Ok("m2".to_owned()));
    assert_eq!(place(&documents::vm("web", 192), vec![m1.clone(), m2.clone()]), Ok("m1".to_owned()));
    let mut cordoned = m2;
    cordoned.cordoned = true;
    let lacks = |nodes: &str| Refusal::NoUefi { vm: "mail".to_owned(), nodes: nodes.to_owned() };
    assert_eq!(place(&vm, vec![m1.clone(), cordoned]), Err(lacks("m1")));
    let many: Vec<Node> = (10..20).map(|number| with(false, &format!("n{number}"), 1_024)).collect();
    assert_eq!(place(&vm, many), Err(lacks("n10, n11, n12, n13, n14, n15, n16, n17 (+2)")));
    // A node that has it is full, so that firmware on the other is not the only help.
    let refused = place(&vm, vec![m1.clone(), full]).unwrap_err();
    assert!(refused.english().cause.contains("1 without UEFI firmware"), "{refused}");
    assert!(refused.japanese().cause.contains("1 台は UEFI ファームウェアなし"), "{refused}");
    let (snap, rules) = (snapshot(vec![m1]), Rules::default());
    let refused = check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name("m1"));
    assert_eq!(refused, Err(lacks("m1")));
}

#[test]
fn labels_and_each_resource_with_its_ratio_bind() {
    let mut labelled = documents::node("m2", "myodaiji", 1_024);
    labelled.inventory.labels.insert("disk".to_owned(), "ssd".to_owned());
    let snap = snapshot(vec![documents::node("m1", "myodaiji", 4_096), labelled]);
    let overcommit = |cpu, memory, disk| Rules { overcommit: Overcommit { cpu, memory, disk }, ..Rules::default() };
    let plain = overcommit(1.0, 1.0, 1.0);
    let place = |vm: &Vm, rules: &Rules| {
        let found = choose(&Rooms::of(&snap, rules), &Need::start(vm, &snap), ANYWHERE, &[]);
        found.map(|node| node.to_string()).map_err(|refusal| refusal.english().cause)
    };
    let mut vm = documents::vm("mail", 192);
    assert_eq!(place(&vm, &plain).unwrap(), "m1");
    vm.spec.node_labels.insert("disk".to_owned(), "ssd".to_owned());
    assert_eq!(place(&vm, &plain).unwrap(), "m2");
    vm.spec.node_labels.insert("disk".to_owned(), "hdd".to_owned());
    assert!(place(&vm, &plain).unwrap_err().contains("2 without the label disk=hdd"));
    let refused = choose(&Rooms::of(&snap, &plain), &Need::start(&vm, &snap), ANYWHERE, &[]).unwrap_err();
    assert_eq!(refused.code(), "placement.no-label");
    vm.spec.node_labels.clear();

    // Both nodes have 8 processors and 100 GiB of disk, m1 has the 4096 MiB.
    type Ask = (&'static str, fn(&mut Vm), Rules);
    let asks: [Ask; 3] = [
        ("virtual CPUs free of the 12 needed", |vm| vm.spec.vcpus = 12, overcommit(1.5, 1.0, 1.0)),
        ("MiB free of the 6144 MiB needed", |vm| vm.spec.memory_mib = 6_144, overcommit(1.0, 1.5, 1.0)),
        ("GiB of disk free of the 150 GiB needed", |vm| vm.spec.disk_gib = 150, overcommit(1.0, 1.0, 1.5)),
    ];
    for (words, ask, roomy) in asks {
        let mut vm = vm.clone();
        ask(&mut vm);
        let refused = place(&vm, &plain).unwrap_err();
        assert!(refused.contains(words), "{refused}");
        assert_eq!(place(&vm, &roomy).unwrap(), "m1", "{words}");
    }
}

#[test]
fn a_guarded_server_goes_only_where_its_groups_are_enforced() {
    let open = documents::node("m1", "myodaiji", 4_096);
    let mut able = documents::node("m2", "myodaiji", 1_024);
    able.inventory.protection.firewall = Enforcement::Enforced;
    let snap = snapshot(vec![open, able]);
    let (rules, mut vm) = (Rules::default(), documents::vm("mail", 192));
    assert_eq!(choose(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), ANYWHERE, &[]).unwrap().as_str(), "m1");
    vm.spec.firewalls.push("smtp".parse().unwrap());
    assert_eq!(choose(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), ANYWHERE, &[]).unwrap().as_str(), "m2");
    let refused = check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name("m1")).unwrap_err();
    assert!(refused.english().cause.contains("without the means to enforce its firewall groups"), "{refused}");
}

#[test]
fn a_server_goes_only_where_it_is_held_to_its_own_addresses_unless_an_operator_has_switched_that_off() {
    let mut failing = documents::node("m1", "myodaiji", 4_096);
    failing.inventory.protection.wanted = true;
    let mut able = documents::node("m2", "myodaiji", 1_024);
    able.inventory.protection = Protection { identity: Enforcement::Enforced, wanted: true, ..Protection::default() };
    let mut snap = snapshot(vec![failing, able.clone()]);
    let (rules, vm) = (Rules::default(), documents::vm("mail", 192));
    let chosen = |snap: &Snapshot| choose(&Rooms::of(snap, &rules), &Need::start(&vm, snap), ANYWHERE, &[]);
    assert_eq!(chosen(&snap).unwrap().as_str(), "m2");
    let refused = check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name("m1")).unwrap_err();
    assert!(
        refused.english().cause.contains("it is without rules that hold servers to their own addresses"),
        "{refused}"
    );
    assert!(refused.japanese().cause.contains("なりすましを防ぐ規則"), "{:?}", refused.japanese());
    // `networks.guard = false` there, or an agent that does not say: as before.
    snap.nodes = docs([documents::node("m1", "myodaiji", 4_096), able]);
    assert_eq!(chosen(&snap).unwrap().as_str(), "m1");
}

#[test]
fn a_server_on_a_vlan_goes_only_where_the_kernel_makes_vlans() {
    let plain = documents::node("m1", "myodaiji", 4_096);
    let mut able = documents::node("m2", "myodaiji", 1_024);
    able.inventory.vlans = Some(BTreeMap::new());
    let mut snap = snapshot(vec![plain, able]);
    let (rules, mut vm) = (Rules::default(), documents::vm("mail", 192));
    let mut network = documents::network("staff");
    vm.spec.nics.push(documents::nic(&network, 100));
    snap.networks = docs([network.clone()]);
    let chosen = |vm: &Vm, snap: &Snapshot| choose(&Rooms::of(snap, &rules), &Need::start(vm, snap), ANYWHERE, &[]);
    assert_eq!(chosen(&vm, &snap).unwrap().as_str(), "m1");
    network.vlan = Some(30);
    snap.networks = docs([network]);
    assert_eq!(chosen(&vm, &snap).unwrap().as_str(), "m2");
    let refused = check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name("m1")).unwrap_err();
    assert!(refused.english().cause.contains("it is without VLANs in its kernel"), "{refused}");
}

#[test]
fn a_server_goes_only_where_its_segment_has_a_bridge_and_the_refusal_names_the_segment() {
    let mut elsewhere = documents::node("m1", "myodaiji", 4_096);
    elsewhere.inventory.segments = BTreeMap::from([("lab".parse().unwrap(), "br1".to_owned())]);
    let mut snap = snapshot(vec![elsewhere, documents::node("m2", "myodaiji", 1_024)]);
    let (rules, mut vm) = (Rules::default(), documents::vm("mail", 192));
    let network = documents::network("campus");
    vm.spec.nics.push(documents::nic(&network, 100));
    snap.networks = docs([network]);
    let on = |snap: &Snapshot| choose(&Rooms::of(snap, &rules), &Need::start(&vm, snap), ANYWHERE, &[]);
    assert_eq!(on(&snap).unwrap().as_str(), "m2");
    let refused = check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name("m1")).unwrap_err();
    assert!(refused.english().cause.contains("it is without a bridge for segment campus"), "{refused}");
    assert!(refused.japanese().cause.contains("セグメント campus 用のブリッジなし"), "{:?}", refused.japanese());
    let mut bare = documents::node("m2", "myodaiji", 1_024);
    bare.inventory.segments.clear();
    snap.nodes = docs([bare]);
    let refused = on(&snap).unwrap_err();
    assert!(refused.english().cause.contains("1 node: 1 without a bridge for segment campus"), "{refused}");
    assert_eq!(refused.code(), "placement.network-unbound");
    let narrow = documents::node("m3", "myodaiji", 64);
    snap.nodes = docs([snap.nodes["m2"].value.clone(), narrow]);
    assert_eq!(on(&snap).unwrap_err().code(), "placement.no-room", "there is not one thing alone that would help");
}

#[test]
fn a_server_goes_only_where_the_bridge_carries_packets_as_large_as_its_network_says() {
    let with = |name: &str, memory_mib: u64, mtu: Option<u32>| {
        let mut node = documents::node(name, "myodaiji", memory_mib);
        node.inventory.segment_mtus = mtu.map(|mtu| ("campus".parse().unwrap(), mtu)).into_iter().collect();
        node
    };
    let mut snap =
        snapshot(vec![with("m1", 4_096, Some(1_500)), with("m2", 2_048, None), with("m3", 1_024, Some(9_000))]);
    let (rules, mut vm) = (Rules::default(), documents::vm("mail", 192));
    let mut network = documents::network("campus");
    vm.spec.nics.push(documents::nic(&network, 100));
    snap.networks = docs([network.clone()]);
    let chosen = |snap: &Snapshot| choose(&Rooms::of(snap, &rules), &Need::start(&vm, snap), ANYWHERE, &[]);
    assert_eq!(chosen(&snap).unwrap().as_str(), "m1", "where nothing is said, as the bridges are");
    network.mtu = Some(9_000);
    snap.networks = docs([network]);
    assert_eq!(chosen(&snap).unwrap().as_str(), "m3");
    for node in ["m1", "m2"] {
        let refused = check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name(node)).unwrap_err();
        let says = "it is without a bridge for segment campus that carries packets of 9000 bytes";
        assert!(refused.english().cause.contains(says), "{refused}");
        assert!(refused.japanese().cause.contains("9000 バイトのパケットを運べる"), "{:?}", refused.japanese());
    }
}

#[test]
fn a_server_on_an_overlay_network_goes_only_where_the_tunnel_carries_its_packets() {
    let with = |name: &str, memory_mib: u64, mtu: Option<u32>| {
        let mut node = documents::node(name, "myodaiji", memory_mib);
        node.inventory.tunnel = mtu.map(|mtu| Tunnel { address: [192, 0, 2, 11].into(), mtu });
        node
    };
    let mut snap =
        snapshot(vec![with("m1", 4_096, Some(1_499)), with("m2", 2_048, None), with("m3", 1_024, Some(1_500))]);
    let (rules, mut vm) = (Rules::default(), documents::vm("mail", 192));
    let overlay = Some(Overlay { vni: 4_096, mtu: 1_500 - ENCAPSULATION });
    let network = Network { kind: Kind::Overlay, overlay, ..documents::network("lab") };
    vm.spec.nics.push(documents::nic(&network, 100));
    snap.networks = docs([network]);
    let chosen = choose(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), ANYWHERE, &[]);
    assert_eq!(chosen.unwrap().as_str(), "m3");
    for node in ["m1", "m2"] {
        let refused = check(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), &documents::name(node)).unwrap_err();
        assert!(
            refused.english().cause.contains("it is without a tunnel for overlay packets of 1450 bytes"),
            "{refused}"
        );
        assert!(
            refused.japanese().cause.contains("1450 バイトのパケットを運べるトンネルなし"),
            "{:?}",
            refused.japanese()
        );
    }
    snap.nodes = docs([with("m1", 4_096, Some(1_499)), with("m2", 2_048, None)]);
    let refused = choose(&Rooms::of(&snap, &rules), &Need::start(&vm, &snap), ANYWHERE, &[]).unwrap_err();
    let cause = refused.english().cause;
    assert!(cause.contains("2 nodes: 2 without a tunnel for overlay packets of 1450 bytes"), "{cause}");
}

#[test]
fn invariant_4_what_is_being_written_is_reserved_already() {
    let mut snap = snapshot(vec![documents::node("m1", "myodaiji", 256)]);
    let mut first = documents::vm("mail", 192);
    snap.vms = docs([first.clone()]);
    first.apply(watari_model::vm::Change::Granted(documents::name("m1")), documents::at(0)).unwrap();
    let action = crate::core::Action::StoreVm { vm: Box::new(first), revision: 1, restart: false };
    snap.busy.insert(action.key(), Arc::new(action));
    let second = documents::vm("web", 192);
    let refused = choose(&Rooms::of(&snap, &Rules::default()), &Need::start(&second, &snap), ANYWHERE, &[]);
    assert!(refused.unwrap_err().english().cause.contains("64 MiB free of the 192 MiB needed"));
}

#[test]
fn what_a_node_keeps_for_a_server_elsewhere_is_reckoned_once_and_is_room_for_that_server() {
    let mut big = documents::vm("mail", 192);
    big.spec.disk_gib = 60;
    let mut snap = snapshot(vec![documents::node("m1", "myodaiji", 1_024)]);
    let keeps = |uuid: &str, gib: u64| {
        let layer = Layer { index: 0, sha256: Some("0a".repeat(32)), size_bytes: (gib << 30) - 1 };
        let facts = NodeFacts {
            layers: BTreeMap::from([(uuid.to_owned(), vec![layer])]),
            ..documents::facts("m1", "myodaiji")
        };
        BTreeMap::from([(documents::name("m1"), Heard { facts: Arc::new(facts), age_ms: 0 })])
    };
    let rules = Rules { overcommit: Overcommit { cpu: 8.0, memory: 1.0, disk: 1.0 }, ..Rules::default() };
    let fits = |snap: &Snapshot, vm: &Vm| {
        check(&Rooms::of(snap, &rules), &Need::start(vm, snap), &documents::name("m1")).map_err(|no| no.english().cause)
    };
    assert_eq!(fits(&snap, &big), Ok(()));
    // 100 GiB there are, and 50 of them are taken by layers of somebody.
    snap.heard = keeps("nobody", 50);
    assert!(fits(&snap, &big).unwrap_err().contains("50 GiB of disk free of the 60 GiB needed"));
    snap.vms = docs([big.clone()]);
    snap.heard = keeps(&big.uuid, 50);
    assert_eq!(fits(&snap, &big), Ok(()), "it comes to where its layers lie");
    let mut other = documents::vm("web", 192);
    other.spec.disk_gib = 51;
    assert!(fits(&snap, &other).unwrap_err().contains("50 GiB of disk free"));
    // What it was sent ahead to has room for all of it already.
    let mut ahead = big;
    ahead.apply(watari_model::vm::Change::Granted(documents::name("y1")), documents::at(0)).unwrap();
    ahead.ask_preseed(Some(documents::name("m1")), documents::at(0));
    snap.vms = docs([ahead]);
    assert!(fits(&snap, &other).unwrap_err().contains("40 GiB of disk free"));
}

#[test]
fn who_keeps_together_goes_where_the_others_are_and_who_keeps_apart_does_not() {
    let snap = snapshot(vec![documents::node("m1", "myodaiji", 512), documents::node("m2", "myodaiji", 4_096)]);
    let mut rooms = Rooms::of(&snap, &Rules::default());
    rooms.reserve(&documents::name("m1"), &member("a", 64, "pair", Company::Together));
    rooms.reserve(&documents::name("m2"), &member("b", 64, "spread", Company::Apart));
    let together = member("c", 64, "pair", Company::Together);
    assert_eq!(choose(&rooms, &Need::start(&together, &snap), ANYWHERE, &[]).unwrap().as_str(), "m1");
    let apart = member("d", 64, "spread", Company::Apart);
    assert_eq!(choose(&rooms, &Need::start(&apart, &snap), ANYWHERE, &[]).unwrap().as_str(), "m1");
}

#[test]
fn the_largest_go_first_where_nobody_is_left_so_and_the_worthiest_where_somebody_is() {
    let snap = snapshot(vec![documents::node("m1", "myodaiji", 1_024), documents::node("m2", "myodaiji", 1_024)]);
    let vm = |name: &str, memory_mib: u64, priority: u8| {
        let mut vm = documents::vm(name, memory_mib);
        vm.spec.priority = priority;
        vm
    };
    let places = |vms: &[Vm]| -> Vec<Option<String>> {
        let needs: Vec<Need<'_>> = vms.iter().map(|vm| Need::start(vm, &snap)).collect();
        let places = plan(&mut Rooms::of(&snap, &Rules::default()), &needs, ANYWHERE);
        places.into_iter().map(|place| place.ok().map(|node| node.to_string())).collect()
    };
    let at = |node: &str| Some(node.to_owned());
    let mut vms = vec![vm("mail", 512, 90), vm("web", 512, 90), vm("old", 1_024, 0)];
    assert_eq!(places(&vms), [at("m2"), at("m2"), at("m1")]);
    vms.push(vm("db", 512, 50));
    assert_eq!(places(&vms), [at("m1"), at("m2"), None, at("m1")]);
}

/// A server's memory, disk, perhaps a group that keeps together, and priority.
type Draft = (u64, u64, Option<(u8, bool)>, u8);

/// Servers, some of them in groups.
fn servers() -> impl Strategy<Value = Vec<Vm>> {
    let server = (1_u64..600, 1_u64..20, prop::option::of((0_u8..3, any::<bool>())), 0_u8..3);
    prop::collection::vec(server, 1..40).prop_map(|list| {
        let vm = |(index, (memory, disk, group, priority)): (usize, Draft)| {
            let mut vm = documents::vm(&format!("v{index}"), memory + 31);
            vm.spec.disk_gib = disk;
            vm.spec.priority = priority;
            if let Some((group, together)) = group {
                let company = if together { Company::Together } else { Company::Apart };
                let name = format!("{}{group}", if together { "t" } else { "a" });
                vm.spec.groups.push(Membership { group: name.parse().unwrap(), company });
            }
            vm
        };
        list.into_iter().enumerate().map(vm).collect()
    })
}

/// Nodes: memory, state, whether cordoned, at which site.
fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let states = prop_oneof![
        6 => Just(node::State::Ready),
        1 => Just(node::State::Suspect),
        1 => Just(node::State::Lost)
    ];
    prop::collection::vec((64_u64..4_096, states, prop::bool::weighted(0.1), any::<bool>()), 1..12).prop_map(|list| {
        let node = |(index, (memory, state, cordoned, here)): (usize, (u64, node::State, bool, bool))| {
            let site = if here { "myodaiji" } else { "yamate" };
            Node { state, cordoned, ..documents::node(&format!("n{index}"), site, memory) }
        };
        list.into_iter().enumerate().map(node).collect()
    })
}

proptest! {
    #[test]
    fn a_plan_never_exceeds_a_node_breaks_a_group_or_uses_what_is_closed(vms in servers(), nodes in nodes()) {
        let rules = Rules::default();
        let mut snap = snapshot(nodes);
        snap.outages = docs([draining("yamate")]);
        let mut rooms = Rooms::of(&snap, &rules);
        let needs: Vec<Need<'_>> = vms.iter().map(|vm| Need::start(vm, &snap)).collect();
        let places = plan(&mut rooms, &needs, ANYWHERE);
        prop_assert_eq!(places.len(), vms.len());

        let mut used: BTreeMap<NodeName, Amount> = BTreeMap::new();
        let mut groups: BTreeMap<&str, Vec<&NodeName>> = BTreeMap::new();
        for (vm, place) in vms.iter().zip(&places) {
            let Ok(name) = place else { continue };
            let node = &snap.nodes[name.as_str()].value;
            prop_assert!(node.state == node::State::Ready && !node.cordoned && node.site.as_str() == "myodaiji");
            let sum = used.entry(name.clone()).or_default();
            *sum = sum.plus(Amount::of(vm.claims()));
            prop_assert!(sum.memory_mib <= node.inventory.memory_mib, "{name} is overbooked");
            prop_assert!(sum.vcpus <= u64::from(node.inventory.vcpus) * 8);
            prop_assert!(sum.disk_gib <= node.inventory.disk_gib * 2);
            for membership in &vm.spec.groups {
                groups.entry(membership.group.as_str()).or_default().push(name);
            }
        }
        for (group, mut places) in groups {
            let all = places.len();
            places.sort();
            places.dedup();
            let kept = if group.starts_with('t') { places.len() == 1 } else { places.len() == all };
            prop_assert!(kept, "group {group} is at {places:?}");
        }
    }

    #[test]
    fn who_is_refused_by_a_plan_fits_nowhere_in_what_is_left(vms in servers(), nodes in nodes()) {
        let rules = Rules::default();
        let snap = snapshot(nodes);
        let mut rooms = Rooms::of(&snap, &rules);
        let alone: Vec<Vm> = vms.into_iter().filter(|vm| vm.spec.groups.is_empty()).collect();
        let needs: Vec<Need<'_>> = alone.iter().map(|vm| Need::start(vm, &snap)).collect();
        let places = plan(&mut rooms, &needs, ANYWHERE);
        for (need, place) in needs.iter().zip(&places) {
            if place.is_err() {
                prop_assert!(choose(&rooms, need, ANYWHERE, &[]).is_err());
            }
        }
    }
}
