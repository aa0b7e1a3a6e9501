//! What the agent is configured with; `defaults.toml` says what each value means.

use std::{collections::BTreeMap, net::Ipv4Addr, path::PathBuf, time::Duration};

use serde::Deserialize;
use watari_chassis::Validate;
use watari_model::{NodeName, SegmentName, SiteName, isolation::Terms, vm};

use crate::hypervisor::probe;

/// The defaults, commented.
pub const DEFAULTS: &str = include_str!("defaults.toml");
/// All of them are told with each inventory.
const MOST_CERTIFICATES: usize = 32;
/// The most words of a command, and the longest word in bytes.
const MOST_WORDS: usize = 16;
const LONGEST_WORD: usize = 256;

/// All settings of the agent itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The node's name, or empty.
    pub node: String,
    /// The site's name.
    pub site: String,
    /// What must last.
    pub data_dir: PathBuf,
    /// What need not.
    pub run_dir: PathBuf,
    /// libvirt.
    pub libvirt_uri: String,
    /// How guests are run.
    pub virtualisation: Virtualisation,
    /// Where migrations arrive, or empty.
    pub migration_address: String,
    /// `[image]`.
    pub image: Image,
    /// `[networks]`.
    pub networks: Networks,
    /// `[labels]`.
    pub labels: BTreeMap<String, String>,
    /// `[capacity]`.
    pub capacity: Capacity,
    /// `[memory]`.
    pub memory: Memory,
    /// `[cpu]`.
    pub cpu: Cpu,
    /// `[uefi]`.
    pub uefi: Uefi,
    /// `[migration]`.
    pub migration: Migration,
    /// `[saving]`.
    pub saving: Saving,
    /// `[layers]`.
    pub layers: Layers,
    /// `[isolation]`.
    pub isolation: Isolation,
    /// `[health]`.
    pub health: Health,
    /// `[power]`.
    pub power: Power,
    /// `[intervals]`.
    pub intervals: Intervals,
    /// `[bounds]`.
    pub bounds: Bounds,
}

/// How guests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Virtualisation {
    /// By hardware if a vCPU really boots.
    Auto,
    /// By hardware.
    Kvm,
    /// By emulation.
    Qemu,
}

/// `[image]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// HTTPS origins, best first.
    pub sources: Vec<String>,
    /// The authority, or empty.
    pub ca: PathBuf,
    /// Our certificate, or empty.
    pub cert: PathBuf,
    /// Its key, or empty.
    pub key: PathBuf,
    /// Fetched at the same time.
    pub downloads: usize,
    /// Seconds of silence that end an attempt.
    pub stall_seconds: u64,
    /// Of all images together; 0 is a quarter of the file system.
    pub cache_mib: u64,
}

/// `[networks]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// Of a DHCP lease.
    pub lease_minutes: u32,
    /// Where overlay networks' packets arrive; empty is the address for migrations.
    pub tunnel_address: String,
    /// Whether nftables guards our taps.
    pub guard: bool,
    /// Milliseconds that an arrival waits for its firewall groups' rules.
    pub rules_wait_ms: u64,
    /// Minutes in which connections that a server brought along are taken up.
    pub arrival_minutes: u32,
    /// Where questions for the metadata address are led on this node; 0 answers none.
    pub metadata_port: u16,
    /// Where questions for names, asked at the metadata address, are led on this node; 0 answers none.
    pub names_port: u16,
    /// Segment to bridge.
    pub segments: BTreeMap<SegmentName, String>,
}

/// `[capacity]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// 0 is the machine's.
    pub vcpus: u32,
    /// 0 is the machine's, less the reserve.
    pub memory_mib: u64,
    /// 0 is the file system's.
    pub disk_gib: u64,
    /// Kept back.
    pub reserve_memory_mib: u64,
    /// Kept free.
    pub reserve_disk_gib: u64,
}

/// `[memory]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// MiB from which on a server can be given more while it runs.
    pub grows_from_mib: u64,
    /// Up to so many times as much; 1 is never.
    pub grows_times: u64,
    /// Also where servers are emulated, which then cannot be moved: for tests alone.
    pub grows_emulated: bool,
    /// Seconds in which a guest may take none of what it is offered.
    pub take_seconds: u64,
}

/// `[cpu]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// libvirt's name, or empty.
    pub model: String,
    /// Beyond the model.
    pub features: Vec<String>,
}

/// `[uefi]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uefi {
    /// The firmware.
    pub code: PathBuf,
    /// The variables that a new server has.
    pub variables: PathBuf,
}

/// `[migration]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// Whether guests are slowed down until they converge.
    pub auto_converge: bool,
    /// Connections over which a memory is sent.
    pub connections: u8,
    /// Milliseconds between two looks at the figures.
    pub poll_ms: u64,
    /// Seconds after which a copy is broken off of which nothing gets across.
    pub stall_seconds: u64,
    /// Minutes between two looks at what would travel of a server; 0 is never.
    pub sample_minutes: u64,
    /// Seconds in which what these bring is gathered.
    pub gather_seconds: u64,
}

impl Migration {
    /// Over how many connections a memory is sent, if it is to be over several.
    #[must_use]
    pub const fn parallel(&self) -> Option<u8> {
        if self.connections > 1 { Some(self.connections) } else { None }
    }

    /// How many looks in a row at the figures take as long as a copy may stand still.
    #[must_use]
    pub fn stall_looks(&self) -> u64 {
        self.stall_seconds.saturating_mul(1_000) / self.poll_ms.max(1)
    }

    /// How long it is gathered what would travel of servers before it is told.
    #[must_use]
    pub const fn gather(&self) -> Duration {
        Duration::from_secs(self.gather_seconds)
    }
}

/// `[saving]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saving {
    /// Copies made and sent at the same time.
    pub at_once: usize,
    /// Seconds after which a copy that nobody asks for ends.
    pub silence_seconds: u64,
    /// Hours that a copy may take.
    pub most_hours: u64,
    /// Seconds that a guest's own agent may take for each answer.
    pub freeze_seconds: u16,
    /// Seconds that a piece may take to be sent.
    pub piece_seconds: u64,
    /// 0 is without bound.
    pub mib_per_second: u64,
}

/// `[layers]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// 0 is without bound.
    pub merge_mib_per_second: u32,
}

/// `[isolation]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isolation {
    /// Milliseconds that a lease holds from when it is asked for.
    pub lease_ms: u64,
    /// Milliseconds after its end within which servers are stopped that are to be.
    pub stop_ms: u64,
    /// The hardware watchdog's device, or empty.
    pub watchdog: PathBuf,
}

/// `[health]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Whose ends are told, beside our own.
    pub certificates: Vec<PathBuf>,
    /// Lists of revoked certificates, of which it is told how old they are.
    pub revocation_lists: Vec<PathBuf>,
    /// Minutes between two measurements of the disk.
    pub disk_minutes: u64,
}

/// `[power]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// The program that shuts the machine down, with its arguments, or nothing.
    pub shut_down: Vec<String>,
}

/// `[intervals]`, in milliseconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intervals {
    /// Between beats.
    pub beat_ms: u64,
    /// Between facts.
    pub facts_ms: u64,
    /// Between inventories.
    pub inventory_ms: u64,
}

/// `[bounds]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Messages waiting for one server.
    pub mailbox: usize,
    /// Finished operations remembered for each server.
    pub operations_kept: u32,
    /// Milliseconds that libvirt may take to answer.
    pub libvirt_answer_ms: u64,
    /// Seconds between two presses of a guest's power button.
    pub press_again_seconds: u64,
    /// Seconds until a started server must be seen running.
    pub start_seconds: u64,
}

impl Settings {
    /// This node's name.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn node_name(&self) -> Result<NodeName, String> {
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy();
        let name = if self.node.is_empty() { host.split('.').next().unwrap_or_default() } else { &self.node };
        name.parse().map_err(|error| format!("node: {error}; set node in node-agent.toml"))
    }

    /// The site's name.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn site_name(&self) -> Result<SiteName, String> {
        if self.site.is_empty() {
            return Err("site is empty: set it in node-agent.toml to the campus where this node stands".to_owned());
        }
        self.site.parse().map_err(|error| format!("site: {error}"))
    }

    /// Where overlay networks' packets arrive, if that is an address and not a name.
    #[must_use]
    pub fn tunnel_address(&self) -> Option<Ipv4Addr> {
        let own = &self.networks.tunnel_address;
        if own.is_empty() { self.migration_address.parse().ok() } else { own.parse().ok() }
    }

    /// What the hypervisor module is to find out.
    #[must_use]
    pub fn probe(&self) -> probe::Choice {
        match self.virtualisation {
            Virtualisation::Auto => probe::Choice::Auto,
            Virtualisation::Kvm => probe::Choice::Kvm,
            Virtualisation::Qemu => probe::Choice::Qemu,
        }
    }
}

impl Networks {
    /// The TCP port at which servers' questions for the metadata address are answered. Nobody is answered
    /// unless nftables guards our taps: who asks would not be known.
    #[must_use]
    pub fn metadata_port(&self) -> Option<u16> {
        (self.guard && self.metadata_port != 0).then_some(self.metadata_port)
    }

    /// The UDP and TCP port at which servers of provider networks are answered that ask for names at the metadata
    /// address. Nobody is where that address is not answered at all.
    #[must_use]
    pub fn names_port(&self) -> Option<u16> {
        self.metadata_port().map(|_| self.names_port).filter(|port| *port != 0)
    }

    /// The protocols and ports of both.
    #[must_use]
    pub fn ports_for_servers(&self) -> Vec<(&'static str, u16)> {
        let names = self.names_port().into_iter().flat_map(|port| [("udp", port), ("tcp", port)]);
        self.metadata_port().map(|port| ("tcp", port)).into_iter().chain(names).collect()
    }
}

impl Isolation {
    /// What the node promises with a lease.
    #[must_use]
    pub const fn terms(&self) -> Terms {
        Terms { lease_ms: self.lease_ms, stop_ms: self.stop_ms }
    }
}

impl Bounds {
    /// How long libvirt may take to answer a question.
    #[must_use]
    pub fn libvirt_answer(&self) -> Duration {
        Duration::from_millis(self.libvirt_answer_ms)
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), String> {
        self.node_name()?;
        self.site_name()?;
        for (key, path) in [
            ("data_dir", &self.data_dir),
            ("run_dir", &self.run_dir),
            ("uefi.code", &self.uefi.code),
            ("uefi.variables", &self.uefi.variables),
        ] {
            if !path.is_absolute() {
                return Err(format!("{key} is {}: give an absolute path", path.display()));
            }
        }
        for (key, paths) in [
            ("health.certificates", &self.health.certificates),
            ("health.revocation_lists", &self.health.revocation_lists),
        ] {
            if paths.len() > MOST_CERTIFICATES {
                return Err(format!("{key} names more than {MOST_CERTIFICATES} files"));
            }
            if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
                return Err(format!("{key} has {}: give absolute paths", path.display()));
            }
        }
        let sound = |word: &String| (1..=LONGEST_WORD).contains(&word.len()) && !word.contains('\0');
        if self.power.shut_down.len() > MOST_WORDS || !self.power.shut_down.iter().all(sound) {
            return Err(format!(
                "power.shut_down takes a program and its arguments: at most {MOST_WORDS} words of 1 to {LONGEST_WORD} bytes"
            ));
        }
        let watchdog = &self.isolation.watchdog;
        if !watchdog.as_os_str().is_empty() && !watchdog.is_absolute() {
            return Err(format!("isolation.watchdog is {}: give an absolute path, or nothing", watchdog.display()));
        }
        for source in &self.image.sources {
            if !source.starts_with("https://") {
                return Err(format!("image.sources has {source:?}: images are fetched over https:// only"));
            }
        }
        for (segment, bridge) in &self.networks.segments {
            if !is_interface(bridge) {
                return Err(format!("networks.segments.{segment} is {bridge:?}: name a bridge of at most 15 letters"));
            }
        }
        if self.networks.names_port().is_some_and(|port| Some(port) == self.networks.metadata_port()) {
            return Err("networks.names_port is that of networks.metadata_port: give another, or 0".to_owned());
        }
        let tunnel = &self.networks.tunnel_address;
        if !tunnel.is_empty() && tunnel.parse::<Ipv4Addr>().is_err() {
            return Err(format!("networks.tunnel_address is {tunnel:?}: give this node's IPv4 address, or nothing"));
        }
        let address = &self.migration_address;
        if !address.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':')) {
            return Err(format!("migration_address is {address:?}: give a host name or an address"));
        }
        let ranges = [
            ("image.downloads", self.image.downloads as u64, 1, 32),
            ("image.stall_seconds", self.image.stall_seconds, 1, 600),
            ("image.cache_mib", self.image.cache_mib, 0, 1 << 30),
            ("networks.lease_minutes", self.networks.lease_minutes.into(), 2, 10_080),
            ("networks.rules_wait_ms", self.networks.rules_wait_ms, 0, 60_000),
            ("networks.arrival_minutes", self.networks.arrival_minutes.into(), 1, 10_080),
            // Not a service's own, such as DHCP's or DNS's.
            ("networks.metadata_port", self.networks.metadata_port().map_or(1_024, u64::from), 1_024, 65_535),
            ("networks.names_port", self.networks.names_port().map_or(1_024, u64::from), 1_024, 65_535),
            ("memory.grows_from_mib", self.memory.grows_from_mib, *vm::MEMORY_MIB.start(), *vm::MEMORY_MIB.end()),
            ("memory.grows_times", self.memory.grows_times, 1, 64),
            ("memory.take_seconds", self.memory.take_seconds, 1, 600),
            ("migration.connections", self.migration.connections.into(), 1, 16),
            ("migration.poll_ms", self.migration.poll_ms, 100, 10_000),
            ("migration.stall_seconds", self.migration.stall_seconds, 10, 3_600),
            ("migration.sample_minutes", self.migration.sample_minutes, 0, 1_440),
            ("migration.gather_seconds", self.migration.gather_seconds, 1, 3_600),
            ("saving.at_once", self.saving.at_once as u64, 1, 64),
            ("saving.silence_seconds", self.saving.silence_seconds, 5, 3_600),
            ("saving.most_hours", self.saving.most_hours, 1, 1_000),
            ("saving.freeze_seconds", self.saving.freeze_seconds.into(), 1, 600),
            ("saving.piece_seconds", self.saving.piece_seconds, 5, 3_600),
            ("saving.mib_per_second", self.saving.mib_per_second, 0, 100_000),
            ("layers.merge_mib_per_second", self.layers.merge_mib_per_second.into(), 0, 100_000),
            ("isolation.lease_ms", self.isolation.lease_ms, 2_000, Terms::MOST.lease_ms),
            ("isolation.stop_ms", self.isolation.stop_ms, 4_000, Terms::MOST.stop_ms),
            ("health.disk_minutes", self.health.disk_minutes, 1, 10_080),
            ("intervals.beat_ms", self.intervals.beat_ms, 100, 60_000),
            ("intervals.facts_ms", self.intervals.facts_ms, 500, 60_000),
            ("intervals.inventory_ms", self.intervals.inventory_ms, 1_000, 600_000),
            ("bounds.mailbox", self.bounds.mailbox as u64, 8, 4_096),
            ("bounds.operations_kept", self.bounds.operations_kept.into(), 8, 4_096),
            ("bounds.libvirt_answer_ms", self.bounds.libvirt_answer_ms, 100, 60_000),
            ("bounds.press_again_seconds", self.bounds.press_again_seconds, 2, 3_600),
            ("bounds.start_seconds", self.bounds.start_seconds, 5, 600),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(format!("{key} is {value}: use {least} to {most}"));
            }
        }
        Ok(())
    }
}

/// What the kernel takes as an interface's name, without what would mean something elsewhere.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_goes_over_several_connections_only_where_several_are_wished() {
        let over = |connections| Migration { connections, ..Migration::default() }.parallel();
        assert_eq!([over(0), over(1), over(4)], [None, None, Some(4)]);
    }
}
