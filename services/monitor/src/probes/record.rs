//! What is kept of one probe: not each question, but how many there were and when nothing came. Pure.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use watari_contracts::probe::{Gap, Span, Trouble, Unasked, Watched};
use watari_model::{Timestamp, VmName, vm::Probe};

/// So many gaps, and so many times in which nobody asked, are kept: the longest.
const KEPT: usize = 20;

/// One question, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// When.
    pub(super) at: Timestamp,
    /// How long it took, in milliseconds.
    pub(super) took_ms: u64,
    /// Whether it was answered.
    pub(super) came: Result<(), Trouble>,
}

/// One probe of one server during one outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    watched: Watched,
    /// The gap that goes on; it is not among those of `watched` yet.
    open: Option<Gap>,
    /// From when on a gap would count: the last answer, or the first question since there was none.
    since: Timestamp,
    /// Whether nobody has asked since this was read from the history.
    #[serde(skip, default = "read")]
    resumed: bool,
}

/// What is read was written by a process that is no more.
const fn read() -> bool {
    true
}

impl Record {
    pub(super) fn new(vm: VmName, probe: Probe, address: Ipv4Addr, at: Timestamp) -> Self {
        let watched = Watched {
            vm,
            probe,
            address,
            from: at,
            until: at,
            asked: 0,
            failed: 0,
            slowest_ms: 0,
            gaps: 0,
            longest_gap_ms: 0,
            longest: Vec::new(),
            unwatched: Vec::new(),
            pauses: 0,
            unwatched_ms: 0,
            trouble: None,
            unasked: None,
        };
        Self { watched, open: None, since: at, resumed: false }
    }

    pub(super) const fn watched(&self) -> &Watched {
        &self.watched
    }

    /// It is asked there from now on: a public address that leads to it may come and go.
    pub(super) const fn moves_to(&mut self, address: Ipv4Addr) {
        self.watched.address = address;
    }

    /// It is not asked; whether that is new.
    pub(super) fn leave(&mut self, why: Unasked) -> bool {
        self.watched.unasked.replace(why) != Some(why)
    }

    /// Takes note of a question. If the one before is longer ago than `patience_ms`, nobody has asked meanwhile.
    pub(super) fn take(&mut self, asked: Asked, patience_ms: u64) {
        let before = self.watched.until;
        let first = self.watched.asked == 0;
        if !first && (self.resumed || asked.at.millis_since(before) > patience_ms) {
            self.pause(Span { from: before, until: asked.at.max(before) });
        }
        if first {
            (self.watched.from, self.since) = (asked.at, asked.at);
        }
        self.resumed = false;
        let watched = &mut self.watched;
        watched.unasked = None;
        watched.asked += 1;
        watched.until = asked.at.max(before);
        // A clock that was set back makes no gap end before it began.
        let ended = asked.at.plus_millis(asked.took_ms).max(self.since);
        let silence = ended.millis_since(self.since);
        match asked.came {
            Ok(()) => {
                watched.slowest_ms = watched.slowest_ms.max(asked.took_ms);
                self.since = ended;
                if let Some(gap) = self.open.take() {
                    watched.longest_gap_ms = watched.longest_gap_ms.max(silence);
                    keep(&mut watched.longest, Gap { until: Some(ended), ..gap }, gap_ms);
                }
            }
            Err(trouble) => {
                watched.failed += 1;
                watched.trouble = Some(trouble);
                watched.longest_gap_ms = watched.longest_gap_ms.max(silence);
                let gap = self.open.get_or_insert_with(|| {
                    watched.gaps += 1;
                    Gap { from: self.since, until: None, failed: 0 }
                });
                gap.failed += 1;
            }
        }
    }

    /// What happened while nobody asked is not known: a gap that went on then has no end, and none goes on from before.
    fn pause(&mut self, span: Span) {
        let watched = &mut self.watched;
        if let Some(gap) = self.open.take() {
            keep(&mut watched.longest, gap, gap_ms);
        }
        self.since = span.until;
        watched.pauses += 1;
        watched.unwatched_ms += span.until.millis_since(span.from);
        keep(&mut watched.unwatched, span, |span| span.until.millis_since(span.from));
    }

    /// As it is told: with the gap that goes on.
    pub(super) fn shown(mut self) -> Watched {
        if let Some(gap) = self.open.take() {
            keep(&mut self.watched.longest, gap, gap_ms);
        }
        self.watched
    }
}

/// One without an end counts as the longest.
fn gap_ms(gap: &Gap) -> u64 {
    gap.until.map_or(u64::MAX, |until| until.millis_since(gap.from))
}

/// Adds one, and drops the shortest if there are too many. Their order stays.
fn keep<T>(all: &mut Vec<T>, one: T, length: impl Fn(&T) -> u64) {
    all.push(one);
    if all.len() > KEPT
        && let Some((shortest, _)) = all.iter().enumerate().min_by_key(|(_, one)| length(one))
    {
        all.remove(shortest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;

    const PATIENCE: u64 = 10_000;

    fn at(ms: u64) -> Timestamp {
        Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(ms)
    }

    fn new() -> Record {
        Record::new("mail".parse().unwrap(), "smtp:25".parse().unwrap(), [203, 0, 113, 100].into(), at(0))
    }

    fn answered(ms: u64) -> Asked {
        Asked { at: at(ms), took_ms: 10, came: Ok(()) }
    }

    fn failed(ms: u64) -> Asked {
        Asked { at: at(ms), took_ms: 1_000, came: Err(Trouble::Silent) }
    }

    fn of(all: &[Asked]) -> Record {
        let mut record = new();
        all.iter().for_each(|asked| record.take(*asked, PATIENCE));
        record
    }

    #[test]
    fn a_gap_is_from_the_last_answer_before_it_to_the_first_one_after_it() {
        let watched = of(&[answered(0), failed(1_000), failed(2_000), answered(3_000), answered(4_000)]).shown();
        assert_eq!((watched.asked, watched.failed, watched.gaps, watched.longest_gap_ms), (5, 2, 1, 3_000));
        assert_eq!(watched.longest, [Gap { from: at(10), until: Some(at(3_010)), failed: 2 }]);
        assert_eq!((watched.from, watched.until, watched.slowest_ms), (at(0), at(4_000), 10));
        assert_eq!((watched.pauses, watched.trouble), (0, Some(Trouble::Silent)));
    }

    #[test]
    fn a_gap_that_goes_on_is_told_without_an_end_and_as_long_as_it_is_so_far() {
        let watched = of(&[answered(0), failed(1_000), failed(2_000)]).shown();
        assert_eq!(watched.longest, [Gap { from: at(10), until: None, failed: 2 }]);
        assert_eq!((watched.gaps, watched.longest_gap_ms), (1, 2_990));
        let never = of(&[failed(500), failed(1_500)]).shown();
        assert!(!never.answered());
        assert_eq!(never.longest, [Gap { from: at(500), until: None, failed: 2 }]);
    }

    #[test]
    fn of_a_time_in_which_nobody_asked_nothing_is_claimed() {
        let watched = of(&[answered(0), failed(1_000), answered(60_000), answered(61_000)]).shown();
        assert_eq!(watched.unwatched, [Span { from: at(1_000), until: at(60_000) }]);
        assert_eq!((watched.pauses, watched.unwatched_ms), (1, 59_000));
        // The gap was seen to last for as long as somebody asked.
        assert_eq!(watched.longest, [Gap { from: at(10), until: None, failed: 1 }]);
        assert_eq!((watched.gaps, watched.longest_gap_ms), (1, 1_990));
    }

    #[test]
    fn who_is_not_asked_is_told_with_the_reason_until_it_is_and_was_not_silent_before() {
        let mut record = new();
        assert!(record.leave(Unasked::NoWay));
        assert!(!record.leave(Unasked::NoWay), "that is known");
        let told = record.clone().shown();
        assert_eq!((told.asked, told.gaps, told.unasked), (0, 0, Some(Unasked::NoWay)));
        record.moves_to([203, 0, 113, 7].into());
        record.take(answered(60_000), PATIENCE);
        let told = record.shown();
        assert_eq!((told.from, told.pauses, told.gaps, told.unasked), (at(60_000), 0, 0, None));
        assert_eq!(told.address.octets(), [203, 0, 113, 7]);
    }

    #[test]
    fn a_restart_costs_the_time_it_took_and_nothing_else() {
        let mut record = of(&[answered(0), failed(1_000), answered(2_000)]);
        let json = serde_json::to_string(&record).unwrap();
        record = serde_json::from_str(&json).unwrap();
        record.take(answered(4_000), PATIENCE);
        record.take(answered(5_000), PATIENCE);
        let watched = record.shown();
        assert_eq!((watched.asked, watched.failed, watched.gaps), (5, 1, 1));
        assert_eq!(watched.unwatched, [Span { from: at(2_000), until: at(4_000) }]);
    }

    #[test]
    fn of_many_gaps_the_longest_are_kept_and_all_are_counted() {
        let mut record = new();
        for n in 0..100_u64 {
            record.take(answered(n * 10_000), PATIENCE);
            record.take(failed(n * 10_000 + 1_000), PATIENCE);
            record.take(answered(n * 10_000 + 2_000 + n), PATIENCE);
        }
        let watched = record.shown();
        assert_eq!((watched.gaps, watched.longest.len(), watched.longest_gap_ms), (100, KEPT, 2_099));
        assert!(watched.longest.is_sorted_by_key(|gap| gap.from));
        assert!(watched.longest.iter().all(|gap| gap_ms(gap) >= 2_080));
    }

    proptest! {
        #[test]
        fn no_sequence_of_questions_breaks_what_is_told(
            steps in prop::collection::vec((0_u64..30_000, 0_u64..2_000, any::<bool>()), 0..80),
        ) {
            let (mut record, mut now) = (new(), 0);
            for (after, took_ms, answers) in steps {
                now += after;
                let came = if answers { Ok(()) } else { Err(Trouble::Refused) };
                record.take(Asked { at: at(now), took_ms, came }, PATIENCE);
            }
            let watched = record.clone().shown();
            prop_assert!(watched.failed <= watched.asked && watched.gaps <= watched.failed);
            prop_assert!(watched.longest.len() <= KEPT && watched.unwatched.len() <= KEPT);
            prop_assert!(watched.longest.iter().all(|gap| gap.failed > 0 && gap.until.is_none_or(|end| end >= gap.from)));
            prop_assert!(watched.unwatched_ms <= now);
            prop_assert_eq!(watched.gaps == 0, watched.longest.is_empty());
            let again: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
            prop_assert_eq!(again.shown(), record.shown());
        }
    }
}
