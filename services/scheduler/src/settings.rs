//! The settings, checked once.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;
use watari_chassis::{KeeperKeys, NatsHost, Validate};
use watari_model::SiteName;

use crate::{
    core::{
        CalendarRules, DarkRules, DeadlineRules, Overcommit, PowerRules, PreseedRules, ReliefRules, Rules, Trigger,
        Trust,
    },
    doing::Bounds,
    outlook::Pace,
};

/// The embedded commented defaults.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// All settings of the scheduler.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub(crate) sites: Vec<SiteSetting>,
    overcommit: OvercommitSetting,
    links: Links,
    migration: Migrations,
    orders: Orders,
    nodes: Nodes,
    isolation: IsolationSetting,
    power: PowerSetting,
    outages: Outages,
    preseed: Preseed,
    relief: Relief,
    pub(crate) servers: Servers,
    pub(crate) keys: Keys,
    pub(crate) projects: Projects,
    /// What people's keys on the bus are called.
    pub(crate) people: BTreeMap<String, String>,
    frontends: FrontEnds,
    pub(crate) quorum: Quorum,
    #[serde(rename = "loop")]
    looper: Loop,
}

/// A campus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteSetting {
    pub(crate) name: SiteName,
    pub(crate) title: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OvercommitSetting {
    cpu: f64,
    memory: f64,
    disk: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Links {
    in_flight_per_direction: usize,
    prepare_ahead: usize,
    overlap_ms: u64,
    bandwidth_mib: u64,
    measure_hours: u64,
    downtime_ms: u64,
    prepare_timeout_seconds: u64,
    copy_timeout_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Migrations {
    answer_seconds: u64,
    retries: u32,
    leftover_seconds: u64,
    keep: usize,
    keep_outages: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    in_flight: usize,
    timeout_ms: u64,
    look_timeout_ms: u64,
    repeat_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nodes {
    silent_seconds: u64,
    poll_seconds: u64,
    return_wait_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IsolationSetting {
    trust: TrustSetting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TrustSetting {
    Watchdog,
    Agent,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PowerSetting {
    on_battery: OnBattery,
    battery_seconds: u64,
    low_battery_seconds: u64,
    on_mains: OnMains,
    mains_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outages {
    lead_seconds: u64,
    when_due: WhenDue,
    at_end: AtEnd,
    outlook_seconds: u64,
    out_of_time: OutOfTime,
    out_of_time_scheduled: OutOfTime,
    stop_seconds: u64,
    save_mib: u64,
    shut_down_nodes: ShutDownNodes,
    shut_down_seconds: u64,
    start_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preseed {
    lead_seconds: u64,
    again_seconds: u64,
    bandwidth_mib: u64,
    least_mib: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Relief {
    sites: Vec<SiteName>,
    margin_percent: u64,
    rest_seconds: u64,
    pause_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AtEnd {
    Wait,
    Return,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShutDownNodes {
    WhenAsked,
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutOfTime {
    GoOn,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnBattery {
    Tell,
    Ask,
    Evacuate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WhenDue {
    Begin,
    Ask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnMains {
    Tell,
    Return,
}

/// `[servers]`: bounds of what may be asked.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Servers {
    pub(crate) most: usize,
    pub(crate) networks: usize,
    pub(crate) groups: usize,
    pub(crate) labels: usize,
    pub(crate) keys: usize,
    restart_pause_seconds: u64,
    pub(crate) cannot_leave: CannotLeave,
}

/// What is done with a new server that could not leave in the next outage of its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CannotLeave {
    Warn,
    Refuse,
}

/// `[keys]`: bounds of public keys.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) most: usize,
}

/// `[projects]`: bounds of projects.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Projects {
    pub(crate) most: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontEnds {
    home: String,
    look_ms: u64,
    rest_look_ms: u64,
    handover_seconds: u64,
    comes_home: bool,
}

/// `[quorum]`: the NATS servers that are looked after; none where there is but one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quorum {
    pub(crate) hosts: Vec<NatsHost>,
    streams_nkey: PathBuf,
    streams_identity: String,
    servers_nkey: PathBuf,
    servers_identity: String,
}

impl Quorum {
    /// With what it is looked after.
    pub(crate) fn keys(&self) -> KeeperKeys {
        KeeperKeys {
            streams: (self.streams_nkey.clone(), self.streams_identity.clone()),
            servers: (self.servers_nkey.clone(), self.servers_identity.clone()),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Loop {
    tick_ms: u64,
}

fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: T, least: T, most: T) -> Result<(), String> {
    if value >= least && value <= most { Ok(()) } else { Err(format!("{key} is {value}; it may be {least} to {most}")) }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), String> {
        if self.sites.is_empty() {
            return Err("sites is empty; name at least one campus".to_owned());
        }
        let mut names: Vec<_> = self.sites.iter().map(|site| &site.name).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("sites names {} twice", twice[0]));
        }
        within("overcommit.cpu", self.overcommit.cpu, 0.1, 1_000.0)?;
        within("overcommit.memory", self.overcommit.memory, 0.1, 100.0)?;
        within("overcommit.disk", self.overcommit.disk, 0.1, 1_000.0)?;
        within("links.in_flight_per_direction", self.links.in_flight_per_direction, 1, 64)?;
        within("links.bandwidth_mib", self.links.bandwidth_mib, 0, 100_000)?;
        within("links.measure_hours", self.links.measure_hours, 0, 8_760)?;
        within("links.prepare_ahead", self.links.prepare_ahead, 0, 64)?;
        within("links.overlap_ms", self.links.overlap_ms, 0, 60_000)?;
        within("links.downtime_ms", self.links.downtime_ms, 0, 60_000)?;
        within("links.prepare_timeout_seconds", self.links.prepare_timeout_seconds, 10, 86_400)?;
        within("links.copy_timeout_seconds", self.links.copy_timeout_seconds, 10, 86_400)?;
        within("migration.answer_seconds", self.migration.answer_seconds, 1, 60)?;
        within("migration.retries", self.migration.retries, 0, 100)?;
        within("migration.leftover_seconds", self.migration.leftover_seconds, 0, 86_400)?;
        within("migration.keep", self.migration.keep, 1, 1_000)?;
        within("migration.keep_outages", self.migration.keep_outages, 1, 1_000)?;
        within("orders.in_flight", self.orders.in_flight, 8, 4_096)?;
        within("orders.timeout_ms", self.orders.timeout_ms, 100, 60_000)?;
        within("orders.look_timeout_ms", self.orders.look_timeout_ms, 50, 60_000)?;
        within("orders.repeat_ms", self.orders.repeat_ms, 50, 60_000)?;
        within("nodes.silent_seconds", self.nodes.silent_seconds, 2, 600)?;
        within("nodes.poll_seconds", self.nodes.poll_seconds, 1, 600)?;
        within("nodes.return_wait_seconds", self.nodes.return_wait_seconds, 0, 3_600)?;
        within("power.battery_seconds", self.power.battery_seconds, 0, 86_400)?;
        within("power.low_battery_seconds", self.power.low_battery_seconds, 0, 86_400)?;
        within("power.mains_seconds", self.power.mains_seconds, 0, 86_400)?;
        within("outages.lead_seconds", self.outages.lead_seconds, 0, 604_800)?;
        within("outages.outlook_seconds", self.outages.outlook_seconds, 1, 3_600)?;
        within("outages.stop_seconds", self.outages.stop_seconds, 1, 3_600)?;
        within("outages.save_mib", self.outages.save_mib, 0, 100_000)?;
        within("outages.shut_down_seconds", self.outages.shut_down_seconds, 10, 86_400)?;
        within("outages.start_seconds", self.outages.start_seconds, 10, 86_400)?;
        within("preseed.lead_seconds", self.preseed.lead_seconds, 0, 604_800)?;
        within("preseed.again_seconds", self.preseed.again_seconds, 0, 604_800)?;
        within("preseed.bandwidth_mib", self.preseed.bandwidth_mib, 0, 100_000)?;
        within("preseed.least_mib", self.preseed.least_mib, 1, 1_000_000)?;
        let here = |name: &SiteName| self.sites.iter().any(|site| site.name == *name);
        if let Some(unknown) = self.relief.sites.iter().find(|name| !here(name)) {
            return Err(format!("relief.sites names {unknown}, which is none of the sites"));
        }
        within("relief.margin_percent", self.relief.margin_percent, 1, 90)?;
        within("relief.rest_seconds", self.relief.rest_seconds, 60, 604_800)?;
        within("relief.pause_seconds", self.relief.pause_seconds, 60, 86_400)?;
        within("servers.most", self.servers.most, 1, 1_000_000)?;
        within("servers.restart_pause_seconds", self.servers.restart_pause_seconds, 1, 3_600)?;
        within("keys.most", self.keys.most, 1, 100_000)?;
        // All are listed in one answer, and each may be told of with 2,700 bytes.
        within("projects.most", self.projects.most, 1, 300)?;
        let home = &self.frontends.home;
        if !home.is_empty() && !self.sites.iter().any(|site| site.name.as_str() == home) {
            return Err(format!("frontends.home is {home:?}: use the name of one of the sites, or leave it empty"));
        }
        within("frontends.look_ms", self.frontends.look_ms, 200, 60_000)?;
        within("frontends.rest_look_ms", self.frontends.rest_look_ms, self.frontends.look_ms, 60_000)?;
        within("frontends.handover_seconds", self.frontends.handover_seconds, 5, 3_600)?;
        let keys = [&self.quorum.streams_nkey, &self.quorum.servers_nkey];
        if !self.quorum.hosts.is_empty() && keys.iter().any(|key| key.as_os_str().is_empty()) {
            return Err("quorum.hosts needs quorum.streams_nkey and quorum.servers_nkey".to_owned());
        }
        within("loop.tick_ms", self.looper.tick_ms, 50, 60_000)
    }
}

impl Settings {
    /// The bounds within which is decided.
    pub(crate) fn rules(&self) -> Rules {
        let OvercommitSetting { cpu, memory, disk } = self.overcommit;
        Rules {
            overcommit: Overcommit { cpu, memory, disk },
            in_flight: self.links.in_flight_per_direction,
            ahead: self.links.prepare_ahead,
            overlap_ms: self.links.overlap_ms,
            bandwidth_mib: self.links.bandwidth_mib,
            downtime_ms: self.links.downtime_ms,
            prepare_ms: self.links.prepare_timeout_seconds * 1_000,
            copy_ms: self.links.copy_timeout_seconds * 1_000,
            answer_ms: self.migration.answer_seconds * 1_000,
            retries: self.migration.retries,
            return_wait_ms: self.nodes.return_wait_seconds * 1_000,
            leftover_ms: self.migration.leftover_seconds * 1_000,
            power: PowerRules {
                on_battery: match self.power.on_battery {
                    OnBattery::Tell => Trigger::Tell,
                    OnBattery::Ask => Trigger::Ask,
                    OnBattery::Evacuate => Trigger::Act,
                },
                battery_ms: self.power.battery_seconds * 1_000,
                low_ms: self.power.low_battery_seconds * 1_000,
                returns: self.power.on_mains == OnMains::Return,
                mains_ms: self.power.mains_seconds * 1_000,
            },
            calendar: CalendarRules {
                lead_ms: self.outages.lead_seconds * 1_000,
                begins: self.outages.when_due == WhenDue::Begin,
                returns: self.outages.at_end == AtEnd::Return,
            },
            deadline: DeadlineRules {
                stops: self.outages.out_of_time == OutOfTime::Stop,
                stops_scheduled: self.outages.out_of_time_scheduled == OutOfTime::Stop,
                stop_ms: self.outages.stop_seconds * 1_000,
                save_mib: self.outages.save_mib,
            },
            preseed: PreseedRules {
                lead_ms: self.preseed.lead_seconds * 1_000,
                again_ms: self.preseed.again_seconds * 1_000,
                bandwidth_mib: self.preseed.bandwidth_mib,
                least_mib: self.preseed.least_mib,
            },
            dark: DarkRules {
                always: self.outages.shut_down_nodes == ShutDownNodes::Always,
                off_ms: self.outages.shut_down_seconds * 1_000,
                on_ms: self.outages.start_seconds * 1_000,
            },
            relief: ReliefRules {
                sites: self.relief.sites.clone(),
                margin_percent: self.relief.margin_percent,
                rest_ms: self.relief.rest_seconds * 1_000,
                pause_ms: self.relief.pause_seconds * 1_000,
            },
            fronts: self.quorum.hosts.iter().map(|host| host.name.clone()).collect(),
            repeat_ms: self.orders.repeat_ms,
            silent_ms: self.nodes.silent_seconds * 1_000,
            poll_ms: self.nodes.poll_seconds * 1_000,
            restart_ms: self.servers.restart_pause_seconds * 1_000,
            keep_migrations: self.migration.keep,
            keep_outages: self.migration.keep_outages,
            handover_ms: self.frontends.handover_seconds * 1_000,
            control_returns: self.frontends.comes_home,
            trust: match self.isolation.trust {
                TrustSetting::Watchdog => Trust::Watchdog,
                TrustSetting::Agent => Trust::Agent,
            },
        }
    }

    /// How much is done at once, and how long it may take.
    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds {
            in_flight: self.orders.in_flight,
            order: Duration::from_millis(self.orders.timeout_ms),
            look: Duration::from_millis(self.orders.look_timeout_ms),
        }
    }

    /// From where the services lead until an operator has said so.
    pub(crate) fn home(&self) -> Option<&SiteName> {
        self.sites.iter().map(|site| &site.name).find(|name| name.as_str() == self.frontends.home)
    }

    /// How often the control plane is looked at while all is well, in milliseconds.
    pub(crate) const fn rest_look_ms(&self) -> u64 {
        self.frontends.rest_look_ms
    }

    /// How often the control plane is looked at.
    pub(crate) const fn look(&self) -> Duration {
        Duration::from_millis(self.frontends.look_ms)
    }

    /// How often it is looked how scheduled outages would go.
    pub(crate) const fn outlook(&self) -> Pace {
        Pace { tick: self.tick(), every_ms: self.outages.outlook_seconds * 1_000 }
    }

    /// After how many milliseconds the way to another site is measured if nothing else has shown how fast it is; 0 is never.
    pub(crate) const fn measure_ms(&self) -> u64 {
        self.links.measure_hours * 3_600_000
    }

    /// How often everything is looked at.
    pub(crate) const fn tick(&self) -> Duration {
        Duration::from_millis(self.looper.tick_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_defaults_are_sound_and_are_the_rules_defaults() {
        let settings: Settings = toml_of(DEFAULTS);
        settings.validate().unwrap();
        assert_eq!(settings.rules(), Rules::default());
    }

    #[test]
    fn a_bound_without_bounds_is_refused() {
        let broken = DEFAULTS.replace("in_flight_per_direction = 1", "in_flight_per_direction = 0");
        let settings: Settings = toml_of(&broken);
        assert!(settings.validate().unwrap_err().contains("links.in_flight_per_direction"));
    }

    #[test]
    fn only_sites_that_there_are_can_be_relieved() {
        let with = |sites: &str| toml_of(&DEFAULTS.replace("sites = []", &format!("sites = {sites}")));
        let settings = with(r#"["yamate"]"#);
        settings.validate().unwrap();
        assert_eq!(settings.rules().relief.sites, ["yamate".parse::<SiteName>().unwrap()]);
        assert!(with(r#"["okazaki"]"#).validate().unwrap_err().contains("okazaki"));
    }

    fn toml_of(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }
}
