//! What becomes of this node's servers when nobody hears it any more.
//!
//! ```text
//!  facts (asking) ──▶ scheduler ──▶ hold ──▶ journal (fsync) ──▶ lease
//!                                                                 │ runs out
//!                        watchdog ◀── kicked while ──┐            ▼
//!                                                  sentinel ──▶ shut down ──▶ forced off
//! ```
//!
//! The rules are the model's ([`watari_model::isolation`]). Servers whose policy is `keep` are no concern of this
//! module. The sentinel asks nobody whether it may stop one: it goes past orders and past whatever is under way, since
//! somebody counts on it that nothing runs any more.

mod halt;
mod lessee;
mod watchdog;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::time::MissedTickBehavior;
use watari_chassis::{CancellationToken, Pulse, clock};
use watari_contracts::agent::{Domain, Guard, Guarded};
use watari_model::isolation::{Duty, Lease};

pub use lessee::Lessee;

use crate::{
    actor::{Book, Ward},
    agent::Agent,
    facts::Urgency,
    node::Node,
};
use watchdog::Watchdog;

/// Between two looks at the lease: what is late by it is in the time that stopping may take.
const TICK: Duration = Duration::from_millis(500);
/// Where the kernel tells of its watchdogs.
const WATCHDOGS: &str = "/sys/class/watchdog";

/// Stops servers when the lease has run out. There is one an agent.
pub struct Sentinel {
    agent: Agent,
    watchdog: Option<Watchdog>,
    /// What was told last of a watchdog that cannot be used.
    complaint: String,
    /// When each guest was last asked to shut down, by UUID, on the boot clock in milliseconds.
    asked: HashMap<String, u64>,
    /// Since when the lease has held without a break.
    held_since: Option<u64>,
    /// What was to be stopped at the last look.
    known: Vec<(Arc<Book>, Ward)>,
}

impl Sentinel {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(agent: Agent) -> Self {
        let (complaint, asked) = (String::new(), HashMap::new());
        Self { agent, watchdog: None, complaint, asked, held_since: None, known: Vec::new() }
    }

    async fn wards(&mut self) -> Vec<(Arc<Book>, Ward)> {
        self.known = self.agent.wards(&self.known).await;
        self.known.clone()
    }

    fn node(&self) -> &Arc<Node> {
        self.agent.node()
    }

    /// Tells which servers would be stopped, by which the node asks for a lease. To be called before the first facts:
    /// those that are stopped by nobody are counted on by nobody.
    pub async fn tell(&mut self) {
        let wards = self.wards().await;
        self.arm(&wards);
        self.tell_of(&wards);
    }

    /// Looks until shutdown.
    pub async fn run(mut self, shutdown: &CancellationToken, pulse: &Pulse) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.rests();
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = tick.tick() => {}
            }
            pulse.begins();
            self.step().await;
        }
        // Whoever leaves servers behind that would have to be stopped leaves the watchdog to bite.
        let alive = self.wards().await.iter().any(|(_, ward)| ward.granted && !ward.domain.is_off());
        if let Some(watchdog) = self.watchdog.take().filter(|_| !alive) {
            watchdog.release();
        }
    }

    async fn step(&mut self) {
        let wards = self.wards().await;
        self.arm(&wards);
        self.tell_of(&wards);
        let (lease, now) = (self.node().lease.now(), clock::boot_millis());
        let all_stopped = match lease.duty(now) {
            Duty::RunOn => {
                self.forgive(&wards, now).await;
                false
            }
            duty => self.stop(&wards, duty, now).await,
        };
        self.kick(lease, all_stopped);
    }

    fn tell_of(&self, wards: &[(Arc<Book>, Ward)]) {
        let node = self.node();
        if wards.is_empty() {
            return node.facts.set_guard(None);
        }
        // Nobody may count on what the node has no lease for, nor on one that may be about to start.
        let promised = node.lease.now().is_promised();
        let here = |ward: &Ward| ward.stopped || (promised && !ward.domain.is_off());
        let told = wards.iter().filter(|(_, ward)| ward.granted && here(ward));
        let vms: BTreeMap<_, _> = told
            .map(|(book, ward)| (book.vm.clone(), Guarded { generation: ward.generation, stopped: ward.stopped }))
            .collect();
        let (terms, watchdog) = (node.lease.terms(), self.watchdog.is_some());
        node.facts.set_guard(Some(Guard { terms, watchdog, vms }));
    }

    /// Stops what still runs; whether nothing does.
    async fn stop(&mut self, wards: &[(Arc<Book>, Ward)], duty: Duty, now: u64) -> bool {
        self.held_since = None;
        let again_ms = self.node().settings.bounds.press_again_seconds.saturating_mul(1_000);
        let mut halts = Vec::new();
        for (book, ward) in wards.iter().filter(|(_, ward)| ward.granted) {
            let due = self.asked.get(&ward.uuid).is_none_or(|at| now.saturating_sub(*at) >= again_ms);
            if due {
                self.asked.insert(ward.uuid.clone(), now);
            }
            halts.push(halt::halt(book, ward, duty, due));
        }
        futures_util::future::join_all(halts).await.into_iter().all(|stopped| stopped)
    }

    /// The lease holds. A guest that was asked to shut down and has not done so in all the time that it had goes off by
    /// its own users' wish from now on.
    async fn forgive(&mut self, wards: &[(Arc<Book>, Ward)], now: u64) {
        self.asked.clear();
        let since = *self.held_since.get_or_insert(now);
        if now.saturating_sub(since) <= self.node().lease.terms().stop_ms {
            return;
        }
        // One that stands still was not even asked, and is neither told of nor let go on before it is forgiven.
        let lives = |ward: &Ward| ward.domain == Domain::Running || ward.still;
        for (book, ward) in wards.iter().filter(|(_, ward)| ward.stopped && lives(ward)) {
            // Unwritten it is tried again with the next look, which waits for no disk.
            let forgiven = book.amend(&ward.uuid, Urgency::Soon, |record| record.isolated = None);
            if tokio::time::timeout(TICK, forgiven).await.is_err() {
                return;
            }
        }
    }

    /// The watchdog runs only while there is something that it would have to stop.
    fn arm(&mut self, wards: &[(Arc<Book>, Ward)]) {
        let node = Arc::clone(self.node());
        let device = &node.settings.isolation.watchdog;
        if device.as_os_str().is_empty() {
            return;
        }
        if !wards.iter().any(|(_, ward)| ward.granted) {
            if let Some(watchdog) = self.watchdog.take() {
                watchdog.release();
            }
        } else if self.watchdog.is_none() {
            // To set it going is a kick as well: an agent that is started again and again must not put off what is due.
            let left_ms = node.lease.now().stopped_by().map(|by| by.saturating_sub(clock::boot_millis()));
            let most_ms = node.lease.terms().stop_ms.min(left_ms.unwrap_or(u64::MAX));
            match Watchdog::open(device, Path::new(WATCHDOGS), most_ms) {
                Ok(watchdog) => self.watchdog = Some(watchdog),
                Err(error) if node.lease.holds() && error.to_string() != self.complaint => {
                    tracing::error!(device = %device.display(), %error, "the watchdog cannot be used");
                    self.complaint = error.to_string();
                }
                Err(_) => {}
            }
        }
    }

    fn kick(&mut self, lease: Lease, all_stopped: bool) {
        let Some(watchdog) = &mut self.watchdog else { return };
        if !lease.may_kick(clock::boot_millis(), watchdog.timeout_ms(), all_stopped) {
            tracing::error!("servers are not stopped in time; the watchdog is left to reset this node");
        } else if let Err(error) = watchdog.kick() {
            tracing::error!(%error, "the watchdog takes no kick");
        }
    }
}
