//! What operators asked of servers while an outage was under way, and which silences follow from that: a server that
//! was stopped by request does not answer, and nobody has anything to explain. Pure.

use serde::Serialize;
use watari_contracts::{
    history::HistoryChange,
    probe::{Gap, Span, Watched},
};
use watari_model::Timestamp;

/// The last answer may be so much older than a request that silences the server, and the first question so much younger
/// than one that starts it: questions have some time between them.
const ASKED_MS: u64 = 5_000;
/// A guest that was asked to reboot goes off within this time.
const REBOOT_MS: u64 = 120_000;

/// What an operator can ask of a server by which it falls silent, or speaks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wish {
    Stop,
    Start,
    Reboot,
    Delete,
}

impl Wish {
    /// What a request is that had a server's document written, as the history calls it.
    pub(super) fn of(change: &HistoryChange) -> Option<Self> {
        match change.why.as_deref()? {
            "vm.stop" => Some(Self::Stop),
            // A new server of the name is no longer the one that was deleted.
            "vm.start" | "vm.create" => Some(Self::Start),
            "vm.reboot" => Some(Self::Reboot),
            "vm.delete" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// A silence that an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Requested {
    /// What was asked for.
    pub(super) wish: Wish,
    /// Who did.
    pub(super) by: Option<String>,
    /// The silence itself.
    #[serde(flatten)]
    pub(super) gap: Gap,
}

/// A time in which one server falls silent, because somebody wanted that.
struct Stretch<'c> {
    wish: Wish,
    by: Option<&'c String>,
    from: Timestamp,
    /// None while it is to stay off.
    until: Option<Timestamp>,
}

impl Stretch<'_> {
    /// Whether a silence begins in this time, and is not over before.
    fn explains(&self, gap: &Gap) -> bool {
        // Who answers before it is started again was not off yet, and its silence was another one.
        let least = match (self.wish, self.until) {
            (Wish::Reboot, _) | (_, None) => self.from,
            (_, Some(until)) => until,
        };
        self.holds(gap.from) && gap.until.is_none_or(|until| until >= least)
    }

    /// Whether nobody asked just because the server was to be off.
    fn spares(&self, span: &Span) -> bool {
        let ended = self.until.is_some_and(|until| span.until <= until.plus_millis(ASKED_MS));
        self.wish != Wish::Reboot && self.holds(span.from) && ended
    }

    /// Who was started has to boot before it answers: that is still the same silence.
    fn holds(&self, from: Timestamp) -> bool {
        let until = self.until.map(|until| until.plus_millis(ASKED_MS));
        from.plus_millis(ASKED_MS) >= self.from && until.is_none_or(|until| from <= until)
    }

    fn requested(&self, gap: Gap) -> Requested {
        // The server answered until it was asked for, as far as anybody knows.
        let gap = Gap { from: gap.from.max(self.from), ..gap };
        Requested { wish: self.wish, by: self.by.cloned(), gap }
    }

    /// The silences of this time as they are told: a stop is one, from when it was silent until its first answer after
    /// its start, also if nobody asked in between.
    fn told(&self, gaps: &[Gap], spans: &[Span]) -> Vec<Requested> {
        if self.wish == Wish::Reboot {
            return gaps.iter().map(|gap| self.requested(*gap)).collect();
        }
        let begins = gaps.iter().map(|gap| gap.from).chain(spans.iter().map(|span| span.from)).min();
        let ends = gaps.iter().filter_map(|gap| gap.until).chain(spans.iter().map(|span| span.until)).max();
        let failed: u64 = gaps.iter().map(|gap| gap.failed).sum();
        let goes_on = gaps.iter().any(|gap| gap.until.is_none() && spans.iter().all(|span| span.from < gap.from));
        // Whoever was started was off until then, though nobody saw when it answered.
        let until = ends.max(self.until).filter(|_| !goes_on);
        begins.map(|from| self.requested(Gap { from, until, failed })).into_iter().collect()
    }
}

/// The times in which one server was to be off, by its changes, the oldest first.
fn stretches<'c>(changes: impl Iterator<Item = &'c HistoryChange>) -> Vec<Stretch<'c>> {
    let mut all: Vec<Stretch<'c>> = Vec::new();
    for change in changes {
        let Some(wish) = Wish::of(change) else { continue };
        let off = all.iter_mut().find(|stretch| stretch.until.is_none());
        let until = match (wish, off) {
            (Wish::Start, off) => {
                if let Some(off) = off {
                    off.until = Some(change.at);
                }
                continue;
            }
            // Whoever is to be off already is not stopped once more.
            (_, Some(_)) => continue,
            (Wish::Stop | Wish::Delete, None) => None,
            (Wish::Reboot, None) => Some(change.at.plus_millis(REBOOT_MS)),
        };
        all.push(Stretch { wish, by: change.by.as_ref(), from: change.at, until });
    }
    all
}

/// Takes out of what was seen of a server those silences that its operators asked for: they count neither as gaps nor
/// for the longest one; and when nobody asked since the server was to be off, it is no time without a watch.
pub(super) fn taken_out<'c>(watched: &mut Watched, changes: impl Iterator<Item = &'c HistoryChange>) -> Vec<Requested> {
    let (mut own, mut requested) = (std::mem::take(&mut watched.longest), Vec::new());
    let lasted: Vec<(Gap, u64)> =
        own.iter().map(|gap| (*gap, seen_until(watched, gap).millis_since(gap.from))).collect();
    let all = own.len();
    for stretch in stretches(changes) {
        let (gaps, others): (Vec<Gap>, Vec<Gap>) = own.into_iter().partition(|gap| stretch.explains(gap));
        own = others;
        // Who had been silent before has no stop that could be told from that.
        let silent = |span: &Span| own.iter().any(|gap| gap.until.is_none() && gap.from <= span.from);
        let (spans, kept): (Vec<Span>, Vec<Span>) =
            std::mem::take(&mut watched.unwatched).into_iter().partition(|span| stretch.spares(span) && !silent(span));
        watched.unwatched = kept;
        watched.pauses = watched.pauses.saturating_sub(spans.len() as u64);
        let spared: u64 = spans.iter().map(|span| span.until.millis_since(span.from)).sum();
        watched.unwatched_ms = watched.unwatched_ms.saturating_sub(spared);
        requested.extend(stretch.told(&gaps, &spans));
    }
    let explained = all - own.len();
    if explained > 0 {
        watched.gaps = watched.gaps.saturating_sub(explained as u64);
        let left = lasted.iter().filter(|(gap, _)| own.contains(gap));
        watched.longest_gap_ms = left.map(|(_, ms)| *ms).max().unwrap_or(0);
    }
    watched.longest = own;
    requested
}

/// Until when a silence was seen: its end, or the last question before nobody asked any more.
pub(super) fn seen_until(watched: &Watched, gap: &Gap) -> Timestamp {
    let pauses = watched.unwatched.iter().map(|span| span.from).filter(|from| *from >= gap.from);
    gap.until.or_else(|| pauses.min()).unwrap_or(watched.until).max(gap.from)
}

#[cfg(test)]
mod tests {
    use watari_contracts::{
        Request,
        scheduler::{CreateVm, DeleteVm, RebootVm, StartVm, StopVm},
    };

    use super::*;

    /// So many milliseconds after a moment.
    fn at(ms: u64) -> Timestamp {
        sample().from.plus_millis(ms)
    }

    fn sample() -> Watched {
        let seen = include_str!("../../../../../shared/contracts/tests/golden/probe.Seen.json");
        serde_json::from_str::<Vec<watari_contracts::probe::Seen>>(seen).unwrap().swap_remove(0).watched.swap_remove(0)
    }

    fn change(why: &str, ms: u64) -> HistoryChange {
        let page = include_str!("../../../../../shared/contracts/tests/golden/reply.HistoryPage.json");
        let pages: Vec<watari_contracts::history::HistoryPage> = serde_json::from_str(page).unwrap();
        let sample = pages.into_iter().next().unwrap().changes.swap_remove(0);
        HistoryChange { why: Some(why.to_owned()), at: at(ms), ..sample }
    }

    /// What was seen with these silences, each from and until so many milliseconds.
    fn seen(gaps: &[(u64, Option<u64>)]) -> Watched {
        let gap = |&(from, until): &(u64, Option<u64>)| Gap { from: at(from), until: until.map(at), failed: 3 };
        let lasted = |&(from, until): &(u64, Option<u64>)| until.unwrap_or(9_000_000) - from;
        Watched {
            until: at(9_000_000),
            gaps: gaps.len() as u64,
            longest: gaps.iter().map(gap).collect(),
            longest_gap_ms: gaps.iter().map(lasted).max().unwrap_or(0),
            ..sample()
        }
    }

    #[test]
    fn a_silence_from_a_stop_until_the_start_is_the_operators_and_no_gap() {
        let changes = [change("vm.stop", 60_000), change("vm.stop", 61_000), change("vm.start", 300_000)];
        // A crossing before it, the stop, and a crossing after it.
        let mut watched = seen(&[(50_000, Some(53_000)), (59_500, Some(330_000)), (400_000, Some(402_500))]);
        let requested = taken_out(&mut watched, changes.iter());
        let [one] = requested.as_slice() else { panic!("{requested:?}") };
        // It begins when it was asked for, not with the last answer before.
        assert_eq!((one.wish, one.gap.from, one.gap.failed), (Wish::Stop, at(60_000), 3));
        assert_eq!(one.gap.until, Some(at(330_000)));
        assert!(one.by.as_ref().is_some_and(|by| by.contains("sato")), "{one:?}");
        assert_eq!((watched.gaps, watched.longest_gap_ms, watched.longest.len()), (2, 3_000, 2));
    }

    #[test]
    fn a_stop_during_which_nobody_asked_is_one_silence_until_the_first_answer_after_the_start() {
        let changes = [change("vm.stop", 60_000), change("vm.start", 107_000)];
        // It crossed before it went off, nobody asked of one that was to be off, and then it booted.
        let watched = seen(&[(56_000, None), (70_000, Some(71_000)), (108_000, Some(116_000))]);
        let spans =
            [(60_000, 108_000), (200_000, 230_000)].map(|(from, until)| Span { from: at(from), until: at(until) });
        let mut watched = Watched { unwatched: spans.to_vec(), pauses: 2, unwatched_ms: 78_000, ..watched };
        let requested = taken_out(&mut watched, changes.iter());
        let [one] = requested.as_slice() else { panic!("{requested:?}") };
        assert_eq!(one.gap, Gap { from: at(60_000), until: Some(at(116_000)), failed: 6 });
        assert_eq!((watched.gaps, watched.longest_gap_ms, watched.longest.len()), (1, 1_000, 1));
        assert_eq!((watched.pauses, watched.unwatched_ms), (1, 30_000));
        assert_eq!(watched.unwatched, spans[1..]);
    }

    #[test]
    fn a_silence_whose_end_nobody_saw_is_seen_until_nobody_asked_any_more() {
        let mut watched = Watched { unwatched: Vec::new(), ..seen(&[(50_000, None)]) };
        let gap = watched.longest[0];
        assert_eq!(seen_until(&watched, &gap), at(9_000_000));
        watched.unwatched = vec![Span { from: at(53_000), until: at(90_000) }];
        assert_eq!(seen_until(&watched, &gap), at(53_000));
        assert_eq!(seen_until(&watched, &Gap { until: Some(at(52_000)), ..gap }), at(52_000));
    }

    #[test]
    fn a_reboot_explains_what_soon_follows_and_a_stop_that_goes_on_all() {
        let reboot = [change("vm.reboot", 60_000)];
        let mut watched = seen(&[(70_000, Some(95_000)), (600_000, Some(601_500))]);
        assert_eq!(taken_out(&mut watched, reboot.iter()).len(), 1);
        assert_eq!((watched.gaps, watched.longest_gap_ms), (1, 1_500));
        let stop = [change("vm.stop", 60_000)];
        let mut watched = seen(&[(60_000, None)]);
        assert_eq!(taken_out(&mut watched, stop.iter()).len(), 1);
        assert_eq!((watched.gaps, watched.longest_gap_ms), (0, 0));
    }

    #[test]
    fn what_nobody_asked_for_stays_as_it_was_told() {
        let others = [change("vm.resize", 10_000), change("vm.start", 20_000)];
        for changes in [&others[..], &[]] {
            let mut watched = seen(&[(10_000, Some(15_000)), (30_000, None)]);
            let before = watched.clone();
            assert!(taken_out(&mut watched, changes.iter()).is_empty());
            assert_eq!(watched, before);
        }
        // It had fallen silent long before somebody switched it off.
        let mut watched = seen(&[(10_000, Some(500_000))]);
        assert!(taken_out(&mut watched, [change("vm.stop", 400_000)].iter()).is_empty());
    }

    #[test]
    fn wishes_are_called_as_requests_are() {
        let of = |subject: &str| Wish::of(&change(subject.trim_start_matches("watari.v1."), 0));
        assert_eq!(of(StopVm::SUBJECT), Some(Wish::Stop));
        assert_eq!((of(StartVm::SUBJECT), of(CreateVm::SUBJECT)), (Some(Wish::Start), Some(Wish::Start)));
        assert_eq!(of(RebootVm::SUBJECT), Some(Wish::Reboot));
        assert_eq!(of(DeleteVm::SUBJECT), Some(Wish::Delete));
        assert_eq!(of("watari.v1.vm.resize"), None);
    }
}
