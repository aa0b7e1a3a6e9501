//! Public addresses: taken, led to a server, led away and given back.

use crate::harness::{PATIENCE, Running, ask, lab, server_of, settings, somebody};
use watari_chassis::{Bucket, Context};
use watari_contracts::{
    Service,
    address::{AllocateAddress, AssociateAddress, DisassociateAddress, GetAddress, ListAddresses, ReleaseAddress},
    network::{AllocatePort, ClearAddress, CreateNetwork, DeleteNetwork, GetNetwork, ReleasePorts, ReplacePort},
};
use watari_model::{Refusal, network::Kind, node::Node, vm::Vm};
use watari_testkit::{NatsServer, eventually};

fn outside(range: &str) -> CreateNetwork {
    let (request_id, name) = (Some("r-outside".to_owned()), "outside".parse().unwrap());
    CreateNetwork { request_id, name, public: true, gateway: Some([203, 0, 113, 1].into()), ..lab(range) }
}

fn inside() -> CreateNetwork {
    let (request_id, name) = (Some("r-inside".to_owned()), "inside".parse().unwrap());
    let cidr = "10.1.0.0/24".to_owned();
    CreateNetwork { request_id, name, kind: Kind::Overlay, cidr, ..lab("10.1.0.10-10.1.0.99") }
}

fn wants(request_id: &str) -> AllocateAddress {
    AllocateAddress { request_id: Some(request_id.to_owned()), network: "outside".parse().unwrap(), address: None }
}

fn port(network: &str, n: u32) -> AllocatePort {
    let (network, vm) = (network.parse().unwrap(), format!("vm{n}").parse().unwrap());
    AllocatePort { network, vm, vm_uuid: format!("uuid-{n}"), address: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_is_one_persons_until_it_is_given_back() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, outside("203.0.113.200-203.0.113.201")).await.unwrap();
    let first = ask(&bus, wants("a")).await.unwrap();
    assert_eq!(ask(&bus, wants("a")).await.unwrap(), first, "the same request again");
    let certain = AllocateAddress { address: Some(first.address), ..wants("b") };
    assert!(matches!(ask(&bus, certain).await, Err(Refusal::AddressAllocated { .. })));
    let beyond = AllocateAddress { address: Some([203, 0, 113, 202].into()), ..wants("b") };
    assert!(matches!(ask(&bus, beyond).await, Err(Refusal::OutOfRange { .. })));
    ask(&bus, wants("b")).await.unwrap();
    assert!(matches!(ask(&bus, wants("c")).await, Err(Refusal::PublicRangeExhausted { .. })));
    let view = ask(&bus, GetNetwork { name: "outside".parse().unwrap() }).await.unwrap();
    assert_eq!((view.public, view.addresses_used, view.addresses_free), (true, 2, 0));

    // Servers' own addresses and public ones never meet, since their networks do not.
    assert!(
        matches!(ask(&bus, port("outside", 1)).await, Err(Refusal::OutOfRange { field, .. }) if field == "network")
    );
    ask(&bus, lab("203.0.113.100-203.0.113.199")).await.unwrap();
    let of_servers = AllocateAddress { network: "campus".parse().unwrap(), ..wants("d") };
    assert!(matches!(ask(&bus, of_servers).await, Err(Refusal::OutOfRange { field, .. }) if field == "network"));

    let delete = DeleteNetwork { name: "outside".parse().unwrap() };
    let refused = ask(&bus, delete.clone()).await;
    assert!(matches!(refused, Err(Refusal::NetworkInUse { users, .. }) if users == "203.0.113.200, 203.0.113.201"));
    for view in ask(&bus, ListAddresses::default()).await.unwrap().addresses {
        ask(&bus, ReleaseAddress { address: view.address, associated: false }).await.unwrap();
    }
    let again = ReleaseAddress { address: first.address, associated: false };
    assert!(matches!(ask(&bus, again).await, Err(Refusal::AddressUnknown { .. })));
    ask(&bus, delete).await.unwrap();
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_address_that_a_server_kept_is_its_own_before_anybody_draws_it() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, outside("203.0.113.200-203.0.113.209")).await.unwrap();
    ask(&bus, lab("203.0.113.100-203.0.113.101")).await.unwrap();
    let address = ask(&bus, wants("a")).await.unwrap().address;
    let scheduler = Context::new(Service::Scheduler, &crate::harness::common(&nats)).await.unwrap();
    let vms = Bucket::<Vm>::open(&scheduler).await.unwrap();
    let monitor = Context::new(Service::Monitor, &crate::harness::common(&nats)).await.unwrap();
    let _nodes = Bucket::<Node>::open(&monitor).await.unwrap();
    let kept = ask(&bus, port("campus", 1)).await.unwrap().port;
    vms.create(&server_of(&kept, watari_chassis::clock::now())).await.unwrap();
    let associate = AssociateAddress { address, vm: kept.vm.clone(), network: None };
    eventually("the service knows the server", PATIENCE, || async {
        matches!(ask(&bus, associate.clone()).await, Err(Refusal::AddressNoPort { .. }))
    })
    .await;
    // It was given another, and stopped before that stood in its document.
    let replace = ReplacePort {
        network: kept.network.clone(),
        vm: kept.vm.clone(),
        vm_uuid: kept.vm_uuid.clone(),
        address: kept.address,
        address6: None,
        mac: "02:00:00:00:00:07".to_owned(),
        node: "m1".parse().unwrap(),
        fixed: false,
    };
    assert_ne!(ask(&bus, replace).await.unwrap().port.address, kept.address);
    let cleared = ask(&bus, ClearAddress { network: kept.network.clone(), address: kept.address }).await.unwrap();
    assert!(cleared.strangers.is_empty() && cleared.addresses_free == 0, "{cleared:?}");
    let drawn = ask(&bus, port("campus", 2)).await;
    assert!(matches!(drawn, Err(Refusal::RangeExhausted { .. })), "{drawn:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_leads_to_one_servers_own_port_and_away_with_the_server() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, outside("203.0.113.200-203.0.113.209")).await.unwrap();
    ask(&bus, inside()).await.unwrap();
    ask(&bus, lab("203.0.113.100-203.0.113.199")).await.unwrap();
    let (address, other) = (ask(&bus, wants("a")).await.unwrap().address, ask(&bus, wants("b")).await.unwrap().address);
    let associate = |address, vm: &str| AssociateAddress { address, vm: vm.parse().unwrap(), network: None };
    // The scheduler's part: two servers on the overlay network and one on the campus's own.
    let scheduler = Context::new(Service::Scheduler, &crate::harness::common(&nats)).await.unwrap();
    let vms = Bucket::<Vm>::open(&scheduler).await.unwrap();
    let monitor = Context::new(Service::Monitor, &crate::harness::common(&nats)).await.unwrap();
    let _nodes = Bucket::<Node>::open(&monitor).await.unwrap();
    let mut own = Vec::new();
    for (network, n) in [("inside", 1), ("inside", 2), ("campus", 3)] {
        let port = ask(&bus, port(network, n)).await.unwrap().port;
        vms.create(&server_of(&port, watari_chassis::clock::now())).await.unwrap();
        own.push(port.address);
    }
    eventually("the service knows the server", PATIENCE, || async {
        ask(&bus, associate(address, "vm1")).await.is_ok()
    })
    .await;
    let view = ask(&bus, GetAddress { address }).await.unwrap();
    let target = view.leads_to.unwrap();
    assert_eq!((target.vm.as_str(), target.network.as_str(), target.address), ("vm1", "inside", own[0]));
    ask(&bus, associate(address, "vm1")).await.unwrap();

    let in_use = |refused: Result<_, Refusal>| match refused {
        Err(Refusal::AddressInUse { address, vm }) => (address, vm),
        other => panic!("{other:?}"),
    };
    let held = (address.to_string(), "vm1".to_owned());
    assert_eq!(in_use(ask(&bus, associate(address, "vm2")).await), held, "it is another server's");
    let second = ask(&bus, associate(other, "vm1")).await;
    assert!(matches!(&second, Err(Refusal::PortHasAddress { address, .. }) if *address == held.0), "{second:?}");
    let amiss = AssociateAddress { network: Some("campus".parse().unwrap()), ..associate(other, "vm2") };
    let amiss = ask(&bus, amiss).await;
    assert!(matches!(&amiss, Err(Refusal::AddressWrongNetwork { own, .. }) if own == "inside"), "{amiss:?}");
    assert_eq!(in_use(ask(&bus, ReleaseAddress { address, associated: false }).await), held, "it is in use");
    assert!(matches!(ask(&bus, associate(other, "vm3")).await, Err(Refusal::AddressNoPort { .. })));
    assert!(matches!(ask(&bus, associate(other, "nobody")).await, Err(Refusal::VmUnknown { .. })));
    assert!(matches!(
        ask(&bus, associate([203, 0, 113, 210].into(), "vm1")).await,
        Err(Refusal::AddressUnknown { .. })
    ));

    // From one server to the next.
    ask(&bus, DisassociateAddress { address }).await.unwrap();
    ask(&bus, associate(address, "vm2")).await.unwrap();
    let of = |vm: &str| ListAddresses { network: None, vm: Some(vm.parse().unwrap()) };
    assert_eq!(ask(&bus, of("vm2")).await.unwrap().addresses.len(), 1);
    // A server that is deleted gives its ports back, and what led there leads nowhere.
    ask(&bus, ReleasePorts { vm: "vm2".parse().unwrap(), vm_uuid: "uuid-2".to_owned() }).await.unwrap();
    assert_eq!(ask(&bus, GetAddress { address }).await.unwrap().leads_to, None);
    // Said so, it may be given back while it leads somewhere.
    ask(&bus, associate(address, "vm1")).await.unwrap();
    ask(&bus, ReleaseAddress { address, associated: true }).await.unwrap();
    assert!(matches!(ask(&bus, GetAddress { address }).await, Err(Refusal::AddressUnknown { .. })));
    service.stop().await;
}
