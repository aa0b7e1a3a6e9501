use proptest::prelude::*;
use time::OffsetDateTime;
use watari_model::{
    Timestamp,
    network::{Kind, Range, Stranger, mac_of},
};

use super::*;

fn network(size: u32) -> Network {
    let first = Ipv4Addr::new(10, 0, 0, 10);
    Network {
        v: 1,
        name: "campus".parse().unwrap(),
        kind: Kind::Provider,
        segment: "campus".parse().unwrap(),
        vlan: None,
        mtu: None,
        public: false,
        overlay: None,
        cidr: "10.0.0.0/24".parse().unwrap(),
        range: Range { first, last: Ipv4Addr::from(u32::from(first) + size - 1) },
        excluded: Vec::new(),
        gateway: None,
        dns: Vec::new(),
        routes: Vec::new(),
        strangers: Vec::new(),
        ipv6: None,
        request_id: String::new(),
        created_at: Timestamp(OffsetDateTime::UNIX_EPOCH),
    }
}

fn somebody(n: u32) -> Owner {
    Owner { vm: format!("vm{n}").parse().unwrap(), uuid: format!("uuid-{n}") }
}

fn port(network: &Network, address: Ipv4Addr, owner: &Owner, second: i64) -> Port {
    Port {
        v: 1,
        network: network.name.clone(),
        address,
        address6: None,
        mac: mac_of(address),
        vm: owner.vm.clone(),
        vm_uuid: owner.uuid.clone(),
        created_at: Timestamp(OffsetDateTime::from_unix_timestamp(second).unwrap()),
    }
}

fn index(network: &Network, ports: &[Port]) -> Index {
    let mut index = Index::default();
    index.rebuild(std::iter::once(network), ports.iter(), 0);
    index
}

#[test]
fn after_a_restart_the_next_address_is_the_one_after_the_newest() {
    let net = network(10);
    let at = |n: u8| Ipv4Addr::new(10, 0, 0, n);
    let ports =
        [port(&net, at(15), &somebody(1), 5), port(&net, at(12), &somebody(2), 9), port(&net, at(13), &somebody(3), 1)];
    let mut index = index(&net, &ports);
    assert_eq!(index.usage(&net.name), Usage { used: 3, free: 7 });
    assert_eq!(index.claim_next(&net.name, &somebody(4)), Some(at(14)));
    assert_eq!(index.address_of(&somebody(2), &net.name), Some(at(12)));
}

#[test]
fn a_fixed_address_beyond_the_range_is_taken_once_and_leaves_the_range_alone() {
    let net = network(2);
    let mut index = index(&net, &[]);
    let beyond = Ipv4Addr::new(10, 0, 0, 200);
    assert!(index.claim(&net.name, beyond, &somebody(1)));
    assert!(!index.claim(&net.name, beyond, &somebody(2)));
    index.settle(&port(&net, beyond, &somebody(1), 0));
    assert_eq!(index.usage(&net.name), Usage { used: 1, free: 2 });
    index.release(&port(&net, beyond, &somebody(1), 0));
    assert!(index.claim(&net.name, beyond, &somebody(2)));
}

#[test]
fn a_strangers_address_is_nobodys_though_it_is_given_back() {
    let mut net = network(3);
    let [first, second, third] = [10, 11, 12].map(|n| Ipv4Addr::new(10, 0, 0, n));
    let ports = [port(&net, first, &somebody(1), 0)];
    let stranger = |address| Stranger {
        address,
        address6: None,
        mac: "02:00:00:00:00:07".to_owned(),
        node: "m1".parse().unwrap(),
        seen_at: net.created_at,
    };
    net.strangers = vec![stranger(first), stranger(second)];
    let mut index = index(&net, &ports);
    assert_eq!(index.usage(&net.name), Usage { used: 1, free: 1 });
    index.release(&ports[0]);
    assert!(!index.claim(&net.name, first, &somebody(2)));
    assert_eq!(index.claim_next(&net.name, &somebody(2)), Some(third));
    assert_eq!(index.claim_next(&net.name, &somebody(3)), None);
    net.strangers.clear();
    index.rebuild(std::iter::once(&net), std::iter::empty(), 0);
    assert_eq!(index.usage(&net.name), Usage { used: 0, free: 2 });
}

#[test]
fn an_excluded_address_is_drawn_by_nobody_and_is_whose_who_names_it() {
    let mut net = network(4);
    let at = |n: u8| Ipv4Addr::new(10, 0, 0, n);
    net.excluded = vec!["10.0.0.11-10.0.0.12=printers".parse().unwrap()];
    let named = port(&net, at(11), &somebody(1), 0);
    let mut index = index(&net, &[]);
    assert!(index.claim(&net.name, at(11), &somebody(1)));
    index.settle(&named);
    assert!(!index.claim(&net.name, at(11), &somebody(2)), "it is one server's");
    assert_eq!(index.usage(&net.name), Usage { used: 1, free: 2 });
    // Who has it keeps it when everything is read anew; who is drawn for gets none of them.
    index.rebuild(std::iter::once(&net), std::iter::once(&named), 0);
    assert_eq!(index.usage(&net.name), Usage { used: 1, free: 2 });
    let drawn = [2, 3, 4].map(|n| index.claim_next(&net.name, &somebody(n)));
    assert_eq!(drawn, [Some(at(13)), Some(at(10)), None]);
    index.release(&named);
    assert_eq!(index.claim_next(&net.name, &somebody(5)), None, "nor is it drawn once it was given back");
    assert!(index.claim(&net.name, at(11), &somebody(5)) && index.claim(&net.name, at(12), &somebody(6)));
}

#[test]
fn an_owner_whose_write_is_in_doubt_tries_the_same_address_again() {
    let net = network(3);
    let mut index = index(&net, &[]);
    let first = index.claim_next(&net.name, &somebody(1)).unwrap();
    index.doubt(&net.name, first, 1000);
    assert_ne!(index.claim_next(&net.name, &somebody(2)), Some(first));
    assert_eq!(index.claim_next(&net.name, &somebody(1)), Some(first));
}

#[test]
fn a_rebuild_keeps_claims_in_hand_and_forgets_old_doubts() {
    let net = network(3);
    let mut index = index(&net, &[]);
    let in_hand = index.claim_next(&net.name, &somebody(1)).unwrap();
    let doubted = index.claim_next(&net.name, &somebody(2)).unwrap();
    index.doubt(&net.name, doubted, 1000);
    index.rebuild(std::iter::once(&net), std::iter::empty(), 500);
    assert_eq!(index.usage(&net.name).free, 1);
    index.rebuild(std::iter::once(&net), std::iter::empty(), 2000);
    assert_eq!(index.usage(&net.name).free, 2);
    assert!(!index.claim(&net.name, in_hand, &somebody(3)));
    assert!(index.claim(&net.name, doubted, &somebody(3)));
}

proptest! {
    #[test]
    fn no_sequence_gives_one_address_to_two(
        size in 1_u32..12,
        kept in 0_u32..4,
        steps in prop::collection::vec((0_u8..6, 0_u32..6), 0..120),
    ) {
        // The first ones are kept back, of which somebody may name one.
        let (kept, mut net) = (kept.min(size - 1), network(size));
        let excluded: Vec<Ipv4Addr> = net.range.addresses().take(kept as usize).collect();
        net.excluded = excluded.iter().map(|address| address.to_string().parse().unwrap()).collect();
        let mut index = index(&net, &[]);
        let mut stored: HashMap<Ipv4Addr, Port> = HashMap::new();
        for (step, who) in steps {
            let owner = somebody(who);
            match step {
                0 | 1 => if let Some(address) = index.claim_next(&net.name, &owner) {
                    prop_assert!(!stored.contains_key(&address), "{} twice", address);
                    prop_assert!(!excluded.contains(&address), "{} is kept back", address);
                    let port = port(&net, address, &owner, 0);
                    index.settle(&port);
                    stored.insert(address, port);
                } else {
                    let named = excluded.iter().filter(|address| stored.contains_key(*address)).count();
                    prop_assert_eq!((stored.len() - named) as u32, size - kept);
                },
                2 => if let Some(address) = index.claim_next(&net.name, &owner) {
                    index.doubt(&net.name, address, 0);
                    index.rebuild(std::iter::once(&net), stored.values(), 1);
                },
                3 => for (_, address) in index.places_of(&owner) {
                    let port = stored.remove(&address).unwrap();
                    prop_assert_eq!(&port.vm, &owner.vm);
                    index.release(&port);
                },
                4 => if let Some(address) = excluded.get(who as usize) {
                    let free = !stored.contains_key(address);
                    prop_assert_eq!(index.claim(&net.name, *address, &owner), free);
                    if free {
                        let port = port(&net, *address, &owner, 0);
                        index.settle(&port);
                        stored.insert(*address, port);
                    }
                },
                _ => index.rebuild(std::iter::once(&net), stored.values(), 0),
            }
            let usage = index.usage(&net.name);
            let drawn = stored.keys().filter(|address| !excluded.contains(address)).count() as u64;
            prop_assert_eq!((usage.used, usage.free), (stored.len() as u64, net.drawable() - drawn));
        }
    }
}
