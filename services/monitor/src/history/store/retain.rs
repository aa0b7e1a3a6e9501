//! Forgetting what is old, or too much. How each document stood when what is kept begins is not forgotten for
//! its age: the next change is told by the difference, and use is counted from it.

use sqlx::{Any, any::AnyArguments, query::Query};
use watari_model::Timestamp;

use super::{Store, StoreError, nanos, signed};

/// So many rows go in one transaction, so that nobody waits long.
const BATCH: i64 = 5_000;

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
        let measured = sqlx::query("DELETE FROM measured WHERE at_ns < $1").bind(nanos(oldest));
        self.delete(measured).await?;
        let kept = sqlx::query("DELETE FROM kept WHERE gone_ns < $1").bind(nanos(oldest));
        self.delete(kept).await?;
        Ok(gone)
    }

    /// Deletes, and tells how many rows went.
    pub(super) async fn delete(&self, what: Query<'_, Any, AnyArguments>) -> Result<u64, StoreError> {
        let mut all = self.begin().await?;
        let gone = what.execute(&mut *all).await?.rows_affected();
        all.commit().await?;
        Ok(gone)
    }
}
