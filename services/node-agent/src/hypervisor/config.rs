//! The module's settings, with the defaults of a real node.

use std::path::PathBuf;

/// How to reach libvirt, and the bounds.
#[derive(Debug, Clone)]
pub struct Config {
    /// libvirt's URI on this node.
    pub uri: String,
    /// Where libvirt keeps `NAME.pid`.
    pub run_dir: PathBuf,
    /// Where the kernel tells about processes.
    pub proc_dir: PathBuf,
    /// Seconds between keepalive messages; with `keep_alive_count` missed, the connection is given up.
    pub keep_alive_interval_s: i32,
    /// Keepalive messages that may go unanswered.
    pub keep_alive_count: u32,
    /// Ordinary libvirt calls at a time.
    pub calls_in_flight: usize,
    /// Outgoing migrations at a time.
    pub migrations_in_flight: usize,
    /// Events kept for a slow receiver.
    pub event_queue: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            uri: "qemu:///system".into(),
            run_dir: "/run/libvirt/qemu".into(),
            proc_dir: "/proc".into(),
            keep_alive_interval_s: 2,
            keep_alive_count: 2,
            calls_in_flight: 16,
            migrations_in_flight: 4,
            event_queue: 4096,
        }
    }
}
