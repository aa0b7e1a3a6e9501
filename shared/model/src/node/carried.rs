//! How fast a node's disks went to another one that were sent ahead of their servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What was carried to one address. It says that the way there carries at least so much: the disks at both ends and
/// libvirt, which takes piece after piece, have their part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Carried {
    /// Bytes a second while pieces were under way, without the pauses that a bound puts between them.
    pub bytes_per_second: u64,
    /// When that was seen.
    pub at: Timestamp,
}

impl Carried {
    /// What is as it was is told anew after so long.
    const TOLD_ANEW_MS: u64 = 86_400_000;

    /// Whether this is worth telling after `told`: each time that it is told a document is written.
    #[must_use]
    pub fn is_news_after(&self, told: &Self) -> bool {
        let (before, now) = (told.bytes_per_second, self.bytes_per_second);
        before.abs_diff(now) > before.max(now) / 8 || self.at.millis_since(told.at) >= Self::TOLD_ANEW_MS
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn about_the_same_is_told_once_a_day() {
        let carried = |rate: u64, after_ms: u64| Carried {
            bytes_per_second: rate,
            at: Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(after_ms),
        };
        let told = carried(800, 0);
        assert!(!carried(900, 1_000).is_news_after(&told) && !carried(700, 86_399_999).is_news_after(&told));
        assert!(carried(950, 1_000).is_news_after(&told) && carried(699, 1_000).is_news_after(&told));
        assert!(carried(800, 86_400_000).is_news_after(&told));
    }
}
