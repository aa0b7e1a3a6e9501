//! Whether connection tracking insists that TCP packets fit the window that it knows.
//!
//! A node remembers connections of a server that went elsewhere, for days. When the server comes back
//! they have gone on without this node, and what belongs to them fits no window any more: it would be
//! *invalid*, and dropped. So while servers with firewall groups are here, tracking does not insist, as
//! it does not either for a connection whose beginning it has not seen. The guests' own TCP does.

use std::{fs, io, path::Path};

const SWITCH: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";

/// Tracking does not insist any more, and a mark says that it was us, if it was.
///
/// # Errors
/// The switch or the mark cannot be written.
pub(super) fn relax(mark: &Path) -> io::Result<()> {
    if fs::read_to_string(SWITCH)?.trim() != "0" {
        return Ok(());
    }
    fs::write(mark, "switched on for firewall groups\n")?;
    tracing::info!("nf_conntrack_tcp_be_liberal is switched on, for connections that servers bring along");
    fs::write(SWITCH, "1")
}

/// As it was found.
///
/// # Errors
/// The switch or the mark cannot be written.
pub(super) fn insist(mark: &Path) -> io::Result<()> {
    if !mark.exists() {
        return Ok(());
    }
    fs::write(SWITCH, "0")?;
    fs::remove_file(mark)
}
