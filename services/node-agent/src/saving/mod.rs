//! Copies of servers' disks for the image service, one a server at a time, beside the servers' actors.
//!
//! ```text
//!  asked ──▶ at rest? ──▶ copying ──▶ digest ──▶ whole ──▶ sent
//!              │ not now    │ │                   │
//!              ▼            │ └─ failed ──────────┴──▶ failed: nothing of it is left
//!           waiting         └─ an order wants the disk, or nobody asks for it any more
//! ```
//!
//! A copy is never in the way. What has to do with the server itself comes first: an order that needs
//! the disk, or the domain's one job, ends the copying and keeps it from beginning again ([`Way`]). The
//! image service asks again, of the node that has the server by then.
//!
//! Nothing of this is in the journal: what an agent left behind is known by its files, and is cleared
//! away by the next one (`sweep`).

mod copying;
mod job;
mod save;
mod sweep;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use watari_chassis::clock;
use watari_contracts::{
    agent::{Domain, OffReason, Phase},
    saving::{DiskSaving, SaveDisk, Stage},
};
use watari_model::{Refusal, admission::heed, image::Consistency};

use crate::{actor::Book, blueprint, hypervisor::Volume, layers::stack, node::Node, record::Side};
use job::Job;
use save::{Access, Save};

/// How long an order waits for a copy to let go of the disk.
const MAKES_WAY: Duration = Duration::from_secs(20);
/// How long the end of a copy is remembered when nobody asks for it.
const FORGOTTEN_MS: u64 = 600_000;

/// What an order asks for, in refusals.
const WANTED: &str = "be saved as an image";

/// The copies of this node; clones share them.
#[derive(Clone)]
pub struct Saves {
    desk: Arc<Mutex<Desk>>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Desk {
    /// The highest of the image service's own epochs. It need not outlive the agent: an order of an
    /// overtaken front end costs a copy, which that front end does not take.
    epoch: u64,
    /// By the servers' UUIDs.
    seats: HashMap<String, Seat>,
}

/// What is known of one server.
#[derive(Default)]
struct Seat {
    save: Option<Arc<Save>>,
    /// Orders that want the disk for themselves.
    ways: usize,
}

/// The server's disk is not copied while this is held.
pub struct Way {
    saves: Saves,
    uuid: String,
}

impl Drop for Way {
    fn drop(&mut self) {
        let mut desk = self.saves.desk();
        let Some(seat) = desk.seats.get_mut(&self.uuid) else { return };
        seat.ways = seat.ways.saturating_sub(1);
        if seat.ways == 0 && seat.save.is_none() {
            desk.seats.remove(&self.uuid);
        }
    }
}

/// The disk that is to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A running domain's.
    Running,
    /// One that nobody has open, and what is in it.
    Stopped(Consistency),
}

impl Saves {
    /// None yet; at most so many at the same time.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self { desk: Arc::default(), places: Arc::new(Semaphore::new(at_once)) }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a copy, or says how far it is.
    ///
    /// # Errors
    /// The order is refused, and nothing was done. A copy that failed is no error but an answer.
    pub async fn save(
        &self,
        node: &Arc<Node>,
        book: Option<Arc<Book>>,
        order: SaveDisk,
    ) -> Result<DiskSaving, Refusal> {
        blueprint::check_uuid(&order.uuid)?;
        let stage = match (self.known(&order)?, book) {
            (Some(stage), _) => stage,
            (None, Some(book)) => self.begin(node, &book, order).await,
            (None, None) => Stage::Failed(node.not_now(&order.vm, "absent", WANTED)),
        };
        Ok(DiskSaving { stage })
    }

    /// What is to be answered without beginning anything.
    fn known(&self, order: &SaveDisk) -> Result<Option<Stage>, Refusal> {
        let mut desk = self.desk();
        desk.epoch = heed(desk.epoch, order.epoch)?;
        let Some(save) = desk.seats.get(&order.uuid).and_then(|seat| seat.save.as_ref()) else { return Ok(None) };
        if save.is_of(order) {
            save.asked(order.send_to.as_ref());
            return Ok(Some(save.stage()));
        }
        if save.is_over() {
            return Ok(None);
        }
        if save.is_for(&order.image) {
            // The image has another copy made: nobody wants this one.
            save.stop.cancel();
        }
        Ok(Some(Stage::Waiting))
    }

    async fn begin(&self, node: &Arc<Node>, book: &Book, order: SaveDisk) -> Stage {
        let (source, volume) = match source(node, book, &order).await {
            Ok(found) => found,
            Err(stage) => return stage,
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return Stage::Waiting };
        let Some(save) = self.seat(&order) else { return Stage::Waiting };
        let stage = save.stage();
        tracing::info!(vm = %order.vm, image = %order.image, ?source, "a disk is copied for an image");
        let job = Job { node: Arc::clone(node), save, order, source, volume };
        tokio::spawn(async move {
            job.run().await;
            drop(place);
        });
        stage
    }

    /// A seat for a new copy, unless it is taken or kept free.
    fn seat(&self, order: &SaveDisk) -> Option<Arc<Save>> {
        let now = clock::boot_millis();
        let mut desk = self.desk();
        desk.seats.retain(|_, seat| {
            let recent = |save: &Arc<Save>| !save.is_over() || save.silent_ms(now) < FORGOTTEN_MS;
            seat.ways > 0 || seat.save.as_ref().is_some_and(recent)
        });
        let seat = desk.seats.entry(order.uuid.clone()).or_default();
        if seat.ways > 0 || seat.save.as_ref().is_some_and(|save| !save.is_over()) {
            return None;
        }
        let save = Arc::new(Save::new(order));
        seat.save = Some(Arc::clone(&save));
        Some(save)
    }

    /// Keeps a server's disk from being copied until what is returned is dropped; none if it is being copied.
    pub fn quiet(&self, uuid: &str) -> Option<Way> {
        let mut desk = self.desk();
        let seat = desk.seats.entry(uuid.to_owned()).or_default();
        if seat.save.as_ref().is_some_and(|save| save.is_reading()) {
            return None;
        }
        seat.ways += 1;
        Some(Way { saves: self.clone(), uuid: uuid.to_owned() })
    }

    /// Ends the copying of a server's disk, and keeps it from being copied until what is returned is
    /// dropped. A copy that is whole already goes on being sent. None if the copying does not end in time.
    pub async fn make_way(&self, uuid: &str) -> Option<Way> {
        let (way, save) = {
            let mut desk = self.desk();
            let seat = desk.seats.entry(uuid.to_owned()).or_default();
            seat.ways += 1;
            (Way { saves: self.clone(), uuid: uuid.to_owned() }, seat.save.clone())
        };
        if let Some(save) = save {
            save.aside.cancel();
            let mut access = save.access();
            // A copy that is forgotten meanwhile has let go too.
            let free = access.wait_for(|access| *access == Access::Free);
            tokio::time::timeout(MAKES_WAY, free).await.ok()?.ok();
        }
        Some(way)
    }
}

/// The disk that is to be copied, if it is at rest here under the grant that the order names.
async fn source(node: &Node, book: &Book, order: &SaveDisk) -> Result<(Source, Volume), Stage> {
    let failed = |state: &str| Stage::Failed(node.not_now(&order.vm, state, WANTED));
    let record = book.own_disk(&order.uuid, order.generation, WANTED).await.map_err(Stage::Failed)?;
    if record.freezing {
        return Err(Stage::Waiting);
    }
    if record.passage.as_ref().is_some_and(|p| p.side == Side::Source && p.phase == Phase::Copying) {
        return Err(Stage::Waiting);
    }
    let path = stack::top(&node.layout, &record);
    let under = record.server.as_ref().map(|server| stack::under(node, server, &record.stack));
    let sight = book.look().await;
    let source = match sight.domain {
        _ if sight.foreign => Err(failed("another's, with another UUID,")),
        Domain::Running => Ok(Source::Running),
        Domain::Off(OffReason::Migrated) => Err(failed("gone to another node")),
        // Its server ended before a merge of its layers counted; that is taken back when it is started.
        Domain::Off(_) | Domain::Absent if record.merging.is_some() => Err(Stage::Waiting),
        // What its files say of themselves is not enough.
        Domain::Off(_) | Domain::Absent if under.is_none() => {
            Err(failed("off, and not known well enough by its node,"))
        }
        Domain::Off(OffReason::Shutdown) => Ok(Source::Stopped(Consistency::Filesystem)),
        Domain::Off(_) | Domain::Absent => Ok(Source::Stopped(Consistency::Crash)),
        Domain::Paused | Domain::Incoming | Domain::Unknown => Err(Stage::Waiting),
    };
    source.map(|source| (source, Volume { path, under: under.unwrap_or_default() }))
}

#[cfg(test)]
mod tests;
