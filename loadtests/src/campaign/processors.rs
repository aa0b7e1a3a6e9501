//! Whether two copies of a server compute at once, as the machine's scheduler sees it: the run
//! time of each copy's virtual-processor threads, sampled every few milliseconds. A paused copy's
//! processors do not run; a running guest's beacon makes them run forty times a second.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::lab::Lab;

/// Between two samples.
const EVERY: Duration = Duration::from_millis(50);
/// A copy that computed less than this between two samples is taken for paused: a monitor
/// command wakes a paused processor's thread for some microseconds.
const COMPUTES: u64 = 400_000;
/// A process that has just begun computes without its guest: QEMU sets its devices up on the processors'
/// threads, for a millisecond or two within its first 300 ms, which may fall into two samples. A copy counts
/// once it is so old. One that was carried here waits for its memory for longer.
const GROWN: Duration = Duration::from_millis(500);
/// The processes are searched anew so often.
const SEARCH: Duration = Duration::from_millis(200);

/// The sampler.
pub(super) struct Processors(Arc<AtomicU64>);

impl Processors {
    /// Starts sampling the copies of a server.
    pub(super) fn start(lab: &Lab, vm: &str) -> Self {
        let overlap = Arc::new(AtomicU64::new(0));
        let (lab, vm, counter) = (lab.clone(), vm.to_owned(), Arc::clone(&overlap));
        thread::spawn(move || {
            let mut searched = Instant::now();
            let mut copies = lab.copies(&vm);
            let mut known: HashMap<i32, Copy> = HashMap::new();
            let mut together = Together::default();
            while Arc::strong_count(&counter) > 1 {
                thread::sleep(EVERY);
                if searched.elapsed() > SEARCH {
                    copies = lab.copies(&vm);
                    searched = Instant::now();
                }
                known.retain(|pid, _| copies.iter().any(|(_, copy)| copy == pid));
                let now = Instant::now();
                let mut computes = |pid: i32| {
                    let run_ns = run_time_ns(pid);
                    known.entry(pid).or_insert(Copy { born: now, run_ns }).computes(run_ns, now)
                };
                let computing = copies.iter().filter(|(_, pid)| computes(*pid)).count();
                counter.fetch_add(together.sample(computing), Ordering::Relaxed);
            }
        });
        Self(overlap)
    }

    /// For how long two copies computed since the last call, in milliseconds.
    pub(super) fn overlap_ms(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed) * u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX)
    }
}

/// One copy's process.
struct Copy {
    born: Instant,
    run_ns: u64,
}

impl Copy {
    /// Takes how long its processors have run by now; whether its guest computed since the sample before.
    fn computes(&mut self, run_ns: u64, now: Instant) -> bool {
        let before = std::mem::replace(&mut self.run_ns, run_ns);
        now.saturating_duration_since(self.born) > GROWN && run_ns.saturating_sub(before) > COMPUTES
    }
}

/// Tells two copies at once from one after the other.
///
/// The source's last and the target's first moment may fall between the same two samples, so one
/// such sample shows nothing. A second one directly after it does: there the source computed after
/// the target had.
#[derive(Default)]
struct Together {
    before: bool,
}

impl Together {
    /// Takes how many copies computed since the sample before; gives the samples, 0 or 1, by which
    /// two have now been seen together.
    fn sample(&mut self, computing: usize) -> u64 {
        let now = computing > 1;
        let seen = now && self.before;
        self.before = now;
        u64::from(seen)
    }
}

/// The run time of a QEMU's virtual processors, in nanoseconds.
fn run_time_ns(pid: i32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    threads
        .flatten()
        .filter(|t| fs::read_to_string(t.path().join("comm")).is_ok_and(|name| name.starts_with("CPU ")))
        .filter_map(|t| {
            fs::read_to_string(t.path().join("schedstat")).ok()?.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(samples: &[usize]) -> u64 {
        let mut together = Together::default();
        samples.iter().map(|computing| together.sample(*computing)).sum()
    }

    #[test]
    fn what_a_process_does_when_it_begins_is_not_its_guests() {
        let born = Instant::now();
        let mut copy = Copy { born, run_ns: 0 };
        let mut at = |millis, micros: u64| copy.computes(micros * 1_000, born + Duration::from_millis(millis));
        assert!(!at(100, 1_000) && !at(150, 1_500) && !at(450, 60_000), "its devices");
        assert!(at(550, 80_000) && !at(600, 80_100) && at(650, 90_000), "its guest, which rests in between");
    }

    #[test]
    fn any_number_of_switch_overs_is_no_overlap() {
        assert_eq!(seen(&[1, 2, 1, 1, 0, 2, 1, 0, 1, 2, 1]), 0);
    }

    #[test]
    fn two_samples_in_a_row_are() {
        assert_eq!(seen(&[1, 1, 2, 2, 1]), 1);
        assert_eq!(seen(&[2, 2, 2, 1, 2, 2]), 3);
    }
}
