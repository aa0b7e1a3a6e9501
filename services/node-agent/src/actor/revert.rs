//! Put the disk of a server that is off back to a layer. It is under the grant under which it went off, so that a start
//! that was asked for since makes this order an old one.

use watari_contracts::agent::RevertDisk;
use watari_model::Refusal;

use super::{
    cx::Cx,
    snapshot::{can_be_redefined, is_off, redefine},
};
use crate::{
    layers::{revert, stack},
    record::Disk,
};

const WANTED: &str = "go back to a snapshot";

pub(super) async fn run(cx: &Cx, order: &RevertDisk) -> Result<(), Refusal> {
    let outcome = put_back(cx, order).await;
    cx.book.look().await;
    outcome
}

async fn put_back(cx: &Cx, order: &RevertDisk) -> Result<(), Refusal> {
    let uuid = cx.uuid(WANTED)?;
    let domain = cx.look(WANTED).await?;
    if !is_off(domain) {
        return Err(cx.not_now(domain, WANTED));
    }
    let process = cx.node.hypervisor.process(cx.name(), uuid).await.map_err(|error| cx.refuse(&error))?;
    if process.is_some() {
        return Err(cx.node.not_now(&cx.book.vm, "still ending", WANTED));
    }
    let record = stack::settled(&cx.node, &cx.book, uuid).await?;
    can_be_redefined(cx, domain, &record, WANTED)?;
    if record.disk != Disk::Whole {
        return Err(cx.node.not_now(&cx.book.vm, "without a disk of its own", WANTED));
    }
    let record = revert::put_back(&cx.node, &cx.book, &record, order.layer).await?;
    // It has gone back: a failure from now on would be taken for a disk that is as it was before. The next start writes
    // the definition again, and one that names files that are gone misleads nobody.
    if let Err(refusal) = redefine(cx, domain, &record).await {
        tracing::warn!(vm = %cx.book.vm, %refusal, "its definition names the disk of before until its next start");
    }
    Ok(())
}
