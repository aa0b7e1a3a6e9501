//! `watari events`.

use std::collections::HashMap;

use clap::Args;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::Value;
use watari_chassis::{Message, clock};
use watari_contracts::{
    history::changed_fields,
    monitor::{Event, ListEvents},
    permissions::{BUCKETS, LEASES},
    subjects,
};
use watari_model::Said;

use crate::{
    Context,
    failure::Failure,
    format, history, input, known,
    lang::Lang,
    out::{Column, Format, Row},
    texts::{happenings, states, words::Word},
};

/// Of so many documents the last is kept, so that a change can be told as what changed.
const MOST_KEPT: usize = 10_000;

/// What happened, and what happens
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari events --limit 20
  watari events --kind vms --name mail
  watari events --follow -o json      # one line an event, until Ctrl-C")]
pub struct Events {
    /// Go on with what happens, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only those of this kind: vms, nodes, migrations, outages, images, networks, ports, addresses, sites, keys,
    /// projects, firewalls, frontends
    #[arg(long)]
    kind: Option<String>,
    /// Only those of this resource
    #[arg(long)]
    name: Option<String>,
    /// At most so many past ones, 1 to 1000 [default: 50]
    #[arg(long)]
    limit: Option<u32>,
}

/// An event as it comes.
#[derive(Serialize)]
struct Live {
    #[serde(flatten)]
    event: Event,
    /// Whether the document was deleted.
    deleted: bool,
    /// The document as it now is.
    document: Option<Value>,
}

impl Events {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(mut self, ctx: &Context) -> Result<(), Failure> {
        self.kind = self.kind.map(in_plural);
        self.check_kind()?;
        if self.follow {
            tokio::select! {
                // Ctrl-C is how following ends well.
                _ = tokio::signal::ctrl_c() => return Ok(()),
                ended = self.follow(ctx) => return ended,
            }
        }
        let (kind, name) = (self.kind.clone(), self.name.clone());
        let request = ListEvents { bucket: self.kind, key: self.name, limit: self.limit };
        let events = ctx.session.ask(&request).await?.events;
        if let Some(kind) = kind {
            known::check_if(&ctx.session, !events.is_empty(), &kind, name.as_deref()).await?;
        }
        ctx.out.list(&events)
    }

    /// A kind that is none would be waited for without end.
    fn check_kind(&self) -> Result<(), Failure> {
        // Who leads changes too often to be kept, but can be followed.
        let kinds: Vec<&str> = BUCKETS.iter().map(|(kind, _)| *kind).chain(self.follow.then_some(LEASES)).collect();
        match self.kind.as_deref().filter(|kind| !kinds.contains(kind)) {
            Some(kind) => Err(input::out_of_range("--kind", Said::both(kinds.join(", ")), kind)),
            None => Ok(()),
        }
    }

    async fn follow(&self, ctx: &Context) -> Result<(), Failure> {
        // Heard first and listed then, so that nothing falls between.
        let mut messages = ctx.session.hear(subjects::EVENTS).await?;
        if let Some(limit) = self.limit {
            let request = ListEvents { bucket: self.kind.clone(), key: self.name.clone(), limit: Some(limit) };
            for event in ctx.session.ask(&request).await?.events {
                show(ctx, Live { event, deleted: false, document: None })?;
            }
        }
        let mut last = Last::default();
        while let Some(message) = messages.next().await {
            if let Some(live) = read(&message, &mut last).filter(|live| self.wants(&live.event)) {
                show(ctx, live)?;
            }
        }
        Ok(())
    }

    fn wants(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        // Leases are renewed all the time; who leads is told by `frontend status`.
        let silent = self.kind.is_none() && event.bucket == LEASES;
        !silent && is(&self.kind, &event.bucket) && is(&self.name, &event.key)
    }
}

/// A kind as documents of it are called, which may be named as `watari history` names it: `vm`.
fn in_plural(kind: String) -> String {
    history::NOUNS.iter().find(|(one, _)| *one == kind).map_or(kind, |(_, many)| (*many).to_owned())
}

fn show(ctx: &Context, live: Live) -> Result<(), Failure> {
    match ctx.out.format {
        Format::Json => match serde_json::to_string(&live) {
            Ok(line) => ctx.out.text(&line),
            Err(_) => Ok(()),
        },
        Format::Yaml => {
            ctx.out.text("---")?;
            ctx.out.document(&live)
        }
        Format::Name => ctx.out.text(&live.event.key),
        Format::Table | Format::Wide => {
            let Event { at, bucket, summary, .. } = live.event;
            let kind = states::shown(ctx.out.lang, &bucket);
            let summary = happenings::told(ctx.out.lang, &summary);
            let line = format!("{}  {kind:<11} {summary}", format::moment(at));
            ctx.out.text(&ctx.out.written(&line))
        }
    }
}

/// The last form of each document, by its subject.
#[derive(Default)]
struct Last(HashMap<String, Value>);

impl Last {
    /// Takes note of a document, or that it is gone; what was known before.
    fn replace(&mut self, subject: &str, document: Option<&Value>) -> Option<Value> {
        let before = self.0.remove(subject);
        if self.0.len() >= MOST_KEPT {
            // The next change of each is told without its before.
            self.0.clear();
        }
        if let Some(document) = document {
            self.0.insert(subject.to_owned(), document.clone());
        }
        before
    }
}

/// `watari.event.<bucket>.<key>`; keys may have dots.
fn read(message: &Message, last: &mut Last) -> Option<Live> {
    let (bucket, key) = message.subject.strip_prefix("watari.event.")?.split_once('.')?;
    let document: Option<Value> = serde_json::from_slice(&message.payload).ok().filter(|_| !message.deleted);
    let before = last.replace(&message.subject, document.as_ref());
    let what = match &document {
        _ if message.deleted => "deleted".to_owned(),
        Some(document) => summary(before.as_ref(), document),
        None => "?".to_owned(),
    };
    // As the monitor words it.
    let summary = format!("{key}: {what}");
    let event = Event {
        at: message.created.unwrap_or_else(clock::now),
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        revision: message.revision.unwrap_or(0),
        summary,
    };
    Some(Live { event, deleted: message.deleted, document })
}

/// One line for people from any document: its state, where it is, and what is the matter; and what of that
/// has changed, if it is known how it was before.
fn summary(before: Option<&Value>, document: &Value) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let turned = |pointer: &str| {
        let old = before?.pointer(pointer)?.as_str()?;
        text(pointer).filter(|new| *new != old).map(|new| format!("{old} → {new}"))
    };
    let told = |pointer: &str| turned(pointer).or_else(|| text(pointer).map(str::to_owned));
    let mut parts = Vec::new();
    parts.extend(told("/state"));
    parts.extend(text("/paused_at").map(|_| "(paused)".to_owned()));
    let at_risk = document.pointer("/at_risk").and_then(Value::as_array).map_or(0, Vec::len);
    parts.extend((at_risk > 0).then(|| format!("({at_risk} could not leave)")));
    parts.extend(told("/grant/node").map(|node| format!("on {node}")));
    parts.extend(text("/crossing/to").map(|to| format!("to {to}")));
    if let (Some(from), Some(to)) = (text("/from"), text("/to")) {
        parts.push(format!("{from} -> {to}"));
    }
    parts.extend(told("/holder").map(|holder| format!("held by {holder}")));
    parts.extend(text("/vm").map(|vm| format!("of {vm}")));
    parts.extend(text("/fault/kind").map(|kind| format!("({kind})")));
    if turned("/state").is_none() {
        let named = before.and_then(|before| changed_fields(before, document));
        parts.extend(named.map(|named| format!("[{named}]")));
    }
    if parts.is_empty() { "changed".to_owned() } else { parts.join(" ") }
}

impl Row for Event {
    fn columns() -> Vec<Column> {
        use Column::Text;
        vec![Text(Word::Time), Text(Word::Bucket), Text(Word::Name), Text(Word::Summary)]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        let (kind, summary) = (states::shown(lang, &self.bucket), happenings::told(lang, &self.summary));
        vec![format::moment(self.at), kind, self.key.clone(), summary]
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

    fn message(subject: &str, payload: &str, deleted: bool) -> Message {
        let payload = payload.to_owned().into();
        Message {
            subject: subject.to_owned(),
            payload,
            trace: None,
            revision: Some(7),
            deleted,
            created: None,
            previous: None,
            by: None,
            why: None,
        }
    }

    #[test]
    fn a_kind_may_be_named_as_the_history_does() {
        for (one, many) in history::NOUNS {
            assert!(BUCKETS.iter().any(|(kind, _)| kind == &many), "{many}");
            assert_eq!([in_plural(one.to_owned()), in_plural(many.to_owned())], [many, many]);
        }
        assert_eq!(in_plural("server".to_owned()), "server");
    }

    #[test]
    fn an_event_is_told_in_one_line() {
        let vm = r#"{"state":"migrating","grant":{"node":"m1","generation":1},"crossing":{"to":"y1"}}"#;
        let mut last = Last::default();
        let mut read = |message: &Message| super::read(message, &mut last);
        let live = read(&message("watari.event.vms.mail", vm, false)).unwrap();
        assert_eq!((live.event.bucket.as_str(), live.event.key.as_str(), live.event.revision), ("vms", "mail", 7));
        assert_eq!(live.event.summary, "mail: migrating on m1 to y1");
        let port = read(&message("watari.event.ports.campus.203-0-113-100", r#"{"vm":"mail"}"#, false)).unwrap();
        assert_eq!(
            (port.event.key.as_str(), port.event.summary.as_str()),
            ("campus.203-0-113-100", "campus.203-0-113-100: of mail")
        );
        assert_eq!(read(&message("watari.event.vms.mail", "", true)).unwrap().event.summary, "mail: deleted");
        assert!(read(&message("watari.beat.a.b", "", false)).is_none());
    }

    #[test]
    fn what_is_followed_is_told_as_what_has_changed() {
        let mut last = Last::default();
        let mut told = |document: &str| {
            let message = message("watari.event.vms.mail", document, document.is_empty());
            super::read(&message, &mut last).unwrap().event.summary
        };
        assert_eq!(told(r#"{"state":"running","grant":{"node":"m1"}}"#), "mail: running on m1");
        let moved = told(r#"{"state":"migrating","grant":{"node":"y1"}}"#);
        assert_eq!(moved, "mail: running → migrating on m1 → y1");
        let spec = told(r#"{"state":"migrating","grant":{"node":"y1"},"pending":{},"changed_at":"x"}"#);
        assert_eq!(spec, "mail: migrating on y1 [pending]");
        assert_eq!(told(""), "mail: deleted");
        assert_eq!(told(r#"{"state":"pending"}"#), "mail: pending", "another server of that name");
    }
}
