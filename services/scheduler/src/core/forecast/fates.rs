//! How many of a site's servers would leave, and how many not.

use watari_model::{Refusal, outage::Left};

use super::{Forecast, count};

/// Servers of a site by what would become of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// How many could leave.
    pub leaving: usize,
    /// How many could not.
    pub staying: usize,
    /// How many have chosen to stay.
    pub by_policy: usize,
    /// How many are off.
    pub off: usize,
}

impl Fates {
    /// Each with its word.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, usize); 4] {
        [("leaves", self.leaving), ("stays", self.staying), ("by-policy", self.by_policy), ("off", self.off)]
    }

    /// Of a hundred servers that are to leave, so many could. It is 100 only if all could, as they can where there are none.
    #[must_use]
    pub fn score(&self) -> u64 {
        let (leaving, wanted) = (count(self.leaving), count(self.leaving + self.staying));
        leaving.saturating_mul(100).checked_div(wanted).unwrap_or(100)
    }
}

impl Forecast {
    /// Who goes off for want of time has not left.
    #[must_use]
    pub fn fates(&self) -> Fates {
        let count = |which: fn(&Left) -> bool| self.left.iter().filter(|left| which(left)).count();
        let (by_policy, off) = (count(is_wanted), count(Left::is_off));
        Fates {
            leaving: self.moves.len() + self.waiting.len(),
            staying: self.left.len() - by_policy - off + self.halts.len(),
            by_policy,
            off,
        }
    }
}

/// Whether somebody wants it to stay.
pub(crate) const fn is_wanted(left: &Left) -> bool {
    matches!(left.fault, Refusal::PolicyStays { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_of_those_that_are_to_leave_and_is_full_only_if_all_could() {
        let score = |leaving, staying| Fates { leaving, staying, by_policy: 5, off: 7 }.score();
        assert_eq!([score(0, 0), score(0, 3), score(2, 1), score(999, 1), score(4, 0)], [100, 0, 66, 99, 100]);
    }
}
