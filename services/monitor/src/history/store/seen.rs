//! What was seen of servers during outages.

use sqlx::Row;
use watari_model::Timestamp;

use super::{Store, StoreError, nanos};

/// The most rows that are kept: those of some hundred outages.
const MOST_ROWS: i64 = 20_000;

/// One server's probe during one outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenRow {
    pub(crate) outage: String,
    pub(crate) vm: String,
    pub(crate) probe: String,
    /// When it was asked last.
    pub(crate) at: Timestamp,
    /// As JSON.
    pub(crate) record: String,
}

impl Store {
    /// Writes rows, each in the place of what was there of the same probe and outage.
    pub(crate) async fn note(&self, rows: &[SeenRow]) -> Result<(), StoreError> {
        let mut all = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for row in rows {
            sqlx::query(
                "INSERT INTO seen (outage, vm, probe, at_ns, record) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (outage, vm, probe) DO UPDATE SET at_ns = excluded.at_ns, record = excluded.record",
            )
            .bind(&row.outage)
            .bind(&row.vm)
            .bind(&row.probe)
            .bind(nanos(row.at))
            .bind(&row.record)
            .execute(&mut *all)
            .await?;
        }
        all.commit().await?;
        Ok(())
    }

    /// The records of an outage, by server and probe.
    pub(crate) async fn seen(&self, outage: &str) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT record FROM seen WHERE outage = ? ORDER BY vm, probe")
            .bind(outage)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| row.try_get::<String, _>(0).map_err(StoreError::from)).collect()
    }

    /// Forgets what is older than `oldest`, and the oldest if there is too much.
    pub(super) async fn retain_seen(&self, oldest: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM seen WHERE at_ns < ?").bind(nanos(oldest)).execute(&self.pool).await?;
        sqlx::query("DELETE FROM seen WHERE rowid NOT IN (SELECT rowid FROM seen ORDER BY at_ns DESC LIMIT ?)")
            .bind(MOST_ROWS)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
