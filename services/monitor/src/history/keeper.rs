//! The one task that writes the history: it opens it, feeds it, completes it when something
//! may have been missed, and begins anew when a file is spoilt. Nothing waits for it, and an
//! event that it cannot keep, while a server is away, say, is read from the streams later.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    stream::{SelectAll, select_all},
};
use tokio::time::{Instant, sleep, sleep_until};
use watari_chassis::{BusError, Context, Messages, clock};
use watari_contracts::{permissions::BUCKETS, subjects};
use watari_model::Timestamp;

use super::{
    CATCH_UP, History, KEEP,
    catch_up::{CatchUpError, catch_up},
    feed::{self, Told},
    store::{Change, Place, Store, StoreError, set_aside},
};
use crate::settings;

/// So many events are written in one transaction.
const BATCH: usize = 256;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How often old changes are forgotten.
const RETAIN: Duration = Duration::from_secs(3_600);

/// Keeps the history until the process shuts down.
pub(crate) async fn keep(ctx: Context, history: Arc<History>, place: Place, settings: settings::History) {
    let mut told = String::new();
    while !ctx.shutdown.is_cancelled() {
        let error = match tenure(&ctx, &history, &place, &settings).await {
            Ok(()) => return,
            Err(error) => error,
        };
        history.is_away(error.to_string());
        history.metrics.failures.with_label_values(&[KEEP]).inc();
        if told != error.to_string() {
            told = error.to_string();
            tracing::error!(%place, error = told, "the history cannot be kept; everything else goes on, and it is tried again");
        }
        if let (Failure::Store(StoreError::Spoilt(_)), Place::File(path)) = (error, &place) {
            begin_anew(path);
        }
        tokio::select! {
            () = sleep(Duration::from_secs(settings.retry_seconds)) => {}
            () = ctx.shutdown.cancelled() => {}
        }
    }
}

/// Why the history is not kept at present.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the events cannot be heard: {0}")]
    Bus(#[from] BusError),
    #[error("the events ended")]
    Ended,
}

fn begin_anew(path: &Path) {
    match set_aside(path, clock::now()) {
        Ok(aside) => {
            tracing::error!(aside = %aside.display(), "the history was damaged and begins anew; the old file is kept")
        }
        Err(error) => tracing::error!(path = %path.display(), %error, "the damaged history cannot be set aside"),
    }
}

/// From opening the history until it fails, or the process shuts down.
async fn tenure(ctx: &Context, history: &History, place: &Place, settings: &settings::History) -> Result<(), Failure> {
    let store = tokio::select! {
        opened = Store::open(place) => opened?,
        () = ctx.shutdown.cancelled() => return Ok(()),
    };
    let keeper = Keeper { ctx, history, settings, store: store.clone() };
    let ended = tokio::select! {
        ended = keeper.run() => ended,
        // Who only waits for changes to write down would not see that the server is gone.
        error = store.lost(Duration::from_secs(settings.retry_seconds)) => Err(error.into()),
    };
    // What waits in a write-ahead log goes into the file.
    store.close().await;
    ended
}

struct Keeper<'a> {
    ctx: &'a Context,
    history: &'a History,
    settings: &'a settings::History,
    store: Store,
}

/// Whether the streams have to be asked for what was missed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    All,
    Gap,
}

impl Keeper<'_> {
    async fn run(&self) -> Result<(), Failure> {
        let mut doubt = self.ctx.bus.doubt();
        doubt.mark_unchanged();
        let mut events = self.events().await?;
        self.history.is_open(&self.store);
        let mut next_catch_up = Instant::now();
        let mut next_retain = Instant::now();
        loop {
            tokio::select! {
                () = self.ctx.shutdown.cancelled() => return Ok(()),
                batch = batch(&mut events, &self.settings.people) => {
                    if self.take(batch.ok_or(Failure::Ended)?).await? == Seen::Gap {
                        next_catch_up = Instant::now();
                    }
                }
                _ = doubt.changed() => next_catch_up = Instant::now(),
                () = sleep_until(next_catch_up) => {
                    // A bus that is away must not hold up the end.
                    let pause = tokio::select! {
                        pause = self.complete() => pause?,
                        () = self.ctx.shutdown.cancelled() => return Ok(()),
                    };
                    next_catch_up = Instant::now() + pause;
                }
                () = sleep_until(next_retain) => {
                    self.retain().await?;
                    next_retain = Instant::now() + RETAIN;
                }
            }
        }
    }

    /// The events of every bucket of which there is a history. Of all events most are renewals of leases, which come by
    /// day and night and are none of its.
    async fn events(&self) -> Result<SelectAll<Messages>, BusError> {
        let mut heard = Vec::with_capacity(BUCKETS.len());
        for (bucket, _) in BUCKETS {
            heard.push(self.ctx.bus.subscribe(&subjects::event(bucket, ">")).await?);
        }
        Ok(select_all(heard))
    }

    async fn take(&self, batch: Vec<Told>) -> Result<Seen, Failure> {
        let mut seen = Seen::All;
        let mut changes: Vec<Change> = Vec::with_capacity(batch.len());
        for told in batch {
            match told {
                Told::Change(change, previous) => {
                    if seen == Seen::All && !self.knows(&changes, &change, previous).await? {
                        seen = Seen::Gap;
                    }
                    changes.push(change);
                }
                Told::Incomplete => seen = Seen::Gap,
                Told::Nothing => {}
            }
        }
        let added = self.store.add(&changes, self.settings.most_document_bytes).await?;
        self.history.added(added);
        Ok(seen)
    }

    /// Whether the write before this one was written down. One that was forgotten for its age
    /// looks like a gap, which costs a look at the streams and nothing else.
    async fn knows(&self, batch: &[Change], change: &Change, previous: u64) -> Result<bool, StoreError> {
        let is = |c: &Change| c.bucket == change.bucket && c.key == change.key && c.revision == previous;
        if previous == 0 || batch.iter().any(is) {
            return Ok(true);
        }
        self.store.has(&change.bucket, &change.key, previous).await
    }

    /// Reads what was missed, and says after how long to do so again. A bus that is away is no
    /// fault of the history's.
    async fn complete(&self) -> Result<Duration, StoreError> {
        match catch_up(self.ctx, &self.store, self.settings, self.oldest()).await {
            Ok(added) => {
                self.history.added(added);
                if added > 0 {
                    tracing::info!(added, "the history was completed from the streams");
                }
                Ok(Duration::from_secs(self.settings.catch_up_seconds))
            }
            Err(CatchUpError::Store(error)) => Err(error),
            Err(CatchUpError::Bus(error)) => {
                tracing::warn!(%error, "the history cannot be completed from the streams; it is tried again");
                self.history.metrics.failures.with_label_values(&[CATCH_UP]).inc();
                Ok(Duration::from_secs(self.settings.retry_seconds))
            }
        }
    }

    async fn retain(&self) -> Result<(), StoreError> {
        let gone = self.store.retain(self.oldest(), self.settings.most_rows).await?;
        if gone > 0 {
            tracing::info!(gone, "forgot old changes");
        }
        self.store.compact().await?;
        self.history.metrics.rows.set(i64::try_from(self.store.rows().await?).unwrap_or(i64::MAX));
        Ok(())
    }

    fn oldest(&self) -> Timestamp {
        let days = Duration::from_millis(self.settings.keep_days.saturating_mul(DAY_MS));
        Timestamp(clock::now().0 - days)
    }
}

/// The next event, and whatever else has come by then. Nothing is lost if this is dropped before
/// it is done.
async fn batch(events: &mut SelectAll<Messages>, people: &feed::People) -> Option<Vec<Told>> {
    let first = events.next().await?;
    let mut batch = vec![feed::read(&first, people)];
    while batch.len() < BATCH
        && let Some(Some(next)) = events.next().now_or_never()
    {
        batch.push(feed::read(&next, people));
    }
    Some(batch)
}
