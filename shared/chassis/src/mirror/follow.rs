//! Following a bucket: list, then watch, and list again before long.
//!
//! A list is read from whichever replica the consumer got, which may lag. So the stream's leader
//! is asked first how far the bucket is, and a list that does not reach that far is not believed
//! to be complete. What it has is taken all the same, since the highest revision wins.
//!
//! Whoever asks whether everything is here ([`super::Mirror::catch_up`]) is told without a list where the watch has
//! brought all that the leader has: a watch follows the stream's order, so that whatever it has reached is whole.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::jetstream::{kv::Watch, stream::Info};
use futures_util::StreamExt;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout, timeout_at};
use watari_model::Document;

use super::{Effect, Shared, Table};
use crate::{Bucket, Revision, bucket::Raw, run::chain};

/// The longest that the mirror may be wrong after an unnoticed loss: so often the stream's leader is
/// asked whether it has anything that has not been read.
const CHECK: Duration = Duration::from_secs(30);
/// It is listed anew even if not, after so long, against what nobody has thought of. A list takes a consumer, which all
/// NATS servers agree upon and write down, and forget in the same way; the question takes one message and its answer.
const RELIST: Duration = Duration::from_secs(1_800);
/// However often the state is in doubt, it is not listed more often than this.
const BREATH: Duration = Duration::from_millis(250);
/// A list that brings nothing for this long is given up.
const STALLED: Duration = Duration::from_secs(10);
/// How long the stream's leader has to answer before it is asked again, and twice as long each further time: while
/// another is made leader nobody answers, and asking twice changes nothing.
const ANSWER: Duration = Duration::from_millis(300);
/// How often it is asked.
const ASKED: u32 = 4;
/// How long what the leader has may take to come by the watch before everything is listed anew.
const ARRIVING: Duration = Duration::from_millis(200);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(5);

/// Follows until the process shuts down.
pub(super) async fn follow<T: Document>(bucket: Bucket<T>, shared: Arc<Shared<T>>) {
    let shutdown = bucket.ctx().shutdown.clone();
    let mut follower = Follower { bucket, shared, made: None, reached: 0 };
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    loop {
        let begun = Instant::now();
        let outcome = tokio::select! {
            outcome = follower.pass() => outcome,
            () = shutdown.cancelled() => return,
        };
        match outcome {
            Ok(()) => {
                pause = FIRST_PAUSE;
                told.clear();
                tokio::select! {
                    () = tokio::time::sleep_until(begun + BREATH) => {}
                    () = shutdown.cancelled() => return,
                }
                continue;
            }
            Err(error) if error != told => {
                tracing::warn!(
                    bucket = T::BUCKET,
                    error,
                    "the copy in memory cannot be followed; it stays as it is, and it is tried again"
                );
                told = error;
            }
            Err(_) => {}
        }
        follower.counted("failed");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = follower.asked() => {}
            () = shutdown.cancelled() => return,
        }
        pause = (pause * 2).min(MOST_PAUSE);
    }
}

struct Follower<T> {
    bucket: Bucket<T>,
    shared: Arc<Shared<T>>,
    /// When the stream was made: tells a bucket from another of the same name.
    made: Option<OffsetDateTime>,
    /// Up to which revision the last list and the watch after it have brought everything. What this process itself
    /// wrote does not count: it says nothing of what others wrote before.
    reached: Revision,
}

impl<T: Document> Follower<T> {
    /// Somebody waits for a list: it is tried again sooner, but not at once.
    async fn asked(&self) {
        tokio::time::sleep(BREATH).await;
        tokio::select! {
            () = self.shared.relist.notified() => {}
            () = self.shared.asked.notified() => {}
        }
    }

    /// One list and the watch after it, until it is time or reason to list again.
    async fn pass(&mut self) -> Result<(), String> {
        let number = self.shared.looks_begun.fetch_add(1, Ordering::SeqCst) + 1;
        let mut doubt = self.bucket.ctx().bus.doubt();
        doubt.mark_unchanged();
        let info = self.info().await?;
        self.recognise(info.created);
        self.reached = 0;
        let mut watch = self.bucket.store().watch_with_history(">").await.map_err(|e| chain(&e))?;
        let listed = if info.state.messages == 0 { BTreeSet::new() } else { self.list(&mut watch).await? };
        let reached = info.state.last_sequence;
        if info.state.messages > 0
            && self.reached < reached
            && self.bucket.holds(reached).await.map_err(|e| chain(&e))?
        {
            return Err(format!("the list ends before revision {reached}, which the leader has"));
        }
        self.look_for_missing(&listed, reached).await?;
        // Also where the last message is no longer there: nobody waits for that one.
        self.reached = self.reached.max(reached);
        self.counted("done");
        self.bucket.ctx().followed().reached(T::BUCKET, reached);
        self.shared.whole.send_replace(number);

        let last = Instant::now() + RELIST;
        let due = tokio::time::sleep_until(Instant::now() + CHECK);
        tokio::pin!(due);
        loop {
            tokio::select! {
                next = watch.next() => { self.take(next)?; }
                () = &mut due => {
                    if Instant::now() >= last || !self.is_whole(&mut watch).await? {
                        return Ok(());
                    }
                    due.as_mut().reset(Instant::now() + CHECK);
                }
                () = self.shared.relist.notified() => return Ok(()),
                () = self.shared.asked.notified() => {
                    let number = self.shared.looks_begun.fetch_add(1, Ordering::SeqCst) + 1;
                    if !self.is_whole(&mut watch).await? {
                        return Ok(());
                    }
                    self.shared.whole.send_replace(number);
                }
                _ = doubt.changed() => return Ok(()),
            }
        }
    }

    /// What the stream's leader says of it.
    async fn info(&self) -> Result<Info, String> {
        let mut patience = ANSWER;
        for _ in 0..ASKED {
            if let Ok(answer) = timeout(patience, self.bucket.info()).await {
                return answer.map_err(|e| chain(&e));
            }
            patience *= 2;
        }
        Err("the stream's leader does not answer".to_owned())
    }

    /// Whether the leader's bucket is the one that is known, and all that it has is here or comes by the watch in a moment:
    /// every write up to its newest, and as many keys, deleted ones included.
    async fn is_whole(&mut self, watch: &mut Watch) -> Result<bool, String> {
        let info = self.info().await?;
        let (until, wanted) = (Instant::now() + ARRIVING, info.state.last_sequence);
        // A leader that lacks what the watch has brought has lost it, and gives the same numbers to other writes.
        if self.made != Some(info.created) || self.reached > wanted {
            return Ok(false);
        }
        while self.reached < wanted {
            match timeout_at(until, watch.next()).await {
                Ok(next) => {
                    self.take(next)?;
                }
                Err(_) => {
                    let reached = self.reached;
                    tracing::info!(bucket = T::BUCKET, reached, wanted, "the watch lags, so that all is listed anew");
                    return Ok(false);
                }
            }
        }
        Ok(self.shared.look(Table::keys) == info.state.subjects_count)
    }

    /// Reads until what was there when the watch began has come.
    async fn list(&mut self, watch: &mut Watch) -> Result<BTreeSet<String>, String> {
        let mut listed = BTreeSet::new();
        loop {
            let next = timeout(STALLED, watch.next()).await.map_err(|_| "the list does not come".to_owned())?;
            let (key, complete) = self.take(next)?;
            listed.insert(key);
            if complete {
                return Ok(listed);
            }
        }
    }

    fn take(
        &mut self,
        next: Option<Result<async_nats::jetstream::kv::Entry, async_nats::jetstream::kv::WatcherError>>,
    ) -> Result<(String, bool), String> {
        let entry = next.ok_or("the watch ended")?.map_err(|e| chain(&e))?;
        let complete = entry.seen_current;
        let raw = Raw::from_watch(T::BUCKET, entry);
        self.read(&raw);
        self.reached = self.reached.max(raw.revision);
        Ok((raw.key, complete))
    }

    fn read(&self, raw: &Raw) {
        if let Effect::Unreadable(error) = self.shared.change(|table| table.read(raw)) {
            tracing::error!(%error, "ALARM: a document cannot be read; its last readable form is kept");
        }
        self.show();
    }

    /// A document that a complete list lacks is either newer than the list, or gone. The leader
    /// knows; if it too has no word of it, that is an alarm and nothing else.
    async fn look_for_missing(&self, listed: &BTreeSet<String>, reached: Revision) -> Result<(), String> {
        for key in self.shared.look(|table| table.missing(listed, reached)) {
            match self.bucket.raw(&key).await.map_err(|e| chain(&e))? {
                Some(raw) => self.read(&raw),
                None => {
                    let mut is_new = false;
                    self.shared.change(|table| {
                        is_new = table.vanish(&key);
                        Effect::Known
                    });
                    if is_new {
                        tracing::error!(
                            bucket = T::BUCKET,
                            key,
                            "ALARM: a document is gone without having been deleted; it is kept in memory and nothing is stopped"
                        );
                    }
                    self.show();
                }
            }
        }
        Ok(())
    }

    fn recognise(&mut self, made: OffsetDateTime) {
        if self.made.replace(made).is_some_and(|before| before != made) {
            tracing::error!(
                bucket = T::BUCKET,
                "ALARM: the bucket was made anew and its contents are lost; what is in memory is kept and nothing is stopped"
            );
            self.bucket.ctx().counts().remade.with_label_values(&[T::BUCKET]).inc();
            self.shared.change(|table| {
                table.remade();
                Effect::Known
            });
        }
    }

    fn show(&self) {
        self.bucket.ctx().followed().reached(T::BUCKET, self.shared.look(|t| t.newest()));
        let (unreadable, vanished) = self.shared.look(|t| (t.unreadable().len(), t.vanished().len()));
        let counts = self.bucket.ctx().counts();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        counts.unreadable.with_label_values(&[T::BUCKET]).set(number(unreadable));
        counts.vanished.with_label_values(&[T::BUCKET]).set(number(vanished));
    }

    fn counted(&self, outcome: &str) {
        self.bucket.ctx().counts().relists.with_label_values(&[T::BUCKET, outcome]).inc();
    }
}
