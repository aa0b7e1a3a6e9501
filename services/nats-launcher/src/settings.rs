//! The settings: one file, made by `watari setup`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use watari_chassis::{BusSettings, Initial};

use crate::Error;

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// This host's name, also that of its first server.
    pub host: String,
    /// The server's configuration file, which takes its name and store from the environment.
    pub config: PathBuf,
    /// The folder below which each life of the server has a store of its own.
    pub store: PathBuf,
    /// How the other servers are reached, in the system account.
    bus: BusSection,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BusSection {
    urls: Vec<String>,
    #[serde(default)]
    nkey: PathBuf,
    #[serde(default)]
    ca: PathBuf,
    #[serde(default)]
    identity: String,
}

impl Settings {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Settings`] naming what is wrong.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fault = |detail: String| Error::Settings(format!("{}: {detail}", path.display()));
        let text = fs::read_to_string(path).map_err(|e| fault(e.to_string()))?;
        toml::from_str(&text).map_err(|e| fault(e.to_string()))
    }

    /// Whether there are other servers that could be asked.
    pub(crate) fn has_others(&self) -> bool {
        self.bus.urls.len() > 1
    }

    /// How the other servers are reached.
    pub(crate) fn bus(&self) -> BusSettings {
        let path = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        BusSettings {
            urls: self.bus.urls.clone(),
            nkey: path(&self.bus.nkey),
            ca: path(&self.bus.ca),
            identity: self.bus.identity.clone(),
            request_timeout: Duration::from_secs(2),
            initial: Initial::Wait,
            ..BusSettings::default()
        }
    }
}
