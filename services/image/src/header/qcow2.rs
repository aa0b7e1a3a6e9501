//! The header of a qcow2, after QEMU's own specification (docs/interop/qcow2.rst). All fields are
//! big-endian; the limits are those of QEMU's block/qcow2.c.

use super::{Fault, fields::Fields, names};

/// The first four bytes of any qcow.
pub(super) const MAGIC: &[u8] = b"QFI\xfb";

/// A version-2 header, to which version 3 adds.
const V2_BYTES: u64 = 72;
/// The least that version 3 has.
const V3_BYTES: u64 = 104;
/// QEMU refuses longer L1 tables.
const MAX_L1_BYTES: u64 = 32 << 20;
/// QEMU refuses longer refcount tables.
const MAX_REFCOUNT_BYTES: u64 = 8 << 20;
/// QEMU refuses longer names of backing files.
const MAX_NAME: u32 = 1023;
/// Internal snapshots beyond this are not believed.
const MAX_SNAPSHOTS: u32 = 1024;

const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

const EXT_END: u32 = 0;
const EXT_ENCRYPTION: u32 = 0x0537_be77;
const EXT_DATA_FILE: u32 = 0x4441_5441;

fn absurd(field: &'static str, value: impl Into<u64>) -> Fault {
    Fault::Absurd { field, value: value.into() }
}

/// The size of the disk that the qcow2 beginning with `head` describes, if nothing in its header
/// speaks against it. `size` is that of the whole file.
pub(super) fn virtual_size(head: &[u8], size: u64) -> Result<u64, Fault> {
    let header = Fields::new(head, "the header");
    let version = header.u32_be(4)?;
    if !matches!(version, 2 | 3) {
        return Err(Fault::Version(version));
    }
    let (backing, length) = (header.u64_be(8)?, header.u32_be(16)?);
    if backing != 0 || length != 0 {
        let name = header.slice(usize::try_from(backing).unwrap_or(usize::MAX), length.min(MAX_NAME) as usize);
        return Err(names::refusal(name, |name| Fault::BackingFile("qcow2", name)));
    }
    match header.u32_be(32)? {
        0 => {}
        1 => return Err(Fault::Encrypted("AES")),
        2 => return Err(Fault::Encrypted("LUKS")),
        other => return Err(absurd("the encryption method", other)),
    }
    let header_bytes = if version == 2 { V2_BYTES } else { version_3(&header)? };
    let cluster_bits = header.u32_be(20)?;
    if !(9..=21).contains(&cluster_bits) {
        return Err(absurd("the cluster size's exponent", cluster_bits));
    }
    let cluster = 1_u64 << cluster_bits;
    if header_bytes > cluster {
        return Err(absurd("the header's length", header_bytes));
    }
    extensions(&header, header_bytes, cluster)?;
    tables(&header, cluster, size)?;
    disk(&header, cluster, version)
}

/// What version 3 adds; gives the header's length.
fn version_3(header: &Fields<'_>) -> Result<u64, Fault> {
    let features = header.u64_be(72)?;
    for (bit, fault) in [(DIRTY, Fault::NotClosed), (CORRUPT, Fault::Corrupt), (EXTERNAL_DATA, Fault::ExternalData)] {
        if features & bit != 0 {
            return Err(fault);
        }
    }
    let unknown = features & !(COMPRESSION_TYPE | EXTENDED_L2);
    if unknown != 0 {
        return Err(Fault::UnknownFeatures(unknown));
    }
    let refcount_order = header.u32_be(96)?;
    if refcount_order > 6 {
        return Err(absurd("the refcount order", refcount_order));
    }
    let length = u64::from(header.u32_be(100)?);
    if length < V3_BYTES || !length.is_multiple_of(8) {
        return Err(absurd("the header's length", length));
    }
    let compression = if length > V3_BYTES { header.u8(104)? } else { 0 };
    if compression > 1 || (features & COMPRESSION_TYPE != 0) != (compression != 0) {
        return Err(absurd("the compression type", compression));
    }
    Ok(length)
}

/// Walks the header extensions, each with at least eight bytes, up to the end of the first cluster.
fn extensions(header: &Fields<'_>, header_bytes: u64, cluster: u64) -> Result<(), Fault> {
    let mut offset = header_bytes;
    loop {
        if offset + 8 > cluster {
            return Ok(());
        }
        let Ok(at) = usize::try_from(offset) else { return Err(absurd("a header extension's offset", offset)) };
        if at + 8 > super::HEAD {
            return Err(absurd("the length of the header extensions", offset));
        }
        let (kind, length) = (header.u32_be(at)?, header.u32_be(at + 4)?);
        match kind {
            EXT_END => return Ok(()),
            EXT_ENCRYPTION => return Err(Fault::Encrypted("LUKS")),
            EXT_DATA_FILE => {
                let name = header.slice(at + 8, length.min(MAX_NAME) as usize);
                return Err(names::refusal(name, |_| Fault::ExternalData));
            }
            _ => {}
        }
        let next = offset + 8 + u64::from(length).next_multiple_of(8);
        if next > cluster {
            return Err(absurd("a header extension's length", length));
        }
        offset = next;
    }
}

/// Whether a table of `bytes` at `offset` lies whole within the file, on a cluster's border.
fn lies_within(what: &'static str, offset: u64, bytes: u64, cluster: u64, size: u64) -> Result<(), Fault> {
    if !offset.is_multiple_of(cluster) || offset == 0 {
        return Err(absurd(what, offset));
    }
    match offset.checked_add(bytes) {
        Some(end) if end <= size => Ok(()),
        _ => Err(Fault::Truncated(what)),
    }
}

fn tables(header: &Fields<'_>, cluster: u64, size: u64) -> Result<(), Fault> {
    let refcount_bytes = u64::from(header.u32_be(56)?) * cluster;
    if refcount_bytes == 0 || refcount_bytes > MAX_REFCOUNT_BYTES {
        return Err(absurd("the refcount table's size", refcount_bytes));
    }
    lies_within("the refcount table", header.u64_be(48)?, refcount_bytes, cluster, size)?;
    let snapshots = header.u32_be(60)?;
    if snapshots > MAX_SNAPSHOTS {
        return Err(absurd("the number of snapshots", snapshots));
    }
    if snapshots > 0 {
        // Each entry has at least 40 bytes.
        lies_within("the snapshot table", header.u64_be(64)?, u64::from(snapshots) * 40, cluster, size)?;
    }
    let l1_bytes = u64::from(header.u32_be(36)?) * 8;
    if l1_bytes > MAX_L1_BYTES {
        return Err(absurd("the L1 table's size", l1_bytes));
    }
    lies_within("the L1 table", header.u64_be(40)?, l1_bytes, cluster, size)
}

/// The disk's size, which the L1 table must be able to address.
fn disk(header: &Fields<'_>, cluster: u64, version: u32) -> Result<u64, Fault> {
    let disk = header.u64_be(24)?;
    if disk == 0 || disk > 1 << 56 {
        return Err(absurd("the disk's size", disk));
    }
    let extended = version == 3 && header.u64_be(72)? & EXTENDED_L2 != 0;
    let entry_bytes = if extended { 16 } else { 8 };
    let per_l1_entry = cluster * (cluster / entry_bytes);
    if disk.div_ceil(per_l1_entry) > u64::from(header.u32_be(36)?) {
        return Err(absurd("the L1 table's number of entries", header.u32_be(36)?));
    }
    Ok(disk)
}
