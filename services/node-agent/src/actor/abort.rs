//! Break off the sending of a server. Done when no job of it runs any more; whether the server
//! stayed or left is what both agents report.

use std::time::Duration;

use watari_contracts::agent::{Abort, Progress};
use watari_model::Refusal;

use super::{breaking_off::BreakingOff, cx::Cx};
use crate::{
    hypervisor::{JobKind, JobPurpose, Kind},
    record::Side,
};

/// How long to wait between two attempts: in the switch-over libvirt takes none.
const AGAIN: Duration = Duration::from_millis(500);
/// After which the sender of the order is asked to repeat it.
const BOUND: Duration = Duration::from_secs(60);

pub(super) async fn run(cx: &Cx, order: &Abort) -> Result<(), Refusal> {
    let sends = match &cx.uuid {
        Some(uuid) => cx.book.record(uuid).await.and_then(|record| record.passage),
        None => None,
    };
    // Another migration's job is not ours to break off.
    let ours = sends.is_some_and(|p| p.migration == order.migration && p.side == Side::Source);
    if !ours && cx.sending.is_none() {
        return Ok(());
    }
    tokio::time::timeout(BOUND, until_idle(cx))
        .await
        .unwrap_or_else(|_| Err(cx.node.not_now(&cx.book.vm, "still being sent", "break the sending off")))
}

async fn until_idle(cx: &Cx) -> Result<(), Refusal> {
    let (mut sending, mut breaking_off) = (cx.sending.clone(), BreakingOff::default());
    loop {
        let over = match &mut sending {
            Some(progress) => *progress.borrow() != Progress::Working,
            None => true,
        };
        match cx.node.hypervisor.job_stats(cx.name()).await {
            Ok(stats) if stats.kind == JobKind::Running && stats.purpose != JobPurpose::Backup => {
                if let Err(error) = breaking_off.ask(&cx.node, &cx.book).await {
                    tracing::info!(vm = %cx.book.vm, %error, "the sending cannot be broken off now; trying again");
                }
                breaking_off.insist(&cx.node, &cx.book).await;
            }
            Ok(_) if over => return Ok(()),
            // What is off has no job: its QEMU may have died in the middle.
            Err(error) if over && matches!(error.kind(), Kind::NoDomain | Kind::InvalidState) => return Ok(()),
            _ => {}
        }
        match &mut sending {
            // A closed channel is an operation that is over.
            Some(progress) => drop(tokio::time::timeout(AGAIN, progress.wait_for(|p| *p != Progress::Working)).await),
            None => tokio::time::sleep(AGAIN).await,
        }
    }
}
