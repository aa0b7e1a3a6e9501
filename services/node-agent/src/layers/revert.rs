//! Putting the disk of a server that is off back to what it was on all layers up to one.
//!
//! ```text
//!  journal: reverting ─▶ empty overlay on that layer ─▶ UEFI variables ─▶ journal: the overlay is what is written to,
//!    all above are to go ─▶ their files are deleted
//! ```
//!
//! No frozen file is changed, and none is deleted before the journal says that it is to go. So what a crash leaves in
//! the middle is taken back by deleting the overlay, which nobody has ever written to; and after the journal's second
//! write it is done. The variables, once put back, stay so: who asked goes on asking, and lets nobody start the server
//! before it is done.

use watari_contracts::agent::{Layer, Stack};
use watari_model::Refusal;

use super::{keep, merge, stack};
use crate::{
    actor::Book,
    facts::Urgency,
    hypervisor::{self, BackingFile, DiskFormat, disk},
    node::Node,
    record::Record,
    uefi,
};

/// What the disk is made of after it has gone back, and the numbers of the layers that are to go; none if it does not
/// stand on that layer. A number is never given twice: other nodes may keep what had it.
fn back(stack: &Stack, layer: u32) -> Option<(Stack, Vec<u32>)> {
    let at = stack.layers.iter().position(|frozen| frozen.index == layer)?;
    let (stay, gone) = stack.layers.split_at_checked(at + 1)?;
    let gone: Vec<u32> = gone.iter().map(|frozen| frozen.index).chain([stack.top]).collect();
    let marks = stack.marks.iter().filter(|mark| mark.layer <= layer).copied().collect();
    let layers: Vec<Layer> = stay.to_vec();
    Some((Stack { layers, top: stack.top.saturating_add(1), marks }, gone))
}

/// Puts the disk back. No process of the server lives and nobody else is at work with its disk; nothing of an earlier
/// operation is left in the middle of it ([`stack::settled`]).
///
/// # Errors
/// [`Refusal::SnapshotLayerMissing`]; a layer below is not what the journal says; the disk's own. The disk is as it was
/// then.
pub async fn put_back(node: &Node, book: &Book, record: &Record, layer: u32) -> Result<Record, Refusal> {
    let refuse = |error: hypervisor::Error| node.refuse(&error);
    let missing = || Refusal::SnapshotLayerMissing { vm: book.vm.to_string(), node: node.name.to_string() };
    let (then, gone) = back(&record.stack, layer).ok_or_else(missing)?;
    stack::verify(node, book, record).await?;
    let now = disk::info(&stack::top(&node.layout, record), DiskFormat::Qcow2).await.map_err(refuse)?;
    let next = stack::free(node, book, record).await?;
    book.amend(&record.uuid, Urgency::Whenever, |record| record.reverting = Some(layer)).await?;
    let backing = BackingFile { path: node.layout.layer(&record.uuid, layer), format: DiskFormat::Qcow2 };
    // It may have grown since, and never shrinks.
    disk::create_overlay(&next, &backing, now.virtual_bytes).await.map_err(refuse)?;
    let (of, from, name) = (record.uuid.clone(), backing.path, node.name.to_string());
    keep::aside(node, move |layout| uefi::put_back(layout, &of, &from).map_err(|error| uefi::refusal(&name, &error)))
        .await?;
    tracing::info!(vm = %book.vm, layer, ?gone, "its disk goes back");
    let done = |record: &mut Record| {
        record.stack = then;
        record.dropped.extend(gone);
        record.reverting = None;
    };
    let record = book.amend(&record.uuid, Urgency::Soon, done).await?;
    Ok(merge::finished(node, book, record).await)
}

/// The record of a server whose disk is not on its way back any more: what was made for that goes.
///
/// # Errors
/// The file cannot be deleted.
pub(super) async fn taken_back(node: &Node, book: &Book, record: Record) -> Result<Record, Refusal> {
    if record.reverting.is_none() {
        return Ok(record);
    }
    let (of, next) = (record.uuid.clone(), record.stack.top.saturating_add(1));
    keep::aside(node, move |layout| keep::delete(layout, &of, &[next])).await?;
    book.amend(&record.uuid, Urgency::Whenever, |record| record.reverting = None).await
}

#[cfg(test)]
mod tests {
    use watari_chassis::clock;
    use watari_contracts::agent::Mark;
    use watari_model::image::Consistency;

    use super::*;

    #[test]
    fn what_is_above_goes_with_its_marks_and_no_number_is_given_twice() {
        let layer = |index| Layer { index, sha256: None, size_bytes: 4 };
        let at = clock::now();
        let mark = |number, layer| Mark { number, layer, at, consistency: Consistency::Crash };
        let stack = Stack { layers: [0, 2, 5].map(layer).to_vec(), top: 6, marks: vec![mark(1, 2), mark(2, 5)] };
        let (then, gone) = back(&stack, 2).unwrap();
        assert_eq!(then, Stack { layers: [0, 2].map(layer).to_vec(), top: 7, marks: vec![mark(1, 2)] });
        assert_eq!(gone, [5, 6]);
        let (then, gone) = back(&stack, 5).unwrap();
        assert_eq!((then.layers.len(), then.marks.len(), gone), (3, 2, vec![6]));
        assert_eq!(back(&stack, 1), None, "it was merged with what came later");
        assert_eq!(back(&stack, 6), None, "what is written to is no moment");
    }
}
