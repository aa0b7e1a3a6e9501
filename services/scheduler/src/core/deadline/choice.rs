//! Which of many take a bounded time so that the most worth is done: pure numbers.
//!
//! The best use of the time, were servers divisible, takes them by their worth for each millisecond until the
//! time is used up (Dantzig's bound of the knapsack problem). They are not, so that the one in which the
//! time ends is left out, and smaller ones after it may still fit. What is lost by that is less than the worth of
//! one server; where one alone is worth more than all that are chosen, it is taken instead.

use std::cmp::Ordering;

/// One that would take time, and is worth something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) worth: u64,
    pub(super) cost: u64,
}

impl Candidate {
    /// *Less* is what comes first: more worth for the time, then less time, then more worth.
    pub(super) fn worthier(&self, other: &Self) -> Ordering {
        let mine = u128::from(self.worth) * u128::from(other.cost);
        let theirs = u128::from(other.worth) * u128::from(self.cost);
        // Where nothing is known of the time, none is worth more for it: then the worth alone counts.
        theirs.cmp(&mine).then(self.cost.cmp(&other.cost)).then(other.worth.cmp(&self.worth))
    }
}

/// Whether each is chosen. Of two that are alike the first is.
pub(super) fn worthiest(candidates: &[Candidate], capacity: u64) -> Vec<bool> {
    let mut order: Vec<(usize, &Candidate)> =
        candidates.iter().enumerate().filter(|(_, c)| c.cost <= capacity).collect();
    order.sort_by(|(_, a), (_, b)| a.worthier(b));
    let mut chosen = vec![false; candidates.len()];
    let (mut left, mut worth) = (capacity, 0_u64);
    for (index, candidate) in &order {
        if candidate.cost <= left {
            left -= candidate.cost;
            worth = worth.saturating_add(candidate.worth);
            choose(&mut chosen, *index);
        }
    }
    let best = order.iter().max_by(|(i, a), (j, b)| a.worth.cmp(&b.worth).then(j.cmp(i)));
    if let Some((index, _)) = best.filter(|(_, candidate)| candidate.worth > worth) {
        chosen.fill(false);
        choose(&mut chosen, *index);
    }
    chosen
}

fn choose(chosen: &mut [bool], index: usize) {
    if let Some(one) = chosen.get_mut(index) {
        *one = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(candidates: &[Candidate], capacity: u64) -> (u64, u64) {
        let chosen = worthiest(candidates, capacity);
        assert_eq!(chosen.len(), candidates.len());
        let taken: Vec<&Candidate> = candidates.iter().zip(chosen).filter(|(_, yes)| *yes).map(|(c, _)| c).collect();
        (taken.iter().map(|c| c.worth).sum(), taken.iter().map(|c| c.cost).sum())
    }

    /// In thousandths, rounded up: what it would be worth if servers were divisible.
    fn bound(candidates: &[Candidate], capacity: u64) -> u64 {
        let mut order = candidates.to_vec();
        order.sort_by(Candidate::worthier);
        let (mut left, mut worth) = (capacity, 0);
        for Candidate { worth: all, cost } in order {
            let part = cost.min(left);
            worth += if cost == 0 { all * 1_000 } else { (all * 1_000 * part).div_ceil(cost) };
            left -= part;
        }
        worth
    }

    fn candidates(costs: std::ops::Range<u64>, most: usize) -> impl Strategy<Value = Vec<Candidate>> {
        let one = (1_u64..102, costs).prop_map(|(worth, cost)| Candidate { worth, cost });
        prop::collection::vec(one, 0..most)
    }

    proptest! {
        #[test]
        fn the_time_is_never_exceeded_and_at_least_half_of_what_is_possible_is_done(
            candidates in candidates(0..5_000, 40), capacity in 0_u64..20_000,
        ) {
            let (worth, cost) = taken(&candidates, capacity);
            prop_assert!(cost <= capacity);
            let fit: Vec<Candidate> = candidates.iter().filter(|c| c.cost <= capacity).copied().collect();
            prop_assert!(worth * 2_000 + 2_000 >= bound(&fit, capacity), "{worth} of {}", bound(&fit, capacity));
        }

        #[test]
        fn with_many_small_servers_nearly_all_is_done_that_would_be_if_they_were_divisible(
            candidates in candidates(1..100, 400), capacity in 10_000_u64..20_000,
        ) {
            let (worth, cost) = taken(&candidates, capacity);
            let bound = bound(&candidates, capacity);
            prop_assert!(cost <= capacity);
            prop_assert!(worth * 100_000 >= bound * 98, "{worth} of {bound} thousandths");
        }
    }

    #[test]
    fn one_that_is_worth_more_than_all_others_is_not_left_out_for_a_small_one() {
        let (small, large) = (Candidate { worth: 2, cost: 1 }, Candidate { worth: 100, cost: 100 });
        assert_eq!(worthiest(&[small, large], 100), [false, true]);
        assert_eq!(worthiest(&[small, large], 101), [true, true]);
        assert_eq!(worthiest(&[small, large], 99), [true, false]);
        assert_eq!(worthiest(&[small, small], 1), [true, false]);
        assert!(worthiest(&[], 1).is_empty());
    }
}
