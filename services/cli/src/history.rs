//! `watari history`.

use clap::Args;
use watari_chassis::clock;
use watari_contracts::{
    history::{FieldChange, HistoryChange},
    monitor::ListHistory,
};
use watari_model::Said;

use crate::{
    Context,
    failure::Failure,
    format, input,
    lang::Lang,
    out::{Column, Row, joined, or_dash},
    texts::words::Word,
};

/// What can be asked for, and where its documents are.
const NOUNS: [(&str, &str); 11] = [
    ("vm", "vms"),
    ("node", "nodes"),
    ("site", "sites"),
    ("frontend", "frontends"),
    ("image", "images"),
    ("network", "networks"),
    ("port", "ports"),
    ("key", "keys"),
    ("firewall", "firewalls"),
    ("migration", "migrations"),
    ("outage", "outages"),
];
/// So many changes are shown if nobody says how many.
const USUAL: u32 = 50;
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
    /// What: vm, node, site, frontend, image, network, port, key, firewall, migration or outage, or one of them as
    /// in vm/mail; everything if left out
    #[arg(value_name = "NOUN[/NAME]")]
    what: Option<String>,
    /// Not before: 2d, 12h or 30m ago, a day, or a moment such as "2026-11-01 08:00"
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Before: as --since
    #[arg(long, value_name = "WHEN")]
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
        let mut request = ListHistory {
            bucket,
            key,
            since: past("--since", &self.since)?,
            until: past("--until", &self.until)?,
            by: self.by,
            before: None,
            limit: None,
        };
        let mut changes: Vec<HistoryChange> = Vec::new();
        loop {
            let left = self.limit.saturating_sub(u32::try_from(changes.len()).unwrap_or(u32::MAX));
            request.limit = Some(left.min(PAGE));
            let page = ctx.session.ask(&request).await?;
            changes.extend(page.changes);
            request.before = page.next;
            if request.before.is_none() || changes.len() as u64 >= u64::from(self.limit) {
                changes.reverse();
                return ctx.out.list(&changes);
            }
        }
    }
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

fn short(value: Option<&String>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let cut: String = value.chars().take(LONGEST).collect();
    if cut.len() < value.len() { format!("{cut}…") } else { cut }
}

fn told(change: &HistoryChange, most: usize) -> String {
    let lines = change.fields.iter().take(most).map(|FieldChange { field, before, after }| {
        format!("{field}: {} → {};", short(before.as_ref()), short(after.as_ref()))
    });
    let more = change.fields.len().saturating_sub(most) as u64 + u64::from(change.fields_left_out);
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

    fn cells(&self, _: Lang) -> Vec<String> {
        vec![
            format::moment(self.at),
            or_dash(self.by.as_ref()),
            or_dash(self.why.as_ref()),
            self.bucket.clone(),
            self.summary.clone(),
            told(self, FIELDS),
        ]
    }

    fn details(&self, _: Lang) -> Vec<(Word, String)> {
        vec![
            (Word::Time, format::moment(self.at)),
            (Word::By, or_dash(self.by.as_ref())),
            (Word::Request, or_dash(self.why.as_ref())),
            (Word::Bucket, self.bucket.clone()),
            (Word::Name, self.key.clone()),
            (Word::Revision, self.revision.to_string()),
            (Word::Summary, self.summary.clone()),
            (Word::BeforeAndAfter, told(self, usize::MAX)),
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
    fn a_table_shows_some_fields_and_says_how_many_more_there_are() {
        let golden = include_str!("../../../shared/contracts/tests/golden/reply.HistoryPage.json");
        let pages: Vec<watari_contracts::monitor::HistoryPage> = serde_json::from_str(golden).unwrap();
        let mut change = pages.into_iter().next().unwrap().changes.remove(0);
        assert_eq!(told(&change, FIELDS), "pending.memory_mib: - → 1024; +2");
        change.fields_left_out = 0;
        assert_eq!(told(&change, FIELDS), "pending.memory_mib: - → 1024");
        let field = FieldChange { field: "a".to_owned(), before: Some("x".repeat(90)), after: None };
        change.fields = vec![field; 5];
        assert!(told(&change, FIELDS).ends_with("+2"), "{}", told(&change, FIELDS));
        assert!(told(&change, FIELDS).len() < 150);
    }
}
