//! Which of many take a bounded time so that the most worth is done: pure numbers.
//!
//! The best use of the time, were servers divisible, takes them by their worth for each millisecond until the
//! time is used up (Dantzig's bound of the knapsack problem). They are not, so that the one in which the
//! time ends is left out, and smaller ones after it may still fit. What is lost by that is less than the worth of
//! one server; where one alone is worth more than all that are chosen, it is taken instead.

use std::{cmp::Ordering, collections::HashSet};

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

    /// All of them together.
    fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self { worth: 0, cost: 0 }, |sum, one| Self {
            worth: sum.worth.saturating_add(one.worth),
            cost: sum.cost.saturating_add(one.cost),
        })
    }
}

/// One with all those that it needs, by their places; it is the first.
struct Whole {
    members: Vec<usize>,
    sum: Candidate,
}

impl Whole {
    fn of(place: usize, candidates: &[Candidate], needs: &[Vec<usize>]) -> Self {
        let (mut members, mut seen, mut at) = (vec![place], HashSet::from([place]), 0);
        while let Some(member) = members.get(at) {
            let more = needs.get(*member).into_iter().flatten().copied().filter(|other| seen.insert(*other));
            let more: Vec<usize> = more.collect();
            members.extend(more);
            at += 1;
        }
        let sum = Candidate::sum(members.iter().filter_map(|member| candidates.get(*member)).copied());
        Self { members, sum }
    }

    /// Those of it that are not chosen yet.
    fn rest(&self, candidates: &[Candidate], chosen: &[bool]) -> Candidate {
        let rest = self.members.iter().filter(|member| chosen.get(**member) == Some(&false));
        Candidate::sum(rest.filter_map(|member| candidates.get(*member)).copied())
    }

    fn choose(&self, chosen: &mut [bool]) {
        for member in &self.members {
            if let Some(one) = chosen.get_mut(*member) {
                *one = true;
            }
        }
    }
}

/// Whether each is chosen. Of two that are alike the first is. `needs` has, at the place of each, the places of those
/// without which it is not chosen; it may be shorter than there are candidates.
pub(super) fn worthiest(candidates: &[Candidate], needs: &[Vec<usize>], capacity: u64) -> Vec<bool> {
    let wholes = (0..candidates.len()).map(|place| Whole::of(place, candidates, needs));
    let wholes: Vec<Whole> = wholes.filter(|whole| whole.sum.cost <= capacity).collect();
    let mut order: Vec<&Whole> = wholes.iter().collect();
    order.sort_by(|a, b| a.sum.worthier(&b.sum));
    let mut chosen = vec![false; candidates.len()];
    let (mut left, mut worth) = (capacity, 0_u64);
    for whole in order {
        let rest = whole.rest(candidates, &chosen);
        if rest.cost <= left {
            left -= rest.cost;
            worth = worth.saturating_add(rest.worth);
            whole.choose(&mut chosen);
        }
    }
    // Of several that are worth as much the first is the last in this order.
    let best = wholes.iter().rev().max_by_key(|whole| whole.sum.worth);
    if let Some(whole) = best.filter(|whole| whole.sum.worth > worth) {
        chosen.fill(false);
        whole.choose(&mut chosen);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(candidates: &[Candidate], capacity: u64) -> (u64, u64) {
        let chosen = worthiest(candidates, &[], capacity);
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

    proptest! {
        #[test]
        fn the_time_is_never_exceeded_and_nobody_is_chosen_without_those_whom_it_needs(
            candidates in candidates(0..5_000, 40),
            drawn in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 40),
            capacity in 0_u64..20_000,
        ) {
            // Only those before it: without circles.
            let needs: Vec<Vec<usize>> = drawn.iter().enumerate().map(|(place, needs)| {
                needs.iter().filter(|_| place > 0).map(|other| other.index(place)).collect()
            }).collect();
            let chosen = worthiest(&candidates, &needs, capacity);
            let places: Vec<usize> = (0..chosen.len()).filter(|place| chosen[*place]).collect();
            prop_assert!(places.iter().map(|place| candidates[*place].cost).sum::<u64>() <= capacity);
            prop_assert!(places.iter().all(|place| needs[*place].iter().all(|other| chosen[*other])));
        }
    }

    #[test]
    fn one_is_weighed_with_those_whom_it_needs() {
        let [other, web] = [50, 90].map(|worth| Candidate { worth, cost: 10 });
        let db = |cost: u64| Candidate { worth: 1, cost };
        let chosen = |cost: u64, capacity| worthiest(&[other, web, db(cost)], &[vec![], vec![2]], capacity);
        assert_eq!(chosen(10, 20), [false, true, true]);
        assert_eq!(chosen(10, 19), [true, false, false]);
        assert_eq!(chosen(1_000, 30), [true, false, false], "what it needs does not fit");
        assert_eq!(chosen(10, 30), [true, true, true]);
        assert_eq!(chosen(u64::MAX, 30), [true, false, false]);
    }

    #[test]
    fn one_that_is_worth_more_than_all_others_is_not_left_out_for_a_small_one() {
        let (small, large) = (Candidate { worth: 2, cost: 1 }, Candidate { worth: 100, cost: 100 });
        assert_eq!(worthiest(&[small, large], &[], 100), [false, true]);
        assert_eq!(worthiest(&[small, large], &[], 101), [true, true]);
        assert_eq!(worthiest(&[small, large], &[], 99), [true, false]);
        assert_eq!(worthiest(&[small, small], &[], 1), [true, false]);
        assert!(worthiest(&[], &[], 1).is_empty());
    }
}
