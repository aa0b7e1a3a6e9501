//! Freeze the disk of a running server, so that what it wrote so far can be sent ahead. If it stands on many layers by
//! now, they are merged first.

use std::time::Duration;

use watari_contracts::agent::{Domain, Freeze, weight};
use watari_model::{Refusal, size::GIB};

use super::cx::Cx;
use crate::{
    hypervisor::{DiskFormat, disk},
    layers::{
        merge,
        stack::{self, MOST_LAYERS},
    },
    record::{Disk, Record},
};

const WANTED: &str = "freeze its disk";
/// How long an order that has overtaken this one waits. It is left in moments then, unless QEMU hangs.
const GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(cx: &Cx, order: &Freeze) -> Result<(), Refusal> {
    let uuid = cx.uuid(WANTED)?;
    let key = format!("freeze-{uuid}");
    let outcome = patiently(cx, carry_out(cx, uuid, &key, order)).await;
    cx.node.room.release(&key);
    outcome
}

/// After the agent's restart: what was begun is finished, or taken back.
pub(super) async fn settle(cx: &Cx) -> Result<(), Refusal> {
    let Some(uuid) = cx.uuid.as_deref() else { return Ok(()) };
    patiently(cx, async { stack::settled(&cx.node, &cx.book, uuid).await.map(drop) }).await
}

/// Waits for `work` until an order has overtaken it, and then for a moment.
pub(super) async fn patiently(cx: &Cx, work: impl Future<Output = Result<(), Refusal>>) -> Result<(), Refusal> {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => done,
        () = cx.superseded.cancelled() => {
            // What is left in the middle is finished by the next order, as after a crash.
            let left = |_| Err(cx.overtaken(WANTED));
            tokio::time::timeout(GRACE, &mut work).await.unwrap_or_else(left)
        }
    }
}

async fn carry_out(cx: &Cx, uuid: &str, key: &str, order: &Freeze) -> Result<(), Refusal> {
    let domain = cx.look(WANTED).await?;
    if !matches!(domain, Domain::Running | Domain::Off(_)) {
        return Err(cx.not_now(domain, WANTED));
    }
    // The two want the domain's one job; the copy for an image would have to be made anew.
    let Some(_quiet) = cx.node.saves.quiet(uuid) else {
        return Err(cx.node.not_now(&cx.book.vm, "being copied for an image", WANTED));
    };
    let record = stack::settled(&cx.node, &cx.book, uuid).await?;
    // Of one that is off only what was left in the middle is finished.
    if domain != Domain::Running {
        return Err(cx.not_now(domain, WANTED));
    }
    if record.disk != Disk::Whole {
        return Err(cx.node.not_now(&cx.book.vm, "without a disk of its own", WANTED));
    }
    no_merge_left(cx, record.merging.filter(|into| *into < record.stack.top))?;
    // What an earlier try has merged counts once it is frozen.
    if record.merging.is_none() && !worthwhile(cx, &record, order.least_mib).await? {
        return Ok(());
    }
    let bounds = order.named.bounds(&record.stack.marks);
    let record = merged(cx, key, record, &bounds).await?;
    if record.merging.is_none() && record.stack.layers.len() >= MOST_LAYERS {
        tracing::warn!(vm = %cx.book.vm, most = MOST_LAYERS, "no further layer of its disk is frozen: it has as many as it may have");
        return without_freezing(cx, order.least_mib);
    }
    // What it writes from now on is written beside what is frozen: at worst all of its disk once more.
    let disk_gib = record.server.as_ref().map_or(0, |server| server.disk_gib);
    cx.node.claim_copy(&cx.book.vm, key, disk_gib).await?;
    cx.checkpoint(WANTED)?;
    stack::freeze(&cx.node, &cx.book, &record, None).await?;
    no_merge_left(cx, cx.record().await?.merging)
}

/// Who wants all that was written, be it ever so little, is told that not all of it is frozen.
fn without_freezing(cx: &Cx, least_mib: u64) -> Result<(), Refusal> {
    match least_mib {
        0 => Err(cx.node.not_now(&cx.book.vm, "on as many frozen layers as it may have", WANTED)),
        _ => Ok(()),
    }
}

/// While a merge does not count yet, the layer that took the others in cannot be sent.
pub(super) fn no_merge_left(cx: &Cx, merging: Option<u32>) -> Result<(), Refusal> {
    match merging {
        None => Ok(()),
        Some(_) => Err(cx.node.not_now(&cx.book.vm, "in the middle of a merge of its layers", WANTED)),
    }
}

/// A layer that holds next to nothing is not worth a file of its own.
async fn worthwhile(cx: &Cx, record: &Record, least_mib: u64) -> Result<bool, Refusal> {
    let path = stack::top(&cx.node.layout, record);
    let info = disk::info(&path, DiskFormat::Qcow2).await.map_err(|error| cx.refuse(&error))?;
    Ok(info.actual_bytes >> 20 >= least_mib)
}

/// The record after layers are merged, if there are too many above `bounds`. A disk that cannot be merged may still be
/// frozen.
pub(super) async fn merged(cx: &Cx, key: &str, record: Record, bounds: &[u32]) -> Result<Record, Refusal> {
    let layers = &record.stack.layers;
    let stay = merge::staying(layers, merge::bound(layers, bounds));
    let Some(stay) = stay.filter(|_| record.merging.is_none()) else { return Ok(record) };
    // Both are there for a while: what is merged, and what it was merged from.
    let most_gib = weight(&record.stack.layers).div_ceil(GIB);
    let outcome = match cx.node.claim_copy(&cx.book.vm, key, most_gib).await {
        Ok(()) => merge::pull(&cx.node, &cx.book, &record, stay, &cx.superseded).await,
        Err(full) => Err(full),
    };
    let record = stack::settled(&cx.node, &cx.book, &record.uuid).await?;
    cx.checkpoint(WANTED)?;
    if let Err(refusal) = outcome {
        tracing::warn!(vm = %cx.book.vm, %refusal, "the layers of its disk are not merged");
    }
    Ok(record)
}
