//! Prepare to receive a server: room, image, an empty disk of the same name, DHCP.
//!
//! A disk that stands on frozen layers finds them here: they were sent ahead. The empty disk is the layer
//! that the source writes to, under the same number, so that nothing but that layer travels.

use watari_contracts::agent::{Domain, Layer, Phase, Receive};
use watari_model::{Refusal, size::GIB};

use super::{cx::Cx, remove::delete};
use crate::{
    facts::Urgency,
    hypervisor::disk,
    layers::{keep, stack},
    layout::Layout,
    record::{Crossing, Disk, Record, Side},
    room::Need,
};

const WANTED: &str = "receive";

pub(super) async fn run(cx: &Cx, order: &Receive) -> Result<(), Refusal> {
    let outcome = prepare(cx, order).await;
    if outcome.is_err() {
        cx.node.room.release(&order.server.uuid);
    }
    cx.book.look().await;
    outcome
}

async fn prepare(cx: &Cx, order: &Receive) -> Result<(), Refusal> {
    let (server, uuid) = (&order.server, &order.server.uuid);
    match cx.look(WANTED).await? {
        Domain::Absent => {}
        other => return Err(cx.not_now(other, WANTED)),
    }
    cx.check_display(server).await?;
    let begun = |phase| Crossing::new(order.migration.clone(), Side::Target, order.from.clone(), phase);
    cx.book.amend(uuid, Urgency::Soon, |record| record.passage = Some(begun(Phase::Preparing))).await?;
    present(cx, order).await?;
    // What lies here is missing from the free room already, and what is written on top may be all of the disk once more.
    let need = Need { memory_mib: server.memory_mib, disk_gib: server.disk_gib };
    // No room is made by dropping what is needed next.
    let _here = cx.node.images.hold(&server.base);
    cx.node.claim(&server.name, uuid, need).await?;
    // Until its disk stands on it.
    let _base = cx.unless_superseded(WANTED, cx.node.images.ensure(&server.base)).await?;
    make_way(cx, order).await?;
    let under = stack::under(&cx.node, server, &order.stack);
    let backing = under.first().ok_or_else(|| Refusal::Internal { detail: "a disk without an image".to_owned() })?;
    let path = cx.node.layout.layer(uuid, order.stack.top);
    let made = disk::create_overlay(&path, backing, server.disk_gib.saturating_mul(GIB)).await;
    made.map_err(|error| cx.refuse(&error))?;
    cx.write_seed(server).await?;
    // What lies here of an earlier stay is worth as little as the old copy of the disk.
    delete(&cx.node.layout.variables(uuid)).await?;
    // Its console's log as well: what it wrote since comes with it from where it is.
    delete(&cx.node.layout.console(uuid)).await?;
    delete(&cx.node.layout.console_before(uuid)).await?;
    cx.provide_variables(server).await?;
    cx.checkpoint(WANTED)?;
    cx.book.amend(uuid, Urgency::Whenever, |record| record.wired = true).await?;
    cx.unless_superseded(WANTED, cx.node.plumbing.expect(server)).await?;
    cx.node.plumbing.connect(server).await?;
    cx.book.amend(uuid, Urgency::Now, |record| record.passage = Some(begun(Phase::Prepared))).await.map(drop)
}

/// Whether every frozen layer is here: kept, or in its place since an earlier try.
async fn present(cx: &Cx, order: &Receive) -> Result<(), Refusal> {
    let (record, uuid) = (cx.record().await?, &order.server.uuid);
    let numbers: Vec<u32> = order.stack.layers.iter().map(|layer| layer.index).collect();
    if !numbers.is_sorted_by(|one, next| one < next) || numbers.last().is_some_and(|last| *last >= order.stack.top) {
        return Err(Refusal::Malformed { detail: format!("layers {numbers:?} under layer {}", order.stack.top) });
    }
    let here = |layer: &Layer| in_place(cx, &record, layer) || keep::has(&cx.node.layout, uuid, layer);
    if order.stack.is_named() && order.stack.layers.iter().all(here) {
        return Ok(());
    }
    Err(Refusal::LayersMissing { vm: cx.book.vm.to_string(), node: cx.node.name.to_string() })
}

/// Whether the journal knows a layer as one that an earlier migration brought here, and it is there.
fn in_place(cx: &Cx, record: &Record, layer: &Layer) -> bool {
    let known = matches!(record.disk, Disk::Copy { .. }) && record.stack.layers.contains(layer);
    known && cx.node.layout.layer(&record.uuid, layer.index).exists()
}

/// Takes an old copy out of the way, if the journal knows that it is one: what an earlier
/// migration did not finish, or left here. Anything else may be the server's only disk. Then puts the
/// frozen layers into their places.
async fn make_way(cx: &Cx, order: &Receive) -> Result<(), Refusal> {
    let (record, uuid, layout) = (cx.record().await?, &order.server.uuid, &cx.node.layout);
    let wanted = || order.stack.layers.iter().map(|layer| layer.index).chain([order.stack.top]);
    let known: Vec<u32> = match &record.disk {
        Disk::None | Disk::Making => Vec::new(),
        _ => record.files(),
    };
    let strange = wanted().any(|index| !known.contains(&index) && layout.layer(uuid, index).exists());
    let worthless = match record.disk {
        Disk::None | Disk::Making => true,
        Disk::Copy { generation, .. } => generation <= order.generation,
        Disk::Leftover { generation } => generation < order.generation,
        Disk::Whole => false,
    };
    if strange || !worthless {
        return Err(cx.node.not_now(&cx.book.vm, "absent, but a disk of it is in the way", WANTED));
    }
    // What the files are from now on is written down before they are touched.
    let copy = Disk::Copy { migration: order.migration.clone(), generation: order.generation };
    let stays = |layer: &Layer| in_place(cx, &record, layer) && order.stack.layers.contains(layer);
    let stay: Vec<u32> = record.stack.layers.iter().filter(|layer| stays(layer)).map(|layer| layer.index).collect();
    cx.book.amend(uuid, Urgency::Whenever, |record| record.disk = copy).await?;
    for index in known.into_iter().chain(wanted()).filter(|index| !stay.contains(index)) {
        delete(&layout.layer(uuid, index)).await?;
    }
    let prepared = |record: &mut Record| {
        record.clear_layers();
        record.stack = order.stack.clone();
    };
    cx.book.amend(uuid, Urgency::Whenever, prepared).await?;
    let come: Vec<Layer> = order.stack.layers.iter().filter(|layer| !stay.contains(&layer.index)).cloned().collect();
    let of = uuid.clone();
    let brought = move |layout: &Layout| {
        come.iter().try_for_each(|layer| keep::bring_in(layout, &of, layer))?;
        keep::forget(layout, &of)
    };
    keep::aside(&cx.node, brought).await?;
    keep::tell(&cx.node).await;
    Ok(())
}
