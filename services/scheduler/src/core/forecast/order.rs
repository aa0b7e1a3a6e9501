//! In which order servers would begin to travel: pure numbers.
//!
//! It is not quite that of their turns. Who waits for others is overtaken meanwhile by those whose turn comes later. The
//! link passes from one to the next as it does in an evacuation ([`super::super::links`]): so many copies at once, so many
//! prepared meanwhile, and whose copy is nearly over makes room.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

use super::super::Rules;

/// One that would travel.
pub(super) struct Mover {
    /// For how long.
    pub(super) takes_ms: u64,
    /// The places of those for whose arrival it waits.
    pub(super) after: Vec<usize>,
}

/// What becomes of a copy, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    NearlyOver,
    Arrived,
}

/// How one begins to travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Its place among the movers.
    pub(super) place: usize,
    /// The place of the one that made way for it last: by its arrival, or by leaving the link to it.
    behind: Option<usize>,
    arrives_ms: u64,
}

/// They in the order in which they would begin; `movers` are in the order of their turns.
pub(super) fn beginnings(movers: &[Mover], rules: &Rules) -> Vec<Beginning> {
    let in_flight = rules.in_flight.max(1);
    let mut waits: Vec<usize> = movers.iter().map(|mover| mover.after.len()).collect();
    let mut ready: BTreeSet<usize> = (0..movers.len()).filter(|place| waits.get(*place) == Some(&0)).collect();
    let behind = behind(movers);
    let (mut prepared, mut events, mut order) = (BTreeSet::new(), BinaryHeap::new(), Vec::new());
    let (mut now, mut copying, mut ending) = (0_u64, 0_usize, 0_usize);
    let mut made_way = None;
    loop {
        if copying < in_flight
            && copying + ending < 3 * in_flight
            && let Some(place) = prepared.pop_first()
        {
            copying += 1;
            let takes_ms = movers.get(place).map_or(0_u64, |mover: &Mover| mover.takes_ms);
            order.push(Beginning { place, behind: made_way, arrives_ms: now.saturating_add(takes_ms) });
            let nearly_over = now.saturating_add(takes_ms.saturating_sub(rules.overlap_ms));
            events.push(Reverse((nearly_over, Event::NearlyOver, place)));
            events.push(Reverse((now.saturating_add(takes_ms), Event::Arrived, place)));
        } else if prepared.len() + copying < in_flight + rules.ahead
            && let Some(place) = ready.pop_first()
        {
            prepared.insert(place);
        } else if let Some(Reverse((at, event, place))) = events.pop() {
            (now, made_way) = (at, Some(place));
            match event {
                Event::NearlyOver => (copying, ending) = (copying - 1, ending + 1),
                Event::Arrived => {
                    ending -= 1;
                    ready.extend(behind.get(place).into_iter().flatten().filter(|other| is_next(&mut waits, **other)));
                }
            }
        } else {
            return order;
        }
    }
}

/// The chain of those that decides when the last arrives, in the order in which they begin: each made way for the next. Of
/// several that arrive at once it is that which begins last.
pub(super) fn chain(order: &[Beginning]) -> Vec<usize> {
    let begins: HashMap<usize, &Beginning> = order.iter().map(|one| (one.place, one)).collect();
    let mut at = order.iter().max_by_key(|one| one.arrives_ms);
    let mut chain = Vec::new();
    while let Some(one) = at {
        chain.push(one.place);
        at = one.behind.and_then(|place| begins.get(&place).copied());
    }
    chain.reverse();
    chain
}

/// For each the places of those that wait for it.
fn behind(movers: &[Mover]) -> Vec<Vec<usize>> {
    let mut behind = vec![Vec::new(); movers.len()];
    for (place, mover) in movers.iter().enumerate() {
        for other in &mover.after {
            if let Some(waiting) = behind.get_mut(*other) {
                waiting.push(place);
            }
        }
    }
    behind
}

/// Whether one waits for nobody else any more, now that another has arrived.
fn is_next(waits: &mut [usize], place: usize) -> bool {
    waits.get_mut(place).is_some_and(|waits| {
        *waits = waits.saturating_sub(1);
        *waits == 0
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begun(movers: &[(u64, &[usize])], overlap_ms: u64) -> Vec<Beginning> {
        let movers: Vec<Mover> =
            movers.iter().map(|(takes_ms, after)| Mover { takes_ms: *takes_ms, after: after.to_vec() }).collect();
        beginnings(&movers, &Rules { overlap_ms, ..Rules::default() })
    }

    fn order(movers: &[(u64, &[usize])], overlap_ms: u64) -> Vec<usize> {
        begun(movers, overlap_ms).iter().map(|one| one.place).collect()
    }

    #[test]
    fn the_chain_that_decides_the_end_leads_over_the_link_and_over_those_for_whom_one_waits() {
        fn chain(movers: &[(u64, &[usize])]) -> Vec<usize> {
            super::chain(&begun(movers, 0))
        }
        assert_eq!(chain(&[]), Vec::<usize>::new());
        assert_eq!(chain(&[(9, &[]), (9, &[]), (9, &[])]), [0, 1, 2], "all share the link");
        assert_eq!(chain(&[(9, &[]), (9, &[0]), (50, &[])]), [0, 2, 1]);
        // The link has nothing else to do until the second has arrived.
        assert_eq!(chain(&[(9, &[]), (9, &[0]), (9, &[1])]), [0, 1, 2]);
    }

    #[test]
    fn who_waits_is_overtaken_by_those_that_are_ready() {
        assert_eq!(order(&[(9, &[]), (9, &[]), (9, &[])], 4), [0, 1, 2], "nobody waits");
        assert_eq!(order(&[(9, &[]), (9, &[0]), (9, &[])], 0), [0, 2, 1]);
        assert_eq!(order(&[(9, &[]), (9, &[0])], 0), [0, 1], "there is nobody else");
        // The third is prepared while the first travels; the fourth takes its place before the first has arrived.
        assert_eq!(order(&[(9, &[]), (9, &[0]), (9, &[]), (9, &[]), (9, &[])], 4), [0, 2, 3, 1, 4]);
        assert_eq!(order(&[(9, &[]), (9, &[0]), (9, &[1]), (50, &[])], 0), [0, 3, 1, 2]);
    }

    proptest! {
        #[test]
        fn each_begins_once_and_after_those_for_whom_it_waits(
            drawn in prop::collection::vec((0_u64..20, prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..30),
            overlap_ms in 0_u64..10,
        ) {
            let movers: Vec<(u64, Vec<usize>)> = drawn.iter().enumerate().map(|(place, (takes_ms, after))| {
                let after = after.iter().filter(|_| place > 0).map(|other| other.index(place));
                (*takes_ms, after.collect::<BTreeSet<_>>().into_iter().collect())
            }).collect();
            let slices: Vec<(u64, &[usize])> = movers.iter().map(|(takes_ms, after)| (*takes_ms, &after[..])).collect();
            let chain = super::chain(&begun(&slices, overlap_ms));
            prop_assert_eq!(chain.iter().collect::<BTreeSet<_>>().len(), chain.len(), "nobody is in it twice");
            let order = order(&slices, overlap_ms);
            prop_assert!(chain.is_sorted_by_key(|place| order.iter().position(|one| one == place)));
            prop_assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), movers.len());
            for (at, place) in order.iter().enumerate() {
                prop_assert!(movers[*place].1.iter().all(|other| order[..at].contains(other)));
            }
        }
    }
}
