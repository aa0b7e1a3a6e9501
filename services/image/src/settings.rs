//! The service's own settings; `defaults.toml` says what each of them is.

mod store;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::Deserialize;
use watari_chassis::Validate;
use watari_model::SiteName;

pub use store::{Addressing, Place, StoreSection};

/// The defaults, commented.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Everything below `[image]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The section.
    pub image: ImageSection,
}

/// `[image]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSection {
    /// This front end's site; checked by [`Validate`].
    pub site: String,
    /// Where images are kept.
    pub data_dir: PathBuf,
    /// Where copies are served.
    pub listen_blobs: SocketAddr,
    /// Where uploads arrive.
    pub listen_uploads: SocketAddr,
    /// How operators and nodes reach the latter.
    pub advertise: String,
    /// The other front ends.
    pub peers: Vec<String>,
    /// Certificates.
    pub tls: TlsFiles,
    /// Fetching from URLs.
    pub urls: Urls,
    /// Saving servers.
    pub saves: Saves,
    /// The object store.
    pub store: StoreSection,
    /// Bounds.
    pub limits: Limits,
    /// The checking program.
    pub qemu: Qemu,
}

impl From<Settings> for ImageSection {
    fn from(settings: Settings) -> Self {
        settings.image
    }
}

/// `[image.tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The authority's certificates.
    pub ca: PathBuf,
    /// This front end's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The list of certificates that count no more; it may come later, or never.
    pub revoked: PathBuf,
}

/// `[image.urls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "defaults.toml documents each of them")]
pub struct Urls {
    pub allow: Vec<IpNet>,
    pub max_redirects: u32,
    pub max_downloads: usize,
    pub max_tries: u32,
    pub connect_seconds: u64,
    pub max_hours: u64,
}

/// `[image.saves]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "defaults.toml documents each of them")]
pub struct Saves {
    pub max_tries: u32,
    pub answer_ms: u64,
    pub silence_seconds: u64,
}

/// `[image.limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "defaults.toml documents each of them")]
pub struct Limits {
    pub max_image_mib: u64,
    pub max_virtual_gib: u64,
    pub max_imports: usize,
    pub max_user_imports: usize,
    pub max_user_mib: u64,
    pub max_uploads: usize,
    pub max_unpack_ratio: u64,
    pub unpack_memory_mib: u64,
    pub reserve_mib: u64,
    pub stall_seconds: u64,
    pub stall_kib: u64,
    pub import_patience_minutes: u64,
    pub delete_patience_hours: u64,
    pub copy_mib_per_second: u64,
    pub max_copies: usize,
    pub max_readers: usize,
    pub max_connections: usize,
}

/// `[image.qemu]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "defaults.toml documents each of them")]
pub struct Qemu {
    pub program: PathBuf,
    pub timeout_seconds: u64,
    pub cpu_seconds: u64,
    pub memory_mib: u64,
    pub uid: u32,
    pub gid: u32,
}

impl Limits {
    /// The largest file, in bytes.
    #[must_use]
    pub fn max_image_bytes(&self) -> u64 {
        self.max_image_mib << 20
    }

    /// The largest disk, in bytes.
    #[must_use]
    pub fn max_virtual_bytes(&self) -> u64 {
        self.max_virtual_gib << 30
    }

    /// The most that a compressed file of `packed` bytes may unpack to, in bytes.
    #[must_use]
    pub fn max_unpacked_bytes(&self, packed: u64) -> u64 {
        /// A small file may unpack to so much whatever its ratio.
        const SMALL: u64 = 256 << 20;
        let by_ratio = packed.saturating_mul(self.max_unpack_ratio).max(SMALL);
        by_ratio.min(self.max_virtual_bytes())
    }

    /// The most that copies to this site take of the network, in bytes per second; 0 is no bound.
    #[must_use]
    pub fn copy_bytes_per_second(&self) -> u64 {
        self.copy_mib_per_second << 20
    }

    /// How long an import may stand still, in milliseconds.
    #[must_use]
    pub fn import_patience_ms(&self) -> u64 {
        self.import_patience_minutes * 60_000
    }

    /// How long a deletion waits for silent sites, in milliseconds.
    #[must_use]
    pub fn delete_patience_ms(&self) -> u64 {
        self.delete_patience_hours * 3_600_000
    }

    /// How long an upload may send (almost) nothing.
    #[must_use]
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
    }
}

impl ImageSection {
    /// The site, as a name.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn site(&self) -> Result<SiteName, String> {
        self.site.parse().map_err(|e| format!("image.site: {e}"))
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), String> {
        let image = &self.image;
        image.site()?;
        for (key, path) in [
            ("image.data_dir", &image.data_dir),
            ("image.tls.ca", &image.tls.ca),
            ("image.tls.cert", &image.tls.cert),
            ("image.tls.key", &image.tls.key),
        ] {
            if path.as_os_str().is_empty() {
                return Err(format!("{key} is empty: name the path"));
            }
        }
        for (key, url) in
            std::iter::once(("image.advertise", &image.advertise)).chain(image.peers.iter().map(|p| ("image.peers", p)))
        {
            let host = url.strip_prefix("https://").unwrap_or_default();
            if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
                return Err(format!("{key} is {url:?}: give it the form https://HOST:PORT"));
            }
        }
        let limits = &image.limits;
        for (key, value, least, most) in [
            ("max_image_mib", limits.max_image_mib, 1, 1 << 30),
            ("max_virtual_gib", limits.max_virtual_gib, 1, 64 << 10),
            ("max_imports", limits.max_imports as u64, 1, 1024),
            ("max_user_imports", limits.max_user_imports as u64, 1, 1024),
            ("max_user_mib", limits.max_user_mib, 1, 1 << 30),
            ("max_uploads", limits.max_uploads as u64, 1, 1024),
            ("max_unpack_ratio", limits.max_unpack_ratio, 1, 1 << 20),
            ("unpack_memory_mib", limits.unpack_memory_mib, 1, 4095),
            ("reserve_mib", limits.reserve_mib, 0, 1 << 30),
            ("stall_seconds", limits.stall_seconds, 1, 3600),
            ("stall_kib", limits.stall_kib, 0, 1 << 20),
            ("import_patience_minutes", limits.import_patience_minutes, 1, 100_000),
            ("delete_patience_hours", limits.delete_patience_hours, 1, 100_000),
            ("copy_mib_per_second", limits.copy_mib_per_second, 0, 100_000),
            ("max_copies", limits.max_copies as u64, 1, 64),
            ("max_readers", limits.max_readers as u64, 1, 65_536),
            ("max_connections", limits.max_connections as u64, 1, 65_536),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("image.limits.{key} is {value}: use {least} to {most}"));
            }
        }
        image.store.validate()?;
        let urls = &image.urls;
        for (key, value, least, most) in [
            ("max_redirects", urls.max_redirects.into(), 0, 20),
            ("max_downloads", urls.max_downloads as u64, 1, 64),
            ("max_tries", urls.max_tries.into(), 1, 100),
            ("connect_seconds", urls.connect_seconds, 1, 600),
            ("max_hours", urls.max_hours, 1, 1000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("image.urls.{key} is {value}: use {least} to {most}"));
            }
        }
        let saves = &image.saves;
        for (key, value, least, most) in [
            ("max_tries", saves.max_tries.into(), 1, 100),
            ("answer_ms", saves.answer_ms, 100, 60_000),
            ("silence_seconds", saves.silence_seconds, 1, 3_600),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("image.saves.{key} is {value}: use {least} to {most}"));
            }
        }
        for (key, value, most) in [
            ("timeout_seconds", image.qemu.timeout_seconds, 100_000),
            ("cpu_seconds", image.qemu.cpu_seconds, 100_000),
            ("memory_mib", image.qemu.memory_mib, 1 << 20),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("image.qemu.{key} is {value}: use 1 to {most}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Settings {
        let mut table: toml::Table = DEFAULTS.parse().unwrap();
        table["image"]["site"] = "yamate".into();
        table["image"]["advertise"] = "https://127.0.0.1:8444".into();
        for key in ["ca", "cert", "key"] {
            table["image"]["tls"][key] = key.into();
        }
        Settings::deserialize(toml::Value::Table(table)).unwrap()
    }

    #[test]
    fn the_defaults_need_only_the_place_and_the_certificates() {
        defaults().validate().unwrap();
    }

    #[test]
    fn copies_leave_most_of_a_link_of_a_gigabit_to_migrations_unless_that_is_set_otherwise() {
        let mut limits = defaults().image.limits;
        let link = 1_000_000_000 / 8;
        assert!((1..=link / 3).contains(&limits.copy_bytes_per_second()), "{}", limits.copy_bytes_per_second());
        limits.copy_mib_per_second = 3;
        assert_eq!(limits.copy_bytes_per_second(), 3 << 20);
        limits.copy_mib_per_second = 0;
        assert_eq!(limits.copy_bytes_per_second(), 0);
    }

    #[test]
    fn plain_http_nonsense_and_zero_bounds_are_told() {
        let told = |change: fn(&mut ImageSection)| {
            let mut settings = defaults();
            change(&mut settings.image);
            settings.validate().unwrap_err()
        };
        assert!(told(|i| i.advertise = "http://m-front:8444".into()).contains("image.advertise"));
        assert!(told(|i| i.peers = vec!["https://".into()]).contains("image.peers"));
        assert!(told(|i| i.site = "No Site".into()).contains("image.site"));
        assert!(told(|i| i.tls.key = "".into()).contains("image.tls.key"));
        assert!(told(|i| i.limits.max_uploads = 0).contains("image.limits.max_uploads"));
        assert!(told(|i| i.qemu.memory_mib = 0).contains("image.qemu.memory_mib"));
    }
}
