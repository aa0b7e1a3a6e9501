//! Reading what happened.

use sqlx::Row;
use time::OffsetDateTime;
use watari_contracts::monitor::Event;
use watari_model::Timestamp;

use super::{Store, StoreError, asked::Asked};

/// Which changes are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Only those of this bucket.
    pub(crate) bucket: Option<String>,
    /// Only those of this document.
    pub(crate) key: Option<String>,
    /// At most so many, the newest.
    pub(crate) limit: u32,
}

impl Store {
    /// The newest changes, newest last.
    pub(crate) async fn events(&self, filter: &Filter) -> Result<Vec<Event>, StoreError> {
        // One text for each combination, so that each uses its index.
        let mut asked = Asked::of("SELECT at_ns, bucket, key, revision, summary FROM events WHERE TRUE");
        if let Some(bucket) = &filter.bucket {
            asked.push(" AND bucket = ").bind(bucket.as_str());
        }
        if let Some(key) = &filter.key {
            asked.push(" AND key = ").bind(key.as_str());
        }
        asked.push(" ORDER BY at_ns DESC, bucket DESC, revision DESC LIMIT ").bind(i64::from(filter.limit));
        let rows = asked.query().fetch_all(&self.pool).await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in rows.iter().rev() {
            events.push(Event {
                at: moment(row.try_get(0)?),
                bucket: row.try_get(1)?,
                key: row.try_get(2)?,
                revision: u64::try_from(row.try_get::<i64, _>(3)?).unwrap_or(0),
                summary: row.try_get(4)?,
            });
        }
        Ok(events)
    }

    /// How many changes are kept.
    pub(crate) async fn rows(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) FROM events").fetch_one(&self.pool).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
    }
}

/// The moment of so many nanoseconds since 1970.
pub(super) fn moment(nanos: i64) -> Timestamp {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos));
    Timestamp(at.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}
