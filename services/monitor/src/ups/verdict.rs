//! What all UPSes of a site together say of its power, and whether that is news. Pure.

use watari_model::{
    Timestamp,
    site::{Power, Supply},
};

use super::reading::Reading;

/// A battery that lasts longer or shorter by so many seconds is news,
const STEP_SECONDS: u64 = 30;
/// or by this part of what was known.
const STEP_PART: u64 = 10;

/// What came of asking one UPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It answered just now.
    Said(Reading),
    /// It did not; this is what it last said, if it ever did.
    Silent { last: Option<Reading> },
}

/// A site's power, by its UPSes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is on mains.
    Mains,
    /// It is on battery, for so many seconds if that is known.
    Battery { seconds_left: Option<u64> },
    /// That cannot be told.
    Unknown,
}

/// Judges a site of which `needs` UPSes must be on line.
///
/// Only what was answered just now makes a verdict. One that is silent might be on line, so that it is no
/// loss of power, unless it fell silent on battery: then it may well have died, and cannot be counted on.
/// The first battery that ends is the one that counts.
pub(super) fn verdict(heard: &[Heard], needs: usize) -> Verdict {
    let count = |holds: fn(&Heard) -> bool| heard.iter().filter(|one| holds(one)).count();
    if count(|one| matches!(one, Heard::Said(Reading::OnLine))) >= needs {
        return Verdict::Mains;
    }
    let batteries: Vec<Option<u64>> = heard.iter().filter_map(battery_of).collect();
    if batteries.is_empty() || count(may_be_on_line) >= needs {
        return Verdict::Unknown;
    }
    Verdict::Battery { seconds_left: batteries.into_iter().flatten().min() }
}

const fn battery_of(heard: &Heard) -> Option<Option<u64>> {
    match heard {
        Heard::Said(Reading::OnBattery { seconds_left }) => Some(*seconds_left),
        Heard::Said(_) | Heard::Silent { .. } => None,
    }
}

const fn may_be_on_line(heard: &Heard) -> bool {
    match heard {
        Heard::Said(reading) => matches!(reading, Reading::OnLine | Reading::Unclear),
        Heard::Silent { last } => !matches!(last, Some(Reading::OnBattery { .. })),
    }
}

/// What is to be told, if the site's document does not say it already.
pub(super) fn news(known: Option<Power>, verdict: Verdict, now: Timestamp) -> Option<(Supply, Option<u64>)> {
    let (supply, left) = match verdict {
        Verdict::Mains => (Supply::Mains, None),
        Verdict::Battery { seconds_left } => (Supply::Battery, seconds_left),
        Verdict::Unknown => return None,
    };
    let is_known = known.is_some_and(|power| power.supply == supply && !differs(power.left_at(now), left));
    (!is_known).then_some((supply, left))
}

/// A battery runs down all the time, and not evenly: not each second of it is worth a write.
fn differs(known: Option<u64>, now: Option<u64>) -> bool {
    match (known, now) {
        (Some(known), Some(now)) => {
            let by = known.abs_diff(now);
            by >= STEP_SECONDS || (by > 0 && by >= known / STEP_PART)
        }
        (known, now) => known != now,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;

    const ON_LINE: Heard = Heard::Said(Reading::OnLine);
    const SILENT: Heard = Heard::Silent { last: Some(Reading::OnLine) };
    const DIED: Heard = Heard::Silent { last: Some(on_battery(None)) };

    const fn on_battery(seconds_left: Option<u64>) -> Reading {
        Reading::OnBattery { seconds_left }
    }

    const fn dark(seconds_left: u64) -> Heard {
        Heard::Said(on_battery(Some(seconds_left)))
    }

    const fn battery(seconds_left: u64) -> Verdict {
        Verdict::Battery { seconds_left: Some(seconds_left) }
    }

    #[test]
    fn a_site_is_on_mains_while_as_many_as_it_needs_are_on_line() {
        assert_eq!((verdict(&[ON_LINE], 1), verdict(&[dark(600)], 1)), (Verdict::Mains, battery(600)));
        assert_eq!(verdict(&[ON_LINE, dark(600)], 1), Verdict::Mains);
        assert_eq!(verdict(&[ON_LINE, dark(600)], 2), battery(600));
        assert_eq!(verdict(&[dark(600), dark(90)], 1), battery(90), "the first that ends counts");
        let unsaid = Heard::Said(on_battery(None));
        assert_eq!(
            (verdict(&[unsaid, dark(90)], 1), verdict(&[unsaid], 1)),
            (battery(90), Verdict::Battery { seconds_left: None })
        );
    }

    #[test]
    fn silence_is_neither_mains_nor_battery() {
        let nothing = Heard::Silent { last: None };
        for heard in [&[SILENT][..], &[nothing], &[DIED], &[SILENT, dark(600)], &[nothing, dark(600)], &[DIED, DIED]] {
            assert_eq!(verdict(heard, 1), Verdict::Unknown, "{heard:?}");
        }
        assert_eq!(verdict(&[DIED, dark(600)], 1), battery(600), "it was on battery when it fell silent");
        assert_eq!(
            (verdict(&[SILENT, ON_LINE], 1), verdict(&[SILENT, ON_LINE], 2)),
            (Verdict::Mains, Verdict::Unknown)
        );
    }

    #[test]
    fn what_is_off_feeds_nothing_and_says_nothing_of_the_mains() {
        let (off, unclear) = (Heard::Said(Reading::Off), Heard::Said(Reading::Unclear));
        assert_eq!((verdict(&[off], 1), verdict(&[unclear], 1)), (Verdict::Unknown, Verdict::Unknown));
        assert_eq!((verdict(&[off, dark(60)], 1), verdict(&[unclear, dark(60)], 1)), (battery(60), Verdict::Unknown));
        assert_eq!(verdict(&[off, ON_LINE], 2), Verdict::Unknown);
    }

    #[test]
    fn a_battery_that_runs_down_is_told_of_now_and_then() {
        let since = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let known = |supply, seconds_left| Some(Power { supply, seconds_left, since, told_at: None });
        let news = |known, verdict| news(known, verdict, since);
        let left = |before: u64, now| news(known(Supply::Battery, Some(before)), battery(now)).is_some();
        assert!(!left(900, 871) && left(900, 870) && left(900, 930));
        assert!(!left(100, 91) && left(100, 90) && left(5, 4) && left(0, 1) && !left(0, 0));
        let unsaid = Verdict::Battery { seconds_left: None };
        assert_eq!(news(known(Supply::Battery, Some(900)), unsaid), Some((Supply::Battery, None)));
        assert_eq!(news(known(Supply::Battery, None), unsaid), None);
        assert_eq!(news(known(Supply::Mains, None), battery(60)), Some((Supply::Battery, Some(60))));
        assert_eq!(news(known(Supply::Battery, Some(60)), Verdict::Mains), Some((Supply::Mains, None)));
        assert_eq!(
            (news(known(Supply::Mains, None), Verdict::Mains), news(None, Verdict::Mains).is_some()),
            (None, true)
        );
        assert_eq!(news(known(Supply::Battery, Some(60)), Verdict::Unknown), None);
    }

    #[test]
    fn a_battery_that_runs_down_as_was_said_is_no_news_and_one_that_does_not_is() {
        let since = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let told = Power { supply: Supply::Battery, seconds_left: Some(900), since, told_at: Some(since) };
        let left = |after_ms, now| news(Some(told), battery(now), since.plus_millis(after_ms)).is_some();
        assert!(!left(400_000, 500) && !left(400_000, 471) && left(400_000, 470));
        assert!(!left(20_000, 900) && left(30_000, 900), "it stands still");
        assert!(!left(2_000_000, 0) && left(2_000_000, 1));
    }

    fn readings() -> impl Strategy<Value = Reading> {
        let left = prop::option::of(0_u64..5_000);
        prop_oneof![
            Just(Reading::OnLine),
            left.prop_map(|seconds_left| Reading::OnBattery { seconds_left }),
            Just(Reading::Off),
            Just(Reading::Unclear),
        ]
    }

    fn anything() -> impl Strategy<Value = Heard> {
        prop_oneof![
            readings().prop_map(Heard::Said),
            prop::option::of(readings()).prop_map(|last| Heard::Silent { last }),
        ]
    }

    proptest! {
        #[test]
        fn every_verdict_rests_on_an_answer(heard in prop::collection::vec(anything(), 0..5), needs in 1_usize..4) {
            let said = |wanted: fn(&Reading) -> bool| {
                heard.iter().filter(|one| matches!(one, Heard::Said(reading) if wanted(reading))).count()
            };
            match verdict(&heard, needs) {
                Verdict::Mains => prop_assert!(said(|r| *r == Reading::OnLine) >= needs),
                Verdict::Battery { .. } => {
                    let on_battery = said(|r| matches!(r, Reading::OnBattery { .. }));
                    prop_assert!(on_battery >= 1);
                }
                Verdict::Unknown => {}
            }
        }
    }
}
