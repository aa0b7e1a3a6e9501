//! What would travel of a server, with a real QEMU. How fast it writes is seen in the lab (the scenario of the busy server):
//! libvirt's embedded driver, which these tests share, gives no statistics of a domain that measures.

use std::{os::unix::fs::MetadataExt, sync::Arc, time::Duration};

use watari_chassis::CancellationToken;
use watari_contracts::agent::DiskUse;
use watari_model::VmName;
use watari_node_agent::weights;
use watari_testkit::eventually_some;

use crate::{
    remove,
    scene::{BOUND, scene},
    start,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_servers_disk_holds_is_measured_while_it_runs() {
    let scene = scene().await;
    let agent = scene.agent("heavy").await;
    agent.done(start(scene, "heavy", 1, DiskUse::MayCreate)).await;
    let (node, shutdown) = (Arc::clone(agent.agent.node()), CancellationToken::new());
    let (looking, ending) = (Arc::clone(&node), shutdown.clone());
    let looks = tokio::spawn(async move { weights::run(&looking, &ending).await });
    let heavy: VmName = "heavy".parse().unwrap();
    let weight =
        eventually_some("its figures", BOUND, || async { node.weights.told(Duration::ZERO).get(&heavy).copied() })
            .await;
    // Nothing on its disk could boot and write there.
    assert_eq!(weight.disk_bytes, std::fs::metadata(scene.disk(&agent, "heavy")).unwrap().blocks() * 512);
    shutdown.cancel();
    looks.await.unwrap();
    agent.done(remove(scene, "heavy", 1)).await;
}
