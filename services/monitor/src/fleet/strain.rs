//! When a node has hardly any left of something, and when enough again: thresholds with hysteresis.
//!
//! ```text
//!        at or above `enter` for enter_ms
//!  calm ──────────────────────────────────▶ strained
//!    ▲      below `leave` for leave_ms          │
//!    └──────────────────────────────────────────┘
//! ```
//!
//! What holds is in the node's document, and so outlives the monitor; for how long it has been otherwise is not, and
//! begins anew with whoever leads.

use std::collections::BTreeSet;

use watari_model::node::Strain;

use crate::settings::pressure::Pressure;

/// How much is used of what, in thousandths of the whole; none while that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) processors: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) disk: Option<u64>,
}

impl Used {
    const fn of(self, strain: Strain) -> Option<u64> {
        match strain {
            Strain::Overloaded => self.processors,
            Strain::MemoryNearlyFull => self.memory,
            Strain::DiskNearlyFull => self.disk,
        }
    }
}

/// Since when each has been otherwise than is written down, in boot-time milliseconds, with what that was: of what is
/// written down since, the time begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Otherwise([Option<(bool, u64)>; Strain::ALL.len()]);

impl Otherwise {
    /// What holds from now on, where `written` held.
    pub(crate) fn judge(
        &mut self,
        written: &BTreeSet<Strain>,
        used: Used,
        now: u64,
        limits: &Pressure,
    ) -> BTreeSet<Strain> {
        let mut holds = written.clone();
        for (strain, since) in Strain::ALL.into_iter().zip(&mut self.0) {
            let limit = limits.of(strain);
            let strained = written.contains(&strain);
            // Thresholds are in percent.
            let turns = used
                .of(strain)
                .is_some_and(|used| if strained { used < limit.leave * 10 } else { used >= limit.enter * 10 });
            if !turns {
                *since = None;
                continue;
            }
            let began = since.filter(|(was, _)| *was == strained).map_or(now, |(_, began)| began);
            *since = Some((strained, began));
            let needed = if strained { limits.leave_seconds } else { limits.enter_seconds } * 1_000;
            if now.saturating_sub(began) < needed {
                continue;
            }
            // Until it is written down it is decided the same way again.
            if strained {
                holds.remove(&strain);
            } else {
                holds.insert(strain);
            }
        }
        holds
    }
}

/// Thousandths that `part` is of `whole`; none of nothing.
pub(crate) fn thousandths(part: u64, whole: u64) -> Option<u64> {
    part.saturating_mul(1_000).checked_div(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Settings;

    fn limits() -> Pressure {
        Settings::embedded().unwrap().pressure
    }

    fn busy(processors: u64) -> Used {
        Used { processors: Some(processors), ..Used::default() }
    }

    #[test]
    fn a_node_is_overloaded_after_a_while_and_relieved_after_a_while() {
        let (limits, mut otherwise) = (limits(), Otherwise::default());
        let hot = BTreeSet::from([Strain::Overloaded]);
        let mut judge = |written: &BTreeSet<Strain>, used, second: u64| {
            otherwise.judge(written, busy(used), second * 1_000, &limits)
        };
        let calm = BTreeSet::new();
        assert_eq!(judge(&calm, 900, 0), calm);
        assert_eq!(judge(&calm, 950, 119), calm);
        assert_eq!(judge(&calm, 899, 120), calm, "a dip begins it anew");
        assert_eq!(judge(&calm, 900, 121), calm);
        assert_eq!(judge(&calm, 900, 241), hot);
        assert_eq!(judge(&calm, 900, 242), hot, "it was not written yet");
        assert_eq!(judge(&hot, 749, 243), hot, "what it took to become so is not what it takes to end");
        assert_eq!(judge(&hot, 760, 243), hot, "between the thresholds it stays");
        assert_eq!(judge(&hot, 749, 244), hot);
        assert_eq!(judge(&hot, 749, 303), hot);
        assert_eq!(judge(&hot, 749, 304), calm);
    }

    #[test]
    fn what_is_not_known_changes_nothing_and_each_is_judged_by_itself() {
        let (limits, mut otherwise) = (limits(), Otherwise::default());
        let all = BTreeSet::from(Strain::ALL);
        for second in [0, 1_000] {
            assert_eq!(otherwise.judge(&all, Used::default(), second * 1_000, &limits), all);
        }
        let used = Used { processors: Some(1_000), memory: Some(0), disk: None };
        otherwise.judge(&all, used, 2_000_000, &limits);
        let left = otherwise.judge(&all, used, 2_060_000, &limits);
        assert_eq!(left, BTreeSet::from([Strain::Overloaded, Strain::DiskNearlyFull]));
    }

    proptest! {
        /// However its use moves, a node changes no more often than its durations allow, and only with cause.
        #[test]
        fn no_change_comes_sooner_than_its_duration(uses in prop::collection::vec((0_u64..1_100, 1_u64..90), 1..80)) {
            let (limits, mut otherwise) = (limits(), Otherwise::default());
            let (mut written, mut now, mut changed) = (BTreeSet::new(), 0_u64, 0_u64);
            for (used, seconds) in uses {
                now += seconds * 1_000;
                let next = otherwise.judge(&written, busy(used), now, &limits);
                if next != written {
                    let hot = next.contains(&Strain::Overloaded);
                    let fits = if hot { used >= 900 } else { used < 750 };
                    prop_assert!(fits);
                    let needed = if hot { limits.enter_seconds } else { limits.leave_seconds };
                    prop_assert!(now - changed >= needed * 1_000);
                    (written, changed) = (next, now);
                }
            }
        }
    }
}
