//! What is told of each event: what was done about it, and why if that is nothing.

use serde::Serialize;
use watari_model::{OutageId, Said, SiteName, Timestamp};

use super::{
    plan::{Decided, Step},
    read::shown,
};
use crate::{
    failure::Failure,
    format,
    lang::Lang,
    out::{Column, Row, or_dash},
    texts::words::Word,
};

/// What was done, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Scheduled,
    Moved,
    Cancelled,
    Unchanged,
    Skipped,
    /// It is about a site, and cannot be understood or carried out as it stands.
    Unclear,
    Refused,
}

impl Action {
    const fn word(self) -> Word {
        match self {
            Self::Scheduled => Word::EventScheduled,
            Self::Moved => Word::EventMoved,
            Self::Cancelled => Word::EventCancelled,
            Self::Unchanged => Word::EventUnchanged,
            Self::Skipped => Word::EventSkipped,
            Self::Unclear => Word::EventUnclear,
            Self::Refused => Word::EventRefused,
        }
    }
}

/// One event's line. The field names are stable.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    uid: String,
    summary: String,
    site: Option<SiteName>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    pub(super) action: Action,
    pub(super) outage: Option<OutageId>,
    /// The stable code of a refusal.
    code: Option<String>,
    why: Option<Said>,
}

impl Told {
    pub(super) fn of(decided: &Decided<'_>) -> Self {
        let (action, outage, why) = match &decided.step {
            Step::Schedule(_) => (Action::Scheduled, None, None),
            Step::Move(request) => (Action::Moved, Some(request.id.clone()), None),
            Step::Cancel(request) => (Action::Cancelled, Some(request.id.clone()), None),
            Step::Keep(id) => (Action::Unchanged, Some(id.clone()), None),
            Step::Skip(why) => (Action::Skipped, None, Some(why.clone())),
            Step::Unclear(why) => (Action::Unclear, None, Some(why.clone())),
        };
        Self {
            uid: shown(&decided.event.uid),
            summary: decided.event.summary.clone(),
            site: decided.site.clone(),
            from: decided.window.map(|window| window.from),
            until: decided.window.map(|window| window.until),
            action,
            outage,
            code: None,
            why,
        }
    }

    /// A service would not have it.
    pub(super) fn refused(&mut self, failure: &Failure) {
        self.action = Action::Refused;
        self.code = Some(failure.code().to_owned());
        self.why = Some(failure.said());
    }
}

impl Row for Told {
    fn columns() -> Vec<Column> {
        [Word::Event, Word::Site, Word::PowerOff, Word::PowerBack, Word::Done, Word::Outage, Word::Reason]
            .map(Column::Text)
            .to_vec()
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        let why = self.why.as_ref().map(|why| lang.of(why).to_owned());
        let why = match (&self.code, why) {
            (Some(code), Some(why)) => Some(format!("[{code}] {why}")),
            (_, why) => why,
        };
        vec![
            if self.summary.is_empty() { self.uid.clone() } else { self.summary.clone() },
            or_dash(self.site.as_ref()),
            or_dash(self.from.map(format::moment)),
            or_dash(self.until.map(format::moment)),
            self.action.word().text(lang).to_owned(),
            or_dash(self.outage.as_ref()),
            or_dash(why),
        ]
    }

    fn none() -> Word {
        Word::NoEventsInCalendar
    }
}
