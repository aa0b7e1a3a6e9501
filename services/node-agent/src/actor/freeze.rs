//! Freeze the disk of a running server, so that what it wrote so far can be sent ahead.

use watari_contracts::agent::{Domain, Freeze};
use watari_model::Refusal;

use super::cx::Cx;
use crate::{
    hypervisor::{DiskFormat, disk},
    layers::stack::{self, MOST_LAYERS},
    record::{Disk, Record},
};

const WANTED: &str = "freeze its disk";

pub(super) async fn run(cx: &Cx, order: &Freeze) -> Result<(), Refusal> {
    let uuid = cx.uuid(WANTED)?;
    match cx.look(WANTED).await? {
        Domain::Running => {}
        other => return Err(cx.not_now(other, WANTED)),
    }
    // The two want the domain's one job; the copy for an image would have to be made anew.
    let Some(_quiet) = cx.node.saves.quiet(uuid) else {
        return Err(cx.node.not_now(&cx.book.vm, "being copied for an image", WANTED));
    };
    let record = stack::settled(&cx.node, &cx.book, uuid).await?;
    if record.disk != Disk::Whole {
        return Err(cx.node.not_now(&cx.book.vm, "without a disk of its own", WANTED));
    }
    if !worthwhile(cx, &record, order.least_mib).await? {
        return Ok(());
    }
    let key = format!("freeze-{uuid}");
    // What it writes from now on is written beside what is frozen: at worst all of its disk once more.
    let disk_gib = record.server.as_ref().map_or(0, |server| server.disk_gib);
    cx.node.room.claim_copy(&cx.book.vm, &key, disk_gib).await?;
    let frozen = match cx.checkpoint(WANTED) {
        Ok(()) => stack::freeze(&cx.node, &cx.book, &record).await,
        Err(overtaken) => Err(overtaken),
    };
    cx.node.room.release(&key);
    frozen
}

/// A layer that holds next to nothing is not worth a file of its own; and a disk of many is slow to read.
async fn worthwhile(cx: &Cx, record: &Record, least_mib: u64) -> Result<bool, Refusal> {
    if record.stack.layers.len() >= MOST_LAYERS {
        tracing::warn!(vm = %cx.book.vm, most = MOST_LAYERS, "no further layer of its disk is frozen: it has as many as it may have");
        return Ok(false);
    }
    let path = stack::top(&cx.node.layout, record);
    let info = disk::info(&path, DiskFormat::Qcow2).await.map_err(|error| cx.refuse(&error))?;
    Ok(info.actual_bytes >> 20 >= least_mib)
}
