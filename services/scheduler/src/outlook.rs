//! Looking at the outages that are scheduled, beside the scheduler's own loop and only in the process that
//! leads: who could not leave is written into the outage's document when it changes, which is the event that
//! people see, and shown in the metrics, together with what would become of each site if it were emptied now. A plan
//! costs time where there are many servers, so that one is made only when something has changed, and rarely. How far
//! what is under way is, is shown at each look.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::spawn_blocking};
use watari_chassis::{Leadership, Wake, WriteError, clock, looper};
use watari_model::outage::{Change, Outage};

use crate::{
    core::{Outlook, Rules, Snapshot, outlooks, progress, projects, readiness, traffic},
    doing::Executor,
};

/// How often, and how often at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How often it is looked whether anything has changed.
    pub(crate) tick: Duration,
    /// The least milliseconds between two plans.
    pub(crate) every_ms: u64,
}

struct Lookout {
    executor: Executor,
    rules: Arc<Rules>,
    leadership: watch::Receiver<Leadership>,
    pace: Pace,
    last: Mutex<Option<Look>>,
}

/// The last plans, and what they were made from.
struct Look {
    /// When, on the clock that never jumps.
    at: u64,
    epoch: u64,
    documents: Snapshot,
}

/// Looks until the process ends. `leadership` is that of a tenure that has begun in earnest.
pub(crate) async fn keep_looking(
    executor: Executor,
    rules: Arc<Rules>,
    leadership: watch::Receiver<Leadership>,
    pace: Pace,
) {
    let ctx = executor.ctx.clone();
    let lookout = Arc::new(Lookout { executor, rules, leadership, pace, last: Mutex::default() });
    let step = || {
        let lookout = Arc::clone(&lookout);
        async move { lookout.turn().await }
    };
    looper::run(&ctx, "outlook", Wake::new(), pace.tick, step).await;
}

impl Lookout {
    async fn turn(&self) -> Result<(), WriteError> {
        let epoch = self.leadership.borrow().epoch();
        let Some(epoch) = epoch else {
            self.executor.metrics.forget();
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Ok(());
        };
        let documents = self.executor.stores.snapshot();
        self.executor.metrics.count_outages(&documents);
        self.executor.metrics.quotas.show(&self.executor.stores.projects.snapshot(), projects::used(&documents));
        self.show_what_is_under_way(&documents);
        if !self.is_due(&documents, epoch) {
            return Ok(());
        }
        let at = clock::boot_millis();
        let Some(seen) = self.look_ahead().await else { return Ok(()) };
        for outlook in &seen {
            if let Some(news) = outlook.news() {
                self.note(outlook, news, epoch).await?;
            }
        }
        // What was not written is looked at again.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Look { at, epoch, documents });
        Ok(())
    }

    /// Foresees what is scheduled, and what would be if it came now. Plans for many servers take long, and what else this
    /// process does goes on meanwhile. None if they could not be made.
    async fn look_ahead(&self) -> Option<Vec<Outlook>> {
        let (view, rules, now) = (self.executor.view(), Arc::clone(&self.rules), clock::now());
        let looking = spawn_blocking(move || (outlooks(&view, &rules, now), readiness(&view, &rules, now)));
        let (seen, ready) = looking.await.ok()?;
        let metrics = &self.executor.metrics;
        metrics.outlooks(&seen);
        metrics.standing.readiness(&ready);
        Some(seen)
    }

    /// At each look, since people watch an evacuation while it goes on: it costs a pass over the documents.
    fn show_what_is_under_way(&self, documents: &Snapshot) {
        // What the agents say is looked at only while something travels.
        let is_moving = documents.migrations.values().any(|entry| !entry.value.state.over());
        let view = is_moving.then(|| self.executor.view());
        let (seen, standing) = (view.as_ref().unwrap_or(documents), &self.executor.metrics.standing);
        standing.in_hand(self.executor.memory.in_hand());
        standing.traffic(&traffic(seen));
        standing.progress(&progress(seen, &self.rules, clock::now()));
    }

    fn is_due(&self, documents: &Snapshot, epoch: u64) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_none_or(|last| {
            let rested = clock::boot_millis().saturating_sub(last.at) >= self.pace.every_ms;
            last.epoch != epoch || (rested && !same(&last.documents, documents))
        })
    }

    async fn note(&self, outlook: &Outlook, news: Change, epoch: u64) -> Result<(), WriteError> {
        let entry = &outlook.outage;
        let mut outage = entry.value.clone();
        if outage.apply(news, clock::now()).is_err() || !self.executor.leads(epoch) {
            return Ok(());
        }
        match self.executor.stores.outages.update(&outage, entry.revision).await {
            Ok(_) => tell(&entry.value, &outage),
            // Somebody was faster: what is there now is looked at next.
            Err(WriteError::Exists { .. } | WriteError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Says what of it is another than it was.
fn tell(before: &Outage, outage: &Outage) {
    let id = outage.id.as_str();
    if outage.at_risk != before.at_risk {
        if outage.at_risk.is_empty() {
            tracing::info!(outage = id, "as things are, every server that runs could leave");
        }
        for left in &outage.at_risk {
            let (vm, code, why) = (left.vm.as_str(), left.fault.code(), left.fault.english());
            tracing::warn!(outage = id, vm, code, cause = why.cause, remedy = why.remedy, "it could not leave");
        }
    }
    if outage.warned != before.warned {
        for left in &outage.warned {
            let (vm, code, why) = (left.vm.as_str(), left.fault.code(), left.fault.english());
            tracing::info!(outage = id, vm, code, cause = why.cause, remedy = why.remedy, "it could leave, but");
        }
    }
}

/// Whether nothing was written in between: a copy that has not changed is the same copy.
fn same(a: &Snapshot, b: &Snapshot) -> bool {
    Arc::ptr_eq(&a.vms, &b.vms)
        && Arc::ptr_eq(&a.migrations, &b.migrations)
        && Arc::ptr_eq(&a.outages, &b.outages)
        && Arc::ptr_eq(&a.sites, &b.sites)
        && Arc::ptr_eq(&a.nodes, &b.nodes)
        && Arc::ptr_eq(&a.networks, &b.networks)
        && Arc::ptr_eq(&a.images, &b.images)
}
