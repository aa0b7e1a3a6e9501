//! What can happen to a server; the diagram of its states says when.

use super::{Growth, Size, State};
use crate::{MigrationId, NodeName, Refusal};

/// What can happen to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node was chosen (or the old one is used again); the grant's generation counts up.
    Granted(NodeName),
    /// The agent sees it running.
    SeenRunning,
    /// The agent sees it off.
    SeenOff,
    /// The agent sees it off, its memory saved.
    SeenSaved,
    /// Its node is off, and the copy of its disk at another node becomes its disk; the generation counts up.
    GrantedCopy,
    /// A copy on which it was never seen running is given up for the disk that it had before; the generation counts up.
    CopyDiscarded,
    /// Nothing of that copy is there any more: the node with the disk that it had before may run it; the generation
    /// counts up.
    GrantedBack,
    /// It is to be tried anew, after no node could be found for it.
    StartAsked,
    /// It is asked to stop.
    StopAsked,
    /// A migration to a node begins.
    MigrationBegan {
        /// The migration's name.
        id: MigrationId,
        /// Where it goes.
        to: NodeName,
    },
    /// The target may run it: the switch-over. The generation counts up.
    Switched,
    /// The migration is given up before the switch-over: the grant stays where it is for good.
    Abandoned,
    /// The same node may run it under a new generation: after a crossing was given up with the
    /// source left paused, or after the target failed to resume it.
    Regranted,
    /// A migration was given up while the target was silent: what it has is to be removed.
    LeftBehind(NodeName),
    /// The migration is over, with success or without; the grant says where the server is.
    MigrationEnded,
    /// It cannot be placed or started.
    Broke(Refusal),
    /// It is to be of this size: at once if it is off, from its next start on if it is not.
    Resized(Size),
    /// Its agent has seen this part of what it is to be come true while it ran.
    Grown(Growth),
    /// It is to be removed.
    DeleteAsked,
}

/// A change that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server that is {} takes no {change}", .state.word())]
pub struct NotNow {
    /// The state it was in.
    pub state: State,
    /// The change that was refused.
    pub change: &'static str,
}

impl Change {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Granted(_) => "grant",
            Self::GrantedCopy => "grant from a copy",
            Self::CopyDiscarded => "giving up of a copy",
            Self::GrantedBack => "grant of its disk before a copy",
            Self::SeenRunning => "sight of it running",
            Self::SeenOff => "sight of it off",
            Self::SeenSaved => "sight of it saved",
            Self::StartAsked => "start",
            Self::StopAsked => "stop",
            Self::MigrationBegan { .. } => "migration",
            Self::Switched => "switch-over",
            Self::Abandoned => "giving up of a migration",
            Self::Regranted => "renewed grant",
            Self::LeftBehind(_) => "copy left behind",
            Self::MigrationEnded => "end of a migration",
            Self::Broke(_) => "fault",
            Self::Resized(_) => "change of size",
            Self::Grown(_) => "growing while it runs",
            Self::DeleteAsked => "deletion",
        }
    }
}
