//! Servers that grow while they run, with a real QEMU.

use watari_contracts::agent::{DiskUse, Domain, Grow};
use watari_model::{Refusal, size::GIB, vm::Growth};
use watari_node_agent::hypervisor::{DiskFormat, Memory, disk};

use crate::{
    assert_stale, failed,
    layers::freeze,
    order, remove,
    scene::{TestAgent, scene},
    start, stop,
};

fn grow(vm: &str, operation: &str, generation: u64, growth: Growth) -> Grow {
    Grow { order: order(operation), vm: vm.parse().unwrap(), generation, growth }
}

/// How large the layer is that the server writes to.
async fn disk_gib(agent: &TestAgent, uuid: &str, layer: u32) -> u64 {
    let path = agent.agent.node().layout.layer(uuid, layer);
    disk::info(&path, DiskFormat::Qcow2).await.unwrap().virtual_bytes / GIB
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_grows_under_its_running_server_once_and_never_shrinks() {
    let scene = scene().await;
    let agent = scene.agent("larger").await;
    let uuid = scene.server("larger").uuid;
    agent.done(start(scene, "larger", 1, DiskUse::MayCreate)).await;
    let process = scene.process("larger").await;
    let to = |operation: &str, gib| grow("larger", operation, 1, Growth::DiskGib(gib));
    let grown = agent.done(to("two", 2)).await;
    assert_eq!((grown.fact.domain, disk_gib(&agent, &uuid, 0).await), (Domain::Running, 2));
    assert_eq!(scene.process("larger").await, process, "it was started again");

    // The same order is the same growing, after the agent's restart too; less is nothing to do.
    let agent = agent.restart().await;
    agent.done(to("two", 2)).await;
    agent.done(to("less", 1)).await;
    assert_eq!(disk_gib(&agent, &uuid, 0).await, 2);

    // What is frozen stays as large as it was; what stands on it grows.
    agent.done(freeze("larger", "freeze", 1, 0)).await;
    agent.done(to("three", 3)).await;
    assert_eq!((disk_gib(&agent, &uuid, 0).await, disk_gib(&agent, &uuid, 1).await), (2, 3));
    assert_eq!(scene.process("larger").await, process, "it was started again");

    assert_stale(agent.order(grow("larger", "other", 2, Growth::DiskGib(4))).await);
    agent.done(stop("larger", 1)).await;
    let off = agent.ended(grow("larger", "off", 1, Growth::DiskGib(4))).await;
    assert!(matches!(failed(&off), Refusal::AgentState { .. }), "{off:?}");
    assert_eq!(disk_gib(&agent, &uuid, 1).await, 3);
    agent.done(remove(scene, "larger", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processors_are_plugged_into_a_running_server_as_far_as_it_has_places() {
    let scene = scene().await;
    let agent = scene.agent("quicker").await;
    agent.done(start(scene, "quicker", 1, DiskUse::MayCreate)).await;
    let process = scene.process("quicker").await;
    let hypervisor = &agent.agent.node().hypervisor;
    let before = hypervisor.vcpus("quicker").await.unwrap();
    assert_eq!(before.now, 1);
    // On a machine with one processor there are no places beyond that.
    agent.done(grow("quicker", "all", 1, Growth::Vcpus(before.most))).await;
    agent.done(grow("quicker", "again", 1, Growth::Vcpus(before.most))).await;
    assert_eq!(hypervisor.vcpus("quicker").await.unwrap().now, before.most);
    let more = agent.ended(grow("quicker", "more", 1, Growth::Vcpus(before.most + 1))).await;
    assert!(matches!(failed(&more), Refusal::GrowthWaits { .. }) && !failed(&more).retryable(), "{more:?}");
    assert_eq!(more.fact.domain, Domain::Running);
    assert_eq!(scene.process("quicker").await, process, "it was started again");
    agent.done(remove(scene, "quicker", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_a_guest_does_not_take_is_not_left_on_offer() {
    let scene = scene().await;
    let agent = scene.agent_offering_memory("deaf").await;
    agent.done(start(scene, "deaf", 1, DiskUse::MayCreate)).await;
    let process = scene.process("deaf").await;
    let hypervisor = &agent.agent.node().hypervisor;
    let started = hypervisor.memory("deaf").await.unwrap();
    assert_eq!(started, Memory { boot_mib: 32, places_mib: 128, offered_mib: 0, taken_mib: 0 });
    agent.done(grow("deaf", "same", 1, Growth::MemoryMib(32))).await;

    // Nothing boots from its disk that could have the driver.
    let refused = agent.ended(grow("deaf", "more", 1, Growth::MemoryMib(64))).await;
    assert!(matches!(failed(&refused), Refusal::MemoryNotTaken { .. }) && failed(&refused).retryable(), "{refused:?}");
    assert_eq!(hypervisor.memory("deaf").await.unwrap(), started);
    let most = agent.ended(grow("deaf", "most", 1, Growth::MemoryMib(164))).await;
    assert!(matches!(failed(&most), Refusal::GrowthWaits { .. }) && !failed(&most).retryable(), "{most:?}");
    assert_eq!((scene.process("deaf").await, most.fact.domain), (process, Domain::Running));
    agent.done(remove(scene, "deaf", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_started_without_places_for_memory_waits_for_its_next_start() {
    let scene = scene().await;
    let agent = scene.agent("narrow").await;
    agent.done(start(scene, "narrow", 1, DiskUse::MayCreate)).await;
    let waits = agent.ended(grow("narrow", "more", 1, Growth::MemoryMib(64))).await;
    assert!(matches!(failed(&waits), Refusal::GrowthWaits { .. }), "{waits:?}");
    assert_eq!(waits.fact.domain, Domain::Running);
    agent.done(remove(scene, "narrow", 1)).await;
}
