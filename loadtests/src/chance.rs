//! Chance that a seed repeats.

use std::time::Duration;

use watari_testkit::Dice;

/// What strikes, where and when.
#[derive(Clone, Debug)]
pub(crate) struct Chance(Dice);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Dice::new(seed))
    }

    /// A number from 0 to `count` - 1; 0 if there is no other.
    pub(crate) const fn below(&mut self, count: usize) -> usize {
        self.0.below(if count == 0 { 1 } else { count as u64 }) as usize
    }

    /// A time from `low` to `high` milliseconds.
    pub(crate) const fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.0.below(high.saturating_sub(low) + 1))
    }

    /// One of several.
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        const { assert!(N > 0, "there is nothing to be picked") };
        of[self.below(N)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_moments_again_within_the_bounds() {
        let moments = |seed| {
            let mut chance = Chance::new(seed);
            (0..100).map(|_| chance.millis(500, 12_000)).collect::<Vec<_>>()
        };
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        let (low, high) = (Duration::from_millis(500), Duration::from_millis(12_000));
        assert!(moments(7).iter().all(|moment| *moment >= low && *moment <= high));
    }

    #[test]
    fn everything_is_picked_sooner_or_later() {
        let mut chance = Chance::new(1);
        let picked: std::collections::BTreeSet<_> = (0..100).map(|_| chance.pick([3, 5, 7])).collect();
        assert_eq!(picked.into_iter().collect::<Vec<_>>(), [3, 5, 7]);
        assert_eq!((chance.below(0), chance.below(1)), (0, 0));
    }
}
