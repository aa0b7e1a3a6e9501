//! Addresses under concurrency, repetition and the death of whoever hands them out.

use std::{collections::BTreeMap, time::Instant};

use crate::harness::{PATIENCE, Running, ask, campus, lab, settings, somebody, together, wants};
use watari_contracts::network::{
    AllocatePort, ClearAddress, CreateNetwork, ListPorts, ReleasePorts, ReplacePort, WantedIpv6,
};
use watari_model::Refusal;
use watari_testkit::{NatsServer, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_range_is_handed_out_by_many_at_once_without_a_duplicate_and_then_exhausted() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.10-203.0.113.209")).await.unwrap();
    let all = together((0..8).map(|task| {
        let bus = bus.clone();
        async move {
            let mut got = Vec::new();
            for n in 0..30 {
                got.push(ask(&bus, wants(task * 30 + n)).await.map(|a| a.port.address));
            }
            got
        }
    }))
    .await
    .concat();
    let mut given: Vec<_> = all.iter().flatten().collect();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 200, "200 addresses, each once");
    let refused: Vec<_> = all.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(refused.len(), 40);
    assert!(refused.iter().all(|r| matches!(r, Refusal::RangeExhausted { size, .. } if size == "200")), "{refused:?}");
    let view = campus(&bus).await;
    assert_eq!((view.addresses_used, view.addresses_free), (200, 0));

    let page = ask(&bus, ListPorts { limit: Some(150), ..ListPorts::default() }).await.unwrap();
    assert_eq!(page.ports.len(), 150);
    let rest = ask(&bus, ListPorts { after: page.next, ..ListPorts::default() }).await.unwrap();
    assert_eq!((rest.ports.len(), rest.next), (50, None));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_gives_the_same_port_even_when_all_ask_at_once() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.100-203.0.113.199")).await.unwrap();
    let same = together((0..20).map(|_| {
        let bus = bus.clone();
        async move { ask(&bus, wants(1)).await.unwrap().port }
    }))
    .await;
    assert!(same.iter().all(|port| *port == same[0]), "{same:?}");
    assert_eq!(campus(&bus).await.addresses_used, 1);
    // Another server of the same name is another server.
    let other = AllocatePort { vm_uuid: "another".to_owned(), ..wants(1) };
    assert_ne!(ask(&bus, other).await.unwrap().port.address, same[0].address);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_rests_and_returns() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.100-203.0.113.102")).await.unwrap();
    let first = ask(&bus, wants(1)).await.unwrap().port.address;
    let release = ReleasePorts { vm: "vm1".parse().unwrap(), vm_uuid: "uuid-1".to_owned() };
    let of_another = ReleasePorts { vm_uuid: "uuid-2".to_owned(), ..release.clone() };
    assert_eq!(ask(&bus, of_another).await.unwrap().ports, 0);
    assert_eq!(ask(&bus, release.clone()).await.unwrap().ports, 1);
    assert_eq!(ask(&bus, release).await.unwrap().ports, 0);
    let mut next = Vec::new();
    for n in 2..5 {
        next.push(ask(&bus, wants(n)).await.unwrap().port.address);
    }
    assert_eq!(next.last(), Some(&first), "the address rested while there were others: {next:?}");
    assert!(matches!(ask(&bus, wants(5)).await, Err(Refusal::RangeExhausted { .. })));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_address_is_had_once_and_only_inside_the_subnet() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    let gateway = Some("203.0.113.1".parse().unwrap());
    ask(&bus, crate::harness::lab_with(gateway, "203.0.113.100-203.0.113.102")).await.unwrap();
    let fixed = |n: u32, address: &str| AllocatePort { address: Some(address.parse().unwrap()), ..wants(n) };
    for (n, address) in [(1, "203.0.113.101"), (2, "203.0.113.50")] {
        assert_eq!(ask(&bus, fixed(n, address)).await.unwrap().port.address.to_string(), address);
        assert_eq!(ask(&bus, fixed(n, address)).await.unwrap().port.address.to_string(), address, "again");
    }
    for (n, address) in [(3, "203.0.113.101"), (3, "203.0.113.50"), (3, "203.0.113.1")] {
        assert!(matches!(ask(&bus, fixed(n, address)).await, Err(Refusal::AddressTaken { .. })), "{address}");
    }
    for (n, address) in [(3, "203.0.113.0"), (3, "203.0.113.255"), (3, "198.51.100.1"), (1, "203.0.113.102")] {
        assert!(matches!(ask(&bus, fixed(n, address)).await, Err(Refusal::OutOfRange { .. })), "{address}");
    }
    let drawn = [ask(&bus, wants(4)).await, ask(&bus, wants(5)).await].map(|a| a.unwrap().port.address.to_string());
    assert!(!drawn.contains(&"203.0.113.101".to_owned()), "{drawn:?}");
    assert!(matches!(ask(&bus, wants(6)).await, Err(Refusal::RangeExhausted { .. })));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excluded_address_is_given_to_who_names_it_and_never_drawn() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    let excluded = vec!["203.0.113.101-203.0.113.102=printers".parse().unwrap()];
    let made = ask(&bus, CreateNetwork { excluded, ..lab("203.0.113.100-203.0.113.103") }).await.unwrap();
    assert_eq!((made.excluded[0].note.as_deref(), made.addresses_free), (Some("printers"), 2));
    let printer = std::net::Ipv4Addr::new(203, 0, 113, 101);
    let named = |n: u32| AllocatePort { address: Some(printer), ..wants(n) };
    assert_eq!(ask(&bus, named(1)).await.unwrap().port.address, printer);
    assert!(matches!(ask(&bus, named(2)).await, Err(Refusal::AddressTaken { .. })));
    let view = campus(&bus).await;
    assert_eq!((view.addresses_used, view.addresses_free), (1, 2));
    for n in [3, 4] {
        assert!(!made.excluded[0].range().contains(ask(&bus, wants(n)).await.unwrap().port.address));
    }
    let exhausted = ask(&bus, wants(5)).await;
    assert!(matches!(&exhausted, Err(Refusal::RangeExhausted { size, .. }) if size == "2"), "{exhausted:?}");
    // Given back, it is kept back as before, also by a service that knows of it from the documents alone.
    ask(&bus, ReleasePorts { vm: wants(1).vm, vm_uuid: wants(1).vm_uuid }).await.unwrap();
    assert!(matches!(ask(&bus, wants(5)).await, Err(Refusal::RangeExhausted { .. })));
    service.stop().await;
    let service = Running::start(&nats, settings()).await;
    assert!(matches!(ask(&bus, wants(5)).await, Err(Refusal::RangeExhausted { .. })));
    assert_eq!(ask(&bus, named(5)).await.unwrap().port.address, printer);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_address_is_replaced_marked_and_given_out_again_on_an_operators_word() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.100-203.0.113.102")).await.unwrap();
    let strange = ask(&bus, wants(1)).await.unwrap().port.address;
    let replace = |n: u32, fixed| ReplacePort {
        network: "campus".parse().unwrap(),
        vm: format!("vm{n}").parse().unwrap(),
        vm_uuid: format!("uuid-{n}"),
        address: strange,
        address6: None,
        mac: "02:00:00:00:00:07".to_owned(),
        node: "m1".parse().unwrap(),
        fixed,
    };
    let hostile = ReplacePort { mac: "a stranger".to_owned(), ..replace(1, false) };
    assert!(matches!(ask(&bus, hostile).await, Err(Refusal::OutOfRange { .. })));
    assert!(campus(&bus).await.strangers.is_empty());
    let other = ask(&bus, replace(1, false)).await.unwrap().port;
    assert_ne!(other.address, strange);
    assert_eq!(ask(&bus, replace(1, false)).await.unwrap().port, other, "again");
    assert_eq!(ask(&bus, wants(1)).await.unwrap().port, other, "it is the server's");
    let view = campus(&bus).await;
    assert_eq!((view.addresses_used, view.addresses_free), (1, 1));
    assert_eq!(
        view.strangers.iter().map(|s| (s.address, s.mac.as_str())).collect::<Vec<_>>(),
        [(strange, "02:00:00:00:00:07")]
    );

    // Nobody gets it, whether it is drawn or asked for; who has it already keeps it, and is told.
    let last = ask(&bus, wants(2)).await.unwrap().port.address;
    assert!(last != strange && last != other.address);
    assert!(matches!(ask(&bus, wants(3)).await, Err(Refusal::RangeExhausted { .. })));
    let asked = AllocatePort { address: Some(strange), ..wants(3) };
    assert!(matches!(ask(&bus, asked.clone()).await, Err(Refusal::AddressStrange { .. })));
    assert!(matches!(ask(&bus, replace(3, true)).await, Err(Refusal::AddressStrange { .. })), "it has no port");

    let clear = ClearAddress { network: "campus".parse().unwrap(), address: strange };
    let cleared = ask(&bus, clear.clone()).await.unwrap();
    assert!(cleared.strangers.is_empty() && cleared.addresses_free == 1);
    assert_eq!(ask(&bus, clear).await.unwrap(), cleared, "again");
    assert_eq!(ask(&bus, asked).await.unwrap().port.address, strange);
    assert_eq!(ask(&bus, replace(3, true)).await.unwrap().port.address, strange, "asked for by name, it stays");
    assert_eq!(campus(&bus).await.strangers.len(), 1);

    // Whoever has only what goes with it by IPv6 keeps servers off as well, and is told apart.
    let by_ipv6 = ReplacePort { address6: Some("2001:db8::cb00:7164".parse().unwrap()), ..replace(3, true) };
    ask(&bus, by_ipv6.clone()).await.unwrap();
    assert_eq!(campus(&bus).await.strangers[0].address6, by_ipv6.address6);
    let refused = ask(&bus, AllocatePort { address: Some(strange), ..wants(4) }).await;
    assert!(matches!(&refused, Err(Refusal::AddressStrange6 { mac, .. }) if *mac == by_ipv6.mac), "{refused:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_service_and_nats_in_the_middle_neither_loses_nor_doubles_an_address() {
    let mut nats = NatsServer::start();
    let first = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.10-203.0.113.209")).await.unwrap();
    let (halfway, mut reached) = tokio::sync::mpsc::channel(200);
    let asking: Vec<_> = (0..8)
        .map(|task| {
            let (bus, halfway) = (bus.clone(), halfway.clone());
            tokio::spawn(async move {
                let mut got = BTreeMap::new();
                for n in task * 25..(task + 1) * 25 {
                    got.insert(n, ask(&bus, wants(n)).await.unwrap().port);
                    let _ = halfway.send(()).await;
                }
                got
            })
        })
        .collect();
    for _ in 0..60 {
        reached.recv().await.unwrap();
    }
    first.kill();
    let second = Running::start(&nats, settings()).await;
    for _ in 0..60 {
        reached.recv().await.unwrap();
    }
    nats.restart();
    let drain = tokio::spawn(async move { while reached.recv().await.is_some() {} });
    drop(halfway);
    let mut got = BTreeMap::new();
    for task in asking {
        got.extend(task.await.unwrap());
    }
    drain.await.unwrap();
    let distinct: std::collections::BTreeSet<_> = got.values().map(|port| port.address).collect();
    assert_eq!((got.len(), distinct.len()), (200, 200));
    second.stop().await;

    // A third instance sees the same, and nothing more was written than was answered.
    let third = Running::start(&nats, settings()).await;
    for (n, port) in &got {
        assert_eq!(ask(&bus, wants(*n)).await.unwrap().port, *port);
    }
    assert_eq!(campus(&bus).await.addresses_used, 200);
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_with_old_copies_gives_back_what_was_handed_out_meanwhile() {
    let nats = NatsServer::start();
    let first = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.100-203.0.113.109")).await.unwrap();
    let standby = Running::start(&nats, settings()).await;
    eventually("the standby follows", PATIENCE, || async { nats.watches("ports").await.len() == 2 }).await;
    nats.make_copies_old("ports").await;
    let AllocatePort { vm, vm_uuid, .. } = wants(1);
    ask(&bus, wants(1)).await.unwrap();
    first.stop().await;
    // That there was nothing to be given back would be an answer as well: one for a server that never had an address.
    assert_eq!(ask(&bus, ReleasePorts { vm, vm_uuid }).await.unwrap().ports, 1);
    assert_eq!(campus(&bus).await.addresses_used, 0);
    standby.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_servers_get_addresses_quickly() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    let network = crate::harness::wide("10.0.0.0/16", "10.0.1.0-10.0.20.0");
    ask(&bus, network).await.unwrap();
    let begun = Instant::now();
    let given = together((0..32).map(|task| {
        let bus = bus.clone();
        async move {
            let mut got = Vec::new();
            for n in 0..32 {
                got.push(ask(&bus, wants(task * 32 + n)).await.unwrap().port.address);
            }
            got
        }
    }))
    .await
    .concat();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} allocations in {seconds:.2} s: {:.0} a second", given.len(), given.len() as f64 / seconds);
    assert_eq!(given.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 1024);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_network_with_ipv6_a_port_has_the_address_beside_its_own() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    let ipv6 = WantedIpv6 { cidr: "2001:db8:0:1::/64".to_owned(), gateway: None, dns: Vec::new() };
    let dual = CreateNetwork { ipv6: Some(ipv6), ..lab("203.0.113.100-203.0.113.199") };
    let made = ask(&bus, dual.clone()).await.unwrap();
    assert_eq!(made.ipv6.as_ref().map(|ipv6| ipv6.cidr.to_string()).as_deref(), Some("2001:db8:0:1::/64"));
    assert_eq!(ask(&bus, dual.clone()).await.unwrap(), made, "asked again");
    let other = CreateNetwork { ipv6: None, ..dual };
    assert!(matches!(ask(&bus, other).await, Err(Refusal::RequestIdReused { .. })));

    let port = ask(&bus, wants(1)).await.unwrap().port;
    let both = (port.address.to_string(), port.address6.map(|address| address.to_string()));
    assert_eq!(both, ("203.0.113.100".to_owned(), Some("2001:db8:0:1::cb00:7164".to_owned())));
    assert_eq!(ask(&bus, ListPorts::default()).await.unwrap().ports, [port]);
    service.stop().await;
}
