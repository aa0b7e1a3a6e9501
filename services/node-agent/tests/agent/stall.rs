//! A guest that stands still for no order: it is told of, and goes on where it may.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};
use watari_contracts::agent::{DiskUse, Domain, Stop};
use watari_model::{Refusal, image::Format, vm::Standstill};

use crate::{failed, remove, scene::scene, start, stop};

/// A boot sector that writes to the disk from its first MiB on, 32 KiB after the other, by its BIOS.
///
/// ```text
///        xor ax, ax / mov ds, ax / mov ss, ax / mov sp, 0x7c00
///  next: mov ax, 0x4300 / mov dl, 0x80 / mov si, 0x7c30 / int 0x13
///        add dword [0x7c38], 64 / jmp next
/// ```
const WRITES: [u8; 30] = [
    0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, // its segments and stack
    0xb8, 0x00, 0x43, 0xb2, 0x80, 0xbe, 0x30, 0x7c, 0xcd, 0x13, // write
    0x66, 0x81, 0x06, 0x38, 0x7c, 0x40, 0x00, 0x00, 0x00, 0xeb, 0xeb, // the next ones
];
/// At 0x7c30: what is written is 64 sectors, from 0x7c00, to sector 2048.
const PACKET: [u8; 16] = [0x10, 0, 64, 0, 0x00, 0x7c, 0, 0, 0x00, 0x08, 0, 0, 0, 0, 0, 0];

/// An image of which that is all.
fn image() -> Vec<u8> {
    let mut image = vec![0; 1 << 20];
    image[..WRITES.len()].copy_from_slice(&WRITES);
    image[0x30..0x40].copy_from_slice(&PACKET);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image
}

/// A file system of a few MiB in place of a folder, until it is dropped.
struct Small(PathBuf);

impl Small {
    fn mount(folder: &Path) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(folder).status();
        assert!(mounted.unwrap().success());
        Self(folder.to_owned())
    }

    /// There is room on it from now on.
    fn grow(&self) {
        let grown = Command::new("mount").args(["-o", "remount,size=128m"]).arg(&self.0).status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // QEMU may still have it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_somebody_has_paused_is_told_of_and_left_alone() {
    let scene = scene().await;
    let agent = scene.agent("suspended").await;
    agent.done(start(scene, "suspended", 1, DiskUse::MayCreate)).await;
    let hypervisor = &agent.agent.node().hypervisor;
    hypervisor.suspend("suspended").await.unwrap();
    let paused = agent.until("suspended", |fact| fact.domain == Domain::Paused).await;
    assert_eq!(paused.still, None, "it may be over in a moment");
    agent.until("suspended", |fact| fact.still == Some(Standstill::Suspended)).await;
    assert!(agent.facts().vms.values().any(|fact| fact.still.is_some()), "that is published");

    hypervisor.resume("suspended").await.unwrap();
    let on = agent.until("suspended", |fact| fact.still.is_none()).await;
    assert_eq!(on.domain, Domain::Running);
    hypervisor.suspend("suspended").await.unwrap();
    let off = agent.done(stop("suspended", 1)).await;
    assert!(off.fact.domain.is_off() && off.fact.still.is_none(), "{off:?}");
    agent.done(remove(scene, "suspended", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_disk_was_full_goes_on_when_there_is_room_and_can_be_forced_off_while_there_is_none() {
    let scene = scene().await;
    let agent = scene.agent_without_reserve("full").await;
    let layout = &agent.agent.node().layout;
    let small = Small::mount(&layout.disks());
    let (mut order, content) = (start(scene, "full", 1, DiskUse::MayCreate), image());
    order.server.base.sha256 = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(layout.image(&order.server.base.sha256, Format::Raw), &content).unwrap();
    agent.done(order).await;
    let full = agent.until("full", |fact| fact.still.is_some()).await;
    assert_eq!((full.still, full.domain), (Some(Standstill::IoError), Domain::Unknown));
    let process = scene.process("full").await;

    small.grow();
    let disk = scene.disk(&agent, "full");
    let has_grown = || fs::metadata(&disk).is_ok_and(|file| file.blocks() * 512 > 16 << 20);
    agent.until("full", |_| has_grown()).await;
    assert!(process.is_some() && scene.process("full").await == process, "it is the same process");

    // It fills that as well.
    agent.until("full", |fact| fact.still == Some(Standstill::IoError) && fact.domain == Domain::Unknown).await;
    let asked = Stop { order: crate::order("ask-full"), force: false, ..stop("full", 1) };
    let refused = agent.ended(asked).await;
    assert!(matches!(failed(&refused), Refusal::AgentState { .. }), "its guest cannot be asked: {refused:?}");
    let off = agent.done(stop("full", 1)).await;
    assert!(off.fact.domain.is_off() && off.fact.still.is_none(), "{off:?}");
    agent.done(remove(scene, "full", 1)).await;
}
