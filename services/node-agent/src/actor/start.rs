//! Start a server under a grant to this node.
//!
//! ```text
//! room ─▶ base image ─▶ disk, UEFI variables (made, or there) ─▶ cards and DHCP ─▶ define ─▶ start ─▶ seen running
//!     └─▶ before its first start: does a stranger have its address? ─┘
//! ```

use std::{path::Path, time::Duration};

use watari_contracts::agent::{DiskUse, Domain, OffReason, Start};
use watari_model::{Refusal, size::GIB};

use super::{cx::Cx, from_copy};
use crate::{
    blueprint,
    facts::Urgency,
    hypervisor::{self, DiskFormat, Kind, StartMode, disk},
    layers::stack,
    record::Disk,
    room::Need,
};

const WANTED: &str = "start";

pub(super) async fn run(cx: &Cx, order: &Start) -> Result<(), Refusal> {
    let saved = match cx.look(WANTED).await? {
        Domain::Running => return confirm(cx, order).await,
        Domain::Absent => false,
        Domain::Off(reason) => reason == OffReason::Saved,
        other => return Err(cx.not_now(other, WANTED)),
    };
    let mut outcome = make(cx, order, saved).await;
    if saved && outcome.is_ok() {
        // It goes on with the definition that was saved with its memory, and so with the grant of that time.
        outcome = confirm(cx, order).await;
    }
    if outcome.is_err() {
        cx.node.room.release(&order.server.uuid);
    }
    // Whatever happened, tell what is there now.
    cx.book.look().await;
    outcome
}

async fn make(cx: &Cx, order: &Start, saved: bool) -> Result<(), Refusal> {
    let server = &order.server;
    cx.check_display(server).await?;
    // The disk grows as the server writes; what is reserved for it is the scheduler's account.
    let need = Need { memory_mib: server.memory_mib, disk_gib: 0 };
    // No room is made by dropping what is needed next.
    let _here = cx.node.images.hold(&server.base);
    cx.node.claim(&server.name, &server.uuid, need).await?;
    // Side by side, since neither needs the other. A disk that is being made is not left half done for a stranger's sake.
    let (prepared, asked) = tokio::join!(prepare(cx, order), ask_for_strangers(cx, order));
    prepared?;
    asked?;
    cx.checkpoint(WANTED)?;
    let record = cx.book.amend(&server.uuid, Urgency::Whenever, |record| record.wired = true).await?;
    let nics = cx.node.plumbing.connect(server).await?;
    let spec = blueprint::domain(&cx.node, server, &record.stack, nics, record.seen.granted);
    cx.node.hypervisor.define(&spec).await.map_err(|error| refuse(cx, &error))?;
    cx.checkpoint(WANTED)?;
    let hypervisor = &cx.node.hypervisor;
    cx.may_run(server, WANTED).await?;
    let started = if saved {
        let place = cx.unless_superseded(WANTED, async { Ok(hypervisor.place(0).await) }).await?;
        cx.may_run(server, WANTED).await?;
        hypervisor.start_saved(cx.name(), place).await
    } else {
        hypervisor.start(cx.name(), StartMode::Running).await
    };
    match started {
        // It runs already, or the answer was lost: what is seen decides.
        Err(error) if error.kind() == Kind::InvalidState || error.outcome_unknown() => {}
        outcome => outcome.map_err(|error| refuse(cx, &error))?,
    }
    seen_running(cx).await?;
    // A public address is answered only while the server's cards are there, and they are now.
    let node = cx.node.clone();
    tokio::spawn(async move { node.plumbing.publish().await });
    Ok(())
}

/// An address that the server has never used may be somebody else's. One that it has is its own, whoever says otherwise.
async fn ask_for_strangers(cx: &Cx, order: &Start) -> Result<(), Refusal> {
    match order.disk {
        DiskUse::MayCreate => cx.node.plumbing.ask_for_strangers(&order.server).await,
        DiskUse::Existing => Ok(()),
    }
}

/// Everything that its domain stands on.
async fn prepare(cx: &Cx, order: &Start) -> Result<(), Refusal> {
    let server = &order.server;
    // Until its disk stands on it.
    let _base = cx.unless_superseded(WANTED, cx.node.images.ensure(&server.base)).await?;
    if let Some(of) = &order.kept {
        cx.node.kept.take(&cx.node, &cx.book, &server.uuid, of).await?;
    }
    if let Some(copy) = &order.copy {
        from_copy::provide(cx, server, copy).await?;
    }
    let record = stack::settled(&cx.node, &cx.book, &server.uuid).await?;
    cx.provide_variables(server).await?;
    ensure_disk(cx, order).await?;
    stack::verify(&cx.node, &cx.book, &record).await?;
    cx.write_seed(server).await
}

fn refuse(cx: &Cx, error: &hypervisor::Error) -> Refusal {
    match error.kind() {
        Kind::Exists => cx.node.not_now(&cx.book.vm, "in the way of one of another UUID", WANTED),
        _ => cx.refuse(error),
    }
}

/// It runs already, under an older grant whose news was lost: the new one is recorded.
async fn confirm(cx: &Cx, order: &Start) -> Result<(), Refusal> {
    let grant = hypervisor::Grant { owner: cx.node.name.to_string(), generation: order.grant.generation };
    cx.node.hypervisor.set_grant(cx.name(), &grant).await.map_err(|error| cx.refuse(&error))
}

/// The disk is the server's own, or a new one if it may be. A copy that never became whole, or
/// what was left when the server went elsewhere, is not its disk.
async fn ensure_disk(cx: &Cx, order: &Start) -> Result<(), Refusal> {
    let server = &order.server;
    let path = stack::top(&cx.node.layout, &cx.record().await?);
    let exists = tokio::fs::try_exists(&path)
        .await
        .map_err(|error| Refusal::Internal { detail: format!("{}: {error}", path.display()) })?;
    let lost = |state: &str| Refusal::VmState {
        vm: server.name.to_string(),
        state: format!("{state} on node {}", cx.node.name),
        wanted: WANTED.to_owned(),
    };
    match (cx.record().await?.disk, exists, order.disk) {
        (Disk::Whole, true, _) => return grow(cx, &path, server.disk_gib).await,
        (Disk::Whole, false, _) | (Disk::None, false, DiskUse::Existing) => return Err(lost("without its disk")),
        (Disk::Copy { .. }, ..) => return Err(lost("only a migration's unfinished copy")),
        (Disk::Leftover { .. }, ..) => return Err(lost("only an old copy left by a migration")),
        (Disk::None, true, _) => return Err(lost("beside a disk file that the agent's journal does not know")),
        (Disk::Making, false, DiskUse::Existing) => return Err(lost("without its disk")),
        // Made, perhaps, when it was to be smaller.
        (Disk::Making, true, _) => grow(cx, &path, server.disk_gib).await?,
        (Disk::None | Disk::Making, false, DiskUse::MayCreate) => {
            cx.book.amend(&server.uuid, Urgency::Whenever, |record| record.disk = Disk::Making).await?;
            let backing = blueprint::backing(&cx.node, &server.base);
            let made = disk::create_overlay(&path, &backing, server.disk_gib.saturating_mul(GIB)).await;
            made.map_err(|error| cx.refuse(&error))?;
        }
    }
    cx.book.amend(&server.uuid, Urgency::Whenever, |record| record.disk = Disk::Whole).await.map(drop)
}

/// A disk that is smaller than it is to be grows; one that is larger stays as it is.
async fn grow(cx: &Cx, path: &Path, disk_gib: u64) -> Result<(), Refusal> {
    let wanted = disk_gib.saturating_mul(GIB);
    let is = disk::info(path, DiskFormat::Qcow2).await.map_err(|error| cx.refuse(&error))?.virtual_bytes;
    if is < wanted {
        disk::grow(path, wanted).await.map_err(|error| cx.refuse(&error))?;
    }
    Ok(())
}

/// Success is being seen running, not a call's result.
async fn seen_running(cx: &Cx) -> Result<(), Refusal> {
    let bound = Duration::from_secs(cx.node.settings.bounds.start_seconds);
    let mut events = cx.node.hypervisor.events();
    let wait = async {
        loop {
            match cx.book.look().await.domain {
                Domain::Running => return Ok(()),
                domain @ (Domain::Off(_) | Domain::Absent) => return Err(cx.not_now(domain, "go on running")),
                _ => {}
            }
            // Any event is a reason to look again, and so is a while without one.
            let _ = tokio::time::timeout(Duration::from_millis(250), events.recv()).await;
        }
    };
    tokio::time::timeout(bound, wait).await.unwrap_or_else(|_| Err(cx.not_now(Domain::Unknown, "be seen running")))
}
