//! Reading what servers used.

use futures_util::TryStreamExt;
use sqlx::Row;

use super::{Store, StoreError, nanos, read::moment};
use crate::history::usage::{Meter, Seen};

impl Store {
    /// The names after `after` that servers have or had, at most `most`.
    pub(crate) async fn servers(&self, after: &str, most: u32) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = Vec::new();
        while (names.len() as u64) < u64::from(most) {
            // From one name to the next by the index, however much was written of each.
            let row = sqlx::query("SELECT MIN(key) FROM events WHERE bucket = 'vms' AND key > $1")
                .bind(names.last().map_or(after, String::as_str).to_owned())
                .fetch_one(&self.pool)
                .await?;
            let Some(name) = row.try_get::<Option<String>, _>(0)? else { break };
            names.push(name);
        }
        Ok(names)
    }

    /// Shows the meter everything that matters of the servers of one name: what was when its window begins, every
    /// write until it ends, and the next one, which may be the first that tells of a server.
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
        Ok(meter)
    }
}
