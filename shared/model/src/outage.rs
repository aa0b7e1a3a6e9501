//! An outage: a site or node that is emptied, goes dark, and is brought home again.
//!
//! ```text
//!  Scheduled ──▶ Evacuating ──▶ Evacuated ──▶ Returning ──▶ Completed
//!      │ cancel,    │  ▲            │  ▲ ▲          │
//!      │ lapsed     │  │ again      │  │ └──────────┘ again, after failures or when power goes again
//!      ▼            ▼  └────────────┼──┘
//!   Cancelled ◀── cancel ───────────┘ (servers stay where they are, but for those that are on their way)
//! ```
//!
//! A scheduled outage changes nothing until it begins, by the clock or by an operator. One without a time is *proposed*: a
//! battery or an alert has brought it up, where those are to ask first, and it begins by an operator's word alone.
//! While an outage is evacuating or evacuated its site or node receives nothing (invariant 5).
//! One that is evacuating or returning may be paused. That is no state of its own, since all else that
//! follows from the state stays true: it begins nothing more, ends nothing, and goes on when it is
//! resumed. Whatever leads to another state ends a pause.
//! Neither are *preparing*, *dark* and *failed*: what is prepared for a scheduled one (its plan, who is at risk, disks sent
//! ahead) follows from its window and changes nothing that may be done with it; which nodes of an evacuated one are off
//! [`dark`] says of each; and one never fails as a whole: who did not move is `left` with a reason, and the rest has moved.
//! What moved and what failed is not stored here: the migrations that name the outage say it. What becomes of the
//! site's nodes, if they are to be shut down, is ([`dark`]).

pub mod dark;
mod proposal;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, NodeName, OutageId, Refusal, SiteName, Timestamp, VmName, node::Node, vm::Way};

pub use dark::{Dark, Darkened};

/// What goes dark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// A whole site.
    Site(SiteName),
    /// One node.
    Node(NodeName),
}

impl Scope {
    /// Whether a node goes dark with it.
    #[must_use]
    pub fn covers(&self, node: &Node) -> bool {
        match self {
            Self::Site(site) => node.site == *site,
            Self::Node(name) => node.name == *name,
        }
    }
}

/// How far an outage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is known beforehand and has not begun.
    Scheduled,
    /// Servers are leaving.
    Evacuating,
    /// Everything that could leave has left; the report says what could not.
    Evacuated,
    /// Servers are coming home.
    Returning,
    /// Everything that could come home is home.
    Completed,
    /// Called off.
    Cancelled,
}

impl State {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Evacuating => "evacuating",
            Self::Evacuated => "evacuated",
            Self::Returning => "returning",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether its site or node may receive nothing.
    #[must_use]
    pub const fn drains(self) -> bool {
        matches!(self, Self::Evacuating | Self::Evacuated)
    }

    /// Whether servers are on their way because of it, so that it may be paused.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Evacuating | Self::Returning)
    }

    /// Whether it has begun and is not over.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Evacuating | Self::Evacuated | Self::Returning)
    }

    /// Whether it is past.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

/// When the power will be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// From this moment on; everything has left by then.
    pub from: Timestamp,
    /// Until this one; nothing comes home sooner.
    pub until: Timestamp,
}

impl Window {
    /// Whether there is a moment that both contain.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.until && other.from < self.until
    }
}

/// So many hand-overs of earlier legs are kept.
pub const MOST_HANDOVERS: usize = 8;

/// How the control plane went where the leg wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handover {
    /// From where it is to be led.
    pub to: SiteName,
    /// When the servers had moved and its turn had come.
    pub began_at: Timestamp,
    /// When it was led from there, or was given up.
    pub ended_at: Option<Timestamp>,
    /// Why it was given up.
    pub fault: Option<Refusal>,
}

/// What can happen to an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its time has come, or an operator does not wait for it.
    BeginAsked,
    /// Its time is over, or what it was proposed for, and it has not begun.
    Lapsed,
    /// It is proposed, and this request asks for the same.
    AlsoAsked(String),
    /// It is proposed, and what this request asked for is over. It is withdrawn unless others ask for it as well.
    Unasked(String),
    /// The power will be off at another time than was said.
    Rescheduled(Window),
    /// As things are.
    RisksSeen {
        /// These servers could not leave.
        at_risk: Vec<Left>,
        /// These could, but something is to be said of that.
        warned: Vec<Left>,
    },
    /// There is no time for these to leave; they are off, or go off.
    Halted(Vec<Halted>),
    /// Nothing is left to move, for better or worse.
    Emptied(Vec<Left>),
    /// Try again to empty it.
    EvacuateAsked,
    /// Bring everything home.
    ReturnAsked,
    /// Nothing is left to bring home.
    Home(Vec<Left>),
    /// Call it off.
    CancelAsked,
    /// The servers have moved; now the control plane does.
    HandoverBegun(SiteName),
    /// The control plane is led from where it should, or it cannot be had.
    HandoverEnded(SiteName, Option<Refusal>),
    /// The site's nodes are to be shut down once they are empty, or no longer; what failed of it is tried again.
    ShutDownWished(bool),
    /// What becomes of the nodes.
    Darkened(Vec<Darkened>),
    /// Begin nothing more for now.
    PauseAsked,
    /// Go on.
    ResumeAsked,
}

/// A server that did not move, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Left {
    /// The server.
    pub vm: VmName,
    /// Why.
    pub fault: Refusal,
}

impl Left {
    /// Whether it is only off: it stays where its disk is, and nothing of it is lost with the power.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        matches!(self.fault, Refusal::NotRunning { .. })
    }
}

/// A server that was given no time to leave, and is off instead until the outage is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Halted {
    /// The server.
    pub vm: VmName,
    /// How it goes off.
    pub way: Way,
    /// Why it did not leave.
    pub fault: Refusal,
}

/// One direction's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leg {
    /// When it began.
    pub began_at: Timestamp,
    /// When the last server had moved, or it was turned round or called off; none while it goes on.
    pub ended_at: Option<Timestamp>,
}

/// An outage's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub id: OutageId,
    /// What goes dark.
    pub scope: Scope,
    /// How far it is.
    pub state: State,
    /// Since when nothing more begins; none if it is not paused.
    #[serde(default)]
    pub paused_at: Option<Timestamp>,
    /// When the power will be off, if that is known.
    #[serde(default)]
    pub window: Option<Window>,
    /// What it is for, in its maker's words.
    #[serde(default)]
    pub note: String,
    /// Until it begins: who would be lost with the power, and why, as it was when who or why last changed.
    /// Not all, if there are many.
    #[serde(default)]
    pub at_risk: Vec<Left>,
    /// Until it begins: who could leave, and what is to be said of that, such as that it writes faster than its copy
    /// travels; as of the same look, and not all, if there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warned: Vec<Left>,
    /// The way out.
    pub out: Option<Leg>,
    /// The way home.
    pub home: Option<Leg>,
    /// What did not move in the last leg, and why.
    #[serde(default)]
    pub left: Vec<Left>,
    /// What did not leave on the way out, and why, once servers are on their way home.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stayed: Vec<Left>,
    /// Who had no time to leave the last time that it was emptied. They start again when it is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub halted: Vec<Halted>,
    /// What became of the control plane in the last leg; none if it had nothing to do with it.
    #[serde(default)]
    pub control: Option<Handover>,
    /// What became of it in the legs before, the oldest first, at most [`MOST_HANDOVERS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handovers: Vec<Handover>,
    /// What becomes of the site's nodes; none if nobody has said whether they are to be shut down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dark: Option<Dark>,
    /// The request that made it.
    pub request_id: String,
    /// If it was proposed: the requests that asked for it and were not over when it began or was called off. None of an
    /// older version's: of that it is the one that made it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_by: Vec<String>,
    /// To which step of which trace what is done for it belongs, as a W3C `traceparent`: of the request that had the state
    /// change last. None unless that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the state, or the time that it is scheduled for, last changed.
    pub changed_at: Timestamp,
}

impl Outage {
    /// One that begins now, by emptying its scope.
    #[must_use]
    pub const fn begun(id: OutageId, scope: Scope, request_id: String, now: Timestamp) -> Self {
        Self {
            v: 1,
            id,
            scope,
            state: State::Evacuating,
            paused_at: None,
            window: None,
            note: String::new(),
            at_risk: Vec::new(),
            warned: Vec::new(),
            out: Some(Leg { began_at: now, ended_at: None }),
            home: None,
            left: Vec::new(),
            stayed: Vec::new(),
            halted: Vec::new(),
            control: None,
            handovers: Vec::new(),
            dark: None,
            request_id,
            asked_by: Vec::new(),
            trace: None,
            created_at: now,
            changed_at: now,
        }
    }

    /// One that begins now, by bringing home servers that came away otherwise: it has no way out.
    #[must_use]
    pub fn returning(id: OutageId, scope: Scope, request_id: String, now: Timestamp) -> Self {
        let begun = Self::begun(id, scope, request_id, now);
        Self { state: State::Returning, home: begun.out, out: None, ..begun }
    }

    /// One that is known beforehand.
    #[must_use]
    pub fn scheduled(
        id: OutageId,
        scope: Scope,
        window: Window,
        note: String,
        request_id: String,
        now: Timestamp,
    ) -> Self {
        let begun = Self::begun(id, scope, request_id, now);
        Self { state: State::Scheduled, out: None, window: Some(window), note, ..begun }
    }

    /// One that waits for an operator to begin it, or to call it off.
    #[must_use]
    pub fn proposed(id: OutageId, scope: Scope, note: String, request_id: String, now: Timestamp) -> Self {
        let asked_by = vec![request_id.clone()];
        let begun = Self::begun(id, scope, request_id, now);
        Self { state: State::Scheduled, out: None, note, asked_by, ..begun }
    }

    /// Whether it has no time and waits for an operator's word.
    #[must_use]
    pub fn is_proposed(&self) -> bool {
        self.state == State::Scheduled && self.window.is_none()
    }

    /// Whether it keeps everything away from a node.
    #[must_use]
    pub fn keeps_away(&self, node: &Node) -> bool {
        self.state.drains() && self.scope.covers(node)
    }
}

impl Document for Outage {
    const BUCKET: &'static str = "outages";
    fn key(&self) -> String {
        self.id.to_string()
    }
}

/// A change that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an outage that is {} takes no such change now", .state.word())]
pub struct NotNow {
    /// The state it was in.
    pub state: State,
}

impl Outage {
    /// The one way in which an outage's state changes.
    ///
    /// # Errors
    /// [`NotNow`] if the diagram has no such arrow; nothing is changed then.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Result<(), NotNow> {
        use State::{Cancelled, Completed, Evacuated, Evacuating, Returning, Scheduled};
        let begin = Some(Leg { began_at: now, ended_at: None });
        let next = match (self.state, change) {
            (Scheduled, Change::BeginAsked) => {
                self.out = begin;
                Evacuating
            }
            (Scheduled, Change::Lapsed | Change::CancelAsked) => Cancelled,
            (Scheduled, Change::AlsoAsked(request)) if self.window.is_none() => {
                self.also_asked(request);
                Scheduled
            }
            (Scheduled, Change::Unasked(request)) if self.window.is_none() => self.unasked(&request),
            (Scheduled, Change::Rescheduled(window)) => {
                self.window = Some(window);
                self.changed_at = now;
                Scheduled
            }
            (Scheduled, Change::RisksSeen { at_risk, warned }) => {
                (self.at_risk, self.warned) = (at_risk, warned);
                Scheduled
            }
            (Evacuating | Returning, Change::PauseAsked) if self.paused_at.is_none() => {
                self.paused_at = Some(now);
                self.state
            }
            (Evacuating | Returning, Change::ResumeAsked) if self.paused_at.is_some() => {
                self.paused_at = None;
                self.state
            }
            (Evacuating | Evacuated, Change::Halted(halted)) => {
                self.halted = halted;
                self.state
            }
            (Scheduled | Evacuating | Evacuated, Change::ShutDownWished(wished)) => {
                self.dark = Some(Dark::wish(self.dark.take(), wished));
                self.state
            }
            (Evacuated | Returning, Change::Darkened(nodes)) if self.paused_at.is_none() && self.dark.is_some() => {
                self.dark = self.dark.take().map(|dark| Dark { nodes, ..dark });
                self.state
            }
            (Evacuating, Change::Emptied(left)) if self.paused_at.is_none() => {
                self.left = left;
                self.end_leg(now);
                Evacuated
            }
            (Evacuated | Returning, Change::EvacuateAsked) => {
                self.end_leg(now);
                self.left.clear();
                self.stayed.clear();
                self.halted.clear();
                self.keep_handover();
                if let Some(dark) = &mut self.dark {
                    dark.again(now);
                }
                self.out = begin;
                // Whoever empties it again after its time decides alone when that ends.
                self.window = self.window.filter(|window| now < window.until);
                Evacuating
            }
            (Evacuating | Evacuated, Change::ReturnAsked) => {
                self.end_leg(now);
                self.stayed = std::mem::take(&mut self.left);
                self.keep_handover();
                self.home = begin;
                Returning
            }
            (Returning, Change::Home(left)) if self.paused_at.is_none() => {
                self.left = left;
                self.end_leg(now);
                Completed
            }
            (Evacuating | Evacuated | Returning, Change::CancelAsked) => {
                self.end_leg(now);
                Cancelled
            }
            (Evacuating | Returning, Change::HandoverBegun(to))
                if self.control.is_none() && self.paused_at.is_none() =>
            {
                self.control = Some(Handover { to, began_at: now, ended_at: None, fault: None });
                self.state
            }
            // What has begun goes on to its end: half a hand-over is worse than either.
            (Evacuating | Returning, Change::HandoverEnded(to, fault)) => {
                let began_at = self.control.as_ref().map_or(now, |control| control.began_at);
                self.control = Some(Handover { to, began_at, ended_at: Some(now), fault });
                self.state
            }
            (state, _) => return Err(NotNow { state }),
        };
        if next != self.state {
            self.changed_at = now;
            self.paused_at = None;
            self.at_risk.clear();
            self.warned.clear();
        }
        self.state = next;
        Ok(())
    }

    /// The way that servers are on, if any are, is over: whether all have moved or not.
    fn end_leg(&mut self, now: Timestamp) {
        let leg = match self.state {
            State::Evacuating => &mut self.out,
            State::Returning => &mut self.home,
            State::Scheduled | State::Evacuated | State::Completed | State::Cancelled => return,
        };
        if let Some(leg) = leg {
            leg.ended_at = Some(now);
        }
    }

    /// Another leg begins: what became of the control plane in this one is told by the report all the same, if it
    /// came to an end.
    fn keep_handover(&mut self) {
        let Some(over) = self.control.take().filter(|handover| handover.ended_at.is_some()) else { return };
        if self.handovers.len() >= MOST_HANDOVERS {
            self.handovers.remove(0);
        }
        self.handovers.push(over);
    }
}

#[cfg(test)]
mod tests;
