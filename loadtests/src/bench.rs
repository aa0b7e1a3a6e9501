//! Benchmarks in the lab: each compares two things in one run, so that a slow machine is slow for both.
//! Each says what its figures must keep to; `watari-bench` fails when they do not.

pub mod addresses;
mod consumption;
pub mod crowd;
pub mod evacuate;
pub mod fleet;
pub mod footprint;
pub mod history;
mod idle;
pub mod image;
mod latency;
pub mod listing;
pub mod migrate;
pub mod network;
mod plain;
mod program;

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// What a figure must keep to, and whether it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bound {
    /// The figure, as it is named in the report.
    pub what: String,
    /// What is allowed.
    pub asked: Asked,
    /// What was measured; none if that is no number, which keeps to nothing.
    pub measured: Option<f64>,
    /// Whether it is kept.
    pub met: bool,
}

/// What is allowed of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// At most so much.
    Most(f64),
    /// At least so much.
    Least(f64),
}

impl Asked {
    fn allows(self, measured: f64) -> bool {
        match self {
            Self::Most(most) => measured <= most,
            Self::Least(least) => measured >= least,
        }
    }

    /// How many times as bad a figure is as it was.
    fn worse_by(self, measured: f64, was: f64) -> f64 {
        match self {
            Self::Most(_) => measured / was,
            Self::Least(_) => was / measured,
        }
    }
}

impl Bound {
    /// A figure and the most that is allowed.
    pub fn most(what: impl Into<String>, measured: f64, most: f64) -> Self {
        Self::new(what.into(), measured, Asked::Most(most))
    }

    /// A figure and the least that is allowed.
    pub fn least(what: impl Into<String>, measured: f64, least: f64) -> Self {
        Self::new(what.into(), measured, Asked::Least(least))
    }

    fn new(what: String, measured: f64, asked: Asked) -> Self {
        Self { what, asked, measured: measured.is_finite().then_some(measured), met: asked.allows(measured) }
    }

    /// Whether it is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.met
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met { "kept" } else { "MISSED" };
        let measured = self.measured.map_or("nothing".to_owned(), |measured| format!("{measured:.2}"));
        let asked = match self.asked {
            Asked::Most(most) => format!("at most {most:.2}"),
            Asked::Least(least) => format!("at least {least:.2}"),
        };
        write!(f, "{verdict}: {} is {measured}, {asked}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_up_to_its_most_or_from_its_least_on() {
        assert!(Bound::most("pause", 50.0, 50.0).is_kept());
        assert!(!Bound::most("pause", 50.1, 50.0).is_kept());
        assert!(Bound::least("rate", 500.0, 500.0).is_kept());
        assert!(!Bound::least("rate", 499.9, 500.0).is_kept());
    }

    #[test]
    fn what_is_no_number_keeps_to_nothing_and_is_read_again_as_it_was_written() {
        for asked in [Asked::Most(50.0), Asked::Least(0.0)] {
            let bound = Bound::new("pause".to_owned(), f64::NAN, asked);
            assert!(!bound.is_kept());
            let again: Bound = serde_json::from_str(&serde_json::to_string(&bound).unwrap()).unwrap();
            assert_eq!((again.measured, again.asked), (None, asked));
        }
    }

    #[test]
    fn a_spread_is_least_median_and_most() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.0, 3.0));
    }
}
