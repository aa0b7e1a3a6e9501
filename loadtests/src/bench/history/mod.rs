//! `watari history` and `watari usage report` over a year of a whole site, in a file or on a PostgreSQL server. It needs no
//! lab: a nats-server of its own and a real monitor, which hears within a minute or two what buckets would have told in a year.

mod year;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde::Serialize;
use watari_chassis::{Bus, BusSettings, clock};
use watari_contracts::{
    Request,
    history::{ListHistory, ReportUsage},
    monitor::ListEvents,
};
use watari_model::Timestamp;
use watari_testkit::{NatsServer, TempDir};

use super::{Bound, latency::Taken, program::Program};
use year::{RARE, Year, name};

/// How long the monitor may take to answer at all, and to write a part of the year down.
const PATIENCE: Duration = Duration::from_secs(120);
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Where the history is kept.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The PostgreSQL server's URL, of an empty database; none is a file.
    pub url: Option<String>,
    /// The file with its password.
    pub password_file: Option<PathBuf>,
}

/// Latencies in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Answers {
    /// Of SQLite or PostgreSQL.
    pub kept_in: &'static str,
    /// How many servers there were.
    pub servers: u64,
    /// How many changes of them.
    pub changes: u64,
    /// How many of these were written down a second.
    pub changes_per_second: u64,
    /// How many times each was asked.
    pub requests: u64,
    /// Median of a page of the history: the newest changes, a server's, those of a month, those of somebody.
    pub history_p50_ms: f64,
    /// 99th percentile.
    pub history_p99_ms: f64,
    /// Median of a page of fifty servers' use in a month, or in the whole year.
    pub usage_p50_ms: f64,
    /// 99th percentile.
    pub usage_p99_ms: f64,
}

impl Answers {
    /// Either below 100 ms at the 99th percentile.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        vec![
            Bound::most("history_p99_ms", self.history_p99_ms, 100.0),
            Bound::most("usage_p99_ms", self.usage_p99_ms, 100.0),
        ]
    }
}

impl Place {
    /// What a monitor is told of it, which keeps its history in `file` where nothing else is named.
    fn settings(&self, file: PathBuf) -> Vec<(&'static str, OsString)> {
        let mut settings = vec![("WATARI_HISTORY_PATH", file.into_os_string())];
        settings.extend(self.url.clone().map(|url| ("WATARI_HISTORY_URL", OsString::from(url))));
        let password = self.password_file.clone();
        settings.extend(password.map(|file| ("WATARI_HISTORY_PASSWORD_FILE", file.into_os_string())));
        settings
    }
}

/// Fills the history with a year in which each of `servers` servers was written `writes` times, and asks `requests` times
/// for each kind of answer. `program` is the monitor's.
///
/// # Errors
/// When the bus or the monitor does not start or answer, or the database is not empty.
pub async fn run(program: &Path, place: &Place, servers: u64, writes: u64, requests: u64) -> anyhow::Result<Answers> {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = Bus::connect(&BusSettings { urls: vec![nats.url()], ..BusSettings::default() }).await?;
    let settings = place.settings(dir.path().join("history.db"));
    let _monitor = Program::start_with(program, &nats.url(), settings)?;
    ensure!(written(&bus, 0).await? == 0, "the database is not empty");
    let until = clock::now();
    let from = until.minus_millis(365 * DAY_MS);
    let mut year = Year::open(&nats.url(), from, until, servers, servers.saturating_mul(writes))?;
    let (began, changes) = (Instant::now(), servers.saturating_mul(writes));
    let mut tenth = 1;
    while let Some(last) = year.tell()? {
        written(&bus, last).await?;
        while last >= changes / 10 * tenth && tenth <= 10 {
            eprintln!("{} s: {tenth} tenths of {changes} changes are written down", began.elapsed().as_secs());
            tenth += 1;
        }
    }
    let changes_per_second = changes / began.elapsed().as_secs().max(1);
    let (mut pages, mut uses) = (Taken::none()?, Taken::none()?);
    for number in 0..requests {
        ask(&bus, &page(number, servers, from), &mut pages).await?;
        ask(&bus, &usage(number, servers, from, until)?, &mut uses).await?;
    }
    let (history, used) = (pages.latency(), uses.latency());
    Ok(Answers {
        kept_in: if place.url.is_some() { "PostgreSQL" } else { "SQLite" },
        servers,
        changes,
        changes_per_second,
        requests,
        history_p50_ms: history.p50_ms,
        history_p99_ms: history.p99_ms,
        usage_p50_ms: used.p50_ms,
        usage_p99_ms: used.p99_ms,
    })
}

/// Waits until the history has the change of this revision, and tells its newest one, 0 if it has none.
async fn written(bus: &Bus, revision: u64) -> anyhow::Result<u64> {
    let newest = ListEvents { bucket: Some("vms".to_owned()), limit: Some(1), ..ListEvents::default() };
    let began = Instant::now();
    loop {
        if let Ok(page) = bus.request(&newest).await {
            let reached = page.events.last().map_or(0, |event| event.revision);
            if reached >= revision {
                return Ok(reached);
            }
        }
        ensure!(began.elapsed() < PATIENCE, "the monitor does not write down change {revision}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask<R: Request>(bus: &Bus, request: &R, into: &mut Taken) -> anyhow::Result<()> {
    let began = Instant::now();
    bus.request(request).await?;
    into.take(began)
}

/// What people ask of the history, one after another.
fn page(number: u64, servers: u64, from: Timestamp) -> ListHistory {
    let month = from.plus_millis(number.wrapping_mul(37) % 330 * DAY_MS);
    match number % 5 {
        0 => ListHistory::default(),
        1 => ListHistory { key: Some(name(number.wrapping_mul(7) % servers)), ..ListHistory::default() },
        2 => ListHistory { since: Some(month), until: Some(month.plus_millis(30 * DAY_MS)), ..ListHistory::default() },
        3 => ListHistory { bucket: Some("vms".to_owned()), until: Some(month), ..ListHistory::default() },
        // Of whom there is less than a page, so that all of it is looked through.
        _ => ListHistory { by: Some(RARE.to_owned()), ..ListHistory::default() },
    }
}

/// Fifty servers, now in a month and now in the whole year.
fn usage(number: u64, servers: u64, from: Timestamp, until: Timestamp) -> anyhow::Result<ReportUsage> {
    let after = name(number.wrapping_mul(50) % servers).parse()?;
    let month = from.plus_millis(number % 11 * 30 * DAY_MS);
    let (from, until) = if number.is_multiple_of(2) { (from, until) } else { (month, month.plus_millis(30 * DAY_MS)) };
    Ok(ReportUsage { from, until, vm: None, project: None, after: Some(after), limit: None })
}
