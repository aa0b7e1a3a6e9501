//! Statistics of every domain in one call.

use virt_sys as sys;

use super::error::Result;
use super::ffi::{Params, Value};
use super::state::DomainState;
use super::{Hypervisor, ffi};

/// One domain's figures. Counters grow from the domain's start on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainStats {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: DomainState,
    /// CPU time used.
    pub cpu_ns: u64,
    /// Virtual CPUs.
    pub vcpus: u64,
    /// Memory that the guest has, in KiB.
    pub memory_actual_kib: u64,
    /// Memory that its process occupies, in KiB.
    pub memory_rss_kib: u64,
    /// Its disks.
    pub blocks: Vec<BlockStats>,
    /// Its network interfaces.
    pub nets: Vec<NetStats>,
    /// MiB a second that it dirtied when last measured.
    pub dirty_mib_s: Option<u64>,
}

/// One disk's figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockStats {
    /// Its target (`vda`).
    pub target: String,
    /// Its file.
    pub path: String,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Highest byte in use.
    pub allocation_bytes: u64,
    /// What the guest sees.
    pub capacity_bytes: u64,
    /// What the file occupies.
    pub physical_bytes: u64,
}

/// One network interface's figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Its tap.
    pub tap: String,
    /// Bytes that the guest received.
    pub received_bytes: u64,
    /// Bytes that the guest sent.
    pub sent_bytes: u64,
}

impl Hypervisor {
    /// Figures of every active domain. It does not wait for one that a job holds: such a domain
    /// shows only what libvirt knows without asking QEMU.
    ///
    /// # Errors
    /// libvirt is away.
    pub async fn stats(&self) -> Result<Vec<DomainStats>> {
        let kinds = sys::VIR_DOMAIN_STATS_STATE
            | sys::VIR_DOMAIN_STATS_CPU_TOTAL
            | sys::VIR_DOMAIN_STATS_BALLOON
            | sys::VIR_DOMAIN_STATS_VCPU
            | sys::VIR_DOMAIN_STATS_INTERFACE
            | sys::VIR_DOMAIN_STATS_BLOCK
            | sys::VIR_DOMAIN_STATS_DIRTYRATE;
        let flags = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
        let all = self.call("read statistics", move |connect| ffi::all_stats(connect, kinds, flags)).await?;
        Ok(all.into_iter().map(|(name, params)| DomainStats::read(name, &params)).collect())
    }

    /// Starts measuring how fast the guest dirties memory; the result appears in [`Self::stats`] afterwards.
    ///
    /// # Errors
    /// No such domain; it does not run; libvirt's own.
    pub async fn measure_dirty_rate(&self, name: &str, seconds: u8) -> Result<()> {
        self.on_domain("measure the dirty rate", name, move |domain| ffi::start_dirty_rate(domain, seconds.into()))
            .await
    }
}

impl DomainStats {
    fn read(name: String, params: &Params) -> Self {
        let maybe = |key: &str| params.get(key).and_then(Value::as_u64);
        let get = |key: &str| maybe(key).unwrap_or(0);
        let text = |key: &str| match params.get(key) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let number = |key: &str| i32::try_from(get(key)).unwrap_or(0);
        let blocks = (0..get("block.count"))
            .map(|index| BlockStats {
                target: text(&format!("block.{index}.name")),
                path: text(&format!("block.{index}.path")),
                read_bytes: get(&format!("block.{index}.rd.bytes")),
                written_bytes: get(&format!("block.{index}.wr.bytes")),
                allocation_bytes: get(&format!("block.{index}.allocation")),
                capacity_bytes: get(&format!("block.{index}.capacity")),
                physical_bytes: get(&format!("block.{index}.physical")),
            })
            .collect();
        // libvirt counts at the tap as the guest sees it.
        let nets = (0..get("net.count"))
            .map(|index| NetStats {
                tap: text(&format!("net.{index}.name")),
                received_bytes: get(&format!("net.{index}.rx.bytes")),
                sent_bytes: get(&format!("net.{index}.tx.bytes")),
            })
            .collect();
        Self {
            name,
            state: DomainState::from_raw((number("state.state"), number("state.reason"))),
            cpu_ns: get("cpu.time"),
            vcpus: get("vcpu.current"),
            memory_actual_kib: get("balloon.current"),
            memory_rss_kib: get("balloon.rss"),
            blocks,
            nets,
            dirty_mib_s: maybe("dirtyrate.megabytes_per_second"),
        }
    }
}
