//! Servers that boot by UEFI, with a real QEMU and the firmware of the package ovmf.

use std::{os::unix::fs::MetadataExt, path::Path};

use watari_contracts::agent::{DiskUse, Domain, DropDisk, KeepDisk, Receive, Remove, Server, Start};
use watari_model::{
    Refusal,
    image::{Firmware, Format},
    vm::Base,
};

use crate::{
    discard, order, receive, remove,
    saving::{save, whole},
    scene::{Scene, TestAgent, scene},
    snapshots::{revert, take},
    start, stop,
};

fn server(scene: &Scene, vm: &str) -> Server {
    let mut server = Server { memory_mib: 128, ..scene.server(vm) };
    server.base.firmware = Firmware::Uefi;
    server
}

/// What tells one file from another that has taken its place.
fn inode(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

/// Whether a QEMU of that server has the file open for writing.
async fn is_written(agent: &TestAgent, server: &Server, file: &Path) -> bool {
    let process = agent.agent.node().hypervisor.process(server.name.as_str(), &server.uuid).await.unwrap();
    process.unwrap().writes_to(file).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_boots_by_uefi_with_variables_of_its_own_that_stay_as_long_as_its_disk() {
    let scene = scene().await;
    let agent = scene.agent("uefi").await;
    let (first, layout) = (server(scene, "uefi"), agent.agent.node().layout.clone());
    let variables = layout.variables(&first.uuid);
    agent.done(Start { server: first.clone(), ..start(scene, "uefi", 1, DiskUse::MayCreate) }).await;
    let template = &agent.agent.node().settings.uefi.variables;
    assert_eq!(variables.metadata().unwrap().len(), template.metadata().unwrap().len());
    assert!(is_written(&agent, &first, &variables).await);

    let made = inode(&variables);
    agent.done(stop("uefi", 1)).await;
    agent.done(Start { server: first.clone(), ..start(scene, "uefi", 2, DiskUse::Existing) }).await;
    assert_eq!(inode(&variables), made, "they are not made anew");

    // They go where the disk goes, and go when it goes.
    let keep = KeepDisk { base: first.base.clone(), disk_gib: first.disk_gib, project: Default::default() };
    agent.done(Remove { keep_disk: Some(keep.clone()), ..remove(scene, "uefi", 2) }).await;
    assert!(variables.exists());
    let second = Server { uuid: "0b5c1d7e-4444-4222-8333-444455556666".to_owned(), ..first.clone() };
    let begin = Start {
        order: order("begin"),
        server: second.clone(),
        kept: Some(first.uuid.clone()),
        ..start(scene, "uefi", 3, DiskUse::MayCreate)
    };
    agent.done(begin).await;
    let taken = layout.variables(&second.uuid);
    assert!(!variables.exists() && inode(&taken) == made);
    assert!(is_written(&agent, &second, &taken).await);
    let gone = Remove { uuid: second.uuid.clone(), keep_disk: Some(keep), ..remove(scene, "uefi", 3) };
    agent.done(gone).await;
    assert!(taken.exists());
    agent.agent.drop_disk(DropDisk { order: order("drop"), uuid: second.uuid.clone() }).await.unwrap();
    assert!(!taken.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_are_made_ready_for_a_server_that_is_to_arrive_and_go_with_the_copy() {
    let scene = scene().await;
    let agent = scene.agent("arrives").await;
    let arriving = server(scene, "arrives");
    let variables = agent.agent.node().layout.variables(&arriving.uuid);
    std::fs::write(&variables, "of an earlier stay").unwrap();
    agent.done(Receive { server: arriving, ..receive(scene, "arrives", "arrives-1", 1) }).await;
    let template = std::fs::read(&agent.agent.node().settings.uefi.variables).unwrap();
    assert!(std::fs::read(&variables).unwrap() == template);
    agent.done(discard("arrives", "arrives-1", 1)).await;
    assert!(!variables.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_firmware_says_so_and_makes_nothing() {
    let scene = scene().await;
    let agent = scene.agent_without_firmware("bare").await;
    let bare = server(scene, "bare");
    let variables = agent.agent.node().layout.variables(&bare.uuid);
    let answer = agent.ended(Start { server: bare, ..start(scene, "bare", 1, DiskUse::MayCreate) }).await;
    let lacks = Refusal::NoUefi { vm: "bare".to_owned(), nodes: "m1".to_owned() };
    assert_eq!((crate::failed(&answer), answer.fact.domain), (&lacks, Domain::Absent));
    assert!(!variables.exists() && !scene.disk(&agent, "bare").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_keeps_the_variables_of_its_moment_and_a_disk_that_goes_back_has_them_again() {
    let scene = scene().await;
    let agent = scene.agent("recalls").await;
    let recalls = server(scene, "recalls");
    let variables = agent.agent.node().layout.variables(&recalls.uuid);
    let begin = |generation, disk| Start { server: recalls.clone(), ..start(scene, "recalls", generation, disk) };
    agent.done(begin(1, DiskUse::MayCreate)).await;
    agent.done(stop("recalls", 1)).await;
    let before = std::fs::read(&variables).unwrap();
    agent.done(take("recalls", 1, 1)).await;
    let other = vec![7; before.len()];
    std::fs::write(&variables, &other).unwrap();
    agent.done(revert("recalls", "off", 1, 0)).await;
    assert!(std::fs::read(&variables).unwrap() == before);

    // A layer that keeps them is a disk like any other, and is kept so while QEMU reads it.
    agent.done(begin(2, DiskUse::Existing)).await;
    let fact = agent.done(take("recalls", 2, 2)).await.fact;
    agent.done(stop("recalls", 2)).await;
    std::fs::write(&variables, &other).unwrap();
    agent.done(revert("recalls", "running", 2, fact.stack.marks[1].layer)).await;
    let back = std::fs::read(&variables).unwrap();
    assert!(back.len() == before.len() && back != other);
    agent.done(begin(3, DiskUse::Existing)).await;
    agent.done(remove(scene, "recalls", 3)).await;
    assert!(!variables.exists());
}

/// Saves the server, and gives what a server of that image stands on, which is here then.
async fn saved(scene: &Scene, agent: &TestAgent, server: &Server, generation: u64, operation: &str) -> Base {
    let layout = &agent.agent.node().layout;
    let copy = whole(agent, &save(scene, server.name.as_str(), generation, operation)).await;
    let base =
        Base { image: "kept".parse().unwrap(), sha256: copy.sha256, format: Format::Qcow2, firmware: Firmware::Uefi };
    std::fs::copy(layout.save(&server.uuid), layout.image(&base.sha256, base.format)).unwrap();
    base
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_saved_from_a_server_keeps_its_variables_and_its_servers_begin_with_them() {
    let scene = scene().await;
    let agent = scene.agent("founds").await;
    let founds = server(scene, "founds");
    let layout = agent.agent.node().layout.clone();
    agent.done(Start { server: founds.clone(), ..start(scene, "founds", 1, DiskUse::MayCreate) }).await;
    let running = saved(scene, &agent, &founds, 1, "running").await;
    agent.done(stop("founds", 1)).await;
    let variables = layout.variables(&founds.uuid);
    let other = vec![7; usize::try_from(variables.metadata().unwrap().len()).unwrap()];
    std::fs::write(&variables, &other).unwrap();
    let off = saved(scene, &agent, &founds, 1, "off").await;
    agent.done(remove(scene, "founds", 1)).await;

    // Wherever a server of it is made, and before its memory brings it others.
    let second = Server { uuid: "0b5c1d7e-5555-4222-8333-444455556666".to_owned(), base: off, ..founds };
    let theirs = layout.variables(&second.uuid);
    agent.done(Receive { server: second.clone(), ..receive(scene, "founds", "founds-2", 2) }).await;
    assert!(std::fs::read(&theirs).unwrap() == other);
    agent.done(discard("founds", "founds-2", 2)).await;
    assert!(!theirs.exists());

    // An image with variables behind it is a disk like any other.
    let third = Server { uuid: "0b5c1d7e-6666-4222-8333-444455556666".to_owned(), base: running, ..second };
    let begin = Start { server: third.clone(), ..start(scene, "founds", 3, DiskUse::MayCreate) };
    agent.done(begin).await;
    assert!(is_written(&agent, &third, &layout.variables(&third.uuid)).await);
    agent.done(Remove { uuid: third.uuid, ..remove(scene, "founds", 3) }).await;
}
