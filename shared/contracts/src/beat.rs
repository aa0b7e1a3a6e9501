//! The beat: what ten thousand nodes send each second and only machines read. bincode, with the
//! schema's version outside the body (see the chassis' codec). A version is never changed in
//! place: a new field is a new version.

use serde::{Deserialize, Serialize};

/// The version of [`Beat`].
pub const VERSION: u8 = 1;

/// One node's beat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    /// The node.
    pub node: String,
    /// Its site.
    pub site: String,
    /// Counts from the agent's start.
    pub seq: u64,
    /// Differs after each start of the agent.
    pub instance: u64,
    /// Milliseconds since 1970 on the node's clock.
    pub at_ms: u64,
    /// Whether libvirt answers.
    pub hypervisor_answers: bool,
    /// Virtual CPUs of running servers.
    pub vcpus_used: u32,
    /// Memory of running servers, in MiB.
    pub memory_used_mib: u64,
    /// Room left for disks, in GiB.
    pub disk_free_gib: u64,
    /// The kernel's load average over one minute, in hundredths.
    pub load_centi: u32,
    /// One sample per running server.
    pub servers: Vec<Sample>,
}

/// One server's counters since its QEMU started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The server.
    pub vm: String,
    /// CPU time in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory in MiB.
    pub rss_mib: u64,
    /// Bytes read from and written to disks.
    pub disk_read: u64,
    /// Bytes written to disks.
    pub disk_written: u64,
    /// Bytes received from the network.
    pub net_received: u64,
    /// Bytes sent to the network.
    pub net_sent: u64,
}
