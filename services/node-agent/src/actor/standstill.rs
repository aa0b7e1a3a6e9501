//! How long a server may stand still so that its migration ends.
//!
//! Memory travels while the guest writes to it. QEMU goes over it again and again, and stops the guest once the rest goes
//! within the pause that is planned. One that writes nearly as fast as the link carries leaves as much to send after each
//! pass as before it; others are slowed down then (auto-converge), for as long as it takes. One that allows a longer pause
//! is given it: what the rest needs, no more, and only if that is within what it allows. Nothing else changes: it arrives
//! paused as ever, and goes on at the source if anything fails meanwhile.

use std::num::NonZeroU32;

use watari_contracts::agent::Send;

use crate::hypervisor::JobStats;

/// What QEMU plans for if it is told nothing, in milliseconds (`downtime-limit`).
const QEMUS_OWN_MS: u64 = 300;
/// All of the memory has been sent once when QEMU has begun its second pass.
const SECOND_PASS: u64 = 2;
/// A guest that writes more than this part of what is sent meanwhile does not come to an end by itself. QEMU's
/// auto-converge has the same bound (`throttle-trigger-threshold`, in percent).
const TOO_MUCH_PERCENT: u64 = 50;
/// So many looks in a row must say so: a link that others use as well is slow for a moment now and then.
const LOOKS: u32 = 3;
/// The pause that is planned is longer than what is expected by so much, in percent: the guest writes on until it stops.
const SPARE_PERCENT: u64 = 25;

/// What is planned for one migration, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standstill {
    planned_ms: u64,
    most_ms: u64,
    /// How many looks in a row have found that it does not end by itself.
    looks: u32,
}

impl Standstill {
    /// What an order allows.
    pub(super) fn of(order: &Send) -> Self {
        let most_ms = u64::from(order.max_downtime_seconds.map_or(0, NonZeroU32::get)).saturating_mul(1_000);
        let planned_ms = if order.downtime_ms == 0 { QEMUS_OWN_MS } else { order.downtime_ms };
        Self { planned_ms, most_ms, looks: 0 }
    }

    /// The pause to plan for from now on, if that is a longer one than before.
    pub(super) fn longer(&mut self, stats: &JobStats) -> Option<u64> {
        // Before, what is left says nothing of how fast the guest writes.
        let never_ends = stats.iterations >= SECOND_PASS && never_ends(stats);
        self.looks = if never_ends { self.looks.saturating_add(1) } else { 0 };
        if self.looks < LOOKS {
            return None;
        }
        let spare = stats.downtime_ms.saturating_mul(SPARE_PERCENT) / 100;
        let wanted_ms = stats.downtime_ms.saturating_add(spare);
        (wanted_ms > self.planned_ms && wanted_ms <= self.most_ms).then_some(wanted_ms)
    }

    /// QEMU plans for that.
    pub(super) fn planned(&mut self, ms: u64) {
        self.planned_ms = ms;
    }
}

/// A link that carries nothing at all is broken, and says nothing of the guest.
fn never_ends(stats: &JobStats) -> bool {
    let (written, sent) = (stats.dirty_pages_per_s.saturating_mul(stats.page_bytes), stats.memory_bytes_per_s);
    sent > 0 && written.saturating_mul(100) > sent.saturating_mul(TOO_MUCH_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4_096;

    /// At one look before it is sure.
    fn allowing(max_downtime_seconds: u64) -> Standstill {
        Standstill { planned_ms: 100, most_ms: max_downtime_seconds * 1_000, looks: LOOKS - 1 }
    }

    /// One that writes `written` pages while a thousand are sent, and whose rest needs a pause of `expected_ms`.
    fn copy(iterations: u64, written: u64, expected_ms: u64) -> JobStats {
        JobStats {
            iterations,
            dirty_pages_per_s: written,
            page_bytes: PAGE,
            memory_bytes_per_s: 1_000 * PAGE,
            downtime_ms: expected_ms,
            ..JobStats::default()
        }
    }

    #[test]
    fn a_server_that_allows_nothing_is_never_stopped_for_longer() {
        for written in [0, 501, 5_000] {
            assert_eq!(allowing(0).longer(&copy(9, written, 4_000)), None);
        }
    }

    #[test]
    fn memory_goes_round_once_before_anything_is_concluded() {
        for pass in [0, 1] {
            assert_eq!(allowing(60).longer(&copy(pass, 5_000, 4_000)), None);
        }
        assert_eq!(allowing(60).longer(&copy(2, 5_000, 4_000)), Some(5_000));
    }

    #[test]
    fn a_link_that_is_slow_for_a_moment_stops_nobody() {
        let mut standstill = Standstill { looks: 0, ..allowing(60) };
        for _ in 1..LOOKS {
            assert_eq!(standstill.longer(&copy(2, 900, 4_000)), None);
        }
        assert_eq!(standstill.longer(&copy(2, 100, 4_000)), None, "it is as fast as before");
        for _ in 1..LOOKS {
            assert_eq!(standstill.longer(&copy(2, 900, 4_000)), None);
        }
        assert_eq!(standstill.longer(&copy(2, 900, 4_000)), Some(5_000));
    }

    #[test]
    fn a_copy_that_ends_by_itself_is_left_alone() {
        for written in [0, 100, 500] {
            assert_eq!(allowing(60).longer(&copy(2, written, 4_000)), None, "{written}");
        }
        assert_eq!(allowing(60).longer(&copy(2, 501, 4_000)), Some(5_000));
    }

    #[test]
    fn the_pause_is_what_the_rest_needs_and_never_longer_than_the_server_allows() {
        let mut standstill = allowing(5);
        assert_eq!(standstill.longer(&copy(2, 900, 4_001)), None, "5,001 ms are more than it allows");
        assert_eq!(standstill.longer(&copy(3, 900, 800)), Some(1_000));
        assert_eq!(standstill.longer(&copy(3, 900, 800)), Some(1_000), "libvirt did not take it the first time");
        standstill.planned(1_000);
        assert_eq!(standstill.longer(&copy(3, 900, 800)), None, "that is planned already");
        assert_eq!(standstill.longer(&copy(4, 900, 400)), None, "what is planned is enough");
        assert_eq!(standstill.longer(&copy(5, 900, 4_000)), Some(5_000), "it writes more by now");
    }

    #[test]
    fn figures_that_are_not_there_yet_stop_nobody() {
        assert_eq!(allowing(60).longer(&JobStats::default()), None);
        assert_eq!(allowing(60).longer(&copy(2, 900, 0)), None);
        assert_eq!(allowing(60).longer(&copy(2, 900, u64::MAX)), None);
        let broken = JobStats { memory_bytes_per_s: 0, ..copy(2, 900, 4_000) };
        assert_eq!(allowing(60).longer(&broken), None);
    }
}
