//! How busy servers keep their node's processors. Beats count processor time since a server's QEMU began; what counts
//! here is its use over half a minute or so, so that a moment's work moves nobody. In millionths of a processor: in larger
//! parts, what many small servers use would be lost in rounding.
//!
//! By the servers' own time, and not by the node's load average: that one counts who waits for a disk too, and cannot be
//! divided among those who could leave.

use watari_contracts::beat::Sample;

/// What was used so long ago counts little more than a third of what is used now.
pub(crate) const AVERAGE_MS: u64 = 30_000;
/// Two samples further apart say nothing of what is now.
const APART_MS: u64 = 60_000;

/// The next averages, by the samples of two beats that are `passed_ms` apart; none if nothing can be said by them.
/// `averages` go with `before`, and the answer with `now`.
pub(crate) fn follow(before: &[Sample], averages: &[u64], now: &[Sample], passed_ms: u64) -> Option<Vec<u64>> {
    if !(1..=APART_MS).contains(&passed_ms) {
        return None;
    }
    let next = now.iter().enumerate().map(|(place, sample)| {
        // Agents tell of them in one order as long as nobody comes or goes.
        let same = |one: &Sample| one.vm == sample.vm;
        let was = if before.get(place).is_some_and(same) { Some(place) } else { before.iter().position(same) };
        let Some((was, average)) = was.and_then(|was| Some((before.get(was)?, *averages.get(was)?))) else { return 0 };
        // A counter that is less has begun anew.
        let present = sample.cpu_ns.saturating_sub(was.cpu_ns) / passed_ms;
        (average * AVERAGE_MS + present * passed_ms) / (AVERAGE_MS + passed_ms)
    });
    Some(next.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(vm: &str, cpu_ms: u64) -> Sample {
        let cpu_ns = cpu_ms * 1_000_000;
        Sample { vm: vm.to_owned(), cpu_ns, rss_mib: 1, disk_read: 0, disk_written: 0, net_received: 0, net_sent: 0 }
    }

    #[test]
    fn an_average_nears_what_a_server_uses_and_a_moment_moves_it_little() {
        let mut averages = vec![0];
        for second in 0..120 {
            let (before, now) = ([sample("mail", second * 2_000)], [sample("mail", (second + 1) * 2_000)]);
            averages = follow(&before, &averages, &now, 1_000).unwrap();
        }
        assert!((1_900_000..=2_000_000).contains(&averages[0]), "two processors: {averages:?}");
        let idle = follow(&[sample("mail", 5)], &averages, &[sample("mail", 5)], 1_000).unwrap();
        assert!(idle[0] > averages[0] * 9 / 10, "{idle:?}");
    }

    #[test]
    fn who_comes_begins_at_nothing_who_goes_is_forgotten_and_a_new_counter_is_no_work() {
        let before = [sample("a", 10), sample("b", 10_000)];
        let now = [sample("b", 1), sample("c", 900_000)];
        let next = follow(&before, &[500, 310_000], &now, 1_000).unwrap();
        assert_eq!(next, [300_000, 0]);
    }

    #[test]
    fn beats_of_one_moment_or_far_apart_say_nothing() {
        let one = [sample("a", 1)];
        assert_eq!(follow(&one, &[7], &one, 0), None);
        assert_eq!(follow(&one, &[7], &one, APART_MS + 1), None);
    }
}
