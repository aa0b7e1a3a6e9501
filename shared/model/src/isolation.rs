//! Nodes that are cut off from everybody while their servers run on, and when it is proved that some of these
//! servers have been stopped.
//!
//! A server with [`OnIsolation::Stop`] runs only while its node holds a *lease*. The node's agent asks for one again
//! and again; whoever leads the schedulers grants it. An agent whose lease has run out stops such servers by itself.
//!
//! ```text
//!   agent      A ── asks ──▶          ◀── grant ── R          A + L              A + L + S
//!              │                                              │ shuts down,      │ nothing of it
//!              └───────────── the lease, L long ──────────────┘ then forces off  └ runs any more
//!   scheduler        G, noted before the grant is sent ──────────────────────────────▶ G + wait
//! ```
//!
//! The lease counts from the moment *A* at which it was asked for, not from the moment *R* at which the grant
//! arrives, which may be any time later. The one who grants notes the moment *G* after it has heard the asking and
//! before it sends the grant. So in true time *A ≤ G*, and however late the grant comes, or if it is lost, no lease
//! that was granted ends later than *A + L*.
//!
//! Both measure on their own clocks, which count from boot and never jump; a true second is between 1 − ρ and 1 + ρ
//! of theirs. What takes *L + S* on the node's clock is over in true time by *A + (L + S) / (1 − ρ)*; what takes
//! *wait* on the scheduler's has lasted at least *wait / (1 + ρ)* since *G*. That the server is stopped when the
//! wait is over,
//!
//! > *A + (L + S) / (1 − ρ)  ≤  G + wait / (1 + ρ)*,
//!
//! follows from *A ≤ G* and *wait ≥ (L + S) · (1 + ρ) / (1 − ρ)*, which is [`Terms::wait_ms`]. (The argument of
//! Gray and Cheriton, *Leases*, SOSP 1989, for clocks that drift within a bound, with the holder's stopping added.)
//!
//! Who has just begun to lead knows nothing of what others granted. They granted nothing that was asked for later than
//! [`LAG_MS`] after its tenure began, and nothing longer than [`Terms::MOST`]; so that it concludes nothing before that
//! wait has passed since its own beginning.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::NodeName;

/// What a server does whose node is cut off from everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnIsolation {
    /// It runs on: its node cannot tell its own isolation from a bus that is away.
    #[default]
    Keep,
    /// It is stopped there, so that nobody need look before what waits for it goes on.
    Stop,
}

impl OnIsolation {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Stop => "stop",
        }
    }

    /// Whether it is what a server does if nothing else is said.
    #[must_use]
    pub const fn is_usual(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// By how many percent a clock that counts from boot may be wrong; crystals are a hundred times better. That of a node
/// that is itself a virtual machine stands still while that is paused, and then nothing here holds.
pub const DRIFT_PERCENT: u64 = 1;

/// How much later than its lease of leadership has ended a process may notice that it leads no more, in milliseconds;
/// what clocks lose by counting whole milliseconds is in it as well.
pub const LAG_MS: u64 = 2_000;

/// What a node promises with its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// How long it holds from the moment on at which it was asked for, in milliseconds.
    pub lease_ms: u64,
    /// Within which time after its end nothing runs any more that is to stop, in milliseconds: in the first half
    /// guests are asked, in the second they are forced off.
    pub stop_ms: u64,
}

impl Terms {
    /// The longest that are ever granted.
    pub const MOST: Self = Self { lease_ms: 60_000, stop_ms: 120_000 };

    /// Whether neither is longer.
    #[must_use]
    pub const fn is_within(self, most: Self) -> bool {
        self.lease_ms <= most.lease_ms && self.stop_ms <= most.stop_ms
    }

    /// How long whoever granted it waits, in milliseconds on its own clock: the inequality above, rounded up.
    #[must_use]
    pub const fn wait_ms(self) -> u64 {
        let both = self.lease_ms.saturating_add(self.stop_ms);
        both.saturating_mul(100 + DRIFT_PERCENT).div_ceil(100 - DRIFT_PERCENT).saturating_add(LAG_MS)
    }
}

/// What is to be done with servers that are to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Nothing: the lease holds, or there never was one since the node was booted.
    RunOn,
    /// They are asked to shut down.
    ShutDown,
    /// They are forced off.
    ForceOff,
}

/// A node's lease. Moments are milliseconds on the node's boot clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lease {
    /// It never had one since it was booted, and so nobody counts on it.
    #[default]
    Never,
    /// The last one, which may have run out.
    Last {
        /// When it was asked for.
        asked_at: u64,
        /// What was promised with it.
        terms: Terms,
    },
}

impl Lease {
    /// What was asked for at `asked_at` is granted. Grants may come in any order: the newest asking counts.
    #[must_use]
    pub fn granted(self, asked_at: u64, terms: Terms) -> Self {
        match self {
            Self::Last { asked_at: known, .. } if known >= asked_at => self,
            _ => Self::Last { asked_at, terms },
        }
    }

    /// Whether there ever was one, so that somebody may count on what it promised.
    #[must_use]
    pub const fn is_promised(self) -> bool {
        matches!(self, Self::Last { .. })
    }

    /// What is to be done now.
    #[must_use]
    pub fn duty(self, now: u64) -> Duty {
        let Self::Last { asked_at, terms } = self else { return Duty::RunOn };
        let end = asked_at.saturating_add(terms.lease_ms);
        if now < end {
            Duty::RunOn
        } else if now < end.saturating_add(terms.stop_ms / 2) {
            Duty::ShutDown
        } else {
            Duty::ForceOff
        }
    }

    /// By when everything has stopped, if it is not renewed.
    #[must_use]
    pub fn stopped_by(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Last { asked_at, terms } => {
                Some(asked_at.saturating_add(terms.lease_ms).saturating_add(terms.stop_ms))
            }
        }
    }

    /// Whether a watchdog may be kicked that resets the node `timeout_ms` after its last kick: only if it still
    /// does so in time, or if nothing is left that it would have to stop.
    #[must_use]
    pub fn may_kick(self, now: u64, timeout_ms: u64, all_stopped: bool) -> bool {
        all_stopped || self.stopped_by().is_none_or(|by| now.saturating_add(timeout_ms) <= by)
    }
}

/// What one tenure of the scheduler has granted. Moments are milliseconds on its boot clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ledger {
    since: u64,
    most: Terms,
    stopped_by: BTreeMap<NodeName, u64>,
}

impl Default for Ledger {
    /// That of who does not lead: nothing ever follows from it.
    fn default() -> Self {
        Self { since: u64::MAX, most: Terms::MOST, stopped_by: BTreeMap::new() }
    }
}

impl Ledger {
    /// A tenure begins. No scheduler grants longer leases than `most`, nor ever did: [`Terms::MOST`], but in simulations.
    #[must_use]
    pub const fn begin(now: u64, most: Terms) -> Self {
        Self { since: now, most, stopped_by: BTreeMap::new() }
    }

    /// Notes a grant that is about to be sent; whether it may be.
    #[must_use]
    pub fn grant(&mut self, node: &NodeName, terms: Terms, now: u64) -> bool {
        if !terms.is_within(self.most) {
            return false;
        }
        let by = now.saturating_add(terms.wait_ms());
        let known = self.stopped_by.entry(node.clone()).or_insert(by);
        *known = by.max(*known);
        true
    }

    /// Whether everything that a node was to stop has been stopped by now, if nobody grants it anything.
    #[must_use]
    pub fn is_over(&self, node: &NodeName, now: u64) -> bool {
        let own = self.stopped_by.get(node).copied().unwrap_or_default();
        now >= own.max(self.since.saturating_add(self.most.wait_ms()))
    }
}

#[cfg(test)]
mod tests;
