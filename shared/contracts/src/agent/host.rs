//! What is ordered of a node as a machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Order;

/// Shut the node down with the program that its agent's settings name. Refused if a domain of anybody's lives on it,
/// by libvirt's word, and only then if no program is named: so whoever is refused for that knows that it is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShutDown {
    /// Who orders.
    pub order: Order,
}
