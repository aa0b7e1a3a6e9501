//! A sending that is broken off: whatever it was at, what is told of it says that nothing travels.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use watari_contracts::agent::{Abort, DiskUse, Domain, Phase, Progress, Send};
use watari_node_agent::hypervisor;
use watari_testkit::{TempDir, eventually};

use crate::{
    order, remove,
    scene::{BOUND, TestAgent, scene},
    start,
};

/// Another node's disk, as QEMU copies to it, until it is dropped.
struct Served {
    folder: TempDir,
    server: Child,
}

impl Served {
    fn of(bytes: u64) -> Self {
        let folder = TempDir::new();
        let disk = folder.path().join("disk");
        File::create(&disk).unwrap().set_len(bytes).unwrap();
        let mut command = Command::new("qemu-nbd");
        command.args(["--format", "raw", "--export-name", "vda", "--persistent", "--socket"]);
        let server = command.arg(folder.path().join("nbd")).arg(disk).spawn().unwrap();
        Self { folder, server }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("nbd")
    }

    /// Nothing is read or answered any more, and no connection ends by that.
    fn stand_still(&self) {
        kill_process(Pid::from_child(&self.server), Signal::STOP).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Nobody listens at that address.
fn send(vm: &str, migration: &str) -> Send {
    Send {
        order: order(&format!("send-{migration}")),
        migration: migration.parse().unwrap(),
        vm: vm.parse().unwrap(),
        generation: 1,
        to: "y1".parse().unwrap(),
        address: "127.0.0.1".to_owned(),
        bandwidth_mib: 0,
        downtime_ms: 0,
        top: 0,
        disk_gib: None,
        max_downtime_seconds: None,
    }
}

async fn qmp(agent: &TestAgent, vm: &str, execute: &str, arguments: Value) -> hypervisor::Result<Value> {
    let command = json!({ "execute": execute, "arguments": arguments });
    agent.agent.node().hypervisor.qmp(vm, &command).await
}

/// Whether QEMU is at any copy of a disk.
async fn copies(agent: &TestAgent, vm: &str) -> bool {
    let jobs = qmp(agent, vm, "query-block-jobs", json!({})).await.unwrap();
    !jobs.as_array().unwrap().is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sending_that_is_broken_off_before_anything_has_travelled_is_over() {
    let scene = scene().await;
    let agent = scene.agent("early").await;
    agent.done(start(scene, "early", 1, DiskUse::MayCreate)).await;
    // At once, and ever later.
    for round in 0..8 {
        let send = send("early", &format!("early-{round}"));
        let migration = send.migration.clone();
        let abort = Abort {
            order: order(&format!("abort-{round}")),
            migration: migration.clone(),
            vm: "early".parse().unwrap(),
        };
        let later = async {
            for _ in 0..round {
                agent.observe("early").await;
            }
            agent.done(abort).await
        };
        // Whether libvirt was called, and complained, or not any more: the order is over.
        let (_, broken_off) = tokio::join!(biased; agent.ended(send), later);
        assert_eq!(broken_off.progress, Progress::Done);
        let fact = agent.observe("early").await;
        assert_eq!(fact.domain, Domain::Running);
        let passage = fact.passage.filter(|passage| passage.migration == migration);
        assert_eq!(passage.map(|passage| passage.phase), Some(Phase::Ended), "round {round}");
    }
    agent.done(remove(scene, "early", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_could_not_be_sent_is_announced_where_it_stays() {
    let scene = scene().await;
    let agent = scene.agent("stays").await;
    agent.done(start(scene, "stays", 1, DiskUse::MayCreate)).await;
    let announced = || agent.agent.node().counts.announcements.get();
    assert_eq!(announced(), 0, "who starts says by itself where it is");
    agent.ended(send("stays", "stays-1")).await;
    assert_eq!((agent.observe("stays").await.domain, announced()), (Domain::Running, 1));
    agent.done(remove(scene, "stays", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_hangs_in_its_connection_ends_when_that_is_cut_and_its_guest_goes_on() {
    let scene = scene().await;
    let agent = scene.agent("hung").await;
    agent.done(start(scene, "hung", 1, DiskUse::MayCreate)).await;
    let hypervisor = &agent.agent.node().hypervisor;
    assert!(hypervisor.cut_copy("hung").await.unwrap().is_empty(), "nothing is copied");

    // What libvirt does at a migration, with a server that stops in the middle. Not of the guest's own disk: its firmware may
    // be at work still, and where that resets the disk's controller it waits for the copy, and QEMU's monitor with it.
    let size = 64_u64 << 20;
    let disk = json!({ "driver": "null-co", "node-name": "disk", "size": size });
    qmp(&agent, "hung", "blockdev-add", disk).await.unwrap();
    let served = Served::of(size);
    let target = json!({
        "driver": "nbd",
        "node-name": "migration-vda-storage",
        "export": "vda",
        "server": { "type": "unix", "path": served.socket() },
    });
    eventually("the other disk is there", BOUND, || async {
        qmp(&agent, "hung", "blockdev-add", target.clone()).await.is_ok()
    })
    .await;
    served.stand_still();
    let mirror = json!({ "job-id": "copy", "device": "disk", "target": "migration-vda-storage", "sync": "full" });
    qmp(&agent, "hung", "blockdev-mirror", mirror).await.unwrap();
    qmp(&agent, "hung", "block-job-cancel", json!({ "device": "copy", "force": true })).await.unwrap();
    assert!(copies(&agent, "hung").await, "QEMU waits for what it has sent");

    assert_eq!(hypervisor.cut_copy("hung").await.unwrap(), ["migration-vda-storage"]);
    eventually("QEMU has ended the copy", BOUND, || async { !copies(&agent, "hung").await }).await;
    assert_eq!(agent.observe("hung").await.domain, Domain::Running);
    agent.done(remove(scene, "hung", 1)).await;
}
