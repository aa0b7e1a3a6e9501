//! The names of the network service's metrics, and nothing else: they stand on the page of metrics as they stand here.

/// Addresses in use, by network.
pub(crate) const ADDRESSES_USED: &str = "watari_addresses_used";
/// Addresses of the range that are left, by network.
pub(crate) const ADDRESSES_FREE: &str = "watari_addresses_free";
/// Ports whose server is gone.
pub(crate) const PORTS_ORPHANED: &str = "watari_ports_orphaned";
/// 1 while ports without servers are kept because too many lost theirs at once.
pub(crate) const PORTS_ORPHANED_ALARM: &str = "watari_ports_orphaned_alarm";
