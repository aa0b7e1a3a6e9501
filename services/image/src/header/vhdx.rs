//! A VHDX, after Microsoft's specification [MS-VHDX]. Little-endian. Its header leads to a region
//! table, that to the metadata, and those to the disk's size: three small reads at checked places.

use watari_model::qcow2::Fields;

use super::{Fault, Source, read};

pub(super) const MAGIC: &[u8] = b"vhdxfile";

/// Both copies of the region table, in the order in which they are believed.
const REGION_TABLES: [u64; 2] = [192 << 10, 256 << 10];
/// A table's header and its entries.
const TABLE: usize = 64 << 10;
/// The specification's bound on entries of either table.
const MAX_ENTRIES: usize = 2047;
/// As many entries as are read; there are two regions and five items in the files of this world.
const READ_ENTRIES: usize = 64;
const ENTRY: usize = 32;
/// Regions lie behind the first MiB.
const FIRST_REGION: u64 = 1 << 20;

const METADATA: [u8; 16] = guid(0x8b7c_a206, 0x4790, 0x4b9a, [0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e]);
const BAT: [u8; 16] = guid(0x2dc2_7766, 0xf623, 0x4200, [0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08]);
const FILE_PARAMETERS: [u8; 16] = guid(0xcaa1_6737, 0xfa36, 0x4d43, [0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b]);
const DISK_SIZE: [u8; 16] = guid(0x2fa5_4224, 0xcd1b, 0x4876, [0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8]);
const SECTOR_SIZE: [u8; 16] = guid(0x8141_bf1d, 0xa96f, 0x4709, [0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f]);
const PARENT_LOCATOR: [u8; 16] = guid(0xa8d3_5f2d, 0xb30b, 0x454d, [0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c]);

const HAS_PARENT: u32 = 2;
/// As much of the block map as is looked at: a million blocks.
const MOST_MAP: u64 = 8 << 20;
/// A block map's entry: the state in the lowest bits, the offset in MiB in the highest.
const STATE: u64 = 7;
const FULLY_PRESENT: u64 = 6;
const PARTIALLY_PRESENT: u64 = 7;

/// A GUID as it lies in the file: three little-endian numbers and eight bytes.
const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

/// Where something lies in the file.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    length: u64,
}

/// The size of the disk that the VHDX describes. `size` is that of the file.
pub(super) fn virtual_size(source: &(impl Source + ?Sized), size: u64) -> Result<u64, Fault> {
    let (metadata, _) = regions(source, size)?;
    let bytes = read(source, metadata.offset, 32 + READ_ENTRIES * ENTRY)?;
    let table = Fields::new(&bytes, "the metadata");
    if table.slice(0, 8) != b"metadata" {
        return Err(Fault::Absurd { field: "the metadata's signature", value: table.u64_le(0)? });
    }
    let entries = bounded("the number of metadata entries", table.u16_le(10)?.into())?;
    let (mut disk, mut block, mut sector) = (None, None, None);
    for n in 0..entries {
        let at = 32 + n * ENTRY;
        let item = table.guid(at)?;
        if item == PARENT_LOCATOR {
            return Err(Fault::BackingFile("VHDX", "another VHDX".to_owned()));
        }
        let value = |length: usize| {
            let offset = u64::from(table.u32_le(at + 16)?);
            let end = offset.checked_add(length as u64).filter(|end| *end <= metadata.length && offset >= TABLE as u64);
            end.ok_or(Fault::Absurd { field: "a metadata item's offset", value: offset })?;
            read(source, metadata.offset + offset, length)
        };
        match item {
            FILE_PARAMETERS => {
                let value = value(8)?;
                let parameters = Fields::new(&value, "the metadata");
                if parameters.u32_le(4)? & HAS_PARENT != 0 {
                    return Err(Fault::BackingFile("VHDX", "another VHDX".to_owned()));
                }
                block = Some(parameters.u32_le(0)?);
            }
            DISK_SIZE => disk = Some(Fields::new(&value(8)?, "the metadata").u64_le(0)?),
            SECTOR_SIZE => sector = Some(Fields::new(&value(4)?, "the metadata").u32_le(0)?),
            _ => {}
        }
    }
    let (Some(disk), Some(block), Some(sector)) = (disk, block, sector) else {
        return Err(Fault::Truncated("the metadata"));
    };
    if !block.is_power_of_two() || !(1 << 20..=256 << 20).contains(&block) {
        return Err(Fault::Absurd { field: "the block size", value: block.into() });
    }
    if !matches!(sector, 512 | 4096) {
        return Err(Fault::Absurd { field: "the sector size", value: sector.into() });
    }
    if disk == 0 || !disk.is_multiple_of(sector.into()) {
        return Err(Fault::Absurd { field: "the disk's size", value: disk });
    }
    Ok(disk)
}

/// Whether all blocks of the map lie within the file: QEMU reads zeros where one does not. What lies
/// beyond the first [`MOST_MAP`] bytes of the map is not looked at.
pub(super) fn whole(source: &(impl Source + ?Sized), size: u64) -> Result<(), Fault> {
    let (_, map) = regions(source, size)?;
    let end = map.offset + map.length.min(MOST_MAP);
    let mut at = map.offset;
    while at < end {
        let bytes = read(source, at, TABLE.min(usize::try_from(end - at).unwrap_or(TABLE)))?;
        if bytes.is_empty() {
            return Err(Fault::Truncated("the block map"));
        }
        for entry in bytes.as_chunks::<8>().0 {
            let entry = u64::from_le_bytes(*entry);
            let present = matches!(entry & STATE, FULLY_PRESENT | PARTIALLY_PRESENT);
            // The offset's 44 bits stand where MiB become bytes.
            if present && (entry >> 20 << 20).saturating_add(1 << 20) > size {
                return Err(Fault::Truncated("a block"));
            }
        }
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Where the metadata and the block map lie, if all regions lie within the file.
fn regions(source: &(impl Source + ?Sized), size: u64) -> Result<(Place, Place), Fault> {
    let mut bytes = read(source, REGION_TABLES[0], 16 + READ_ENTRIES * ENTRY)?;
    if !bytes.starts_with(b"regi") {
        bytes = read(source, REGION_TABLES[1], 16 + READ_ENTRIES * ENTRY)?;
    }
    let table = Fields::new(&bytes, "the region table");
    if table.slice(0, 4) != b"regi" {
        return Err(Fault::Truncated("the region table"));
    }
    let entries = bounded("the number of regions", table.u32_le(8)? as usize)?;
    let (mut metadata, mut map) = (None, None);
    for n in 0..entries {
        let at = 16 + n * ENTRY;
        let place = Place { offset: table.u64_le(at + 16)?, length: table.u32_le(at + 24)?.into() };
        if place.offset < FIRST_REGION || !place.offset.is_multiple_of(1 << 20) {
            return Err(Fault::Absurd { field: "a region's offset", value: place.offset });
        }
        match place.offset.checked_add(place.length) {
            Some(end) if end <= size => {}
            _ => return Err(Fault::Truncated("a region")),
        }
        match table.guid(at)? {
            METADATA => metadata = Some(place),
            BAT => map = Some(place),
            _ => return Err(Fault::Absurd { field: "the number of unknown regions", value: 1 }),
        }
    }
    match (metadata, map) {
        (Some(metadata), Some(map)) if metadata.length > TABLE as u64 => Ok((metadata, map)),
        _ => Err(Fault::Truncated("the region table")),
    }
}

fn bounded(field: &'static str, entries: usize) -> Result<usize, Fault> {
    if entries > MAX_ENTRIES.min(READ_ENTRIES) {
        return Err(Fault::Absurd { field, value: entries as u64 });
    }
    Ok(entries)
}
