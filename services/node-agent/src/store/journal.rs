//! The journal: what the agent has seen and taken on. Every write is on the disk (fsync) before
//! the call returns, so that what is done afterwards is never unknown after a crash.

use std::{fs, io, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc, time::Duration};

use sqlx::{
    Row, Sqlite, Transaction,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};
use tokio::sync::Mutex;
use watari_contracts::agent::Progress;
use watari_model::{MigrationId, Refusal, admission};

use super::tables::TABLES;
use crate::{record::Record, work::Work};

/// Migrations remembered as broken off.
const CLOSED_KEPT: i64 = 4_096;
/// Removed servers remembered.
const TOMBSTONES_KEPT: i64 = 4_096;

/// What can go wrong with the journal. Nothing is done on the strength of a write that failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite.
    #[error("the journal could not {act}")]
    Sql {
        /// What was being tried.
        act: &'static str,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// Its tables could not be made.
    #[error("the journal's tables could not be made")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A body that cannot be read or written.
    #[error("the journal holds what cannot be read")]
    Body(#[from] serde_json::Error),
    /// A number beyond SQLite's.
    #[error("a number of the order is absurd")]
    Number,
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Self::Internal { detail: format!("{error}{cause}") }
    }
}

/// Names an operation: whose, which verb, which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The server's UUID, or `name:NAME` if none is known.
    pub server: String,
    /// The verb.
    pub verb: &'static str,
    /// The order's operation.
    pub operation: String,
}

/// What is written when an order is taken, all at once.
pub struct Accepted<'a> {
    /// Which operation.
    pub key: &'a Key,
    /// What is to be done.
    pub work: &'a Work,
    /// The server as it is from now on.
    pub record: Option<&'a Record>,
}

/// An operation that was under way when the agent ended.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// Whose.
    pub server: String,
    /// What was ordered.
    pub work: Work,
}

/// A handle to the journal; clones share it.
#[derive(Clone)]
pub struct Journal {
    pool: SqlitePool,
    epoch: Arc<Mutex<u64>>,
    operations_kept: u32,
}

pub(super) fn sql(act: &'static str) -> impl FnOnce(sqlx::Error) -> JournalError {
    move |source| JournalError::Sql { act, source }
}

pub(super) fn number(n: u64) -> Result<i64, JournalError> {
    i64::try_from(n).map_err(|_| JournalError::Number)
}

/// Makes the file, if there is none, readable for its owner alone: it keeps orders, and those hold
/// user-data. SQLite gives its other files the same mode.
fn private(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

impl Journal {
    /// Opens the file, or makes it. It is held exclusively: a second agent on the same folder gets an error.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub async fn open(path: &Path, operations_kept: u32) -> Result<Self, JournalError> {
        private(path).map_err(sqlx::Error::Io).map_err(sql("be made for its owner alone"))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .locking_mode(SqliteLockingMode::Exclusive)
            .busy_timeout(Duration::from_secs(5))
            .pragma("cache_size", "-256");
        let pool = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(sql("be opened (does another agent use it?)"))?;
        TABLES.run(&pool).await?;
        let epoch: i64 = sqlx::query_scalar("SELECT epoch FROM node WHERE id = 1")
            .fetch_one(&pool)
            .await
            .map_err(sql("read the epoch"))?;
        let epoch = Arc::new(Mutex::new(u64::try_from(epoch).unwrap_or(0)));
        Ok(Self { pool, epoch, operations_kept })
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Closes it properly. Not needed for safety.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The highest epoch seen.
    pub async fn epoch(&self) -> u64 {
        *self.epoch.lock().await
    }

    /// Takes note of an order's epoch.
    ///
    /// # Errors
    /// [`Refusal::Stale`] if a higher one has been seen; the journal's own.
    pub async fn heed_epoch(&self, given: u64) -> Result<(), Refusal> {
        let mut seen = self.epoch.lock().await;
        if admission::heed(*seen, given)? > *seen {
            sqlx::query("UPDATE node SET epoch = max(epoch, ?) WHERE id = 1")
                .bind(number(given)?)
                .execute(&self.pool)
                .await
                .map_err(sql("keep the epoch"))?;
            *seen = given;
        }
        Ok(())
    }

    /// All servers, tombstones too.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn records(&self) -> Result<Vec<Record>, JournalError> {
        let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM servers ORDER BY uuid")
            .fetch_all(&self.pool)
            .await
            .map_err(sql("list the servers"))?;
        bodies.iter().map(|body| Ok(serde_json::from_str(body)?)).collect()
    }

    /// Operations that were under way when the agent ended, in the order of acceptance.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, JournalError> {
        let rows = sqlx::query("SELECT server, work FROM operations WHERE working = 1 ORDER BY number")
            .fetch_all(&self.pool)
            .await
            .map_err(sql("list the operations"))?;
        rows.iter()
            .map(|row| {
                let work: String = row.try_get("work").map_err(sql("read an operation"))?;
                let server = row.try_get("server").map_err(sql("read an operation"))?;
                Ok(Unfinished { server, work: serde_json::from_str(&work)? })
            })
            .collect()
    }

    /// How far an operation is, if it is known.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn progress(&self, key: &Key) -> Result<Option<Progress>, JournalError> {
        let text: Option<String> =
            sqlx::query_scalar("SELECT progress FROM operations WHERE server = ? AND verb = ? AND operation = ?")
                .bind(&key.server)
                .bind(key.verb)
                .bind(&key.operation)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("look an operation up"))?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Whether a migration may no longer begin here.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn is_closed(&self, migration: &MigrationId) -> Result<bool, JournalError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT number FROM closed_migrations WHERE migration = ?")
            .bind(migration.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("look a migration up"))?;
        Ok(found.is_some())
    }

    /// Writes down that an order is taken, and the server as it is from now on.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn accept(&self, accepted: Accepted<'_>) -> Result<(), JournalError> {
        let mut write = self.pool.begin().await.map_err(sql("begin"))?;
        if let Some(record) = accepted.record {
            put_record(&mut write, record).await?;
        }
        put_operation(&mut write, accepted.key, accepted.work, &Progress::Working).await?;
        if let Some(migration) = accepted.work.closes_migration() {
            close_migration(&mut write, migration).await?;
        }
        write.commit().await.map_err(sql("keep an order"))
    }

    /// Writes a server down.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn save(&self, record: &Record) -> Result<(), JournalError> {
        let mut write = self.pool.begin().await.map_err(sql("begin"))?;
        put_record(&mut write, record).await?;
        write.commit().await.map_err(sql("keep a server"))
    }

    /// Writes down how an operation ended, and forgets the oldest of that server beyond the bound.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn finish(&self, key: &Key, work: &Work, progress: &Progress) -> Result<(), JournalError> {
        let mut write = self.pool.begin().await.map_err(sql("begin"))?;
        put_operation(&mut write, key, work, progress).await?;
        sqlx::query(
            "DELETE FROM operations WHERE server = ?1 AND working = 0 AND number NOT IN \
             (SELECT number FROM operations WHERE server = ?1 AND working = 0 ORDER BY number DESC LIMIT ?2)",
        )
        .bind(&key.server)
        .bind(i64::from(self.operations_kept))
        .execute(&mut *write)
        .await
        .map_err(sql("forget old operations"))?;
        write.commit().await.map_err(sql("keep an operation's end"))
    }

    /// Forgets what is too old to matter: removed servers beyond a bound, and the operations of
    /// servers that are no longer known.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn tidy(&self) -> Result<(), JournalError> {
        let mut write = self.pool.begin().await.map_err(sql("begin"))?;
        sqlx::query(
            "DELETE FROM servers WHERE uuid IN (SELECT uuid FROM servers WHERE body ->> '$.removal' = 'done' \
             ORDER BY body ->> '$.chosen' DESC LIMIT -1 OFFSET ?)",
        )
        .bind(TOMBSTONES_KEPT)
        .execute(&mut *write)
        .await
        .map_err(sql("forget removed servers"))?;
        sqlx::query(
            "DELETE FROM operations WHERE working = 0 AND server NOT LIKE 'name:%' \
             AND server NOT IN (SELECT uuid FROM servers)",
        )
        .execute(&mut *write)
        .await
        .map_err(sql("forget old operations"))?;
        write.commit().await.map_err(sql("forget"))
    }
}

async fn put_record(write: &mut Transaction<'_, Sqlite>, record: &Record) -> Result<(), JournalError> {
    sqlx::query(
        "INSERT INTO servers (uuid, vm, generation, granted, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (uuid) DO \
         UPDATE SET vm = excluded.vm, generation = excluded.generation, granted = excluded.granted, body = excluded.body",
    )
    .bind(&record.uuid)
    .bind(record.vm.as_str())
    .bind(number(record.seen.generation)?)
    .bind(number(record.seen.granted)?)
    .bind(serde_json::to_string(record)?)
    .execute(&mut **write)
    .await
    .map(drop)
    .map_err(sql("keep a server"))
}

async fn put_operation(
    write: &mut Transaction<'_, Sqlite>,
    key: &Key,
    work: &Work,
    progress: &Progress,
) -> Result<(), JournalError> {
    sqlx::query(
        "INSERT INTO operations (server, verb, operation, work, progress, working) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (server, verb, operation) DO \
         UPDATE SET work = excluded.work, progress = excluded.progress, working = excluded.working",
    )
    .bind(&key.server)
    .bind(key.verb)
    .bind(&key.operation)
    .bind(serde_json::to_string(work)?)
    .bind(serde_json::to_string(progress)?)
    .bind(i64::from(*progress == Progress::Working))
    .execute(&mut **write)
    .await
    .map(drop)
    .map_err(sql("keep an operation"))
}

async fn close_migration(write: &mut Transaction<'_, Sqlite>, migration: &MigrationId) -> Result<(), JournalError> {
    sqlx::query("INSERT INTO closed_migrations (migration) VALUES (?) ON CONFLICT (migration) DO NOTHING")
        .bind(migration.as_str())
        .execute(&mut **write)
        .await
        .map_err(sql("close a migration"))?;
    sqlx::query("DELETE FROM closed_migrations WHERE number <= (SELECT max(number) FROM closed_migrations) - ?")
        .bind(CLOSED_KEPT)
        .execute(&mut **write)
        .await
        .map(drop)
        .map_err(sql("forget old migrations"))
}
