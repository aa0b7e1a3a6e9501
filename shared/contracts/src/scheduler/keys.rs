//! Public SSH keys. A server made with a key keeps it when the key is deleted here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{KeyName, Timestamp};

/// Keep a public SSH key under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddKey {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The key's name.
    pub name: KeyName,
    /// One line, as in a `.pub` file.
    pub public_key: String,
}

/// Show one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetKey {
    /// Which.
    pub name: KeyName,
}

/// List keys, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListKeys {
    /// Only those after this name: the `next` of the page before.
    #[serde(default)]
    pub after: Option<KeyName>,
    /// At most so many, 1 to 1,000; 500 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// One page of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<KeyView>,
    /// Give this as `after` for the next page; none after the last.
    pub next: Option<KeyName>,
}

/// Forget a key. Servers that were made with it keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteKey {
    /// Which.
    pub name: KeyName,
}

/// A key as people and programs see it. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// Its name.
    pub name: KeyName,
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// What its owner wrote behind it.
    pub comment: String,
    /// The whole line.
    pub public_key: String,
    /// When it was added.
    pub created_at: Timestamp,
}
