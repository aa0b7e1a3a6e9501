//! Reading who did what: changes with the document before each and after it.

use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};
use watari_contracts::history::{HistoryChange, Place, RESTORE};
use watari_model::Timestamp;

use super::{Store, StoreError, nanos, read::moment, signed};
use crate::history::fields::{differences, is_counter};

/// A deleted document as JSON; one that was too large to be kept is no JSON.
const WITH_BOTH: &str = "SELECT e.at_ns, e.bucket, e.key, e.revision, e.written_by, e.why, e.summary,
        CASE WHEN e.deleted THEN 'null' ELSE COALESCE(e.document, '') END,
        COALESCE((SELECT CASE WHEN b.deleted THEN 'null' ELSE COALESCE(b.document, '') END FROM events AS b
            WHERE b.bucket = e.bucket AND b.key = e.key AND b.at_ns <= e.at_ns
                AND (b.at_ns < e.at_ns OR b.revision < e.revision)
            ORDER BY b.at_ns DESC, b.revision DESC LIMIT 1), 'null')
    FROM events AS e WHERE TRUE";

/// Which changes are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Only those of this bucket.
    pub(crate) bucket: Option<String>,
    /// Only those of this document.
    pub(crate) key: Option<String>,
    /// Only those from this moment on.
    pub(crate) since: Option<Timestamp>,
    /// Only those before this moment.
    pub(crate) until: Option<Timestamp>,
    /// Only those by whom this is a part of the name of.
    pub(crate) by: Option<String>,
    /// Only those before this one.
    pub(crate) before: Option<Place>,
    /// At most so many, the newest.
    pub(crate) limit: u32,
}

impl Store {
    /// The newest changes, newest first.
    pub(crate) async fn told(&self, wanted: &Wanted) -> Result<Vec<HistoryChange>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(WITH_BOTH);
        if let Some(bucket) = &wanted.bucket {
            query.push(" AND e.bucket = ").push_bind(bucket.clone());
        }
        if let Some(key) = &wanted.key {
            query.push(" AND e.key = ").push_bind(key.clone());
        }
        if let Some(since) = wanted.since {
            query.push(" AND e.at_ns >= ").push_bind(nanos(since));
        }
        if let Some(until) = wanted.until {
            query.push(" AND e.at_ns < ").push_bind(nanos(until));
        }
        if let Some(by) = &wanted.by {
            query.push(" AND instr(lower(e.written_by), ").push_bind(by.to_ascii_lowercase()).push(") > 0");
        }
        if let Some(Place { at, bucket, revision }) = &wanted.before {
            query.push(" AND (e.at_ns, e.bucket, e.revision) < (").push_bind(nanos(*at));
            query.push(", ").push_bind(bucket.clone()).push(", ").push_bind(signed(*revision)).push(")");
        }
        query.push(" ORDER BY e.at_ns DESC, e.bucket DESC, e.revision DESC LIMIT ").push_bind(wanted.limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(change).collect()
    }
}

fn change(row: &SqliteRow) -> Result<HistoryChange, StoreError> {
    let (after, before): (String, String) = (row.try_get(7)?, row.try_get(8)?);
    let (mut fields, fields_left_out) = differences(&before, &after);
    let why: Option<String> = row.try_get(5)?;
    if why.as_deref() == Some(RESTORE) {
        fields.retain(|change| !is_counter(&change.field));
    }
    Ok(HistoryChange {
        at: moment(row.try_get(0)?),
        bucket: row.try_get(1)?,
        key: row.try_get(2)?,
        revision: u64::try_from(row.try_get::<i64, _>(3)?).unwrap_or(0),
        by: row.try_get(4)?,
        why,
        summary: row.try_get(6)?,
        fields,
        fields_left_out,
    })
}
