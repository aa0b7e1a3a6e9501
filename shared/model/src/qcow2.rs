//! The header of a qcow2, after QEMU's own specification (docs/interop/qcow2.rst): a bounded parser that trusts nothing.
//! All fields are big-endian; the limits are those of QEMU's block/qcow2.c.
//!
//! A guest's disk is written by the guest's QEMU, and a file that somebody sends by anybody. So what such a header leads
//! to is known here before any program of QEMU's opens it.

mod fields;
#[cfg(test)]
mod tests;

pub use fields::{CutOff, Fields};

/// The first four bytes of any qcow.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";
/// As much of the front of a file as is ever looked at. Header extensions that reach further are
/// refused; QEMU writes a few hundred bytes of them.
pub const HEAD: usize = 64 << 10;

/// As much of a name as is shown.
const SHOWN: usize = 80;

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
const EXT_BACKING_FORMAT: u32 = 0xe279_2aca;
const EXT_ENCRYPTION: u32 = 0x0537_be77;
const EXT_DATA_FILE: u32 = 0x4441_5441;

/// Why a header is refused. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It begins otherwise.
    #[error("it is no qcow2")]
    Foreign,
    /// A version that is not on the list.
    #[error("it is a qcow of version {0}; versions 2 and 3 are taken")]
    Version(u32),
    /// It is encrypted.
    #[error("it is encrypted ({0})")]
    Encrypted(&'static str),
    /// Its data are elsewhere.
    #[error("its data lie in an external file")]
    ExternalData,
    /// It needs features that are not on the list.
    #[error("it has unknown incompatible features ({0:#x})")]
    UnknownFeatures(u64),
    /// A field makes no sense.
    #[error("its header makes no sense: {field} is {value}")]
    Absurd {
        /// Which.
        field: &'static str,
        /// What it is.
        value: u64,
    },
    /// It ends before something that its header points to.
    #[error(transparent)]
    Truncated(#[from] CutOff),
}

/// What a sound header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The size of the disk that it describes, in bytes; not 0.
    pub virtual_size_bytes: u64,
    /// What it stands on.
    pub backing: Option<Backing>,
    /// It was not closed properly.
    pub dirty: bool,
    /// QEMU has marked it corrupt.
    pub corrupt: bool,
}

/// The file that a qcow2 stands on, as its header names it: nothing of it is to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backing {
    /// The name's bytes.
    pub name: Vec<u8>,
    /// The bytes of the format's name, if it has one.
    pub format: Option<Vec<u8>>,
}

fn absurd(field: &'static str, value: impl Into<u64>) -> Fault {
    Fault::Absurd { field, value: value.into() }
}

/// A name's printable characters, up to a bound.
#[must_use]
pub fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// Reads the header of the qcow2 that begins with `head`, its first [`HEAD`] bytes, or all of them. `size` is that of
/// the whole file.
///
/// # Errors
/// [`Fault`]: something speaks against the file, whatever it stands on.
pub fn read(head: &[u8], size: u64) -> Result<Header, Fault> {
    if !head.starts_with(&MAGIC) {
        return Err(Fault::Foreign);
    }
    let header = Fields::new(head, "the header");
    let version = header.u32_be(4)?;
    if !matches!(version, 2 | 3) {
        return Err(Fault::Version(version));
    }
    match header.u32_be(32)? {
        0 => {}
        1 => return Err(Fault::Encrypted("AES")),
        2 => return Err(Fault::Encrypted("LUKS")),
        other => return Err(absurd("the encryption method", other)),
    }
    let (header_bytes, features) = if version == 2 { (V2_BYTES, 0) } else { version_3(&header)? };
    let cluster_bits = header.u32_be(20)?;
    if !(9..=21).contains(&cluster_bits) {
        return Err(absurd("the cluster size's exponent", cluster_bits));
    }
    let cluster = 1_u64 << cluster_bits;
    if header_bytes > cluster {
        return Err(absurd("the header's length", header_bytes));
    }
    let format = extensions(&header, header_bytes, cluster)?;
    tables(&header, cluster, size)?;
    let virtual_size_bytes = disk(&header, cluster, features)?;
    let backing = backing_name(&header, cluster)?.map(|name| Backing { name, format });
    Ok(Header { virtual_size_bytes, backing, dirty: features & DIRTY != 0, corrupt: features & CORRUPT != 0 })
}

/// The name of the file that it stands on, as it stands in the first cluster.
fn backing_name(header: &Fields<'_>, cluster: u64) -> Result<Option<Vec<u8>>, Fault> {
    let (offset, length) = (header.u64_be(8)?, header.u32_be(16)?);
    if offset == 0 && length == 0 {
        return Ok(None);
    }
    let within = offset.checked_add(length.into()).is_some_and(|end| end <= cluster);
    if offset == 0 || length == 0 || length > MAX_NAME || !within {
        return Err(absurd("the length of the backing file's name", length));
    }
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    let name = header.slice(at, length as usize);
    if name.len() < length as usize {
        return Err(CutOff("the backing file's name").into());
    }
    Ok(Some(name.to_vec()))
}

/// What version 3 adds; gives the header's length and the features that a reader must know.
fn version_3(header: &Fields<'_>) -> Result<(u64, u64), Fault> {
    let features = header.u64_be(72)?;
    if features & EXTERNAL_DATA != 0 {
        return Err(Fault::ExternalData);
    }
    let unknown = features & !(DIRTY | CORRUPT | COMPRESSION_TYPE | EXTENDED_L2);
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
    Ok((length, features))
}

/// Walks the header extensions, each with at least eight bytes, up to the end of the first cluster; gives the format of
/// the file that it stands on.
fn extensions(header: &Fields<'_>, header_bytes: u64, cluster: u64) -> Result<Option<Vec<u8>>, Fault> {
    let (mut offset, mut format) = (header_bytes, None);
    loop {
        if offset + 8 > cluster {
            return Ok(format);
        }
        let Ok(at) = usize::try_from(offset) else { return Err(absurd("a header extension's offset", offset)) };
        if at + 8 > HEAD {
            return Err(absurd("the length of the header extensions", offset));
        }
        let (kind, length) = (header.u32_be(at)?, header.u32_be(at + 4)?);
        match kind {
            EXT_END => return Ok(format),
            EXT_ENCRYPTION => return Err(Fault::Encrypted("LUKS")),
            EXT_DATA_FILE => return Err(Fault::ExternalData),
            EXT_BACKING_FORMAT => format = Some(header.slice(at + 8, length.min(MAX_NAME) as usize).to_vec()),
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
        _ => Err(CutOff(what).into()),
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
fn disk(header: &Fields<'_>, cluster: u64, features: u64) -> Result<u64, Fault> {
    let disk = header.u64_be(24)?;
    if disk == 0 || disk > 1 << 56 {
        return Err(absurd("the disk's size", disk));
    }
    let entry_bytes = if features & EXTENDED_L2 != 0 { 16 } else { 8 };
    let per_l1_entry = cluster * (cluster / entry_bytes);
    if disk.div_ceil(per_l1_entry) > u64::from(header.u32_be(36)?) {
        return Err(absurd("the L1 table's number of entries", header.u32_be(36)?));
    }
    Ok(disk)
}
