//! Buckets in memory: compare-and-set on revisions, as on the bus.

use std::{collections::BTreeMap, sync::Arc};

use time::OffsetDateTime;
use watari_chassis::Entry;
use watari_model::{Document, Timestamp};

/// One bucket.
pub(crate) type Docs<T> = Arc<BTreeMap<String, Arc<Entry<T>>>>;

/// Replaces what is at `expected`, or makes it if that is 0. Whether it was done.
pub(crate) fn put<T: Document>(docs: &mut Docs<T>, counter: &mut u64, value: T, expected: u64) -> bool {
    let key = value.key();
    if docs.get(&key).map_or(0, |there| there.revision) != expected {
        return false;
    }
    *counter += 1;
    // When it was stored says nothing that is decided upon.
    let entry = Entry { value, revision: *counter, created: Timestamp(OffsetDateTime::UNIX_EPOCH) };
    Arc::make_mut(docs).insert(key, Arc::new(entry));
    true
}

/// Deletes what is at `expected`. Whether it was done.
pub(crate) fn delete<T: Document>(docs: &mut Docs<T>, key: &str, expected: u64) -> bool {
    let fits = docs.get(key).is_some_and(|there| there.revision == expected);
    if fits {
        Arc::make_mut(docs).remove(key);
    }
    fits
}
