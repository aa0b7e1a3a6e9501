//! What was missed is read from the buckets' streams, as far as they reach back.

use std::collections::HashMap;

use watari_chassis::{Context, Past, PastWrite, Reach, ReadError};
use watari_contracts::permissions::BUCKETS;
use watari_model::Timestamp;

use super::{
    feed,
    store::{Reached, Store, StoreError},
};
use crate::settings;

/// So many writes are read at a time.
const BATCH: usize = 500;

/// Why the history could not be completed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CatchUpError {
    /// The history itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] ReadError),
}

/// Writes down everything that the streams have and the history lacks. Tells how much that was.
pub(super) async fn catch_up(
    ctx: &Context,
    store: &Store,
    settings: &settings::History,
    oldest: Timestamp,
) -> Result<u64, CatchUpError> {
    let mut added = 0;
    for (bucket, _) in BUCKETS {
        if let Some(past) = Past::find(ctx, bucket).await? {
            added += bucket_from(&past, bucket, store, settings, oldest).await?;
        }
    }
    Ok(added)
}

async fn bucket_from(
    past: &Past,
    bucket: &str,
    store: &Store,
    settings: &settings::History,
    oldest: Timestamp,
) -> Result<u64, CatchUpError> {
    let Reach { made, last, .. } = past.found();
    // A bucket that was made anew is read from its beginning.
    let reached = store.reached(bucket).await?.filter(|reached| reached.made == made);
    let mut next = reached.map_or(1, |reached| reached.revision + 1);
    if last < next {
        return Ok(0);
    }
    let mut added = 0;
    loop {
        let writes = past.read(next, BATCH).await?;
        let Some(last) = writes.last().map(|write| write.revision) else { return Ok(added) };
        let complete = writes.len() < BATCH;
        let writes = worth_keeping(writes, oldest).into_iter();
        let changes: Vec<_> = writes.map(|write| feed::past(bucket, write, &settings.people)).collect();
        added += store.add(&changes, settings.most_document_bytes).await?;
        store.reach(bucket, Reached { made, revision: last }).await?;
        next = last + 1;
        if complete {
            return Ok(added);
        }
    }
}

/// What would be forgotten at once is not written down again. Of each document that is older than all that is
/// kept, the last of its writes stays, since it says how things stood.
fn worth_keeping(writes: Vec<PastWrite>, oldest: Timestamp) -> Vec<PastWrite> {
    let old = writes.iter().filter(|write| write.created < oldest);
    let last: HashMap<String, u64> = old.map(|write| (write.key.clone(), write.revision)).collect();
    let stood = |write: &PastWrite| !write.deleted && last.get(&write.key) == Some(&write.revision);
    writes.into_iter().filter(|write| write.created >= oldest || stood(write)).collect()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn of_what_is_too_old_only_how_it_stood_is_kept() {
        let write = |key: &str, revision: i64, deleted: bool| PastWrite {
            key: key.to_owned(),
            revision: revision.unsigned_abs(),
            created: Timestamp(OffsetDateTime::from_unix_timestamp(revision).unwrap()),
            deleted,
            payload: Vec::<u8>::new().into(),
            by: None,
            why: None,
        };
        let oldest = Timestamp(OffsetDateTime::from_unix_timestamp(6).unwrap());
        let all = vec![
            write("a", 1, false),
            write("b", 2, false),
            write("a", 3, false),
            write("b", 4, true),
            write("a", 7, false),
            write("b", 8, false),
        ];
        let kept: Vec<_> = worth_keeping(all, oldest).iter().map(|write| write.revision).collect();
        assert_eq!(kept, [3, 7, 8]);
    }
}
