//! What becomes of a server when it has to leave or goes off: said when it is made, and changed at any time.

use std::num::NonZeroU32;

use crate::support::{Cloud, create};
use watari_contracts::scheduler::{CreateVm, DeleteVm, EditVm, MigrateVm, VmView};
use watari_model::{
    Refusal,
    isolation::OnIsolation,
    vm::{Evacuate, Restart, State},
};

fn edit(name: &str) -> EditVm {
    EditVm {
        request_id: None,
        name: name.parse().unwrap(),
        restart: None,
        priority: None,
        evacuate: None,
        on_isolation: None,
        restart_from_copy_seconds: None,
        max_downtime_seconds: None,
        project: None,
        probes: None,
        after: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_policies_are_changed_each_by_itself_and_hold_at_once() {
    let cloud = Cloud::start().await;
    let made = CreateVm { restart: Restart::Never, start: false, ..create("mail") };
    let made = cloud.ask(&made).await.unwrap();
    assert_eq!((made.restart, made.priority, made.evacuate), (Restart::Never, 0, Evacuate::Live));
    let wanted = EditVm { request_id: Some("e1".to_owned()), priority: Some(90), ..edit("mail") };
    for time in ["once", "twice"] {
        let edited = cloud.ask(&wanted).await.unwrap();
        let policies = (edited.restart, edited.priority, edited.evacuate);
        assert_eq!(policies, (Restart::Never, 90, Evacuate::Live), "{time}");
    }
    let other = EditVm { restart: Some(Restart::Always), evacuate: Some(Evacuate::Stay), ..edit("mail") };
    cloud.ask(&other).await.unwrap();
    let vm = cloud.vm("mail").await;
    assert_eq!((vm.restart, vm.priority, vm.evacuate), (Restart::Always, 90, Evacuate::Stay));
    assert_eq!(vm.on_isolation, OnIsolation::Keep);
    let stops = EditVm { on_isolation: Some(OnIsolation::Stop), ..edit("mail") };
    assert_eq!(cloud.ask(&stops).await.unwrap().on_isolation, OnIsolation::Stop);
    assert!(!cloud.vm("mail").await.guarded, "its node has not said so");
    for (seconds, kept) in [(3_600, NonZeroU32::new(3_600)), (0, None)] {
        let loses = EditVm { restart_from_copy_seconds: Some(seconds), ..edit("mail") };
        assert_eq!(cloud.ask(&loses).await.unwrap().restart_from_copy_seconds, kept);
    }
    for (seconds, kept) in [(60, NonZeroU32::new(60)), (0, None)] {
        let stands = EditVm { max_downtime_seconds: Some(seconds), ..edit("mail") };
        assert_eq!(cloud.ask(&stands).await.unwrap().max_downtime_seconds, kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_server_is_asked_from_outside_is_changed_as_a_whole() {
    let cloud = Cloud::start().await;
    cloud.ask(&CreateVm { start: false, ..create("mail") }).await.unwrap();
    let probes = |texts: &[&str]| Some(texts.iter().map(|text| text.parse().unwrap()).collect());
    let watched = EditVm { probes: probes(&["smtp:25", "tcp:22"]), ..edit("mail") };
    assert_eq!(Some(cloud.ask(&watched).await.unwrap().probes), watched.probes);
    for (bad, code) in [
        (&["smtp:25", "smtp:25"][..], "request.repeated"),
        (&["tcp:1", "tcp:2", "tcp:3", "tcp:4", "tcp:5", "tcp:6", "tcp:7", "tcp:8", "tcp:9"], "request.out-of-range"),
    ] {
        let refused = cloud.ask(&EditVm { probes: probes(bad), ..edit("mail") }).await;
        assert_eq!(refused.unwrap_err().code(), code, "{bad:?}");
    }
    let unwatched = cloud.ask(&EditVm { probes: Some(Vec::new()), ..edit("mail") }).await.unwrap();
    assert!(unwatched.probes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_depends_on_itself_or_on_what_is_not_there_and_what_others_depend_on_stays() {
    let cloud = Cloud::start().await;
    let after = |name: &str, others: &[&str]| {
        let after = others.iter().map(|other| other.parse().unwrap()).collect();
        CreateVm { start: false, after, ..create(name) }
    };
    let unknown = cloud.ask(&after("web", &["db"])).await;
    assert!(matches!(unknown, Err(Refusal::VmUnknown { vm }) if vm == "db"));
    cloud.ask(&after("db", &[])).await.unwrap();
    let own = cloud.ask(&after("web", &["db", "web"])).await;
    assert!(matches!(own, Err(Refusal::AfterCycle { chain, .. }) if chain == "web > web"));
    let twice = cloud.ask(&after("web", &["db", "db"])).await;
    assert!(matches!(twice, Err(Refusal::Repeated { field, value }) if (&*field, &*value) == ("after", "db")));
    let made = cloud.ask(&after("web", &["db"])).await.unwrap();
    assert_eq!(made.after.iter().map(|other| other.as_str()).collect::<Vec<_>>(), ["db"]);
    cloud.until("web", |vm| !vm.after.is_empty()).await;
    let names = |vm: &VmView| vm.before.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
    let db = cloud.until("db", |vm| !names(vm).is_empty()).await;
    assert_eq!(names(&db), ["web"]);
    let again = EditVm { after: Some(vec!["db".parse().unwrap()]), ..edit("web") };
    let again = cloud.ask(&again).await.unwrap();
    assert_eq!(again.before, Some(Vec::new()), "nobody depends on web, and that is said");
    let codes: Vec<&str> = again.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["vm.after-off"], "db is not to run");

    let back = EditVm { after: Some(vec!["web".parse().unwrap()]), ..edit("db") };
    let refused = cloud.ask(&back).await;
    assert!(matches!(refused, Err(Refusal::AfterCycle { chain, .. }) if chain == "db > web > db"));
    let delete = |name: &str| DeleteVm { request_id: None, name: name.parse().unwrap(), keep_disk: false };
    let refused = cloud.ask(&delete("db")).await;
    assert!(matches!(refused, Err(Refusal::DependedOn { users, .. }) if users == "web"));
    let edited = cloud.ask(&EditVm { priority: Some(3), ..edit("db") }).await.unwrap();
    assert_eq!(names(&edited), ["web"], "as where it is shown");
    let free = EditVm { after: Some(Vec::new()), ..edit("web") };
    assert!(cloud.ask(&free).await.unwrap().after.is_empty());
    cloud.until("web", |vm| vm.after.is_empty()).await;
    cloud.ask(&delete("db")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_or_cannot_be_is_refused() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    assert!(matches!(cloud.ask(&edit("mail")).await, Err(Refusal::Malformed { .. })));
    let too_high = EditVm { priority: Some(101), ..edit("mail") };
    assert!(matches!(cloud.ask(&too_high).await, Err(Refusal::OutOfRange { .. })));
    let too_long = EditVm { max_downtime_seconds: Some(61), ..edit("mail") };
    assert!(matches!(cloud.ask(&too_long).await, Err(Refusal::OutOfRange { .. })));
    let nobody = EditVm { priority: Some(1), ..edit("nobody") };
    assert!(matches!(cloud.ask(&nobody).await, Err(Refusal::VmUnknown { .. })));
    cloud.ask(&DeleteVm { request_id: None, name: "mail".parse().unwrap(), keep_disk: false }).await.unwrap();
    let late = EditVm { priority: Some(1), ..edit("mail") };
    assert!(matches!(cloud.ask(&late).await, Err(Refusal::VmState { .. } | Refusal::VmUnknown { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_is_granted_a_lease_and_what_it_would_stop_is_counted_on_there_and_where_it_goes() {
    let cloud = Cloud::start().await;
    let stops = CreateVm { on_isolation: OnIsolation::Stop, ..create("mail") };
    cloud.ask(&stops).await.unwrap();
    let vm = cloud.until("mail", |vm| vm.guarded && vm.state == State::Running).await;
    let from = vm.node.unwrap();
    cloud.ask(&MigrateVm { request_id: None, name: vm.name, to: None }).await.unwrap();
    let there = |vm: &VmView| vm.node.as_ref() != Some(&from) && vm.state == State::Running;
    cloud.until("mail", |vm| there(vm) && vm.guarded).await;
    cloud.running("web", "yamate").await;
    assert!(!cloud.vm("web").await.guarded, "nobody asked for that");
}
