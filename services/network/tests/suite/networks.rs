//! Making and deleting networks, hostile requests, and ports whose server is gone.

use crate::harness::{AnyCreate, PATIENCE, Running, ask, campus, lab, server_of, settings, somebody, wants};
use serde_json::json;
use watari_chassis::{Bucket, Context};
use watari_contracts::{
    Service,
    network::{CreateNetwork, DeleteNetwork, EditNetwork, GetNetwork, ListNetworks, ListPorts},
};
use watari_model::{Refusal, network::Kind, vm::Vm};
use watari_testkit::{NatsServer, eventually};

const RANGE: &str = "203.0.113.100-203.0.113.199";

#[tokio::test(flavor = "multi_thread")]
async fn a_network_is_made_once_shown_and_deleted_when_nobody_uses_it() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    let made = ask(&bus, lab(RANGE)).await.unwrap();
    assert_eq!((made.addresses_used, made.addresses_free, made.segment.as_str()), (0, 100, "campus"));
    assert_eq!(ask(&bus, lab(RANGE)).await.unwrap(), made, "the same request again");

    let other = lab("203.0.113.100-203.0.113.150");
    assert!(matches!(ask(&bus, other.clone()).await, Err(Refusal::RequestIdReused { .. })));
    let named = CreateNetwork { name: "second".parse().unwrap(), ..lab("203.0.113.10-203.0.113.20") };
    assert!(matches!(ask(&bus, named.clone()).await, Err(Refusal::RequestIdReused { .. })));
    let anonymous = CreateNetwork { request_id: None, ..lab(RANGE) };
    assert!(matches!(ask(&bus, anonymous).await, Err(Refusal::NetworkExists { .. })));
    let overlapping = CreateNetwork { request_id: Some("r2".to_owned()), name: "second".parse().unwrap(), ..other };
    assert!(matches!(ask(&bus, overlapping).await, Err(Refusal::RangeOverlaps { other, .. }) if other == "campus"));
    let beside = CreateNetwork { request_id: Some("r3".to_owned()), ..named };
    ask(&bus, beside).await.unwrap();
    let names: Vec<_> = ask(&bus, ListNetworks {}).await.unwrap().networks.into_iter().map(|n| n.name).collect();
    assert_eq!(names, ["campus".parse().unwrap(), "second".parse().unwrap()]);

    ask(&bus, wants(1)).await.unwrap();
    let delete = |name: &str| DeleteNetwork { name: name.parse().unwrap() };
    assert!(matches!(ask(&bus, delete("campus")).await, Err(Refusal::NetworkInUse { users, .. }) if users == "vm1"));
    ask(&bus, delete("second")).await.unwrap();
    assert!(matches!(ask(&bus, delete("second")).await, Err(Refusal::NetworkUnknown { .. })));
    assert!(matches!(
        ask(&bus, GetNetwork { name: "second".parse().unwrap() }).await,
        Err(Refusal::NetworkUnknown { .. })
    ));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_networks_than_may_be() {
    let nats = NatsServer::start();
    let mut settings = settings();
    settings.addresses.most_networks = 1;
    let service = Running::start(&nats, settings).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab(RANGE)).await.unwrap();
    let second = CreateNetwork {
        request_id: Some("r2".to_owned()),
        name: "second".parse().unwrap(),
        ..lab("203.0.113.10-203.0.113.20")
    };
    assert!(matches!(ask(&bus, second).await, Err(Refusal::NetworksFull { limit }) if limit == "1"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_network_hands_out_is_changed_and_what_it_gave_stays_given() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.100-203.0.113.101")).await.unwrap();
    let mut given = Vec::new();
    for n in 1..=2 {
        given.push(ask(&bus, wants(n)).await.unwrap().port.address);
    }
    assert!(matches!(ask(&bus, wants(3)).await, Err(Refusal::RangeExhausted { .. })));

    let edit = |range: Option<&str>, excluded: Option<&str>| EditNetwork {
        name: "campus".parse().unwrap(),
        range: range.map(str::to_owned),
        excluded: excluded.map(|text| text.split_whitespace().map(|one| one.parse().unwrap()).collect()),
    };
    let grown = edit(Some("203.0.113.99-203.0.113.103"), Some("203.0.113.102=printers"));
    let view = ask(&bus, grown.clone()).await.unwrap();
    assert_eq!((view.range.as_str(), view.addresses_used, view.addresses_free), ("203.0.113.99-203.0.113.103", 2, 2));
    assert_eq!(ask(&bus, grown).await.unwrap(), view, "asking twice changes nothing more");
    let third = ask(&bus, wants(3)).await.unwrap().port.address;
    assert!(!given.contains(&third) && third.octets()[3] != 102, "{third}");
    assert_eq!(ask(&bus, wants(1)).await.unwrap().port.address, given[0]);
    let free = ask(&bus, edit(None, Some(""))).await.unwrap();
    assert_eq!((free.excluded.len(), free.addresses_free), (0, 2));

    let second = CreateNetwork {
        request_id: Some("r2".to_owned()),
        name: "second".parse().unwrap(),
        ..lab("203.0.113.110-203.0.113.120")
    };
    ask(&bus, second).await.unwrap();
    for (wrong, code) in [
        (edit(None, None), "request.malformed"),
        (edit(Some("203.0.113.101-203.0.113.105"), None), "network.bad-range"),
        (edit(Some("203.0.113.99-203.0.113.110"), None), "network.range-overlaps"),
        (edit(None, Some("203.0.113.200")), "network.bad-exclusion"),
        (EditNetwork { name: "nobody".parse().unwrap(), ..edit(None, Some("")) }, "network.unknown"),
    ] {
        let refused = ask(&bus, wrong.clone()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{wrong:?}");
    }
    let there = ask(&bus, GetNetwork { name: "campus".parse().unwrap() }).await.unwrap();
    assert_eq!(there, free, "what is refused changes nothing");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_with_a_code_and_change_nothing() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    let good = json!({"name": "campus", "kind": "provider", "cidr": "203.0.113.0/24", "range": RANGE});
    let with = |field: &str, value: serde_json::Value| {
        let mut request = good.clone();
        request[field] = value;
        request
    };
    for name in ["", "a.b", "*", ">", "a b", "<x/>", "A", "../etc", "$JS", "é", &"a".repeat(500)] {
        let refused = ask(&bus, AnyCreate(with("name", json!(name)))).await.unwrap_err();
        assert_eq!(refused.code(), "request.malformed", "{name}");
    }
    for (request, code) in [
        (json!([]), "request.malformed"),
        (json!({"name": "campus"}), "request.malformed"),
        (with("surprise", json!(1)), "request.malformed"),
        (with("kind", json!("magic")), "request.malformed"),
        (with("gateway", json!("203.0.113.1; rm -rf /")), "request.malformed"),
        (with("segment", json!("br0/../x")), "request.malformed"),
        (with("cidr", json!("0.0.0.0/0")), "network.bad-range"),
        (with("cidr", json!("x".repeat(10_000))), "network.bad-range"),
        (with("range", json!("1-2")), "network.bad-range"),
        (with("range", json!("203.0.113.0-203.0.113.255")), "network.bad-range"),
        (with("dns", json!(["203.0.113.100"])), "network.bad-range"),
        (with("excluded", json!([{"first": "203.0.113.99", "last": "203.0.113.101"}])), "network.bad-exclusion"),
        (with("excluded", json!([{"first": "a", "last": "b"}])), "request.malformed"),
        (with("routes", json!([{"to": "198.51.100.0/24", "via": "203.0.113.100"}])), "network.bad-route"),
        (with("routes", json!([{"to": "anywhere", "via": "203.0.113.2"}])), "request.malformed"),
        (with("request_id", json!("")), "request.out-of-range"),
        (with("mtu", json!(9_217)), "request.out-of-range"),
        (with("cidr", json!("x".repeat(300_000))), "request.too-large"),
    ] {
        let refused = ask(&bus, AnyCreate(request)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    assert_eq!(ask(&bus, ListNetworks {}).await.unwrap().networks.len(), 0);
    assert!(matches!(ask(&bus, wants(1)).await, Err(Refusal::NetworkUnknown { .. })));
    ask(&bus, CreateNetwork { kind: Kind::Provider, ..lab(RANGE) }).await.unwrap();
    for uuid in ["", "a b", "*", &"x".repeat(65)] {
        let request = watari_contracts::network::AllocatePort { vm_uuid: uuid.to_owned(), ..wants(1) };
        assert!(matches!(ask(&bus, request).await, Err(Refusal::OutOfRange { .. })), "{uuid}");
    }
    for limit in [0, 1_001] {
        let request = ListPorts { limit: Some(limit), ..ListPorts::default() };
        assert!(matches!(ask(&bus, request).await, Err(Refusal::OutOfRange { .. })));
    }
    assert_eq!(campus(&bus).await.addresses_used, 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_vanished_servers_go_back_but_never_many_at_once() {
    let nats = NatsServer::start();
    let mut settings = settings();
    (settings.addresses.orphan_seconds, settings.addresses.sweep_seconds) = (1, 1);
    let service = Running::start(&nats, settings).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab(RANGE)).await.unwrap();
    // The scheduler's part: five servers whose documents stand.
    let scheduler = Context::new(Service::Scheduler, &crate::harness::common(&nats)).await.unwrap();
    let vms = Bucket::<Vm>::open(&scheduler).await.unwrap();
    let mut servers = Vec::new();
    for n in 0..5 {
        let port = ask(&bus, wants(n)).await.unwrap().port;
        let server = server_of(&port, watari_chassis::clock::now());
        servers.push((vms.create(&server).await.unwrap(), server));
    }
    // One more was asked for by a scheduler that died before it wrote the server down.
    ask(&bus, wants(99)).await.unwrap();
    let used = |n: u64| {
        let bus = bus.clone();
        async move { campus(&bus).await.addresses_used == n }
    };
    eventually("the lost server's port is given back", PATIENCE, || used(5)).await;

    // Three of five at once is no accident of one server.
    for (revision, server) in &servers[..3] {
        vms.delete(server.name.as_str(), *revision).await.unwrap();
    }
    let alarmed = || async {
        let families = service.ctx.metrics.gather();
        let alarm = families.iter().find(|f| f.name() == "watari_ports_orphaned_alarm");
        alarm.is_some_and(|f| f.get_metric()[0].get_gauge().get_value() > 0.5)
    };
    eventually("there is an alarm", PATIENCE, alarmed).await;
    assert!(used(5).await, "and nothing was given back");
    // Two of them come back; the third is one server like any other.
    for (_, server) in &servers[..2] {
        vms.create(server).await.unwrap();
    }
    eventually("one port is given back", PATIENCE, || used(4)).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_with_the_same_addresses() {
    let nats = NatsServer::start();
    let first = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab(RANGE)).await.unwrap();
    let second = Running::start(&nats, settings()).await;
    let before = ask(&bus, wants(1)).await.unwrap();
    first.stop().await;
    assert_eq!(ask(&bus, wants(1)).await.unwrap(), before);
    assert_ne!(ask(&bus, wants(2)).await.unwrap().port.address, before.port.address);
    let view = campus(&bus).await;
    assert_eq!((view.addresses_used, view.addresses_free), (2, 98));
    second.stop().await;
}
