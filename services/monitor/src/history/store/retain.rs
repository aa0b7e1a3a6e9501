//! Forgetting what is old, or too much. How each document stood when what is kept begins is not forgotten for
//! its age: the next change is told by the difference, and use is counted from it.

use sqlx::{Any, Row, any::AnyArguments, query::Query};
use watari_model::Timestamp;

use super::{Kind, Store, StoreError, nanos, signed};

/// So many rows go in one transaction, so that nobody waits long.
const BATCH: i64 = 5_000;
/// So many pages of a file, of 4 KiB each, may be free for what comes next; of more, some are given back to the disk.
const FREE: i64 = 1_000;

impl Store {
    /// Forgets changes before `oldest`, and the oldest beyond `most_rows`. Tells how many went.
    pub(crate) async fn retain(&self, oldest: Timestamp, most_rows: u64) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let old = sqlx::query(
                "DELETE FROM events WHERE id IN
                     (SELECT old.id FROM events AS old WHERE old.at_ns < $1 AND (old.deleted = 1 OR EXISTS
                         (SELECT 1 FROM events AS newer WHERE newer.bucket = old.bucket AND newer.key = old.key
                              AND newer.at_ns > old.at_ns AND newer.at_ns < $1))
                      ORDER BY old.at_ns LIMIT $2)",
            );
            let went = self.delete(old.bind(nanos(oldest)).bind(BATCH)).await?;
            gone += went;
            if went < BATCH.unsigned_abs() {
                break;
            }
        }
        let mut beyond = signed(self.rows().await?.saturating_sub(most_rows));
        while beyond > 0 {
            let first = sqlx::query("DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY at_ns LIMIT $1)");
            gone += self.delete(first.bind(beyond.min(BATCH))).await?;
            beyond -= BATCH;
        }
        self.retain_seen(oldest).await?;
        let kept = sqlx::query("DELETE FROM kept WHERE gone_ns < $1").bind(nanos(oldest));
        self.delete(kept).await?;
        Ok(gone)
    }

    /// Gives back to the disk what the file needs no more, so much at a time that nobody waits long. A server does so by
    /// itself. In a file that an earlier version made, the room stays and is used again.
    pub(crate) async fn compact(&self) -> Result<(), StoreError> {
        let mut free = self.free_pages().await?;
        while free > FREE {
            sqlx::query("PRAGMA incremental_vacuum(500)").execute(&self.pool).await?;
            let left = self.free_pages().await?;
            if left >= free {
                break;
            }
            free = left;
        }
        Ok(())
    }

    async fn free_pages(&self) -> Result<i64, StoreError> {
        if self.kind == Kind::Server {
            return Ok(0);
        }
        let row = sqlx::query("SELECT freelist_count FROM pragma_freelist_count").fetch_one(&self.pool).await?;
        Ok(row.try_get(0)?)
    }

    /// Deletes, and tells how many rows went.
    pub(super) async fn delete(&self, what: Query<'_, Any, AnyArguments>) -> Result<u64, StoreError> {
        let mut all = self.begin().await?;
        let gone = what.execute(&mut *all).await?.rows_affected();
        all.commit().await?;
        Ok(gone)
    }
}
