//! Stop a server with its memory saved on this node's disk.
//!
//! Nothing of it needs the guest's help. It is not overtaken: half of a memory is of no use to anybody.

use watari_contracts::agent::{Domain, OffReason};
use watari_model::Refusal;

use super::cx::Cx;
use crate::hypervisor::{Kind, save};

const WANTED: &str = "suspend";
/// What must be left on the disk beside the memory, in MiB.
const SPARE_MIB: u64 = 256;

pub(super) async fn run(cx: &Cx) -> Result<(), Refusal> {
    let outcome = keep(cx).await;
    cx.book.look().await;
    outcome
}

async fn keep(cx: &Cx) -> Result<(), Refusal> {
    match cx.look(WANTED).await? {
        // Done before, as far as can be: what is off without its memory has none any more.
        Domain::Absent | Domain::Off(_) => return Ok(()),
        Domain::Running => {}
        other => return Err(cx.not_now(other, WANTED)),
    }
    enough_room(cx).await?;
    match cx.node.hypervisor.save(cx.name()).await {
        // The answer was lost, or it went off by itself meanwhile: what is seen decides.
        Err(error) if error.outcome_unknown() || error.kind() == Kind::InvalidState => {}
        outcome => return outcome.map_err(|error| cx.refuse(&error)),
    }
    match cx.look(WANTED).await? {
        Domain::Off(OffReason::Saved | OffReason::Shutdown) => Ok(()),
        other => Err(cx.not_now(other, WANTED)),
    }
}

/// The file is as large as the memory, at the most.
async fn enough_room(cx: &Cx) -> Result<(), Refusal> {
    let memory_mib = cx.record().await?.server.map_or(0, |server| server.memory_mib);
    let needed_mib = memory_mib.saturating_add(SPARE_MIB);
    match save::room_for_saves().await {
        Some(free) if free >> 20 < needed_mib => {
            let detail = format!("{} MiB are free where memory is saved, and {needed_mib} MiB are needed", free >> 20);
            Err(Refusal::DiskFull { node: cx.node.name.to_string(), detail })
        }
        _ => Ok(()),
    }
}
