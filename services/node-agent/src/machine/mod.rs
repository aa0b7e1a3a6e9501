//! What the machine under the servers does: processors, memory, disks, network. Read when somebody asks, and never by the
//! agent itself: what it decides by stands in the inventory and the beats.

mod kernel;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use watari_chassis::prometheus::{
    self, CounterVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::metric_names::{HOST_CPU, HOST_DISK, HOST_FILE_SYSTEM, HOST_MEMORY, HOST_NETWORK};
use kernel::Ways;

/// The most interfaces that are shown, the first by name: an engine of containers makes new ones all the time.
const MOST_INTERFACES: usize = 16;

/// Where the machine is looked at.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The folders whose file systems are shown, and by which word.
    pub folders: [(&'static str, PathBuf); 2],
    /// Bridges of segments, through which servers reach others.
    pub bridges: BTreeSet<String>,
    /// The kernel's `/proc`.
    pub proc: PathBuf,
    /// The kernel's folder of interfaces.
    pub interfaces: PathBuf,
}

/// Shows it; until somebody asks it costs nothing.
///
/// # Errors
/// Another metric has the name.
pub fn register(registry: &Registry, machine: Machine) -> Result<(), prometheus::Error> {
    registry.register(Box::new(Shown { machine, figures: Figures::new()?, turn: Mutex::default() }))
}

struct Shown {
    machine: Machine,
    figures: Figures,
    /// Counters are put together anew each time, which two must not do at once.
    turn: Mutex<()>,
}

struct Figures {
    cpu: CounterVec,
    memory: IntGaugeVec,
    file_system: IntGaugeVec,
    disk: IntCounterVec,
    network: IntCounterVec,
}

impl Figures {
    fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let bytes = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        Ok(Self {
            cpu: CounterVec::new(Opts::new(HOST_CPU, "Processor time of the machine."), &["mode"])?,
            memory: gauge(HOST_MEMORY, "Memory of the machine.", &["which"])?,
            file_system: gauge(HOST_FILE_SYSTEM, "File systems of the agent's folders.", &["folder", "which"])?,
            disk: bytes(HOST_DISK, "Bytes of the block devices under the agent's folders.", &["folder", "way"])?,
            network: bytes(HOST_NETWORK, "Bytes of the machine's interfaces.", &["interface", "way"])?,
        })
    }

    fn all(&self) -> [&dyn Collector; 5] {
        [&self.cpu, &self.memory, &self.file_system, &self.disk, &self.network]
    }

    fn read(&self, machine: &Machine) {
        self.cpu.reset();
        self.memory.reset();
        self.file_system.reset();
        self.disk.reset();
        self.network.reset();
        let text = |name: &str| fs::read_to_string(machine.proc.join(name)).unwrap_or_default();
        let a_second = rustix::param::clock_ticks_per_second().max(1);
        for (mode, ticks) in kernel::processors(&text("stat")) {
            let spent = Duration::from_millis(ticks.saturating_mul(1_000) / a_second);
            self.cpu.with_label_values(&[mode]).inc_by(spent.as_secs_f64());
        }
        for (which, bytes) in kernel::memory(&text("meminfo")) {
            self.memory.with_label_values(&[which]).set(signed(bytes));
        }
        let diskstats = text("diskstats");
        for (word, folder) in &machine.folders {
            self.room(word, folder);
            let device = fs::metadata(folder).ok().map(|about| about.dev());
            let moved = device.and_then(|d| kernel::disk(&diskstats, rustix::fs::major(d), rustix::fs::minor(d)));
            if let Some(moved) = moved {
                moves(&self.disk, word, ["read", "written"], moved);
            }
        }
        let dev = text("net/dev");
        let mut outward: Vec<_> = kernel::interfaces(&dev).filter(|(name, _)| machine.leads_out(name)).collect();
        outward.sort_unstable_by_key(|(name, _)| *name);
        for (name, moved) in outward.into_iter().take(MOST_INTERFACES) {
            moves(&self.network, name, ["received", "sent"], moved);
        }
    }

    fn room(&self, word: &str, folder: &Path) {
        let Ok(stat) = rustix::fs::statvfs(folder) else { return };
        for (which, blocks) in [("total", stat.f_blocks), ("free", stat.f_bavail)] {
            let bytes = blocks.saturating_mul(stat.f_frsize);
            self.file_system.with_label_values(&[word, which]).set(signed(bytes));
        }
    }
}

impl Machine {
    /// Whether others are reached by an interface: no loopback, no guest's tap, no tunnel, and no bridge but a segment's.
    fn leads_out(&self, name: &str) -> bool {
        let about = self.interfaces.join(name);
        let kind = fs::read_to_string(about.join("uevent")).unwrap_or_default();
        let is = |kind_of: &str| kind.lines().any(|line| line.strip_prefix("DEVTYPE=") == Some(kind_of));
        let is_inner = name == "lo" || about.join("tun_flags").exists() || is("vxlan") || is("bridge");
        self.bridges.contains(name) || !is_inner
    }
}

fn moves(counter: &IntCounterVec, what: &str, [inward, outward]: [&str; 2], moved: Ways) {
    counter.with_label_values(&[what, inward]).inc_by(moved.inward);
    counter.with_label_values(&[what, outward]).inc_by(moved.outward);
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.figures.all().into_iter().flat_map(|figure| figure.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.figures.read(&self.machine);
        self.figures.all().into_iter().flat_map(|figure| figure.collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use watari_chassis::prometheus::TextEncoder;
    use watari_testkit::TempDir;

    use super::*;

    fn shown(machine: &Machine, times: usize) -> String {
        let registry = Registry::new();
        register(&registry, machine.clone()).unwrap();
        (1..times).for_each(|_| drop(registry.gather()));
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    fn here(dir: &TempDir) -> Machine {
        Machine {
            folders: [("disks", dir.path().to_owned()), ("images", dir.path().join("nowhere"))],
            bridges: BTreeSet::from(["br0".to_owned()]),
            proc: dir.path().to_owned(),
            interfaces: dir.path().join("class"),
        }
    }

    #[test]
    fn only_what_leads_out_of_the_machine_is_shown_and_not_without_end() {
        let dir = TempDir::new();
        let mut dev: String = ["lo", "eth0", "br0", "br-overlay", "vnet0", "wtun"]
            .iter()
            .map(|name| format!("{name}: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n"))
            .collect();
        for (name, file, text) in [
            ("br0", "uevent", "DEVTYPE=bridge\nINTERFACE=br0\n"),
            ("br-overlay", "uevent", "DEVTYPE=bridge\n"),
            ("vnet0", "tun_flags", "0x1002\n"),
            ("wtun", "uevent", "DEVTYPE=vxlan\n"),
        ] {
            let folder = dir.path().join("class").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(file), text).unwrap();
        }
        fs::create_dir(dir.path().join("net")).unwrap();
        fs::write(dir.path().join("net/dev"), &dev).unwrap();
        fs::write(dir.path().join("stat"), "cpu  100 0 0 0\n").unwrap();
        // A counter that is read twice has not grown by that.
        let told = shown(&here(&dir), 2);
        let lines: Vec<&str> = told.lines().filter(|line| line.starts_with(HOST_NETWORK)).collect();
        assert_eq!(lines.len(), 4, "{told}");
        assert!(lines.contains(&"watari_host_network_bytes_total{interface=\"eth0\",way=\"sent\"} 2"), "{told}");
        assert!(lines.iter().any(|line| line.contains("br0")), "{told}");
        assert!(told.contains("watari_host_cpu_seconds_total{mode=\"user\"} 1"), "{told}");
        assert!(told.contains("watari_host_filesystem_bytes{folder=\"disks\",which=\"free\"}"), "{told}");
        assert!(!told.contains("folder=\"images\""), "{told}");

        for number in 10..60 {
            dev += &format!("veth{number}: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n");
        }
        fs::write(dir.path().join("net/dev"), dev).unwrap();
        let told = shown(&here(&dir), 1);
        assert_eq!(told.lines().filter(|line| line.starts_with(HOST_NETWORK)).count(), 2 * MOST_INTERFACES);
    }

    #[test]
    fn this_machine_tells_of_its_processors_and_memory() {
        let dir = TempDir::new();
        let machine = Machine { proc: "/proc".into(), interfaces: "/sys/class/net".into(), ..here(&dir) };
        let told = shown(&machine, 1);
        for series in ["watari_host_cpu_seconds_total{mode=\"idle\"}", "watari_host_memory_bytes{which=\"available\"}"]
        {
            assert!(told.contains(series), "{told}");
        }
    }
}
