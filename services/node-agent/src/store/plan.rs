//! The newest network plan, kept over restarts.

use sqlx::Row;
use watari_contracts::plan::{Edition, NetworkPlan};

use super::journal::{Journal, JournalError, number, sql};

impl Journal {
    /// The plan that was kept last.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn plan(&self) -> Result<Option<(Edition, NetworkPlan)>, JournalError> {
        let row = sqlx::query("SELECT epoch, revision, body FROM network_plan WHERE id = 1")
            .fetch_optional(self.pool())
            .await
            .map_err(sql("read the network plan"))?;
        let Some(row) = row else { return Ok(None) };
        let column = |name: &'static str| row.try_get::<i64, _>(name).map_err(sql("read the network plan"));
        let unsigned = |n: i64| u64::try_from(n).map_err(|_| JournalError::Number);
        let edition = Edition { epoch: unsigned(column("epoch")?)?, revision: unsigned(column("revision")?)? };
        let body: String = row.try_get("body").map_err(sql("read the network plan"))?;
        Ok(Some((edition, serde_json::from_str(&body)?)))
    }

    /// Keeps a plan in place of the one before, unless that is newer.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn keep_plan(&self, edition: Edition, plan: &NetworkPlan) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO network_plan (id, epoch, revision, body) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE \
             SET epoch = excluded.epoch, revision = excluded.revision, body = excluded.body \
             WHERE (excluded.epoch, excluded.revision) >= (network_plan.epoch, network_plan.revision)",
        )
        .bind(number(edition.epoch)?)
        .bind(number(edition.revision)?)
        .bind(serde_json::to_string(plan)?)
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(sql("keep the network plan"))
    }
}
