//! Stop a server with its memory saved on this node's disk.
//!
//! Nothing of it needs the guest's help. Only who wants the server off or gone overtakes it: half of a memory is of no
//! use to anybody, and what is broken off lets the server run on.

use std::time::Duration;

use watari_contracts::agent::{Domain, OffReason};
use watari_model::Refusal;

use super::cx::Cx;
use crate::{
    hypervisor::{self, Kind, save},
    layers::stack,
};

const WANTED: &str = "suspend";
/// What must be left on the disk beside the memory, in MiB.
const SPARE_MIB: u64 = 256;
/// How long to wait for others' memories, which the same disk takes. Whoever has no time for that has the server shut
/// down instead.
const QUEUE: Duration = Duration::from_secs(900);
/// How long a save that is broken off may take to end. It does in moments, unless QEMU hangs.
const GRACE: Duration = Duration::from_secs(5);

pub(super) async fn run(cx: &Cx) -> Result<(), Refusal> {
    let outcome = keep(cx).await;
    cx.book.look().await;
    outcome
}

async fn keep(cx: &Cx) -> Result<(), Refusal> {
    if !runs(cx).await? {
        return Ok(());
    }
    let uuid = cx.uuid(WANTED)?;
    // The saved memory comes with the files that QEMU has open: it would go on writing into what is taken for frozen.
    let record = cx.unless_superseded(WANTED, stack::settled(&cx.node, &cx.book, uuid)).await?;
    let memory_mib = record.server.map_or(0, |server| server.memory_mib);
    let place = cx.unless_superseded(WANTED, place(cx, memory_mib)).await?;
    // That may have taken long.
    if !runs(cx).await? {
        return Ok(());
    }
    enough_room(cx, &place).await?;
    cx.checkpoint(WANTED)?;
    match saved(cx, place).await? {
        // The answer was lost, or it went off by itself meanwhile: what is seen decides.
        Err(error) if error.outcome_unknown() || error.kind() == Kind::InvalidState => {}
        outcome => return outcome.map_err(|error| cx.refuse(&error)),
    }
    match cx.look(WANTED).await? {
        Domain::Off(OffReason::Saved | OffReason::Shutdown) => Ok(()),
        other => Err(cx.not_now(other, WANTED)),
    }
}

/// Whether there is a memory to save. What is off without it has none any more: that is done, as far as can be.
async fn runs(cx: &Cx) -> Result<bool, Refusal> {
    match cx.look(WANTED).await? {
        Domain::Absent | Domain::Off(_) => Ok(false),
        Domain::Running => Ok(true),
        other => Err(cx.not_now(other, WANTED)),
    }
}

async fn place(cx: &Cx, memory_mib: u64) -> Result<save::Place, Refusal> {
    let place = tokio::time::timeout(QUEUE, cx.node.hypervisor.place(memory_mib)).await;
    place.map_err(|_| cx.node.not_now(&cx.book.vm, "behind others whose memory takes long to save", WANTED))
}

/// The file is as large as the memory, at the most.
async fn enough_room(cx: &Cx, place: &save::Place) -> Result<(), Refusal> {
    let needed_mib = place.needed_mib().saturating_add(SPARE_MIB);
    match save::room_for_saves().await {
        Some(free) if free >> 20 < needed_mib => {
            let detail = format!("{} MiB are free where memory is saved, and {needed_mib} MiB are needed", free >> 20);
            Err(Refusal::DiskFull { node: cx.node.name.to_string(), detail })
        }
        _ => Ok(()),
    }
}

/// What became of the save, unless another order has overtaken it. One that takes too long is broken off.
async fn saved(cx: &Cx, place: save::Place) -> Result<hypervisor::Result<()>, Refusal> {
    let save = cx.node.hypervisor.save(cx.name(), place);
    tokio::pin!(save);
    tokio::select! {
        outcome = &mut save => {
            if outcome.as_ref().is_err_and(|error| error.kind() == Kind::Timeout) {
                break_off(cx, std::future::ready(())).await;
            }
            Ok(outcome)
        }
        () = cx.superseded.cancelled() => {
            break_off(cx, async { drop((&mut save).await) }).await;
            Err(cx.overtaken(WANTED))
        }
    }
}

/// Has libvirt end the save, after which the guest runs on, and waits for a moment until it is at its end.
async fn break_off(cx: &Cx, end: impl Future<Output = ()>) {
    let ended = async {
        if let Err(error) = cx.node.hypervisor.abort_job(cx.name()).await {
            tracing::warn!(vm = %cx.book.vm, %error, "the saving of its memory is not broken off");
        }
        end.await;
    };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!(vm = %cx.book.vm, "the saving of its memory does not end");
    }
}
