//! The settings: one file, made by `watari setup`.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use watari_chassis::{BusSettings, Initial, config};

use crate::Error;

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// This host's name, also that of its first server.
    pub host: String,
    /// The server's configuration file, which takes its name and store from the environment.
    pub config: PathBuf,
    /// The server's certificate, as that file names it.
    #[serde(default = "certificate")]
    pub(crate) certificate: PathBuf,
    /// The folder below which each life of the server has a store of its own.
    pub store: PathBuf,
    /// Whether the host has joined a cluster that was there before it.
    #[serde(default)]
    pub(crate) joins: bool,
    /// Where the first server of that cluster is, as servers reach one another.
    #[serde(default)]
    pub(crate) route: Option<SocketAddr>,
    /// The configuration of a server that keeps this one company while that is the only one with a vote.
    #[serde(default)]
    company: Option<PathBuf>,
    /// How the server becomes a cluster by itself, where it was the first.
    #[serde(default)]
    founding: Option<Founding>,
    /// How the other servers are reached, in the system account.
    bus: BusSection,
    /// Where this process tells how the server is.
    #[serde(default)]
    telemetry: Telemetry,
}

/// Where `watari setup` has every host's.
fn certificate() -> PathBuf {
    PathBuf::from("/etc/watari/tls/host.crt")
}

/// The servers of a founding.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Founding {
    /// Where the one that stays is reached meanwhile.
    pub(crate) url: String,
    /// Its configuration.
    pub(crate) founder: PathBuf,
    /// That of the one that goes.
    pub(crate) midwife: PathBuf,
    /// That of one that keeps it company, where an earlier version has written it.
    #[serde(default)]
    company: Option<PathBuf>,
}

/// As services have it; the environment goes before the file here too.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Telemetry {
    /// Where `/metrics` is served; empty is nowhere.
    #[serde(default)]
    listen: String,
    /// Whether that may be an address that others reach.
    #[serde(default)]
    listen_beyond_loopback: bool,
}

/// Where the server tells about itself, by the configuration that `watari setup` makes for it.
const MONITORING: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8222));

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

    /// By which name this process speaks to other servers; empty if by none.
    pub(crate) fn identity(&self) -> &str {
        &self.bus.identity
    }

    /// Whether there are other servers that could be asked.
    pub(crate) fn has_others(&self) -> bool {
        self.bus.urls.len() > 1
    }

    /// Where `/metrics` is to be served, and where the server is asked for them.
    pub(crate) fn metrics(&self) -> Result<Option<(SocketAddr, SocketAddr)>, Error> {
        let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let listen = given("WATARI_TELEMETRY_LISTEN").unwrap_or_else(|| self.telemetry.listen.clone());
        let beyond = given("WATARI_TELEMETRY_LISTEN_BEYOND_LOOPBACK");
        let beyond = beyond.map_or(self.telemetry.listen_beyond_loopback, |text| text == "true");
        let address = config::listening(&listen, beyond).map_err(Error::Settings)?;
        Ok(address.map(|address| (address, MONITORING)))
    }

    /// How the server becomes a cluster by itself; none where another was the first, or it need not be one.
    pub(crate) const fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// The configuration of a server that keeps this one company.
    pub(crate) fn company(&self) -> Option<&Path> {
        self.company.as_deref().or_else(|| self.founding.as_ref()?.company.as_deref())
    }

    /// How the other servers are reached.
    pub(crate) fn bus(&self) -> BusSettings {
        self.bus_at(self.bus.urls.clone())
    }

    /// The same for servers at `urls`.
    pub(crate) fn bus_at(&self, urls: Vec<String>) -> BusSettings {
        let path = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        BusSettings {
            urls,
            nkey: path(&self.bus.nkey),
            ca: path(&self.bus.ca),
            identity: self.bus.identity.clone(),
            request_timeout: Duration::from_secs(2),
            initial: Initial::Wait,
            ..BusSettings::default()
        }
    }
}
