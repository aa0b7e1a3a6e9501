//! Which server an image is saved from, and how far the copy of its disk is.
//!
//! ```text
//!  waiting ── begun at a node ──▶ copying ── whole ──▶ taken, on its way to the front end
//!     ▲                              │                    │
//!     └──────────── lost ────────────┴────────────────────┘
//! ```
//!
//! All of this while the image is importing. A copy that is lost is made anew, from wherever the
//! server is by then and of its disk as it is then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NodeName, Timestamp, VmName};

/// How much of what the guest wrote a copy of its disk is sure to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// All of it: the guest's file systems were frozen for that moment, or it had shut down.
    Filesystem,
    /// What was on the disk, as after a power cut.
    Crash,
}

/// What a copy shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// The moment at which the disk was as the copy shows it.
    pub at: Timestamp,
    /// What it is sure to hold.
    pub consistency: Consistency,
}

/// A copy that a node makes or has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copying {
    /// The node.
    pub node: NodeName,
    /// The generation of the server's grant to it.
    pub generation: u64,
}

/// The server that an image is saved from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// Its name at that time.
    pub vm: VmName,
    /// Its UUID: a later server of the same name is another one.
    pub uuid: String,
    /// How many copies were begun.
    pub tries: u32,
    /// The newest of them, unless it is lost.
    pub copying: Option<Copying>,
    /// What it shows, once it is whole.
    pub taken: Option<Taken>,
    /// When any of this last changed.
    pub since: Timestamp,
}

impl Saved {
    /// Nothing is copied yet.
    #[must_use]
    pub fn new(vm: VmName, uuid: String, now: Timestamp) -> Self {
        Self { vm, uuid, tries: 0, copying: None, taken: None, since: now }
    }
}
