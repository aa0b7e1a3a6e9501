//! Asking one `upsd` about one UPS. Every question makes a connection of its own: there are few, and one
//! that is kept may be dead without anybody's knowing just when the power goes.

use std::{io, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
};
use watari_model::site::MOST_SECONDS_LEFT;

use super::{
    line::{self, Odd},
    reading::Answer,
};
use crate::settings::power::{Ups, UpsName};

/// Why a UPS did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There is no connection, or no longer.
    #[error("no connection: {0}")]
    Connection(#[from] io::Error),
    /// Nothing came in time.
    #[error("no answer in time")]
    Slow,
    /// Something else came.
    #[error(transparent)]
    Odd(#[from] Odd),
    /// The password cannot be had.
    #[error("cannot read {path}: {source}")]
    Password {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Who asks about one UPS.
pub(super) struct Client {
    name: UpsName,
    login: Option<(String, PathBuf)>,
    bound: Duration,
}

impl Client {
    pub(super) fn new(ups: &Ups, bound: Duration) -> Self {
        let login = ups.user.clone().zip(ups.password_file.clone());
        Self { name: ups.name.clone(), login, bound }
    }

    pub(super) const fn name(&self) -> &UpsName {
        &self.name
    }

    /// What the UPS says now. It takes no longer than the bound, whatever is at the other end.
    pub(super) async fn ask(&self) -> Result<Answer, Fault> {
        tokio::time::timeout(self.bound, self.exchange()).await.unwrap_or(Err(Fault::Slow))
    }

    async fn exchange(&self) -> Result<Answer, Fault> {
        let mut upsd = BufStream::new(TcpStream::connect(self.name.address()).await?);
        if let Some((user, path)) = &self.login {
            let unreadable = |source| Fault::Password { path: path.clone(), source };
            let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
            let password = text.lines().next().unwrap_or_default();
            for (verb, word) in [("USERNAME", user.as_str()), ("PASSWORD", password)] {
                line::accepted(&answer(&mut upsd, &line::say(verb, word)).await?)?;
            }
        }
        Ok(Answer {
            status: self.variable(&mut upsd, "ups.status").await?,
            charge: self.number(&mut upsd, "battery.charge", 100).await?,
            runtime: self.number(&mut upsd, "battery.runtime", MOST_SECONDS_LEFT).await?,
        })
    }

    async fn variable(&self, upsd: &mut BufStream<TcpStream>, variable: &str) -> Result<String, Fault> {
        let line = answer(upsd, &line::get(self.name.ups(), variable)).await?;
        Ok(line::value(&line, self.name.ups(), variable)?)
    }

    /// Not every UPS knows everything of its battery.
    async fn number(&self, upsd: &mut BufStream<TcpStream>, variable: &str, most: u64) -> Result<Option<u64>, Fault> {
        match self.variable(upsd, variable).await {
            Ok(text) => Ok(line::number(&text, most)),
            Err(Fault::Odd(odd)) if odd.is_unsupported() => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

/// The line that comes back for a line, both bounded.
async fn answer(upsd: &mut BufStream<TcpStream>, question: &str) -> Result<String, Fault> {
    upsd.write_all(question.as_bytes()).await?;
    upsd.flush().await?;
    let mut line = Vec::new();
    upsd.take(line::MOST_BYTES).read_until(b'\n', &mut line).await?;
    match line.pop() {
        Some(b'\n') => String::from_utf8(line).map_err(|_| Odd::Gibberish.into()),
        Some(_) => Err(Odd::Gibberish.into()),
        None => Err(Fault::Connection(io::ErrorKind::UnexpectedEof.into())),
    }
}
