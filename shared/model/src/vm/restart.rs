//! What becomes of a server that went off though nobody asked for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a server that went off by itself, or with its node, is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// It is.
    #[default]
    Always,
    /// It stays off until somebody starts it.
    Never,
}

impl Restart {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// Whether it is what a server does if nothing else is said.
    #[must_use]
    pub const fn is_usual(&self) -> bool {
        matches!(self, Self::Always)
    }
}
