//! An image: the file that servers' disks stand on.
//!
//! ```text
//!  Importing ──▶ Verifying ──▶ Ready ──▶ Deleting ──▶ (no document)
//!      │             │                      ▲
//!      └─────────────┴──────▶ Failed ───────┘
//! ```
//!
//! The bytes of one that is saved from a server come from the node that copies its disk ([`Saved`]).

mod about;
mod firmware;
mod kept;
mod saved;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, ImageName, Refusal, SiteName, Timestamp};

pub use about::About;
pub use firmware::Firmware;
pub use kept::{Kept, ObjectStore};
pub use saved::{Consistency, Copying, Saved, Taken};

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
    /// A node begins to copy the disk of the server that it is saved from.
    CopyBegun(Copying),
    /// That copy is whole.
    CopyTaken {
        /// The file that it is in.
        file: Announced,
        /// What it shows.
        taken: Taken,
    },
    /// That copy is lost; another one is made.
    CopyLost,
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
    /// What is said of it.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: About,
    /// The file that was announced.
    #[serde(default)]
    pub announced: Option<Announced>,
    /// Who imports or saves it: a person's key, or a process; none of one that an earlier version began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// The server that it is saved from; none if it is imported.
    #[serde(default)]
    pub saved_from: Option<Saved>,
    /// The file, once verified.
    pub stored: Option<Stored>,
    /// When each site's front end got its verified copy.
    #[serde(default)]
    pub copies: BTreeMap<SiteName, Timestamp>,
    /// In which object store each site has it beside that, if it has one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<SiteName, Kept>,
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

/// Whether a site has an image for itself, however dark the other campus is: as a copy on its front end's disk, or in
/// an object store that does not go away with the other campus.
#[must_use]
pub fn is_at(site: &SiteName, copies: &BTreeMap<SiteName, Timestamp>, kept: &BTreeMap<SiteName, Kept>) -> bool {
    copies.contains_key(site) || kept.get(site).is_some_and(|kept| kept.store.outlasts_the_others_of(site))
}

/// The sites of which [`is_at`] is true.
#[must_use]
pub fn sites<'a>(
    copies: &'a BTreeMap<SiteName, Timestamp>,
    kept: &'a BTreeMap<SiteName, Kept>,
) -> BTreeSet<&'a SiteName> {
    copies.keys().chain(kept.keys()).filter(|site| is_at(site, copies, kept)).collect()
}

impl Image {
    /// The one way in which an image's state changes.
    ///
    /// # Errors
    /// [`NotNow`] if the diagram has no such arrow; nothing is changed then.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Result<(), NotNow> {
        use State::{Deleting, Failed, Importing, Ready, Verifying};
        let next = match (self.state, change) {
            // Of a server's disk nothing has arrived before its copy is whole.
            (Importing, Change::Arrived { size_bytes })
                if self.saved_from.as_ref().is_none_or(|saved| saved.taken.is_some()) =>
            {
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
            (Importing, change @ (Change::CopyBegun(_) | Change::CopyTaken { .. } | Change::CopyLost)) => {
                if !self.copied(change, now) {
                    return Err(NotNow { state: Importing });
                }
                Importing
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

    /// Takes what became of the copy of a server's disk; tells whether it could, and changes nothing if not.
    fn copied(&mut self, change: Change, now: Timestamp) -> bool {
        let Some(saved) = &mut self.saved_from else { return false };
        match change {
            Change::CopyBegun(copying) if saved.copying.is_none() => {
                saved.tries = saved.tries.saturating_add(1);
                saved.copying = Some(copying);
            }
            Change::CopyTaken { file, taken } if saved.copying.is_some() && saved.taken.is_none() => {
                saved.taken = Some(taken);
                self.announced = Some(file);
            }
            Change::CopyLost if saved.copying.is_some() => {
                (saved.copying, saved.taken) = (None, None);
                self.announced = Some(Announced::default());
            }
            _ => return false,
        }
        saved.since = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;

    fn changes() -> impl Strategy<Value = Change> {
        let taken = Taken { at: Timestamp(OffsetDateTime::UNIX_EPOCH), consistency: Consistency::Crash };
        let file = Announced { size_bytes: Some(7), sha256: Some("0".repeat(64)), url: None };
        let stored = Stored { sha256: "0".repeat(64), format: Format::Raw, size_bytes: 1, virtual_size_bytes: 1 };
        prop_oneof![
            Just(Change::Arrived { size_bytes: 1 }),
            Just(Change::Verified(stored)),
            Just(Change::Refused(Refusal::ImageUnknown { image: "x".to_owned() })),
            Just(Change::CopyBegun(Copying { node: "m1".parse().unwrap(), generation: 1 })),
            Just(Change::CopyTaken { file, taken }),
            Just(Change::CopyLost),
            Just(Change::DeleteAsked),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_of_changes_leaves_the_table(sequence in prop::collection::vec(changes(), 0..20), saves: bool) {
            let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
            let saved = saves.then(|| Saved::new("mail".parse().unwrap(), "uuid".to_owned(), at));
            let mut image = Image {
                v: 1, name: "mini".parse().unwrap(), state: State::Importing, about: About::default(), announced: None, asked_by: None, saved_from: saved,
                stored: None, copies: BTreeMap::new(), kept: BTreeMap::new(), fault: None, request_id: "r".to_owned(), created_at: at, changed_at: at,
            };
            for change in sequence {
                let before = image.clone();
                if image.apply(change, at).is_err() {
                    prop_assert_eq!(&image, &before);
                }
                prop_assert!(image.state != State::Ready || image.stored.is_some());
                prop_assert!(image.state != State::Failed || image.fault.is_some());
                prop_assert!(before.state != State::Deleting || image.state == State::Deleting);
                prop_assert_eq!(image.saved_from.is_some(), saves);
                if let Some(saved) = image.saved_from.as_ref().filter(|_| image.state == State::Importing) {
                    prop_assert!(saved.taken.is_none() || saved.copying.is_some(), "a copy that nobody made");
                    let known = image.announced.as_ref().is_some_and(|file| file.size_bytes.is_some());
                    prop_assert_eq!(known, saved.taken.is_some(), "the file of another copy is announced");
                }
            }
        }
    }
}
