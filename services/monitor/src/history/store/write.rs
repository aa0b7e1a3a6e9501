//! Writing changes down, each once however often it is told.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row};
use watari_contracts::history::RESTORE;
use watari_model::Timestamp;

use super::{Store, StoreError, kept, nanos, plain, signed};
use crate::history::summary::{restored, summarise};

/// One write of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: Timestamp,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) revision: u64,
    /// The document; none if it was deleted.
    pub(crate) document: Option<String>,
    /// On whose behalf it was written.
    pub(crate) by: Option<String>,
    /// For which request, if it was for one.
    pub(crate) why: Option<String>,
}

/// How far a bucket's stream has been read without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// When the stream was made.
    pub(crate) made: Timestamp,
    /// The last revision read.
    pub(crate) revision: u64,
}

impl Store {
    /// Writes down what is new among `changes`, in one transaction, and tells how many were.
    pub(crate) async fn add(&self, changes: &[Change], most_bytes: usize) -> Result<u64, StoreError> {
        let mut all = self.begin().await?;
        // What this very transaction wrote of each document last.
        let mut newest: HashMap<(&str, &str), &Change> = HashMap::new();
        let mut added = 0;
        for change in changes {
            let place = (change.bucket.as_str(), change.key.as_str());
            let before = match newest.get(&place) {
                Some(last) if last.at <= change.at => last.document.clone(),
                _ => before(&mut all, change).await?,
            };
            added += insert(&mut all, change, before.as_deref(), most_bytes).await?;
            newest.insert(place, change);
        }
        all.commit().await?;
        Ok(added)
    }

    /// How far the bucket has been read.
    pub(crate) async fn reached(&self, bucket: &str) -> Result<Option<Reached>, StoreError> {
        let row = sqlx::query("SELECT made_ns, revision FROM reached WHERE bucket = $1")
            .bind(bucket)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (made, revision): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Some(Reached { made: super::read::moment(made), revision: u64::try_from(revision).unwrap_or(0) }))
    }

    /// Notes how far the bucket has been read.
    pub(crate) async fn reach(&self, bucket: &str, reached: Reached) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO reached (bucket, made_ns, revision) VALUES ($1, $2, $3)
             ON CONFLICT (bucket) DO UPDATE SET made_ns = excluded.made_ns, revision = excluded.revision",
        )
        .bind(bucket)
        .bind(nanos(reached.made))
        .bind(signed(reached.revision))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether a write of this revision and document has been written down.
    pub(crate) async fn has(&self, bucket: &str, key: &str, revision: u64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM events WHERE bucket = $1 AND key = $2 AND revision = $3 LIMIT 1")
            .bind(bucket)
            .bind(key)
            .bind(signed(revision))
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }
}

/// The document as it was before the change.
async fn before(connection: &mut AnyConnection, change: &Change) -> Result<Option<String>, StoreError> {
    let row = sqlx::query(
        "SELECT document FROM events WHERE bucket = $1 AND key = $2 AND at_ns <= $3 AND revision <> $4
         ORDER BY at_ns DESC, revision DESC LIMIT 1",
    )
    .bind(&change.bucket)
    .bind(&change.key)
    .bind(nanos(change.at))
    .bind(signed(change.revision))
    .fetch_optional(connection)
    .await?;
    Ok(match row {
        Some(row) => row.try_get(0)?,
        None => None,
    })
}

async fn insert(
    connection: &mut AnyConnection,
    change: &Change,
    before: Option<&str>,
    most_bytes: usize,
) -> Result<u64, StoreError> {
    let after = change.document.as_deref();
    let done = sqlx::query(
        "INSERT INTO events (at_ns, bucket, key, revision, deleted, summary, document, written_by, why)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(nanos(change.at))
    .bind(&change.bucket)
    .bind(&change.key)
    .bind(signed(change.revision))
    .bind(i64::from(after.is_none()))
    .bind(plain(&line(change, before)))
    .bind(after.filter(|document| document.len() <= most_bytes).map(plain))
    .bind(change.by.as_deref().map(plain))
    .bind(change.why.as_deref().map(plain))
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() > 0 {
        kept::note(connection, change).await?;
    }
    Ok(done.rows_affected())
}

fn line(change: &Change, before: Option<&str>) -> String {
    if change.why.as_deref() == Some(RESTORE) {
        return restored(&change.key);
    }
    summarise(&change.bucket, &change.key, before, change.document.as_deref())
}
