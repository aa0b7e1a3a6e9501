//! What a server's disk is made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, image::Consistency};

/// A part of a server's disk that never changes again. Its file is the same, byte for byte, on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Its number: the file's name follows from it.
    pub index: u32,
    /// SHA-256 of the file, 64 hexadecimal digits; none before it is known.
    pub sha256: Option<String>,
    /// The file's size.
    pub size_bytes: u64,
}

/// A moment that an agent has kept: the disk as it is on all layers up to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The number under which it was ordered.
    pub number: u64,
    /// The highest layer that belongs to it.
    pub layer: u32,
    /// The moment.
    pub at: Timestamp,
    /// What it is sure to hold.
    pub consistency: Consistency,
}

/// What a server's disk is made of above its image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// Frozen layers, each standing on the one before.
    pub layers: Vec<Layer>,
    /// The number of the layer that is written to.
    pub top: u32,
    /// Moments that were kept, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

impl Stack {
    /// Whether nothing was ever frozen.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.layers.is_empty() && self.top == 0
    }

    /// Whether every layer's digest is known.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.layers.iter().all(|layer| layer.sha256.is_some())
    }

    /// The size of all frozen layers.
    #[must_use]
    pub fn frozen_bytes(&self) -> u64 {
        weight(&self.layers)
    }
}

/// The size of layers, in bytes.
#[must_use]
pub fn weight(layers: &[Layer]) -> u64 {
    layers.iter().map(|layer| layer.size_bytes).fold(0, u64::saturating_add)
}
