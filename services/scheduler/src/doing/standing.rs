//! What is shown of what is under way and of what could be, as `core/progress.rs` sees it.

use watari_chassis::{
    metrics::added,
    prometheus::{self, IntGauge, IntGaugeVec, Opts, Registry},
};
use watari_model::outage::State;

use crate::{
    core::{Progress, Readiness, Traffic, UNDER_WAY},
    metric_names::{
        ACTIONS_IN_HAND, EVACUATION_LEFT, EVACUATION_POWER_OFF, EVACUATION_SERVERS, MIGRATIONS_UNDER_WAY, READY_SCORE,
        READY_SECONDS, READY_SERVERS, SITE_STATE, TRANSFER_BYTES, TRANSFER_DIRTIED, TRANSFER_RATE,
    },
};

/// Each with its word; no state of an outage is how an active site stands.
const STANDINGS: [(&str, Option<State>); 4] = [
    ("active", None),
    ("evacuating", Some(State::Evacuating)),
    ("evacuated", Some(State::Evacuated)),
    ("returning", Some(State::Returning)),
];

/// The handles. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Standing {
    in_hand: IntGauge,
    migrations: IntGaugeVec,
    bytes: IntGaugeVec,
    rate: IntGauge,
    dirtied: IntGauge,
    site: IntGaugeVec,
    servers: IntGaugeVec,
    left: IntGaugeVec,
    power_off: IntGaugeVec,
    ready_servers: IntGaugeVec,
    ready_score: IntGaugeVec,
    ready_seconds: IntGaugeVec,
}

impl Standing {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges =
            |name: &str, help: &str, labels: &[&str]| added(registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
        let gauge = |name: &str, help: &str| added(registry, IntGauge::new(name, help)?);
        Ok(Self {
            in_hand: gauge(ACTIONS_IN_HAND, "Actions that are being done")?,
            migrations: gauges(MIGRATIONS_UNDER_WAY, "Migrations that are not over", &["state"])?,
            bytes: gauges(TRANSFER_BYTES, "Bytes of the migrations that copy", &["which"])?,
            rate: gauge(TRANSFER_RATE, "How fast they send")?,
            dirtied: gauge(TRANSFER_DIRTIED, "How fast their servers write to memory")?,
            site: gauges(SITE_STATE, "1 for how a site stands", &["site", "state"])?,
            servers: gauges(
                EVACUATION_SERVERS,
                "Servers of a site's outage by how far they are",
                &["site", "progress"],
            )?,
            left: gauges(EVACUATION_LEFT, "How long leaving a site still takes", &["site"])?,
            power_off: gauges(EVACUATION_POWER_OFF, "When the power of a site that is left goes", &["site"])?,
            ready_servers: gauges(READY_SERVERS, "Servers of a site if it were emptied now", &["site", "fate"])?,
            ready_score: gauges(READY_SCORE, "Of a hundred servers of a site so many could leave now", &["site"])?,
            ready_seconds: gauges(READY_SECONDS, "How long emptying a site would take now", &["site"])?,
        })
    }

    /// Whoever does not lead shows none.
    pub(super) fn forget(&self) {
        for gauges in [
            &self.migrations,
            &self.bytes,
            &self.site,
            &self.servers,
            &self.left,
            &self.power_off,
            &self.ready_servers,
            &self.ready_score,
            &self.ready_seconds,
        ] {
            gauges.reset();
        }
        for gauge in [&self.in_hand, &self.rate, &self.dirtied] {
            gauge.set(0);
        }
    }

    /// Shows how much is being done.
    pub(crate) fn in_hand(&self, actions: usize) {
        self.in_hand.set(number(actions));
    }

    /// Shows what travels.
    pub(crate) fn traffic(&self, traffic: &Traffic) {
        for (state, count) in UNDER_WAY.iter().zip(traffic.counts) {
            self.migrations.with_label_values(&[state.word()]).set(bytes(count));
        }
        self.bytes.with_label_values(&["sent"]).set(bytes(traffic.sent));
        self.bytes.with_label_values(&["left"]).set(bytes(traffic.left));
        self.rate.set(bytes(traffic.rate));
        self.dirtied.set(bytes(traffic.dirty_rate));
    }

    /// Shows how far outages are.
    pub(crate) fn progress(&self, all: &[Progress]) {
        for one in all {
            let site = one.site.as_str();
            for (word, state) in STANDINGS {
                self.site.with_label_values(&[site, word]).set(i64::from(state == one.state));
            }
            let counts =
                [("moved", one.moved), ("moving", one.moving), ("waiting", one.waiting), ("failed", one.failed)];
            for (progress, counted) in counts {
                self.servers.with_label_values(&[site, progress]).set(number(counted));
            }
            known(&self.left, site, one.left_ms.map(seconds));
            known(&self.power_off, site, one.power_off_at.map(|at| at.0.unix_timestamp()));
        }
    }

    /// Shows what would become of sites.
    pub(crate) fn readiness(&self, all: &[Readiness]) {
        for one in all {
            let site = one.site.as_str();
            for (fate, counted) in one.fates.named() {
                self.ready_servers.with_label_values(&[site, fate]).set(number(counted));
            }
            self.ready_score.with_label_values(&[site]).set(bytes(one.fates.score()));
            known(&self.ready_seconds, site, one.estimated_ms.map(seconds));
        }
    }
}

fn bytes(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn number(counted: usize) -> i64 {
    i64::try_from(counted).unwrap_or(i64::MAX)
}

fn seconds(millis: u64) -> i64 {
    bytes(millis.div_ceil(1_000))
}

fn known(gauge: &IntGaugeVec, site: &str, value: Option<i64>) {
    match value {
        Some(value) => gauge.with_label_values(&[site]).set(value),
        // Whether there was one to remove does not matter.
        None => drop(gauge.remove_label_values(&[site])),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use watari_chassis::prometheus::TextEncoder;
    use watari_model::Timestamp;

    use super::*;
    use crate::core::forecast::Fates;

    fn progress(state: Option<State>, left_ms: Option<u64>) -> Progress {
        let (site, dark) = ("yamate".parse().unwrap(), Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(60_000));
        let power_off_at = state.map(|_| dark);
        Progress { site, state, moved: 3, moving: 1, waiting: 2, failed: 0, left_ms, power_off_at }
    }

    #[test]
    fn what_is_under_way_is_shown_by_whoever_leads_and_by_nobody_else() {
        let registry = Registry::new();
        let standing = Standing::register(&registry).unwrap();
        let shown = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        standing.in_hand(7);
        standing.traffic(&Traffic { counts: [4, 0, 2, 0, 0, 0], sent: 10, left: 20, rate: 5, dirty_rate: 1 });
        standing.progress(&[progress(Some(State::Evacuating), Some(1_001))]);
        let (site, estimated_ms) = ("yamate".parse().unwrap(), Some(500));
        let fates = Fates { leaving: 6, staying: 1, by_policy: 0, off: 0 };
        standing.readiness(&[Readiness { site, fates, estimated_ms }]);
        for line in [
            "watari_scheduler_actions_in_hand 7",
            "watari_scheduler_migrations_under_way{state=\"queued\"} 4",
            "watari_scheduler_migrations_under_way{state=\"switching\"} 0",
            "watari_scheduler_transfer_bytes{which=\"left\"} 20",
            "watari_scheduler_transfer_bytes_per_second 5",
            "watari_scheduler_transfer_dirtied_bytes_per_second 1",
            "watari_scheduler_site_state{site=\"yamate\",state=\"evacuating\"} 1",
            "watari_scheduler_site_state{site=\"yamate\",state=\"active\"} 0",
            "watari_scheduler_evacuation_servers{progress=\"waiting\",site=\"yamate\"} 2",
            "watari_scheduler_evacuation_left_seconds{site=\"yamate\"} 2",
            "watari_scheduler_evacuation_power_off_timestamp_seconds{site=\"yamate\"} 60",
            "watari_scheduler_readiness_servers{fate=\"stays\",site=\"yamate\"} 1",
            "watari_scheduler_readiness_score{site=\"yamate\"} 85",
            "watari_scheduler_readiness_seconds{site=\"yamate\"} 1",
        ] {
            assert!(shown().lines().any(|shown| shown == line), "{line} is missing:\n{}", shown());
        }
        standing.progress(&[progress(None, None)]);
        assert!(shown().contains("watari_scheduler_site_state{site=\"yamate\",state=\"active\"} 1"));
        for gone in [EVACUATION_LEFT, EVACUATION_POWER_OFF] {
            assert!(!shown().contains(gone), "it is not known any more");
        }
        standing.forget();
        let left: Vec<String> = shown().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        let nothing = [
            "watari_scheduler_actions_in_hand 0",
            "watari_scheduler_transfer_bytes_per_second 0",
            "watari_scheduler_transfer_dirtied_bytes_per_second 0",
        ];
        assert_eq!(left, nothing);
    }
}
