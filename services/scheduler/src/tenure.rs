//! The beginning of a tenure: everything is here that was stored before it, the sites of the
//! configuration are there, and every node has been asked for what it sees, before anything is decided.
//! A standby's copies may be old, each to another degree, where a link was cut.
//!
//! Answers begin as soon as everything is here that is stored, if every node was heard lately: a standby hears what nodes
//! tell like the one that leads, and requests wait for each moment of a change of leaders.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet};
use watari_chassis::{Leadership, WriteError, clock, looper};
use watari_model::site::{Change, Site};

use crate::{doing::Executor, settings::SiteSetting};

/// How long the first decisions wait for what nodes say, and the first answers too where some were not heard lately.
/// Nothing is concluded of one that is silent.
const LISTENING: Duration = Duration::from_millis(400);

/// An agent tells every five seconds all that it sees, and each change at once.
const LATELY_MS: u64 = 10_000;

/// After so long it is told that what is stored has not arrived yet.
const LATE: Duration = Duration::from_secs(3);

/// Cloning shares it.
#[derive(Clone)]
pub(crate) struct Tenure {
    executor: Executor,
    sites: Arc<Vec<SiteSetting>>,
    begun: Arc<AtomicU64>,
    told: watch::Sender<Leadership>,
}

impl Tenure {
    pub(crate) fn new(executor: Executor, sites: Vec<SiteSetting>) -> Self {
        let told = watch::Sender::new(Leadership::Standby { leader: None });
        let (mut leadership, begun) = (executor.leadership.clone(), told.clone());
        executor.ctx.spawn("tenure", {
            let shutdown = executor.ctx.shutdown.clone();
            async move {
                loop {
                    let now = leadership.borrow_and_update().clone();
                    // A new tenure is told by [`Tenure::begin`]; its end is told at once.
                    begun.send_if_modified(|told| {
                        let ended = *told != now && told.epoch().is_some();
                        if ended {
                            *told = Leadership::Standby { leader: None };
                        }
                        ended
                    });
                    tokio::select! {
                        changed = leadership.changed() => if changed.is_err() { return },
                        () = shutdown.cancelled() => return,
                    }
                }
            }
        });
        Self { executor, sites: Arc::new(sites), begun: Arc::default(), told }
    }

    /// Leadership as those see it who answer: from the moment that a tenure has begun in earnest.
    pub(crate) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.told.subscribe()
    }

    /// Does once in each tenure what must come first. Tells whether it is done; it is not if the tenure
    /// ends while that waits for what is stored.
    ///
    /// # Errors
    /// If a site cannot be written; it is tried again.
    pub(crate) async fn begin(&self, epoch: u64) -> Result<bool, WriteError> {
        if self.begun.load(Ordering::Relaxed) == epoch {
            return Ok(true);
        }
        self.executor.memory.begin_tenure();
        let begun = Instant::now();
        let late = async {
            tokio::time::sleep(LATE).await;
            tracing::warn!(epoch, "the tenure waits: not all that is stored has arrived here");
            std::future::pending::<()>().await;
        };
        let mut leadership = self.executor.leadership.clone();
        tokio::select! {
            // However long that takes: nothing is decided before.
            () = looper::patiently(self.executor.stores.catch_up()) => {}
            _ = leadership.wait_for(|now| now.epoch() != Some(epoch)) => return Ok(false),
            () = self.executor.ctx.shutdown.cancelled() => return Ok(false),
            () = late => {}
        }
        self.keep_sites().await?;
        let stored_ms = millis(begun);
        let heard_lately = self.hears_every_node();
        if heard_lately {
            self.answer(epoch);
        }
        self.listen().await;
        if !heard_lately {
            self.answer(epoch);
        }
        self.begun.store(epoch, Ordering::Relaxed);
        tracing::info!(epoch, stored_ms, heard_lately, took_ms = millis(begun), "the tenure begins");
        Ok(true)
    }

    /// Tells those who answer that they may, if this process leads still.
    fn answer(&self, epoch: u64) {
        self.told.send_if_modified(|told| {
            // Not by the clock, which may say no until a renewal is acknowledged: this is told once in a tenure, and the
            // clock is asked at each request.
            let leads = self.executor.leadership.borrow().epoch() == Some(epoch);
            if leads {
                *told = Leadership::Primary { epoch };
            }
            leads
        });
    }

    /// Whether every known node was heard lately, if not by its answer then by what it told.
    fn hears_every_node(&self) -> bool {
        let nodes = self.executor.stores.nodes.snapshot();
        self.executor.memory.hears(nodes.values().map(|entry| &entry.value.name), LATELY_MS)
    }

    /// Sites come from the configuration. One that is no longer named stays: servers may belong to it.
    async fn keep_sites(&self) -> Result<(), WriteError> {
        let sites = &self.executor.stores.sites;
        for setting in self.sites.iter() {
            let Some(entry) = sites.get(setting.name.as_str()) else {
                match sites.create(&Site::new(setting.name.clone(), setting.title.clone())).await {
                    Ok(_) | Err(WriteError::Exists { .. }) => continue,
                    Err(error) => return Err(error),
                }
            };
            let mut site = entry.value.clone();
            site.apply(Change::Called(setting.title.clone()), clock::now());
            if site != entry.value {
                sites.update(&site, entry.revision).await?;
            }
        }
        Ok(())
    }

    /// Asks every known node; who does not answer within the bound is silent.
    async fn listen(&self) {
        let mut asked = JoinSet::new();
        for entry in self.executor.stores.nodes.snapshot().values() {
            let (executor, node) = (self.executor.clone(), entry.value.name.clone());
            asked.spawn(async move { executor.listen(&node).await });
        }
        let all = async { while asked.join_next().await.is_some() {} };
        if tokio::time::timeout(LISTENING, all).await.is_err() {
            // What they say later is taken in all the same.
            asked.detach_all();
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
