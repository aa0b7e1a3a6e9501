//! The names of the agent's metrics, and nothing else: they stand on the page of metrics as they stand here.

/// Operations that ended, by verb and outcome ("ok" or a refusal's code).
pub const OPERATIONS: &str = "watari_agent_operations_total";
/// How long operations that succeeded took, from taking the order to its end, by verb. What was under way when the agent
/// was restarted counts from then.
pub const OPERATION_SECONDS: &str = "watari_agent_operation_seconds";
/// What base images take of the node's disk.
pub const CACHE_BYTES: &str = "watari_agent_image_cache_bytes";
/// Base images that were dropped to make room.
pub const CACHE_EVICTIONS: &str = "watari_agent_image_cache_evictions_total";
/// How long arrived copies stood paused until they were resumed.
pub const ARRIVED_PAUSE: &str = "watari_agent_arrived_pause_seconds";
/// Servers whose place the segments' switches were told: they had arrived, or stayed after a sending.
pub const ANNOUNCEMENTS: &str = "watari_agent_announcements_total";
/// Processor time of the machine, of all processors together, by mode as in proc(5); what guests use is `user`.
pub const HOST_CPU: &str = "watari_host_cpu_seconds_total";
/// Memory of the machine: `total`, `available` to whoever asks for more, `swap` and `swap-free`.
pub const HOST_MEMORY: &str = "watari_host_memory_bytes";
/// File systems of the agent's folders, `disks` and `images`: `total`, `free`.
pub const HOST_FILE_SYSTEM: &str = "watari_host_filesystem_bytes";
/// Bytes of the block devices that these folders are on, by way: `read`, `written`. None where that is no single device.
pub const HOST_DISK: &str = "watari_host_disk_bytes_total";
/// Bytes of the interfaces by which the machine reaches others, guests' own and bridges but those of segments left out, by way:
/// `received`, `sent`.
pub const HOST_NETWORK: &str = "watari_host_network_bytes_total";
