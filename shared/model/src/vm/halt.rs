//! A server that is off because an outage left no time for it to leave.
//!
//! What its operator wants of it stays as it is: that is how it is known who is started again when the
//! outage is over, and nobody else is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Desired, State, Vm};
use crate::{OutageId, Refusal, Timestamp};

/// How a server goes off with its running programs, or without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Its memory is saved on its node's disk; there it goes on later where it stopped.
    Suspend,
    /// Its guest is asked to shut down; it boots later.
    ShutDown,
}

/// Why a server is off, or about to be, though it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Halt {
    /// The outage that leaves it no time. It holds until that is over, where it goes dark.
    pub outage: OutageId,
    /// How it goes off.
    pub way: Way,
    /// Why it could not leave.
    pub fault: Refusal,
    /// Since when.
    pub since: Timestamp,
}

impl Vm {
    /// Whether its memory is to be saved while it stops. Whoever forces it off does not want that, and whoever deletes
    /// it has no use for it.
    #[must_use]
    pub fn suspends(&self) -> bool {
        let is_wanted = !self.force_off && self.desired != Desired::Deleted;
        is_wanted && self.halt.as_ref().is_some_and(|halt| halt.way == Way::Suspend)
    }

    /// Whether its guest is still to write its disk out before it is deleted: the disk stays, and is used again.
    #[must_use]
    pub fn writes_out(&self) -> bool {
        let is_on = matches!(self.state, State::Starting | State::Running | State::Stopping);
        is_on && self.keep_disk && self.desired == Desired::Deleted
    }
}
