//! What a server is told when it first boots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{HostName, KeyName, key::Line, userdata::Digest};

/// A public key that a server was made with. It stays when the key's document is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The key's name at that time.
    pub name: KeyName,
    /// The key.
    pub key: Line,
}

/// What the server is told about itself when it first boots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstBoot {
    /// What it calls itself; its own name if left out.
    #[serde(default)]
    pub hostname: Option<HostName>,
    /// Who may log in.
    #[serde(default)]
    pub logins: Vec<Login>,
    /// Its user-data, kept in a document of its own: the bucket is read by few.
    #[serde(default)]
    pub user_data: Option<Digest>,
    /// The kept disk that it begins with in place of a new one, by the UUID of the server that it was of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
}
