//! What can go wrong between the agent and its hypervisor.

use std::path::PathBuf;
use std::time::Duration;

use virt::error::ErrorNumber;
use watari_model::Said;

/// What a failure means to the caller, whatever libvirt calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// libvirt could not be asked. State is unknown, not changed by us unless [`Error::outcome_unknown`].
    Unavailable,
    /// There is no such domain.
    NoDomain,
    /// A domain of that name or UUID exists and differs.
    Exists,
    /// The domain's state forbids the act (starting what runs, resuming what is shut off).
    InvalidState,
    /// Another job holds the domain: ask again later.
    Busy,
    /// The job was cancelled, by us or by an operator.
    Aborted,
    /// The two hosts cannot do this (CPU, machine type, feature).
    Incompatible,
    /// What was asked makes no sense here.
    Invalid,
    /// It did not end within its bound.
    Timeout,
    /// A disk's header says what it must not.
    Untrusted,
    /// Anything else; the message tells.
    Failed,
}

/// A failed act of the hypervisor module. It names the act and keeps libvirt's own error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection now; nothing was sent.
    #[error("libvirt at {uri} is unavailable")]
    Unavailable {
        /// The connection's URI.
        uri: String,
    },
    /// The connection broke while the call was under way: it may or may not have had its effect.
    #[error("connection to libvirt lost while trying to {act}")]
    ConnectionLost {
        /// What was being tried.
        act: &'static str,
        /// libvirt's error.
        #[source]
        source: virt::error::Error,
    },
    /// libvirt refused or failed.
    #[error("could not {act}: {}", source.message())]
    Libvirt {
        /// What was being tried.
        act: &'static str,
        /// libvirt's error, with its code and domain.
        #[source]
        source: virt::error::Error,
    },
    /// A program (qemu-img, qemu-system) failed.
    #[error("{program} could not {act}: {stderr}")]
    Program {
        /// The program's name.
        program: &'static str,
        /// What it was to do.
        act: &'static str,
        /// The end of what it wrote to its standard error.
        stderr: String,
    },
    /// A file could not be read, made or watched.
    #[error("could not {act} {}", path.display())]
    Io {
        /// What was being tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// XML, ours or libvirt's, that cannot be written or understood.
    #[error("domain XML: {0}")]
    Xml(String),
    /// A specification that no domain can be made of.
    #[error("invalid {field}: {reason}")]
    Invalid {
        /// The field at fault.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// A disk's header says what it must not: who wrote it may have been in a guest's hands.
    #[error("{} is not trusted: {}", path.display(), finding.en)]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What its header says.
        finding: Said,
    },
    /// Something exists that must not.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The bound of a wait or a program ran out.
    #[error("did not {act} within {} ms", after.as_millis())]
    Timeout {
        /// What was awaited.
        act: &'static str,
        /// The bound.
        after: Duration,
    },
}

/// The module's results.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What this means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unavailable { .. } | Self::ConnectionLost { .. } => Kind::Unavailable,
            Self::Libvirt { source, .. } => kind_of(source),
            Self::Exists { .. } => Kind::Exists,
            Self::Invalid { .. } | Self::Xml(_) => Kind::Invalid,
            Self::Timeout { .. } => Kind::Timeout,
            Self::Untrusted { .. } => Kind::Untrusted,
            Self::Program { .. } | Self::Io { .. } => Kind::Failed,
        }
    }

    /// Whether the same call may succeed later without anything being changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), Kind::Unavailable | Kind::Busy | Kind::Timeout)
    }

    /// Whether the act may have happened all the same: ask for the state before deciding.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::ConnectionLost { .. } | Self::Timeout { .. }) || self.kind() == Kind::Busy
    }

    /// libvirt's numeric code and domain, for the log and the operator.
    #[must_use]
    pub fn libvirt_code(&self) -> Option<(u32, u32)> {
        match self {
            Self::ConnectionLost { source, .. } | Self::Libvirt { source, .. } => {
                Some((source.code().to_raw(), source.domain().to_raw()))
            }
            _ => None,
        }
    }
}

fn kind_of(source: &virt::error::Error) -> Kind {
    let virt::enumutil::Enum::Known(number) = source.code() else {
        return Kind::Failed;
    };
    match number {
        ErrorNumber::NoDomain => Kind::NoDomain,
        ErrorNumber::DomExist => Kind::Exists,
        ErrorNumber::OperationInvalid => Kind::InvalidState,
        ErrorNumber::OperationTimeout | ErrorNumber::ResourceBusy => Kind::Busy,
        ErrorNumber::OperationAborted => Kind::Aborted,
        ErrorNumber::CpuIncompatible
        | ErrorNumber::ConfigUnsupported
        | ErrorNumber::OperationUnsupported
        | ErrorNumber::ArgumentUnsupported
        | ErrorNumber::MigrateUnsafe => Kind::Incompatible,
        ErrorNumber::XmlError | ErrorNumber::XmlDetail | ErrorNumber::XmlInvalidSchema | ErrorNumber::InvalidArg => {
            Kind::Invalid
        }
        ErrorNumber::NoConnect | ErrorNumber::InvalidConn => Kind::Unavailable,
        _ => Kind::Failed,
    }
}
