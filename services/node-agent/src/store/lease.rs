//! The node's last lease, kept over restarts of the agent.

use sqlx::Row;
use watari_model::isolation::Terms;

use super::journal::{Journal, JournalError, number, sql};

/// A lease as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLease {
    /// The boot of the machine in which its moment counts.
    pub boot: String,
    /// When it was asked for, on the boot clock in milliseconds.
    pub asked_at: u64,
    /// What was promised with it.
    pub terms: Terms,
}

impl Journal {
    /// The lease that was kept last.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn lease(&self) -> Result<Option<KeptLease>, JournalError> {
        let row = sqlx::query("SELECT boot, asked_at, lease_ms, stop_ms FROM lease WHERE id = 1")
            .fetch_optional(self.pool())
            .await
            .map_err(sql("read the lease"))?;
        let Some(row) = row else { return Ok(None) };
        let column = |name: &'static str| {
            let value = row.try_get::<i64, _>(name).map_err(sql("read the lease"))?;
            u64::try_from(value).map_err(|_| JournalError::Number)
        };
        let boot = row.try_get("boot").map_err(sql("read the lease"))?;
        let terms = Terms { lease_ms: column("lease_ms")?, stop_ms: column("stop_ms")? };
        Ok(Some(KeptLease { boot, asked_at: column("asked_at")?, terms }))
    }

    /// Keeps a lease in place of the one before, unless that was asked for later in the same boot.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn keep_lease(&self, lease: &KeptLease) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO lease (id, boot, asked_at, lease_ms, stop_ms) VALUES (1, ?, ?, ?, ?) ON CONFLICT (id) DO \
             UPDATE SET boot = excluded.boot, asked_at = excluded.asked_at, lease_ms = excluded.lease_ms, \
             stop_ms = excluded.stop_ms WHERE excluded.boot <> lease.boot OR excluded.asked_at >= lease.asked_at",
        )
        .bind(&lease.boot)
        .bind(number(lease.asked_at)?)
        .bind(number(lease.terms.lease_ms)?)
        .bind(number(lease.terms.stop_ms)?)
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(sql("keep the lease"))
    }
}
