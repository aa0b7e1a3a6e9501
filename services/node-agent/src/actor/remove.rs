//! Remove everything this node has of a server.
//!
//! That it is to go is written down before anything goes, so that a crash half-way is gone on from; and that it
//! is gone is remembered, so that a late order does not bring it back.

use std::io;

use watari_contracts::agent::{Domain, Remove};
use watari_model::Refusal;

use super::{cx::Cx, sight};
use crate::{
    facts::Urgency,
    layers::{keep, stack},
    record::{Disk, Removal},
};

const WANTED: &str = "remove";

pub(super) async fn run(cx: &Cx, order: &Remove) -> Result<(), Refusal> {
    let record = cx.record().await?;
    if order.spare_running {
        let domain = sight::take(&cx.node, &cx.book.vm, Some(&order.uuid)).await.domain;
        if !domain.is_off() {
            return Err(cx.not_now(domain, WANTED));
        }
    }
    if record.removal == Removal::No {
        cx.book.amend(&order.uuid, Urgency::Whenever, |record| record.removal = Removal::Begun).await?;
    }
    if !order.keep_layers {
        let uuid = order.uuid.clone();
        keep::aside(&cx.node, move |layout| keep::forget(layout, &uuid)).await?;
    }
    if record.is_tombstone() {
        return Ok(());
    }
    let there = cx.node.hypervisor.uuid(cx.name()).await.map_err(|error| cx.refuse(&error))?;
    // A domain of that name and another UUID is another server.
    if there.as_ref() == Some(&order.uuid) {
        cx.force_off(&order.uuid).await?;
        cx.node.hypervisor.undefine(cx.name()).await.map_err(|error| cx.refuse(&error))?;
    }
    let process = cx.node.hypervisor.process(cx.name(), &order.uuid).await.map_err(|error| cx.refuse(&error))?;
    if process.is_some() {
        // libvirt does not know it and yet it lives: its disk must not be taken from under it.
        return Err(cx.not_now(Domain::Unknown, WANTED));
    }
    // A kept disk that it was about to begin with is its disk.
    cx.node.kept.settle(&cx.node, &cx.book, &order.uuid).await?;
    let record = cx.record().await?;
    cx.unwire(&record).await?;
    if let Some(keep) = &order.keep_disk {
        let settled = stack::settled(&cx.node, &cx.book, &order.uuid).await?;
        cx.node.kept.keep(&cx.node, &settled, keep).await?;
    }
    let (record, layout) = (cx.record().await?, &cx.node.layout);
    // From now on whatever order comes late finds a disk that is nobody's, and leaves it alone.
    let stay = cx.node.kept.staying(&cx.node, &order.uuid).await?;
    if order.keep_layers {
        let (uuid, layers) = (order.uuid.clone(), record.stack.layers.clone());
        keep::aside(&cx.node, move |layout| keep::stow(layout, &uuid, &layers)).await?;
        keep::tell(&cx.node).await;
    }
    for index in record.files().into_iter().chain([0]).filter(|index| !stay.contains(index)) {
        delete(&layout.layer(&order.uuid, index)).await?;
    }
    // A kept disk keeps what its firmware knows of it.
    let variables = stay.is_empty().then(|| layout.variables(&order.uuid));
    let written = [layout.seed(&order.uuid), layout.console(&order.uuid), layout.console_before(&order.uuid)];
    for path in written.into_iter().chain(variables) {
        delete(&path).await?;
    }
    cx.node.room.release(&order.uuid);
    let gone = |record: &mut crate::record::Record| {
        record.server = None;
        record.disk = Disk::None;
        record.clear_layers();
        record.passage = None;
        record.wired = false;
        record.removal = Removal::Done;
    };
    cx.book.amend(&order.uuid, Urgency::Soon, gone).await?;
    cx.book.look().await;
    Ok(())
}

/// Deletes a file of ours; one that is not there is deleted. The folder is written through, so
/// that the file does not come back with the power.
pub(super) async fn delete(path: &std::path::Path) -> Result<(), Refusal> {
    let path = path.to_owned();
    let removal = move || {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            outcome => outcome?,
        }
        match path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    let outcome = tokio::task::spawn_blocking(removal).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    outcome.map_err(|error| Refusal::Internal { detail: format!("a file could not be deleted: {error}") })
}
