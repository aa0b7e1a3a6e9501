//! What the scheduler counts. Names are constants, so that alerts can be checked against them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use watari_chassis::{
    clock,
    prometheus::{self, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry},
};
use watari_model::migration::{Migration, State};

use crate::core::Snapshot;

/// Actions done, by verb and outcome.
pub const ACTIONS: &str = "watari_scheduler_actions_total";
/// Alarms told: what should not be, and is left alone.
pub const ALARMS: &str = "watari_scheduler_alarms_total";
/// Servers by state.
pub const VMS: &str = "watari_scheduler_vms";
/// Migrations ended, by how.
pub const MIGRATIONS: &str = "watari_scheduler_migrations_total";
/// How long an arrived copy stood paused until it was resumed: the price of the paused protocol.
pub const PAUSE_SECONDS: &str = "watari_scheduler_migration_pause_seconds";
/// How long a server stood still by QEMU's account.
pub const DOWNTIME_SECONDS: &str = "watari_scheduler_migration_downtime_seconds";
/// How long deciding takes.
pub const DECIDE_SECONDS: &str = "watari_scheduler_decide_seconds";

/// What must last so long before it is told; a document may be younger than a fact.
const ALARM_AFTER_MS: u64 = 10_000;
/// The same alarm is not told more often.
const ALARM_EVERY_MS: u64 = 60_000;

/// The handles. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Metrics {
    actions: IntCounterVec,
    alarms: IntCounter,
    vms: IntGaugeVec,
    migrations: IntCounterVec,
    pause: Histogram,
    downtime: Histogram,
    pub(crate) decide: Histogram,
    told: Arc<Mutex<HashMap<String, Alarm>>>,
}

struct Alarm {
    first: u64,
    last: u64,
    told: Option<u64>,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let short = || vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];
        let histogram = |name, help| Histogram::with_opts(HistogramOpts::new(name, help).buckets(short()));
        let this = Self {
            actions: IntCounterVec::new(Opts::new(ACTIONS, "Actions done"), &["verb", "outcome"])?,
            alarms: IntCounter::new(ALARMS, "Alarms told")?,
            vms: IntGaugeVec::new(Opts::new(VMS, "Servers by state"), &["state"])?,
            migrations: IntCounterVec::new(Opts::new(MIGRATIONS, "Migrations ended"), &["end"])?,
            pause: histogram(PAUSE_SECONDS, "Extra pause of the switch-over")?,
            downtime: histogram(DOWNTIME_SECONDS, "Downtime by QEMU's account")?,
            decide: histogram(DECIDE_SECONDS, "Time of deciding")?,
            told: Arc::default(),
        };
        registry.register(Box::new(this.actions.clone()))?;
        registry.register(Box::new(this.alarms.clone()))?;
        registry.register(Box::new(this.vms.clone()))?;
        registry.register(Box::new(this.migrations.clone()))?;
        registry.register(Box::new(this.pause.clone()))?;
        registry.register(Box::new(this.downtime.clone()))?;
        registry.register(Box::new(this.decide.clone()))?;
        Ok(this)
    }

    pub(crate) fn action(&self, verb: &str, outcome: &str) {
        self.actions.with_label_values(&[verb, outcome]).inc();
    }

    /// Counts servers by state.
    pub(crate) fn count(&self, snap: &Snapshot) {
        let mut counts: HashMap<&str, i64> = HashMap::new();
        for entry in snap.vms.values() {
            *counts.entry(entry.value.state.word()).or_default() += 1;
        }
        self.vms.reset();
        for (state, count) in counts {
            self.vms.with_label_values(&[state]).set(count);
        }
    }

    /// Counts a migration that has just ended.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a pause")]
    pub(crate) fn migration(&self, migration: &Migration) {
        if !migration.state.over() {
            return;
        }
        self.migrations.with_label_values(&[migration.state.word()]).inc();
        if let (State::Completed, Some(measured)) = (migration.state, migration.measured) {
            self.pause.observe(measured.pause_ms as f64 / 1_000.0);
            self.downtime.observe(measured.downtime_ms as f64 / 1_000.0);
        }
    }

    #[cfg(test)]
    pub(crate) fn knows_alarm(&self, key: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Tells an operator of something that lasts, once a minute.
    pub(crate) fn alarm(&self, key: &str, text: &str) {
        let now = clock::boot_millis();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, alarm| now.saturating_sub(alarm.last) < ALARM_EVERY_MS);
        let alarm = told.entry(key.to_owned()).or_insert(Alarm { first: now, last: now, told: None });
        alarm.last = now;
        let lasts = now.saturating_sub(alarm.first) >= ALARM_AFTER_MS;
        let due = alarm.told.is_none_or(|then| now.saturating_sub(then) >= ALARM_EVERY_MS);
        if lasts && due {
            alarm.told = Some(now);
            self.alarms.inc();
            tracing::error!(about = key, "{text}");
        }
    }
}
