//! A site: a campus with its machine room, a group of nodes and a front end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, SiteName};

/// A site's document. Whether it is draining is not stored here: an outage document says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: SiteName,
    /// What people call it.
    pub title: String,
}

impl Document for Site {
    const BUCKET: &'static str = "sites";
    fn key(&self) -> String {
        self.name.to_string()
    }
}
