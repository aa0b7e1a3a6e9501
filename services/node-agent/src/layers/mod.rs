//! Frozen layers of servers' disks: sent ahead to the node where a server shall go, so that its crossing
//! moves only what was written since.
//!
//! ```text
//!  here:   freeze ─▶ digest ─▶ piece by piece to the other node's libvirt ─▶ until it says that it has it
//!  there:  arriving ─▶ checked ─▶ kept ─▶ (the server comes) under its disk
//! ```
//!
//! Freezing changes what a server stands on and is an operation of its actor ([`stack`]). Sending reads what
//! never changes again, beside everything else: nothing of it is in the journal, and what breaks off is gone
//! on with. What is kept for servers elsewhere is known by its files ([`keep`]). A disk stands on few layers: more
//! are merged when it is frozen ([`merge`]). A moment that has a name is a layer up to which nothing is merged any
//! more, so that the disk can go back to it ([`revert`]).

mod file;
pub(crate) mod keep;
pub mod merge;
mod pieces;
pub mod revert;
mod sending;
pub mod stack;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watari_chassis::clock;
use watari_contracts::agent::{Answer, Brought, DropLayers, MeasureWay, Measuring, NodeFacts, Progress, SendAhead};
use watari_model::{Refusal, node::Carried};

use crate::{actor::Book, blueprint, node::Node, record::Record};
use sending::{Job, Sending};

/// Disks that are sent ahead at the same time.
const AT_ONCE: usize = 2;
/// How long the end of a sending is remembered when nobody asks for it.
const FORGOTTEN_MS: u64 = 600_000;

/// What an order asks for, in refusals.
const WANTED: &str = "be sent ahead";

/// Deletes what is kept of a server that the scheduler has no use for, and tells what is here then.
///
/// # Errors
/// The order is refused; a file cannot be deleted.
pub async fn drop_kept(node: &Node, order: DropLayers) -> Result<NodeFacts, Refusal> {
    node.heed(&order.order).await?;
    blueprint::check_uuid(&order.uuid)?;
    tracing::info!(uuid = order.uuid, stay = order.keep.len(), "frozen layers of which there is no use any more go");
    keep::aside(node, move |layout| keep::keep_only(layout, &order.uuid, &order.keep)).await?;
    keep::tell(node).await;
    Ok(node.facts.all())
}

/// Whether nobody knows yet which layers are frozen: one is being, or the one that took others in may still be changed,
/// since the merge may be taken back.
#[must_use]
pub fn in_the_middle(record: &Record) -> bool {
    record.freezing || record.merging.is_some_and(|into| into < record.stack.top)
}

/// The disks that are being sent ahead, by the servers' UUIDs; clones share them.
#[derive(Clone)]
pub struct Couriers {
    desk: Arc<Mutex<HashMap<String, Arc<Sending>>>>,
    places: Arc<Semaphore>,
    /// One way is measured at a time.
    measuring: Arc<Semaphore>,
    carried: Arc<Mutex<BTreeMap<String, Carried>>>,
}

impl Default for Couriers {
    fn default() -> Self {
        let (places, measuring) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(1)));
        Self { desk: Arc::default(), places, measuring, carried: Arc::default() }
    }
}

impl Couriers {
    fn desk(&self) -> MutexGuard<'_, HashMap<String, Arc<Sending>>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How fast pieces went, by the addresses to which they did.
    #[must_use]
    pub fn carried(&self) -> BTreeMap<String, Carried> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how fast they went to an address.
    fn note(&self, address: &str, bytes_per_second: u64) {
        let now = Carried { bytes_per_second, at: clock::now() };
        pieces::note(&mut self.carried.lock().unwrap_or_else(PoisonError::into_inner), address, now);
    }

    /// Begins to send some bytes to another node, to see how fast the way there is, unless that would be in the way of
    /// something that travels, or be slowed down by it.
    ///
    /// # Errors
    /// The order is refused. A way that cannot be measured is no error; nothing is learned of it.
    pub async fn measure(&self, node: &Arc<Node>, order: MeasureWay) -> Result<Measuring, Refusal> {
        node.heed(&order.order).await?;
        let target_uri = crate::actor::target_uri(&order.address)?;
        let Some(place) = self.turn_to_measure(node.facts.is_copying()) else { return Ok(Measuring { begun: false }) };
        let (node, couriers) = (Arc::clone(node), self.clone());
        tokio::spawn(async move {
            let courier = node.hypervisor.courier(target_uri);
            let measured = courier.measure(node.layout.arriving(), format!("measure.{}", node.name)).await;
            match measured {
                Ok(rate) => couriers.note(&order.address, rate),
                Err(error) => tracing::info!(to = order.address, %error, "the way to another node is not measured"),
            }
            drop(place);
        });
        Ok(Measuring { begun: true })
    }

    /// The right to measure a way, until it is dropped; none while something travels, or another way is measured.
    fn turn_to_measure(&self, is_copying: bool) -> Option<OwnedSemaphorePermit> {
        let is_sending = self.desk().values().any(|sending| sending.progress() == Progress::Working);
        let place = Arc::clone(&self.measuring).try_acquire_owned().ok();
        place.filter(|_| !is_sending && !is_copying)
    }

    /// Begins to send a server's frozen layers, or says how far that is.
    ///
    /// # Errors
    /// The order is refused, and nothing was done. A sending that failed is no error but an answer.
    pub async fn send_ahead(
        &self,
        node: &Arc<Node>,
        book: Option<Arc<Book>>,
        order: SendAhead,
    ) -> Result<Answer, Refusal> {
        node.heed(&order.order).await?;
        blueprint::check_uuid(&order.uuid)?;
        let book = book.ok_or_else(|| node.not_now(&order.vm, "absent", WANTED))?;
        let progress = match self.known(&order) {
            Some(progress) => progress,
            None => self.begin(node, &book, order.clone()).await?,
        };
        let brought = self.brought(&order);
        Ok(Answer { progress, fact: book.fact().await, brought })
    }

    /// How much of what an order sends is there, while it is under way.
    fn brought(&self, order: &SendAhead) -> Option<Brought> {
        let desk = self.desk();
        let sending = desk.get(&order.uuid)?;
        (sending.is_of(order) && sending.progress() == Progress::Working).then(|| sending.brought())
    }

    /// What is to be answered without beginning anything. An end is told once: asked for again, what is
    /// there is looked at anew.
    fn known(&self, order: &SendAhead) -> Option<Progress> {
        let mut desk = self.desk();
        let sending = Arc::clone(desk.get(&order.uuid)?);
        let progress = sending.progress();
        if progress != Progress::Working {
            desk.remove(&order.uuid);
            return sending.is_of(order).then_some(progress);
        }
        if sending.is_of(order) {
            sending.asked();
        } else {
            // Another one is wanted now, perhaps to another node.
            sending.stop.cancel();
        }
        Some(Progress::Working)
    }

    async fn begin(&self, node: &Arc<Node>, book: &Arc<Book>, order: SendAhead) -> Result<Progress, Refusal> {
        let record = book.own_disk(&order.uuid, order.generation, WANTED).await?;
        if in_the_middle(&record) {
            return Ok(Progress::Working);
        }
        let target_uri = crate::actor::target_uri(&order.address)?;
        // What a migration waits for does not queue behind what nobody waits for.
        let place = if order.urgent { None } else { Some(Arc::clone(&self.places).try_acquire_owned()) };
        let Ok(place) = place.transpose() else { return Ok(Progress::Working) };
        let Some(sending) = self.seat(&order) else { return Ok(Progress::Working) };
        let job = Job { node: Arc::clone(node), book: Arc::clone(book), sending, order, target_uri };
        tokio::spawn(async move {
            job.run(record.stack.layers).await;
            drop(place);
        });
        Ok(Progress::Working)
    }

    /// Ends the sending of a server's layers: it is about to move itself, or to go.
    pub fn end(&self, uuid: &str) {
        if let Some(sending) = self.desk().get(uuid) {
            sending.stop.cancel();
        }
    }

    fn seat(&self, order: &SendAhead) -> Option<Arc<Sending>> {
        let now = clock::boot_millis();
        let mut desk = self.desk();
        desk.retain(|_, sending| sending.progress() == Progress::Working || sending.silent_ms(now) < FORGOTTEN_MS);
        if desk.get(&order.uuid).is_some_and(|sending| sending.progress() == Progress::Working) {
            return None;
        }
        let sending = Arc::new(Sending::new(order));
        desk.insert(order.uuid.clone(), Arc::clone(&sending));
        Some(sending)
    }
}

#[cfg(test)]
mod tests;
