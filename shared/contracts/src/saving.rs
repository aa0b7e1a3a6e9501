//! What the image service orders of a node's agent: a copy of a server's disk, sent to the front end.
//!
//! There is one order. It is repeated until the image has arrived, and each answer says how far the
//! copy is. Once the copy is whole, the order says where it is to be sent. A copy that is not asked for
//! any more ends by itself, and leaves nothing behind: that is how it is called off.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{ImageName, Refusal, VmName, image::Taken};

use crate::Command;

/// Copy a server's disk, with what lies under it, as one file. The server goes on, whether it runs or
/// is off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveDisk {
    /// The sender's epoch, which is the image service's own and never compared with the scheduler's. So there is no
    /// [`crate::agent::Order`] here, of which an agent keeps the highest epoch of all.
    pub epoch: u64,
    /// Names this copy. Another name means a new copy, of the disk as it is then.
    pub operation: String,
    /// The image that it is for.
    pub image: ImageName,
    /// The server.
    pub vm: VmName,
    /// Its UUID.
    pub uuid: String,
    /// The generation of its grant to this node.
    pub generation: u64,
    /// Where the copy is to be sent; none before the front end knows what will come.
    #[serde(default)]
    pub send_to: Option<SendTo>,
}

/// A place that takes one upload, as for any other sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendTo {
    /// `PUT` the bytes here.
    pub url: String,
    /// The bearer token for it.
    pub token: String,
}

/// How far the copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskSaving {
    /// How far.
    pub stage: Stage,
}

/// The stages of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Not begun: something else is at work with the server, or with the node. It is to be asked again.
    Waiting,
    /// The disk is being copied on its node.
    Copying {
        /// So much of it is done.
        copied_bytes: u64,
        /// So much is to be done; 0 while that is not known.
        total_bytes: u64,
    },
    /// The copy is whole. It is sent as soon as it is known where to.
    Whole(DiskCopy),
    /// All of it is at the front end, and nothing is left of it here.
    Sent,
    /// There is no copy, and nothing is left of it here.
    Failed(Refusal),
}

/// A whole copy: a qcow2 that stands on nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskCopy {
    /// The file's size in bytes.
    pub size_bytes: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// What it shows.
    pub taken: Taken,
    /// What the server did meanwhile.
    pub server: Server,
}

/// What a server did while its disk was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// It ran, so that the disk is surely its own.
    Running,
    /// It was off. Whether the disk is its newest is what its grant says.
    Stopped,
}

impl Command for SaveDisk {
    const VERB: &'static str = "save";
    const ABOUT: &'static str = "Copy a server's disk and send it to the front end.";
    type Reply = DiskSaving;
}

/// Every verb of the image service's that an agent knows.
pub const VERBS: &[&str] = &[SaveDisk::VERB];
