//! What the agent tells: the facts of all its servers in one message, at once when something
//! that somebody waits for has happened, within 10 ms of any other change, and every few seconds.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use watari_chassis::{Bus, CancellationToken, clock};
use watari_contracts::{
    agent::{Domain, Guard, Layer, NodeFacts, Phase, VmFact},
    subjects,
};
use watari_model::{NodeName, SiteName, VmName};

/// Changes that come closer together are told together.
const GATHER: Duration = Duration::from_millis(10);
/// While bytes travel, their figures are told this often.
const WHILE_COPYING: Duration = Duration::from_secs(1);
/// A bus that does not take a message for so long is away; the next report has everything again.
const BUS_TAKES: Duration = Duration::from_secs(1);
/// So many times within one lease another one is asked for.
const ASKS_IN_A_LEASE: u64 = 4;
/// Of so many reports it is known when they asked for a lease.
const ASKINGS_KEPT: usize = 64;

/// How soon a change is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Now: a decision waits for it.
    Now,
    /// Together with others.
    Soon,
    /// With the next report.
    Whenever,
}

/// One server's fact, and the moment from which its `paused_ms` is counted when it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The fact.
    pub fact: VmFact,
    /// On the boot clock in milliseconds: when the processors of a source that is gone stopped.
    pub stopped_at: Option<u64>,
}

impl Entry {
    /// The fact as of now.
    #[must_use]
    pub fn now(&self) -> VmFact {
        let mut fact = self.fact.clone();
        if let (Some(passage), Some(stopped_at)) = (&mut fact.passage, self.stopped_at) {
            passage.paused_ms = Some(clock::boot_millis().saturating_sub(stopped_at));
        }
        fact
    }
}

/// What is asked for with each report, and when that was done.
#[derive(Default)]
struct Asking {
    guard: Option<Guard>,
    /// Numbers of reports, and the moments before they were sent, on the boot clock in milliseconds.
    moments: VecDeque<(u64, u64)>,
}

/// Gathers facts and publishes them.
pub struct Facts {
    node: NodeName,
    site: SiteName,
    instance: String,
    entries: Mutex<BTreeMap<VmName, Entry>>,
    layers: Mutex<BTreeMap<String, Vec<Layer>>>,
    asking: Mutex<Asking>,
    epoch: AtomicU64,
    answers: AtomicBool,
    seq: AtomicU64,
    /// The number of the last report that the bus has taken.
    taken: watch::Sender<u64>,
    urgent: AtomicBool,
    wake: Notify,
}

impl Facts {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(node: NodeName, site: SiteName, instance: String) -> Self {
        Self {
            node,
            site,
            instance,
            entries: Mutex::default(),
            layers: Mutex::default(),
            asking: Mutex::default(),
            epoch: AtomicU64::new(0),
            answers: AtomicBool::new(false),
            seq: AtomicU64::new(0),
            taken: watch::Sender::new(0),
            urgent: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Notes what is known of one server; nothing if there is nothing to know. What is known
    /// already is not told again.
    pub fn set(&self, vm: &VmName, entry: Option<Entry>, urgency: Urgency) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match entry {
            Some(entry) => entries.insert(vm.clone(), entry.clone()).as_ref() != Some(&entry),
            None => entries.remove(vm).is_some(),
        };
        drop(entries);
        if changed {
            self.tell(urgency);
        }
    }

    /// Waits until what is known now has been told, but not for a bus that is away.
    pub async fn told(&self) {
        let mut taken = self.taken.subscribe();
        let last = self.seq.load(Ordering::Acquire);
        self.tell(Urgency::Now);
        let _ = tokio::time::timeout(BUS_TAKES, taken.wait_for(|seq| *seq > last)).await;
    }

    fn tell(&self, urgency: Urgency) {
        match urgency {
            Urgency::Now => {
                self.urgent.store(true, Ordering::Release);
                self.wake.notify_one();
            }
            Urgency::Soon => self.wake.notify_one(),
            Urgency::Whenever => {}
        }
    }

    /// Notes which layers are kept for servers elsewhere, by the servers' UUIDs.
    pub fn set_layers(&self, layers: BTreeMap<String, Vec<Layer>>) {
        let mut known = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != layers {
            *known = layers;
            drop(known);
            self.tell(Urgency::Soon);
        }
    }

    /// Notes that a lease is asked for from now on, or that none is needed.
    pub fn set_guard(&self, guard: Option<Guard>) {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if asking.guard != guard {
            asking.guard = guard;
            drop(asking);
            self.tell(Urgency::Soon);
        }
    }

    /// When a lease was asked for with the report of that number, on the boot clock in milliseconds, if this start of the
    /// agent did so lately.
    #[must_use]
    pub fn asked_at(&self, instance: &str, seq: u64) -> Option<u64> {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = asking.moments.iter().find(|(number, _)| *number == seq);
        asked.filter(|_| instance == self.instance).map(|(_, at)| *at)
    }

    /// What the report of this number asks for. The moment comes before its being sent.
    fn ask(&self, seq: u64) -> Option<Guard> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = asking.guard.clone()?;
        if asking.moments.len() >= ASKINGS_KEPT {
            asking.moments.pop_front();
        }
        asking.moments.push_back((seq, clock::boot_millis()));
        Some(guard)
    }

    /// The longest pause between two reports.
    fn pause(&self, interval: Duration) -> Duration {
        let pause = if self.is_copying() { WHILE_COPYING.min(interval) } else { interval };
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let lease_ms = asking.guard.as_ref().map(|guard| guard.terms.lease_ms);
        lease_ms.map_or(pause, |lease_ms| pause.min(Duration::from_millis(lease_ms / ASKS_IN_A_LEASE)))
    }

    /// Notes the highest epoch seen.
    pub fn set_epoch(&self, epoch: u64) {
        if self.epoch.fetch_max(epoch, Ordering::AcqRel) < epoch {
            self.tell(Urgency::Soon);
        }
    }

    /// Notes whether libvirt answers.
    pub fn set_answers(&self, answers: bool) {
        if self.answers.swap(answers, Ordering::AcqRel) != answers {
            self.tell(Urgency::Soon);
        }
    }

    /// Whether libvirt answered when it was last asked.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.answers.load(Ordering::Acquire)
    }

    /// One server's fact, if there is anything to tell of it.
    #[must_use]
    pub fn of(&self, vm: &VmName) -> Option<VmFact> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(vm).map(Entry::now)
    }

    /// The facts of those servers that run here under a grant.
    #[must_use]
    pub fn running(&self) -> Vec<VmFact> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = |entry: &&Entry| entry.fact.granted && entry.fact.domain == Domain::Running;
        entries.values().filter(runs).map(|entry| entry.fact.clone()).collect()
    }

    /// All of it. Each is counted.
    #[must_use]
    pub fn all(&self) -> NodeFacts {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has the higher number has seen no less.
        let seq = self.seq.fetch_add(1, Ordering::AcqRel) + 1;
        let guard = self.ask(seq);
        NodeFacts {
            node: self.node.clone(),
            site: self.site.clone(),
            instance: self.instance.clone(),
            seq,
            epoch: self.epoch.load(Ordering::Acquire),
            hypervisor_answers: self.answers(),
            at: clock::now(),
            vms: entries.iter().map(|(vm, entry)| (vm.clone(), entry.now())).collect(),
            layers: self.layers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            guard,
        }
    }

    /// Whether a server is on its way to another node.
    #[must_use]
    pub fn is_copying(&self) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.values().any(|e| e.fact.passage.as_ref().is_some_and(|p| p.phase == Phase::Copying))
    }

    /// Publishes until shutdown.
    pub async fn publish(&self, bus: &Bus, interval: Duration, shutdown: &CancellationToken) {
        let subject = subjects::fact(&self.site, &self.node);
        let mut connected = bus.connected();
        let mut last = Instant::now();
        loop {
            let due = last + self.pause(interval);
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(due) => {}
                // Who comes back hears everything at once.
                Ok(()) = connected.changed() => {}
            }
            while !self.urgent.load(Ordering::Acquire) && last.elapsed() < GATHER {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(last + GATHER) => {}
                }
            }
            self.urgent.store(false, Ordering::Release);
            last = Instant::now();
            let report = self.all();
            match tokio::time::timeout(BUS_TAKES, bus.publish_json(&subject, &report)).await {
                Ok(Ok(())) => drop(self.taken.send_replace(report.seq)),
                Ok(Err(error)) => tracing::debug!(%error, "facts not published; the next report has them"),
                Err(_) => tracing::debug!("the bus takes no facts; the next report has them"),
            }
        }
    }
}
