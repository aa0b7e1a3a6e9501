//! Moments of a server's disk that have a name: taking one, and going back to one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{VmName, vm::Mark};

use super::Order;

/// Which moments still have a name when an order is given. What they reach to is not merged with what came later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The highest number that was ever given: of marks above it the order knows nothing, and they stay.
    pub newest: u64,
    /// The numbers that have a name.
    pub numbers: Vec<u64>,
    /// The highest layer of each that is taken.
    pub layers: Vec<u32>,
}

impl Named {
    /// Whether there never was a name.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a mark still has a name, as far as is known here.
    #[must_use]
    pub fn holds(&self, mark: &Mark) -> bool {
        mark.number > self.newest || self.numbers.contains(&mark.number)
    }

    /// The layers above which a merge has to stop, by what is known here and by what an agent has kept.
    #[must_use]
    pub fn bounds(&self, marks: &[Mark]) -> Vec<u32> {
        let kept = marks.iter().filter(|mark| self.holds(mark)).map(|mark| mark.layer);
        self.layers.iter().copied().chain(kept).collect()
    }
}

/// Keep a server's disk as it is now, running or off. What is told of it comes with the disk's layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeSnapshot {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The grant's generation.
    pub generation: u64,
    /// Which one: a number that was taken is not taken again.
    pub number: u64,
    /// Those that have a name, this one among them.
    pub named: Named,
}

/// Put the disk of a server that is off back to what it was on all layers up to one. What is above it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevertDisk {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The grant's generation.
    pub generation: u64,
    /// The highest layer that stays.
    pub layer: u32,
}

#[cfg(test)]
mod tests {
    use watari_model::{Timestamp, image::Consistency};

    use super::*;

    #[test]
    fn a_mark_bounds_a_merge_until_an_order_that_knows_of_it_names_it_no_more() {
        let at = Timestamp(time::OffsetDateTime::UNIX_EPOCH);
        let mark = |number, layer| Mark { number, layer, at, consistency: Consistency::Crash };
        let marks = [mark(1, 4), mark(2, 6), mark(3, 7)];
        let named = Named { newest: 2, numbers: vec![1], layers: vec![3] };
        assert_eq!(named.bounds(&marks), [3, 4, 7], "the second is forgotten, of the third it knows nothing");
        assert_eq!(Named::default().bounds(&marks), [4, 6, 7]);
        assert!(Named::default().is_blank() && !named.is_blank());
    }
}
