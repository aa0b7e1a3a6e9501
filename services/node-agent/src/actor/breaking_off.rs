//! Breaking a copy off, by an operator's word or because it stands still.
//!
//! ```text
//!  asked ──▶ libvirt takes it ──┬─▶ ends                                            (within moments, as a rule)
//!                               └─▶ is there 10 s later ──▶ its connections are cut ──▶ ends
//!                                     ▲                                           │
//!                                     └───────────────────────────────────────────┘
//! ```
//!
//! libvirt waits for what is being written to the other node's disk, which over a connection that carries nothing takes as
//! long as that lives. To cut it is what a broken link does to a migration: whoever runs afterwards is found out as ever.

use std::time::{Duration, Instant};

use super::book::Book;
use crate::{
    hypervisor::{Error, Hypervisor},
    node::Node,
};

/// How long libvirt has for it. What is under way of a disk is 16 MiB at most, which a link of 20 Mbit/s carries in seven
/// seconds: what only is slow ends by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far breaking one copy off is.
#[derive(Debug, Default)]
pub(super) struct BreakingOff {
    /// When libvirt took the word first, or what held it up was last cut.
    since: Option<Instant>,
}

impl BreakingOff {
    /// Has libvirt break the copy off.
    ///
    /// # Errors
    /// It does not take the word now.
    pub(super) async fn ask(&mut self, node: &Node, book: &Book) -> Result<(), Error> {
        node.hypervisor.abort_job(book.vm.as_str()).await?;
        self.taken(Instant::now());
        Ok(())
    }

    /// Cuts the copy's connections if libvirt took the word and has not ended it in time. To be called at each look that
    /// finds the copy still there.
    pub(super) async fn insist(&mut self, node: &Node, book: &Book) {
        if self.is_due(Instant::now()) {
            cut(&node.hypervisor, book).await;
        }
    }

    fn taken(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Whether it is time to cut them, which begins the time anew.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        if due {
            self.since = Some(now);
        }
        due
    }
}

async fn cut(hypervisor: &Hypervisor, book: &Book) {
    let vm = &book.vm;
    match hypervisor.cut_copy(vm.as_str()).await {
        Ok(nodes) if nodes.is_empty() => {
            tracing::warn!(%vm, "its copy was to be broken off and is there still, and no disk's connection holds it up");
        }
        Ok(nodes) => tracing::warn!(%vm, ?nodes, "its copy was to be broken off and hung: QEMU's connections are cut"),
        Err(error) => {
            tracing::warn!(%vm, %error, "its copy was to be broken off and hangs, and its connections cannot be cut now");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_cut_when_libvirt_has_had_its_time_and_again_after_as_long() {
        let (mut breaking_off, begun) = (BreakingOff::default(), Instant::now());
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        assert!(!breaking_off.is_due(at(3_600)), "nobody has asked for that");
        breaking_off.taken(at(0));
        // Who asks again does not begin the time anew.
        breaking_off.taken(at(9));
        assert!(!breaking_off.is_due(at(9)));
        assert!(breaking_off.is_due(at(10)));
        assert!(!breaking_off.is_due(at(19)), "the cut has its time as well");
        assert!(breaking_off.is_due(at(20)));
    }
}
