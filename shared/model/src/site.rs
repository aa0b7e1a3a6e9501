//! A site: a campus with its machine room, a group of nodes and a front end.
//!
//! ```text
//!  (never told) ──▶ Mains ◀──────▶ Battery
//! ```
//!
//! That is its power, as whoever watches it says: it changes only when it is said to be otherwise.
//! Whether a site is draining is not stored here: an outage document says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, NodeName, SiteName, Timestamp, VmName};

/// A battery that is said to last for longer than a week, in seconds, is a mistake.
pub const MOST_SECONDS_LEFT: u64 = 7 * 86_400;

/// What is told once more within so many milliseconds is the same word, and no newer one that says the same.
const REPEATED_MS: u64 = 5_000;

/// Where a site's power comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// The public supply.
    Mains,
    /// What a UPS has stored.
    Battery,
}

impl Supply {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mains => "mains",
            Self::Battery => "battery",
        }
    }
}

/// A site's power, as it was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Where it comes from.
    pub supply: Supply,
    /// For how many seconds the battery was said to last; none if that was not said.
    pub seconds_left: Option<u64>,
    /// Since when it comes from there.
    pub since: Timestamp,
    /// When that was said: the seconds count from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
}

impl Power {
    /// When the battery is empty, as far as that was said.
    #[must_use]
    pub fn ends_at(self) -> Option<Timestamp> {
        Some(self.told_at?.plus_millis(self.seconds_left?.saturating_mul(1_000)))
    }

    /// How many whole seconds should be left by now of what was said: a battery runs down though nobody says so again.
    #[must_use]
    pub fn left_at(self, now: Timestamp) -> Option<u64> {
        let gone = self.told_at.map_or(0, |told| now.millis_since(told) / 1_000);
        Some(self.seconds_left?.saturating_sub(gone))
    }
}

/// Of how many servers it is remembered that they left something behind; the oldest are forgotten first.
pub const MOST_REMAINS: usize = 256;

/// What a server that was deleted had on a node that was given up. The node may come back, and what it has is to
/// go then: that the server was deleted is written down here, since a missing document proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// The node.
    pub node: NodeName,
    /// What the server was called.
    pub vm: VmName,
    /// Its UUID.
    pub uuid: String,
    /// The generation of its last grant.
    pub generation: u64,
    /// When it was deleted.
    pub since: Timestamp,
}

/// A site's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: SiteName,
    /// What people call it.
    pub title: String,
    /// Its power; none if nobody has ever said anything of it.
    #[serde(default)]
    pub power: Option<Power>,
    /// What servers left on nodes of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remains: Vec<Remains>,
}

/// What can happen to a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The configuration calls it otherwise.
    Called(String),
    /// Its power is told, again perhaps.
    Told(Supply, Option<u64>),
    /// A server is forgotten that has something on a node of it.
    LeftBehind(Remains),
    /// Nothing of the server of this UUID is on this node any more.
    Cleared {
        /// The node.
        node: NodeName,
        /// The server's UUID.
        uuid: String,
    },
}

impl Site {
    /// A site of which nothing is known but its name.
    #[must_use]
    pub const fn new(name: SiteName, title: String) -> Self {
        Self { v: 1, name, title, power: None, remains: Vec::new() }
    }

    /// The one way in which a site changes. Every change is allowed in every state.
    pub fn apply(&mut self, change: Change, now: Timestamp) {
        match change {
            Change::Called(title) => self.title = title,
            Change::Told(supply, seconds_left) => {
                let same = self.power.filter(|before| before.supply == supply);
                let since = same.map_or(now, |before| before.since);
                // Mains do not run out.
                let seconds_left = seconds_left.filter(|_| supply == Supply::Battery);
                // Saying it twice changes nothing, the moment when the battery is empty least of all. Who says later
                // that as much is left says that it is empty later.
                let at_once = |told: &Timestamp| now.millis_since(*told) <= REPEATED_MS;
                let repeated = same.filter(|before| before.seconds_left == seconds_left);
                let told_at = repeated.and_then(|before| before.told_at);
                let told_at = Some(told_at.filter(|told| seconds_left.is_none() || at_once(told)).unwrap_or(now));
                self.power = Some(Power { supply, seconds_left, since, told_at });
            }
            Change::LeftBehind(remains) => {
                if !self.remembers(&remains.node, &remains.uuid) {
                    let surplus = (self.remains.len() + 1).saturating_sub(MOST_REMAINS);
                    self.remains.drain(..surplus);
                    self.remains.push(remains);
                }
            }
            Change::Cleared { node, uuid } => self.remains.retain(|r| r.node != node || r.uuid != uuid),
        }
    }

    /// Whether it is written down that the server of this UUID left something on this node.
    #[must_use]
    pub fn remembers(&self, node: &NodeName, uuid: &str) -> bool {
        self.remains.iter().any(|r| r.node == *node && r.uuid == uuid)
    }
}

impl Document for Site {
    const BUCKET: &'static str = "sites";
    fn key(&self) -> String {
        self.name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, OffsetDateTime};

    use super::*;

    proptest! {
        #[test]
        fn no_sequence_of_changes_leaves_the_table(
            sequence in prop::collection::vec((any::<bool>(), prop::option::of(0_u64..1_000)), 1..30)
        ) {
            let start = Timestamp(OffsetDateTime::UNIX_EPOCH);
            let mut site = Site::new("yamate".parse().unwrap(), "山手".to_owned());
            let mut changed = start;
            for (n, (battery, left)) in (1_i64..).zip(sequence) {
                let now = Timestamp(start.0 + Duration::seconds(n));
                let supply = if battery { Supply::Battery } else { Supply::Mains };
                if site.power.is_none_or(|power| power.supply != supply) {
                    changed = now;
                }
                site.apply(Change::Told(supply, left), now);
                let power = site.power.unwrap();
                prop_assert_eq!((power.supply, power.since), (supply, changed));
                prop_assert_eq!(power.seconds_left, left.filter(|_| battery));
                prop_assert_eq!(&site.title, "山手");
                let ends = power.ends_at();
                prop_assert_eq!(ends.is_some(), power.seconds_left.is_some());
                prop_assert!(ends.is_none_or(|ends| ends <= now.plus_millis(power.seconds_left.unwrap() * 1_000)));
                site.apply(Change::Told(supply, left), now.plus_millis(500));
                prop_assert_eq!(site.power.unwrap(), power, "saying it twice changes nothing");
            }
        }
    }

    #[test]
    fn a_battery_of_which_the_same_is_said_later_is_empty_later() {
        let start = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let mut site = Site::new("yamate".parse().unwrap(), "山手".to_owned());
        let mut ends = |left, ms| {
            site.apply(Change::Told(Supply::Battery, left), start.plus_millis(ms));
            site.power.unwrap().ends_at().map(|ends| ends.millis_since(start))
        };
        assert_eq!((ends(Some(60), 0), ends(Some(60), REPEATED_MS)), (Some(60_000), Some(60_000)));
        assert_eq!(ends(Some(60), REPEATED_MS + 1), Some(65_001));
        assert_eq!((ends(Some(50), 20_000), ends(None, 30_000)), (Some(70_000), None));
    }

    #[test]
    fn what_is_left_of_a_battery_runs_down_from_when_it_was_said() {
        let start = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let told = Power { supply: Supply::Battery, seconds_left: Some(60), since: start, told_at: Some(start) };
        let left = |power: Power| [0, 999, 1_000, 90_000].map(|ms| power.left_at(start.plus_millis(ms)));
        assert_eq!(left(told), [Some(60), Some(60), Some(59), Some(0)]);
        assert_eq!(left(Power { told_at: None, ..told }), [Some(60); 4], "nobody knows since when");
        assert_eq!(left(Power { seconds_left: None, ..told }), [None; 4]);
    }

    #[test]
    fn what_is_left_behind_is_remembered_once_until_it_is_cleared_and_within_a_bound() {
        let now = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let mut site = Site::new("yamate".parse().unwrap(), "山手".to_owned());
        let left = |n: usize| Remains {
            node: "y1".parse().unwrap(),
            vm: "mail".parse().unwrap(),
            uuid: format!("{n:08x}-0000-4000-8000-000000000000"),
            generation: 3,
            since: now,
        };
        for n in 0..=MOST_REMAINS {
            site.apply(Change::LeftBehind(left(n)), now);
            site.apply(Change::LeftBehind(left(n)), now);
        }
        assert_eq!(site.remains.len(), MOST_REMAINS);
        let (oldest, newest) = (left(0), left(MOST_REMAINS));
        assert!(!site.remembers(&oldest.node, &oldest.uuid) && site.remembers(&newest.node, &newest.uuid));
        site.apply(Change::Cleared { node: "y2".parse().unwrap(), uuid: newest.uuid.clone() }, now);
        assert!(site.remembers(&newest.node, &newest.uuid), "that was another node");
        site.apply(Change::Cleared { node: newest.node.clone(), uuid: newest.uuid.clone() }, now);
        assert!(!site.remembers(&newest.node, &newest.uuid));
    }
}
