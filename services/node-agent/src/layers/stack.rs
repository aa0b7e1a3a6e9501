//! The layers of a server's disk that is here: which there are, and freezing the one that is written to.
//!
//! ```text
//!  journal: freezing ─▶ empty overlay ─▶ QEMU goes on in it ─▶ journal: one more frozen, the next is written to
//! ```
//!
//! A crash between any two is healed by what is there. A process that lives, has the overlay open and what was
//! the disk for reading only, writes to the overlay; one that does not have it open is made to, and if libvirt will
//! not, goes on as before. One that has both open for writing was left by libvirt in the middle: then nothing is concluded. Where no process lives the overlay is the disk from then
//! on, if it is there: whether or not it was ever written to, it shows what the disk shows. So nothing is
//! ever taken away here.

use std::path::{Path, PathBuf};

use watari_chassis::clock;
use watari_contracts::agent::{Layer, Mark, Server, Stack};
use watari_model::{Refusal, image::Consistency};

use crate::{
    actor::Book,
    blueprint,
    facts::Urgency,
    hypervisor::{self, BackingFile, DiskFormat, Guest, disk},
    layers::{keep, merge, revert},
    layout::Layout,
    node::Node,
    record::{Marking, Record},
    uefi,
};

/// Frozen layers of one disk. More would make each read look into more files.
pub const MOST_LAYERS: usize = 8;
/// A snapshot is taken where there are fewer: one place is left for freezing what is written after it.
pub const MOST_UNDER_SNAPSHOT: usize = MOST_LAYERS - 1;

/// How long a guest's own agent may take for each of its answers, at most: three of them are less than what libvirt
/// is given for a freezing.
const STILL_SECONDS: u16 = 10;

const WANTED: &str = "freeze its disk";

/// The file that is written to.
#[must_use]
pub fn top(layout: &Layout, record: &Record) -> PathBuf {
    layout.layer(&record.uuid, record.stack.top)
}

/// What the layer that is written to stands on, the nearest first, the image last.
#[must_use]
pub fn under(node: &Node, server: &Server, stack: &Stack) -> Vec<BackingFile> {
    let frozen = stack.layers.iter().rev().map(|layer| frozen(node, &server.uuid, layer));
    frozen.chain([blueprint::backing(node, &server.base)]).collect()
}

fn frozen(node: &Node, uuid: &str, layer: &Layer) -> BackingFile {
    BackingFile { path: node.layout.layer(uuid, layer.index), format: DiskFormat::Qcow2 }
}

/// Freezes what the server wrote so far, as a moment that is kept if `marking` says so. Nobody else may be at work
/// with its domain or disk.
///
/// # Errors
/// libvirt's, or the disk's. What was begun is finished by [`settled`].
pub async fn freeze(node: &Node, book: &Book, record: &Record, marking: Option<Marking>) -> Result<(), Refusal> {
    free(node, book, record).await?;
    book.amend(&record.uuid, Urgency::Whenever, |record| (record.freezing, record.marking) = (true, marking)).await?;
    let after = settled(node, book, &record.uuid).await?;
    if after.stack.top == record.stack.top {
        return Err(node.not_now(&book.vm, "not frozen", WANTED));
    }
    Ok(())
}

/// The same for the disk of a server that is off: the next layer is made, and is what is written to from then on.
///
/// # Errors
/// As for [`freeze`].
pub async fn freeze_off(node: &Node, book: &Book, record: &Record, marking: Marking) -> Result<(), Refusal> {
    let next = free(node, book, record).await?;
    let marking = Some(marking);
    book.amend(&record.uuid, Urgency::Whenever, |record| (record.freezing, record.marking) = (true, marking)).await?;
    make(&top(&node.layout, record), &next).await.map_err(|error| node.refuse(&error))?;
    settled(node, book, &record.uuid).await.map(drop)
}

/// Where the next layer of a disk will be: nothing is there.
pub(super) async fn free(node: &Node, book: &Book, record: &Record) -> Result<PathBuf, Refusal> {
    let next = node.layout.layer(&record.uuid, record.stack.top.saturating_add(1));
    let exists = tokio::fs::try_exists(&next).await;
    if exists.map_err(|error| Refusal::Internal { detail: format!("{}: {error}", next.display()) })? {
        // It is no part of this disk, and yet nobody knows whose it is.
        return Err(node.not_now(&book.vm, "beside a file where the next layer of its disk would be", WANTED));
    }
    Ok(next)
}

/// The record of a server whose disk is not being frozen any more, nor put back, nor merged by QEMU: what an agent
/// before this one, or an order that was overtaken, left in the middle is finished or taken back first. As for
/// [`freeze`], nobody else may be at work.
///
/// # Errors
/// libvirt's, or the disk's; it is tried again with the next order.
pub async fn settled(node: &Node, book: &Book, uuid: &str) -> Result<Record, Refusal> {
    let gone = || Refusal::Internal { detail: format!("server {} has no record", book.vm) };
    let record = book.record(uuid).await.ok_or_else(gone)?;
    let record = revert::taken_back(node, book, record).await?;
    let record = merge::judged(node, book, record).await?;
    let record = if record.freezing { frozen_through(node, book, record).await? } else { record };
    Ok(merge::finished(node, book, record).await)
}

async fn frozen_through(node: &Node, book: &Book, record: Record) -> Result<Record, Refusal> {
    let uuid = record.uuid.as_str();
    let refuse = |error: hypervisor::Error| node.refuse(&error);
    let (now, next) = (top(&node.layout, &record), node.layout.layer(uuid, record.stack.top.saturating_add(1)));
    let process = node.hypervisor.process(book.vm.as_str(), uuid).await.map_err(refuse)?;
    let mut still = false;
    if let Some(process) = &process {
        make(&now, &next).await.map_err(refuse)?;
        let done = process.has_open(&next).await.map_err(refuse)?;
        match record.marking {
            // libvirt may have ended in the middle of it, while the guest held still.
            Some(_) if done => thaw(node, book.vm.as_str()).await,
            Some(_) => still = frozen_still(node, book, &next).await?,
            None => {}
        }
        if !process.has_open(&next).await.map_err(refuse)? {
            let outcome = node.hypervisor.freeze_disk(book.vm.as_str(), &next, Guest::GoesOn).await;
            // What libvirt says is a hint; what the process has open is the truth.
            if !process.has_open(&next).await.map_err(refuse)? {
                return match outcome {
                    Err(error) if error.outcome_unknown() => Err(node.refuse(&error)),
                    Err(error) => given_up(book, uuid, &next, &error.to_string()).await,
                    Ok(()) => given_up(book, uuid, &next, "libvirt did nothing").await,
                };
            }
        }
        if process.writes_to(&now).await.map_err(refuse)? {
            return Err(node.not_now(&book.vm, "in the middle of being frozen", WANTED));
        }
    }
    let there = |path: PathBuf| async move { tokio::fs::metadata(path).await.ok().map(|meta| meta.len()) };
    let frozen = there(next).await.is_some();
    let mut whole = true;
    if frozen
        && record.marking.is_some()
        && let Err(refusal) = keep_variables(node, uuid, &now).await
    {
        // A moment without them is none that is kept; but nothing else that is wanted of the server waits for that.
        tracing::warn!(vm = %book.vm, %refusal, "a snapshot without its UEFI variables is not taken");
        whole = false;
    }
    let taken = if frozen { there(now).await } else { None };
    book.amend(uuid, Urgency::Soon, |record| {
        record.freezing = false;
        let marking = record.marking.take().filter(|_| whole);
        if let Some(size_bytes) = taken {
            record.stack.marks.extend(marking.map(|marking| mark(marking, record.stack.top, still)));
            record.stack.layers.push(Layer { index: record.stack.top, sha256: None, size_bytes });
            record.stack.top = record.stack.top.saturating_add(1);
        }
    })
    .await
}

/// What its firmware knows belongs to a moment that is kept. It is put into the layer before that is measured; nobody else
/// writes there any more.
async fn keep_variables(node: &Node, uuid: &str, layer: &Path) -> Result<(), Refusal> {
    let (uuid, layer, name) = (uuid.to_owned(), layer.to_owned(), node.name.to_string());
    keep::aside(node, move |layout| uefi::keep_in(layout, &uuid, &layer).map_err(|error| uefi::refusal(&name, &error)))
        .await
}

/// Whether the disk was frozen while the guest's file systems held still. If the guest cannot do that it goes on.
///
/// # Errors
/// Nobody knows whether libvirt is still at it: nothing else is tried beside it.
async fn frozen_still(node: &Node, book: &Book, next: &Path) -> Result<bool, Refusal> {
    let (name, seconds) = (book.vm.as_str(), node.settings.saving.freeze_seconds.min(STILL_SECONDS));
    let Err(error) = node.hypervisor.freeze_disk(name, next, Guest::HoldsStill(seconds)).await else {
        return Ok(true);
    };
    if error.outcome_unknown() {
        return Err(node.refuse(&error));
    }
    tracing::debug!(vm = name, %error, "its file systems do not hold still for a snapshot");
    // libvirt has let it go on, or the guest's agent did not answer.
    thaw(node, name).await;
    Ok(false)
}

/// Has the guest's file systems go on, if they hold still.
async fn thaw(node: &Node, name: &str) {
    if let Err(error) = node.hypervisor.thaw(name).await {
        tracing::debug!(vm = name, %error, "nothing is thawed");
    }
}

fn mark(marking: Marking, layer: u32, still: bool) -> Mark {
    let consistency = if still { Consistency::Filesystem } else { marking.consistency };
    Mark { number: marking.number, layer, at: clock::now(), consistency }
}

/// The overlay that nobody writes to goes, and all is as it was: a disk that cannot be frozen can still move.
async fn given_up(book: &Book, uuid: &str, next: &Path, why: &str) -> Result<Record, Refusal> {
    tracing::warn!(vm = %book.vm, why, "its disk is not frozen");
    tokio::fs::remove_file(next)
        .await
        .map_err(|error| Refusal::Internal { detail: format!("{}: {error}", next.display()) })?;
    book.amend(uuid, Urgency::Soon, |record| (record.freezing, record.marking) = (false, None)).await
}

/// The overlay, if it is not there yet.
async fn make(now: &Path, next: &Path) -> hypervisor::Result<()> {
    let info = disk::info(now, DiskFormat::Qcow2).await?;
    let backing = BackingFile { path: now.to_owned(), format: DiskFormat::Qcow2 };
    match disk::create_overlay(next, &backing, info.virtual_bytes).await {
        Err(hypervisor::Error::Exists { .. }) => Ok(()),
        outcome => outcome,
    }
}

/// The frozen layers under one, read from the disks' own headers; none that are not this server's. For a
/// journal that was lost, and to be sure that nothing is missing.
///
/// # Errors
/// A header cannot be read, or there are more layers than there may be.
pub async fn read(layout: &Layout, uuid: &str, top: u32) -> hypervisor::Result<Vec<Layer>> {
    let (mut found, mut at) = (Vec::new(), top);
    loop {
        let info = disk::info(&layout.layer(uuid, at), DiskFormat::Qcow2).await?;
        let below = info.backing.and_then(|path| layout.layer_index(uuid, &path)).filter(|index| *index < at);
        let Some(index) = below else { break };
        if found.len() > MOST_LAYERS {
            let reason = format!("server {uuid} has more than {MOST_LAYERS}");
            return Err(hypervisor::Error::Invalid { field: "layers", reason });
        }
        let path = layout.layer(uuid, index);
        let size = tokio::fs::metadata(&path).await;
        let size = size.map_err(|source| hypervisor::Error::Io { act: "look at", path, source })?;
        found.push(Layer { index, sha256: None, size_bytes: size.len() });
        at = index;
    }
    found.reverse();
    Ok(found)
}

/// Whether a disk stands on what the journal says, so that no guest is started on less.
///
/// # Errors
/// [`Refusal::AgentState`] if it does not; a header cannot be read.
pub async fn verify(node: &Node, book: &Book, record: &Record) -> Result<(), Refusal> {
    if record.stack.is_plain() {
        return Ok(());
    }
    let found = read(&node.layout, &record.uuid, record.stack.top).await.map_err(|error| node.refuse(&error))?;
    let same = |(is, was): (&Layer, &Layer)| (is.index, is.size_bytes) == (was.index, was.size_bytes);
    if found.len() == record.stack.layers.len() && found.iter().zip(&record.stack.layers).all(same) {
        return Ok(());
    }
    Err(node.not_now(&book.vm, "without a frozen layer that its disk stands on", "start"))
}
