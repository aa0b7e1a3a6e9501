//! Moments of servers' disks: what may be asked for, and what is refused.

use crate::support::{Cloud, SOON};
use watari_chassis::Bucket;
use watari_contracts::scheduler::{CreateSnapshot, DeleteSnapshot, ResizeVm, RevertSnapshot};
use watari_model::{
    Refusal,
    image::Consistency,
    vm::{Taken, Vm},
};
use watari_testkit::eventually_some;

fn create(name: &str) -> CreateSnapshot {
    CreateSnapshot { request_id: None, vm: "mail".parse().unwrap(), name: name.parse().unwrap() }
}

fn delete(name: &str) -> DeleteSnapshot {
    DeleteSnapshot { request_id: None, vm: "mail".parse().unwrap(), name: name.parse().unwrap() }
}

fn revert(name: &str) -> RevertSnapshot {
    RevertSnapshot { request_id: None, vm: "mail".parse().unwrap(), name: name.parse().unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_asked_for_once_and_few_may_be() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    let wanted = CreateSnapshot { request_id: Some("s1".to_owned()), ..create("one") };
    for time in ["once", "twice"] {
        let view = cloud.ask(&wanted).await.unwrap();
        assert_eq!(view.snapshots.list.len(), 1, "{time}");
    }
    assert!(matches!(cloud.ask(&create("one")).await, Err(Refusal::SnapshotExists { .. })));
    cloud.ask(&create("two")).await.unwrap();
    cloud.ask(&create("three")).await.unwrap();
    assert!(matches!(cloud.ask(&create("four")).await, Err(Refusal::SnapshotLimit { .. })));
    let view = cloud.ask(&delete("two")).await.unwrap();
    let names: Vec<&str> = view.snapshots.list.iter().map(|snapshot| snapshot.name.as_str()).collect();
    assert_eq!(names, ["one", "three"]);
    assert!(matches!(cloud.ask(&delete("two")).await, Err(Refusal::SnapshotUnknown { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_goes_back_only_under_a_server_that_is_off_and_to_what_is_taken() {
    let cloud = Cloud::start().await;
    cloud.running("mail", "myodaiji").await;
    // Of a name that is not there nobody is told to stop the server first.
    assert!(matches!(cloud.ask(&revert("one")).await, Err(Refusal::SnapshotUnknown { .. })));
    cloud.ask(&create("one")).await.unwrap();
    let refused = cloud.ask(&revert("one")).await;
    assert!(matches!(&refused, Err(Refusal::RevertNotStopped { state, .. }) if state == "running"), "{refused:?}");
    let nobody = CreateSnapshot { vm: "nobody".parse().unwrap(), ..create("one") };
    assert!(matches!(cloud.ask(&nobody).await, Err(Refusal::VmUnknown { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_a_snapshot_changes_its_size_as_any_other() {
    let cloud = Cloud::start().await;
    let before = cloud.running("mail", "myodaiji").await;
    let vms = Bucket::<Vm>::of_another(&cloud.ctx).await.unwrap();
    let take = || async {
        let entry = vms.get("mail").await.ok()??;
        let mut mail = entry.value;
        let at = mail.created_at;
        mail.ask_snapshot("one".parse().unwrap(), at).ok()?;
        let taken = Taken { at, layer: 0, consistency: Consistency::Crash, bytes: 3 << 30 };
        mail.snapshots.note(1, Ok(taken));
        vms.update(&mail, entry.revision).await.ok()
    };
    eventually_some("it has a snapshot", SOON, take).await;
    let (request_id, name) = (None, "mail".parse().unwrap());
    let larger = ResizeVm { request_id, name, vcpus: Some(2), memory_mib: None, disk_gib: None };
    cloud.ask(&larger).await.unwrap();
    let grown = cloud.until("mail", |vm| vm.vcpus == 2).await;
    assert_eq!((grown.disk_gib, grown.snapshots.list.len()), (before.disk_gib, 1));
    let smaller = ResizeVm { vcpus: None, disk_gib: Some(before.disk_gib - 1), ..larger };
    let refused = cloud.ask(&smaller).await;
    let is = before.disk_gib.to_string();
    assert!(matches!(&refused, Err(Refusal::DiskShrinks { disk_gib, .. }) if *disk_gib == is), "{refused:?}");
}
