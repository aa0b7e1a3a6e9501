//! An image: the file that servers' disks stand on.
//!
//! ```text
//!  Importing ──▶ Verifying ──▶ Ready ──▶ Deleting ──▶ (no document)
//!      │             │                      ▲
//!      └─────────────┴──────▶ Failed ───────┘
//! ```

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, ImageName, Refusal, SiteName, Timestamp};

/// The formats in which images are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// QEMU's copy-on-write format, version 2 or 3.
    Qcow2,
    /// Plain sectors.
    Raw,
}

impl Format {
    /// QEMU's name for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// How far an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Bytes are arriving.
    Importing,
    /// They are checked.
    Verifying,
    /// Servers can be made from it.
    Ready,
    /// It was refused; the fault says why.
    Failed,
    /// Its files are being removed.
    Deleting,
}

impl State {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Importing => "importing",
            Self::Verifying => "verifying",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }
}

/// What can happen to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// All bytes are here, so many.
    Arrived {
        /// The file's size in bytes.
        size_bytes: u64,
    },
    /// It is sound.
    Verified(Stored),
    /// It is not, or the import broke off.
    Refused(Refusal),
    /// It is to be removed.
    DeleteAsked,
}

/// What is known of a stored file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    /// SHA-256 of the file, 64 hexadecimal digits: its name in every store.
    pub sha256: String,
    /// Its format.
    pub format: Format,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The size of the disk it describes, in bytes.
    pub virtual_size_bytes: u64,
}

/// What was said of a file before its bytes came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Announced {
    /// Its size in bytes; none before its end is reached, if it comes from a pipe or a URL.
    pub size_bytes: Option<u64>,
    /// Its SHA-256, 64 lower-case hexadecimal digits, if known.
    pub sha256: Option<String>,
    /// Where the front end is to fetch it from; none if it is sent.
    #[serde(default)]
    pub url: Option<String>,
}

/// An image's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: ImageName,
    /// How far it is.
    pub state: State,
    /// The file that was announced.
    #[serde(default)]
    pub announced: Option<Announced>,
    /// The file, once verified.
    pub stored: Option<Stored>,
    /// When each site's front end got its verified copy.
    #[serde(default)]
    pub copies: BTreeMap<SiteName, Timestamp>,
    /// Why it failed.
    pub fault: Option<Refusal>,
    /// The request that made it.
    pub request_id: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the state last changed.
    pub changed_at: Timestamp,
}

impl Document for Image {
    const BUCKET: &'static str = "images";
    fn key(&self) -> String {
        self.name.to_string()
    }
}

/// A change that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an image that is {} takes no such change", .state.word())]
pub struct NotNow {
    /// The state it was in.
    pub state: State,
}

impl Image {
    /// The one way in which an image's state changes.
    ///
    /// # Errors
    /// [`NotNow`] if the diagram has no such arrow; nothing is changed then.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Result<(), NotNow> {
        use State::{Deleting, Failed, Importing, Ready, Verifying};
        let next = match (self.state, change) {
            (Importing, Change::Arrived { size_bytes }) => {
                if let Some(announced) = &mut self.announced {
                    announced.size_bytes = Some(size_bytes);
                }
                Verifying
            }
            (Verifying, Change::Verified(stored)) => {
                self.stored = Some(stored);
                Ready
            }
            (Importing | Verifying, Change::Refused(refusal)) => {
                self.fault = Some(refusal);
                Failed
            }
            (_, Change::DeleteAsked) => Deleting,
            (state, _) => return Err(NotNow { state }),
        };
        if next != self.state {
            self.changed_at = now;
        }
        self.state = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;

    fn changes() -> impl Strategy<Value = Change> {
        let stored = Stored { sha256: "0".repeat(64), format: Format::Raw, size_bytes: 1, virtual_size_bytes: 1 };
        prop_oneof![
            Just(Change::Arrived { size_bytes: 1 }),
            Just(Change::Verified(stored)),
            Just(Change::Refused(Refusal::ImageUnknown { image: "x".to_owned() })),
            Just(Change::DeleteAsked),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_of_changes_leaves_the_table(sequence in prop::collection::vec(changes(), 0..12)) {
            let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
            let mut image = Image {
                v: 1, name: "mini".parse().unwrap(), state: State::Importing, announced: None, stored: None, copies: BTreeMap::new(),
                fault: None, request_id: "r".to_owned(), created_at: at, changed_at: at,
            };
            for change in sequence {
                let before = image.clone();
                if image.apply(change, at).is_err() {
                    prop_assert_eq!(&image, &before);
                }
                prop_assert!(image.state != State::Ready || image.stored.is_some());
                prop_assert!(image.state != State::Failed || image.fault.is_some());
                prop_assert!(before.state != State::Deleting || image.state == State::Deleting);
            }
        }
    }
}
