//! Let a running server's disk, number of processors or memory grow, without its guest's being started anew.
//!
//! What is seen decides, before and after: what is as large already is done, and whatever libvirt said of it, only what
//! is seen to have grown has. So the same order may be carried out as often as one likes.

use std::time::Duration;

use tokio::time::Instant;
use watari_contracts::agent::{Domain, Grow};
use watari_model::{Refusal, Said, size::GIB, vm::Growth};

use super::cx::Cx;
use crate::{
    facts::Urgency,
    hypervisor::{DiskFormat, MEMORY_STEP_MIB, Memory, Vcpus, disk, in_proportion},
    layers::stack,
    record::{Disk, Record},
};

const WANTED: &str = "grow";
/// How often it is looked how much of an offer its guest has taken.
const LOOK: Duration = Duration::from_millis(200);
/// What a guest takes in a second at the least, in MiB.
const TAKES_MIB: u64 = 1_024;

pub(super) async fn run(cx: &Cx, order: &Grow) -> Result<(), Refusal> {
    let uuid = cx.uuid(WANTED)?;
    cx.unless_superseded(WANTED, carry_out(cx, uuid, order.growth)).await?;
    cx.book.amend(uuid, Urgency::Soon, |record| note(record, order.growth)).await.map(drop)
}

async fn carry_out(cx: &Cx, uuid: &str, growth: Growth) -> Result<(), Refusal> {
    match cx.look(WANTED).await? {
        Domain::Running => {}
        other => return Err(cx.not_now(other, WANTED)),
    }
    match growth {
        Growth::DiskGib(gib) => grow_disk(cx, uuid, gib.saturating_mul(GIB)).await,
        Growth::Vcpus(vcpus) => plug_vcpus(cx, vcpus).await,
        Growth::MemoryMib(mib) => give_memory(cx, mib).await,
    }
}

/// Only the layer that is written to grows. What it stands on shows nothing behind its own end, which reads as zeros.
async fn grow_disk(cx: &Cx, uuid: &str, wanted: u64) -> Result<(), Refusal> {
    // QEMU lets no disk grow that it copies.
    let Some(_quiet) = cx.node.saves.quiet(uuid) else {
        return Err(cx.node.not_now(&cx.book.vm, "being copied for an image", WANTED));
    };
    let record = stack::settled(&cx.node, &cx.book, uuid).await?;
    if record.disk != Disk::Whole {
        return Err(cx.node.not_now(&cx.book.vm, "without a disk of its own", WANTED));
    }
    if disk_bytes(cx, &record).await? >= wanted {
        return Ok(());
    }
    let told = cx.node.hypervisor.grow_disk(cx.name(), wanted).await;
    if disk_bytes(cx, &record).await? >= wanted {
        return Ok(());
    }
    told.map_err(|error| cx.refuse(&error))?;
    Err(cx.node.not_now(&cx.book.vm, "of the old size all the same", WANTED))
}

/// How large the disk is that the server writes to.
pub(super) async fn disk_bytes(cx: &Cx, record: &Record) -> Result<u64, Refusal> {
    let path = stack::top(&cx.node.layout, record);
    let info = disk::info(&path, DiskFormat::Qcow2).await.map_err(|error| cx.refuse(&error))?;
    Ok(info.virtual_bytes)
}

async fn plug_vcpus(cx: &Cx, wanted: u32) -> Result<(), Refusal> {
    let before = counted(cx).await?;
    if before.now >= wanted {
        return Ok(());
    }
    if before.most < wanted {
        return Err(too_few_places(cx, before.most));
    }
    let told = cx.node.hypervisor.plug_vcpus(cx.name(), wanted).await;
    if counted(cx).await?.now >= wanted {
        return Ok(());
    }
    told.map_err(|error| cx.refuse(&error))?;
    Err(cx.node.not_now(&cx.book.vm, "of the old size all the same", WANTED))
}

async fn counted(cx: &Cx) -> Result<Vcpus, Refusal> {
    cx.node.hypervisor.vcpus(cx.name()).await.map_err(|error| cx.refuse(&error))
}

/// How many there can be is fixed at a start.
fn too_few_places(cx: &Cx, most: u32) -> Refusal {
    waits(
        cx,
        Said::new(
            format!("it was started with places for {most} virtual CPUs at most"),
            format!("起動時に用意された仮想 CPU の枠は最大 {most} 個です"),
        ),
    )
}

fn waits(cx: &Cx, detail: Said) -> Refusal {
    Refusal::GrowthWaits { vm: cx.book.vm.to_string(), detail }
}

/// Memory is offered, and its guest takes it: in its own time, and not at all without the driver. What it has not taken
/// then is not left on offer, since nobody would know when it takes it after all.
async fn give_memory(cx: &Cx, wanted_mib: u64) -> Result<(), Refusal> {
    let before = memory(cx).await?;
    if before.now_mib() >= wanted_mib {
        return Ok(());
    }
    let more_mib = beyond_boot(before, wanted_mib).map_err(|why| waits(cx, why))?;
    let (vm, record) = (&cx.book.vm, cx.record().await?);
    cx.node.room.claim_memory(vm, &record.uuid, wanted_mib).await?;
    let taken = taken(cx, more_mib).await;
    if taken.is_err() {
        // By the journal, not by what it was offered before: that may have been the same, and left in the middle.
        let made_mib = record.server.map_or(before.now_mib(), |server| server.memory_mib);
        if let Err(error) = cx.node.hypervisor.offer_memory(cx.name(), made_mib.saturating_sub(before.boot_mib)).await {
            tracing::warn!(%vm, %error, "memory that its guest has not taken stays on offer");
        }
        let has_mib = memory(cx).await.map_or(wanted_mib, Memory::now_mib);
        cx.node.room.has_memory(&record.uuid, has_mib.max(made_mib));
    }
    taken
}

/// How much more than it booted with its guest is to take, in MiB, so that it has that much; or why it cannot.
fn beyond_boot(memory: Memory, wanted_mib: u64) -> Result<u64, Said> {
    let (more_mib, most_mib) = (wanted_mib.saturating_sub(memory.boot_mib), memory.most_mib());
    if memory.places_mib == 0 {
        return Err(Said::new(
            "it was started without places for more memory, as are small servers, and all that run since before there was such a thing",
            "起動時に、追加のメモリの枠が用意されていません (小さいサーバと、この機能の導入前に起動したサーバにはありません)",
        ));
    }
    if most_mib < wanted_mib {
        return Err(Said::new(
            format!("it was started with places for {most_mib} MiB of memory at most"),
            format!("起動時に用意されたメモリの枠は最大 {most_mib} MiB です"),
        ));
    }
    if !more_mib.is_multiple_of(MEMORY_STEP_MIB) {
        return Err(Said::new(
            format!("its memory grows in steps of {MEMORY_STEP_MIB} MiB while it runs"),
            format!("稼働中のメモリは {MEMORY_STEP_MIB} MiB 単位で増えます"),
        ));
    }
    Ok(more_mib)
}

/// Offers that much beyond what it booted with, and waits until its guest has all of it.
async fn taken(cx: &Cx, more_mib: u64) -> Result<(), Refusal> {
    match cx.node.hypervisor.offer_memory(cx.name(), more_mib).await {
        // The answer was lost: what is seen decides.
        Err(error) if error.outcome_unknown() => {}
        outcome => outcome.map_err(|error| cx.refuse(&error))?,
    }
    let mut events = cx.node.hypervisor.events();
    let take_seconds = cx.node.settings.memory.take_seconds;
    let (patience, late) =
        (Duration::from_secs(take_seconds), || Refusal::MemoryNotTaken { vm: cx.book.vm.to_string() });
    let wait = async {
        let (mut taken_mib, mut since) = (0, Instant::now());
        loop {
            match memory(cx).await? {
                now if now.taken_mib >= more_mib => return Ok(()),
                now if now.taken_mib != taken_mib => (taken_mib, since) = (now.taken_mib, Instant::now()),
                // However much it was offered: a server may have to leave, and is held up by this.
                _ if since.elapsed() >= patience => return Err(late()),
                _ => {}
            }
            let _ = tokio::time::timeout(LOOK, events.recv()).await;
        }
    };
    let bound = in_proportion((take_seconds, TAKES_MIB), more_mib);
    tokio::time::timeout(bound, wait).await.unwrap_or_else(|_| Err(late()))
}

async fn memory(cx: &Cx) -> Result<Memory, Refusal> {
    cx.node.hypervisor.memory(cx.name()).await.map_err(|error| cx.refuse(&error))
}

/// What the server is made of from now on, for whoever asks the journal.
fn note(record: &mut Record, growth: Growth) {
    if let Some(server) = &mut record.server {
        match growth {
            Growth::DiskGib(gib) => server.disk_gib = server.disk_gib.max(gib),
            Growth::Vcpus(vcpus) => server.vcpus = server.vcpus.max(vcpus),
            Growth::MemoryMib(mib) => server.memory_mib = server.memory_mib.max(mib),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_offered_in_steps_as_far_as_there_were_places_at_the_start() {
        let started = Memory { boot_mib: 1_024, places_mib: 3_072, offered_mib: 0, taken_mib: 0 };
        assert_eq!(beyond_boot(started, 1_536), Ok(512));
        assert_eq!(beyond_boot(started, 4_096), Ok(3_072));
        let grown = Memory { offered_mib: 512, taken_mib: 512, ..started };
        assert_eq!(beyond_boot(grown, 2_048), Ok(1_024), "it is counted from the boot");
        assert!(beyond_boot(started, 4_100).is_err(), "there are no places for that");
        assert!(beyond_boot(started, 1_025).is_err(), "no guest takes a single MiB");
        let without = Memory { places_mib: 0, ..started };
        assert!(beyond_boot(without, 1_536).is_err(), "it was started by an agent that knew of no places");
    }
}
