//! Where backups lie.

use std::path::PathBuf;

use serde::Deserialize;

/// Which backups are looked after.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// The folder that they are written to; empty is none.
    pub folder: PathBuf,
    /// Seconds between two looks.
    pub look_seconds: u64,
}
