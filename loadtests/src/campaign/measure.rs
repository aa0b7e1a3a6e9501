//! A distribution beside the bounds that it has to keep.

use serde::Serialize;

/// What a distribution has to keep, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The median.
    pub(super) median_ms: Option<u64>,
    /// The 95th percentile.
    pub(super) p95_ms: Option<u64>,
    /// All.
    pub(super) most_ms: Option<u64>,
}

/// A distribution. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// What was measured.
    pub of: String,
    /// How often.
    pub runs: usize,
    /// The median, in milliseconds.
    pub median_ms: u64,
    /// The 95th percentile.
    pub p95_ms: u64,
    /// The longest.
    pub most_ms: u64,
    /// The bound of the median, if it has one.
    pub bound_median_ms: Option<u64>,
    /// That of the 95th percentile.
    pub bound_p95_ms: Option<u64>,
    /// That of all.
    pub bound_most_ms: Option<u64>,
    /// Whether all bounds are kept.
    pub kept: bool,
}

impl Measure {
    /// Of these values; none if there are none.
    pub(super) fn of(what: &str, mut values: Vec<u64>, bounds: Bounds) -> Option<Self> {
        values.sort_unstable();
        let most_ms = *values.last()?;
        let (median_ms, p95_ms) = (percentile(&values, 50), percentile(&values, 95));
        let keeps = |value: u64, bound: Option<u64>| bound.is_none_or(|bound| value <= bound);
        Some(Self {
            of: what.to_owned(),
            runs: values.len(),
            median_ms,
            p95_ms,
            most_ms,
            bound_median_ms: bounds.median_ms,
            bound_p95_ms: bounds.p95_ms,
            bound_most_ms: bounds.most_ms,
            kept: keeps(median_ms, bounds.median_ms) && keeps(p95_ms, bounds.p95_ms) && keeps(most_ms, bounds.most_ms),
        })
    }

    /// One row of [`table`].
    fn row(&self) -> String {
        let beside = |value: u64, bound: Option<u64>| match bound {
            Some(bound) => format!("{value} ({bound})"),
            None => value.to_string(),
        };
        format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            self.of,
            self.runs,
            beside(self.median_ms, self.bound_median_ms),
            beside(self.p95_ms, self.bound_p95_ms),
            beside(self.most_ms, self.bound_most_ms),
            if self.kept { "kept" } else { "NOT KEPT" }
        )
    }
}

/// A table for people, each value with its bound behind it.
pub(super) fn table(measures: &[Measure]) -> String {
    let head = "| ms (bound) | runs | median | 95 % | longest | |\n| --- | --- | --- | --- | --- | --- |\n";
    measures.iter().fold(head.to_owned(), |text, measure| text + &measure.row())
}

/// The smallest of the sorted values that so many percent do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_the_nearest_rank() {
        let values: Vec<u64> = (1..=20).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95), percentile(&values, 100)), (10, 19, 20));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 95), percentile(&[], 95)), (7, 7, 0));
    }

    #[test]
    fn each_bound_counts_and_is_shown_beside_its_value() {
        let values = || (1..=20).map(|n| n * 1_000).collect::<Vec<u64>>();
        let of = |bounds| Measure::of("x", values(), bounds).unwrap();
        assert!(of(Bounds::default()).kept);
        assert!(of(Bounds { median_ms: Some(10_000), p95_ms: Some(19_000), most_ms: Some(20_000) }).kept);
        assert!(!of(Bounds { median_ms: Some(9_999), ..Bounds::default() }).kept);
        assert!(!of(Bounds { p95_ms: Some(18_999), ..Bounds::default() }).kept);
        assert!(!of(Bounds { most_ms: Some(19_999), ..Bounds::default() }).kept);
        assert!(Measure::of("x", Vec::new(), Bounds::default()).is_none());
        let told = table(&[of(Bounds { p95_ms: Some(18_999), ..Bounds::default() })]);
        assert!(told.contains("| x | 20 | 10000 | 19000 (18999) | 20000 | NOT KEPT |"), "{told}");
    }
}
