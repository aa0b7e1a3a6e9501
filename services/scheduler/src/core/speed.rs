//! How long migrations take, by the last ones: a time that each takes whatever it carries, and a rate of the link.
//!
//! A migration sends nothing while the hypervisors greet each other, the target's process starts and disks are
//! compared, and nothing while it is switched over and seen to run. Of a tiny one that is nearly all of its time, and its
//! bytes by its time say nothing of the link. So n migrations of B bytes together take
//!
//! ```text
//!  T = n · F + B / R        F  the time that each takes in any case
//!                           R  bytes a second
//! ```
//!
//! They are learned from migrations that are over, in which n, B and T are known:
//!
//! * T is the time in which at least one of them was under way. The next begins before the one before it ends, and a time
//!   in which several travel the same way counts once, since they share the link; a link carries both ways at once, so
//!   that each way counts by itself. Of the last so many it begins when the one before them had arrived: until then the
//!   oldest of them had the link together with those.
//! * F is at most [`FIXED_MS`], and at most what the quickest of them took as a whole.
//! * In what is left, T − n · F, the bytes travelled; but at least in one part of [`TRAVELS_PART`] of T, so that many tiny
//!   ones do not make the link look without end. Where that is more, F is the less: what was learned from comes out
//!   as it was.
//!
//! So F and R belong together: of migrations that carry much the same nobody can tell which of the two took the time, and
//! an F that is too long stands beside an R that is too fast. Beside an R that is told, F is what that leaves of T,
//! (T − B / R) / n, with the same upper bounds; nothing, if the bytes alone take longer than T.

use std::cmp::Reverse;

use watari_model::{
    Timestamp,
    migration::{Migration, State},
};

/// A migration that carries nothing takes no longer than this.
const FIXED_MS: u64 = 5_000;
/// At least this part of the time things travel.
const TRAVELS_PART: u64 = 4;
/// So many of the last migrations tell how fast the link is.
pub(crate) const LAST: usize = 20;
/// Bytes a second where nothing is known: a gigabit.
pub(crate) const ASSUMED: u64 = 125_000_000;

/// How long migrations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Speed {
    /// So many bytes travel, never 0,
    bytes: u64,
    /// in so many milliseconds, never 0.
    travel_ms: u64,
    /// Milliseconds that each migration takes besides.
    pub(crate) fixed_ms: u64,
}

impl Speed {
    /// None if nothing travelled.
    pub(crate) fn new(bytes: u64, travel_ms: u64, fixed_ms: u64) -> Option<Self> {
        (bytes > 0 && travel_ms > 0).then_some(Self { bytes, travel_ms, fixed_ms })
    }

    /// By what some took.
    pub(crate) fn of(sums: &Sums) -> Option<Self> {
        Self::new(sums.bytes, sums.travel_ms(), sums.fixed_ms().checked_div(sums.whole).unwrap_or(0))
    }

    /// The same if no more than so many bytes a second may travel from now on.
    pub(crate) fn within(sums: &Sums, most: Option<u64>) -> Option<Self> {
        let learned = Self::of(sums)?;
        match most.filter(|most| *most < learned.rate()) {
            Some(most) => Self::new(most, 1_000, sums.fixed_beside(most)),
            None => Some(learned),
        }
    }

    /// Bytes a second; never 0.
    pub(crate) fn rate(self) -> u64 {
        part(self.bytes, 1_000, self.travel_ms).max(1)
    }

    /// Milliseconds that so many migrations of so many bytes together take.
    pub(crate) fn takes_ms(self, migrations: u64, bytes: u64) -> u64 {
        migrations.saturating_mul(self.fixed_ms).saturating_add(part(bytes, self.travel_ms, self.bytes))
    }
}

/// What one migration carried, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trip {
    /// One of which it is not known is taken to have travelled alone.
    pub(crate) began: Option<Timestamp>,
    pub(crate) millis: u64,
    pub(crate) bytes: u64,
    /// Whether it is over. Of one that still travels no time is set apart: it gets faster once it has begun to send.
    pub(crate) is_whole: bool,
}

impl Trip {
    /// Of a migration that has arrived and says what it sent.
    pub(crate) fn of(migration: &Migration) -> Option<Self> {
        let measured = migration.measured.filter(|_| migration.state == State::Completed)?;
        let bytes = measured.memory_bytes.saturating_add(measured.disk_bytes);
        let (began, millis) = (migration.copying_at, measured.total_ms);
        (bytes > 0).then_some(Self { began, millis, bytes, is_whole: true })
    }
}

/// The last of these migrations that have arrived and sent something, the newest first: [`LAST`], and as many before them,
/// which had the link together with some of those.
pub(crate) fn last<'s>(migrations: impl Iterator<Item = &'s Migration>) -> Vec<&'s Migration> {
    let mut last: Vec<&Migration> = migrations.filter(|m| Trip::of(m).is_some()).collect();
    last.sort_by_key(|m| Reverse(m.changed_at));
    last.truncate(2 * LAST);
    last
}

/// What migrations took together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) bytes: u64,
    /// The time in which at least one was under way.
    millis: u64,
    /// How many are over.
    pub(crate) whole: u64,
    /// What the quickest of those took.
    quickest_ms: u64,
}

impl Sums {
    /// Of trips, each with the way that it went.
    pub(crate) fn of<W: Ord + Copy>(trips: impl Iterator<Item = (W, Trip)>) -> Self {
        Self::since(|_| None, trips)
    }

    /// Of the first so many of them, of which the newest come first. Time in which the others were still under way counts
    /// as theirs.
    pub(crate) fn of_newest<W: Ord + Copy>(count: usize, trips: &[(W, Trip)]) -> Self {
        let (newest, others) = trips.split_at(count.min(trips.len()));
        let arrived = |way: W| {
            let same = others.iter().filter(|(other, _)| *other == way);
            same.filter_map(|(_, trip)| Some(trip.began?.plus_millis(trip.millis))).max()
        };
        Self::since(arrived, newest.iter().copied())
    }

    /// Of trips whose time counts from the moment that there is for their way.
    fn since<W: Ord + Copy>(
        counts_from: impl Fn(W) -> Option<Timestamp>,
        trips: impl Iterator<Item = (W, Trip)>,
    ) -> Self {
        let mut sums = Self { quickest_ms: u64::MAX, ..Self::default() };
        let (mut spans, mut alone) = (Vec::new(), 0_u64);
        for (way, trip) in trips {
            sums.bytes = sums.bytes.saturating_add(trip.bytes);
            match trip.began {
                Some(began) => {
                    let ended = began.plus_millis(trip.millis);
                    let began = counts_from(way).map_or(began, |from| began.max(from.min(ended)));
                    spans.push((way, began, ended));
                }
                None => alone = alone.saturating_add(trip.millis),
            }
            if trip.is_whole {
                sums.whole += 1;
                sums.quickest_ms = sums.quickest_ms.min(trip.millis);
            }
        }
        sums.millis = alone.saturating_add(under_way_ms(spans));
        sums
    }

    /// Milliseconds in which bytes travelled.
    pub(crate) fn travel_ms(&self) -> u64 {
        self.millis.saturating_sub(self.most_fixed_ms()).max(self.millis.div_ceil(TRAVELS_PART))
    }

    /// The rest.
    pub(crate) fn fixed_ms(&self) -> u64 {
        self.millis.saturating_sub(self.travel_ms())
    }

    /// Milliseconds that each takes besides, if the link is told to carry so many bytes a second.
    pub(crate) fn fixed_beside(&self, rate: u64) -> u64 {
        let left = self.millis.saturating_sub(part(self.bytes, 1_000, rate));
        left.min(self.most_fixed_ms()).checked_div(self.whole).unwrap_or(0)
    }

    /// Bytes a second at which they went, if the link is told to carry so many: so many, but no fewer than they carried in
    /// all their time, and no more than in what they need of it at least.
    pub(crate) fn rate_beside(&self, rate: u64) -> u64 {
        rate.max(part(self.bytes, 1_000, self.millis)).min(part(self.bytes, 1_000, self.travel_ms()))
    }

    fn most_fixed_ms(&self) -> u64 {
        self.whole.saturating_mul(FIXED_MS.min(self.quickest_ms))
    }
}

/// `amount` · `times` / `by`; nothing by nothing is nothing.
pub(crate) fn part(amount: u64, times: u64, by: u64) -> u64 {
    let whole = u128::from(amount) * u128::from(times);
    whole.checked_div(u128::from(by)).map_or(0, |part| u64::try_from(part).unwrap_or(u64::MAX))
}

/// Milliseconds in which at least one of them was under way; of each way by itself.
fn under_way_ms<W: Ord + Copy>(mut spans: Vec<(W, Timestamp, Timestamp)>) -> u64 {
    spans.sort_unstable();
    let mut millis = 0_u64;
    let mut counted: Option<(W, Timestamp)> = None;
    for (way, began, ended) in spans {
        let from = counted.filter(|(last, _)| *last == way).map_or(began, |(_, until)| began.max(until));
        millis = millis.saturating_add(ended.millis_since(from));
        counted = Some((way, from.max(ended)));
    }
    millis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tests::documents::at;

    const MIB: u64 = 1 << 20;

    fn trip(began: u64, millis: u64, mib: u64) -> (u8, Trip) {
        (0, Trip { began: Some(at(began)), millis, bytes: mib * MIB, is_whole: true })
    }

    fn speed(trips: &[(u8, Trip)]) -> Speed {
        Speed::of(&Sums::of(trips.iter().copied())).unwrap()
    }

    #[test]
    fn a_time_in_which_several_travel_the_same_way_counts_once() {
        let span = |way: &'static str, began: u64, ended: u64| (way, at(began), at(ended));
        assert_eq!(under_way_ms(vec![span("out", 6_000, 10_000), span("out", 0, 4_000)]), 8_000);
        assert_eq!(
            under_way_ms(vec![span("out", 0, 5_000), span("out", 4_000, 9_000), span("out", 8_000, 12_000)]),
            12_000
        );
        assert_eq!(
            under_way_ms(vec![span("out", 0, 9_000), span("out", 1_000, 2_000), span("out", 8_000, 10_000)]),
            10_000
        );
        assert_eq!(under_way_ms(vec![span("out", 0, 9_000), span("home", 0, 9_000)]), 18_000);
        assert_eq!(under_way_ms::<u8>(Vec::new()), 0);
    }

    #[test]
    fn the_oldest_of_the_last_do_not_answer_for_a_time_in_which_others_had_the_link() {
        // Three at once, and one arrives every 4 s.
        let trips = (0..12_u64).rev().map(|n| (n.saturating_sub(2) * 4_000, (n + 1) * 4_000));
        let trips: Vec<(u8, Trip)> = trips.map(|(began, ended)| trip(began, ended - began, 80)).collect();
        for (count, millis) in [(0, 0), (1, 4_000), (2, 8_000), (6, 24_000), (12, 48_000), (20, 48_000)] {
            assert_eq!(Sums::of_newest(count, &trips).millis, millis, "the last {count}");
        }
        let other_way: Vec<(u8, Trip)> = (1..).zip(&trips).map(|(way, (_, trip))| (way, *trip)).collect();
        assert_eq!(Sums::of_newest(1, &other_way).millis, 12_000, "it had its way for itself");
        let at_once = [trip(0, 4_000, 80), trip(0, 4_000, 80)];
        assert_eq!(Sums::of_newest(1, &at_once).millis, 0, "they arrived together");
    }

    #[test]
    fn one_tiny_migration_does_not_make_the_link_slow() {
        let tiny = speed(&[trip(0, 5_600, 14)]);
        assert_eq!(tiny.takes_ms(1, 14 * MIB), 5_600, "another like it takes as long");
        let naive = 1_024 * 5_600 / 14;
        assert!(tiny.takes_ms(1, 1_024 * MIB) * 3 < naive, "{tiny:?}");
        // Over a slow link it is the bytes that take their time, and that is seen.
        let slow = speed(&[trip(0, 60_000, 14)]);
        assert_eq!((slow.fixed_ms, slow.takes_ms(1, 14 * MIB)), (5_000, 60_000));
    }

    #[test]
    fn large_ones_tell_the_rate_and_small_ones_what_each_takes_in_any_case() {
        // 20 MiB a second, and 2 s for each.
        let trips =
            [trip(0, 52_000, 1_000), trip(60_000, 2_500, 10), trip(70_000, 2_500, 10), trip(80_000, 102_000, 2_000)];
        let learned = speed(&trips);
        assert!((19 * MIB..22 * MIB).contains(&learned.rate()), "{learned:?}");
        assert!((1_500..3_000).contains(&learned.fixed_ms), "{learned:?}");
    }

    #[test]
    fn what_was_learned_from_comes_out_as_it_was() {
        for trips in [
            vec![trip(0, 4_000, 100), trip(3_000, 4_000, 100), trip(6_000, 4_000, 100)],
            vec![trip(0, 300, 1), trip(1_000, 90_000, 900)],
            vec![trip(0, 60_000, 500), trip(0, 60_000, 500)],
        ] {
            let sums = Sums::of(trips.iter().copied());
            let (learned, took) = (Speed::of(&sums).unwrap(), sums.millis);
            let again = learned.takes_ms(sums.whole, sums.bytes);
            assert!(again.abs_diff(took) <= 10, "{again} is not {took}: {learned:?}");
            assert!(sums.fixed_beside(learned.rate()).abs_diff(learned.fixed_ms) <= 1, "{learned:?}");
        }
    }

    #[test]
    fn beside_a_rate_that_is_known_otherwise_each_takes_what_that_leaves_of_their_time() {
        // Three at once, and one arrives every 4 s.
        let trips = (0..6_u64).map(|n| (n.saturating_sub(2) * 4_000, (n + 1) * 4_000));
        let sums = Sums::of(trips.map(|(began, ended)| trip(began, ended - began, 80)));
        let learned = Speed::of(&sums).unwrap();
        assert_eq!((learned.rate(), learned.fixed_ms), (80 * MIB, 3_000), "too fast, and too long");
        let fixed = [10, 20, 24, 80].map(|mib| sums.fixed_beside(mib * MIB));
        assert_eq!(fixed, [0, 0, (24_000 - 20_000) / 6, 3_000]);
        assert_eq!(sums.fixed_beside(u64::MAX), 4_000, "no more than the quickest took");
        let rates = [10, 20, 24, 80, 99].map(|mib| sums.rate_beside(mib * MIB) / MIB);
        assert_eq!(rates, [20, 20, 24, 80, 80], "in all of their time, and in what they need of it at least");
        assert_eq!((Sums::default().fixed_beside(MIB), Sums::default().rate_beside(MIB)), (0, 0));
    }

    #[test]
    fn what_may_not_travel_as_fast_as_it_did_takes_longer() {
        let sums = Sums::of([trip(0, 15_000, 100)].into_iter());
        let learned = Speed::of(&sums).unwrap();
        assert_eq!((learned.rate(), learned.fixed_ms), (10 * MIB, 5_000));
        for most in [None, Some(10 * MIB), Some(99 * MIB)] {
            assert_eq!(Speed::within(&sums, most), Some(learned), "{most:?}");
        }
        let bounded = Speed::within(&sums, Some(8 * MIB)).unwrap();
        assert_eq!((bounded.rate(), bounded.fixed_ms), (8 * MIB, 2_500), "of the time that they took less was theirs");
        assert_eq!(Speed::within(&Sums::default(), Some(MIB)), None, "a bound is no measure");
    }

    #[test]
    fn of_one_that_still_travels_no_time_is_set_apart_and_of_none_nothing_is_known() {
        let (way, whole) = trip(0, 10_000, 30);
        let learned = speed(&[(way, Trip { is_whole: false, ..whole })]);
        assert_eq!((learned.rate(), learned.fixed_ms), (3 * MIB, 0));
        assert_eq!(Speed::of(&Sums::of(std::iter::empty::<(u8, Trip)>())), None);
    }
}
