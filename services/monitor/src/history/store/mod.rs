//! The history's file. The only place in this service that speaks SQL; every value is bound.

mod read;
mod retain;
mod seen;
mod told;
mod used;
mod write;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use watari_model::Timestamp;

pub(crate) use read::Filter;
pub(crate) use seen::SeenRow;
pub(crate) use told::Wanted;
pub(crate) use write::{Change, Reached};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// One that writes and two that read.
const CONNECTIONS: u32 = 3;
/// How many spoilt files are kept for whoever wants to look at them.
const SPOILT_KEPT: usize = 2;
/// SQLite's result codes for a file that is damaged or none of its own
/// (<https://sqlite.org/rescode.html>).
const SPOILT: [i32; 2] = [11, 26];

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The file is damaged. It is set aside and made anew.
    #[error("the file is damaged: {0}")]
    Spoilt(#[source] sqlx::Error),
    /// Another reason, such as a full disk; it is tried again.
    #[error("{0}")]
    Unusable(#[source] sqlx::Error),
    /// The file is of a newer version of this program.
    #[error("its tables are not of this version: {0}")]
    Version(#[source] sqlx::migrate::MigrateError),
    /// Its folder cannot be made.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_spoilt(&error) { Self::Spoilt(error) } else { Self::Unusable(error) }
    }
}

fn is_spoilt(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i32>().ok());
    // The low byte of an extended code is the plain one.
    code.is_some_and(|code| SPOILT.contains(&(code & 0xff)))
}

/// The open file. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the file, making it and its folder if need be.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may cost the last moments, which the streams still have.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await?;
        let store = Self { pool };
        match MIGRATIONS.run(&store.pool).await {
            Ok(()) => Ok(store),
            Err(error) => {
                store.close().await;
                Err(match error {
                    sqlx::migrate::MigrateError::Execute(error) => error.into(),
                    sqlx::migrate::MigrateError::ExecuteMigration(error, _) => error.into(),
                    other => StoreError::Version(other),
                })
            }
        }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Sets a damaged file aside, so that a new one can be made in its place. Older ones that were set
/// aside are removed.
pub(crate) fn set_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = beside(&format!(".spoilt-{}", now.0.unix_timestamp()));
    fs::rename(path, &aside)?;
    for ending in ["-wal", "-shm"] {
        // They belong to the old file alone and would spoil the new one.
        match fs::remove_file(beside(ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut old = spoilt(path)?;
    old.sort();
    for file in old.iter().rev().skip(SPOILT_KEPT) {
        fs::remove_file(file)?;
    }
    Ok(aside)
}

fn spoilt(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Ok(Vec::new());
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let beginning = format!("{name}.spoilt-");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|n| n.starts_with(&beginning)) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A moment as the tables have it: nanoseconds since 1970.
fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.0.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

/// SQLite's integers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
