//! What servers' screens show, with a real QEMU.

use watari_contracts::agent::{DiskUse, Domain, TakePicture};
use watari_model::Refusal;

use crate::{
    remove,
    scene::{Scene, scene},
    start, stop,
};

fn take(scene: &Scene, vm: &str) -> TakePicture {
    TakePicture { vm: vm.parse().unwrap(), uuid: scene.server(vm).uuid }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_taken_of_a_server_that_runs_and_has_a_display_and_of_no_other() {
    let scene = scene().await;
    let agent = scene.agent("screen").await;
    let picture = async |order: &TakePicture| agent.agent.picture(order).await;
    let asked = take(scene, "screen");
    assert!(matches!(picture(&asked).await, Err(Refusal::VmUnknown { .. })));

    let mut order = start(scene, "screen", 1, DiskUse::MayCreate);
    order.server.display = true;
    agent.done(order).await;
    let png = picture(&asked).await.unwrap().png.0;
    assert_eq!((&png[..8], &png[12..16]), (&b"\x89PNG\r\n\x1a\n"[..], &b"IHDR"[..]));
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert!((320..=1_280).contains(&side(16)) && (200..=1_024).contains(&side(20)), "{} × {}", side(16), side(20));
    let (one, two, three) = tokio::join!(picture(&asked), picture(&asked), picture(&asked));
    assert!(one.is_ok() && two.is_ok() && three.is_ok(), "each has its turn");
    let another = TakePicture { uuid: scene.server("another").uuid, ..asked.clone() };
    assert!(matches!(picture(&another).await, Err(Refusal::VmUnknown { .. })));

    agent.done(stop("screen", 1)).await;
    assert!(matches!(picture(&asked).await, Err(Refusal::AgentState { .. })));
    agent.done(remove(scene, "screen", 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_display_has_no_device_for_one() {
    let scene = scene().await;
    let agent = scene.agent("blind").await;
    agent.done(start(scene, "blind", 1, DiskUse::MayCreate)).await;
    assert_eq!(agent.observe("blind").await.domain, Domain::Running);
    let refused = agent.agent.picture(&take(scene, "blind")).await;
    assert!(matches!(refused, Err(Refusal::NoDisplay { .. })), "{refused:?}");
    agent.done(remove(scene, "blind", 1)).await;
}
