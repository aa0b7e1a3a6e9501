//! One disk that is sent ahead: each frozen layer is named by its contents and brought to the target.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use watari_chassis::clock;
use watari_contracts::agent::{Brought, Layer, Progress, SendAhead, weight};
use watari_model::Refusal;

use super::{
    WANTED,
    file::{self, Kind},
    pieces::Pieces,
};
use crate::{
    actor::Book,
    facts::Urgency,
    hypervisor::{
        courier::{Courier, Delivery, PIECE, Parcel},
        in_proportion,
    },
    images::digest,
    node::Node,
};

/// While the other side checks what it has, or migrations are at work.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the other side may take to check a layer: so many seconds, and one more for each so many bytes.
const CHECKED: (u64, u64) = (120, 16 << 20);

/// A sending, as those see it who ask for it.
pub(super) struct Sending {
    operation: String,
    progress: watch::Sender<Progress>,
    /// On the boot clock in milliseconds.
    asked_at: AtomicU64,
    /// How many bytes were brought, and of how many; 0 while that is not known.
    brought_bytes: AtomicU64,
    total_bytes: AtomicU64,
    /// Cancelled when nobody wants it any more.
    pub(super) stop: CancellationToken,
}

impl Sending {
    pub(super) fn new(order: &SendAhead) -> Self {
        Self {
            operation: order.order.operation.clone(),
            progress: watch::Sender::new(Progress::Working),
            asked_at: AtomicU64::new(clock::boot_millis()),
            brought_bytes: AtomicU64::new(0),
            total_bytes: AtomicU64::new(0),
            stop: CancellationToken::new(),
        }
    }

    pub(super) fn is_of(&self, order: &SendAhead) -> bool {
        self.operation == order.order.operation
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    pub(super) fn tell(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    /// Notes how many bytes there are to bring.
    pub(super) fn is_of_bytes(&self, total: u64) {
        self.total_bytes.store(total, Ordering::Relaxed);
    }

    /// Notes that a layer, of which there was as much as `from`, is there up to `to`. At most a piece of that was brought; what
    /// lay there already need not be. Only who sends it notes that.
    pub(super) fn has_gained(&self, from: u64, to: u64) {
        let gained = to.saturating_sub(from);
        let piece = gained.min(PIECE);
        self.brought_bytes.fetch_add(piece, Ordering::Relaxed);
        self.need_not(gained - piece);
    }

    /// Notes that so many bytes need not be brought: they lie there.
    pub(super) fn need_not(&self, bytes: u64) {
        let total = self.total_bytes.load(Ordering::Relaxed);
        self.total_bytes.store(total.saturating_sub(bytes), Ordering::Relaxed);
    }

    /// How much was brought by now.
    pub(super) fn brought(&self) -> Brought {
        Brought {
            brought_bytes: self.brought_bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
        }
    }

    pub(super) fn asked(&self) {
        self.asked_at.store(clock::boot_millis(), Ordering::Release);
    }

    pub(super) fn silent_ms(&self, now: u64) -> u64 {
        now.saturating_sub(self.asked_at.load(Ordering::Acquire))
    }

    /// Returns when nobody has asked for so long.
    async fn silence(&self, silence: Duration) {
        let silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        loop {
            let silent_ms = self.silent_ms(clock::boot_millis());
            if silent_ms >= silence_ms {
                return;
            }
            tokio::time::sleep(Duration::from_millis(silence_ms - silent_ms)).await;
        }
    }
}

/// How long the other side may take to say that a layer is what it should be.
fn checked_within(layer: &Layer) -> Duration {
    in_proportion(CHECKED, layer.size_bytes)
}

/// The work of one sending.
pub(super) struct Job {
    pub(super) node: Arc<Node>,
    pub(super) book: Arc<Book>,
    pub(super) sending: Arc<Sending>,
    pub(super) order: SendAhead,
    pub(super) target_uri: String,
}

impl Job {
    /// Does it to its end, whatever that is.
    pub(super) async fn run(self, layers: Vec<Layer>) {
        let silence = Duration::from_secs(self.node.settings.saving.silence_seconds);
        let outcome = tokio::select! {
            outcome = self.carry_out(layers) => outcome,
            () = self.sending.stop.cancelled() => Err(self.not_now("wanted otherwise since")),
            () = self.sending.silence(silence) => Err(self.not_now("not asked for any more")),
        };
        // What reads a file in another thread ends too.
        self.sending.stop.cancel();
        let (vm, code) = (&self.order.vm, outcome.as_ref().map_or_else(Refusal::code, |_| "ok"));
        self.node.counts.operations.with_label_values(&["send-ahead", code]).inc();
        self.sending.tell(match outcome {
            Ok(()) => {
                tracing::info!(%vm, to = self.order.address, "all frozen layers are at the other node");
                Progress::Done
            }
            Err(refusal) => {
                tracing::info!(%vm, code, %refusal, "frozen layers are not all sent");
                Progress::Failed(refusal)
            }
        });
    }

    fn not_now(&self, state: &str) -> Refusal {
        self.node.not_now(&self.order.vm, state, WANTED)
    }

    async fn carry_out(&self, layers: Vec<Layer>) -> Result<(), Refusal> {
        let mut courier = self.node.hypervisor.courier(self.target_uri.clone());
        self.sending.is_of_bytes(weight(&layers));
        for layer in layers {
            let layer = self.named(layer).await?;
            let mut pieces = Pieces::default();
            self.bring(&mut courier, &layer, &mut pieces).await?;
            if let Some(rate) = pieces.rate() {
                self.node.couriers.note(&self.order.address, rate);
            }
        }
        Ok(())
    }

    /// The layer with its digest, which is written down: it never changes.
    async fn named(&self, layer: Layer) -> Result<Layer, Refusal> {
        if layer.sha256.is_some() {
            return Ok(layer);
        }
        let unreadable =
            |detail: String| Refusal::Internal { detail: format!("a frozen layer cannot be read: {detail}") };
        let (path, stop) = (self.node.layout.layer(&self.order.uuid, layer.index), self.sending.stop.clone());
        let read = tokio::task::spawn_blocking(move || digest(&path, &stop)).await;
        let read = read.map_err(|error| unreadable(error.to_string()))?;
        let sha256 = read.map_err(|error| unreadable(error.to_string()))?;
        let named = Layer { sha256: Some(sha256.ok_or_else(|| self.not_now("wanted otherwise since"))?), ..layer };
        let found = named.clone();
        self.book
            .amend(&self.order.uuid, Urgency::Soon, |record| {
                let is = |layer: &&mut Layer| (layer.index, layer.size_bytes) == (found.index, found.size_bytes);
                if let Some(layer) = record.stack.layers.iter_mut().find(is) {
                    layer.sha256 = found.sha256;
                }
            })
            .await?;
        Ok(named)
    }

    fn parcel(&self, layer: &Layer) -> Option<Parcel> {
        let uuid = &self.order.uuid;
        Some(Parcel {
            folder: self.node.layout.arriving(),
            file: self.node.layout.layer(uuid, layer.index),
            size_bytes: layer.size_bytes,
            brought: 0,
            name: file::name(uuid, layer, Kind::Part)?,
            proof: file::name(uuid, layer, Kind::Proof)?,
        })
    }

    /// Brings one layer, and waits until the other side says that it is what it should be.
    async fn bring(&self, courier: &mut Courier, layer: &Layer, pieces: &mut Pieces) -> Result<(), Refusal> {
        let mut parcel = self.parcel(layer).ok_or_else(|| self.not_now("without a digest of its frozen layer"))?;
        let mut complete: Option<Instant> = None;
        loop {
            self.give_way().await;
            let begun = Instant::now();
            let delivery = courier.deliver(parcel.clone()).await;
            match delivery.map_err(|error| self.node.refuse(&error))? {
                Delivery::There => {
                    self.sending.need_not(parcel.size_bytes.saturating_sub(parcel.brought));
                    return Ok(());
                }
                Delivery::More(_) if complete.is_some() => {
                    return Err(self.not_now("sent, but did not arrive as it is here"));
                }
                Delivery::More(end) => {
                    pieces.add(parcel.brought, end, begun.elapsed());
                    self.sending.has_gained(parcel.brought, end);
                    if let Some(due) = brought(&mut parcel, end, begun, self.order.bandwidth_mib) {
                        tokio::time::sleep_until(due).await;
                    }
                }
                Delivery::Brought => {
                    // An agent that is away there checks it when it is back, and it is asked for again then.
                    if complete.get_or_insert(begun).elapsed() > checked_within(layer) {
                        return Err(self.not_now("sent, but not checked at the other node"));
                    }
                    self.sending.has_gained(parcel.brought, parcel.size_bytes);
                    parcel.brought = parcel.size_bytes;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// A migration goes before what is only sent ahead.
    async fn give_way(&self) {
        while !self.order.urgent && self.node.facts.is_copying() {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Notes as far as a parcel was brought, the last piece from `begun` on. When the next one may go: not before this one
/// would have been there at the speed that is allowed, in MiB a second; none without a bound.
fn brought(parcel: &mut Parcel, end: u64, begun: Instant, bandwidth_mib: u64) -> Option<Instant> {
    // What had come earlier is no part of it.
    let piece = end.saturating_sub(parcel.brought).min(PIECE);
    parcel.brought = end;
    let micros = piece.saturating_mul(1_000_000).checked_div(bandwidth_mib.saturating_mul(1 << 20))?;
    Some(begun + Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SIZE_MIB: u64 = 320;

    /// Brings a layer, of which the other node has so much already, in simulated time over a line that carries so many
    /// MiB a second: how long that takes. What has gone is never ahead of the bound by more than a piece.
    fn sent(had_mib: u64, line_mib: u64, bandwidth_mib: u64) -> Duration {
        let mut parcel = Parcel {
            folder: "/there".into(),
            file: "/here".into(),
            size_bytes: SIZE_MIB * MIB,
            brought: 0,
            name: "x.part".to_owned(),
            proof: "x.here".to_owned(),
        };
        let first = Instant::now();
        let (mut now, mut end) = (first, had_mib * MIB);
        loop {
            let begun = now;
            end += PIECE;
            now += Duration::from_millis(PIECE / MIB * 1_000 / line_mib);
            let gone = end - had_mib * MIB;
            let allowed = u128::from(bandwidth_mib * MIB) * (now - first).as_millis() / 1_000 + u128::from(PIECE);
            assert!(bandwidth_mib == 0 || u128::from(gone) <= allowed, "{gone} bytes, {allowed} are allowed");
            if end == parcel.size_bytes {
                return now - first;
            }
            now = brought(&mut parcel, end, begun, bandwidth_mib).map_or(now, |due| now.max(due));
            assert_eq!(parcel.brought, end);
        }
    }

    #[test]
    fn a_layer_goes_no_faster_than_it_may() {
        // Twenty pieces, of which the last is there as soon as the line has carried it.
        assert_eq!(sent(0, 1_000, 20), Duration::from_millis(19 * 800 + 16));
        assert_eq!(sent(0, 1_000, 40), Duration::from_millis(19 * 400 + 16));
    }

    #[test]
    fn a_line_that_is_slower_than_the_bound_is_not_slowed_further() {
        assert_eq!(sent(0, 10, 20), Duration::from_secs(32));
    }

    #[test]
    fn without_a_bound_a_layer_goes_as_fast_as_the_line_carries() {
        assert_eq!(sent(0, 1_000, 0), Duration::from_millis(20 * 16));
    }

    #[test]
    fn what_had_come_before_is_not_waited_for() {
        assert_eq!(sent(SIZE_MIB - 32, 1_000, 20), Duration::from_millis(800 + 16));
    }
}
