//! Let a running server's disk or number of processors grow, without its guest's being started anew.
//!
//! What is seen decides, before and after: what is as large already is done, and whatever libvirt said of it, only what
//! is seen to have grown has. So the same order may be carried out as often as one likes.

use watari_contracts::agent::{Domain, Grow};
use watari_model::{Refusal, Said, size::GIB, vm::Growth};

use super::cx::Cx;
use crate::{
    facts::Urgency,
    hypervisor::{DiskFormat, Vcpus, disk},
    layers::stack,
    record::{Disk, Record},
};

const WANTED: &str = "grow";

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
    let detail = Said::new(
        format!("it was started with places for {most} virtual CPUs at most"),
        format!("起動時に用意された仮想 CPU の枠は最大 {most} 個です"),
    );
    Refusal::GrowthWaits { vm: cx.book.vm.to_string(), detail }
}

/// What the server is made of from now on, for whoever asks the journal.
fn note(record: &mut Record, growth: Growth) {
    if let Some(server) = &mut record.server {
        match growth {
            Growth::DiskGib(gib) => server.disk_gib = server.disk_gib.max(gib),
            Growth::Vcpus(vcpus) => server.vcpus = server.vcpus.max(vcpus),
        }
    }
}
