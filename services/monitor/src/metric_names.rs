//! The names of the monitor's metrics, and nothing else: they stand on the page of metrics as they stand here.

/// Beats received.
pub(crate) const BEATS: &str = "watari_beats_total";
/// Beats not believed, by reason.
pub(crate) const BEATS_REFUSED: &str = "watari_beats_refused_total";
/// Time from a beat's making, by the node's clock, to its taking.
pub(crate) const BEAT_LAG: &str = "watari_beat_lag_seconds";
/// Inventories not believed, by reason.
pub(crate) const INVENTORIES_REFUSED: &str = "watari_inventories_refused_total";
/// Writes of nodes' documents, by what and outcome.
pub(crate) const NODE_WRITES: &str = "watari_node_writes_total";
/// Capacity events told.
pub(crate) const CAPACITIES: &str = "watari_capacity_events_total";
/// Nodes, by state.
pub(crate) const NODES: &str = "watari_nodes";
/// 1 for what became of fencing a node that is lost and not known to be off: `failed`, `withheld` or `begun`.
pub(crate) const NODE_FENCING: &str = "watari_node_fencing";
/// 1 for what a node has hardly any left of: `overloaded`, `memory nearly full`, `disk nearly full`; only of nodes that
/// are ready.
pub(crate) const NODE_STRAIN: &str = "watari_node_strain";
/// How many of a node's processors its servers keep busy, over half a minute or so.
pub(crate) const NODE_BUSY: &str = "watari_node_busy_processors";
/// A node's memory, total and used.
pub(crate) const NODE_MEMORY: &str = "watari_node_memory_bytes";
/// A node's processors, total and used.
pub(crate) const NODE_VCPUS: &str = "watari_node_vcpus";
/// A node's load average over one minute.
pub(crate) const NODE_LOAD: &str = "watari_node_load";
/// 1 while a node is ready, 0 while it is suspect or lost.
pub(crate) const NODE_READY: &str = "watari_node_ready";
/// Time since a node was heard.
pub(crate) const NODE_SILENCE: &str = "watari_node_silence_seconds";
/// By how much a node's clock is ahead of this front end's, by its last beat; what the beat took to come counts as
/// behind.
pub(crate) const NODE_CLOCK: &str = "watari_node_clock_ahead_seconds";
/// A node's room for disks, total and used.
pub(crate) const NODE_DISK: &str = "watari_node_disk_bytes";
/// Servers that run on a node, by its own account.
pub(crate) const NODE_SERVERS: &str = "watari_node_servers";
/// Processor time that a server has used since it runs on this node.
pub(crate) const VM_CPU: &str = "watari_vm_cpu_seconds_total";
/// Memory of its node that a server occupies.
pub(crate) const VM_MEMORY: &str = "watari_vm_memory_bytes";
/// Bytes of a server's disks since it runs on this node, by way: `read`, `written`.
pub(crate) const VM_DISK: &str = "watari_vm_disk_bytes_total";
/// Bytes a second that a server writes to its memory, as its node looks at it now and then: the most of the last looks.
pub(crate) const VM_DIRTY: &str = "watari_vm_dirty_bytes_per_second";
/// Bytes in the layer of a server's disk that is written to: what a migration copies of it.
pub(crate) const VM_LAYER: &str = "watari_vm_disk_layer_bytes";
/// Bytes of a server's network since it runs on this node, by way: `received`, `sent`.
pub(crate) const VM_NET: &str = "watari_vm_network_bytes_total";
/// Servers of which it is not shown what they use, since there are more than `nodes.most_measured`.
pub(crate) const VMS_UNMEASURED: &str = "watari_vms_unmeasured";
/// 1 while the history can be read and written.
pub(crate) const HISTORY_AVAILABLE: &str = "watari_history_available";
/// Changes written down.
pub(crate) const HISTORY_CHANGES: &str = "watari_history_changes_total";
/// Changes kept.
pub(crate) const HISTORY_ROWS: &str = "watari_history_rows";
/// Failures, by what failed.
pub(crate) const HISTORY_FAILURES: &str = "watari_history_failures_total";
/// Questions to servers' probes while an outage is under way, by what came: `answered`, `failed`.
pub(crate) const PROBE_ANSWERS: &str = "watari_probe_answers_total";
/// The longest time for which a server's users had no answer in an outage that is under way, by server and probe.
pub(crate) const PROBE_LONGEST_GAP: &str = "watari_probe_longest_gap_seconds";
/// 1 while a UPS answers, by site and UPS.
pub(crate) const UPS_REACHABLE: &str = "watari_ups_reachable";
/// 1 while it is on line, likewise; none while that is not known.
pub(crate) const UPS_ON_LINE: &str = "watari_ups_on_line";
/// How full its battery is, from 0 to 1.
pub(crate) const UPS_CHARGE: &str = "watari_ups_charge_ratio";
/// How long its battery would last.
pub(crate) const UPS_RUNTIME: &str = "watari_ups_runtime_seconds";
/// 1 while the UPSes of a site say that it is on battery, by site; none while that cannot be told.
pub(crate) const SITE_ON_BATTERY: &str = "watari_site_on_battery";
/// Alerts taken, by what they led to.
pub(crate) const ALERTS: &str = "watari_alerts_total";
/// When the newest backup in `backups.folder` was made, in Unix time: 0 if there is none, absent where no folder is
/// named.
pub(crate) const BACKUP_NEWEST: &str = "watari_backup_newest_timestamp_seconds";
