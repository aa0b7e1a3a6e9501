//! Disks that stay here, for other servers to begin with: of deleted servers, and of those that were started from a copy
//! elsewhere while this node was lost.
//!
//! ```text
//!  a server's disk ─▶ kept ─▶ taken by a new server, whose name its files get one by one ─▶ that server's disk
//!                      └─▶ going ─▶ (no file)
//! ```
//!
//! The files stay where they were, and a note beside them says what they are ([`note`]). The note is written before
//! the server is forgotten, says who takes the disk before the first file is touched, and goes when all is done: what
//! a crash leaves in the middle is gone on with by whoever needs the disk next, or at the next start.

mod note;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use rustix::fs::{CWD, RenameFlags};
use tokio::sync::Notify;
use watari_chassis::clock;
use watari_contracts::agent::{DropDisk, KeepDisk, Stack};
use watari_model::{
    DiskName, Refusal,
    disk::{KeptDisk, MOST_KEPT},
    size::GIB,
};

use crate::{
    actor::Book,
    blueprint,
    facts::Urgency,
    hypervisor::{BackingFile, DiskFormat, disk},
    layout::Layout,
    node::Node,
    record::{Disk, Record},
    uefi,
};

pub use note::Note;

/// The unit in which the kernel counts what a file takes (stat(2)).
const BLOCK: u64 = 512;

/// What is kept here.
#[derive(Default)]
pub struct KeptDisks {
    /// One at a time changes what is kept.
    at_work: tokio::sync::Mutex<()>,
    told: Mutex<BTreeMap<String, KeptDisk>>,
    changed: Notify,
}

fn failed(error: &io::Error) -> Refusal {
    Refusal::Internal { detail: format!("kept disks: {error}") }
}

/// Does what waits for the disk where nobody else waits.
async fn aside<T: Send + 'static>(
    node: &Node,
    work: impl FnOnce(&Layout) -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let layout = node.layout.clone();
    let done = tokio::task::spawn_blocking(move || work(&layout)).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| failed(&error))
}

impl KeptDisks {
    /// The disks that a server may begin with, by the UUIDs of the servers that they were of.
    #[must_use]
    pub fn told(&self) -> BTreeMap<String, KeptDisk> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until that has changed since it was last waited for.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Finishes what an agent before this one left in the middle, and looks at what is kept. `whole` are the servers
    /// that have a disk of their own.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub async fn restore(&self, node: &Node, whole: BTreeSet<String>) -> Result<(), Refusal> {
        let _turn = self.at_work.lock().await;
        aside(node, move |layout| {
            note::clear(layout)?;
            for (uuid, kept) in note::all(layout)? {
                if kept.taken_by.is_some_and(|by| whole.contains(&by)) {
                    note::forget(layout, &uuid)?;
                }
            }
            Ok(())
        })
        .await?;
        self.look(node).await
    }

    async fn look(&self, node: &Node) -> Result<(), Refusal> {
        let notes = aside(node, note::all).await?;
        let free = notes.into_iter().filter(|(_, note)| note.taken_by.is_none());
        let now: BTreeMap<String, KeptDisk> = free.map(|(uuid, note)| (uuid, note.disk)).collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != now {
            *told = now;
            drop(told);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Keeps the disk of a server that is off and is about to be forgotten, if it has one of its own. What is kept
    /// already stays kept.
    ///
    /// # Errors
    /// As many are kept as may be; the disk's header cannot be read, or the note not written.
    pub async fn keep(&self, node: &Node, record: &Record, keep: &KeepDisk) -> Result<(), Refusal> {
        let _turn = self.at_work.lock().await;
        let uuid = record.uuid.clone();
        let top = node.layout.layer(&uuid, record.stack.top);
        let there = top.clone();
        let exists = aside(node, move |_| there.try_exists()).await?;
        if record.disk != Disk::Whole || !exists {
            return Ok(());
        }
        // It may have grown without its document's saying so, and whoever begins with it must not take it for smaller:
        // a migration would leave out the rest.
        let is = disk::info(&top, DiskFormat::Qcow2).await.map_err(|error| node.refuse(&error))?;
        let (vm, stack, base) = (record.vm.clone(), record.stack.clone(), keep.base.clone());
        let project = Some(keep.project.clone());
        let (disk_gib, kept_at) = (keep.disk_gib.max(is.virtual_bytes.div_ceil(GIB)), clock::now());
        let of = uuid.clone();
        let written = aside(node, move |layout| {
            let notes = note::all(layout)?;
            if notes.contains_key(&of) {
                return Ok(true);
            }
            if notes.len() >= MOST_KEPT {
                return Ok(false);
            }
            let disk = KeptDisk { vm, project, base, disk_gib, size_bytes: 0, kept_at };
            let mut note = Note { disk, stack, taken_by: None };
            let size = |index: u32| layout.layer(&of, index).metadata().map(|meta| meta.blocks().saturating_mul(BLOCK));
            for index in note.files() {
                note.disk.size_bytes = note.disk.size_bytes.saturating_add(size(index)?);
            }
            note::write(layout, &of, &note).map(|()| true)
        });
        if !written.await? {
            let (vm, node) = (record.vm.to_string(), node.name.to_string());
            return Err(Refusal::DisksFull { vm, node, most: MOST_KEPT.to_string() });
        }
        tracing::info!(vm = %record.vm, uuid, "the disk of a server that is no more here is kept");
        self.look(node).await
    }

    /// The numbers of a server's files that are kept though the server is not.
    ///
    /// # Errors
    /// The note cannot be read.
    pub async fn staying(&self, node: &Node, uuid: &str) -> Result<Vec<u32>, Refusal> {
        let of = uuid.to_owned();
        let note = aside(node, move |layout| note::read(layout, &of)).await?;
        Ok(note.map(|note| note.files()).unwrap_or_default())
    }

    /// Makes a kept disk the disk of a server that has none yet. Of one that has its own, only what is left over of its
    /// taking it is cleared away.
    ///
    /// # Errors
    /// [`Refusal::DiskUnknown`] if it is not kept here, [`Refusal::DiskInUse`] if another server has taken it; a file
    /// cannot be changed, and it is gone on with at the next try.
    pub async fn take(&self, node: &Node, book: &Book, uuid: &str, of: &str) -> Result<(), Refusal> {
        blueprint::check_uuid(of)?;
        let _turn = self.at_work.lock().await;
        let has_its_own = book.record(uuid).await.is_some_and(|record| record.disk == Disk::Whole);
        let (from, by) = (of.to_owned(), uuid.to_owned());
        let noted = aside(node, move |layout| {
            let mut noted = note::read(layout, &from)?;
            if let Some(note) = noted.as_mut().filter(|note| note.taken_by.is_none() && !has_its_own) {
                note.taken_by = Some(by);
                note::write(layout, &from, note)?;
            }
            Ok(noted)
        });
        match noted.await? {
            Some(note) if note.taken_by.as_deref() == Some(uuid) => {
                self.finish(node, book, uuid, of, &note, has_its_own).await
            }
            _ if has_its_own => Ok(()),
            None => Err(Refusal::DiskUnknown { disk: of.to_owned() }),
            Some(note) => {
                let disk = DiskName::of(&note.disk.vm, of).map_or_else(|_| of.to_owned(), |name| name.to_string());
                Err(Refusal::DiskInUse { disk, vm: note.taken_by.unwrap_or_default() })
            }
        }
    }

    /// Finishes the taking of a disk that was begun for a server, if one was: the disk is that server's, to be used,
    /// kept or deleted with it.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn settle(&self, node: &Node, book: &Book, uuid: &str) -> Result<(), Refusal> {
        let _turn = self.at_work.lock().await;
        let notes = aside(node, note::all).await?;
        let begun = notes.into_iter().find(|(_, note)| note.taken_by.as_deref() == Some(uuid));
        let Some((of, note)) = begun else { return Ok(()) };
        let has_its_own = book.record(uuid).await.is_some_and(|record| record.disk == Disk::Whole);
        self.finish(node, book, uuid, &of, &note, has_its_own).await
    }

    async fn finish(
        &self,
        node: &Node,
        book: &Book,
        uuid: &str,
        of: &str,
        note: &Note,
        has_its_own: bool,
    ) -> Result<(), Refusal> {
        if !has_its_own {
            let stack = renamed(node, uuid, of, note).await?;
            let taken = |record: &mut Record| {
                record.disk = Disk::Whole;
                record.clear_layers();
                record.stack = stack;
            };
            book.amend(uuid, Urgency::Whenever, taken).await?;
            tracing::info!(vm = %book.vm, uuid, of, "a kept disk has become a server's");
        }
        let of = of.to_owned();
        aside(node, move |layout| note::forget(layout, &of)).await?;
        self.look(node).await
    }

    /// Deletes a kept disk; one that is not there is deleted.
    ///
    /// # Errors
    /// [`Refusal::DiskInUse`] if a server has taken it; a file cannot be deleted, and the next start goes on.
    pub async fn drop_disk(&self, node: &Node, order: &DropDisk) -> Result<(), Refusal> {
        node.heed(&order.order).await?;
        blueprint::check_uuid(&order.uuid)?;
        let _turn = self.at_work.lock().await;
        let of = order.uuid.clone();
        let Some(note) = aside(node, move |layout| note::read(layout, &of)).await? else { return Ok(()) };
        if let Some(vm) = note.taken_by {
            return Err(Refusal::DiskInUse { disk: order.uuid.clone(), vm });
        }
        tracing::info!(vm = %note.disk.vm, uuid = order.uuid, "a kept disk is deleted");
        let of = order.uuid.clone();
        let deleted = aside(node, move |layout| note::doom(layout, &of).and_then(|()| note::clear(layout))).await;
        // Whatever came of it, it is not there to be taken any more.
        self.look(node).await?;
        deleted
    }
}

/// Gives a disk's files the names of another server's, the lowest first, each made to stand on the new name of the one
/// below before it gets its own. Files that have their new names already are left as they are.
async fn renamed(node: &Node, uuid: &str, of: &str, note: &Note) -> Result<Stack, Refusal> {
    let refuse = |error: crate::hypervisor::Error| node.refuse(&error);
    let (from, to) = (of.to_owned(), uuid.to_owned());
    aside(node, move |layout| uefi::hand_over(layout, &from, &to)).await?;
    let (mut below, files) = (None, note.files());
    for index in &files {
        let (from, to) = (node.layout.layer(of, *index), node.layout.layer(uuid, *index));
        let there = from.clone();
        if aside(node, move |_| there.try_exists()).await? {
            if let Some(path) = below.take() {
                let backing = BackingFile { path, format: DiskFormat::Qcow2 };
                disk::stand_on(&from, &backing).await.map_err(refuse)?;
            }
            let to = to.clone();
            aside(node, move |layout| rename(&from, &to).and_then(|()| note::sync(layout))).await?;
        }
        below = Some(to);
    }
    let (of, mut stack) = (uuid.to_owned(), note.stack.clone());
    // Names of moments went with the server that had them.
    stack.marks.clear();
    aside(node, move |layout| {
        layout.layer(&of, stack.top).metadata()?;
        // Their headers name other files now: they are other files than those that were sent anywhere.
        for layer in &mut stack.layers {
            (layer.sha256, layer.size_bytes) = (None, layout.layer(&of, layer.index).metadata()?.len());
        }
        Ok(stack)
    })
    .await
}

/// Never in the place of another file.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    Ok(rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}
