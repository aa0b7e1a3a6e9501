//! A server's disk that is sent ahead of it, so that its crossing moves little.
//!
//! What is asked for and what has arrived are counted apart: while the numbers differ there is something
//! to do. The layers themselves are known by what agents report, not from here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Vm;
use crate::{NodeName, Refusal, Timestamp};

/// What was asked for, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preseed {
    /// Counts what was asked for, and names what is done for it.
    pub number: u64,
    /// The node that it is sent to; none before one is chosen. Its disk is reserved there.
    pub to: Option<NodeName>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// What arrived last.
    pub done: Option<Seeded>,
    /// Why it is not done yet.
    pub fault: Option<Refusal>,
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
}

impl Preseed {
    /// Whether something is still to be done.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.done.as_ref().is_none_or(|done| done.number != self.number)
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
            }
            None => self.preseed = Some(Preseed { number: 1, to, asked_at: now, done: None, fault: None }),
        }
    }

    /// The node where its disk lies ready, or is about to.
    #[must_use]
    pub fn seeded_on(&self) -> Option<&NodeName> {
        self.preseed.as_ref().and_then(|preseed| preseed.to.as_ref())
    }
}
