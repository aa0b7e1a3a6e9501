//! `watari history`.

use std::net::Ipv4Addr;

use clap::Args;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use watari_chassis::clock;
use watari_contracts::{
    address::GetAddress,
    history::{FieldChange, HistoryChange},
    monitor::ListHistory,
};
use watari_model::{Said, Timestamp};

use crate::{
    Context,
    failure::Failure,
    format, input, known,
    lang::Lang,
    out::{Column, Row, joined, or_dash},
    texts::{happenings, states, words::Word},
};

/// What can be asked for, and where its documents are.
pub(crate) const NOUNS: [(&str, &str); 13] = [
    ("vm", "vms"),
    ("node", "nodes"),
    ("site", "sites"),
    ("frontend", "frontends"),
    ("image", "images"),
    ("network", "networks"),
    ("port", "ports"),
    ("address", "addresses"),
    ("key", "keys"),
    ("project", "projects"),
    ("firewall", "firewalls"),
    ("migration", "migrations"),
    ("outage", "outages"),
];
/// So many changes are shown if nobody says how many.
const USUAL: u32 = 50;
/// What is in JSON only.
const INTERNAL: [&str; 8] =
    ["inventory.health", "migrations", "reboots", "grant.generation", "leftovers", "layers", "request_id", "v"];
/// After so many pages of nothing else it is looked no further back.
const IDLE: u32 = 50;
/// The most that are asked for at a time.
const PAGE: u32 = 200;
/// So many fields of a change are shown in a table; JSON has them all.
const FIELDS: usize = 3;
/// The longest value that a table shows, in characters.
const LONGEST: usize = 24;

/// Who did what, when and why, with what was before and after
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari history --since 2d
  watari history vm/mail --since 2026-11-01
  watari history --by sato --limit 20 -o json

Who a person is, and from which address, is what NATS knows of the connection. The name in brackets is what the
command found the person to be logged in as: it proves nothing.")]
pub struct History {
    /// What: vm, node, site, frontend, image, network, port, address, key, project, firewall, migration or outage, or
    /// one of them as in vm/mail; everything if left out
    #[arg(value_name = "NOUN[/NAME]")]
    what: Option<String>,
    /// Not before: 2d, 12h or 30m ago, a day, or a moment such as "2026-11-01 08:00"
    #[arg(long, alias = "from", value_name = "WHEN")]
    since: Option<String>,
    /// Before: as --since
    #[arg(long, alias = "to", value_name = "WHEN")]
    until: Option<String>,
    /// Only what was done by whom this is a part of the name or address of
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = USUAL, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

impl History {
    /// Shows it, newest last.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let now = clock::now();
        let past = |field: &str, text: &Option<String>| text.as_ref().map(|t| input::past(field, t, now)).transpose();
        let (bucket, key) = self.what.as_deref().map(place).transpose()?.unwrap_or_default();
        let (since, until) = (past("--since", &self.since)?, past("--until", &self.until)?);
        if let (Some(begin), Some(end), Some(text)) = (since, until, &self.until) {
            input::later("--until", text, end, &Said::both("--since"), begin)?;
        }
        let address = bucket.as_deref().zip(key.as_deref()).and_then(|(bucket, key)| address_of(bucket, key));
        // Which network an address is of is part of its key, and nobody types that.
        let key = key.filter(|_| address.is_none());
        let request = ListHistory { bucket, key, since, until, by: self.by, before: None, limit: None };
        let changes = found(ctx, request.clone(), address, self.limit as usize).await?;
        if let (Some(address), true) = (address, changes.is_empty() && request.bucket.as_deref() == Some("addresses")) {
            ctx.session.must_know(&GetAddress { address }).await?;
        }
        if let (Some(bucket), Some(key), true) = (&request.bucket, &request.key, changes.is_empty()) {
            let ever = ListHistory { bucket: Some(bucket.clone()), key: Some(key.clone()), ..ListHistory::default() };
            if ctx.session.glance(&ever).await.is_none_or(|page| page.changes.is_empty()) {
                known::check(&ctx.session, bucket, key).await?;
            }
        }
        ctx.out.list(&changes)
    }
}

/// At most so many changes, newest last. People are not shown what services note for themselves alone.
async fn found(
    ctx: &Context,
    mut request: ListHistory,
    address: Option<Ipv4Addr>,
    most: usize,
) -> Result<Vec<HistoryChange>, Failure> {
    let people = ctx.out.format.is_for_people();
    let is_meant = |key: &str| address.is_none_or(|address| is_of(key, address));
    let (mut changes, mut idle): (Vec<HistoryChange>, u32) = (Vec::new(), 0);
    loop {
        let left = u32::try_from(most.saturating_sub(changes.len())).unwrap_or(u32::MAX);
        request.limit = Some(if people || address.is_some() { PAGE } else { left.min(PAGE) });
        let (page, before) = (ctx.session.ask(&request).await?, changes.len());
        let wanted = |change: &HistoryChange| is_meant(&change.key) && (!people || is_news(change));
        changes.extend(page.changes.into_iter().filter(wanted));
        idle = if changes.len() == before { idle + 1 } else { 0 };
        request.before = page.next;
        if request.before.is_none() || changes.len() >= most || idle == IDLE {
            changes.truncate(most);
            changes.reverse();
            return Ok(changes);
        }
    }
}

/// Whether a field is a service's own note: a counter, a measurement, or what only repeats another field.
fn is_internal(field: &str) -> bool {
    INTERNAL.iter().any(|own| field.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Whether somebody asked for it, or it changed more than services' own notes.
fn is_news(change: &HistoryChange) -> bool {
    let nothing_else = !change.fields.is_empty() && change.fields_left_out == 0;
    change.why.is_some() || !nothing_else || !change.fields.iter().all(|one| is_internal(&one.field))
}

/// The bucket, and the key if one is named. Keys may have slashes in no bucket.
fn place(what: &str) -> Result<(Option<String>, Option<String>), Failure> {
    let (noun, name) = what.split_once('/').map_or((what, None), |(noun, name)| (noun, Some(name.to_owned())));
    let known = NOUNS.iter().find(|(one, many)| noun == *one || noun == *many);
    let Some((_, bucket)) = known.filter(|_| name.as_deref() != Some("")) else {
        let nouns = NOUNS.map(|(one, _)| one).join(", ");
        return Err(input::out_of_range("NOUN[/NAME]", Said::both(nouns), what));
    };
    Ok((Some((*bucket).to_owned()), name))
}

/// The address that is meant by a name in a bucket whose keys are a network and an address.
fn address_of(bucket: &str, name: &str) -> Option<Ipv4Addr> {
    name.parse().ok().filter(|_| ["addresses", "ports"].contains(&bucket))
}

/// Whether a key, `campus.203-0-113-100`, is that of the address on whichever network.
fn is_of(key: &str, address: Ipv4Addr) -> bool {
    key.rsplit_once('.').is_some_and(|(_, digits)| digits.replace('-', ".") == address.to_string())
}

/// A value as people read it: a state's word, or a moment in their own time.
fn short(lang: Lang, value: Option<&String>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    if let Ok(at) = OffsetDateTime::parse(value, &Rfc3339) {
        return format::moment(Timestamp(at));
    }
    // What has parts is in JSON.
    if value.starts_with(['{', '[']) && serde_json::from_str::<serde_json::Value>(value).is_ok_and(|v| !is_short(&v)) {
        return "…".to_owned();
    }
    let value = states::shown(lang, value);
    let cut: String = value.chars().take(LONGEST).collect();
    if cut.len() < value.len() { format!("{cut}…") } else { cut }
}

/// Whether a value is a list of names and the like.
fn is_short(value: &serde_json::Value) -> bool {
    value.as_array().is_some_and(|parts| parts.iter().all(|part| !part.is_object() && !part.is_array()))
}

fn told(change: &HistoryChange, lang: Lang) -> String {
    let shown: Vec<&FieldChange> = change.fields.iter().filter(|one| !is_internal(&one.field)).collect();
    let lines = shown.iter().take(FIELDS).map(|FieldChange { field, before, after }| {
        format!("{field}: {} → {};", short(lang, before.as_ref()), short(lang, after.as_ref()))
    });
    let more = shown.len().saturating_sub(FIELDS) as u64 + u64::from(change.fields_left_out);
    let more = (more > 0).then(|| format!("+{more}"));
    joined(lines.chain(more)).trim_end_matches(';').to_owned()
}

impl Row for HistoryChange {
    fn columns() -> Vec<Column> {
        use Column::Text;
        vec![
            Text(Word::Time),
            Text(Word::By),
            Text(Word::Request),
            Text(Word::Bucket),
            Text(Word::Summary),
            Text(Word::BeforeAndAfter),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        vec![
            format::moment(self.at),
            or_dash(self.by.as_ref()),
            or_dash(self.why.as_ref()),
            states::shown(lang, &self.bucket),
            happenings::told(lang, &self.summary),
            told(self, lang),
        ]
    }

    fn wide_columns() -> Vec<Column> {
        vec![Column::Text(Word::Name), Column::Number(Word::Revision)]
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        vec![self.key.clone(), self.revision.to_string()]
    }

    fn name(&self) -> String {
        self.key.clone()
    }

    fn none() -> Word {
        Word::NoEvents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_a_kind_or_one_of_a_kind() {
        let read = |what: &str| place(what).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read("vm"), (text("vms"), None));
        assert_eq!(read("vms"), (text("vms"), None));
        assert_eq!(read("vm/mail"), (text("vms"), text("mail")));
        assert_eq!(read("port/campus.203-0-113-100"), (text("ports"), text("campus.203-0-113-100")));
        for bad in ["", "/", "vm/", "server", "mail"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_found_without_its_network() {
        let address = address_of("addresses", "203.0.113.200");
        assert_eq!(address, Some(Ipv4Addr::new(203, 0, 113, 200)));
        assert_eq!(address_of("ports", "203.0.113.200"), address);
        assert_eq!(address_of("vms", "203.0.113.200"), None);
        assert_eq!(address_of("addresses", "outside.203-0-113-200"), None);
        let is_of = |key: &str| address.is_some_and(|address| is_of(key, address));
        assert!(is_of("outside.203-0-113-200") && !is_of("outside.203-0-113-20") && !is_of("203-0-113-200"));
    }

    #[test]
    fn a_table_shows_some_fields_and_says_how_many_more_there_are() {
        let golden = include_str!("../../../shared/contracts/tests/golden/reply.HistoryPage.json");
        let pages: Vec<watari_contracts::monitor::HistoryPage> = serde_json::from_str(golden).unwrap();
        let mut change = pages.into_iter().next().unwrap().changes.remove(0);
        assert_eq!(told(&change, Lang::En), "pending.memory_mib: - → 1024; +2");
        change.fields_left_out = 0;
        assert_eq!(told(&change, Lang::En), "pending.memory_mib: - → 1024");
        let field = FieldChange { field: "a".to_owned(), before: Some("x".repeat(90)), after: None };
        change.fields = vec![field; 5];
        assert!(told(&change, Lang::En).ends_with("+2"), "{}", told(&change, Lang::En));
        assert!(told(&change, Lang::En).len() < 150);
        let parts = r#"[{"fault":{"detail":{"en":"x"}}}]"#.to_owned();
        change.fields = vec![FieldChange { field: "halted".to_owned(), before: None, after: Some(parts) }];
        assert_eq!(told(&change, Lang::En), "halted: - → …");
    }

    #[test]
    fn what_services_note_for_themselves_is_no_news_unless_somebody_asked_for_it() {
        let golden = include_str!("../../../shared/contracts/tests/golden/reply.HistoryPage.json");
        let pages: Vec<watari_contracts::monitor::HistoryPage> = serde_json::from_str(golden).unwrap();
        let mut change = pages.into_iter().next().unwrap().changes.remove(0);
        let field =
            |field: &str| FieldChange { field: field.to_owned(), before: None, after: Some("stopped".to_owned()) };
        change.fields = vec![field("inventory.health.fsync_ms"), field("migrations")];
        (change.why, change.fields_left_out) = (None, 0);
        assert!(!is_news(&change), "{change:?}");
        change.fields.push(field("state"));
        assert!(is_news(&change));
        assert_eq!(told(&change, Lang::Ja), "state: - → 停止");
        change.fields = vec![field("migrations")];
        change.why = Some("vm.migrate".to_owned());
        assert!(is_news(&change));
        assert!(!is_internal("migrations_wanted") && is_internal("reboots.asked"));
    }
}
