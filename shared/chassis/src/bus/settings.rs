//! How a process reaches NATS.

use std::{env, fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use nkeys::KeyPair;

use super::BusError;

/// Whether a bus that is not there is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// A service: front ends and NATS start in any order.
    Wait,
    /// A node's agent: what it has promised it does with nobody there.
    GoOn,
    /// The CLI: a person wants to know at once.
    Fail,
}

/// How a process reaches NATS.
#[derive(Clone, Debug)]
pub struct BusSettings {
    /// The servers, `nats://` or `tls://`.
    pub urls: Vec<String>,
    /// File with the nkey seed.
    pub nkey: Option<PathBuf>,
    /// File with the authority's certificates; encryption is then required.
    pub ca: Option<PathBuf>,
    /// Name on the bus. With it the inbox is `_INBOX_<identity, dots as dashes>`; without it,
    /// NATS' usual `_INBOX`.
    pub identity: String,
    /// What the connection calls itself, if not by its identity. Nobody checks it.
    pub speaker: String,
    /// Copies of each bucket that this process makes.
    pub replicas: usize,
    /// How long a request waits for its answer.
    pub request_timeout: Duration,
    /// Messages that may wait in one subscription.
    pub queue_messages: usize,
    /// Whether to wait for the bus.
    pub initial: Initial,
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            urls: vec!["nats://127.0.0.1:4222".to_owned()],
            nkey: None,
            ca: None,
            identity: String::new(),
            speaker: String::new(),
            replicas: 1,
            request_timeout: Duration::from_secs(5),
            queue_messages: 65_536,
            initial: Initial::Fail,
        }
    }
}

impl BusSettings {
    /// For the operator's command: `WATARI_NATS` (URLs with commas between), `WATARI_NKEY` (seed
    /// file), `WATARI_CA`, all optional.
    #[must_use]
    pub fn from_environment() -> Self {
        let text = |name: &str| env::var(name).ok().filter(|t| !t.trim().is_empty());
        let mut settings = Self::default();
        if let Some(urls) = text("WATARI_NATS") {
            settings.urls = urls.split(',').map(str::trim).filter(|u| !u.is_empty()).map(str::to_owned).collect();
        }
        settings.nkey = text("WATARI_NKEY").map(PathBuf::from);
        settings.ca = text("WATARI_CA").map(PathBuf::from);
        settings
    }

    /// Checks what can be checked without connecting.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn validate(&self) -> Result<(), String> {
        if self.urls.is_empty() {
            return Err("bus.urls is empty: name at least one NATS server".to_owned());
        }
        for url in &self.urls {
            if !(url.starts_with("nats://") || url.starts_with("tls://")) {
                return Err(format!("bus.urls has {url:?}: use nats://HOST:PORT or tls://HOST:PORT"));
            }
        }
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if self.identity.len() > 127 || !self.identity.chars().all(sound) {
            return Err(format!(
                "bus.identity is {:?}: use names of a-z, 0-9 and '-' with dots between",
                self.identity
            ));
        }
        Ok(())
    }

    /// The beginning of every reply subject of this process.
    #[must_use]
    pub fn inbox_prefix(&self) -> String {
        if self.identity.is_empty() {
            "_INBOX".to_owned()
        } else {
            format!("_INBOX_{}", self.identity.replace('.', "-"))
        }
    }

    /// Whether a connection without encryption is out of the question.
    pub(super) fn requires_tls(&self) -> bool {
        self.ca.is_some() || self.urls.iter().any(|u| u.starts_with("tls://"))
    }

    /// Reads the seed and checks that it is one, so that a wrong file is told at once and not as
    /// a refused connection.
    pub(super) fn seed(&self) -> Result<Option<String>, BusError> {
        let Some(path) = &self.nkey else { return Ok(None) };
        let unreadable = |source| BusError::File { path: path.clone(), source };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others may read this nkey seed; make it readable for its owner alone");
        }
        let seed = text.lines().map(str::trim).find(|l| l.starts_with('S')).unwrap_or_default();
        KeyPair::from_seed(seed).map_err(|_| BusError::NotASeed { path: path.clone() })?;
        Ok(Some(seed.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_makes_an_inbox_of_one_token() {
        let mut settings = BusSettings { identity: "scheduler.m-front".into(), ..BusSettings::default() };
        assert_eq!(settings.inbox_prefix(), "_INBOX_scheduler-m-front");
        settings.identity.clear();
        assert_eq!(settings.inbox_prefix(), "_INBOX");
    }

    #[test]
    fn hostile_identities_and_foreign_schemes_are_refused() {
        for identity in ["a b", "a.*", "a.>", "$JS", "ü"] {
            assert!(
                BusSettings { identity: identity.into(), ..BusSettings::default() }.validate().is_err(),
                "{identity}"
            );
        }
        assert!(BusSettings { urls: vec!["http://x".into()], ..BusSettings::default() }.validate().is_err());
        assert!(BusSettings { urls: vec![], ..BusSettings::default() }.validate().is_err());
    }
}
