//! What was missed is read from the buckets' streams, as far as they reach back.

use watari_chassis::{Context, Past, ReadError};
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
    /// The file.
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
    let made = past.reach().await?.made;
    // A bucket that was made anew is read from its beginning.
    let reached = store.reached(bucket).await?.filter(|reached| reached.made == made);
    let mut next = reached.map_or(1, |reached| reached.revision + 1);
    let mut added = 0;
    loop {
        let writes = past.read(next, BATCH).await?;
        let Some(last) = writes.last().map(|write| write.revision) else { return Ok(added) };
        let complete = writes.len() < BATCH;
        // What would be forgotten at once is not written down again.
        let changes: Vec<_> =
            writes.into_iter().filter(|write| write.created >= oldest).map(|write| feed::past(bucket, write)).collect();
        added += store.add(&changes, settings.most_document_bytes).await?;
        store.reach(bucket, Reached { made, revision: last }).await?;
        next = last + 1;
        if complete {
            return Ok(added);
        }
    }
}
