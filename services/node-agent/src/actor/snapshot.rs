//! Keep a server's disk as it is now: what it wrote so far is frozen, and the layer is marked. Of one that is off the
//! next layer is made.

use watari_contracts::agent::{Domain, OffReason, TakeSnapshot};
use watari_model::{Refusal, image::Consistency};

use super::{cx::Cx, freeze};
use crate::{
    blueprint,
    facts::Urgency,
    layers::stack::{self, MOST_UNDER_SNAPSHOT},
    record::{Disk, Marking, Record},
};

const WANTED: &str = "take a snapshot";

pub(super) async fn run(cx: &Cx, order: &TakeSnapshot) -> Result<(), Refusal> {
    let uuid = cx.uuid(WANTED)?;
    let key = format!("snapshot-{uuid}");
    let outcome = freeze::patiently(cx, take(cx, uuid, &key, order)).await;
    cx.node.room.release(&key);
    cx.book.look().await;
    outcome
}

async fn take(cx: &Cx, uuid: &str, key: &str, order: &TakeSnapshot) -> Result<(), Refusal> {
    let domain = cx.look(WANTED).await?;
    if domain != Domain::Running && !is_off(domain) {
        return Err(cx.not_now(domain, WANTED));
    }
    let Some(_quiet) = cx.node.saves.quiet(uuid) else {
        return Err(cx.node.not_now(&cx.book.vm, "being copied for an image", WANTED));
    };
    let record = stack::settled(&cx.node, &cx.book, uuid).await?;
    can_be_redefined(cx, domain, &record, WANTED)?;
    let record = if is_kept(&record, order.number) { record } else { kept(cx, key, order, domain, record).await? };
    redefine(cx, domain, &record).await
}

fn is_kept(record: &Record, number: u64) -> bool {
    record.stack.marks.iter().any(|mark| mark.number == number)
}

/// The record with the moment in it.
async fn kept(cx: &Cx, key: &str, order: &TakeSnapshot, domain: Domain, record: Record) -> Result<Record, Refusal> {
    let uuid = record.uuid.clone();
    if record.disk != Disk::Whole {
        return Err(cx.node.not_now(&cx.book.vm, "without a disk of its own", WANTED));
    }
    freeze::no_merge_left(cx, record.merging.filter(|into| *into < record.stack.top))?;
    let record = if record.stack.marks.iter().all(|mark| order.named.holds(mark)) {
        record
    } else {
        let forget = |record: &mut Record| record.stack.marks.retain(|mark| order.named.holds(mark));
        cx.book.amend(&uuid, Urgency::Whenever, forget).await?
    };
    let bounds = order.named.bounds(&record.stack.marks);
    let runs = domain == Domain::Running;
    let record = if runs { freeze::merged(cx, key, record, &bounds).await? } else { record };
    if record.merging.is_none() && record.stack.layers.len() >= MOST_UNDER_SNAPSHOT {
        let (vm, most) = (cx.book.vm.to_string(), MOST_UNDER_SNAPSHOT.to_string());
        return Err(Refusal::SnapshotLayersFull { vm, most });
    }
    // What it writes from now on is written beside what is kept: at worst all of its disk once more.
    let disk_gib = record.server.as_ref().map_or(0, |server| server.disk_gib);
    cx.node.claim_copy(&cx.book.vm, key, disk_gib).await?;
    cx.checkpoint(WANTED)?;
    let marking = Marking { number: order.number, consistency: consistency(domain) };
    if runs {
        stack::freeze(&cx.node, &cx.book, &record, Some(marking)).await?;
    } else {
        stack::freeze_off(&cx.node, &cx.book, &record, marking).await?;
    }
    let record = cx.record().await?;
    if !is_kept(&record, order.number) {
        return Err(cx.node.not_now(&cx.book.vm, "not frozen", WANTED));
    }
    freeze::no_merge_left(cx, record.merging.filter(|into| *into < record.stack.top))?;
    Ok(record)
}

/// What a disk holds where nobody helps: a guest that shut itself down has written everything.
const fn consistency(domain: Domain) -> Consistency {
    match domain {
        Domain::Off(OffReason::Shutdown) => Consistency::Filesystem,
        _ => Consistency::Crash,
    }
}

/// Whether nobody has the disk open, nor will go on from a memory that has.
pub(super) const fn is_off(domain: Domain) -> bool {
    match domain {
        Domain::Absent => true,
        Domain::Off(reason) => !matches!(reason, OffReason::Saved | OffReason::Migrated),
        _ => false,
    }
}

/// Whether [`redefine`] will know enough of the server, and have its networks.
pub(super) fn can_be_redefined(cx: &Cx, domain: Domain, record: &Record, wanted: &str) -> Result<(), Refusal> {
    match (domain, &record.server) {
        (Domain::Off(_), None) => {
            Err(cx.node.not_now(&cx.book.vm, "not started since the agent lost its journal", wanted))
        }
        (Domain::Off(_), Some(server)) => cx.node.plumbing.nics(server).map(drop),
        _ => Ok(()),
    }
}

/// Writes into the definition of a server that is off which layer is written to: a journal that is lost is made up for
/// by it, and must not take a frozen layer for that.
pub(super) async fn redefine(cx: &Cx, domain: Domain, record: &Record) -> Result<(), Refusal> {
    let (Domain::Off(_), Some(server)) = (domain, &record.server) else { return Ok(()) };
    let nics = cx.node.plumbing.nics(server)?;
    let spec = blueprint::domain(&cx.node, server, &record.stack, nics, record.seen.granted);
    cx.node.hypervisor.define(&spec).await.map_err(|error| cx.refuse(&error))
}
