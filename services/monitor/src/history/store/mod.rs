//! The history's tables, in a file of SQLite or on a server of PostgreSQL. The only place in this service that speaks
//! SQL: one text for both, and every value is bound.

mod asked;
mod kept;
mod place;
mod read;
mod retain;
mod seen;
mod tables;
mod told;
mod used;
mod write;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Any, AnyPool, Connection, Transaction, any::AnyPoolOptions, error::DatabaseError, migrate::MigrateError,
    sqlite::SqliteError,
};
use tokio::time::{sleep, timeout};
use watari_model::Timestamp;

pub(crate) use place::Place;
pub(crate) use read::Filter;
pub(crate) use seen::SeenRow;
pub(crate) use told::Wanted;
pub(crate) use write::{Change, Reached};

/// One that writes, one that sees whether the server is there, and two that read.
const CONNECTIONS: u32 = 4;
/// The longest that a question, or a connection for one, is waited for. Of a server that was cut off its power nothing
/// is heard, not even that it is gone.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// How many spoilt files are kept for whoever wants to look at them.
const SPOILT_KEPT: usize = 2;
/// SQLite's result codes for a file that is damaged or none of its own
/// (<https://sqlite.org/rescode.html>).
const SPOILT: [i32; 2] = [11, 26];
/// The advisory lock of whoever writes to the history on a server: `watari` as ASCII.
const WRITER: i64 = 0x7761_7461_7269;

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The file is damaged. It is set aside and made anew.
    #[error("the file is damaged: {0}")]
    Spoilt(#[source] sqlx::Error),
    /// Another reason, such as a full disk or a server that is away; it is tried again.
    #[error("{0}")]
    Unusable(#[source] sqlx::Error),
    /// The server does not answer; it is tried again.
    #[error("the server does not answer in time")]
    Silent,
    /// The tables are of a newer version of this program.
    #[error("its tables are not of this version: {0}")]
    Version(#[source] MigrateError),
    /// Its folder cannot be made.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The password cannot be had.
    #[error("cannot read {path}: {source}")]
    Password {
        /// Which file.
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

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Version(other),
        }
    }
}

fn is_spoilt(error: &sqlx::Error) -> bool {
    // PostgreSQL's codes are others.
    let of_sqlite = error.as_database_error().and_then(|e| e.try_downcast_ref::<SqliteError>());
    let code = of_sqlite.and_then(|e| e.code()).and_then(|code| code.parse::<i32>().ok());
    // The low byte of an extended code is the plain one.
    code.is_some_and(|code| SPOILT.contains(&(code & 0xff)))
}

/// What differs between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Server,
}

impl Kind {
    /// What every connection begins with.
    const fn first_words(self) -> &'static str {
        match self {
            // A power cut may cost the last moments, which the streams still have.
            Self::File => "PRAGMA synchronous = NORMAL",
            // A writer that died with its host holds up the other monitor no longer than this.
            Self::Server => {
                "SELECT set_config('lock_timeout', '10s', false),
                        set_config('idle_in_transaction_session_timeout', '10s', false)"
            }
        }
    }

    /// What compares with a pattern in whatever case.
    const fn like(self) -> &'static str {
        match self {
            Self::File => "LIKE",
            Self::Server => "ILIKE",
        }
    }
}

/// The open history. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: AnyPool,
    kind: Kind,
}

impl Store {
    /// Opens the history, making its tables, and its file and folder, if need be.
    pub(crate) async fn open(place: &Place) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let kind = match place {
            Place::File(_) => Kind::File,
            Place::Server { .. } => Kind::Server,
        };
        let options = place.prepare().await?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ANSWER)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    sqlx::query(kind.first_words()).execute(connection).await?;
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, kind })
    }

    /// Begins to write. It reads before it writes: had another written meanwhile, it could not go on, so that there is
    /// one writer at a time, with two monitors on one server as well.
    async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        if self.kind == Kind::File {
            return Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?);
        }
        let mut all = self.pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITER).execute(&mut *all).await?;
        Ok(all)
    }

    /// Why the server is not there any more, as soon as that is so, looking each time after `every`. A file does not go
    /// by itself.
    pub(crate) async fn lost(&self, every: Duration) -> StoreError {
        if self.kind == Kind::File {
            return std::future::pending().await;
        }
        let mut connection = match self.pool.acquire().await {
            Ok(connection) => connection,
            Err(error) => return error.into(),
        };
        loop {
            sleep(every).await;
            match timeout(ANSWER, connection.ping()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => return StoreError::Silent,
            }
        }
    }

    /// Closes it, unless the server holds that up.
    pub(crate) async fn close(&self) {
        let _ = timeout(ANSWER, self.pool.close()).await;
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

/// Text as both take it: PostgreSQL has none with a NUL in it.
fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// SQL's integers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
