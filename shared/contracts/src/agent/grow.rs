//! What a running server is given more of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{VmName, vm::Growth};

use super::Order;

/// Let a running server's disk, number of processors or memory grow at once. One that is as large already, or larger,
/// stays as it is; nothing is ever taken away by this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grow {
    /// Who orders.
    pub order: Order,
    /// The server.
    pub vm: VmName,
    /// The grant's generation.
    pub generation: u64,
    /// What grows, and how large it is to be.
    pub growth: Growth,
}
