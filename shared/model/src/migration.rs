//! One server's crossing from node A to node B, by the paused protocol.
//!
//! ```text
//!  Queued ──▶ Preparing ──▶ Copying ──▶ Settling ──▶ Switching ──▶ Completed
//!    │        B: image,     A: memory   both are     the grant is B's;
//!    │        disk, room    and disk    asked        B resumes, A forgets
//!    │           │             │           │
//!    └───────────┴─────────────┴───────────┴──▶ Aborting ──▶ Failed | Cancelled
//!                                               A has the grant; B's copy is destroyed
//!
//!  Switching ── B's copy died before it ran ──▶ Failed (the server starts anew at B, from its disk)
//!  Switching ── it runs at B but does not answer as it did at A ──▶ Failed (the server is at B)
//! ```
//!
//! The server's document, not this one, says who may run it: between *Settling* and *Switching*
//! the grant is given to B by compare-and-set, and from *Aborting* on it never will be. What both
//! agents report decides; that the migration call failed or succeeded is a hint only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, MigrationId, NodeName, OutageId, Refusal, Timestamp, VmName};

/// How far a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for its turn on the link.
    Queued,
    /// The target fetches the image, makes the disk and the network.
    Preparing,
    /// Memory and disk travel.
    Copying,
    /// The copy is over, well or badly; both agents are asked.
    Settling,
    /// The target has the grant and is resumed; the source is cleared.
    Switching,
    /// Seen running at the target, seen absent at the source.
    Completed,
    /// It will not happen; the target's copy is destroyed.
    Aborting,
    /// It did not happen; the fault says why.
    Failed,
    /// An operator did not want it any more.
    Cancelled,
}

impl State {
    /// The word shown to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Copying => "copying",
            Self::Settling => "settling",
            Self::Switching => "switching",
            Self::Completed => "completed",
            Self::Aborting => "aborting",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What can happen to a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its turn has come and room is reserved.
    Started,
    /// The target is prepared.
    Prepared,
    /// The copying is over, however it ended.
    CopyEnded,
    /// The grant was given to the target.
    Switched,
    /// The grant is the target's, but its copy died before it was seen running, or does not answer
    /// as the server did at the source.
    Lost(Refusal),
    /// Seen running at the target and absent at the source.
    Done(Measured),
    /// It will not happen.
    GivenUp(Refusal),
    /// The target's copy is gone and the source runs.
    Undone,
}

/// Why a server moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody asked for this server, an administrator as well.
    Operator,
    /// Its site or node is evacuated.
    Evacuation,
    /// It goes home.
    Return,
    /// Its node is overloaded, and another of the same site is not.
    Relief,
}

/// What was measured of a migration. Times in milliseconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// From the start of copying to the server seen running at the target.
    pub total_ms: u64,
    /// How long QEMU says that the server stood still.
    pub downtime_ms: u64,
    /// How much longer it stood still until the target was granted and resumed: the price of
    /// the paused protocol.
    pub pause_ms: u64,
    /// Memory that travelled.
    pub memory_bytes: u64,
    /// Disk that travelled.
    pub disk_bytes: u64,
}

/// A migration's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Migration {
    /// The document's version.
    pub v: u32,
    /// Its name: the server's name and a number.
    pub id: MigrationId,
    /// The server.
    pub vm: VmName,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// Why.
    pub reason: Reason,
    /// The outage it belongs to.
    pub outage: Option<OutageId>,
    /// How far it is.
    pub state: State,
    /// The request that made it, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// To which step of which trace what is done for it belongs, as a W3C `traceparent`; none unless that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Whether an operator asked to cancel it.
    pub cancel_asked: bool,
    /// What was measured, once completed.
    pub measured: Option<Measured>,
    /// Why it will not happen.
    pub fault: Option<Refusal>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When copying began.
    pub copying_at: Option<Timestamp>,
    /// When the state last changed.
    pub changed_at: Timestamp,
}

impl Document for Migration {
    const BUCKET: &'static str = "migrations";
    fn key(&self) -> String {
        self.id.to_string()
    }
}

/// A change that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a migration that is {} takes no such change", .state.word())]
pub struct NotNow {
    /// The state it was in.
    pub state: State,
}

impl Migration {
    /// The one way in which a migration's state changes.
    ///
    /// # Errors
    /// [`NotNow`] if the diagram has no such arrow; nothing is changed then.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Result<(), NotNow> {
        use State::{Aborting, Cancelled, Completed, Copying, Failed, Preparing, Queued, Settling, Switching};
        let next = match (self.state, change) {
            (Queued, Change::Started) => Preparing,
            (Preparing, Change::Prepared) => {
                self.copying_at = Some(now);
                Copying
            }
            (Copying, Change::CopyEnded) => Settling,
            (Settling, Change::Switched) => Switching,
            (Switching, Change::Done(measured)) => {
                self.measured = Some(measured);
                Completed
            }
            (Switching, Change::Lost(refusal)) => {
                self.fault = Some(refusal);
                Failed
            }
            (Queued | Preparing | Copying | Settling, Change::GivenUp(refusal)) => {
                self.fault = Some(refusal);
                Aborting
            }
            (Aborting, Change::Undone) => {
                if self.cancel_asked {
                    Cancelled
                } else {
                    Failed
                }
            }
            (state, _) => return Err(NotNow { state }),
        };
        self.changed_at = now;
        self.state = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;

    fn changes() -> impl Strategy<Value = Change> {
        prop_oneof![
            Just(Change::Started),
            Just(Change::Prepared),
            Just(Change::CopyEnded),
            Just(Change::Switched),
            Just(Change::Done(Measured::default())),
            Just(Change::Lost(Refusal::VmUnknown { vm: "mail".to_owned() })),
            Just(Change::GivenUp(Refusal::VmUnknown { vm: "mail".to_owned() })),
            Just(Change::Undone),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_of_changes_leaves_the_table(sequence in prop::collection::vec(changes(), 0..30), cancel: bool) {
            let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
            let mut migration = Migration {
                v: 1, id: "mail-1".parse().unwrap(), vm: "mail".parse().unwrap(), from: "m1".parse().unwrap(),
                to: "y1".parse().unwrap(), reason: Reason::Operator, outage: None, state: State::Queued,
                request_id: None, trace: None, cancel_asked: cancel, measured: None, fault: None, created_at: at, copying_at: None, changed_at: at,
            };
            let mut switched = false;
            for change in sequence {
                let before = migration.clone();
                if migration.apply(change, at).is_err() {
                    prop_assert_eq!(&migration, &before);
                }
                prop_assert!(!before.state.over() || migration == before, "a finished migration changed");
                switched |= migration.state == State::Switching;
                let given_up = matches!(migration.state, State::Aborting | State::Cancelled);
                prop_assert!(!(switched && given_up), "given up after the switch-over");
                prop_assert!(!switched || migration.fault.is_none() || migration.state == State::Failed);
            }
            prop_assert!(migration.state != State::Completed || (switched && migration.measured.is_some()));
            prop_assert!(!matches!(migration.state, State::Failed | State::Cancelled) || migration.fault.is_some());
        }
    }
}
