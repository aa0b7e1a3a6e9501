//! Reading what servers used.

use futures_util::TryStreamExt;
use sqlx::Row;

use super::{Store, StoreError, nanos, read::moment};
use crate::history::usage::{Meter, Seen};

impl Store {
    /// The names after `after` that servers have or had, at most `most`. Of one that was deleted long ago there may be
    /// nothing but its disk.
    pub(crate) async fn servers(&self, after: &str, most: u32) -> Result<Vec<String>, StoreError> {
        // By the index, in its order, so that it ends with the last one that is wanted.
        let rows = sqlx::query(
            "SELECT name FROM
                 (SELECT DISTINCT key AS name FROM events WHERE bucket = 'vms' AND key > $1
                  ORDER BY key LIMIT $2) AS servers
             UNION SELECT vm FROM kept WHERE vm > $1
             ORDER BY name LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| row.try_get::<String, _>(0).map_err(StoreError::from)).collect()
    }

    /// Shows the meter everything that matters of the servers of one name: what was when its window begins, every
    /// write until it ends, and the next one, which may be the first that tells of a server; and the disks that were
    /// kept of them.
    pub(crate) async fn used(&self, name: &str, mut meter: Meter) -> Result<Meter, StoreError> {
        let mut rows = sqlx::query(
            "SELECT at_ns, deleted, document FROM events
             WHERE bucket = 'vms' AND key = $1
                 AND at_ns <= COALESCE((SELECT MIN(at_ns) FROM events
                     WHERE bucket = 'vms' AND key = $1 AND at_ns >= $2), $2)
                 AND at_ns >= COALESCE((SELECT MAX(at_ns) FROM events
                     WHERE bucket = 'vms' AND key = $1 AND at_ns <= $3), 0)
             ORDER BY at_ns, revision",
        )
        .bind(name)
        .bind(nanos(meter.until))
        .bind(nanos(meter.from))
        .fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            let document: Option<String> = row.try_get(2)?;
            let seen = if row.try_get::<i64, _>(1)? == 1 { Seen::Gone } else { Seen::document(document.as_deref()) };
            meter.see(moment(row.try_get(0)?), seen);
        }
        // Each question takes a connection, of which there are few.
        drop(rows);
        self.kept(name, &mut meter).await?;
        Ok(meter)
    }
}
