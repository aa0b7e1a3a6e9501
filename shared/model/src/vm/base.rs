//! What a server's disk stands on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ImageName,
    image::{Firmware, Format},
};

/// Which image a server's disk stands on, fixed when the server is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The image's name at that time.
    pub image: ImageName,
    /// SHA-256 of the stored file, 64 hexadecimal digits.
    pub sha256: String,
    /// The stored file's format.
    pub format: Format,
    /// By what the server boots, as was said of the image at that time.
    #[serde(default, skip_serializing_if = "Firmware::is_usual")]
    pub firmware: Firmware,
}
