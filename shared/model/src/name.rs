//! Names that may appear in subjects, keys, file names and host names: DNS labels.
//!
//! Every name from outside passes through one of these types, so that a wildcard, a dot, a slash
//! or a line of XML can never reach a subject, a key, a path or a configuration file.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest label that RFC 1035 (section 2.3.4) allows.
pub const MAX_LABEL: usize = 63;

/// Why a string is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is not a name: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'")]
pub struct NotAName {
    /// The offending text, cut to a length that is safe to show.
    pub shown: String,
}

/// Checks a DNS label (RFC 1123 section 2.1, lower case, first a letter).
fn check(text: &str) -> Result<(), NotAName> {
    let bytes = text.as_bytes();
    let sound = !bytes.is_empty()
        && bytes.len() <= MAX_LABEL
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if sound { Ok(()) } else { Err(NotAName { shown: text.chars().take(80).collect() }) }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = NotAName;
            fn from_str(text: &str) -> Result<Self, NotAName> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = NotAName;
            fn try_from(text: String) -> Result<Self, NotAName> {
                check(&text)?;
                Ok(Self(text))
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self { name.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str { &self.0 }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$",
                    "maxLength": MAX_LABEL,
                })
            }
        }
    )*};
}

names! {
    /// A server's name.
    VmName;
    /// A node's name, also its host name.
    NodeName;
    /// A campus.
    SiteName;
    /// An image's name.
    ImageName;
    /// A network's name.
    NetworkName;
    /// A migration's name, made from the server's name and a number that only grows.
    MigrationId;
    /// An outage's name, made from what is switched off and a number that only grows.
    OutageId;
    /// A group of servers that want to be together or apart.
    GroupName;
    /// A kept disk's name, made from its server's name and UUID.
    DiskName;
    /// A public key's name.
    KeyName;
    /// A moment of a server's disk, among those of that server.
    SnapshotName;
    /// A firewall group.
    FirewallName;
    /// A group of servers that are counted together and bounded.
    ProjectName;
    /// The name of the segment that a provider network lies on, bound on each node to a bridge.
    SegmentName;
}

/// The project of all servers that name none.
const DEFAULT_PROJECT: &str = "default";

impl ProjectName {
    /// Whether it is the project of all servers that name none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT_PROJECT
    }
}

impl Default for ProjectName {
    fn default() -> Self {
        Self(DEFAULT_PROJECT.to_owned())
    }
}

/// The longest host name (RFC 1123 section 2.1 asks for at least so many; Linux keeps no more).
pub const MAX_HOST: usize = 64;

/// What a server calls itself: labels joined by dots, as in `mail` or `mail.example.jp`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

impl HostName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = NotAName;
    fn from_str(text: &str) -> Result<Self, NotAName> {
        let refused = || NotAName { shown: text.chars().take(80).collect() };
        if text.len() > MAX_HOST {
            return Err(refused());
        }
        text.split('.').try_for_each(check).map_err(|_| refused())?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for HostName {
    type Error = NotAName;
    fn try_from(text: String) -> Result<Self, NotAName> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl From<&VmName> for HostName {
    /// A server is called by its own name unless it is told otherwise.
    fn from(name: &VmName) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl JsonSchema for HostName {
    fn schema_name() -> Cow<'static, str> {
        "HostName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?(\\.[a-z]([a-z0-9-]*[a-z0-9])?)*$",
            "maxLength": MAX_HOST,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_names_and_hostile_text_is_not() {
        for good in ["mail", "m-front", "a", "web2", &"a".repeat(63)] {
            assert!(good.parse::<VmName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "1a", "a.b", "a*", ">", "a b", "<x/>", "é", "../etc", "a\n", &"a".repeat(64)]
        {
            assert!(bad.parse::<VmName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_are_labels_joined_by_dots() {
        for good in ["mail", "mail.example.jp", "a.b"] {
            assert!(good.parse::<HostName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "mail.", ".mail", "a..b", "Mail", "a b", "a\nb", "a.1", &"a.".repeat(40)] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_with_a_meaning_elsewhere_is_a_name(text in ".{0,80}") {
            if text.parse::<VmName>().is_ok() {
                prop_assert!(!text.contains(['.', '*', '>', ' ', '/', '<', '&', '\'', '"', '\n', '\0', '$']));
            }
        }
        #[test]
        fn a_name_survives_json(text in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?") {
            let name: VmName = text.parse().unwrap();
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<VmName>(&json).unwrap(), name);
        }
    }
}
