//! `watari outage report`: what an outage came to, for whoever was not there. All of it is plain requests underneath.

mod chart;
mod facts;
mod markup;
mod page;
mod requested;
mod sections;
#[cfg(test)]
mod tests;

use std::{fs, time::Duration};

use clap::Args;
use watari_chassis::{Patience, clock};
use watari_contracts::{
    history::HistoryChange,
    monitor::ListHistory,
    probe::{AskSeen, SEEN, Seen},
    scheduler::{GetOutage, ListMigrations, OutageView},
};
use watari_model::{Document, outage::Outage, vm::Vm};

use super::which::Latest;
use crate::{
    Context,
    failure::Failure,
    input,
    out::{self, Out},
    texts::{evidence as told, faults::Fault},
};
use facts::{Evidence, Sources, Users, evidence};

/// A front end has to read its history first.
const PATIENCE: Patience = Patience { total: Duration::from_secs(3), quiet: Duration::from_millis(700) };
/// As many at a time as the services give.
const MOVES: u32 = 1_000;
/// An outage's document changes some dozen times.
const PAGES: usize = 5;
const PAGE: u32 = 200;
/// So many pages of what people asked of servers: that is little beside what services write.
const ASKED_PAGES: usize = 25;
/// Whoever was stopped so long before may be silent from the beginning.
const BEFORE_MS: u64 = 600_000;
/// Who asked, if that was a person: `operator@192.0.2.10`. Processes have no such sign in their names.
const PEOPLE: &str = "@";
/// What is larger was not written by the demo's users.
const MOST_BYTES: usize = 1 << 20;

/// Which outage, and in which form.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari outage report myodaiji-1
  watari outage report myodaiji --html report.html --lang ja
  watari outage report myodaiji --link-mbit 1000 -o json

The page of --html is one file in the language of the command: it loads nothing, needs no script, and prints on A4.
What front ends saw is known of servers that have probes (watari vm edit --probe). What operators stopped or rebooted
meanwhile is told as theirs, not as a gap.")]
pub struct Report {
    #[command(flatten)]
    latest: Latest,
    /// Write a page to print into this file instead, or to standard output for -
    #[arg(long, value_name = "FILE")]
    html: Option<String>,
    /// Also say how long so much data takes at the least on a link of so many Mbit/s
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    link_mbit: Option<u64>,
    /// What users noticed, as the users of deploy/demo write it (JSON)
    #[arg(long, value_name = "FILE")]
    users: Option<String>,
}

impl Report {
    /// Asks everybody, and shows or writes it.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let users = self.users.as_deref().map(read_users).transpose()?;
        let id = self.latest.id(ctx).await?;
        let view = ctx.session.ask(&GetOutage { id: id.clone() }).await?;
        let request = ListMigrations { outage: Some(id.clone()), limit: Some(MOVES), ..ListMigrations::default() };
        let pages = ctx.session.pages(request, |page| (page.migrations, page.next), |r, after| r.after = after);
        let migrations = pages.await?;
        let changes = changes(ctx, &view).await?;
        let seen: Vec<Seen> = ctx.session.gather(SEEN, &AskSeen { outage: id }, PATIENCE).await?;
        let asked = asked(ctx, &view, &seen).await?;
        let (link_mbit, now) = (self.link_mbit, clock::now());
        let evidence = evidence(Sources { view, migrations, seen, changes, asked, users, link_mbit, now });
        match self.html {
            Some(file) => write(ctx.out, &evidence, file),
            None => {
                let names = evidence.servers.iter().map(|server| server.vm.to_string());
                ctx.out.reported(&evidence, names, || text(ctx.out, &evidence))
            }
        }
    }
}

/// What happened to the outage's document, oldest first.
async fn changes(ctx: &Context, view: &OutageView) -> Result<Vec<HistoryChange>, Failure> {
    let request = ListHistory {
        bucket: Some(Outage::BUCKET.to_owned()),
        key: Some(view.id.to_string()),
        since: Some(view.created_at),
        limit: Some(PAGE),
        ..ListHistory::default()
    };
    history(ctx, request, PAGES).await
}

/// What people asked of servers while the outage was under way and its servers were watched, oldest first.
async fn asked(ctx: &Context, view: &OutageView, seen: &[Seen]) -> Result<Vec<HistoryChange>, Failure> {
    let Some(way) = view.out.or(view.home) else { return Ok(Vec::new()) };
    let watched = || seen.iter().flat_map(|seen| &seen.watched);
    let first = watched().map(|one| one.from).chain([way.began_at]).min().unwrap_or(way.began_at);
    let last = watched().map(|one| one.until).chain([view.changed_at]).max().filter(|_| view.state.is_over());
    let request = ListHistory {
        bucket: Some(Vm::BUCKET.to_owned()),
        since: Some(first.minus_millis(BEFORE_MS)),
        until: last.map(|last| last.plus_millis(1)),
        by: Some(PEOPLE.to_owned()),
        limit: Some(PAGE),
        ..ListHistory::default()
    };
    history(ctx, request, ASKED_PAGES).await
}

/// So many pages of changes, oldest first. A history that cannot be read says nothing.
async fn history(ctx: &Context, mut request: ListHistory, pages: usize) -> Result<Vec<HistoryChange>, Failure> {
    let mut all = Vec::new();
    for _ in 0..pages {
        let page = match ctx.session.ask(&request).await {
            Ok(page) => page,
            Err(Failure::Refused(_)) => break,
            Err(failure) => return Err(failure),
        };
        all.extend(page.changes);
        request.before = page.next;
        if request.before.is_none() {
            break;
        }
    }
    all.reverse();
    Ok(all)
}

fn read_users(file: &str) -> Result<Users, Failure> {
    let text = input::text(file, MOST_BYTES)?;
    serde_json::from_str(&text).map_err(|e| Fault::File { path: file.to_owned(), detail: e.to_string() }.into())
}

fn write(out: Out, evidence: &Evidence, file: String) -> Result<(), Failure> {
    let text = page::page(evidence, out.lang);
    if file == "-" {
        // The last line's end comes with it.
        return out.text(text.trim_end_matches('\n'));
    }
    match fs::write(&file, text) {
        Ok(()) => {
            out::say(&told::written(out.lang, &file));
            Ok(())
        }
        Err(error) => Err(Fault::unwritten(&file, &error).into()),
    }
}

/// For a terminal.
fn text(out: Out, evidence: &Evidence) -> String {
    let head = sections::head(evidence, out.lang).into_iter().map(|(name, value)| format!("{name}: {value}"));
    let mut parts = vec![head.collect::<Vec<_>>().join("\n")];
    for section in sections::sections(evidence, out.lang) {
        let table = section.table.map(|grid| out::grid(&grid.headings, grid.rows));
        let below = Some(section.lines.join("\n")).filter(|lines| !lines.is_empty());
        let title = format!("{}:", section.title);
        parts.push([Some(title), table, below].into_iter().flatten().collect::<Vec<_>>().join("\n"));
    }
    parts.join("\n\n")
}
