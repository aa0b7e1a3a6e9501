//! What libvirt says by itself, as closed enums.
//!
//! Events are hints to look, never the only way to know: a slow receiver loses the oldest
//! (`broadcast::error::RecvError::Lagged`), and none are sent while libvirt is away. After a
//! lag or [`Event::Connected`], list again.

use super::ffi::Raw;
use super::migrate::JobStats;

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A connection stands, the first or a new one: whatever was known is old, list again.
    Connected,
    /// The connection is gone. Domains run on; calls fail as unavailable until [`Event::Connected`].
    Disconnected(CloseReason),
    /// A domain changed.
    Domain {
        /// Its name.
        name: String,
        /// How.
        change: Change,
    },
    /// A job (a migration, mostly) ended; on its source this is where the final figures are.
    JobCompleted {
        /// The domain's name.
        name: String,
        /// Final figures, downtime included.
        stats: JobStats,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// libvirtd closed it or died.
    Eof,
    /// libvirtd did not answer keepalive: it is frozen.
    KeepAlive,
    /// An error on the socket.
    Error,
    /// We closed it.
    Client,
}

/// How a domain changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its persistent definition was written.
    Defined,
    /// Its persistent definition was removed.
    Undefined,
    /// A QEMU process started for it.
    Started(Start),
    /// Its vCPUs stopped.
    Suspended(Suspend),
    /// Its vCPUs run again.
    Resumed(Resume),
    /// Its QEMU process is gone.
    Stopped(Stop),
    /// The guest has finished shutting down; `Stopped` follows.
    Shutdown,
    /// The guest put itself to sleep.
    Slept,
    /// The guest panicked.
    Crashed,
    /// The guest rebooted.
    Rebooted,
    /// Something newer than this code.
    Other(i32),
}

/// Why a domain started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Booted.
    Booted,
    /// A migration comes in; the domain exists but is not whole before `Suspended(Paused)`.
    Incoming,
    /// Restored from a file or snapshot, or woken.
    Restored,
    /// Another reason.
    Other,
}

/// Why a domain's vCPUs stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspend {
    /// By request; at a migration's target: the copy is whole, paused, and may be resumed.
    Paused,
    /// At a migration's source: the switch-over has begun.
    Migrated,
    /// A disk error.
    IoError,
    /// A post-copy phase began or failed.
    PostCopy,
    /// Another reason.
    Other,
}

/// Why a domain's vCPUs run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// By request, or because a migration failed and its source goes on.
    Unpaused,
    /// At a migration's target, without the paused protocol.
    Migrated,
    /// Another reason.
    Other,
}

/// Why a domain's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The guest shut down.
    Shutdown,
    /// Forced off by request.
    Destroyed,
    /// QEMU died.
    Crashed,
    /// At a migration's source: it has moved away.
    Migrated,
    /// Saved to a file.
    Saved,
    /// It could not start, or an incoming migration failed.
    Failed,
    /// Another reason.
    Other,
}

impl Event {
    pub(super) fn from_raw(raw: Raw) -> Self {
        match raw {
            Raw::Lifecycle { name, event, detail } => Self::Domain { name, change: Change::from_raw(event, detail) },
            Raw::Reboot { name } => Self::Domain { name, change: Change::Rebooted },
            Raw::JobCompleted { name, stats } => Self::JobCompleted { name, stats: JobStats::from_params(&stats) },
            Raw::Closed { reason } => Self::Disconnected(match reason {
                1 => CloseReason::Eof,
                2 => CloseReason::KeepAlive,
                3 => CloseReason::Client,
                _ => CloseReason::Error,
            }),
        }
    }
}

// The numbers are libvirt's virDomainEventType and virDomainEvent…DetailType, fixed by its ABI.
impl Change {
    fn from_raw(event: i32, detail: i32) -> Self {
        match event {
            0 => Self::Defined,
            1 => Self::Undefined,
            2 => Self::Started(match detail {
                0 => Start::Booted,
                1 => Start::Incoming,
                2..=4 => Start::Restored,
                _ => Start::Other,
            }),
            3 => Self::Suspended(match detail {
                0 => Suspend::Paused,
                1 => Suspend::Migrated,
                2 => Suspend::IoError,
                7 | 8 => Suspend::PostCopy,
                _ => Suspend::Other,
            }),
            4 => Self::Resumed(match detail {
                0 => Resume::Unpaused,
                1 => Resume::Migrated,
                _ => Resume::Other,
            }),
            5 => Self::Stopped(match detail {
                0 => Stop::Shutdown,
                1 => Stop::Destroyed,
                2 => Stop::Crashed,
                3 => Stop::Migrated,
                4 => Stop::Saved,
                5 => Stop::Failed,
                _ => Stop::Other,
            }),
            6 => Self::Shutdown,
            7 => Self::Slept,
            8 => Self::Crashed,
            other => Self::Other(other),
        }
    }
}
