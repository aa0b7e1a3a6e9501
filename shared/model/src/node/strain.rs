//! Of what a node has hardly any left. The monitor says so in the node's document, by thresholds with hysteresis; whoever
//! reads the document sees each change once more after any loss, since a document is state and not a message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strain {
    /// Its servers keep its processors busy.
    Overloaded,
    /// Its servers have its memory.
    MemoryNearlyFull,
    /// Its disk is nearly full.
    DiskNearlyFull,
}

impl Strain {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Overloaded, Self::MemoryNearlyFull, Self::DiskNearlyFull];

    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::MemoryNearlyFull => "memory nearly full",
            Self::DiskNearlyFull => "disk nearly full",
        }
    }
}
