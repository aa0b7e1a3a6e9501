//! Files that must not pass for raw disks: other formats, archives, installation media.
//!
//! Raw is what is left over, so what is *not* raw has to be known by its signature. A file that
//! slips through is harmless (its bytes are only ever shown to a guest as sectors), but its owner
//! would wonder why it does not boot.

use super::{Fault, Source};

/// How a signature is judged.
type Verdict = fn(&'static str) -> Fault;

/// Offset in the head, bytes, verdict, name.
const SIGNATURES: &[(usize, &[u8], Verdict, &str)] = &[
    (0, b"COWD", Fault::Foreign, "a VMDK disk of the old ESX kind"),
    (0, b"conectix", Fault::Foreign, "a VHD disk"),
    (0, b"QED\0", Fault::Foreign, "a QED disk"),
    (0, b"WithoutFreeSpace", Fault::Foreign, "a Parallels disk"),
    (0, b"WithouFreSpacExt", Fault::Foreign, "a Parallels disk"),
    (0, b"Bochs Virtual HD Image", Fault::Foreign, "a Bochs disk"),
    (0, b"LUKS\xba\xbe", Fault::Encrypted, "LUKS"),
    (0, b"BZh", Fault::Archive, "compressed with bzip2"),
    (0, b"7z\xbc\xaf\x27\x1c", Fault::Archive, "a 7-Zip archive"),
    (0, b"PK\x03\x04", Fault::Archive, "a ZIP archive"),
    (257, b"ustar", Fault::Archive, "a tar or OVA archive"),
    (32_769, b"CD001", Fault::NotADisk, "an ISO 9660 medium"),
];

/// Signatures in the last 512 bytes.
const TRAILERS: &[(&[u8], &str)] = &[(b"conectix", "a VHD disk"), (b"koly", "an Apple disk image")];

/// Refuses what is known to be something else than a raw disk.
pub(super) fn refuse(source: &(impl Source + ?Sized), head: &[u8], size: u64) -> Result<(), Fault> {
    for (offset, bytes, verdict, name) in SIGNATURES {
        if head.get(*offset..).is_some_and(|rest| rest.starts_with(bytes)) {
            return Err(verdict(name));
        }
    }
    let mut tail = [0; 512];
    let got = source.read_from(size.saturating_sub(512), &mut tail)?;
    match TRAILERS.iter().find(|(bytes, _)| tail[..got].starts_with(bytes)) {
        Some((_, name)) => Err(Fault::Foreign(name)),
        None => Ok(()),
    }
}
