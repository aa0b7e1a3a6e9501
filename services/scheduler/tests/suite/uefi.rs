//! Servers of an image that boots by UEFI: only where there is firmware for it.

use crate::support::{Cloud, SOON, create};
use watari_chassis::Bucket;
use watari_contracts::scheduler::CreateVm;
use watari_model::{
    image::{Firmware, Image},
    vm::State,
};
use watari_testkit::eventually_some;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_boots_by_uefi_waits_for_a_node_with_the_firmware_and_then_starts_there() {
    let cloud = Cloud::start_with(&[("m1", "myodaiji"), ("m2", "myodaiji")]).await;
    let images = Bucket::<Image>::open(&cloud.ctx).await.unwrap();
    let mut rocky = images.get("mini").await.unwrap().unwrap().value;
    rocky.name = "rocky".parse().unwrap();
    rocky.about.firmware = Firmware::Uefi;
    images.create(&rocky).await.unwrap();
    cloud.ask(&CreateVm { image: rocky.name.clone(), ..create("web") }).await.unwrap();
    let fault = cloud.until("web", |vm| vm.state == State::Failed).await.fault.unwrap();
    assert_eq!(fault.code, "placement.no-uefi");
    assert!(fault.cause.contains("m1, m2"), "{}", fault.cause);

    let installed = || async {
        let entry = cloud.nodes.get("m2")?;
        let mut node = entry.value.clone();
        node.inventory.host.uefi = true;
        cloud.nodes.update(&node, entry.revision).await.ok()
    };
    eventually_some("m2 has the firmware", SOON, installed).await;
    let running = cloud.until("web", |vm| vm.state == State::Running).await;
    assert_eq!(running.node.as_ref().unwrap().as_str(), "m2");
    assert_eq!(running.firmware, Firmware::Uefi);
}
