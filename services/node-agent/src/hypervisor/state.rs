//! A domain's state as libvirt tells it, as a closed enum.

/// What libvirt says of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DomainState {
    /// libvirt knows no such domain.
    Absent,
    /// Its vCPUs run.
    Running,
    /// A QEMU process exists, its vCPUs do not run.
    Paused(PauseReason),
    /// The guest is shutting down; the process still exists.
    ShuttingDown,
    /// No QEMU process, by libvirt's word; a definition remains.
    ShutOff(StopReason),
    /// QEMU reported that the guest crashed. The process may exist.
    Crashed,
    /// The guest sleeps; the process exists.
    Slept,
    /// Something that this code does not know. Treat as possibly running.
    Unknown(i32),
}

/// Why a domain is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PauseReason {
    /// By request. At a migration's target under the paused protocol: whole, and waiting for the grant.
    User,
    /// A migration is at work: incoming and not whole yet, or outgoing in its switch-over.
    Migration,
    /// A disk error.
    IoError,
    /// It is just being started.
    StartingUp,
    /// A snapshot, save or dump is at work.
    Saving,
    /// The guest has shut down and its process has not gone yet.
    Ending,
    /// The guest has crashed, and is kept as it was.
    Crashed,
    /// A post-copy phase, or its failure.
    PostCopy,
    /// libvirt could not carry an operation through (for instance a resume).
    ApiError,
    /// Another reason, or none that libvirt knows: QEMU has stopped it, as at an internal error.
    Other,
}

/// Why a domain is shut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The guest shut down.
    Shutdown,
    /// Forced off by request.
    Destroyed,
    /// QEMU died.
    Crashed,
    /// It has moved to another host.
    Migrated,
    /// Saved to a file.
    Saved,
    /// It failed to start or to arrive.
    Failed,
    /// libvirtd was restarted and found it not running.
    Daemon,
    /// It was never started since libvirtd knows it, or another reason.
    Other,
}

impl DomainState {
    /// Whether a QEMU process may exist, by libvirt's word alone.
    #[must_use]
    pub fn may_have_process(self) -> bool {
        !matches!(self, Self::Absent | Self::ShutOff(_))
    }

    // The numbers are libvirt's virDomainState, virDomainPausedReason and virDomainShutoffReason.
    pub(super) fn from_raw((state, reason): (i32, i32)) -> Self {
        match state {
            // Blocked is Xen's word for a running guest that waits.
            1 | 2 => Self::Running,
            3 => Self::Paused(match reason {
                1 => PauseReason::User,
                2 => PauseReason::Migration,
                3 | 4 | 7 | 9 => PauseReason::Saving,
                5 => PauseReason::IoError,
                8 => PauseReason::Ending,
                10 => PauseReason::Crashed,
                11 => PauseReason::StartingUp,
                12 | 13 => PauseReason::PostCopy,
                14 => PauseReason::ApiError,
                _ => PauseReason::Other,
            }),
            4 => Self::ShuttingDown,
            5 => Self::ShutOff(match reason {
                1 => StopReason::Shutdown,
                2 => StopReason::Destroyed,
                3 => StopReason::Crashed,
                4 => StopReason::Migrated,
                5 => StopReason::Saved,
                6 => StopReason::Failed,
                8 => StopReason::Daemon,
                _ => StopReason::Other,
            }),
            6 => Self::Crashed,
            7 => Self::Slept,
            other => Self::Unknown(other),
        }
    }
}
