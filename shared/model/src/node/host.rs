//! The machine under a node: which start of it this is, how it can be shut down, and whether it has UEFI firmware.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a node's agent says of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// What the kernel calls this start of the machine: another one after each. None if it does not say.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// The program with which its agent shuts it down when it is told to, with its arguments; none if it cannot.
    #[serde(default)]
    pub shut_down: Vec<String>,
    /// Whether servers can boot by UEFI on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uefi: bool,
}

impl Host {
    /// Whether nothing is said of it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
