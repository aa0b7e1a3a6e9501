//! A node's lease: its facts ask for one, and `hold` grants it. Why that is enough is said in
//! [`watari_model::isolation`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{VmName, isolation::Terms};

use super::Order;

/// In a node's facts, if it has servers that are to stop when it is cut off: it asks for a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guard {
    /// With what terms.
    pub terms: Terms,
    /// Whether a hardware watchdog resets the node if its agent does not stop them.
    pub watchdog: bool,
    /// The servers that it stops when its lease runs out. Each is alive, or was stopped so.
    pub vms: BTreeMap<VmName, Guarded>,
}

/// A server that its node stops when it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guarded {
    /// Under which generation it is here.
    pub generation: u64,
    /// Whether it was stopped so, or asked to stop: that it is off is nobody's wish.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub stopped: bool,
}

/// Hold the lease that was asked for with certain facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Who grants it.
    pub order: Order,
    /// The instance whose facts they were.
    pub instance: String,
    /// Their number.
    pub seq: u64,
}

/// The answer to a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// Whether a lease holds now. A grant that comes late, or that another start of the agent asked for, makes none.
    pub holds: bool,
}
