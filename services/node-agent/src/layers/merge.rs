//! Merging frozen layers of a running server's disk, so that it never stands on many.
//!
//! ```text
//!  journal: merging ─▶ QEMU takes the newer ones into the layer it writes to ─▶ that is frozen, which writes it through
//!    ─▶ journal: the newer ones are to go ─▶ their files are deleted
//! ```
//!
//! No frozen file is changed. Until the layer that took them in is frozen all files are there, and the disk shows the
//! same on them: so what a crash leaves in the middle is gone on with where QEMU lives, and else taken back, by
//! writing into the header on what the layer stood before. QEMU writes that header before it has written through what
//! it copied. Where only the process ended nothing of either is lost, and the disk shows the same. After a power cut the
//! taking back brings again what had not been copied, but no more than that is sure: nothing keeps the layer's table
//! from reaching the disk before a cluster that it says was copied, unless the guest wrote through in between, and such
//! a cluster covers the one in the old layer.

use std::{path::PathBuf, time::Duration};

use tokio_util::sync::CancellationToken;
use watari_contracts::agent::{Layer, weight};
use watari_model::Refusal;

use super::keep;
use crate::{
    actor::Book,
    blueprint,
    facts::Urgency,
    hypervisor::{self, BackingFile, DiskFormat, disk, in_proportion},
    node::Node,
    record::Record,
};

/// So many frozen layers are merged no further.
const ENOUGH: usize = 4;
/// How often it is looked how far QEMU is.
const LOOK: Duration = Duration::from_millis(250);
/// How often QEMU may be seen with merged layers open and no job any more, before that has failed.
const MOST_IDLE: u32 = 40;
/// How long a merge may take: so many seconds, and one more for each so many bytes.
const PATIENCE: (u64, u64) = (600, 4 << 20);

const WANTED: &str = "merge layers of its disk";

/// How many of the lowest layers a snapshot needs as they are: those up to the highest of `bounds`.
#[must_use]
pub fn bound(layers: &[Layer], bounds: &[u32]) -> usize {
    layers.iter().rposition(|layer| bounds.contains(&layer.index)).map_or(0, |at| at + 1)
}

/// How many of the lowest layers stay when the others are merged, at least `bound`; none while there are few enough.
///
/// What is merged is sent to other nodes anew. So a layer stays if it weighs as much as all above it: large old
/// ones are sent once, and what is written each day is merged again and again only while it is little.
#[must_use]
pub fn staying(layers: &[Layer], bound: usize) -> Option<usize> {
    if layers.len() <= ENOUGH.max(bound) {
        return None;
    }
    let holds = |stay: &usize| {
        let Some((below, above)) = layers.split_at_checked(*stay) else { return false };
        below.last().is_none_or(|layer| layer.size_bytes >= weight(above))
    };
    (bound..ENOUGH).rev().find(holds).or(Some(bound))
}

/// What a layer stands on, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Under {
    /// The server's image.
    Image,
    /// Another layer of its disk.
    Layer(u32),
    /// Nothing that it should.
    Strange,
}

/// The layers that are older than the one that takes some of them in.
fn older(layers: &[Layer], into: u32) -> &[Layer] {
    let count = layers.iter().take_while(|layer| layer.index < into).count();
    layers.split_at_checked(count).map_or(layers, |(older, _)| older)
}

/// How many of the older layers are still under that one; none if nobody can say.
fn left(older: &[Layer], under: Under) -> Option<usize> {
    match under {
        Under::Image => Some(0),
        Under::Layer(index) => older.iter().position(|layer| layer.index == index).map(|at| at + 1),
        Under::Strange => None,
    }
}

/// The layers that there are once the merge counts, and the numbers of those that are to go.
fn merged(layers: &[Layer], into: u32, stay: usize) -> (Vec<Layer>, Vec<u32>) {
    let (gone, remain): (Vec<_>, Vec<_>) =
        layers.iter().enumerate().partition(|(at, layer)| *at >= stay && layer.index < into);
    let remain = remain.into_iter().map(|(_, layer)| layer.clone()).collect();
    (remain, gone.into_iter().map(|(_, layer)| layer.index).collect())
}

async fn under(node: &Node, record: &Record, into: u32) -> Result<Under, Refusal> {
    let path = node.layout.layer(&record.uuid, into);
    let info = disk::info(&path, DiskFormat::Qcow2).await.map_err(|error| node.refuse(&error))?;
    let Some(named) = info.backing else { return Ok(Under::Strange) };
    if let Some(index) = node.layout.layer_index(&record.uuid, &named) {
        return Ok(Under::Layer(index));
    }
    let image = record.server.as_ref().map(|server| blueprint::backing(node, &server.base).path);
    Ok(if image == Some(named) { Under::Image } else { Under::Strange })
}

/// Has QEMU take the newer layers into the one it writes to, if there are more than enough: all but the lowest `stay`.
/// The server runs and nobody else is at work with its domain; when `stop` comes the rest is left. What becomes of it
/// [`super::stack::settled`] says, also after a failure.
///
/// # Errors
/// libvirt's; QEMU does not do it, or not in time.
pub async fn pull(
    node: &Node,
    book: &Book,
    record: &Record,
    stay: usize,
    stop: &CancellationToken,
) -> Result<(), Refusal> {
    let layers = &record.stack.layers;
    let Some(server) = &record.server else { return Ok(()) };
    let file = |layer: &Layer| node.layout.layer(&record.uuid, layer.index);
    let onto = match stay.checked_sub(1).and_then(|at| layers.get(at)) {
        Some(layer) => file(layer),
        None => blueprint::backing(node, &server.base).path,
    };
    let gone: Vec<PathBuf> = layers.iter().skip(stay).map(file).collect();
    // What is sent of them now is not wanted any more.
    node.couriers.end(&record.uuid);
    let into = record.stack.top;
    book.amend(&record.uuid, Urgency::Whenever, |record| record.merging = Some(into)).await?;
    let begun = node.hypervisor.begin_pull(book.vm.as_str(), &onto, node.settings.layers.merge_mib_per_second).await;
    begun.map_err(|error| node.refuse(&error))?;
    let most = in_proportion(PATIENCE, weight(layers));
    tokio::select! {
        taken = tokio::time::timeout(most, taken_in(node, book, &record.uuid, &gone)) => {
            taken.unwrap_or_else(|_| Err(node.not_now(&book.vm, "not merged in time", WANTED)))
        }
        () = stop.cancelled() => Err(node.not_now(&book.vm, "wanted otherwise since", WANTED)),
    }
}

/// Returns when QEMU has none of these files open any more.
async fn taken_in(node: &Node, book: &Book, uuid: &str, gone: &[PathBuf]) -> Result<(), Refusal> {
    let refuse = |error: hypervisor::Error| node.refuse(&error);
    let mut idle = 0;
    while idle < MOST_IDLE {
        tokio::time::sleep(LOOK).await;
        if node.hypervisor.is_pulling(book.vm.as_str()).await.map_err(refuse)? {
            idle = 0;
            continue;
        }
        let process = node.hypervisor.process(book.vm.as_str(), uuid).await.map_err(refuse)?;
        let process = process.ok_or_else(|| node.not_now(&book.vm, "off", WANTED))?;
        let mut open = false;
        for file in gone {
            open |= process.has_open(file).await.map_err(refuse)?;
        }
        if !open {
            return Ok(());
        }
        idle += 1;
    }
    Err(node.not_now(&book.vm, "not merged by QEMU", WANTED))
}

/// The record after it is known what became of a merge that was begun: QEMU does nothing of it any more. One that came to
/// nothing, or whose process has ended before it counted, is taken back; after a power cut as far as that goes (see above).
///
/// # Errors
/// libvirt's, or the disk's; it is tried again with the next order.
pub(super) async fn judged(node: &Node, book: &Book, record: Record) -> Result<Record, Refusal> {
    let Some(into) = record.merging else { return Ok(record) };
    let refuse = |error: hypervisor::Error| node.refuse(&error);
    let (name, uuid) = (book.vm.as_str(), &record.uuid);
    let lives = node.hypervisor.process(name, uuid).await.map_err(refuse)?.is_some();
    if lives {
        node.hypervisor.end_pull(name).await.map_err(refuse)?;
    }
    let older = older(&record.stack.layers, into);
    let untouched = left(older, under(node, &record, into).await?) == Some(older.len());
    if lives && !untouched {
        return Ok(record);
    }
    if let Some(below) = older.last().filter(|_| !untouched) {
        let backing = BackingFile { path: node.layout.layer(uuid, below.index), format: DiskFormat::Qcow2 };
        disk::stand_on(&node.layout.layer(uuid, into), &backing).await.map_err(refuse)?;
        tracing::warn!(vm = %book.vm, "its server ended before a merge of layers counted; it is taken back");
    }
    book.amend(&record.uuid, Urgency::Whenever, |record| record.merging = None).await
}

/// The record after a merge counts, if it does: the layer that took the others in is frozen, QEMU has none of those
/// open, and a power cut changes nothing of it. What does not hold yet is looked at with the next order.
pub(super) async fn finished(node: &Node, book: &Book, record: Record) -> Record {
    match finish(node, book, &record).await {
        Ok(Some(record)) => record,
        Ok(None) => record,
        Err(refusal) => {
            tracing::warn!(vm = %book.vm, %refusal, "a merge of layers is not finished; it is tried again");
            book.record(&record.uuid).await.unwrap_or(record)
        }
    }
}

async fn finish(node: &Node, book: &Book, record: &Record) -> Result<Option<Record>, Refusal> {
    let refuse = |error: hypervisor::Error| node.refuse(&error);
    let (uuid, layers) = (&record.uuid, &record.stack.layers);
    let Some(into) = record.merging.filter(|into| *into < record.stack.top) else {
        return swept(node, book, record).await;
    };
    let older = older(layers, into);
    let left = left(older, under(node, record, into).await?);
    let (Some(stay), Some(process)) = (
        left.filter(|left| *left < older.len()),
        node.hypervisor.process(book.vm.as_str(), uuid).await.map_err(refuse)?,
    ) else {
        return Ok(None);
    };
    let frozen = node.layout.layer(uuid, into);
    let (remain, gone) = merged(layers, into, stay);
    let mut busy = process.writes_to(&frozen).await.map_err(refuse)?;
    for index in &gone {
        busy |= process.has_open(&node.layout.layer(uuid, *index)).await.map_err(refuse)?;
    }
    if busy {
        return Ok(None);
    }
    disk::write_through(&frozen).await.map_err(refuse)?;
    tracing::info!(vm = %book.vm, ?gone, ?into, "layers of its disk are merged");
    let counts = |record: &mut Record| {
        record.stack.layers = remain;
        record.dropped.extend(gone);
        record.merging = None;
    };
    let record = book.amend(uuid, Urgency::Soon, counts).await?;
    Ok(Some(swept(node, book, &record).await?.unwrap_or(record)))
}

/// Deletes the files of layers that nothing stands on any more; none if there are none.
async fn swept(node: &Node, book: &Book, record: &Record) -> Result<Option<Record>, Refusal> {
    if record.dropped.is_empty() {
        return Ok(None);
    }
    node.couriers.end(&record.uuid);
    let in_use =
        |index: &u32| *index == record.stack.top || record.stack.layers.iter().any(|layer| layer.index == *index);
    let gone: Vec<u32> = record.dropped.iter().copied().filter(|index| !in_use(index)).collect();
    let of = record.uuid.clone();
    keep::aside(node, move |layout| keep::delete(layout, &of, &gone)).await?;
    book.amend(&record.uuid, Urgency::Whenever, |record| record.dropped.clear()).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(sizes: &[u64]) -> Vec<Layer> {
        let layer = |(index, size): (u32, &u64)| Layer { index, sha256: None, size_bytes: *size };
        (0..).zip(sizes).map(layer).collect()
    }

    fn indices(layers: &[Layer]) -> Vec<u32> {
        layers.iter().map(|layer| layer.index).collect()
    }

    #[test]
    fn few_layers_are_left_as_they_are_and_of_many_the_heavy_ones_below() {
        let stay = |sizes: &[u64]| staying(&layers(sizes), 0);
        assert_eq!(stay(&[]), None);
        assert_eq!(stay(&[300, 20, 10, 5]), None);
        assert_eq!(stay(&[300, 20, 10, 5, 2]), Some(3), "only the two that weigh no more than the one below");
        assert_eq!(stay(&[300, 20, 10, 9, 2]), Some(1), "nothing above the first is heavy enough");
        assert_eq!(stay(&[10, 300, 20, 30, 5]), Some(2), "what is light below a heavy one stays with it");
        assert_eq!(stay(&[5, 5, 5, 5, 5]), Some(0));
        assert_eq!(stay(&[u64::MAX, u64::MAX, 1, 1, 1]), Some(2), "sizes that cannot be added up");
    }

    #[test]
    fn whatever_there_was_there_are_few_afterwards_and_at_least_two_have_become_one() {
        for seed in 0_u64..500 {
            let size = |at: u64| seed.wrapping_mul(6_364_136_223_846_793_005).rotate_left((at * 7) as u32) % 1_000;
            let count = 5 + seed % 4;
            let before = layers(&(0..count).map(size).collect::<Vec<_>>());
            let stay = staying(&before, 0).unwrap();
            assert!(stay < ENOUGH && before.len() - stay >= 2, "{before:?}");
            assert!(stay == 0 || before[stay - 1].size_bytes >= weight(&before[stay..]), "{before:?}");
        }
    }

    #[test]
    fn what_a_snapshot_reaches_to_is_never_merged_with_what_came_later() {
        let stay = |sizes: &[u64], bounds: &[u32]| {
            let layers = layers(sizes);
            staying(&layers, bound(&layers, bounds))
        };
        let even = [5, 5, 5, 5, 5];
        assert_eq!(stay(&even, &[2]), Some(3), "without it all would be merged");
        assert_eq!(stay(&[300, 20, 10, 5, 2], &[1]), Some(3), "what stays anyway stays");
        assert_eq!(stay(&even, &[0, 3]), Some(4), "a single one is merged with what is written now");
        assert_eq!(stay(&even, &[4]), None, "nothing is above it");
        assert_eq!(stay(&[5; 6], &[4]), Some(5));
        assert_eq!(stay(&even, &[77]), Some(0), "of a layer that is not there");
    }

    #[test]
    fn there_is_room_for_as_many_snapshots_as_there_may_be_and_for_freezing_beside_them() {
        use watari_model::vm::MOST_SNAPSHOTS;

        use crate::layers::stack::{MOST_LAYERS, MOST_UNDER_SNAPSHOT};
        /// A merge, if one is due, and the layer that is written to.
        fn freeze(disk: &mut Vec<Layer>, bounds: &[u32]) -> u32 {
            let stay = staying(disk, bound(disk, bounds)).unwrap_or(disk.len());
            let next = disk.last().map_or(0, |layer| layer.index + 1);
            disk.truncate(stay);
            disk.push(Layer { index: next, sha256: None, size_bytes: 5 });
            next
        }
        for before in 0..12 {
            for between in 0..12 {
                let (mut disk, mut bounds) = (Vec::new(), Vec::new());
                for _ in 0..before {
                    freeze(&mut disk, &bounds);
                }
                for _ in 0..MOST_SNAPSHOTS {
                    let merges = staying(&disk, bound(&disk, &bounds)).is_some();
                    assert!(merges || disk.len() < MOST_UNDER_SNAPSHOT, "{before} {between} {disk:?} {bounds:?}");
                    let taken = freeze(&mut disk, &bounds);
                    bounds.push(taken);
                    for _ in 0..between {
                        freeze(&mut disk, &bounds);
                    }
                    assert!(disk.len() <= MOST_LAYERS, "{before} {between} {disk:?} {bounds:?}");
                }
                assert!(bounds.iter().all(|taken| disk.iter().any(|layer| layer.index == *taken)), "{disk:?}");
            }
        }
    }

    #[test]
    fn what_a_merge_came_to_is_read_from_the_header_and_nothing_is_dropped_that_is_stood_on() {
        let mut all = layers(&[9, 3, 2, 1, 1]);
        assert_eq!(left(older(&all, 5), Under::Layer(4)), Some(5), "nothing has become of it");
        assert_eq!(left(older(&all, 5), Under::Layer(0)), Some(1));
        assert_eq!(left(older(&all, 5), Under::Image), Some(0));
        assert_eq!(left(older(&all, 5), Under::Layer(7)), None);
        assert_eq!(left(older(&all, 5), Under::Strange), None);

        all.push(Layer { index: 5, sha256: None, size_bytes: 7 });
        assert_eq!(older(&all, 5).len(), 5, "the layer that took them in is none of them");
        let (remain, gone) = merged(&all, 5, 1);
        assert_eq!((indices(&remain), gone), (vec![0, 5], vec![1, 2, 3, 4]));
        let (remain, gone) = merged(&all, 5, 0);
        assert_eq!((indices(&remain), gone), (vec![5], vec![0, 1, 2, 3, 4]));
    }
}
