//! What of a server would travel, as its node measures it while the server runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one server weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Weight {
    /// Bytes in the layer of its disk that is written to, which is what a migration copies of the disk.
    pub disk_bytes: u64,
    /// Bytes a second that it writes to its memory, each page once: the most of the last looks. None if its node cannot
    /// measure that, or has not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_bytes_per_second: Option<u64>,
}

impl Weight {
    /// Rates that differ by no more are one: libvirt tells them in whole MiB.
    const LEAST_RATE: u64 = 1 << 20;
    /// Disks that differ by no more are as large.
    const LEAST_DISK: u64 = 16 << 20;

    /// Whether this is worth telling after `told`: each time that it is told a document is written, and servers write a
    /// little more or less all the time. An eighth is no news.
    #[must_use]
    pub fn is_news_after(&self, told: &Self) -> bool {
        let differs = |before: u64, now: u64, least: u64| before.abs_diff(now) > least.max(before.max(now) / 8);
        let rate = match (told.dirty_bytes_per_second, self.dirty_bytes_per_second) {
            (Some(before), Some(now)) => differs(before, now, Self::LEAST_RATE),
            (before, now) => before.is_some() != now.is_some(),
        };
        rate || differs(told.disk_bytes, self.disk_bytes, Self::LEAST_DISK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn only_what_differs_by_more_than_an_eighth_and_by_more_than_little_is_news() {
        let weight = |disk: u64, rate: Option<u64>| Weight {
            disk_bytes: disk * MIB,
            dirty_bytes_per_second: rate.map(|rate| rate * MIB),
        };
        let told = weight(800, Some(40));
        for same in [weight(800, Some(40)), weight(914, Some(45)), weight(700, Some(35))] {
            assert!(!same.is_news_after(&told), "{same:?}");
        }
        for other in [weight(920, Some(40)), weight(699, Some(40)), weight(800, Some(46)), weight(800, None)] {
            assert!(other.is_news_after(&told), "{other:?}");
        }
        let idle = weight(1, Some(0));
        assert!(!weight(17, Some(1)).is_news_after(&idle), "the least that is told apart");
        assert!(weight(18, Some(0)).is_news_after(&idle) && weight(1, Some(2)).is_news_after(&idle));
        assert!(idle.is_news_after(&weight(1, None)), "now it is known");
    }
}
