//! Send a server to another node, where it arrives paused.
//!
//! The call's result is a hint. What is told is when the source's process is dead (at once, since
//! the server stands still until somebody acts on it), and that the call is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};
use tokio_util::task::AbortOnDropHandle;
use watari_contracts::agent::{Domain, Phase, Send, Transfer};
use watari_model::{MigrationId, Refusal, Said, size::GIB};

use super::{
    Book, answers, breaking_off::BreakingOff, cx::Cx, grow::disk_bytes, headway::Headway, standstill::Standstill,
};
use crate::{
    facts::Urgency,
    hypervisor::{Change, Event, JobKind, JobStats, Migration, Persist, QemuProcess, Suspend},
    layers::stack,
    node::Node,
    record::{Crossing, Record, Side},
};

const WANTED: &str = "send";
/// By how much auto-converge slows a guest at first, and then each time, in percent.
const SLOW_DOWN: (u8, u8) = (20, 10);
/// How long a source that has migrated may take to end.
const SOURCE_ENDS: Duration = Duration::from_secs(5);

pub(super) async fn run(cx: &Cx, order: &Send) -> Result<(), Refusal> {
    let uuid = cx.uuid(WANTED)?;
    let (address, target_uri) = (checked(&order.address)?, target_uri(&order.address)?);
    match cx.look(WANTED).await? {
        Domain::Running => {}
        other => return Err(cx.not_now(other, WANTED)),
    }
    // The target has made the layer that is written to, and has what that stands on: no other will do.
    let record = stack::settled(&cx.node, &cx.book, uuid).await?;
    if record.stack.top != order.top {
        return Err(cx.node.not_now(
            &cx.book.vm,
            "on another layer of its disk than the target is prepared for",
            WANTED,
        ));
    }
    if let Some(gib) = order.disk_gib
        && disk_bytes(cx, &record).await? > gib.saturating_mul(GIB)
    {
        return Err(cx.node.not_now(&cx.book.vm, "on a larger disk than the target is prepared for", WANTED));
    }
    let process = cx.node.hypervisor.process(cx.name(), uuid).await.map_err(|error| cx.refuse(&error))?;
    let process = process.ok_or_else(|| cx.not_now(Domain::Absent, WANTED))?;
    let begun = Crossing::new(order.migration.clone(), Side::Source, order.to.clone(), Phase::Copying);
    let record = cx.book.amend(uuid, Urgency::Soon, |record| record.passage = Some(begun)).await?;
    answers::ask(&cx.node, &cx.book, &record);
    let some = |value: u64| (value > 0).then_some(value);
    let migration = Migration {
        name: cx.name().to_owned(),
        target_uri,
        migration_address: address.to_owned(),
        bandwidth_mib_s: some(order.bandwidth_mib),
        max_downtime_ms: some(order.downtime_ms),
        auto_converge: cx.node.settings.migration.auto_converge.then_some(SLOW_DOWN),
        parallel_connections: cx.node.settings.migration.parallel(),
        persist: Persist::AfterResume,
    };
    if let Err(overtaken) = cx.checkpoint(WANTED) {
        // Nothing travels, and nobody else would say so.
        end(cx, uuid, &order.migration, Some(overtaken.to_string()), None).await?;
        return Err(overtaken);
    }
    let call = cx.node.hypervisor.migrate(migration);
    follow(cx, uuid, order, process, call).await
}

/// How libvirt at a node's address for migrations is reached.
///
/// # Errors
/// [`Refusal::OutOfRange`] if it is no address.
pub(crate) fn target_uri(address: &str) -> Result<String, Refusal> {
    checked(address).map(|address| format!("qemu+tls://{}/system", bracketed(address)))
}

/// The address becomes a part of a URI.
fn checked(address: &str) -> Result<&str, Refusal> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':');
    if !address.is_empty() && address.len() <= 253 && address.bytes().all(sound) {
        return Ok(address);
    }
    Err(Refusal::OutOfRange {
        field: "address".to_owned(),
        value: address.chars().take(80).collect(),
        allowed: Said::new("a host name or an address", "ホスト名かアドレス"),
    })
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// Watches a sending to its end, whoever began it.
async fn follow(
    cx: &Cx,
    uuid: &str,
    order: &Send,
    process: QemuProcess,
    call: impl Future<Output = crate::hypervisor::Result<()>>,
) -> Result<(), Refusal> {
    let migration = &order.migration;
    let mut events = cx.node.hypervisor.events();
    let broken_off = Arc::new(AtomicBool::new(false));
    let figures = figures(cx, Standstill::of(order), Arc::clone(&broken_off));
    let mut dead = false;
    // Cheap until the switch-over, exact from then on.
    let mut stopping = false;
    let outcome = {
        tokio::pin!(call);
        loop {
            let end = async { if stopping { process.ended().await } else { process.exited().await } };
            tokio::select! {
                // The death first: it is what others wait for.
                biased;
                ended = end, if !dead => {
                    if let Err(error) = ended {
                        tracing::error!(vm = %cx.book.vm, %error, "the source's process cannot be watched");
                    } else {
                        cx.book.departed(uuid).await;
                    }
                    dead = true;
                }
                event = events.recv() => match event {
                    Ok(Event::Domain { name, change: Change::Suspended(Suspend::Migrated) }) if name == cx.name() => {
                        stopping = true;
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break Ok(()),
                },
                outcome = &mut call => break outcome,
            }
        }
    };
    drop(figures);
    let complaint = outcome.as_ref().err().map(|error| cx.refuse(error).to_string());
    if let Some(complaint) = &complaint {
        tracing::warn!(vm = %cx.book.vm, %migration, complaint, "libvirt complains of a migration");
    }
    // By libvirt's word it has left; the process must follow.
    let left = outcome.is_ok() && !dead && cx.book.look().await.domain != Domain::Running;
    if left && tokio::time::timeout(SOURCE_ENDS, process.ended()).await.is_ok() {
        cx.book.departed(uuid).await;
    }
    // Whoever has left all the same has not stood still.
    let has_stalled = broken_off.load(Ordering::Relaxed) && !dead && !left;
    let stalled_seconds = has_stalled.then_some(cx.node.settings.migration.stall_seconds);
    let record = end(cx, uuid, migration, complaint, stalled_seconds).await?;
    if dead || left {
        final_figures(cx, uuid).await?;
    } else if cx.book.sight().await.domain == Domain::Running {
        // Once its copy was whole, QEMU at the other node said that it is there.
        cx.announce(&record);
    }
    Ok(())
}

/// Tells the figures of the whole. They are forgotten with the server's release, which waits for this.
async fn final_figures(cx: &Cx, uuid: &str) -> Result<(), Refusal> {
    match cx.node.hypervisor.departure_stats(cx.name()).await {
        Ok(Some(stats)) => {
            cx.book.transferred(transfer(&stats)).await;
            cx.book.amend(uuid, Urgency::Now, |_| {}).await?;
            cx.node.facts.told().await;
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(vm = %cx.book.vm, %error, "the migration's final figures are not known"),
    }
    Ok(())
}

/// The call is over, however it ended.
async fn end(
    cx: &Cx,
    uuid: &str,
    migration: &MigrationId,
    complaint: Option<String>,
    stalled_seconds: Option<u64>,
) -> Result<Record, Refusal> {
    let ended = |record: &mut Record| {
        if let Some(passage) = record.passage.as_mut().filter(|p| p.migration == *migration) {
            passage.phase = Phase::Ended;
            passage.complaint = complaint;
            passage.stalled_seconds = stalled_seconds;
        }
    };
    // Looked at first, so that what is told with the end is how it is after it.
    cx.book.look().await;
    cx.book.amend(uuid, Urgency::Now, ended).await
}

/// Reads the figures from time to time, plans for a longer pause if they ask for it, and breaks a copy off that does not
/// get ahead, on a task of its own: during the switch-over libvirt answers only when it is over, and nothing may wait for that.
fn figures(cx: &Cx, mut standstill: Standstill, broken_off: Arc<AtomicBool>) -> AbortOnDropHandle<()> {
    let (node, book) = (cx.node.clone(), cx.book.clone());
    let every = Duration::from_millis(node.settings.migration.poll_ms);
    let mut headway = Headway::new(node.settings.migration.stall_looks());
    let mut breaking_off = BreakingOff::default();
    let task: JoinHandle<()> = tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            if let Ok(stats) = node.hypervisor.job_stats(book.vm.as_str()).await
                && stats.kind == JobKind::Running
            {
                book.transferred(transfer(&stats)).await;
                if headway.has_stalled(&stats) && break_off(&node, &book, &mut breaking_off).await {
                    broken_off.store(true, Ordering::Relaxed);
                }
                breaking_off.insist(&node, &book).await;
                if let Some(ms) = standstill.longer(&stats)
                    && plan_for(&node, &book, ms).await
                {
                    standstill.planned(ms);
                }
            }
        }
    });
    AbortOnDropHandle::new(task)
}

/// Has libvirt break the copy off. Whether it does: in the switch-over it takes no such word, and is asked again later.
async fn break_off(node: &Node, book: &Book, breaking_off: &mut BreakingOff) -> bool {
    let (vm, outcome) = (&book.vm, breaking_off.ask(node, book).await);
    match &outcome {
        Ok(()) => tracing::warn!(%vm, "nothing of its copy gets across any more: it is broken off"),
        Err(error) => tracing::warn!(%vm, %error, "its copy stands still and cannot be broken off now"),
    }
    outcome.is_ok()
}

/// Has QEMU plan for a longer pause. Whether it does.
async fn plan_for(node: &Node, book: &Book, ms: u64) -> bool {
    let (vm, outcome) = (&book.vm, node.hypervisor.set_migration_downtime(book.vm.as_str(), ms).await);
    match &outcome {
        Ok(()) => tracing::info!(%vm, ms, "its memory never gets across while it runs: it stands still for the rest"),
        Err(error) => tracing::warn!(%vm, ms, %error, "libvirt does not plan for a longer pause"),
    }
    outcome.is_ok()
}

fn transfer(stats: &JobStats) -> Transfer {
    Transfer {
        memory_total: stats.memory_total_bytes,
        memory_sent: stats.memory_processed_bytes,
        memory_left: stats.memory_remaining_bytes,
        disk_total: stats.disk_total_bytes,
        disk_sent: stats.disk_processed_bytes,
        disk_left: stats.disk_remaining_bytes,
        dirty_rate: stats.dirty_pages_per_s.saturating_mul(stats.page_bytes),
        rate: stats.memory_bytes_per_s,
        elapsed_ms: stats.elapsed_ms,
        downtime_ms: stats.downtime_net_ms.unwrap_or(stats.downtime_ms),
    }
}

/// After the agent's restart: libvirtd goes on with the sending by itself. It is watched to its
/// end and never begun again.
pub(super) async fn reattach(cx: &Cx, order: &Send) -> Result<(), Refusal> {
    let uuid = cx.uuid(WANTED)?;
    let ours = cx.record().await?.passage.is_some_and(|p| p.migration == order.migration && p.side == Side::Source);
    if !ours {
        // Taken, but not begun.
        return Err(cx.node.not_now(&cx.book.vm, "there, but the agent was restarted before it could", WANTED));
    }
    cx.node.hypervisor.ready().await;
    let process = cx.node.hypervisor.process(cx.name(), uuid).await.map_err(|error| cx.refuse(&error))?;
    let Some(process) = process else {
        cx.book.departed(uuid).await;
        end(cx, uuid, &order.migration, None, None).await?;
        return final_figures(cx, uuid).await;
    };
    let every = Duration::from_millis(cx.node.settings.migration.poll_ms);
    answers::ask(&cx.node, &cx.book, &cx.record().await?);
    let over = async {
        // Twice in a row, since libvirt has no job between the phases of a migration.
        let mut idle = 0;
        while idle < 2 {
            tokio::time::sleep(every).await;
            match cx.node.hypervisor.job_stats(cx.name()).await {
                Ok(stats) if stats.kind == JobKind::Running => idle = 0,
                Ok(_) => idle += 1,
                Err(error) if error.is_retryable() => idle = 0,
                Err(_) => idle += 1,
            }
        }
        Ok(())
    };
    follow(cx, uuid, order, process, over).await
}
