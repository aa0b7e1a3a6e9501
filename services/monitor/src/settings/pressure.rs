//! `[pressure]`: when a node has hardly any left of something.

use serde::Deserialize;
use watari_model::node::Strain;

/// Thresholds, in percent of what a node has, and for how long they must be passed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pressure {
    /// Of its processors' time.
    pub processors: Limit,
    /// Of its memory.
    pub memory: Limit,
    /// Of its disk.
    pub disk: Limit,
    /// Seconds at or above `enter` after which it is so.
    pub enter_seconds: u64,
    /// Seconds below `leave` after which it is so no longer.
    pub leave_seconds: u64,
}

/// Two thresholds, so that what swings about one of them changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// From here on it is too much.
    pub enter: u64,
    /// Below this it is no longer.
    pub leave: u64,
}

impl Pressure {
    /// The thresholds of one of them.
    #[must_use]
    pub const fn of(&self, strain: Strain) -> Limit {
        match strain {
            Strain::Overloaded => self.processors,
            Strain::MemoryNearlyFull => self.memory,
            Strain::DiskNearlyFull => self.disk,
        }
    }

    /// # Errors
    /// The first thing that is wrong, for the operator.
    pub(super) fn validate(&self) -> Result<(), String> {
        for (key, Limit { enter, leave }) in
            [("processors", self.processors), ("memory", self.memory), ("disk", self.disk)]
        {
            if !(1..=100).contains(&enter) || leave >= enter {
                return Err(format!(
                    "pressure.{key} is {{ enter = {enter}, leave = {leave} }}: use 1 to 100, and less for `leave` than for `enter`"
                ));
            }
        }
        for (key, seconds) in [("enter_seconds", self.enter_seconds), ("leave_seconds", self.leave_seconds)] {
            if !(1..=86_400).contains(&seconds) {
                return Err(format!("pressure.{key} is {seconds}: use 1 to 86400"));
            }
        }
        Ok(())
    }
}
