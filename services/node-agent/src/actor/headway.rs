//! Whether a copy gets ahead.
//!
//! That the other node is gone libvirt finds out itself, by its keepalive. It does not if the node answers and QEMU's own
//! connection carries nothing: packets of it are dropped on the way, or the target's disk takes nothing any more. QEMU
//! would wait for that for hours, and so would whoever has the link next. Its figures say so, and only they count: while
//! libvirt does not tell any, nothing is concluded, and an agent that comes back begins to look anew.

use crate::hypervisor::JobStats;

/// What was last seen of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headway {
    sent: u64,
    /// How many looks in a row have found it where it was.
    looks: u64,
    most_looks: u64,
}

impl Headway {
    /// A copy that stands still for so many looks has stalled.
    pub(super) const fn new(most_looks: u64) -> Self {
        Self { sent: 0, looks: 0, most_looks }
    }

    /// Whether it has, by another look while it is under way. It is said once, and again after as many looks more.
    pub(super) const fn has_stalled(&mut self, stats: &JobStats) -> bool {
        let sent = stats.memory_processed_bytes.saturating_add(stats.disk_processed_bytes);
        // Before anything travels, and between the disks and the memory, there is nothing to send.
        let has_more = stats.memory_remaining_bytes > 0 || stats.disk_remaining_bytes > 0;
        self.looks = if has_more && sent == self.sent { self.looks.saturating_add(1) } else { 0 };
        self.sent = sent;
        let has_stalled = self.looks >= self.most_looks;
        if has_stalled {
            self.looks = 0;
        }
        has_stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(disk_sent: u64, memory_sent: u64, left: u64) -> JobStats {
        JobStats {
            disk_processed_bytes: disk_sent,
            memory_processed_bytes: memory_sent,
            memory_remaining_bytes: left,
            ..JobStats::default()
        }
    }

    /// After which of these looks it is said that the copy has stalled, of three that find it where it was.
    fn stalled(looks: &[JobStats]) -> Vec<usize> {
        let mut headway = Headway::new(3);
        let told = looks.iter().enumerate().filter(|(_, stats)| headway.has_stalled(stats));
        told.map(|(index, _)| index).collect()
    }

    #[test]
    fn a_copy_of_which_nothing_gets_across_has_stalled_and_one_that_creeps_has_not() {
        assert_eq!(stalled(&[copy(9, 1, 5); 4]), [3], "the first look only says how far it is");
        assert_eq!(stalled(&[copy(9, 1, 5); 7]), [3, 6], "libvirt may not have taken it the first time");
        let creeps: Vec<_> = (0..9).map(|n| copy(9, n / 3, 5)).collect();
        assert!(stalled(&creeps).is_empty());
        let begins_with_nothing = [copy(0, 0, 5); 3];
        assert_eq!(stalled(&begins_with_nothing), [2]);
    }

    #[test]
    fn disks_count_as_memory_does() {
        let disks: Vec<_> = (0..9).map(|n| copy(n, 1, 5)).collect();
        assert!(stalled(&disks).is_empty());
        let of_disk = JobStats { disk_processed_bytes: 9, disk_remaining_bytes: 5, ..JobStats::default() };
        assert_eq!(stalled(&[of_disk; 4]), [3]);
    }

    #[test]
    fn where_nothing_is_left_to_send_or_no_figures_are_there_nothing_is_concluded() {
        assert!(stalled(&[JobStats::default(); 9]).is_empty(), "the hosts still greet each other");
        assert!(stalled(&[copy(9, 9, 0); 9]).is_empty(), "all of it is there");
        let pauses = [copy(9, 1, 5), copy(9, 1, 5), copy(9, 1, 5), copy(9, 1, 0), copy(9, 1, 5), copy(9, 1, 5)];
        assert!(stalled(&pauses).is_empty());
    }
}
