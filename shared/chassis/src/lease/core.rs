//! Deciding who leads: pure, handed the time and the outcomes.
//!
//! ```text
//!              same revision seen for longer than the ttl, or given up, or never held:
//!              compare-and-set ──acknowledged──►┐
//!   Standby ◄───────────────────────────────── Primary ──┐ each ttl/3: compare-and-set,
//!      ▲        somebody else holds it,          ▲       │ counted from its *sending*
//!      │        or the last acknowledged         └───────┘
//!      └─────── renewal is older than ttl − margin
//! ```
//!
//! Why this is safe: the holder counts from before a renewal was sent, the standby from after it
//! first read or heard of it, so the standby's wait begins later and lasts longer than the holder's.
//! The margin covers clocks that do not run alike. Only an acknowledged compare-and-set proves
//! anything: a write whose outcome is unknown leads to reading, and what was read only tells which
//! revision the next compare-and-set must name.
//!
//! Who hears of the renewals need not ask: only silence for longer than the ttl leads to reading. What
//! is heard begins a wait and never ends one, so that a message that is lost or late costs nothing but time.

use super::{Leadership, LeaseDocument};
use crate::bucket::Revision;

/// Milliseconds of `CLOCK_BOOTTIME`.
pub(super) type Millis = u64;

/// What the lease's document says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) revision: Revision,
    pub(super) holder: Option<String>,
    pub(super) epoch: Option<u64>,
    /// For whom it was given up.
    pub(super) successor: Option<String>,
}

impl Record {
    pub(super) fn of(revision: Revision, document: LeaseDocument) -> Self {
        let LeaseDocument { holder, epoch, successor, .. } = document;
        Self { revision, holder, epoch, successor }
    }
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Read the document.
    Read,
    /// Write it, if it is at this revision (0: if there is none). A tenure's first write has no epoch.
    Write { expected: Revision, epoch: Option<u64> },
    /// Nothing before this time.
    Wait { until: Millis },
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Acknowledged(Revision),
    Conflict,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Standby {
        /// The record, and when it was first read at this revision.
        seen: Option<(Record, Millis)>,
        /// The revision to compete for.
        claim: Option<Revision>,
    },
    Primary {
        epoch: u64,
        /// The revision that the next renewal names; unknown after a write of unknown outcome.
        revision: Option<Revision>,
        acked_revision: Revision,
        /// When the last acknowledged write was sent.
        acked_at: Millis,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Core {
    me: String,
    ttl: Millis,
    state: State,
    /// When there is something to do next.
    due: Millis,
}

impl Core {
    pub(super) fn new(me: String, ttl: Millis, now: Millis) -> Self {
        Self { me, ttl, state: State::Standby { seen: None, claim: None }, due: now }
    }

    /// How long the lease holds.
    pub(super) fn ttl(&self) -> Millis {
        self.ttl
    }

    /// How long before the end of its lease a holder stops.
    fn margin(&self) -> Millis {
        self.ttl / 4
    }

    /// Until when this process leads, unless a renewal is acknowledged before.
    pub(super) fn deadline(&self) -> Option<Millis> {
        match self.state {
            State::Primary { acked_at, .. } => Some(acked_at + self.ttl - self.margin()),
            State::Standby { .. } => None,
        }
    }

    pub(super) fn leadership(&self) -> Leadership {
        match &self.state {
            State::Primary { epoch, .. } => Leadership::Primary { epoch: *epoch },
            State::Standby { seen, .. } => {
                Leadership::Standby { leader: seen.as_ref().and_then(|(record, _)| record.holder.clone()) }
            }
        }
    }

    /// How long reading or writing may take before it counts as failed.
    pub(super) fn patience(&self, now: Millis) -> Millis {
        let share = (self.ttl / 3).max(50);
        self.deadline().map_or(share, |deadline| deadline.saturating_sub(now).clamp(1, share))
    }

    /// What to do at `now`. It also ends a tenure whose deadline has passed.
    pub(super) fn step(&mut self, now: Millis) -> Step {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.stand_by(None, now);
        }
        if now < self.due {
            return Step::Wait { until: self.deadline().map_or(self.due, |deadline| deadline.min(self.due)) };
        }
        match self.state {
            State::Standby { claim: Some(expected), .. } => Step::Write { expected, epoch: None },
            State::Primary { revision: Some(expected), epoch, .. } => Step::Write { expected, epoch: Some(epoch) },
            State::Standby { claim: None, .. } | State::Primary { revision: None, .. } => Step::Read,
        }
    }

    /// The document was read; reading took from `sent` to `received`.
    pub(super) fn on_read(&mut self, record: Option<Record>, sent: Millis, received: Millis) {
        match &mut self.state {
            State::Standby { seen, claim } => {
                self.due = received;
                let Some(record) = record else {
                    *claim = Some(0);
                    *seen = None;
                    return;
                };
                // A lease given up, or this process's own write whose acknowledgement was lost.
                let free = match (&record.holder, &record.successor) {
                    (Some(holder), _) => *holder == self.me,
                    (None, successor) => successor.as_ref().is_none_or(|successor| *successor == self.me),
                };
                // One that was given up for somebody is free for all when that one does not come.
                let patience = if record.holder.is_none() { self.ttl / 2 } else { self.ttl };
                let unchanged = seen.as_ref().filter(|(before, _)| before.revision == record.revision);
                let first_at = unchanged.map_or(received, |(_, at)| *at);
                let ran_out = unchanged.is_some() && sent.saturating_sub(first_at) > patience;
                if free || ran_out {
                    *claim = Some(record.revision);
                } else {
                    // Each look is a question to the bucket's leader; four standbys ask by day and night.
                    self.due = received + (self.ttl / 4).max(10);
                }
                *seen = Some((record, first_at));
            }
            State::Primary { epoch, revision, acked_revision, .. } => {
                let Some(record) = record else {
                    // The document is gone: a new tenure, with a new epoch.
                    self.stand_by(None, received);
                    return;
                };
                if record.revision < *acked_revision {
                    // A replica that lags behind what this process itself wrote.
                    self.due = received + (self.ttl / 20).max(10);
                } else if record.holder.as_deref() == Some(&self.me)
                    && record.epoch.unwrap_or(record.revision) == *epoch
                {
                    *revision = Some(record.revision);
                    self.due = received;
                } else {
                    self.stand_by(Some((record, received)), received);
                }
            }
        }
    }

    /// A renewal was heard of, at `now`.
    pub(super) fn on_heard(&mut self, record: Record, now: Millis) {
        if let State::Standby { seen, claim: None } = &mut self.state
            && seen.as_ref().is_some_and(|(before, _)| before.revision < record.revision)
        {
            *seen = Some((record, now));
            self.due = now + self.ttl + 1;
        }
    }

    /// Reading failed: nothing was learnt, and a claim is not founded on it.
    pub(super) fn on_read_failed(&mut self, now: Millis) {
        self.due = now + (self.ttl / 10).max(10);
    }

    /// A write that was sent at `sent` ended.
    pub(super) fn on_written(&mut self, outcome: Outcome, sent: Millis, now: Millis) {
        let renewal = sent + self.ttl / 3;
        match (&mut self.state, outcome) {
            (State::Standby { .. }, Outcome::Acknowledged(revision)) => {
                self.state = State::Primary {
                    epoch: revision,
                    revision: Some(revision),
                    acked_revision: revision,
                    acked_at: sent,
                };
                self.due = renewal;
            }
            (State::Primary { revision, acked_revision, acked_at, .. }, Outcome::Acknowledged(new)) => {
                (*revision, *acked_revision, *acked_at) = (Some(new), new, sent);
                self.due = renewal;
            }
            (State::Standby { claim, .. }, Outcome::Conflict) => {
                *claim = None;
                self.due = now + (self.ttl / 20).max(10);
            }
            (State::Primary { revision, .. }, Outcome::Conflict) => {
                *revision = None;
                self.due = now;
            }
            (State::Standby { claim, .. }, Outcome::Unknown) => {
                *claim = None;
                self.due = now + (self.ttl / 10).max(10);
            }
            (State::Primary { revision, .. }, Outcome::Unknown) => {
                *revision = None;
                self.due = now + (self.ttl / 20).max(10);
            }
        }
    }

    /// Something was heard that makes reading worth while now.
    pub(super) fn hurry(&mut self, now: Millis) {
        if matches!(self.state, State::Standby { claim: None, .. }) {
            self.due = self.due.min(now);
        }
    }

    /// A node has refused an order because it obeys a later leader. Whether there is one, a renewal tells: its
    /// compare-and-set fails then. Until then nothing changes, or one stolen node could stop the control plane by a word.
    pub(super) fn doubted(&mut self, now: Millis) {
        // Who does not know how its last write ended looks by itself, and not more often for what is said.
        if let State::Primary { revision: Some(_), acked_at, .. } = self.state {
            // However often it is said.
            self.due = self.due.min(now.max(acked_at + (self.ttl / 20).max(10)));
        }
    }

    /// The lease was given up for another.
    pub(super) fn gave_way(&mut self, now: Millis) {
        self.stand_by(None, now);
        self.due = now + (self.ttl / 8).max(10);
    }

    /// The revision to name and the epoch to leave behind when giving up the lease.
    pub(super) fn release(&self) -> Option<(Revision, u64)> {
        match self.state {
            State::Primary { revision: Some(revision), epoch, .. } => Some((revision, epoch)),
            _ => None,
        }
    }

    fn stand_by(&mut self, seen: Option<(Record, Millis)>, now: Millis) {
        self.state = State::Standby { seen, claim: None };
        self.due = now;
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
