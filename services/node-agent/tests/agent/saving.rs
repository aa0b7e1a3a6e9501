//! Copies of disks for images, with a real QEMU.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use watari_contracts::{
    agent::{DiskUse, Domain},
    saving::{DiskCopy, SaveDisk, Server, Stage},
};
use watari_model::{Refusal, image::Consistency};
use watari_node_agent::hypervisor::{BackingFile, DiskFormat, disk};
use watari_testkit::{eventually, eventually_some};

use crate::{
    remove,
    scene::{BOUND, Scene, TestAgent, scene},
    start, stop,
};

pub(crate) fn save(scene: &Scene, vm: &str, generation: u64, operation: &str) -> SaveDisk {
    SaveDisk {
        epoch: 1,
        operation: operation.to_owned(),
        image: "kept".parse().unwrap(),
        vm: vm.parse().unwrap(),
        uuid: scene.server(vm).uuid,
        generation,
        send_to: None,
    }
}

/// Asks until the copy is whole.
pub(crate) async fn whole(agent: &TestAgent, order: &SaveDisk) -> DiskCopy {
    eventually_some("the copy is whole", BOUND, || async {
        match agent.agent.save(order.clone()).await.unwrap().stage {
            Stage::Whole(copy) => Some(copy),
            Stage::Failed(refusal) => panic!("{refusal}"),
            _ => None,
        }
    })
    .await
}

/// Asks until it has failed.
async fn failed(agent: &TestAgent, order: &SaveDisk) -> Refusal {
    eventually_some("there is no copy", BOUND, || async {
        match agent.agent.save(order.clone()).await.unwrap().stage {
            Stage::Failed(refusal) => Some(refusal),
            _ => None,
        }
    })
    .await
}

fn path(scene: &Scene, agent: &TestAgent, vm: &str) -> PathBuf {
    agent.agent.node().layout.save(&scene.server(vm).uuid)
}

/// The copy is a disk of its own, and what was said of it is true.
async fn assert_sound(path: &Path, copy: &DiskCopy) {
    let bytes = std::fs::read(path).unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((bytes.len() as u64, digest.as_str()), (copy.size_bytes, copy.sha256.as_str()));
    assert!(copy.size_bytes < 64 << 20, "what is empty in the disk fills {} bytes", copy.size_bytes);
    let info = disk::info(path, DiskFormat::Qcow2).await.unwrap();
    assert_eq!((info.virtual_bytes, info.backing), (1 << 30, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_is_copied_while_its_server_runs_and_while_it_is_off() {
    let scene = scene().await;
    let agent = scene.agent("kept").await;
    agent.done(start(scene, "kept", 1, DiskUse::MayCreate)).await;
    let (process, path) = (scene.process("kept").await, path(scene, &agent, "kept"));
    let copy = whole(&agent, &save(scene, "kept", 1, "first")).await;
    assert_eq!((copy.server, copy.taken.consistency), (Server::Running, Consistency::Crash));
    assert_sound(&path, &copy).await;
    assert_eq!(scene.process("kept").await, process, "it was started again");
    assert_eq!(agent.observe("kept").await.domain, Domain::Running);

    // Asked again it is the same copy; under another name it is made anew.
    assert_eq!(whole(&agent, &save(scene, "kept", 1, "first")).await, copy);
    let again = whole(&agent, &save(scene, "kept", 1, "second")).await;
    assert!(again.taken.at > copy.taken.at);

    agent.done(stop("kept", 1)).await;
    let off = whole(&agent, &save(scene, "kept", 1, "third")).await;
    assert_eq!((off.server, off.taken.consistency), (Server::Stopped, Consistency::Crash));
    assert_sound(&path, &off).await;

    // The copy is in nobody's way, and outlives its server.
    agent.done(start(scene, "kept", 2, DiskUse::Existing)).await;
    agent.done(remove(scene, "kept", 2)).await;
    assert_eq!(whole(&agent, &save(scene, "kept", 1, "third")).await, off);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_copied_that_is_not_the_servers_own_disk_under_its_grant() {
    let scene = scene().await;
    let agent = scene.agent("foreign").await;
    let state = |refusal: Refusal| matches!(refusal, Refusal::AgentState { .. });
    assert!(state(failed(&agent, &save(scene, "foreign", 1, "absent")).await));
    agent.done(start(scene, "foreign", 1, DiskUse::MayCreate)).await;
    assert!(state(failed(&agent, &save(scene, "foreign", 2, "early")).await));
    let hostile = SaveDisk { uuid: "../../etc/passwd".to_owned(), ..save(scene, "foreign", 1, "hostile") };
    assert!(matches!(agent.agent.save(hostile).await, Err(Refusal::OutOfRange { .. })));
    let older = SaveDisk { epoch: 0, ..save(scene, "foreign", 1, "older") };
    assert!(matches!(agent.agent.save(older).await, Err(Refusal::Stale { .. })));
    let folder = agent.agent.node().layout.saves();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "something of it is left");
    agent.done(remove(scene, "foreign", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_left_of_a_copy_is_cleared_away_by_the_next_and_the_copy_made_anew() {
    let scene = scene().await;
    let agent = scene.agent("left").await;
    agent.done(start(scene, "left", 1, DiskUse::MayCreate)).await;
    let uuid = scene.server("left").uuid;
    let (copy, marker) = (path(scene, &agent, "left"), agent.agent.node().layout.save_marker(&uuid));
    std::fs::write(&copy, "half a copy").unwrap();
    std::fs::write(&marker, "left").unwrap();
    let agent = agent.restart().await;
    eventually("nothing is left", BOUND, || async { !copy.exists() && !marker.exists() }).await;
    let made = whole(&agent, &save(scene, "left", 1, "first")).await;
    assert_sound(&copy, &made).await;
    agent.done(remove(scene, "left", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_whose_header_was_spoilt_is_neither_copied_nor_started_and_nothing_is_left() {
    use std::os::unix::fs::FileExt;

    let scene = scene().await;
    let agent = scene.agent("spoilt").await;
    agent.done(start(scene, "spoilt", 1, DiskUse::MayCreate)).await;
    agent.done(stop("spoilt", 1)).await;
    let (path, base) = (scene.disk(&agent, "spoilt"), scene.server("spoilt").base);
    let untrusted = |refusal: &Refusal, word: &str| match refusal {
        Refusal::DiskUntrusted { file, detail, .. } => Path::new(file) == path && detail.en.contains(word),
        _ => false,
    };
    let theirs = BackingFile { path: "/etc/passwd".into(), format: DiskFormat::Raw };
    disk::stand_on(&path, &theirs).await.unwrap();
    let refusal = failed(&agent, &save(scene, "spoilt", 1, "theirs")).await;
    assert!(untrusted(&refusal, "/etc/passwd"), "{refusal:?}");
    let folder = agent.agent.node().layout.saves();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "something of it is left");

    let ours =
        BackingFile { path: agent.agent.node().layout.image(&base.sha256, base.format), format: DiskFormat::Raw };
    disk::stand_on(&path, &ours).await.unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let features = |bits: u64| file.write_all_at(&bits.to_be_bytes(), 72).unwrap();
    // Its data are said to be elsewhere.
    features(1 << 2);
    let answer = agent.ended(start(scene, "spoilt", 2, DiskUse::Existing)).await;
    assert!(untrusted(crate::failed(&answer), "another file"), "{answer:?}");
    features(0);
    agent.done(start(scene, "spoilt", 3, DiskUse::Existing)).await;
    agent.done(stop("spoilt", 3)).await;
    let path = self::path(scene, &agent, "spoilt");
    assert_sound(&path, &whole(&agent, &save(scene, "spoilt", 3, "ours")).await).await;
    agent.done(remove(scene, "spoilt", 3)).await;
}
