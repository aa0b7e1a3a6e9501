//! The network service's own settings.

use serde::Deserialize;
use watari_chassis::Validate;

/// The defaults, commented for `--print-config` and the reference.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// What the network service is configured with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `[addresses]`.
    pub addresses: Addresses,
    /// `[firewalls]`.
    pub firewalls: Firewalls,
    /// `[plans]`.
    pub plans: Plans,
}

/// How agents are told what to lay.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plans {
    /// Milliseconds until a plan that was not acknowledged is sent again.
    pub tick_ms: u64,
    /// Milliseconds that an agent may take to answer.
    pub answer_ms: u64,
    /// Seconds after which a plan that was acknowledged is sent once more.
    pub refresh_seconds: u64,
    /// The most plans that are sent at the same time.
    pub in_flight: usize,
}

/// How addresses are handed out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// The most addresses that one range may have.
    pub most_per_range: u64,
    /// The most networks that there may be.
    pub most_networks: usize,
    /// The most public addresses that there may be.
    pub most_public: usize,
    /// Seconds that a port whose server is gone is kept.
    pub orphan_seconds: u64,
    /// Seconds after which an address that a stranger had is tried again.
    pub stranger_seconds: u64,
    /// Seconds between two looks at all ports.
    pub sweep_seconds: u64,
}

/// Bounds of firewall groups.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firewalls {
    /// The most groups that there may be.
    pub most_groups: usize,
    /// The most rules that one group may have.
    pub most_rules: usize,
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
        let Addresses { most_per_range, most_networks, most_public, orphan_seconds, stranger_seconds, sweep_seconds } =
            self.addresses;
        let Plans { tick_ms, answer_ms, refresh_seconds, in_flight } = self.plans;
        let ranges = [
            ("addresses.most_per_range", most_per_range, 1, 1 << 24),
            ("addresses.most_networks", most_networks as u64, 1, 1_000),
            ("addresses.most_public", most_public as u64, 1, 2_000),
            ("addresses.orphan_seconds", orphan_seconds, 1, 1_000_000),
            ("addresses.stranger_seconds", stranger_seconds, 1, 31_536_000),
            ("addresses.sweep_seconds", sweep_seconds, 1, 3_600),
            ("plans.tick_ms", tick_ms, 50, 60_000),
            ("plans.answer_ms", answer_ms, 100, 60_000),
            ("plans.refresh_seconds", refresh_seconds, 1, 3_600),
            ("plans.in_flight", in_flight as u64, 1, 10_000),
            ("firewalls.most_groups", self.firewalls.most_groups as u64, 1, 10_000),
            ("firewalls.most_rules", self.firewalls.most_rules as u64, 1, 1_000),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(format!("{key} is {value}: use {least} to {most}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_defaults_are_valid() {
        Settings::embedded().unwrap().validate().unwrap();
    }
}
