//! A server's disk that is sent ahead of it, so that its crossing moves little.
//!
//! What is asked for and what has arrived are counted apart: while the numbers differ there is something
//! to do. The layers themselves are known by what agents report, not from here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Copied, Vm};
use crate::{NodeName, Refusal, Timestamp};

/// What was asked for, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preseed {
    /// Counts what was asked for, and names what is done for it.
    pub number: u64,
    /// The node that it is sent to; none before one is chosen. Its disk is reserved there.
    pub to: Option<NodeName>,
    /// When it was asked for, or taken back.
    pub asked_at: Timestamp,
    /// What arrived last.
    pub done: Option<Seeded>,
    /// Why it is not done yet.
    pub fault: Option<Refusal>,
    /// Whether it was taken back before it was done. It stays noted, since what is asked for next has another number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// What has arrived, whole and checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seeded {
    /// Which of those that were asked for this is.
    pub number: u64,
    /// Where it is.
    pub node: NodeName,
    /// Since when.
    pub at: Timestamp,
    /// How many bytes lie there for it.
    pub bytes: u64,
    /// What of it a server could be started from; none if it was sent before the server accepted that, or was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copied>,
}

impl Preseed {
    /// Whether something is still to be done.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.cancelled && self.done.as_ref().is_none_or(|done| done.number != self.number)
    }
}

impl Vm {
    /// Asks for the disk to be sent ahead, to a certain node or to where the scheduler chooses. What is
    /// asked for and not done yet is the same wish.
    pub fn ask_preseed(&mut self, to: Option<NodeName>, now: Timestamp) {
        match &mut self.preseed {
            Some(preseed) if preseed.is_due() => preseed.to = to.or_else(|| preseed.to.take()),
            Some(preseed) => {
                preseed.number = preseed.number.saturating_add(1);
                preseed.to = to.or_else(|| preseed.to.take());
                preseed.asked_at = now;
                preseed.fault = None;
                preseed.cancelled = false;
            }
            None => {
                let (done, fault, cancelled) = (None, None, false);
                self.preseed = Some(Preseed { number: 1, to, asked_at: now, done, fault, cancelled });
            }
        }
    }

    /// Takes back what was asked for and is not done yet. What arrived before stays where it is; for more no room is
    /// kept. Where nothing is to be done, nothing changes.
    pub fn cancel_preseed(&mut self, now: Timestamp) {
        if let Some(preseed) = self.preseed.as_mut().filter(|preseed| preseed.is_due()) {
            preseed.cancelled = true;
            preseed.asked_at = now;
            preseed.to = preseed.done.as_ref().map(|done| done.node.clone());
            preseed.fault = None;
        }
    }

    /// The node where its disk lies ready, or is about to.
    #[must_use]
    pub fn seeded_on(&self) -> Option<&NodeName> {
        self.preseed.as_ref().and_then(|preseed| preseed.to.as_ref())
    }
}
