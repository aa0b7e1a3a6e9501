//! By what a server boots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The firmware that what is in an image expects, and that servers made from it get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// The BIOS that QEMU brings along: the disk's first sector is run.
    #[default]
    Bios,
    /// UEFI without Secure Boot: a program of the disk's EFI system partition is run.
    Uefi,
}

impl Firmware {
    /// The word shown to people, which is also how it is asked for.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        }
    }

    /// Whether it is what an image has of which nothing is said.
    #[must_use]
    pub const fn is_usual(&self) -> bool {
        matches!(self, Self::Bios)
    }
}
