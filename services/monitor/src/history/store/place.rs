//! Where the history is kept: in a file of SQLite, or on a server of PostgreSQL.

use std::{
    fmt, fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection,
    any::AnyConnectOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode},
};
use tokio::time::timeout;

use super::{
    ANSWER, StoreError,
    tables::{OF_POSTGRES, OF_SQLITE},
};
use crate::settings;

/// The longest that a server may take to bring many rows to this version's tables, or to wait until another monitor has.
const CHANGING: Duration = Duration::from_secs(3_600);
const SCHEMES: [&str; 2] = ["postgres", "postgresql"];
const SSL_MODE: [&str; 2] = ["sslmode", "ssl-mode"];

/// Where it is kept.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In this file.
    File(PathBuf),
    /// On a server.
    Server {
        /// Where, without the password.
        options: Box<AnyConnectOptions>,
        /// The file whose first line is the password.
        password: Option<PathBuf>,
    },
}

impl Place {
    /// Where the settings say.
    ///
    /// # Errors
    /// What is wrong with the settings, and what to write instead. A password is not repeated.
    pub(crate) fn of(history: &settings::History) -> Result<Self, String> {
        let password = Some(history.password_file.clone()).filter(|path| !path.as_os_str().is_empty());
        if history.url.is_empty() {
            return match (history.path.as_os_str().is_empty(), password) {
                (true, _) => Err("history.path is empty: name a file".to_owned()),
                (_, Some(_)) => Err("history.password_file is given without history.url".to_owned()),
                (false, None) => Ok(Self::File(history.path.clone())),
            };
        }
        let of_url = |what: &str| format!("history.url {what}: use postgres://USER@HOST/DATABASE");
        let mut options = AnyConnectOptions::from_str(&history.url).map_err(|_| of_url("is no URL"))?;
        let url = &options.database_url;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(of_url("names no PostgreSQL server"));
        }
        if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") {
            return Err(
                "history.url holds a password, which whoever reads the configuration would see: write it into a \
                        file that only the monitor can read, and name that as history.password_file"
                    .to_owned(),
            );
        }
        let says_mode = url.query_pairs().any(|(key, _)| SSL_MODE.contains(&&*key));
        let parsed = PgConnectOptions::try_from(&options).map_err(|error| format!("history.url: {error}"))?;
        // Documents and the password are nobody's on the way.
        if !says_mode && is_far(&parsed) {
            options.database_url.query_pairs_mut().append_pair(SSL_MODE[0], "verify-full");
        }
        Ok(Self::Server { options: Box::new(options), password })
    }

    /// Makes the place ready, with its tables as this version has them, and tells how it is reached. By a connection of
    /// its own: a pool tries again for a while, and says only that time is up.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) async fn prepare(&self) -> Result<AnyConnectOptions, StoreError> {
        match self {
            Self::File(path) => file(path).await,
            Self::Server { options, password } => server(options.as_ref().clone(), password.as_deref()).await,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server { options, .. } => write!(f, "{}", options.database_url),
        }
    }
}

/// Whether the way to the server leaves this host.
fn is_far(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_matches(['[', ']']);
    let near = options.get_socket().is_some()
        || host == "localhost"
        || host.starts_with('/')
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !near
}

async fn file(path: &Path) -> Result<AnyConnectOptions, StoreError> {
    let failed = |source| StoreError::Folder { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
    }
    let options = SqliteConnectOptions::new()
        // A URL has no relative paths.
        .filename(std::path::absolute(path).map_err(failed)?)
        .create_if_missing(true)
        // What is forgotten can be given back to the disk, in a file that is made from now on.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        // The file stays so for all that open it later.
        .journal_mode(SqliteJournalMode::Wal);
    let mut first = options.connect().await?;
    // As `run` does, which wants a pool or has lifetimes that a task of its own cannot promise.
    let made = OF_SQLITE.run_direct(None, &mut first, false).await;
    first.close().await?;
    made?;
    Ok(AnyConnectOptions::from_url(&options.to_url_lossy())?)
}

async fn server(mut options: AnyConnectOptions, password: Option<&Path>) -> Result<AnyConnectOptions, StoreError> {
    if let Some(path) = password {
        let unreadable = |source| StoreError::Password { path: path.to_owned(), source };
        let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
        let line = text.lines().next().filter(|line| !line.is_empty());
        let line =
            line.ok_or_else(|| unreadable(io::Error::new(io::ErrorKind::UnexpectedEof, "its first line is empty")))?;
        options.database_url.query_pairs_mut().append_pair("password", line);
    }
    let plain = PgConnectOptions::try_from(&options)?;
    let mut first = timeout(ANSWER, plain.connect()).await.map_err(|_| StoreError::Silent)??;
    let made = timeout(CHANGING, OF_POSTGRES.run_direct(None, &mut first, false)).await;
    made.map_err(|_| StoreError::Silent)??;
    first.close().await?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Place, String> {
        let mut settings = settings::Settings::embedded().unwrap().history;
        settings.url = url.to_owned();
        Place::of(&settings)
    }

    #[test]
    fn without_a_url_it_is_a_file() {
        assert!(matches!(of("").unwrap(), Place::File(_)));
    }

    #[test]
    fn a_server_that_is_not_here_must_prove_who_it_is_unless_told_otherwise() {
        for (url, shown) in [
            ("postgres://w@db.example.org/watari", "postgres://w@db.example.org/watari?sslmode=verify-full"),
            ("postgres://w@db/watari?sslmode=require", "postgres://w@db/watari?sslmode=require"),
            ("postgresql://w@127.0.0.1:5433/watari", "postgresql://w@127.0.0.1:5433/watari"),
            ("postgres:///watari?host=/run/postgresql", "postgres:///watari?host=/run/postgresql"),
        ] {
            assert_eq!(of(url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_server_and_a_password_in_the_open_are_refused_and_not_repeated() {
        for url in [
            "watari",
            "mysql://w@db/watari",
            "postgres://w:geheim@db/watari",
            "postgres://w@db/watari?password=geheim",
            "postgres://w@db/watari?sslmode=perhaps",
        ] {
            let refused = of(url).unwrap_err();
            assert!(refused.contains("history.url") && !refused.contains("geheim"), "{refused}");
        }
        let mut settings = settings::Settings::embedded().unwrap().history;
        settings.password_file = "history.password".into();
        assert!(Place::of(&settings).unwrap_err().contains("history.url"));
    }
}
