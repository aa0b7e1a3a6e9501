//! Benchmarks in the lab: each compares two things in one run, so that a slow machine is slow for both.

pub mod evacuate;
pub mod footprint;
pub mod listing;
pub mod migrate;
mod plain;

use serde::Serialize;

/// The median and the extremes of some figures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The middle one.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// The spread of at least one figure; of none, zeros.
    #[must_use]
    pub fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or_default();
        Self { least: at(0), median: at(figures.len() / 2), most: at(figures.len().saturating_sub(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_least_median_and_most() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.0, 3.0));
    }
}
