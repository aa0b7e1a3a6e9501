//! What operators asked of servers while an outage was under way, and which silences follow from that: a server that
//! was stopped by request does not answer, and nobody has anything to explain. Pure.

use serde::Serialize;
use watari_contracts::{
    history::HistoryChange,
    probe::{Gap, Watched},
};
use watari_model::Timestamp;

/// The last answer may be so much older than a request that silences the server: questions have some time between them.
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
        let begins = gap.from.plus_millis(ASKED_MS) >= self.from && self.until.is_none_or(|until| gap.from <= until);
        begins && gap.until.is_none_or(|until| until >= self.from)
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
/// for the longest one.
pub(super) fn taken_out<'c>(watched: &mut Watched, changes: impl Iterator<Item = &'c HistoryChange>) -> Vec<Requested> {
    let stretches = stretches(changes);
    let (mut own, mut requested) = (Vec::new(), Vec::new());
    for gap in std::mem::take(&mut watched.longest) {
        match stretches.iter().find(|stretch| stretch.explains(&gap)) {
            Some(Stretch { wish, by, .. }) => requested.push(Requested { wish: *wish, by: by.cloned(), gap }),
            None => own.push(gap),
        }
    }
    if !requested.is_empty() {
        watched.gaps = watched.gaps.saturating_sub(requested.len() as u64);
        // One that goes on lasts so far as it was asked.
        let lasted = |gap: &Gap| gap.until.unwrap_or(watched.until).millis_since(gap.from);
        watched.longest_gap_ms = own.iter().map(lasted).max().unwrap_or(0);
    }
    watched.longest = own;
    requested
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
        assert_eq!((one.wish, one.gap.from, one.gap.failed), (Wish::Stop, at(59_500), 3));
        assert!(one.by.as_ref().is_some_and(|by| by.contains("sato")), "{one:?}");
        assert_eq!((watched.gaps, watched.longest_gap_ms, watched.longest.len()), (2, 3_000, 2));
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
