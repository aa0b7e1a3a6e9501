//! What the scheduler counts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use watari_chassis::{
    clock,
    prometheus::{self, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry},
};
use watari_model::{
    Refusal,
    migration::{Migration, Reason, State},
    outage::{Outage, State as Standing},
};

use super::{quotas::Quotas, standing::Standing as Standings};
use crate::{
    core::{Outlook, Snapshot},
    metric_names::{
        ACTIONS, ALARMS, DECIDE_SECONDS, DOWNTIME_SECONDS, MIGRATION_BYTES, MIGRATION_SECONDS, MIGRATIONS,
        OUTAGE_BASES, OUTAGE_BEGINS, OUTAGE_ESTIMATED, OUTAGE_POWER_OFF, OUTAGE_REASONS, OUTAGE_SCORE, OUTAGE_SERVERS,
        OUTAGE_WARNINGS, OUTAGES, PAUSE_SECONDS, RELIEFS, VMS, VMS_STILL,
    },
};

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
    vms_still: IntGauge,
    migrations: IntCounterVec,
    reliefs: IntCounterVec,
    outages: IntGaugeVec,
    outage_servers: IntGaugeVec,
    outage_begins: IntGaugeVec,
    outage_power_off: IntGaugeVec,
    outage_estimated: IntGaugeVec,
    outage_bases: IntGaugeVec,
    outage_reasons: IntGaugeVec,
    outage_warnings: IntGaugeVec,
    outage_score: IntGaugeVec,
    pause: Histogram,
    downtime: Histogram,
    bytes: IntCounterVec,
    duration: Histogram,
    pub(crate) decide: Histogram,
    /// What is under way, and what could be.
    pub(crate) standing: Standings,
    /// What projects have, and may have.
    pub(crate) quotas: Quotas,
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
        let gauges = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let histogram = |name, help| Histogram::with_opts(HistogramOpts::new(name, help).buckets(short()));
        // From a small server over a fast link to an hour.
        let long = vec![0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
        let this = Self {
            actions: IntCounterVec::new(Opts::new(ACTIONS, "Actions done"), &["verb", "outcome"])?,
            alarms: IntCounter::new(ALARMS, "Alarms told")?,
            vms: gauges(VMS, "Servers by state", &["state"])?,
            vms_still: IntGauge::new(VMS_STILL, "Servers that are to run and stand still")?,
            outages: gauges(OUTAGES, "Outages by how they stand", &["standing"])?,
            outage_servers: gauges(OUTAGE_SERVERS, "Servers of the next scheduled outage", &["site", "fate"])?,
            outage_begins: gauges(OUTAGE_BEGINS, "When the next scheduled evacuation begins", &["site"])?,
            outage_power_off: gauges(OUTAGE_POWER_OFF, "When the power goes next", &["site"])?,
            outage_estimated: gauges(OUTAGE_ESTIMATED, "How long the next evacuation would take", &["site"])?,
            outage_bases: gauges(OUTAGE_BASES, "Base images that the next evacuation would carry", &["site"])?,
            outage_reasons: gauges(OUTAGE_REASONS, "Servers that could not leave next, and why", &["site", "code"])?,
            outage_warnings: gauges(OUTAGE_WARNINGS, "Servers that could leave next, but", &["site", "code"])?,
            outage_score: gauges(OUTAGE_SCORE, "Of a hundred servers so many could leave next", &["site"])?,
            migrations: IntCounterVec::new(Opts::new(MIGRATIONS, "Migrations ended"), &["end"])?,
            reliefs: IntCounterVec::new(Opts::new(RELIEFS, "Migrations ended that were to relieve a node"), &["end"])?,
            pause: histogram(PAUSE_SECONDS, "Extra pause of the switch-over")?,
            downtime: histogram(DOWNTIME_SECONDS, "Downtime by QEMU's account")?,
            bytes: IntCounterVec::new(Opts::new(MIGRATION_BYTES, "Bytes that travelled"), &["kind"])?,
            duration: Histogram::with_opts(HistogramOpts::new(MIGRATION_SECONDS, "Time of migrations").buckets(long))?,
            decide: histogram(DECIDE_SECONDS, "Time of deciding")?,
            standing: Standings::register(registry)?,
            quotas: Quotas::register(registry)?,
            told: Arc::default(),
        };
        registry.register(Box::new(this.actions.clone()))?;
        registry.register(Box::new(this.alarms.clone()))?;
        registry.register(Box::new(this.vms.clone()))?;
        registry.register(Box::new(this.vms_still.clone()))?;
        registry.register(Box::new(this.migrations.clone()))?;
        registry.register(Box::new(this.reliefs.clone()))?;
        registry.register(Box::new(this.outages.clone()))?;
        for gauges in this.of_next_outages() {
            registry.register(Box::new(gauges.clone()))?;
        }
        registry.register(Box::new(this.pause.clone()))?;
        registry.register(Box::new(this.downtime.clone()))?;
        registry.register(Box::new(this.bytes.clone()))?;
        registry.register(Box::new(this.duration.clone()))?;
        registry.register(Box::new(this.decide.clone()))?;
        // Whoever looks for a rise must find where it rose from.
        for kind in ["memory", "disk"] {
            this.bytes.with_label_values(&[kind]).inc_by(0);
        }
        for end in [State::Completed, State::Failed, State::Cancelled] {
            this.reliefs.with_label_values(&[end.word()]).inc_by(0);
        }
        Ok(this)
    }

    pub(crate) fn action(&self, verb: &str, outcome: &str) {
        self.actions.with_label_values(&[verb, outcome]).inc();
    }

    /// Counts servers by state, and those that stand still.
    pub(crate) fn count(&self, snap: &Snapshot) {
        let (mut counts, mut still): (HashMap<&str, i64>, i64) = (HashMap::new(), 0);
        for entry in snap.vms.values() {
            *counts.entry(entry.value.state.word()).or_default() += 1;
            still += i64::from(matches!(entry.value.fault, Some(Refusal::VmStandsStill { .. })));
        }
        self.vms_still.set(still);
        self.vms.reset();
        for (state, count) in counts {
            self.vms.with_label_values(&[state]).set(count);
        }
    }

    /// Counts outages by how they stand.
    pub(crate) fn count_outages(&self, snap: &Snapshot) {
        let count = |which: fn(&Outage) -> bool| {
            let counted = snap.outages.values().filter(|entry| which(&entry.value)).count();
            i64::try_from(counted).unwrap_or(i64::MAX)
        };
        let show = |standing, count| self.outages.with_label_values(&[standing]).set(count);
        show("proposed", count(Outage::is_proposed));
        show("scheduled", count(|outage| outage.state == Standing::Scheduled && !outage.is_proposed()));
        show("under-way", count(|outage| outage.state.is_under_way() && outage.paused_at.is_none()));
        show("paused", count(|outage| outage.paused_at.is_some()));
    }

    fn of_next_outages(&self) -> [&IntGaugeVec; 8] {
        [
            &self.outage_servers,
            &self.outage_begins,
            &self.outage_power_off,
            &self.outage_estimated,
            &self.outage_bases,
            &self.outage_reasons,
            &self.outage_warnings,
            &self.outage_score,
        ]
    }

    /// Whoever does not lead shows none: what it knew is of another day.
    pub(crate) fn forget(&self) {
        self.vms.reset();
        self.vms_still.set(0);
        self.outages.reset();
        self.of_next_outages().into_iter().for_each(IntGaugeVec::reset);
        self.standing.forget();
        self.quotas.forget();
    }

    /// Shows the next scheduled outage of each site as it would go now.
    pub(crate) fn outlooks(&self, outlooks: &[Outlook]) {
        let number = |counted: usize| i64::try_from(counted).unwrap_or(i64::MAX);
        self.of_next_outages().into_iter().for_each(IntGaugeVec::reset);
        // The soonest comes first; where a site has several, it is shown last and stays.
        for outlook in outlooks.iter().rev() {
            let site = outlook.site.as_str();
            for (fate, counted) in outlook.fates.named() {
                self.outage_servers.with_label_values(&[site, fate]).set(number(counted));
            }
            self.outage_score.with_label_values(&[site]).set(i64::try_from(outlook.fates.score()).unwrap_or(i64::MAX));
            self.outage_begins.with_label_values(&[site]).set(outlook.begins_at.0.unix_timestamp());
            self.outage_power_off.with_label_values(&[site]).set(outlook.window.from.0.unix_timestamp());
            // Those of another outage of the site are the same.
            for (code, counted) in &outlook.reasons {
                self.outage_reasons.with_label_values(&[site, *code]).set(number(*counted));
            }
            for (code, counted) in &outlook.warnings {
                self.outage_warnings.with_label_values(&[site, *code]).set(number(*counted));
            }
            let base_bytes = i64::try_from(outlook.base_bytes).unwrap_or(i64::MAX);
            self.outage_bases.with_label_values(&[site]).set(base_bytes);
            if let Some(millis) = outlook.estimated_ms {
                let seconds = i64::try_from(millis.div_ceil(1_000)).unwrap_or(i64::MAX);
                self.outage_estimated.with_label_values(&[site]).set(seconds);
            }
        }
    }

    /// Counts a migration that has just ended.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a pause")]
    pub(crate) fn migration(&self, migration: &Migration) {
        if !migration.state.over() {
            return;
        }
        self.migrations.with_label_values(&[migration.state.word()]).inc();
        if migration.reason == Reason::Relief {
            self.reliefs.with_label_values(&[migration.state.word()]).inc();
        }
        if let (State::Completed, Some(measured)) = (migration.state, migration.measured) {
            self.pause.observe(measured.pause_ms as f64 / 1_000.0);
            self.downtime.observe(measured.downtime_ms as f64 / 1_000.0);
            self.duration.observe(measured.total_ms as f64 / 1_000.0);
            self.bytes.with_label_values(&["memory"]).inc_by(measured.memory_bytes);
            self.bytes.with_label_values(&["disk"]).inc_by(measured.disk_bytes);
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

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use watari_chassis::{Entry, prometheus::TextEncoder};
    use watari_model::{
        Timestamp,
        outage::{Scope, Window},
    };

    use super::*;
    use crate::core::{Rules, outlooks};

    #[test]
    fn the_soonest_outage_of_a_site_is_shown_until_the_process_leads_no_more() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let shown = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let now = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let mut snap = Snapshot::default();
        for (id, hour) in [("myodaiji-1", 90), ("myodaiji-2", 30)] {
            let window = Window { from: now.plus_millis(hour * 3_600_000), until: now.plus_millis(100 * 3_600_000) };
            let scope = Scope::Site("myodaiji".parse().unwrap());
            let value = Outage::scheduled(id.parse().unwrap(), scope, window, String::new(), String::new(), now);
            let entry = Entry { value, revision: 1, created: now };
            Arc::make_mut(&mut snap.outages).insert(id.to_owned(), Arc::new(entry));
        }
        let (id, scope) = ("yamate-1".parse().unwrap(), Scope::Site("yamate".parse().unwrap()));
        let value = Outage::proposed(id, scope, String::new(), String::new(), now);
        Arc::make_mut(&mut snap.outages)
            .insert("yamate-1".to_owned(), Arc::new(Entry { value, revision: 1, created: now }));
        metrics.count_outages(&snap);
        let mut seen = outlooks(&snap, &Rules::default(), now);
        seen[0].warnings.insert("outage.too-busy", 2);
        metrics.outlooks(&seen);
        let text = shown();
        for line in [
            "watari_scheduler_outages{standing=\"scheduled\"} 2",
            "watari_scheduler_outages{standing=\"paused\"} 0",
            "watari_scheduler_outages{standing=\"proposed\"} 1",
            "watari_scheduler_outage_servers{fate=\"stays\",site=\"myodaiji\"} 0",
            "watari_scheduler_outage_readiness_score{site=\"myodaiji\"} 100",
            "watari_scheduler_outage_warned_servers{code=\"outage.too-busy\",site=\"myodaiji\"} 2",
            "watari_scheduler_outage_begins_timestamp_seconds{site=\"myodaiji\"} 104400",
            "watari_scheduler_outage_power_off_timestamp_seconds{site=\"myodaiji\"} 108000",
            "watari_scheduler_outage_base_bytes{site=\"myodaiji\"} 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing:\n{text}");
        }
        assert!(!text.contains(OUTAGE_ESTIMATED), "nothing has travelled yet");
        metrics.count(&snap);
        metrics.forget();
        assert!(!shown().contains("watari_scheduler_outage") && !shown().contains(VMS), "{}", shown());
    }
}
