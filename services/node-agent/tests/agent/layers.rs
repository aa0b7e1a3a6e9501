//! Frozen layers of servers' disks, with a real QEMU.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};
use watari_contracts::agent::{
    DiskUse, Domain, DropLayers, Freeze, Layer, Named, Phase, Receive, Remove, Stack, Start,
};
use watari_model::Refusal;
use watari_node_agent::{
    hypervisor::{BackingFile, DiskFormat, disk},
    record::Record,
};
use watari_testkit::eventually;

use crate::{
    discard, failed, order, receive, remove,
    scene::{BOUND, Scene, TestAgent, scene},
    start, stop,
};

pub(crate) fn freeze(vm: &str, operation: &str, generation: u64, least_mib: u64) -> Freeze {
    Freeze { order: order(operation), vm: vm.parse().unwrap(), generation, least_mib, named: Named::default() }
}

pub(crate) fn layer_path(scene: &Scene, agent: &TestAgent, vm: &str, index: u32) -> PathBuf {
    agent.agent.node().layout.layer(&scene.server(vm).uuid, index)
}

pub(crate) fn indices(stack: &Stack) -> (Vec<u32>, u32) {
    (stack.layers.iter().map(|layer| layer.index).collect(), stack.top)
}

/// Whether the server's process writes to that layer.
pub(crate) async fn writes_to(scene: &Scene, agent: &TestAgent, vm: &str, index: u32) -> bool {
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
    let stack = Stack { layers: vec![layer], top: 1, marks: Vec::new() };
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

/// What the journal has of a server.
pub(crate) async fn record(agent: &TestAgent, vm: &str) -> Record {
    let records = agent.agent.node().journal.records().await.unwrap();
    records.into_iter().find(|record| record.vm.as_str() == vm).unwrap()
}

/// Has qemu-io read or write a disk that nobody else has open.
pub(crate) fn qemu_io(disk: &Path, command: &str) {
    let output = Command::new("qemu-io").args(["-f", "qcow2", "-c", command]).arg(disk).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("failed"), "{command}: {told}");
}

/// What a layer stands on, by its header.
pub(crate) async fn stands_on(scene: &Scene, agent: &TestAgent, vm: &str, index: u32) -> Option<PathBuf> {
    disk::info(&layer_path(scene, agent, vm, index), DiskFormat::Qcow2).await.unwrap().backing
}

fn image(scene: &Scene, agent: &TestAgent, vm: &str) -> PathBuf {
    let base = scene.server(vm).base;
    agent.agent.node().layout.image(&base.sha256, base.format)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_node_is_lost_starts_from_its_layers_here_and_never_in_the_place_of_another_disk() {
    let scene = scene().await;
    let agent = scene.agent("copied").await;
    agent.done(start(scene, "copied", 1, DiskUse::MayCreate)).await;
    agent.done(freeze("copied", "first", 1, 0)).await;
    let content = std::fs::read(layer_path(scene, &agent, "copied", 0)).unwrap();
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let layer = Layer { index: 0, sha256: Some(sha256.clone()), size_bytes: content.len() as u64 };
    let copy = Stack { layers: vec![layer], top: 1, marks: Vec::new() };
    let from_copy =
        |generation| Start { copy: Some(copy.clone()), ..start(scene, "copied", generation, DiskUse::Existing) };
    agent.done(stop("copied", 1)).await;
    let answer = agent.ended(from_copy(2)).await;
    assert!(matches!(failed(&answer), Refusal::AgentState { .. }), "its own disk may have more: {answer:?}");

    // It lived here once, and went: of that nothing is left.
    agent.done(remove(scene, "copied", 2)).await;
    let answer = agent.ended(from_copy(3)).await;
    assert!(matches!(failed(&answer), Refusal::LayersMissing { .. }), "{answer:?}");
    let uuid = scene.server("copied").uuid;
    let kept = agent.agent.node().layout.layers().join(format!("{uuid}.0.{sha256}.{}.qcow2", content.len()));
    std::fs::write(&kept, content).unwrap();
    let fact = agent.done(from_copy(4)).await.fact;
    assert_eq!((indices(&fact.stack), fact.domain), ((vec![0], 1), Domain::Running));
    assert!(writes_to(scene, &agent, "copied", 1).await && !kept.exists());

    // That it ran is not known yet, and it is started once more.
    agent.done(stop("copied", 4)).await;
    let agent = agent.restart().await;
    let fact = agent.done(from_copy(5)).await.fact;
    assert_eq!((indices(&fact.stack), fact.domain), ((vec![0], 1), Domain::Running));
    agent.done(remove(scene, "copied", 5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_layers_become_few_under_a_running_server_and_what_was_written_is_still_there() {
    let scene = scene().await;
    let agent = scene.agent("merged").await;
    // Each layer has something of its own in it, the lowest the most.
    agent.done(start(scene, "merged", 1, DiskUse::MayCreate)).await;
    for generation in 1..5_u64 {
        agent.done(stop("merged", generation)).await;
        let top = layer_path(scene, &agent, "merged", u32::try_from(generation - 1).unwrap());
        let mib = if generation == 1 { 16 } else { 1 };
        qemu_io(&top, &format!("write -P {generation} {}M {mib}M", generation * 32));
        agent.done(start(scene, "merged", generation + 1, DiskUse::Existing)).await;
        agent.done(freeze("merged", &format!("freeze-{generation}"), generation + 1, 0)).await;
    }
    let fact = agent.done(freeze("merged", "fifth", 5, 0)).await.fact;
    assert_eq!(indices(&fact.stack), (vec![0, 1, 2, 3, 4], 5));
    let process = scene.process("merged").await;

    let fact = agent.done(freeze("merged", "sixth", 5, 0)).await.fact;
    assert_eq!((indices(&fact.stack), fact.domain), ((vec![0, 5], 6), Domain::Running), "the heavy one stays");
    assert_eq!(scene.process("merged").await, process, "it was started again");
    assert!(writes_to(scene, &agent, "merged", 6).await);
    assert_eq!(stands_on(scene, &agent, "merged", 5).await, Some(layer_path(scene, &agent, "merged", 0)));
    for index in 1..5 {
        assert!(!layer_path(scene, &agent, "merged", index).exists(), "layer {index} is left");
    }
    assert!(record(&agent, "merged").await.dropped.is_empty(), "something is still to go");

    agent.done(stop("merged", 5)).await;
    for generation in 1..5_u64 {
        let read = format!("read -P {generation} {}M 1M", generation * 32);
        qemu_io(&layer_path(scene, &agent, "merged", 6), &read);
    }
    let fact = agent.done(start(scene, "merged", 6, DiskUse::Existing)).await.fact;
    assert_eq!(indices(&fact.stack), (vec![0, 5], 6));
    agent.done(remove(scene, "merged", 6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_an_agent_left_in_the_middle_is_gone_on_with() {
    let scene = scene().await;
    let agent = scene.agent("midway").await;
    agent.done(start(scene, "midway", 1, DiskUse::MayCreate)).await;
    for number in 0..5 {
        agent.done(freeze("midway", &format!("freeze-{number}"), 1, 0)).await;
    }
    // QEMU has taken everything in, and the agent ended before the layer was frozen.
    let mut begun = record(&agent, "midway").await;
    begun.merging = Some(begun.stack.top);
    agent.agent.node().journal.save(&begun).await.unwrap();
    let hypervisor = agent.agent.node().hypervisor.clone();
    hypervisor.begin_pull("midway", &image(scene, &agent, "midway"), 0).await.unwrap();
    let process = hypervisor.process("midway", &scene.server("midway").uuid).await.unwrap().unwrap();
    let lowest = layer_path(scene, &agent, "midway", 0);
    let done =
        || async { !hypervisor.is_pulling("midway").await.unwrap() && !process.has_open(&lowest).await.unwrap() };
    eventually("QEMU has done it", BOUND, done).await;
    let agent = agent.restart().await;
    let fact = agent.done(freeze("midway", "again", 1, 512)).await.fact;
    assert_eq!(indices(&fact.stack), (vec![5], 6), "it counts once the layer is frozen, however little is in it");
    for index in 0..5 {
        assert!(!layer_path(scene, &agent, "midway", index).exists(), "layer {index} is left");
    }
    let after = record(&agent, "midway").await;
    assert_eq!((after.merging, after.freezing), (None, false));
    agent.done(remove(scene, "midway", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_whose_server_ended_before_it_counted_is_taken_back() {
    let scene = scene().await;
    let agent = scene.agent("undone").await;
    agent.done(start(scene, "undone", 1, DiskUse::MayCreate)).await;
    for number in 0..2 {
        agent.done(freeze("undone", &format!("freeze-{number}"), 1, 0)).await;
    }
    agent.done(stop("undone", 1)).await;
    // The header says that it is done, and nobody knows whether what was copied has reached the disk.
    let path = |index| layer_path(scene, &agent, "undone", index);
    let lowest = BackingFile { path: path(0), format: DiskFormat::Qcow2 };
    disk::stand_on(&path(2), &lowest).await.unwrap();
    let mut begun = record(&agent, "undone").await;
    begun.merging = Some(2);
    agent.agent.node().journal.save(&begun).await.unwrap();
    let below = path(1);
    let agent = agent.restart().await;
    let fact = agent.done(start(scene, "undone", 2, DiskUse::Existing)).await.fact;
    assert_eq!(indices(&fact.stack), (vec![0, 1], 2));
    assert_eq!(stands_on(scene, &agent, "undone", 2).await, Some(below));
    assert_eq!(record(&agent, "undone").await.merging, None);
    agent.done(remove(scene, "undone", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_for_a_server_elsewhere_goes_by_the_schedulers_word_alone() {
    let scene = scene().await;
    let agent = scene.agent("orphan").await;
    let uuid = scene.server("orphan").uuid;
    let layer = |index| Layer { index, sha256: Some("0a".repeat(32)), size_bytes: 4 };
    let kept = |index: u32| {
        let name = format!("{uuid}.{index}.{}.4.qcow2", "0a".repeat(32));
        agent.agent.node().layout.layers().join(name)
    };
    for index in 0..3 {
        std::fs::write(kept(index), b"QFI\xfb").unwrap();
    }
    let drop = |operation: &str, keep: Vec<Layer>| DropLayers { order: order(operation), uuid: uuid.clone(), keep };
    let facts = agent.agent.drop_layers(drop("some", vec![layer(1)])).await.unwrap();
    assert_eq!(facts.layers.get(&uuid), Some(&vec![layer(1)]));
    assert!(!kept(0).exists() && kept(1).exists() && !kept(2).exists());
    let facts = agent.agent.drop_layers(drop("all", Vec::new())).await.unwrap();
    assert!(!facts.layers.contains_key(&uuid) && !kept(1).exists());
    let stranger = DropLayers { uuid: "../disks".to_owned(), ..drop("hostile", Vec::new()) };
    assert!(agent.agent.drop_layers(stranger).await.is_err());
}
