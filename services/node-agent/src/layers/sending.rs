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
use watari_contracts::agent::{Layer, Progress, SendAhead};
use watari_model::Refusal;

use super::{
    WANTED,
    file::{self, Kind},
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
    /// Cancelled when nobody wants it any more.
    pub(super) stop: CancellationToken,
}

impl Sending {
    pub(super) fn new(order: &SendAhead) -> Self {
        Self {
            operation: order.order.operation.clone(),
            progress: watch::Sender::new(Progress::Working),
            asked_at: AtomicU64::new(clock::boot_millis()),
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
        for layer in layers {
            let layer = self.named(layer).await?;
            self.bring(&mut courier, &layer).await?;
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
    async fn bring(&self, courier: &mut Courier, layer: &Layer) -> Result<(), Refusal> {
        let mut parcel = self.parcel(layer).ok_or_else(|| self.not_now("without a digest of its frozen layer"))?;
        let mut complete: Option<Instant> = None;
        loop {
            self.give_way().await;
            let begun = Instant::now();
            let delivery = courier.deliver(parcel.clone()).await;
            match delivery.map_err(|error| self.node.refuse(&error))? {
                Delivery::There => return Ok(()),
                Delivery::More(_) if complete.is_some() => {
                    return Err(self.not_now("sent, but did not arrive as it is here"));
                }
                Delivery::More(end) => {
                    let piece = end.saturating_sub(parcel.brought).min(PIECE);
                    parcel.brought = end;
                    self.pause(piece, begun).await;
                }
                Delivery::Brought => {
                    // An agent that is away there checks it when it is back, and it is asked for again then.
                    if complete.get_or_insert(begun).elapsed() > checked_within(layer) {
                        return Err(self.not_now("sent, but not checked at the other node"));
                    }
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

    /// Waits for as long as the piece would have taken at the speed that is allowed.
    async fn pause(&self, bytes: u64, begun: Instant) {
        let most = self.order.bandwidth_mib.saturating_mul(1 << 20);
        if let Some(micros) = bytes.saturating_mul(1_000_000).checked_div(most) {
            tokio::time::sleep_until(begun + Duration::from_micros(micros)).await;
        }
    }
}
