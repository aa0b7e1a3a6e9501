//! Sending numbered mails and counting them in the mailbox.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Context;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, SmtpTransport, Tokio1Executor, Transport, message::header::ContentType,
};
use tokio::sync::watch;

use super::Mails;

/// How long the mail server may pause.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the mailbox may need to show what was accepted.
const DELIVERY: Duration = Duration::from_secs(30);

fn transport(server: Ipv4Addr) -> AsyncSmtpTransport<Tokio1Executor> {
    AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.to_string()).timeout(Some(PATIENCE)).build()
}

/// The mark by which a mail is found again.
fn mark(run: &str, number: u64) -> String {
    format!("watari-{run}-{number}.")
}

fn letter(subject: String, text: String) -> anyhow::Result<Message> {
    Ok(Message::builder()
        .from("reader@client.test".parse()?)
        .to("desk@mail.test".parse()?)
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(text)?)
}

fn numbered(run: &str, number: u64) -> anyhow::Result<Message> {
    letter(mark(run, number), format!("Number {number}.\n"))
}

/// Sends one mail, for who waits for nothing else.
pub(crate) fn post(server: &str, subject: &str) -> anyhow::Result<()> {
    let letter = letter(subject.to_owned(), "A test.\n".to_owned())?;
    let smtp = SmtpTransport::builder_dangerous(server).timeout(Some(PATIENCE)).build();
    smtp.send(&letter).context("the mail server does not accept mail")?;
    Ok(())
}

/// The first mail must be accepted.
pub(crate) async fn first(server: Ipv4Addr, run: &str) -> anyhow::Result<()> {
    transport(server).send(numbered(run, 0)?).await.context("the mail server does not accept mail")?;
    Ok(())
}

/// Sends mails 1, 2, … until `stop`. As any mail program does, it tries one that was not
/// accepted again. Returns the last number accepted and the attempts repeated.
pub(crate) async fn send(server: Ipv4Addr, run: &str, every: Duration, mut stop: watch::Receiver<bool>) -> (u64, u64) {
    let smtp = transport(server);
    let (mut accepted, mut retried) = (0, 0);
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return (accepted, retried),
        }
        let Ok(letter) = numbered(run, accepted + 1) else { return (accepted, retried) };
        match smtp.send(letter).await {
            Ok(_) => accepted += 1,
            Err(_) => retried += 1,
        }
    }
}

/// Counts the run's mails in the mailbox, waiting for those still being delivered.
pub(crate) async fn count(server: Ipv4Addr, run: &str, (last, retried): (u64, u64)) -> anyhow::Result<Mails> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?;
    let deadline = Instant::now() + DELIVERY;
    let sent = last + 1;
    loop {
        let mailbox = client
            .get(format!("http://{server}/mbox"))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .context("the mailbox cannot be read")?
            .text()
            .await?;
        let found: BTreeSet<u64> = mailbox
            .lines()
            .filter_map(|line| line.strip_prefix("Subject: ")?.trim().strip_prefix(&format!("watari-{run}-")))
            .filter_map(|number| number.strip_suffix('.')?.parse().ok())
            .filter(|number| *number <= last)
            .collect();
        let received = found.len() as u64;
        if received == sent || Instant::now() > deadline {
            return Ok(Mails { sent, received, lost: sent - received, retried });
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
