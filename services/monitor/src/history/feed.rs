//! From an event on the bus to a change of the history.

use std::collections::BTreeMap;

use watari_chassis::{Message, PastWrite};
use watari_contracts::{history::named, permissions::BUCKETS, subjects};

use super::store::Change;

/// What an event was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A change, and the revision of the document's write before it (0 if it was the first).
    Change(Change, u64),
    /// Nothing of the history's: an unknown bucket or an impossible message.
    Nothing,
    /// A change that lacks what a change must say: the streams have to be asked.
    Incomplete,
}

/// What the keys of people are called.
pub(super) type People = BTreeMap<String, String>;

/// Reads an event. It is believed to be one, since only buckets' own streams may publish events.
pub(super) fn read(message: &Message, people: &People) -> Told {
    let prefix = subjects::EVENTS.trim_end_matches('>');
    let rest = message.subject.strip_prefix(prefix);
    let Some((bucket, key)) = rest.and_then(|rest| rest.split_once('.')) else { return Told::Nothing };
    if !BUCKETS.iter().any(|(known, _)| *known == bucket) {
        return Told::Nothing;
    }
    let (Some(at), Some(revision), Some(previous)) = (message.created, message.revision, message.previous) else {
        return Told::Incomplete;
    };
    let document = (!message.deleted).then(|| String::from_utf8_lossy(&message.payload).into_owned());
    let (by, why) = (message.by.as_deref().map(|by| named(by, people)), message.why.clone());
    let change = Change { at, bucket: bucket.to_owned(), key: key.to_owned(), revision, document, by, why };
    Told::Change(change, previous)
}

/// Reads a write of a bucket's past.
pub(super) fn past(bucket: &str, write: PastWrite, people: &People) -> Change {
    let document = (!write.deleted).then(|| String::from_utf8_lossy(&write.payload).into_owned());
    let PastWrite { key, revision, created: at, why, .. } = write;
    let by = write.by.map(|by| named(&by, people));
    Change { at, bucket: bucket.to_owned(), key, revision, document, by, why }
}
