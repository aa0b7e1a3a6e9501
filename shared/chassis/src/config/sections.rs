//! The sections that every service has.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use watari_model::SiteName;

use crate::bus::{BusSettings, Initial};

/// The defaults of these sections, commented for `--print-config` and the reference.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// What every service is configured with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Common {
    /// How the process reaches NATS.
    pub bus: BusSection,
    /// What the process tells about itself.
    pub telemetry: Telemetry,
    /// How much it takes on.
    pub limits: Limits,
    /// How leadership is kept.
    pub lease: LeaseSection,
}

/// `[bus]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BusSection {
    /// The NATS servers.
    pub urls: Vec<String>,
    /// The nkey seed's file, or empty.
    pub nkey: PathBuf,
    /// The authority's certificates, or empty.
    pub ca: PathBuf,
    /// This process's name on the bus.
    pub identity: String,
    /// Copies of each bucket.
    pub replicas: usize,
    /// Milliseconds that a request waits.
    pub request_timeout_ms: u64,
    /// Messages that may wait in a subscription.
    pub queue_messages: usize,
}

/// `[telemetry]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Telemetry {
    /// The filter of tracing.
    pub log: String,
    /// Text for people or JSON for collectors.
    pub format: Format,
    /// Where `/metrics`, `/live` and `/ready` are served; empty is nowhere.
    pub listen: String,
    /// Whether that may be an address that others reach.
    pub listen_beyond_loopback: bool,
    /// Where traces go; empty is nowhere.
    pub otlp: String,
    /// The part of new traces that is sent.
    pub sample_ratio: f64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Limits {
    /// Seconds that draining may take.
    pub drain_seconds: u64,
    /// The largest request that is read.
    pub request_bytes: usize,
    /// Requests handled at the same time.
    pub in_flight: usize,
}

/// `[lease]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LeaseSection {
    /// Milliseconds without a renewal after which a standby takes over.
    pub ttl_ms: u64,
    /// The site of this front end, or empty.
    pub site: String,
}

impl Common {
    /// The settings of a process that has no configuration file, such as a test.
    ///
    /// # Errors
    /// None, unless the embedded defaults are broken, which a test excludes.
    pub fn embedded() -> Result<Self, toml::de::Error> {
        toml::from_str(DEFAULTS)
    }

    /// The same, with the bus at `urls`.
    ///
    /// # Errors
    /// As [`Common::embedded`].
    pub fn at<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> Result<Self, toml::de::Error> {
        let mut common = Self::embedded()?;
        common.bus.urls = urls.into_iter().map(Into::into).collect();
        Ok(common)
    }

    /// The address for `/metrics`, if there is to be one.
    ///
    /// # Errors
    /// A sentence for the operator if it is no address, or one that others reach without leave.
    pub fn listen(&self) -> Result<Option<SocketAddr>, String> {
        listening(&self.telemetry.listen, self.telemetry.listen_beyond_loopback)
    }

    /// `[bus]` as what [`crate::Bus::connect`] takes. A service waits for its bus.
    #[must_use]
    pub fn bus(&self) -> BusSettings {
        let path = |p: &PathBuf| (!p.as_os_str().is_empty()).then(|| p.clone());
        BusSettings {
            urls: self.bus.urls.clone(),
            nkey: path(&self.bus.nkey),
            ca: path(&self.bus.ca),
            identity: self.bus.identity.clone(),
            speaker: String::new(),
            replicas: self.bus.replicas,
            request_timeout: Duration::from_millis(self.bus.request_timeout_ms),
            queue_messages: self.bus.queue_messages,
            initial: Initial::Wait,
        }
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// A sentence for the operator that names the key.
    pub fn validate(&self) -> Result<(), String> {
        self.listen()?;
        self.bus().validate()?;
        if !matches!(self.bus.replicas, 1 | 2 | 3 | 5) {
            return Err(format!("bus.replicas is {}: use 1, 2, 3 or 5", self.bus.replicas));
        }
        if !self.lease.site.is_empty() && self.lease.site.parse::<SiteName>().is_err() {
            return Err(format!("lease.site is {:?}: use the name of a site, or leave it empty", self.lease.site));
        }
        if !(0.0..=1.0).contains(&self.telemetry.sample_ratio) {
            return Err(format!("telemetry.sample_ratio is {}: use 0 to 1", self.telemetry.sample_ratio));
        }
        let ranges = [
            ("bus.request_timeout_ms", self.bus.request_timeout_ms, 100, 600_000),
            ("bus.queue_messages", self.bus.queue_messages as u64, 16, 1_048_576),
            ("limits.drain_seconds", self.limits.drain_seconds, 1, 600),
            ("limits.request_bytes", self.limits.request_bytes as u64, 1_024, 1_048_576),
            ("limits.in_flight", self.limits.in_flight as u64, 1, 65_536),
            ("lease.ttl_ms", self.lease.ttl_ms, 500, 600_000),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(format!("{key} is {value}: use {least} to {most}"));
            }
        }
        Ok(())
    }
}

/// The address for `/metrics`, if there is to be one.
///
/// # Errors
/// A sentence for the operator if it is no address, or one that others reach without leave.
pub fn listening(text: &str, beyond_loopback: bool) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let address: SocketAddr =
        text.parse().map_err(|_| format!("telemetry.listen is {text:?}: give it ADDRESS:PORT or leave it empty"))?;
    if address.ip().is_loopback() || beyond_loopback {
        Ok(Some(address))
    } else {
        Err(format!(
            "telemetry.listen is {text}, which others can reach in plain text: use 127.0.0.1, or set telemetry.listen_beyond_loopback = true where something else guards it"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_defaults_are_valid() {
        Common::embedded().unwrap().validate().unwrap();
    }

    #[test]
    fn metrics_are_not_served_to_others_by_oversight() {
        let mut common = Common::embedded().unwrap();
        common.telemetry.listen = "0.0.0.0:9100".into();
        assert!(common.validate().unwrap_err().contains("listen_beyond_loopback"));
        common.telemetry.listen_beyond_loopback = true;
        common.validate().unwrap();
        common.telemetry.listen = "nowhere".into();
        assert!(common.validate().unwrap_err().contains("telemetry.listen"));
        assert!(listening("", false).unwrap().is_none());
        assert!(listening("127.0.0.1:9107", false).unwrap().is_some());
        assert!(listening("0.0.0.0:9107", false).is_err() && listening("0.0.0.0:9107", true).unwrap().is_some());
        assert!(listening("nowhere", true).is_err());
    }
}
