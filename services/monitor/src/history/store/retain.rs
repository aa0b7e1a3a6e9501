//! Forgetting what is old, or too much. How each document stood when what is kept begins is not forgotten for
//! its age: the next change is told by the difference, and use is counted from it.

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
                     (SELECT old.id FROM events AS old WHERE old.at_ns < ?1 AND (old.deleted OR EXISTS
                         (SELECT 1 FROM events AS newer WHERE newer.bucket = old.bucket AND newer.key = old.key
                              AND newer.at_ns > old.at_ns AND newer.at_ns < ?1))
                      ORDER BY old.at_ns LIMIT ?2)",
            )
            .bind(nanos(oldest))
            .bind(BATCH)
            .execute(&self.pool)
            .await?;
            gone += old.rows_affected();
            if old.rows_affected() < BATCH.unsigned_abs() {
                break;
            }
        }
        let mut beyond = signed(self.rows().await?.saturating_sub(most_rows));
        while beyond > 0 {
            let oldest = sqlx::query("DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY at_ns LIMIT ?)")
                .bind(beyond.min(BATCH))
                .execute(&self.pool)
                .await?;
            gone += oldest.rows_affected();
            beyond -= BATCH;
        }
        self.retain_seen(oldest).await?;
        sqlx::query("DELETE FROM measured WHERE at_ns < ?").bind(nanos(oldest)).execute(&self.pool).await?;
        Ok(gone)
    }
}
