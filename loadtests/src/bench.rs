//! Benchmarks in the lab: each compares two things in one run, so that a slow machine is slow for both.
//! Each says what its figures must keep to; `watari-bench` fails when they do not.

pub mod addresses;
pub mod evacuate;
pub mod footprint;
pub mod image;
pub mod listing;
pub mod migrate;
pub mod network;
mod plain;
mod program;

use std::fmt;

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

/// What a figure must keep to.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The figure, as it is named in the report.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// The most that is allowed.
    pub most: f64,
}

impl Bound {
    /// A figure and the most that is allowed.
    pub fn most(what: impl Into<String>, measured: f64, most: f64) -> Self {
        Self { what: what.into(), measured, most }
    }

    /// Whether it is kept. What is no number is not.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.measured <= self.most
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_kept() { "kept" } else { "MISSED" };
        write!(f, "{verdict}: {} is {:.2}, at most {:.2}", self.what, self.measured, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_up_to_its_most() {
        assert!(Bound::most("pause", 50.0, 50.0).is_kept());
        assert!(!Bound::most("pause", 50.1, 50.0).is_kept());
        assert!(!Bound::most("pause", f64::NAN, 50.0).is_kept());
    }

    #[test]
    fn a_spread_is_least_median_and_most() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.0, 3.0));
    }
}
