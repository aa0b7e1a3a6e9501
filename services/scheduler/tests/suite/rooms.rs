//! Servers for which there is no room: now, or ever.

use crate::support::{Cloud, SOON, create, node};
use watari_contracts::scheduler::{CreateVm, ListVms, ResizeVm};
use watari_model::vm::State;
use watari_testkit::eventually_some;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_says_why_and_starts_when_there_is_room() {
    let cloud = Cloud::start_with(&[("m1", "myodaiji")]).await;
    let large = |name: &str| CreateVm { memory_mib: 3_072, ..create(name) };
    cloud.ask(&large("first")).await.unwrap();
    cloud.until("first", |vm| vm.state == State::Running).await;
    let made = cloud.ask(&large("big")).await.unwrap();
    let codes: Vec<&str> = made.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["placement.no-room"], "it is told at once");
    let failed = cloud.until("big", |vm| vm.state == State::Failed).await;
    let fault = failed.fault.unwrap();
    assert_eq!(fault.code, "placement.no-room");
    assert!(fault.cause.contains("1 node: 1 has 1024 MiB free of the 3072 MiB needed"), "{}", fault.cause);
    for way_out in ["watari vm resize big", "watari vm delete big"] {
        assert!(fault.remedy.contains(way_out) && fault.ja.remedy.contains(way_out), "{fault:?}");
    }
    let huge = ResizeVm {
        request_id: None,
        name: "big".parse().unwrap(),
        vcpus: None,
        memory_mib: Some(8_192),
        disk_gib: None,
    };
    assert_eq!(cloud.ask(&huge).await.unwrap_err().code(), "placement.too-large");
    cloud.nodes.create(&node("m2", "myodaiji", 16_384)).await.unwrap();
    cloud.fleet.add("m2", "myodaiji").await;
    let running = cloud.until("big", |vm| vm.state == State::Running).await;
    assert_eq!(running.node.unwrap().as_str(), "m2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_no_node_of_any_site_could_ever_hold_is_refused_and_draws_no_address() {
    let cloud = Cloud::start().await;
    let large = CreateVm { memory_mib: 8_192, site: "myodaiji".parse().ok(), ..create("big") };
    let refused = cloud.ask(&large).await.unwrap_err();
    assert_eq!(refused.code(), "placement.too-large", "{refused}");
    assert!(refused.english().cause.contains("4096 MiB") && refused.english().remedy.contains("--memory"), "{refused}");
    assert!(cloud.ask(&ListVms::default()).await.unwrap().vms.is_empty());
    assert!(cloud.ports.snapshot().is_empty());
    cloud.nodes.create(&node("y9", "yamate", 16_384)).await.unwrap();
    let known = || async { cloud.ask(&large).await.ok() };
    let made = eventually_some("the new node is known", SOON, known).await;
    assert_eq!(made.state, State::Pending, "where it belongs there is no such node yet: {made:?}");
}
