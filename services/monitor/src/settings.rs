//! The monitor's own settings.

pub mod alerts;
pub mod backups;
pub mod fencing;
pub mod power;
pub mod pressure;

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use watari_chassis::Validate;
use watari_model::node::Limits;

use alerts::Alerts;
use backups::Backups;
use fencing::{Controller, Fence};
use power::{Power, Ups};
use pressure::Pressure;

use crate::history::Place;

/// The defaults, commented for `--print-config` and the reference.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// What the monitor is configured with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `[nodes]`.
    pub nodes: Nodes,
    /// `[capacity]`.
    pub capacity: Capacity,
    /// `[pressure]`.
    pub pressure: Pressure,
    /// `[history]`.
    pub history: History,
    /// `[probes]`.
    pub probes: Probes,
    /// Each `[[ups]]`.
    pub ups: Vec<Ups>,
    /// `[power]`.
    pub power: Power,
    /// `[alerts]`.
    pub alerts: Alerts,
    /// `[backups]`.
    pub backups: Backups,
    /// Each `[[fencing]]`.
    pub fencing: Vec<Controller>,
    /// `[fence]`.
    pub fence: Fence,
}

/// How silence is judged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    /// Milliseconds of silence after which a node is suspect.
    pub suspect_after_ms: u64,
    /// Milliseconds of silence after which a node is lost.
    pub lost_after_ms: u64,
    /// Milliseconds between two looks at all nodes.
    pub look_ms: u64,
    /// The most nodes that are followed.
    pub most_nodes: usize,
    /// The most servers of which the metrics show what they use.
    pub most_measured: usize,
}

impl Nodes {
    /// The two limits as the model takes them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { suspect_after_ms: self.suspect_after_ms, lost_after_ms: self.lost_after_ms }
    }
}

/// When a node's capacity is told anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// MiB by which free memory must have moved.
    pub memory_step_mib: u64,
    /// GiB by which free disk must have moved.
    pub disk_step_gib: u64,
    /// Or the part of the whole, in percent.
    pub step_percent: u64,
    /// The least time between two for one node, in milliseconds.
    pub interval_ms: u64,
    /// The time between two for each node of a site where one is overloaded, in milliseconds.
    pub again_ms: u64,
}

/// Where the history is kept, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The SQLite file.
    pub path: PathBuf,
    /// The PostgreSQL server that it is kept on instead; empty is none.
    pub url: String,
    /// The file whose first line is the password for that; empty is none.
    pub password_file: PathBuf,
    /// Days that a change is kept.
    pub keep_days: u64,
    /// The most changes that are kept.
    pub most_rows: u64,
    /// The largest document that is kept with its change, in bytes.
    pub most_document_bytes: usize,
    /// Seconds between two comparisons with the buckets.
    pub catch_up_seconds: u64,
    /// Seconds before a history that cannot be used is tried again, and between two looks at whether the server is there.
    pub retry_seconds: u64,
    /// What people's keys on the bus are called.
    pub people: BTreeMap<String, String>,
}

/// How servers are asked while an outage is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probes {
    /// Milliseconds between two questions to one probe.
    pub every_ms: u64,
    /// Milliseconds within which it must have answered.
    pub answer_ms: u64,
    /// Questions at the same time.
    pub at_once: usize,
    /// The most probes that are asked at all.
    pub most: usize,
}

impl Settings {
    /// The embedded defaults.
    ///
    /// # Errors
    /// None, unless they are broken, which a test excludes.
    pub fn embedded() -> Result<Self, toml::de::Error> {
        toml::from_str(DEFAULTS)
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), String> {
        let Self {
            nodes,
            capacity,
            pressure,
            history,
            probes,
            ups,
            power,
            alerts,
            backups,
            fencing: controllers,
            fence,
        } = self;
        let ranges = [
            ("nodes.suspect_after_ms", nodes.suspect_after_ms, 100, 600_000),
            ("nodes.lost_after_ms", nodes.lost_after_ms, 200, 3_600_000),
            ("nodes.look_ms", nodes.look_ms, 20, 60_000),
            ("nodes.most_nodes", nodes.most_nodes as u64, 1, 1_000_000),
            ("nodes.most_measured", nodes.most_measured as u64, 0, 1_000_000),
            ("capacity.memory_step_mib", capacity.memory_step_mib, 1, 1 << 30),
            ("capacity.disk_step_gib", capacity.disk_step_gib, 1, 1 << 20),
            ("capacity.step_percent", capacity.step_percent, 1, 100),
            ("capacity.interval_ms", capacity.interval_ms, 100, 3_600_000),
            ("capacity.again_ms", capacity.again_ms, 100, 20_000),
            ("history.keep_days", history.keep_days, 1, 36_500),
            ("history.most_rows", history.most_rows, 1_000, 1_000_000_000),
            ("history.most_document_bytes", history.most_document_bytes as u64, 1_024, 1_048_576),
            ("history.catch_up_seconds", history.catch_up_seconds, 1, 86_400),
            ("history.retry_seconds", history.retry_seconds, 1, 3_600),
            ("probes.every_ms", probes.every_ms, 100, 60_000),
            ("probes.answer_ms", probes.answer_ms, 20, 60_000),
            ("probes.at_once", probes.at_once as u64, 1, 1_024),
            ("probes.most", probes.most as u64, 1, 2_000),
            ("power.poll_ms", power.poll_ms, 20, 600_000),
            ("power.answer_ms", power.answer_ms, 20, 60_000),
            ("power.low_battery_seconds", power.low_battery_seconds, 0, 3_600),
            ("backups.look_seconds", backups.look_seconds, 1, 86_400),
            ("fence.wait_seconds", fence.wait_seconds, 1, 3_600),
            ("fence.program_seconds", fence.program_seconds, 1, 60),
            ("fence.settle_seconds", fence.settle_seconds, 1, 600),
            ("fence.retry_seconds", fence.retry_seconds, 1, 3_600),
            ("fence.most_retry_seconds", fence.most_retry_seconds, fence.retry_seconds, 86_400),
            ("fence.boot_seconds", fence.boot_seconds, 1, 86_400),
            ("fence.at_once", fence.at_once as u64, 1, 64),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(format!("{key} is {value}: use {least} to {most}"));
            }
        }
        if nodes.lost_after_ms <= nodes.suspect_after_ms {
            return Err(format!(
                "nodes.lost_after_ms is {}: use more than nodes.suspect_after_ms, which is {}",
                nodes.lost_after_ms, nodes.suspect_after_ms
            ));
        }
        Place::of(history)?;
        alerts.validate()?;
        pressure.validate()?;
        fencing::validate(controllers)?;
        power.validate(ups)
    }
}

#[cfg(test)]
mod tests {
    use watari_chassis::{Options, config};

    use super::*;

    #[test]
    fn an_alert_acts_or_asks_by_default_only_if_it_lasts() {
        assert_eq!(Settings::embedded().unwrap().alerts.firing_seconds, 60);
    }

    #[test]
    fn the_embedded_defaults_are_valid_and_limits_must_grow() {
        let mut settings = Settings::embedded().unwrap();
        settings.validate().unwrap();
        settings.nodes.lost_after_ms = settings.nodes.suspect_after_ms;
        assert!(settings.validate().unwrap_err().contains("nodes.lost_after_ms"));
        let mut settings = Settings::embedded().unwrap();
        settings.pressure.disk.leave = settings.pressure.disk.enter;
        assert!(settings.validate().unwrap_err().contains("pressure.disk"));
    }

    /// The figures that `wait_seconds` in the embedded defaults and `PING` in the chassis reckon with.
    #[test]
    fn by_default_a_dead_node_is_cut_off_in_time_and_one_that_looks_for_another_nats_server_is_not() {
        let Settings { nodes, fence, .. } = Settings::embedded().unwrap();
        let silence_ms = nodes.lost_after_ms + fence.rules().wait_ms;
        assert!(silence_ms > 12_000, "an agent may be on its way to another NATS server");
        let cut_ms = silence_ms + 2 * nodes.look_ms;
        assert!(cut_ms + 3_000 + 2_000 <= 20_000, "its controller takes 3 s, the start of a server 2 s");
    }

    #[test]
    fn upses_are_read_as_an_operator_writes_them() {
        let folder = watari_testkit::TempDir::new();
        let file = folder.path().join("monitor.toml");
        let own = r#"
            [power]
            poll_ms = 2000
            [power.needs]
            myodaiji = 2
            [[ups]]
            site = "myodaiji"
            name = "ups1@192.0.2.7"
            [[ups]]
            site = "myodaiji"
            name = "ups2@192.0.2.7:3494"
            user = "watch"
            password_file = "/etc/watari/ups.password"
        "#;
        std::fs::write(&file, own).unwrap();
        let options = Options { config: Some(file), print_config: false };
        let settings: Settings = config::load("monitor", DEFAULTS, &options).unwrap();
        assert_eq!((settings.ups.len(), settings.power.needs(&settings.ups[0].site)), (2, 2));
        assert_eq!(settings.ups[1].name.address(), ("192.0.2.7", 3494));
    }
}
