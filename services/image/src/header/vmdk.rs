//! A VMDK that is whole in one file: `monolithicSparse` or `streamOptimized`, after VMware's
//! "Virtual Disk Format 5.0" and QEMU's block/vmdk.c. Little-endian; sectors of 512 bytes.
//!
//! The danger is the descriptor, a text that names files. It may stand alone, or hide behind a
//! sparse header of capacity 0, in which case QEMU opens whatever its extents say; and any
//! `parentFileNameHint` in it names a base. All of these are refused.

use watari_model::qcow2::{Fields, printable};

use super::{Fault, Source, names, read};

pub(super) const MAGIC: &[u8] = b"KDMV";
/// How a descriptor that stands alone begins; also the first line of an embedded one.
pub(super) const DESCRIPTOR: &[u8] = b"# Disk DescriptorFile";

const SECTOR: u64 = 512;
/// Where QEMU looks for a parent, whatever the header says.
const PARENT_AT: u64 = SECTOR;
/// The longest descriptor that QEMU reads for it.
const DESCRIPTOR_BYTES: usize = 20 * 512;
/// The header's place for "see the footer".
const AT_END: u64 = u64::MAX;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
const DEFLATE: u16 = 1;
/// QEMU refuses larger grains and longer tables.
const MAX_GRAIN: u64 = 0x20_0000;
const MAX_TABLE_ENTRIES: u32 = 512;
const MAX_DIRECTORY_ENTRIES: u64 = 512 << 20 >> 2;

/// The size of the disk that the VMDK beginning with `head` describes. `size` is that of the file.
pub(super) fn virtual_size(source: &(impl Source + ?Sized), head: &[u8], size: u64) -> Result<u64, Fault> {
    let header = Fields::new(head, "the header");
    let (flags, capacity) = (header.u32_le(8)?, header.u64_le(12)?);
    let absurd = |field, value: u64| Err(Fault::Absurd { field, value });
    if !(1..=3).contains(&header.u32_le(4)?) {
        return absurd("the version", header.u32_le(4)?.into());
    }
    descriptors(source, &header, size)?;
    if capacity == 0 {
        // QEMU would read the descriptor as one that stands alone.
        return Err(Fault::ForeignExtent("the files of its descriptor".to_owned()));
    }
    if header.u64_le(56)? == AT_END {
        let footer = read(source, size.saturating_sub(2 * SECTOR), SECTOR as usize)?;
        let footer = Fields::new(&footer, "the footer");
        if footer.slice(0, 4) != MAGIC {
            return Err(Fault::Truncated("the footer"));
        }
        if footer.u64_le(12)? != capacity {
            return absurd("the footer's capacity", footer.u64_le(12)?);
        }
        tables(&footer, capacity, size)?;
    } else {
        tables(&header, capacity, size)?;
    }
    match (flags & COMPRESSED != 0, header.u16_le(77)?) {
        (false, 0) => {}
        (true, DEFLATE) if flags & MARKERS != 0 => {}
        (_, algorithm) => return absurd("the compression", algorithm.into()),
    }
    match capacity.checked_mul(SECTOR) {
        Some(disk) => Ok(disk),
        None => absurd("the capacity", capacity),
    }
}

/// Whether grains and their tables are of sizes that make sense, and the directory is in the file.
fn tables(header: &Fields<'_>, capacity: u64, size: u64) -> Result<(), Fault> {
    let absurd = |field, value: u64| Err(Fault::Absurd { field, value });
    let (grain, per_table) = (header.u64_le(20)?, header.u32_le(44)?);
    if !grain.is_power_of_two() || grain > MAX_GRAIN {
        return absurd("the grain's size", grain);
    }
    if per_table == 0 || per_table > MAX_TABLE_ENTRIES {
        return absurd("the grain table's number of entries", per_table.into());
    }
    let directory = capacity.div_ceil(grain * u64::from(per_table));
    if directory > MAX_DIRECTORY_ENTRIES {
        return absurd("the capacity", capacity);
    }
    let at = header.u64_le(56)?;
    let end = at.checked_mul(SECTOR).and_then(|at| at.checked_add(directory * 4));
    match end {
        Some(end) if end <= size && at > 0 => Ok(()),
        _ => Err(Fault::Truncated("the grain directory")),
    }
}

/// Refuses what the embedded descriptor must not say, wherever it may be looked for.
fn descriptors(source: &(impl Source + ?Sized), header: &Fields<'_>, size: u64) -> Result<(), Fault> {
    let (at, sectors) = (header.u64_le(28)?, header.u64_le(36)?);
    if at == 0 {
        return parent(&read(source, PARENT_AT, DESCRIPTOR_BYTES)?);
    }
    let begin = at.checked_mul(SECTOR).filter(|begin| *begin < size).ok_or(Fault::Truncated("the descriptor"))?;
    let length = sectors.checked_mul(SECTOR).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    if length > DESCRIPTOR_BYTES {
        return Err(Fault::Absurd { field: "the descriptor's length", value: sectors });
    }
    parent(&read(source, PARENT_AT, DESCRIPTOR_BYTES)?)?;
    // QEMU reads as much as it can, whatever length the header gives.
    let text = read(source, begin, DESCRIPTOR_BYTES)?;
    parent(&text)?;
    extents(text_of(&text[..length.min(text.len())]))
}

/// A descriptor ends at its first zero.
fn text_of(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// QEMU takes a parent's name wherever the word stands.
fn parent(text: &[u8]) -> Result<(), Fault> {
    const WORD: &[u8] = b"parentFileNameHint";
    let Some(at) = text.windows(WORD.len()).position(|window| window == WORD) else { return Ok(()) };
    let name = quoted(&text[at..]);
    Err(names::refusal(name, |name| Fault::BackingFile("VMDK", name)))
}

/// What stands between the first two quotation marks.
fn quoted(text: &[u8]) -> &[u8] {
    text.split(|b| *b == b'"').nth(1).unwrap_or_default()
}

/// One sparse extent without a path is the file itself; anything else is another file.
fn extents(text: &[u8]) -> Result<(), Fault> {
    let mut own = 0;
    for line in text.split(|b| matches!(b, b'\n' | b'\r')) {
        let words: Vec<&[u8]> = line.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty()).take(3).collect();
        let [access, _, kind] = words[..] else { continue };
        if !matches!(access, b"RW" | b"RDONLY" | b"NOACCESS") {
            continue;
        }
        let name = quoted(line);
        own += 1;
        let elsewhere = kind != b"SPARSE" || own > 1 || name.contains(&b'/') || name.contains(&b'\\');
        if elsewhere || names::is_protocol(&printable(name)) {
            return Err(names::refusal(name, Fault::ForeignExtent));
        }
    }
    Ok(())
}

/// A descriptor that stands alone: it is nothing but names of other files.
pub(super) fn descriptor(head: &[u8]) -> Fault {
    let text = text_of(&head[..head.len().min(DESCRIPTOR_BYTES)]);
    let named = parent(text).and_then(|()| extents(text));
    match named {
        Err(fault @ Fault::Protocol(_)) => fault,
        Err(Fault::ForeignExtent(name)) => Fault::ForeignExtent(name),
        _ => Fault::ForeignExtent("the files of its descriptor".to_owned()),
    }
}
