//! What the header parser found wrong, as the operator reads it.

use watari_model::{ImageName, Refusal};

use crate::header::Fault;

/// Every fault of a file's own has a refusal of its own; a disk of ours that cannot be read has none.
pub(super) fn refusal(image: &ImageName, fault: Fault) -> Result<Refusal, std::io::Error> {
    let image = image.to_string();
    let detail = fault.to_string();
    Ok(match fault {
        Fault::Unreadable(error) => return Err(error),
        Fault::BackingFile(format, name) => Refusal::ImageBackingFile { image, format: format.to_owned(), name },
        Fault::ExternalData => Refusal::ImageExternalData { image },
        Fault::ForeignExtent(name) => Refusal::ImageForeignExtent { image, name },
        Fault::Protocol(name) => Refusal::ImageProtocolName { image, name },
        Fault::Encrypted(method) => Refusal::ImageEncrypted { image, method: method.to_owned() },
        Fault::NotClosed => Refusal::ImageNotClosed { image },
        Fault::TooLarge { size, limit } => Refusal::ImageDiskTooLarge {
            image,
            size_gib: size.div_ceil(1 << 30).to_string(),
            limit_gib: (limit >> 30).to_string(),
        },
        Fault::Truncated(_) => Refusal::ImageTruncated { image, detail },
        Fault::Corrupt | Fault::Absurd { .. } => Refusal::ImageCorrupt { image, detail },
        Fault::UnknownFeatures(_) | Fault::Version(_) | Fault::Foreign(_) => {
            Refusal::ImageFormatUnknown { image, detail }
        }
        // What is compressed twice is not unpacked twice.
        Fault::Packed(_) | Fault::Archive(_) => Refusal::ImageArchive { image, detail },
        Fault::NotSectors(bytes) => Refusal::ImageNotSectors { image, bytes: bytes.to_string() },
        Fault::NotADisk(_) | Fault::Empty => Refusal::ImageNotADisk { image, detail },
    })
}
