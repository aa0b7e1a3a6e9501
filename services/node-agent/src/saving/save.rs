//! One copy, as those see it who ask for it and those in whose way it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watari_chassis::clock;
use watari_contracts::saving::{SaveDisk, SendTo, Stage};
use watari_model::ImageName;

/// Whether the server's disk is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It is, or is about to be.
    Reading,
    /// It is left alone.
    Free,
}

/// One copy.
pub(super) struct Save {
    /// The image and the operation; none for what an agent before this one left behind.
    wanted: Option<(ImageName, String)>,
    stage: watch::Sender<Stage>,
    access: watch::Sender<Access>,
    send_to: watch::Sender<Option<SendTo>>,
    /// On the boot clock in milliseconds.
    asked_at: AtomicU64,
    /// Cancelled when nobody wants it any more.
    pub(super) stop: CancellationToken,
    /// Cancelled when the disk is wanted for something else.
    pub(super) aside: CancellationToken,
}

impl Save {
    /// Where the order has a copy sent is where the one before goes, which an agent before this one made.
    pub(super) fn new(order: &SaveDisk) -> Self {
        Self::of(Some((order.image.clone(), order.operation.clone())))
    }

    /// What an agent before this one left behind.
    pub(super) fn left_over() -> Self {
        Self::of(None)
    }

    fn of(wanted: Option<(ImageName, String)>) -> Self {
        let stop = CancellationToken::new();
        Self {
            wanted,
            stage: watch::Sender::new(Stage::Copying { copied_bytes: 0, total_bytes: 0 }),
            access: watch::Sender::new(Access::Reading),
            send_to: watch::Sender::new(None),
            asked_at: AtomicU64::new(clock::boot_millis()),
            aside: stop.child_token(),
            stop,
        }
    }

    /// Whether this is the copy that the order means.
    pub(super) fn is_of(&self, order: &SaveDisk) -> bool {
        self.wanted.as_ref().is_some_and(|(image, operation)| *image == order.image && *operation == order.operation)
    }

    pub(super) fn is_for(&self, image: &ImageName) -> bool {
        self.wanted.as_ref().is_some_and(|(of, _)| of == image)
    }

    /// It is asked for again, and may be sent there.
    pub(super) fn asked(&self, send_to: Option<&SendTo>) {
        self.asked_at.store(clock::boot_millis(), Ordering::Release);
        self.send_to.send_if_modified(|known| {
            let newer = send_to.is_some() && known.as_ref() != send_to;
            if newer {
                *known = send_to.cloned();
            }
            newer
        });
    }

    /// For how many milliseconds nobody has asked for it.
    pub(super) fn silent_ms(&self, now: u64) -> u64 {
        now.saturating_sub(self.asked_at.load(Ordering::Acquire))
    }

    /// Ends it when nobody has asked for it in so long, or when it takes longer than a copy may.
    pub(super) async fn mind(self: Arc<Self>, silence: Duration, most: Duration) {
        let begun = tokio::time::Instant::now();
        let silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        while begun.elapsed() < most {
            let silent_ms = self.silent_ms(clock::boot_millis());
            if silent_ms >= silence_ms {
                tracing::info!("nobody asks for the copy of a disk any more; it ends");
                break;
            }
            tokio::time::sleep(Duration::from_millis(silence_ms - silent_ms)).await;
        }
        self.stop.cancel();
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.borrow().clone()
    }

    pub(super) fn tell(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Sent | Stage::Failed(_))
    }

    pub(super) fn access(&self) -> watch::Receiver<Access> {
        self.access.subscribe()
    }

    pub(super) fn is_reading(&self) -> bool {
        *self.access.borrow() == Access::Reading
    }

    /// The disk is left alone from now on.
    pub(super) fn has_read(&self) {
        self.access.send_replace(Access::Free);
    }

    /// Where it may be sent, and later where else.
    pub(super) fn send_to(&self) -> watch::Receiver<Option<SendTo>> {
        self.send_to.subscribe()
    }
}
