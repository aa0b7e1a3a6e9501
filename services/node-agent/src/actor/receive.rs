//! Prepare to receive a server: room, image, an empty disk of the same name, DHCP.

use watari_contracts::agent::{Domain, Phase, Receive};
use watari_model::{Refusal, size::GIB};

use super::{cx::Cx, remove::delete};
use crate::{
    blueprint,
    facts::Urgency,
    hypervisor::disk,
    record::{Crossing, Disk, Side},
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
    let begun = |phase| Crossing::new(order.migration.clone(), Side::Target, order.from.clone(), phase);
    cx.book.amend(uuid, Urgency::Soon, |record| record.passage = Some(begun(Phase::Preparing))).await?;
    let need = Need { memory_mib: server.memory_mib, disk_gib: server.disk_gib };
    cx.node.room.claim(&server.name, uuid, need).await?;
    cx.unless_superseded(WANTED, cx.node.images.ensure(&server.base)).await?;
    make_way(cx, order).await?;
    let backing = blueprint::backing(&cx.node, &server.base);
    let made = disk::create_overlay(&cx.node.layout.disk(uuid), &backing, server.disk_gib.saturating_mul(GIB)).await;
    made.map_err(|error| cx.refuse(&error))?;
    cx.write_seed(server).await?;
    cx.checkpoint(WANTED)?;
    cx.book.amend(uuid, Urgency::Whenever, |record| record.wired = true).await?;
    cx.unless_superseded(WANTED, cx.node.plumbing.expect(server)).await?;
    cx.node.plumbing.connect(server).await?;
    cx.book.amend(uuid, Urgency::Now, |record| record.passage = Some(begun(Phase::Prepared))).await.map(drop)
}

/// Takes an old copy out of the way, if the journal knows that it is one: what an earlier
/// migration did not finish, or left here. Anything else may be the server's only disk.
async fn make_way(cx: &Cx, order: &Receive) -> Result<(), Refusal> {
    let uuid = &order.server.uuid;
    let path = cx.node.layout.disk(uuid);
    let exists = tokio::fs::try_exists(&path)
        .await
        .map_err(|error| Refusal::Internal { detail: format!("{}: {error}", path.display()) })?;
    let worthless = match cx.record().await?.disk {
        Disk::None | Disk::Making => !exists,
        Disk::Copy { generation, .. } => generation <= order.generation,
        Disk::Leftover { generation } => generation < order.generation,
        Disk::Whole => false,
    };
    if !worthless {
        return Err(cx.node.not_now(&cx.book.vm, "absent, but a disk of it is in the way", WANTED));
    }
    // What the file is from now on is written down before it is touched.
    let copy = Disk::Copy { migration: order.migration.clone(), generation: order.generation };
    cx.book.amend(uuid, Urgency::Whenever, |record| record.disk = copy).await?;
    delete(&path).await
}
