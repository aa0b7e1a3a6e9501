//! What a server's display shows, as people ask for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{NodeName, VmName};

use crate::agent::Bytes;

/// Take a picture of what the display of a running server shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmScreenshot {
    /// Which.
    pub name: VmName,
}

/// What a server's display showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Screenshot {
    /// The server.
    pub name: VmName,
    /// The node where it runs.
    pub node: NodeName,
    /// A PNG file. One of more than 384 KiB is made smaller, both ways by half.
    pub png: Bytes,
}
