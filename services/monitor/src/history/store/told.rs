//! Reading who did what: changes with the document before each and after it.

use sqlx::{Row, any::AnyRow};
use watari_contracts::history::{HistoryChange, Place, RESTORE};
use watari_model::Timestamp;

use super::{Store, StoreError, asked::Asked, nanos, read::moment, signed};
use crate::history::fields::{differences, is_counter};

/// A deleted document as JSON; one that was too large to be kept is no JSON.
const WITH_BOTH: &str = "SELECT e.at_ns, e.bucket, e.key, e.revision, e.written_by, e.why, e.summary,
        CASE WHEN e.deleted = 1 THEN 'null' ELSE COALESCE(e.document, '') END,
        COALESCE((SELECT CASE WHEN b.deleted = 1 THEN 'null' ELSE COALESCE(b.document, '') END FROM events AS b
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
        let mut asked = Asked::of(WITH_BOTH);
        if let Some(bucket) = &wanted.bucket {
            asked.push(" AND e.bucket = ").bind(bucket.as_str());
        }
        if let Some(key) = &wanted.key {
            asked.push(" AND e.key = ").bind(key.as_str());
        }
        if let Some(since) = wanted.since {
            asked.push(" AND e.at_ns >= ").bind(nanos(since));
        }
        if let Some(until) = wanted.until {
            asked.push(" AND e.at_ns < ").bind(nanos(until));
        }
        if let Some(by) = &wanted.by {
            asked.push(" AND e.written_by ").push(self.kind.like()).push(" ").bind(part(by).as_str());
            asked.push(r" ESCAPE '\'");
        }
        if let Some(Place { at, bucket, revision }) = &wanted.before {
            asked.push(" AND (e.at_ns, e.bucket, e.revision) < (").bind(nanos(*at));
            asked.push(", ").bind(bucket.as_str()).push(", ").bind(signed(*revision)).push(")");
        }
        asked.push(" ORDER BY e.at_ns DESC, e.bucket DESC, e.revision DESC LIMIT ").bind(i64::from(wanted.limit));
        let rows = asked.query().fetch_all(&self.pool).await?;
        rows.iter().map(change).collect()
    }
}

/// What is like a text in which this one stands: signs that LIKE reads otherwise mean themselves.
fn part(text: &str) -> String {
    format!("%{}%", text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_"))
}

fn change(row: &AnyRow) -> Result<HistoryChange, StoreError> {
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
