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
        let mut all = self.begin().await?;
        for row in rows {
            sqlx::query(
                "INSERT INTO seen (outage, vm, probe, at_ns, record) VALUES ($1, $2, $3, $4, $5)
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
        let rows = sqlx::query("SELECT record FROM seen WHERE outage = $1 ORDER BY vm, probe")
            .bind(outage)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| row.try_get::<String, _>(0).map_err(StoreError::from)).collect()
    }

    /// Forgets what is older than `oldest`, and the oldest if there is too much.
    pub(super) async fn retain_seen(&self, oldest: Timestamp) -> Result<(), StoreError> {
        let old = sqlx::query("DELETE FROM seen WHERE at_ns < $1").bind(nanos(oldest));
        self.delete(old).await?;
        let beyond = sqlx::query(
            "DELETE FROM seen WHERE (outage, vm, probe) NOT IN
                 (SELECT outage, vm, probe FROM seen ORDER BY at_ns DESC LIMIT $1)",
        );
        self.delete(beyond.bind(MOST_ROWS)).await?;
        Ok(())
    }
}
