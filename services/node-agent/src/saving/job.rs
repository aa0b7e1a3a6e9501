//! The work of one copy: made, named by its contents, sent, and cleared away.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use tokio_util::task::AbortOnDropHandle;
use watari_contracts::saving::{DiskCopy, SaveDisk, Server, Stage};
use watari_model::{Refusal, image::Taken, size::GIB};

use super::{Save, Source, WANTED, copying, sweep};
use crate::{
    hypervisor::{self, DiskFormat, Kind, Volume, copy, disk},
    images::{Pace, Unsent, digest},
    layout::Layout,
    node::Node,
    uefi,
};

/// Before a further attempt to send.
const AGAIN: Duration = Duration::from_secs(2);

/// One copy's work.
pub(super) struct Job {
    pub(super) node: Arc<Node>,
    pub(super) save: Arc<Save>,
    pub(super) order: SaveDisk,
    pub(super) source: Source,
    /// The layer of the disk that is written to, and what it stands on.
    pub(super) volume: Volume,
}

impl Job {
    /// Does it to its end, whatever that is; afterwards nothing of it is left here.
    pub(super) async fn run(self) {
        let job = Arc::new(self);
        let settings = &job.node.settings.saving;
        let silence = Duration::from_secs(settings.silence_seconds);
        let most = Duration::from_secs(settings.most_hours.saturating_mul(3_600));
        let minding = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&job.save).mind(silence, most)));
        let working = Arc::clone(&job);
        // One that panicked has failed, and is cleared away all the same.
        let outcome = tokio::spawn(async move { working.carry_out().await }).await;
        let outcome = outcome.unwrap_or_else(|error| Err(Refusal::Internal { detail: error.to_string() }));
        drop(minding);
        job.clear().await;
        let (vm, image) = (&job.order.vm, &job.order.image);
        let code = outcome.as_ref().map_or_else(Refusal::code, |_| "ok");
        job.node.counts.operations.with_label_values(&["save", code]).inc();
        job.save.tell(match outcome {
            Ok(()) => {
                tracing::info!(%vm, %image, "the copy of a disk is at the front end");
                Stage::Sent
            }
            Err(refusal) => {
                tracing::warn!(%vm, %image, code, %refusal, "the copy of a disk came to nothing");
                Stage::Failed(refusal)
            }
        });
    }

    async fn carry_out(&self) -> Result<(), Refusal> {
        let taken = self.copied().await?;
        self.save.has_read();
        self.node.room.arrived(&self.claim());
        let copy = self.named(taken).await?;
        tracing::info!(vm = %self.order.vm, size_bytes = copy.size_bytes, ?taken, "the copy of a disk is whole");
        self.save.tell(Stage::Whole(copy.clone()));
        self.sent(&copy).await
    }

    /// What the room is claimed under.
    fn claim(&self) -> String {
        format!("save-{}", self.order.uuid)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.node.layout.save(&self.order.uuid)
    }

    pub(super) fn refuse(&self, error: &hypervisor::Error) -> Refusal {
        self.node.refuse(error)
    }

    pub(super) fn not_now(&self, state: &str) -> Refusal {
        self.node.not_now(&self.order.vm, state, WANTED)
    }

    /// Something else is more urgent, or nobody wants this any more.
    pub(super) fn overtaken(&self) -> Refusal {
        self.not_now("wanted otherwise since")
    }

    async fn copied(&self) -> Result<Taken, Refusal> {
        sweep::mark(&self.node, &self.order.vm, &self.order.uuid).await?;
        let total_bytes = self.measured().await?;
        // What it takes is an estimate, since the guest may go on writing.
        let room = total_bytes.saturating_add(total_bytes / 8).div_ceil(GIB);
        self.node.claim_copy(&self.order.vm, &self.claim(), room).await?;
        self.save.tell(Stage::Copying { copied_bytes: 0, total_bytes });
        // As they are when the copy begins: the disk is copied as it was then, and that may take hours.
        let uuid = self.order.uuid.clone();
        let variables = self.beside(move |layout| uefi::of(layout, &uuid)).await?;
        let taken = match self.source {
            Source::Running => copying::of_running(self).await,
            Source::Stopped(consistency) => {
                copying::of_stopped(self, consistency, total_bytes, room.saturating_mul(GIB)).await
            }
        }?;
        if let Some(variables) = variables {
            let path = self.path();
            self.beside(move |_| uefi::append(&path, &variables)).await?;
        }
        Ok(taken)
    }

    /// Does with its UEFI variables what waits for the disk.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let layout = self.node.layout.clone();
        let done = tokio::task::spawn_blocking(move || work(&layout)).await;
        let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        done.map_err(|error| uefi::refusal(self.node.name.as_str(), &error))
    }

    /// How many bytes the copy takes; the whole disk's size if QEMU does not say.
    async fn measured(&self) -> Result<u64, Refusal> {
        match copy::measure(&self.volume).await {
            Ok(bytes) => return Ok(bytes),
            // Of one that runs QEMU copies what it has open, and may be merging layers of it meanwhile.
            Err(error) if error.kind() == Kind::Untrusted && matches!(self.source, Source::Stopped(_)) => {
                return Err(self.refuse(&error));
            }
            Err(error) => tracing::debug!(vm = %self.order.vm, %error, "the disk is not measured"),
        }
        let info = disk::info(&self.volume.path, DiskFormat::Qcow2).await;
        info.map(|info| info.virtual_bytes).map_err(|error| self.refuse(&error))
    }

    async fn named(&self, taken: Taken) -> Result<DiskCopy, Refusal> {
        let (path, stop) = (self.path(), self.save.stop.clone());
        let reading = move || Ok::<_, io::Error>((fs::metadata(&path)?.len(), digest(&path, &stop)?));
        let unreadable = |detail: String| Refusal::Internal { detail: format!("a copy cannot be read: {detail}") };
        let read = tokio::task::spawn_blocking(reading).await.map_err(|error| unreadable(error.to_string()))?;
        let (size_bytes, sha256) = read.map_err(|error| unreadable(error.to_string()))?;
        let sha256 = sha256.ok_or_else(|| self.overtaken())?;
        let server = match self.source {
            Source::Running => Server::Running,
            Source::Stopped(_) => Server::Stopped,
        };
        Ok(DiskCopy { size_bytes, sha256, taken, server })
    }

    /// Sends it, as soon as it is known where to, and again where it broke off.
    async fn sent(&self, copy: &DiskCopy) -> Result<(), Refusal> {
        let settings = &self.node.settings.saving;
        let pace = Pace {
            piece: Duration::from_secs(settings.piece_seconds),
            bytes_per_second: settings.mib_per_second << 20,
        };
        let (path, mut send_to) = (self.path(), self.save.send_to());
        let sending = async {
            loop {
                let place = send_to.borrow_and_update().clone();
                let outcome = match &place {
                    Some(place) => self.node.images.send(&path, copy.size_bytes, place, pace).await,
                    // It comes with a later order.
                    None => Err(Unsent::Ticket),
                };
                match outcome {
                    Ok(()) => return Ok(()),
                    Err(Unsent::Unwanted(said)) => {
                        return Err(self.not_now(&format!("saved, but its copy is not wanted any more ({said})")));
                    }
                    Err(unsent) => tracing::debug!(vm = %self.order.vm, %unsent, "the copy is still to be sent"),
                }
                // The next order may say where else; if it does not, the same place is tried again.
                let _ = tokio::time::timeout(AGAIN, send_to.changed()).await;
            }
        };
        tokio::select! {
            outcome = sending => outcome,
            () = self.save.stop.cancelled() => Err(self.overtaken()),
        }
    }

    /// Nothing of it is left here afterwards.
    async fn clear(&self) {
        if self.save.is_reading()
            && let Err(refusal) = copying::end(&self.node, &self.order.vm).await
        {
            tracing::warn!(vm = %self.order.vm, %refusal, "a copy goes on though nobody wants it; the next one ends it");
        }
        sweep::remove(&self.node, &self.order.uuid).await;
        self.node.room.release(&self.claim());
        self.save.has_read();
    }
}
