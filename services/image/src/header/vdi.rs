//! The header of a VDI, as VirtualBox writes it and QEMU's block/vdi.c reads it. Little-endian.

use watari_model::qcow2::Fields;

use super::Fault;

/// At offset 64.
pub(super) const SIGNATURE: &[u8] = &[0x7f, 0x10, 0xda, 0xbe];

const VERSION_1_1: u32 = 0x0001_0001;
const DYNAMIC: u32 = 1;
const FIXED: u32 = 2;
const DIFFERENCE: u32 = 4;
const SECTOR: u32 = 512;
/// The one block size that QEMU reads.
const BLOCK: u64 = 1 << 20;
/// QEMU's own bound on the block map.
const MAX_BLOCKS: u64 = 0x3fff_ffff;

/// The size of the disk that the VDI beginning with `head` describes. `size` is that of the file.
pub(super) fn virtual_size(head: &[u8], size: u64) -> Result<u64, Fault> {
    let header = Fields::new(head, "the header");
    let absurd = |field, value: u64| Err(Fault::Absurd { field, value });
    match header.u32_le(68)? {
        VERSION_1_1 => {}
        other => return absurd("the version", other.into()),
    }
    match header.u32_le(76)? {
        DYNAMIC | FIXED => {}
        DIFFERENCE => return Err(Fault::BackingFile("VDI", "another VDI".to_owned())),
        other => return absurd("the image type", other.into()),
    }
    let (link, parent) = (header.guid(424)?, header.guid(440)?);
    if link != [0; 16] || parent != [0; 16] {
        return Err(Fault::BackingFile("VDI", "another VDI".to_owned()));
    }
    match header.u32_le(360)? {
        SECTOR => {}
        other => return absurd("the sector size", other.into()),
    }
    match u64::from(header.u32_le(376)?) {
        BLOCK => {}
        other => return absurd("the block size", other),
    }
    let (disk, blocks) = (header.u64_le(368)?, u64::from(header.u32_le(384)?));
    if disk == 0 {
        return absurd("the disk's size", disk);
    }
    if blocks > MAX_BLOCKS || disk.div_ceil(BLOCK) > blocks {
        return absurd("the number of blocks", blocks);
    }
    let allocated = u64::from(header.u32_le(388)?);
    if allocated > blocks {
        return absurd("the number of allocated blocks", allocated);
    }
    let (map, data) = (u64::from(header.u32_le(340)?), u64::from(header.u32_le(344)?));
    for (what, offset) in [("the block map's offset", map), ("the data's offset", data)] {
        if offset < 512 || !offset.is_multiple_of(512) {
            return absurd(what, offset);
        }
    }
    if map + blocks * 4 > data {
        return absurd("the data's offset", data);
    }
    if data + allocated * BLOCK > size {
        return Err(Fault::Truncated("its data"));
    }
    Ok(disk)
}
