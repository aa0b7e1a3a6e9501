//! Whether connection tracking insists that TCP packets fit the window that it knows.
//!
//! A node remembers connections of a server that went elsewhere, for days. When the server comes back
//! they have gone on without this node, and what belongs to them fits no window any more: it would be
//! *invalid*, and dropped. So while servers with firewall groups or public addresses are here, tracking
//! does not insist, as it does not either for a connection whose beginning it has not seen. The guests'
//! own TCP does.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const SWITCH: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";
/// One turns the switch at a time.
static TURN: Mutex<()> = Mutex::new(());

/// For whose sake tracking does not insist. A mark in the run folder says so of each, if it was us who turned the switch.
#[derive(Clone, Copy)]
pub(in crate::plumbing) enum Sake {
    Groups,
    PublicAddresses,
}

impl Sake {
    fn mark(self, run: &Path) -> PathBuf {
        run.join(match self {
            Self::Groups => "liberal-tracking",
            Self::PublicAddresses => "liberal-tracking-public",
        })
    }

    fn other(self) -> Self {
        match self {
            Self::Groups => Self::PublicAddresses,
            Self::PublicAddresses => Self::Groups,
        }
    }
}

/// Tracking does not insist any more, and a mark says that it was us, if it was. `run` is the agent's run folder.
///
/// # Errors
/// The switch or the mark cannot be written.
pub(in crate::plumbing) fn relax(run: &Path, sake: Sake) -> io::Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_relaxed = fs::read_to_string(SWITCH)?.trim() != "0";
    // Marked already, or the operator's own wish.
    if is_relaxed && (sake.mark(run).exists() || !sake.other().mark(run).exists()) {
        return Ok(());
    }
    fs::write(sake.mark(run), "switched on by watari\n")?;
    if is_relaxed {
        return Ok(());
    }
    tracing::info!("nf_conntrack_tcp_be_liberal is switched on, for connections that servers bring along");
    fs::write(SWITCH, "1")
}

/// As it was found, unless somebody else still needs it.
///
/// # Errors
/// The switch or the mark cannot be written.
pub(in crate::plumbing) fn insist(run: &Path, sake: Sake) -> io::Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mark = sake.mark(run);
    if !mark.exists() {
        return Ok(());
    }
    if !sake.other().mark(run).exists() {
        fs::write(SWITCH, "0")?;
    }
    fs::remove_file(mark)
}
