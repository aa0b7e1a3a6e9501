//! What of a qcow2 is taken as an image: one that was closed, is whole and stands on nothing.

use watari_model::qcow2;

use super::{Fault, names};

/// The size of the disk that the qcow2 beginning with `head` describes, if nothing in its header
/// speaks against it. `size` is that of the whole file.
pub(super) fn virtual_size(head: &[u8], size: u64) -> Result<u64, Fault> {
    let header = qcow2::read(head, size)?;
    if let Some(backing) = header.backing {
        return Err(names::refusal(&backing.name, |name| Fault::BackingFile("qcow2", name)));
    }
    if header.dirty {
        return Err(Fault::NotClosed);
    }
    if header.corrupt {
        return Err(Fault::Corrupt);
    }
    Ok(header.virtual_size_bytes)
}

impl From<qcow2::Fault> for Fault {
    fn from(fault: qcow2::Fault) -> Self {
        match fault {
            qcow2::Fault::Foreign => Self::Foreign("no qcow2"),
            qcow2::Fault::Version(version) => Self::Version(version),
            qcow2::Fault::Encrypted(method) => Self::Encrypted(method),
            qcow2::Fault::ExternalData => Self::ExternalData,
            qcow2::Fault::UnknownFeatures(features) => Self::UnknownFeatures(features),
            qcow2::Fault::Absurd { field, value } => Self::Absurd { field, value },
            qcow2::Fault::Truncated(cut) => cut.into(),
        }
    }
}

impl From<qcow2::CutOff> for Fault {
    fn from(qcow2::CutOff(what): qcow2::CutOff) -> Self {
        Self::Truncated(what)
    }
}
