//! What a service shows to Prometheus, read as text.

/// All of it.
pub(super) struct Exposition(pub(super) String);

/// How many beats came how late, up to each of the histogram's limits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Exposition {
    /// Every series of a name, with its labels.
    fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> + 'a {
        self.0.lines().filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.parse().ok()?))
        })
    }

    /// A metric, all its labels together.
    pub(super) fn total(&self, name: &str) -> f64 {
        self.series(name).map(|(_, value)| value).sum()
    }

    /// A histogram without other labels.
    pub(super) fn buckets(&self, name: &str) -> Buckets {
        let name = format!("{name}_bucket");
        let limit = |labels: &str| match labels.split("le=\"").nth(1)?.split('"').next()? {
            "+Inf" => Some(f64::INFINITY),
            limit => limit.parse().ok(),
        };
        Buckets(self.series(&name).filter_map(|(labels, count)| Some((limit(labels)?, count))).collect())
    }
}

impl Buckets {
    /// What was counted since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let earlier = |limit: f64| before.0.iter().find(|(l, _)| *l == limit).map_or(0.0, |(_, count)| *count);
        Self(self.0.iter().map(|(limit, count)| (*limit, count - earlier(*limit))).collect())
    }

    /// The least of the limits up to which so large a part was counted; no number if nothing was.
    pub(super) fn within(&self, part: f64) -> f64 {
        let all = self.0.iter().map(|(_, count)| *count).fold(0.0, f64::max);
        let enough = self.0.iter().filter(|(_, count)| all > 0.0 && *count >= all * part);
        enough.map(|(limit, _)| *limit).reduce(f64::min).unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP lag_seconds Age.\n# TYPE lag_seconds histogram\nlag_seconds_bucket{le=\"0.05\"} 90\n\
        lag_seconds_bucket{le=\"0.1\"} 99\nlag_seconds_bucket{le=\"+Inf\"} 100\nlag_seconds_sum 3.5\nlag_seconds_count 100\n\
        beats_total 100\nbeats_refused_total{why=\"old\"} 2\nbeats_refused_total{why=\"names\"} 3\n";

    #[test]
    fn a_metric_is_the_sum_of_its_series_and_no_other_that_begins_like_it() {
        let shown = Exposition(TEXT.to_owned());
        assert_eq!(
            (shown.total("beats_total"), shown.total("beats_refused_total"), shown.total("beats")),
            (100.0, 5.0, 0.0)
        );
    }

    #[test]
    fn a_quantile_is_the_least_limit_that_holds_so_many_since_the_last_look() {
        let now = Exposition(TEXT.to_owned()).buckets("lag_seconds");
        assert_eq!((now.within(0.9), now.within(0.99), now.within(1.0)), (0.05, 0.1, f64::INFINITY));
        assert!(now.since(&now).within(0.99).is_nan(), "nothing was counted");
        let before = Buckets(vec![(0.05, 90.0), (0.1, 90.0), (f64::INFINITY, 90.0)]);
        assert_eq!(now.since(&before).within(0.9), 0.1);
    }
}
