//! Making the copy itself: of a disk that a domain writes to through libvirt, of one that nobody has open
//! through qemu-img.

use std::{os::unix::fs::MetadataExt, path::Path, time::Duration};

use tokio::sync::broadcast::{self, error::RecvError};
use watari_chassis::clock;
use watari_contracts::saving::Stage;
use watari_model::{
    Refusal, VmName,
    image::{Consistency, Taken},
    size::GIB,
};

use super::job::Job;
use crate::{
    hypervisor::{self, Change, Event, Frozen, JobKind, JobPurpose, Kind, copy, inventory},
    node::Node,
};

/// How often it is looked how far a copy is.
const LOOK: Duration = Duration::from_millis(500);
/// How long a guest's file systems hold still at most while libvirt begins.
const STILL: Duration = Duration::from_secs(5);
/// Between two attempts to end a copy, or to thaw file systems.
const AGAIN: Duration = Duration::from_millis(200);
/// After which a copy that does not end is left to the next one.
const ENDS: Duration = Duration::from_secs(15);
/// Attempts to thaw file systems that are frozen: a guest that stays frozen is worse than anything.
const THAWS: u32 = 50;
/// Less than this on the disk and a copy that failed has filled it.
const FULL: u64 = GIB / 16;

/// Copies the disk of a running domain, which goes on.
pub(super) async fn of_running(job: &Job) -> Result<Taken, Refusal> {
    let (hypervisor, name) = (&job.node.hypervisor, job.order.vm.as_str());
    // What an earlier copy may have left.
    end(&job.node, &job.order.vm).await?;
    hypervisor.forget_job(name).await.map_err(|error| job.refuse(&error))?;
    let mut events = hypervisor.events();
    let taken = match begun(job).await {
        Ok(taken) => taken,
        Err(refusal) => return ended_badly(job, refusal).await,
    };
    match follow(job, &mut events).await {
        Ok(()) => let_go(job).await.map(|()| taken),
        Err(refusal) => ended_badly(job, refusal).await,
    }
}

/// libvirt tells of the end before QEMU has closed the copy, and QEMU writes to it then.
async fn let_go(job: &Job) -> Result<(), Refusal> {
    let path = job.path();
    let until_closed = async {
        while let Some(qemu) = job.node.hypervisor.process(job.order.vm.as_str(), &job.order.uuid).await?
            && qemu.has_open(&path).await?
        {
            tokio::time::sleep(AGAIN).await;
        }
        Ok::<_, hypervisor::Error>(())
    };
    match tokio::time::timeout(ENDS, until_closed).await {
        Ok(closed) => closed.map_err(|error| job.refuse(&error)),
        Err(_) => Err(job.not_now("still being copied")),
    }
}

/// libvirt must have let go of the disk before anybody is told.
async fn ended_badly(job: &Job, refusal: Refusal) -> Result<Taken, Refusal> {
    if let Err(error) = end(&job.node, &job.order.vm).await {
        tracing::warn!(vm = %job.order.vm, %error, "the copy of a disk does not end");
    }
    Err(refusal)
}

/// Begins the copy while the guest's file systems hold still, if they can be made to.
async fn begun(job: &Job) -> Result<Taken, Refusal> {
    let (hypervisor, name, path) = (&job.node.hypervisor, job.order.vm.as_str(), job.path());
    let frozen = hypervisor.freeze(name, job.node.settings.saving.freeze_seconds).await;
    let at = clock::now();
    let begin = hypervisor.begin_backup(name, &path);
    tokio::pin!(begin);
    let in_time = tokio::time::timeout(STILL, &mut begin).await;
    thaw(&job.node, &job.order.vm, frozen).await;
    let (outcome, frozen) = match in_time {
        Ok(outcome) => (outcome, frozen),
        // It begins when the guest writes again.
        Err(_) => (begin.await, Frozen::No),
    };
    outcome.map_err(|error| job.refuse(&error))?;
    let consistency = if frozen == Frozen::Yes { Consistency::Filesystem } else { Consistency::Crash };
    Ok(Taken { at, consistency })
}

/// Thaws what was or may have been frozen.
async fn thaw(node: &Node, vm: &VmName, frozen: Frozen) {
    let tries = match frozen {
        Frozen::No => return,
        Frozen::Perhaps => 1,
        Frozen::Yes => THAWS,
    };
    for _ in 0..tries {
        match node.hypervisor.thaw(vm.as_str()).await {
            Ok(()) => return,
            Err(error) if matches!(error.kind(), Kind::NoDomain | Kind::InvalidState) => return,
            Err(error) => tracing::debug!(%vm, %error, "the guest's file systems are not thawed"),
        }
        tokio::time::sleep(AGAIN).await;
    }
    if frozen == Frozen::Yes {
        tracing::error!(%vm, "the guest's file systems may still be frozen: virsh domfsthaw {vm}");
    }
}

/// Watches the copy to its end.
async fn follow(job: &Job, events: &mut broadcast::Receiver<Event>) -> Result<(), Refusal> {
    let name = job.order.vm.as_str();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = job.save.aside.cancelled() => return Err(job.overtaken()),
            event = events.recv() => match event {
                Ok(Event::JobCompleted { name: of, stats }) if of == name && stats.purpose == JobPurpose::Backup => {
                    if let Some(ended) = ended(job, stats.kind).await {
                        return ended;
                    }
                }
                Ok(Event::Domain { name: of, change: Change::Stopped(_) }) if of == name => {
                    return Err(job.not_now("off since"));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                // The sender lives as long as the hypervisor does; the tick goes on without it.
                Err(RecvError::Closed) => tokio::time::sleep(LOOK).await,
            },
            _ = tick.tick() => if let Some(ended) = look(job).await {
                return ended;
            },
        }
    }
}

/// Asks how far the copy is. None while it goes on, or while libvirt does not say.
async fn look(job: &Job) -> Option<Result<(), Refusal>> {
    let bound = job.node.settings.bounds.libvirt_answer();
    let asked = tokio::time::timeout(bound, job.node.hypervisor.job_stats(job.order.vm.as_str())).await;
    match asked {
        Ok(Ok(stats)) if stats.purpose == JobPurpose::Backup => {
            if stats.kind == JobKind::Running {
                let (copied_bytes, total_bytes) = (stats.disk_processed_bytes, stats.disk_total_bytes);
                job.save.tell(Stage::Copying { copied_bytes, total_bytes });
            }
            ended(job, stats.kind).await
        }
        Ok(Ok(_)) => Some(Err(job.not_now("no longer being copied, and nobody knows how that ended, so"))),
        Ok(Err(error)) if error.is_retryable() => None,
        Ok(Err(error)) => Some(Err(job.refuse(&error))),
        Err(_) => None,
    }
}

/// What the end of the job comes to; none if it has not ended.
async fn ended(job: &Job, kind: JobKind) -> Option<Result<(), Refusal>> {
    match kind {
        JobKind::Running | JobKind::None => None,
        JobKind::Completed => Some(Ok(())),
        JobKind::Cancelled => Some(Err(job.overtaken())),
        JobKind::Failed => Some(Err(failed(job).await)),
    }
}

/// libvirt's figures do not say why a copy failed; a full disk shows.
async fn failed(job: &Job) -> Refusal {
    let node = job.node.name.to_string();
    match inventory::disk_space(&job.node.layout.saves()).await {
        Ok((_, free)) if free < FULL => {
            Refusal::DiskFull { node, detail: format!("{} MiB are left beside the copy", free >> 20) }
        }
        _ => Refusal::Hypervisor { node, detail: "QEMU could not copy the disk".to_owned() },
    }
}

/// Ends the copying of a domain's disk, if there is any. Another job is left alone.
///
/// # Errors
/// It does not end, or libvirt does not say.
pub(super) async fn end(node: &Node, vm: &VmName) -> Result<(), Refusal> {
    let until_idle = async {
        loop {
            match node.hypervisor.job_stats(vm.as_str()).await {
                Ok(stats) if stats.kind == JobKind::Running && stats.purpose == JobPurpose::Backup => {
                    if let Err(error) = node.hypervisor.abort_job(vm.as_str()).await {
                        tracing::debug!(%vm, %error, "the copy cannot be ended now; trying again");
                    }
                }
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.kind(), Kind::NoDomain | Kind::InvalidState) => return Ok(()),
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(node.refuse(&error)),
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let late = || node.not_now(vm, "still being copied", "be left alone");
    tokio::time::timeout(ENDS, until_idle).await.unwrap_or_else(|_| Err(late()))
}

/// Copies a disk that nobody has open, into at most so many bytes.
pub(super) async fn of_stopped(
    job: &Job,
    consistency: Consistency,
    total_bytes: u64,
    most_bytes: u64,
) -> Result<Taken, Refusal> {
    let (path, at) = (job.path(), clock::now());
    let copying = copy::copy(&job.volume, &path, most_bytes, &job.save.aside);
    tokio::pin!(copying);
    let mut tick = tokio::time::interval(LOOK);
    let outcome = loop {
        tokio::select! {
            outcome = &mut copying => break outcome,
            _ = tick.tick() => {
                let copied_bytes = occupied(&path).await.min(total_bytes);
                job.save.tell(Stage::Copying { copied_bytes, total_bytes });
            }
        }
    };
    match outcome.map_err(|error| job.refuse(&error))? {
        copy::Copied::Whole => Ok(Taken { at, consistency }),
        copy::Copied::Stopped => Err(job.overtaken()),
    }
}

/// What a file occupies, in bytes.
async fn occupied(path: &Path) -> u64 {
    tokio::fs::metadata(path).await.map_or(0, |meta| meta.blocks().saturating_mul(512))
}
