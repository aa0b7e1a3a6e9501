//! What is said beside the bytes of an upload. The protocol is told in the image service's `https` module.

use serde::Deserialize;

/// The header that says from which byte on the front end wants more.
pub const UPLOAD_OFFSET: &str = "upload-offset";

/// What the front end says when it does not simply take the bytes: as much of an
/// [`ErrorBody`](crate::ErrorBody) as decides what to do next. What is no such body says nothing.
#[derive(Debug, Default, Deserialize)]
pub struct Complaint {
    /// Its stable code.
    #[serde(default)]
    pub code: String,
    /// What is the matter, in English.
    #[serde(default)]
    pub message: String,
}
