//! What front ends saw of servers from outside while an outage was under way.
//!
//! Every monitor asks for itself and keeps what it saw, also the one that does not lead: a front end goes dark with
//! its campus, and its link may be cut while the server answers everybody else. So all of them are asked.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{OutageId, SiteName, Timestamp, VmName, vm::Probe};

/// Asked of all monitors at once; each answers with its [`Seen`].
pub const SEEN: &str = "watari.probes";

/// What have you seen during this outage? Every monitor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskSeen {
    /// Which outage.
    pub outage: OutageId,
}

/// What one front end saw. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Where it stands, if its configuration says so.
    pub site: Option<SiteName>,
    /// The process that answers, new at each start.
    pub instance: String,
    /// By server and probe.
    pub watched: Vec<Watched>,
    /// How many more were watched, and find no place in one answer.
    #[serde(default)]
    pub left_out: u64,
    /// Why it cannot say, if its history cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What became of one server's probe, as one front end saw it. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Watched {
    /// The server.
    pub vm: VmName,
    /// How it was asked.
    pub probe: Probe,
    /// Where.
    pub address: Ipv4Addr,
    /// When it was asked first.
    pub from: Timestamp,
    /// When it was asked last.
    pub until: Timestamp,
    /// How often it was asked.
    pub asked: u64,
    /// How often it did not answer.
    pub failed: u64,
    /// The longest that an answer took.
    pub slowest_ms: u64,
    /// How often it fell silent.
    pub gaps: u64,
    /// The longest silence, from the last answer before it to the first one after it; so far, if it goes on.
    pub longest_gap_ms: u64,
    /// The longest silences, in their order.
    pub longest: Vec<Gap>,
    /// When nobody asked, as while the front end was off: of this time nothing is known. The longest, in their order.
    pub unwatched: Vec<Span>,
    /// How often that was.
    pub pauses: u64,
    /// How long that was, together.
    pub unwatched_ms: u64,
    /// What was the matter the last time that it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Why it is not asked; or not any more, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unasked: Option<Unasked>,
}

/// A time in which a server did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The last answer before it; or the first question, if there was none yet.
    pub from: Timestamp,
    /// The first answer after it; none while it goes on, or if nobody asked any more.
    pub until: Option<Timestamp>,
    /// How often it was asked in vain.
    pub failed: u64,
}

/// From one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// The last question before it.
    pub from: Timestamp,
    /// The first one after it.
    pub until: Timestamp,
}

/// Why a server is not asked, though it has a probe: of this time nothing is known, and it counts as no silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unasked {
    /// It is on overlay networks alone, and no public address leads to it.
    NoWay,
    /// The kernel of the front end lets this process send no echo requests (`net.ipv4.ping_group_range`).
    NotAllowed,
}

/// Why a question counts as not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Nothing came in time.
    Silent,
    /// Nobody listens there.
    Refused,
    /// The network leads to nobody of that address.
    Unreachable,
    /// The connection was closed before the answer.
    Closed,
    /// What came is no answer, or says that the server is in trouble.
    Wrong,
}

impl Trouble {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
            Self::Wrong => "wrong answer",
        }
    }
}

impl Watched {
    /// Whether it ever answered.
    #[must_use]
    pub const fn answered(&self) -> bool {
        self.asked > self.failed
    }
}
