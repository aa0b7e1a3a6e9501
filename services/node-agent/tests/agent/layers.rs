//! Frozen layers of servers' disks, with a real QEMU.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use watari_contracts::agent::{DiskUse, Domain, Freeze, Layer, Phase, Receive, Remove, Stack};
use watari_model::Refusal;
use watari_node_agent::hypervisor::{DiskFormat, disk};
use watari_testkit::eventually;

use crate::{
    discard, failed, order, receive, remove,
    scene::{BOUND, Scene, TestAgent, scene},
    start, stop,
};

fn freeze(vm: &str, operation: &str, generation: u64, least_mib: u64) -> Freeze {
    Freeze { order: order(operation), vm: vm.parse().unwrap(), generation, least_mib }
}

fn layer_path(scene: &Scene, agent: &TestAgent, vm: &str, index: u32) -> PathBuf {
    agent.agent.node().layout.layer(&scene.server(vm).uuid, index)
}

fn indices(stack: &Stack) -> (Vec<u32>, u32) {
    (stack.layers.iter().map(|layer| layer.index).collect(), stack.top)
}

/// Whether the server's process writes to that layer.
async fn writes_to(scene: &Scene, agent: &TestAgent, vm: &str, index: u32) -> bool {
    let process = agent.agent.node().hypervisor.process(vm, &scene.server(vm).uuid).await.unwrap().unwrap();
    process.writes_to(&layer_path(scene, agent, vm, index)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_is_frozen_under_its_running_server_which_goes_on_and_starts_again_on_all_of_it() {
    let scene = scene().await;
    let agent = scene.agent("frozen").await;
    agent.done(start(scene, "frozen", 1, DiskUse::MayCreate)).await;
    let process = scene.process("frozen").await;
    let fact = agent.done(freeze("frozen", "first", 1, 0)).await.fact;
    assert_eq!((indices(&fact.stack), fact.domain), ((vec![0], 1), Domain::Running));
    assert_eq!(scene.process("frozen").await, process, "it was started again");
    assert!(writes_to(scene, &agent, "frozen", 1).await);
    let size = std::fs::metadata(layer_path(scene, &agent, "frozen", 0)).unwrap().len();
    assert_eq!(fact.stack.layers, [Layer { index: 0, sha256: None, size_bytes: size }]);

    // The same order is the same freezing; of next to nothing no layer is made.
    assert_eq!(indices(&agent.done(freeze("frozen", "first", 1, 0)).await.fact.stack), (vec![0], 1));
    assert_eq!(indices(&agent.done(freeze("frozen", "second", 1, 512)).await.fact.stack), (vec![0], 1));
    let agent = agent.restart().await;
    assert_eq!(indices(&agent.done(freeze("frozen", "third", 1, 0)).await.fact.stack), (vec![0, 1], 2));

    agent.done(stop("frozen", 1)).await;
    let fact = agent.done(start(scene, "frozen", 2, DiskUse::Existing)).await.fact;
    assert_eq!((indices(&fact.stack), fact.domain, fact.disk), ((vec![0, 1], 2), Domain::Running, true));
    assert!(writes_to(scene, &agent, "frozen", 2).await);
    let info = disk::info(&layer_path(scene, &agent, "frozen", 2), DiskFormat::Qcow2).await.unwrap();
    assert_eq!((info.virtual_bytes, info.backing), (1 << 30, Some(layer_path(scene, &agent, "frozen", 1))));

    agent.done(remove(scene, "frozen", 2)).await;
    for index in 0..4 {
        assert!(!layer_path(scene, &agent, "frozen", index).exists(), "layer {index} is left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freezing_that_an_agent_left_in_the_middle_is_finished_by_the_next() {
    let scene = scene().await;
    let agent = scene.agent("half").await;
    agent.done(start(scene, "half", 1, DiskUse::MayCreate)).await;
    let record = |agent: &TestAgent| {
        let journal = agent.agent.node().journal.clone();
        async move { journal.records().await.unwrap().into_iter().find(|r| r.vm.as_str() == "half").unwrap() }
    };
    // It was written down and not begun.
    let mut begun = record(&agent).await;
    begun.freezing = true;
    agent.agent.node().journal.save(&begun).await.unwrap();
    let agent = agent.restart().await;
    assert_eq!(indices(&agent.done(freeze("half", "first", 1, 512)).await.fact.stack), (vec![0], 1));
    assert!(writes_to(scene, &agent, "half", 1).await);

    // It was done and not written down.
    let before = record(&agent).await;
    agent.done(freeze("half", "second", 1, 0)).await;
    let mut begun = before;
    begun.freezing = true;
    agent.agent.node().journal.save(&begun).await.unwrap();
    let agent = agent.restart().await;
    assert_eq!(indices(&agent.done(freeze("half", "third", 1, 512)).await.fact.stack), (vec![0, 1], 2));

    // It was done, and the server is off since.
    let before = record(&agent).await;
    agent.done(freeze("half", "fourth", 1, 0)).await;
    agent.done(stop("half", 1)).await;
    let mut begun = record(&agent).await;
    (begun.stack, begun.freezing) = (before.stack, true);
    agent.agent.node().journal.save(&begun).await.unwrap();
    let agent = agent.restart().await;
    let fact = agent.done(start(scene, "half", 2, DiskUse::Existing)).await.fact;
    assert_eq!(indices(&fact.stack), (vec![0, 1, 2], 3));
    assert!(writes_to(scene, &agent, "half", 3).await);
    agent.done(remove(scene, "half", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_journal_is_made_up_for_by_what_the_disk_says_it_stands_on() {
    let scene = scene().await;
    let agent = scene.agent("memory").await;
    agent.done(start(scene, "memory", 1, DiskUse::MayCreate)).await;
    agent.done(freeze("memory", "first", 1, 0)).await;
    let agent = agent.restart_without_journal().await;
    let fact = agent.until("memory", |fact| fact.granted).await;
    assert_eq!(indices(&fact.stack), (vec![0], 1));
    agent.done(remove(scene, "memory", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_received_on_layers_that_are_here_and_refused_without_them() {
    let scene = scene().await;
    let agent = scene.agent("ahead").await;
    let content = b"QFI\xfb not looked into before the server runs";
    let sha256: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let layer = Layer { index: 0, sha256: Some(sha256.clone()), size_bytes: content.len() as u64 };
    let stack = Stack { layers: vec![layer], top: 1 };
    let arrives = |migration: &str| Receive { stack: stack.clone(), ..receive(scene, "ahead", migration, 4) };
    let answer = agent.ended(arrives("ahead-1")).await;
    assert!(matches!(failed(&answer), Refusal::LayersMissing { .. }), "{answer:?}");
    agent.done(discard("ahead", "ahead-1", 4)).await;

    let uuid = scene.server("ahead").uuid;
    let kept = agent.agent.node().layout.layers().join(format!("{uuid}.0.{sha256}.{}.qcow2", content.len()));
    std::fs::write(&kept, content).unwrap();
    let fact = agent.done(arrives("ahead-2")).await.fact;
    assert_eq!((&fact.stack, fact.passage.map(|passage| passage.phase)), (&stack, Some(Phase::Prepared)));
    assert_eq!(std::fs::read(layer_path(scene, &agent, "ahead", 0)).unwrap(), content);
    assert!(layer_path(scene, &agent, "ahead", 1).exists() && !kept.exists());

    // What came ahead outlives a migration that came to nothing, and a copy that was left.
    agent.done(discard("ahead", "ahead-2", 4)).await;
    assert!(kept.exists() && !layer_path(scene, &agent, "ahead", 0).exists());
    let fact = agent.done(arrives("ahead-3")).await.fact;
    assert_eq!(fact.stack, stack);
    agent.done(Remove { order: order("keep"), keep_layers: true, ..remove(scene, "ahead", 4) }).await;
    assert!(kept.exists() && !layer_path(scene, &agent, "ahead", 1).exists());
    agent.done(Remove { order: order("all"), ..remove(scene, "ahead", 5) }).await;
    eventually("nothing is kept", BOUND, || async { !kept.exists() }).await;
}
