//! Firewall groups: made, changed, named by servers, and deleted when nobody names them.

use crate::harness::{PATIENCE, Running, ask, server_of, settings, somebody};
use watari_chassis::{Bucket, Context, clock};
use watari_contracts::{
    Service,
    firewall::{
        AllowFirewall, CreateFirewall, DeleteFirewall, GetFirewall, ListFirewalls, ReplaceFirewall, RevokeFirewall,
    },
};
use watari_model::{
    FirewallName, Refusal,
    firewall::{Direction, Peer, Protocol, Rule},
    network::Port,
    vm::Vm,
};
use watari_testkit::{NatsServer, eventually};

fn name(text: &str) -> FirewallName {
    text.parse().unwrap()
}

fn create(group: &str, id: &str, rules: Vec<Rule>) -> CreateFirewall {
    CreateFirewall { request_id: Some(id.to_owned()), name: name(group), rules }
}

fn tcp(ports: &str, peer: Peer) -> Rule {
    Rule { direction: Direction::In, protocol: Protocol::Tcp, ports: Some(ports.parse().unwrap()), peer }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_made_once_and_changed_as_often_as_one_likes() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    let (smtp, http) = (tcp("25", Peer::Anywhere), tcp("80", Peer::Group(name("mail"))));

    let made = ask(&bus, create("mail", "r1", vec![smtp.clone()])).await.unwrap();
    assert_eq!(ask(&bus, create("mail", "r1", vec![smtp.clone()])).await.unwrap(), made, "the same request again");
    let other = create("mail", "r1", vec![]);
    assert!(matches!(ask(&bus, other).await, Err(Refusal::RequestIdReused { .. })));
    assert!(matches!(ask(&bus, create("web", "r1", vec![])).await, Err(Refusal::RequestIdReused { .. })));
    assert!(matches!(ask(&bus, create("mail", "r2", vec![])).await, Err(Refusal::FirewallExists { .. })));

    // A rule twice is a rule once; taken away twice it is away.
    let allow = AllowFirewall { name: name("mail"), rule: http.clone() };
    let allowed = ask(&bus, allow.clone()).await.unwrap();
    assert_eq!(allowed.rules, vec![smtp.clone(), http.clone()]);
    assert_eq!(ask(&bus, allow).await.unwrap(), allowed);
    let revoke = RevokeFirewall { name: name("mail"), rule: smtp };
    assert_eq!(ask(&bus, revoke.clone()).await.unwrap().rules, std::slice::from_ref(&http));
    assert_eq!(ask(&bus, revoke).await.unwrap().rules, vec![http]);
    let replaced = ask(&bus, ReplaceFirewall { name: name("mail"), rules: vec![] }).await.unwrap();
    assert!(replaced.rules.is_empty() && replaced.changed_at > made.changed_at);
    assert_eq!(ask(&bus, GetFirewall { name: name("mail") }).await.unwrap(), replaced);
    assert_eq!(ask(&bus, ListFirewalls {}).await.unwrap().firewalls, [replaced]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_cannot_be_are_refused_and_change_nothing() {
    let nats = NatsServer::start();
    let mut settings = settings();
    (settings.firewalls.most_rules, settings.firewalls.most_groups) = (2, 2);
    let service = Running::start(&nats, settings).await;
    let bus = somebody(&nats).await;
    let before = ask(&bus, create("mail", "r1", vec![])).await.unwrap();

    let add = |rule: Rule| ask(&bus, AllowFirewall { name: name("mail"), rule });
    assert!(matches!(add(tcp("0", Peer::Anywhere)).await, Err(Refusal::BadRule { .. })));
    assert!(matches!(add(tcp("9-8", Peer::Anywhere)).await, Err(Refusal::BadRule { .. })));
    let host = Peer::Cidr("203.0.113.7/24".parse().unwrap());
    assert!(matches!(add(tcp("25", host)).await, Err(Refusal::BadRule { .. })));
    let icmp = Rule { protocol: Protocol::Icmp, ..tcp("25", Peer::Anywhere) };
    assert!(matches!(add(icmp).await, Err(Refusal::BadRule { .. })));
    let stranger = tcp("25", Peer::Group(name("nobody")));
    assert!(matches!(add(stranger).await, Err(Refusal::FirewallUnknown { firewall }) if firewall == "nobody"));
    let rules: Vec<Rule> = ["1", "2", "3"].iter().map(|port| tcp(port, Peer::Anywhere)).collect();
    let many = ReplaceFirewall { name: name("mail"), rules };
    assert!(matches!(ask(&bus, many).await, Err(Refusal::OutOfRange { .. })));
    assert_eq!(ask(&bus, GetFirewall { name: name("mail") }).await.unwrap(), before);

    ask(&bus, create("web", "r2", vec![])).await.unwrap();
    assert!(matches!(ask(&bus, create("third", "r3", vec![])).await, Err(Refusal::OutOfRange { .. })));
    let unknown = AllowFirewall { name: name("third"), rule: tcp("25", Peer::Anywhere) };
    assert!(matches!(ask(&bus, unknown).await, Err(Refusal::FirewallUnknown { .. })));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_somebody_names_is_not_deleted() {
    let nats = NatsServer::start();
    let service = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, create("mail", "r1", vec![])).await.unwrap();
    ask(&bus, create("web", "r2", vec![tcp("80", Peer::Group(name("mail")))])).await.unwrap();
    let delete = |group: &str| DeleteFirewall { name: name(group) };
    let scheduler = Context::new(Service::Scheduler, &crate::harness::common(&nats)).await.unwrap();
    let vms = Bucket::<Vm>::open(&scheduler).await.unwrap();
    let port = Port {
        v: 1,
        network: "campus".parse().unwrap(),
        address: "203.0.113.100".parse().unwrap(),
        address6: None,
        mac: "52:57:cb:00:71:64".to_owned(),
        vm: "vm1".parse().unwrap(),
        vm_uuid: "uuid-1".to_owned(),
        created_at: clock::now(),
    };
    let mut server = server_of(&port, port.created_at);
    server.spec.firewalls = vec![name("mail")];
    let revision = vms.create(&server).await.unwrap();
    eventually("the server is known", PATIENCE, || async {
        let shown = ask(&bus, GetFirewall { name: name("mail") }).await.unwrap();
        !shown.servers.is_empty()
    })
    .await;
    let refused = ask(&bus, delete("mail")).await;
    assert!(matches!(refused, Err(Refusal::FirewallInUse { users, .. }) if users == "vm1, group web"));
    vms.delete("vm1", revision).await.unwrap();
    ask(&bus, ReplaceFirewall { name: name("web"), rules: vec![] }).await.unwrap();
    eventually("nobody names it", PATIENCE, || async { ask(&bus, delete("mail")).await.is_ok() }).await;
    assert!(matches!(ask(&bus, delete("mail")).await, Err(Refusal::FirewallUnknown { .. })));
    service.stop().await;
}
