//! Someone who sends mail, and looks for it afterwards.

use std::{
    net::Ipv4Addr,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use tokio::sync::watch;

use crate::{
    lab::Lab,
    requests,
    users::{Mails, mail},
};

/// Between two mails.
const EVERY: Duration = Duration::from_millis(500);
/// How long the first one may take to be accepted: a guest that has just been booted is heard before its mail server is.
const FIRST: Duration = Duration::from_secs(120);

pub(super) struct Post {
    stop: watch::Sender<bool>,
    person: JoinHandle<anyhow::Result<Mails>>,
}

impl Post {
    /// Begins to send mails that are marked with `run`.
    pub(super) fn start(lab: &Lab, server: Ipv4Addr, run: &str) -> Self {
        let (stop, stopped) = watch::channel(false);
        let run = run.to_owned();
        let person = requests::at_client(lab, async move |_| {
            let begun = Instant::now();
            while let Err(error) = mail::first(server, &run).await {
                if begun.elapsed() > FIRST {
                    return Err(error);
                }
                tokio::time::sleep(EVERY).await;
            }
            let sent = mail::send(server, &run, EVERY, stopped).await;
            mail::count(server, &run, sent).await
        });
        Self { stop, person }
    }

    /// Ends it, and counts what is in the mailbox.
    pub(super) fn end(self) -> anyhow::Result<Mails> {
        let _ = self.stop.send(true);
        self.person.join().map_err(|_| anyhow!("who sends mail panicked"))?
    }
}
