//! The people of the institute: they send mail, read pages and keep one connection open, and
//! they notice when something stops.

mod connection;
pub(crate) mod mail;
mod pages;

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::requests::{self, Waits};

/// Between two requests of the operator.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// What the users noticed. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noticed {
    /// Their mails.
    pub mails: Mails,
    /// Their pages.
    pub http: Http,
    /// Their open connection.
    pub connection: Connection,
    /// An operator's requests to the services, if one was at work.
    pub control: Option<Waits>,
}

/// Numbered mails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mails {
    /// Accepted by the mail server.
    pub sent: u64,
    /// Found in the mailbox at the end.
    pub received: u64,
    /// Accepted and not found.
    pub lost: u64,
    /// Attempts that the mail program had to repeat.
    pub retried: u64,
}

/// Pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Asked for.
    pub requests: u64,
    /// Not answered with 200 within ten seconds.
    pub failed: u64,
    /// The longest time between two pages.
    pub longest_gap_ms: u64,
    /// The last page's own account of the guest: its boot id must not have changed.
    pub boots_seen: u64,
}

/// One TCP connection, held open throughout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Whether it is the one that was opened at the start, with every byte echoed.
    pub survived: bool,
    /// The longest time between two echoes.
    pub longest_gap_ms: u64,
    /// Echoes received.
    pub echoes: u64,
}

/// Where the servers are and how often they are used.
#[derive(Clone, Debug)]
pub struct Habits {
    /// The mail server.
    pub mail: Ipv4Addr,
    /// The web server.
    pub web: Ipv4Addr,
    /// Between two mails.
    pub mail_every: Duration,
    /// Between two pages.
    pub page_every: Duration,
    /// Between two bytes on the open connection.
    pub byte_every: Duration,
    /// The settings of the operator's command, if an operator is at work too.
    pub operator: Option<PathBuf>,
    /// Written once all three have succeeded for the first time: from then on it counts.
    pub ready_file: Option<PathBuf>,
}

/// Lives the users' life until `stop` turns true, then reads the mailbox.
///
/// # Errors
/// When the servers cannot be reached at the start, or the mailbox at the end.
pub async fn live(habits: Habits, stop: watch::Receiver<bool>) -> anyhow::Result<Noticed> {
    let run = format!("{:x}", std::process::id());
    let open = connection::Open::connect(habits.mail).await?;
    mail::first(habits.mail, &run).await?;
    pages::first(habits.web).await?;
    let operator = match &habits.operator {
        Some(file) => Some(requests::connect(file, |path| path).await?),
        None => None,
    };
    if let Some(file) = &habits.ready_file {
        tokio::fs::write(file, b"ready\n").await?;
    }
    let asking = async {
        match operator {
            Some(bus) => Some(requests::keep_asking(bus, ASK_EVERY, stop.clone()).await),
            None => None,
        }
    };
    let (connection, http, sent, control) = tokio::join!(
        open.keep(habits.byte_every, stop.clone()),
        pages::read(habits.web, habits.page_every, stop.clone()),
        mail::send(habits.mail, &run, habits.mail_every, stop.clone()),
        asking,
    );
    let mails = mail::count(habits.mail, &run, sent).await?;
    Ok(Noticed { mails, http, connection, control })
}
