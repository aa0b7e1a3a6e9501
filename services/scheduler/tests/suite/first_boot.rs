//! Keys, and what servers are told when they first boot, on a real bus.

use crate::support::{Cloud, SOON, create};
use futures_util::StreamExt;
use watari_chassis::Mirror;
use watari_contracts::scheduler::{AddKey, CreateVm, DeleteKey, DeleteVm, GetKey, GetVm, ListKeys, MigrateVm};
use watari_model::{
    Refusal,
    userdata::{Text, UserData},
    vm::State,
};
use watari_testkit::eventually_some;

const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxdAgfcDWihODsMd0E+dEcsAxR7LJqwDhyGhI6p5rCh sato@example.jp";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFebI0GgpsTix4wbO2Y1CAgBQ0vs6sefGPdThoaCeayJ/WjaD51Rj30mEC71Y2a8dqRrlIo3QsIdCHAaq5HcqnU= sato@example.jp";

fn add(request_id: &str, name: &str, public_key: &str) -> AddKey {
    let request_id = Some(request_id.to_owned());
    AddKey { request_id, name: name.parse().unwrap(), public_key: public_key.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_under_one_name_shown_listed_and_forgotten() {
    let cloud = Cloud::start().await;
    let sato = cloud.ask(&add("r1", "sato", &format!("{ED25519}\n"))).await.unwrap();
    assert_eq!((sato.algorithm.as_str(), sato.comment.as_str()), ("ssh-ed25519", "sato@example.jp"));
    assert_eq!(cloud.ask(&add("r1", "sato", ED25519)).await.unwrap(), sato, "asked twice, kept once");
    assert_eq!(cloud.ask(&add("r2", "sato", ED25519)).await.unwrap(), sato, "the same key under the same name");
    assert!(matches!(cloud.ask(&add("r1", "sato", ECDSA)).await, Err(Refusal::RequestIdReused { .. })));
    assert!(matches!(cloud.ask(&add("r3", "sato", ECDSA)).await, Err(Refusal::KeyExists { .. })));
    assert!(matches!(cloud.ask(&add("r4", "abe", "ssh-rsa x")).await, Err(Refusal::KeyRefused { .. })));
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----";
    assert!(matches!(cloud.ask(&add("r5", "abe", private)).await, Err(Refusal::KeyPrivate { .. })));

    let abe = cloud.ask(&add("r6", "abe", ECDSA)).await.unwrap();
    let first = cloud.ask(&ListKeys { after: None, limit: Some(1) }).await.unwrap();
    assert_eq!((first.keys, first.next.clone()), (vec![abe], Some("abe".parse().unwrap())));
    let rest = cloud.ask(&ListKeys { after: first.next, limit: None }).await.unwrap();
    assert_eq!((rest.keys, rest.next), (vec![sato.clone()], None));

    let name: watari_model::KeyName = "sato".parse().unwrap();
    assert_eq!(cloud.ask(&GetKey { name: name.clone() }).await.unwrap(), sato);
    cloud.ask(&DeleteKey { name: name.clone() }).await.unwrap();
    assert!(matches!(cloud.ask(&GetKey { name: name.clone() }).await, Err(Refusal::KeyUnknown { .. })));
    assert!(matches!(cloud.ask(&DeleteKey { name }).await, Err(Refusal::KeyUnknown { .. })));
    cloud.ask(&add("r7", "sato", ECDSA)).await.expect("the name is free again");
}

fn wanted() -> CreateVm {
    CreateVm {
        request_id: Some("c1".to_owned()),
        hostname: Some("mail.example.jp".parse().unwrap()),
        keys: vec!["sato".parse().unwrap()],
        user_data: Some(Text("#cloud-config\npassword: geheim\n".to_owned())),
        site: Some("myodaiji".parse().unwrap()),
        ..create("mail")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_name_keys_and_user_data_and_so_is_the_next_one() {
    let cloud = Cloud::start().await;
    cloud.ask(&add("r1", "sato", ED25519)).await.unwrap();
    let view = cloud.ask(&wanted()).await.unwrap();
    assert_eq!(view.hostname.as_str(), "mail.example.jp");
    assert_eq!((view.keys[0].as_str(), view.user_data.as_ref().unwrap().bytes), ("sato", 31));
    assert!(!serde_json::to_string(&view).unwrap().contains("geheim"), "user-data is not shown");
    assert_eq!(cloud.ask(&wanted()).await.unwrap().uuid, view.uuid, "asked twice, made once");
    // The server keeps its key.
    cloud.ask(&DeleteKey { name: "sato".parse().unwrap() }).await.unwrap();

    let node = cloud.until("mail", |vm| vm.state == State::Running).await.node.unwrap();
    let told = |node: &str| cloud.fleet.guest(node, "mail").seed.expect("it was told something");
    let seed = told(node.as_str());
    assert_eq!((seed.hostname.as_str(), seed.keys[0].as_str()), ("mail.example.jp", ED25519));
    assert_eq!(seed.user_data.as_ref().unwrap().0, "#cloud-config\npassword: geheim\n");

    let there = MigrateVm { request_id: None, name: "mail".parse().unwrap(), to: Some("y1".parse().unwrap()) };
    cloud.ask(&there).await.unwrap();
    cloud.until("mail", |vm| vm.state == State::Running && vm.node.as_ref().is_some_and(|n| n.as_str() == "y1")).await;
    assert_eq!(told("y1"), seed, "both ends of a migration are told the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_lives_as_long_as_its_server_and_nobody_is_told_of_it() {
    let cloud = Cloud::start().await;
    cloud.ask(&add("r1", "sato", ED25519)).await.unwrap();
    let mut events = cloud.ctx.bus.subscribe("watari.event.>").await.unwrap();
    let uuid = cloud.ask(&wanted()).await.unwrap().uuid;
    let kept: Mirror<UserData> = Mirror::of_another(&cloud.ctx).await.unwrap();
    assert_eq!(kept.get(&uuid).unwrap().value.vm.as_str(), "mail");
    cloud.until("mail", |vm| vm.state == State::Running).await;
    cloud.ask(&DeleteVm { request_id: None, name: "mail".parse().unwrap(), keep_disk: false }).await.unwrap();
    let gone = || async { cloud.ctx.bus.request(&GetVm { name: "mail".parse().unwrap() }).await.err() };
    eventually_some("it is gone", SOON, gone).await;
    let forgotten = || async { kept.get(&uuid).is_none().then_some(()) };
    eventually_some("its user-data is gone", SOON, forgotten).await;

    // The last event of the server has come, and none was of its user-data.
    loop {
        let event = tokio::time::timeout(SOON, events.next()).await.unwrap().unwrap();
        assert!(!event.subject.contains("userdata"), "{}", event.subject);
        assert!(!String::from_utf8_lossy(&event.payload).contains("geheim"), "{}", event.subject);
        if event.subject == "watari.event.vms.mail" && event.deleted {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_first_boot_could_not_use_is_refused_before_an_address_is_drawn() {
    let cloud = Cloud::start().await;
    type Spoil = fn(&mut CreateVm);
    let wrong: &[(&str, Spoil)] = &[
        ("key.unknown", |c| c.keys = vec!["nobody".parse().unwrap()]),
        ("request.repeated", |c| c.keys = vec!["a".parse().unwrap(), "a".parse().unwrap()]),
        ("request.out-of-range", |c| c.keys = (0..17).map(|n| format!("k{n}").parse().unwrap()).collect()),
        ("vm.user-data-refused", |c| c.user_data = Some(Text("hello".to_owned()))),
        ("vm.user-data-refused", |c| c.user_data = Some(Text(format!("#!{}", "x".repeat(64 << 10))))),
    ];
    for (code, spoil) in wrong {
        let mut ask = CreateVm { keys: vec![], ..wanted() };
        spoil(&mut ask);
        let refusal = cloud.ask(&ask).await.unwrap_err();
        assert_eq!(refusal.code(), *code, "{refusal}");
    }
    assert!(cloud.ports.snapshot().is_empty());
}
