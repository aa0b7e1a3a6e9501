//! What a server's screen shows, as a picture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::VmName;

use super::Bytes;

/// The most that a picture has, in bytes. In JSON it is about twice as much, and a message has at most a megabyte.
pub const MOST_PICTURE: usize = 384 << 10;

/// Take a picture of what a running server's screen shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakePicture {
    /// The server.
    pub vm: VmName,
    /// Its UUID: another server of the same name is not looked at.
    pub uuid: String,
}

/// A picture of a screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Picture {
    /// A PNG file, at most [`MOST_PICTURE`] bytes. One that would be larger is made smaller, both ways by half.
    pub png: Bytes,
}
