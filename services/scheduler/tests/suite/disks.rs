//! Disks of deleted servers, as people ask for them.

use crate::support::{Cloud, SOON, create};
use watari_contracts::scheduler::{
    CreateVm, DeleteDisk, DeleteVm, DiskView, EvacuateSite, GetDisk, GetVm, ListDisks, PreseedVm, StartVm, StopVm,
};
use watari_model::{
    DiskName, Refusal,
    disk::KeptDisk,
    image::Format,
    vm::{Base, Desired, State},
};
use watari_testkit::eventually_some;

const UUID: &str = "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41";

/// Has y2 say that it keeps the disk of a deleted server, of 4 GiB, and waits until that is known.
pub(crate) async fn kept_at_y2(cloud: &Cloud, vm: &str, uuid: &str, project: Option<&str>) -> DiskView {
    let entry = eventually_some("the node is known", SOON, || async { cloud.nodes.get("y2") }).await;
    let mut keeper = entry.value.clone();
    let base = Base {
        image: "mini".parse().unwrap(),
        sha256: "0".repeat(64),
        format: Format::Qcow2,
        firmware: Default::default(),
    };
    let (vm, kept_at) = (vm.parse().unwrap(), keeper.changed_at);
    let name = DiskName::of(&vm, uuid).unwrap();
    let project = project.map(|project| project.parse().unwrap());
    let kept = KeptDisk { vm, project, base, disk_gib: 4, size_bytes: 7, kept_at };
    keeper.inventory.disks.insert(uuid.to_owned(), kept);
    cloud.nodes.update(&keeper, entry.revision).await.unwrap();
    let show = || async { cloud.ctx.bus.request(&GetDisk { name: name.clone() }).await.ok() };
    eventually_some("the disk is known", SOON, show).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_disk_is_shown_and_one_server_begins_with_it_where_it_is() {
    let cloud = Cloud::start().await;
    let shown = kept_at_y2(&cloud, "old", UUID, None).await;
    let name = shown.name.clone();
    assert_eq!(name.as_str(), "old-7b1d4c2e");
    assert_eq!((shown.node.as_str(), shown.site.as_str(), shown.used_by), ("y2", "yamate", None));
    let listed = cloud.ask(&ListDisks::default()).await.unwrap();
    assert_eq!((listed.disks.len(), listed.next), (1, None));
    let after = ListDisks { after: Some(name.clone()), ..ListDisks::default() };
    assert!(cloud.ask(&after).await.unwrap().disks.is_empty());

    let wanted = |vm: &str| CreateVm { disk: Some(name.clone()), ..create(vm) };
    let strange = CreateVm { image: "maxi".parse().unwrap(), ..wanted("heir") };
    assert!(matches!(cloud.ask(&strange).await, Err(Refusal::DiskOfImage { .. })));
    let nothing = CreateVm { disk: Some("new-7b1d4c2e".parse().unwrap()), ..create("heir") };
    assert!(matches!(cloud.ask(&nothing).await, Err(Refusal::DiskUnknown { .. })));
    let made = cloud.ask(&wanted("heir")).await.unwrap();
    assert_eq!((made.home_site.as_str(), made.disk_gib), ("yamate", 4));
    let running = cloud.until("heir", |vm| vm.state == State::Running).await;
    assert_eq!(running.node.unwrap().as_str(), "y2");
    assert!(matches!(cloud.ask(&wanted("second")).await, Err(Refusal::DiskInUse { .. })));
    let delete = DeleteDisk { name: name.clone() };
    assert!(matches!(cloud.ask(&delete).await, Err(Refusal::DiskInUse { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_no_disk_yet_cannot_leave_one() {
    let cloud = Cloud::start().await;
    let idle = CreateVm { start: false, ..create("idle") };
    cloud.ask(&idle).await.unwrap();
    let delete = |keep_disk| DeleteVm { request_id: None, name: "idle".parse().unwrap(), keep_disk };
    assert!(matches!(cloud.ask(&delete(true)).await, Err(Refusal::VmState { .. })));
    cloud.ask(&delete(false)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_disk_is_kept_under_one_name_and_who_runs_has_no_copy_to_give_up() {
    let cloud = Cloud::start().await;
    let mail = cloud.running("mail", "myodaiji").await;
    let kept = kept_at_y2(&cloud, "mail", &mail.uuid, None).await;
    let delete = DeleteVm { request_id: None, name: mail.name.clone(), keep_disk: true };
    let refused = cloud.ask(&delete).await;
    let named = |disk: &str, node: &str| disk == kept.name.as_str() && node == "y2";
    assert!(matches!(&refused, Err(Refusal::DiskNameTaken { disk, node, .. }) if named(disk, node)), "{refused:?}");
    let discard = StartVm { request_id: None, name: mail.name.clone(), discard_copy: true };
    assert!(matches!(cloud.ask(&discard).await, Err(Refusal::NoCopyToDiscard { .. })));
    let still = cloud.vm("mail").await;
    assert_eq!((still.state, still.desired, still.generation), (State::Running, Desired::Running, mail.generation));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_disk_is_kept_is_shut_down_first_or_forced_off_by_whoever_has_no_patience() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    let name = || "mail".parse().unwrap();
    let delete = DeleteVm { request_id: None, name: name(), keep_disk: true };
    let begun = cloud.ask(&delete).await.unwrap();
    assert_eq!((begun.state, begun.desired), (State::Stopping, Desired::Deleted));
    let gentle = cloud.ask(&StopVm { request_id: None, name: name(), force: false }).await;
    assert!(matches!(gentle, Err(Refusal::VmState { .. } | Refusal::VmUnknown { .. })), "{gentle:?}");
    let gone = || async { cloud.ctx.bus.request(&GetVm { name: name() }).await.err() };
    eventually_some("it is gone", SOON, gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_goes_ahead_only_of_a_running_server_and_to_a_site_that_is_open_and_is_taken_back() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "yamate").await;
    cloud.running("web", "myodaiji").await;
    let preseed = |to: Option<&str>, cancel| {
        let to = to.map(|node| node.parse().unwrap());
        PreseedVm { request_id: None, name: "mail".parse().unwrap(), to, cancel }
    };
    let asked = cloud.ask(&preseed(None, false)).await.unwrap().preseed.unwrap();
    assert!(asked.is_due());
    for time in ["once", "twice"] {
        let taken_back = cloud.ask(&preseed(None, true)).await.unwrap().preseed.unwrap();
        assert!(!taken_back.is_due() && taken_back.cancelled && taken_back.to.is_none(), "{time}: {taken_back:?}");
    }
    cloud.ask(&EvacuateSite { request_id: None, site: "myodaiji".parse().unwrap(), propose: None }).await.unwrap();
    for to in [None, Some("m1")] {
        let refused = cloud.ask(&preseed(to, false)).await;
        assert!(matches!(&refused, Err(Refusal::SiteDraining { site, .. }) if site == "myodaiji"), "{refused:?}");
    }
    let leaving = PreseedVm { name: "web".parse().unwrap(), ..preseed(None, false) };
    let refused = cloud.ask(&leaving).await;
    let said = matches!(&refused, Err(Refusal::SiteDraining { site, .. }) if site == "myodaiji");
    assert!(said, "before it leaves, on its way and once it is there: {refused:?}");
    assert!(cloud.vm("mail").await.preseed.is_none_or(|preseed| !preseed.is_due()), "what is refused changes nothing");
    cloud.ask(&StopVm { request_id: None, name: "mail".parse().unwrap(), force: false }).await.unwrap();
    cloud.until("mail", |vm| vm.state == State::Stopped).await;
    let refused = cloud.ask(&preseed(None, false)).await;
    assert!(matches!(&refused, Err(Refusal::PreseedNotRunning { state, .. }) if state == "stopped"), "{refused:?}");
}
