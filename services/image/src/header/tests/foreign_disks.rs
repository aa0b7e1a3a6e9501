//! VMDK, VHDX and VDI: real files of QEMU's, and the same with one thing spoilt.

use watari_testkit::TempDir;

use super::{super::*, created};

const SIZE: u64 = 16 << 20;

/// A real, empty disk of 16 MiB, as bytes that the caller may spoil.
fn disk(format: &str, option: &str) -> Vec<u8> {
    let dir = TempDir::new();
    let name = format!("d.{format}");
    let found = created(&dir, &["-f", format, "-o", option, &name, "16M"]);
    found.unwrap_or_else(|fault| panic!("{format} {option}: {fault}"));
    std::fs::read(dir.path().join(name)).unwrap()
}

fn judged(bytes: &[u8]) -> Result<Found, Fault> {
    inspect(bytes, bytes.len() as u64, 1 << 40)
}

/// The disk with other bytes at one place.
fn spoilt(sound: &[u8], offset: usize, bytes: &[u8]) -> Fault {
    let mut file = sound.to_vec();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    judged(&file).unwrap_err()
}

/// The disk with one text in it replaced by another of the same length.
fn replaced(sound: &[u8], old: &str, new: &str) -> Fault {
    assert_eq!(old.len(), new.len());
    let at = sound.windows(old.len()).position(|w| w == old.as_bytes()).unwrap_or_else(|| panic!("no {old:?}"));
    spoilt(sound, at, new.as_bytes())
}

#[test]
fn whole_disks_of_other_hypervisors_are_taken() {
    for (format, option, kind) in [
        ("vmdk", "subformat=monolithicSparse", Kind::Vmdk),
        ("vmdk", "subformat=streamOptimized", Kind::Vmdk),
        ("vhdx", "subformat=dynamic", Kind::Vhdx),
        ("vhdx", "subformat=fixed", Kind::Vhdx),
        ("vdi", "static=off", Kind::Vdi),
        ("vdi", "static=on", Kind::Vdi),
    ] {
        let found = judged(&disk(format, option)).unwrap();
        assert_eq!(found, Found { kind, virtual_size_bytes: SIZE }, "{format} {option}");
    }
}

#[test]
fn a_vmdk_that_names_other_files_is_refused() {
    let dir = TempDir::new();
    for option in ["subformat=twoGbMaxExtentFlat", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse"] {
        let fault = created(&dir, &["-f", "vmdk", "-o", option, "d.vmdk", "16M"]).unwrap_err();
        assert!(matches!(fault, Fault::ForeignExtent(_)), "{option}: {fault}");
    }
    let alone = |line: &str| {
        let text = format!(
            "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n{line}\n"
        );
        judged(text.as_bytes()).unwrap_err()
    };
    let fault = alone("RW 4 FLAT \"/etc/passwd\" 0");
    assert!(matches!(&fault, Fault::ForeignExtent(name) if name == "/etc/passwd"), "{fault}");
    let fault = alone("RW 4 FLAT \"json:{'driver':'nbd'}\" 0");
    assert!(matches!(&fault, Fault::Protocol(name) if name.starts_with("json:")), "{fault}");
    assert!(matches!(alone("nothing at all"), Fault::ForeignExtent(_)));
}

#[test]
fn a_sparse_vmdk_that_hides_a_descriptor_is_refused() {
    let sound = disk("vmdk", "subformat=monolithicSparse");
    // Capacity 0 makes QEMU believe the descriptor's extents instead of the header.
    assert!(matches!(spoilt(&sound, 12, &0_u64.to_le_bytes()), Fault::ForeignExtent(_)));
    let fault = replaced(&sound, "RW 32768 SPARSE \"d.vmdk\"", "RW 32768 SPARSE \"/d.vmd\"");
    assert!(matches!(&fault, Fault::ForeignExtent(name) if name == "/d.vmd"), "{fault}");
    let fault = replaced(&sound, "RW 32768 SPARSE \"d.vmdk\"", "RW 32768 SPARSE \"nbd:ab\"");
    assert!(matches!(&fault, Fault::Protocol(name) if name == "nbd:ab"), "{fault}");
    let fault = replaced(&sound, "RW 32768 SPARSE", "RW 32768 FLAT  ");
    assert!(matches!(fault, Fault::ForeignExtent(_)), "{fault}");
    let fault = replaced(&sound, "# The Disk Data Base", "parentFileNameHint=a");
    assert!(matches!(fault, Fault::BackingFile("VMDK", _)), "{fault}");
}

#[test]
fn each_lie_of_a_vmdk_is_refused_by_name() {
    let sound = disk("vmdk", "subformat=monolithicSparse");
    let absurd = |offset, bytes: &[u8]| match spoilt(&sound, offset, bytes) {
        Fault::Absurd { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(absurd(4, &4_u32.to_le_bytes()), "the version");
    assert_eq!(absurd(20, &3_u64.to_le_bytes()), "the grain's size");
    assert_eq!(absurd(20, &(1_u64 << 40).to_le_bytes()), "the grain's size");
    assert_eq!(absurd(44, &0_u32.to_le_bytes()), "the grain table's number of entries");
    assert_eq!(absurd(44, &513_u32.to_le_bytes()), "the grain table's number of entries");
    assert_eq!(absurd(12, &u64::MAX.to_le_bytes()), "the capacity");
    assert_eq!(absurd(36, &u64::MAX.to_le_bytes()), "the descriptor's length");
    assert_eq!(absurd(77, &7_u16.to_le_bytes()), "the compression");
    assert!(matches!(spoilt(&sound, 28, &u64::MAX.to_le_bytes()), Fault::Truncated("the descriptor")));
    assert!(matches!(spoilt(&sound, 56, &(1_u64 << 40).to_le_bytes()), Fault::Truncated("the grain directory")));
    let fault = inspect(&sound[..], sound.len() as u64, 1 << 20).unwrap_err();
    assert!(matches!(fault, Fault::TooLarge { size: SIZE, limit: 1_048_576 }), "{fault}");
}

#[test]
fn a_stream_whose_directory_is_told_at_its_end_is_read_from_there() {
    let mut stream = disk("vmdk", "subformat=streamOptimized");
    let header = stream[..512].to_vec();
    stream[56..64].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(judged(&stream), Err(Fault::Truncated("the footer"))));
    // A marker, the header with the true place, the end's marker.
    stream.extend([0; 512]);
    stream.extend(&header);
    stream.extend([0; 512]);
    assert_eq!(judged(&stream).unwrap(), Found { kind: Kind::Vmdk, virtual_size_bytes: SIZE });
    let footer = stream.len() - 1024;
    let far = spoilt(&stream, footer + 56, &(1_u64 << 40).to_le_bytes());
    assert!(matches!(far, Fault::Truncated("the grain directory")), "{far}");
    let other = spoilt(&stream, footer + 12, &7_u64.to_le_bytes());
    assert!(matches!(other, Fault::Absurd { field: "the footer's capacity", .. }), "{other}");
    assert!(matches!(spoilt(&stream, footer, b"XXXX"), Fault::Truncated("the footer")));
}

#[test]
fn each_lie_of_a_vhdx_is_refused_by_name() {
    let sound = disk("vhdx", "subformat=dynamic");
    let find = |guid: [u8; 4]| sound.windows(4).position(|w| w == guid).unwrap();
    // The GUIDs' first numbers: the metadata region, and the file parameters and the size in it.
    let (region, parameters, size) =
        (find([0x06, 0xa2, 0x7c, 0x8b]), find([0x37, 0x67, 0xa1, 0xca]), find([0x24, 0x42, 0xa5, 0x2f]));
    assert!(matches!(spoilt(&sound, region + 16, &(1_u64 << 60).to_le_bytes()), Fault::Truncated("a region")));
    assert!(matches!(spoilt(&sound, region, &[9; 16]), Fault::Absurd { field: "the number of unknown regions", .. }));
    let far = spoilt(&sound, size + 16, &u32::MAX.to_le_bytes());
    assert!(matches!(far, Fault::Absurd { field: "a metadata item's offset", .. }), "{far}");
    assert!(matches!(spoilt(&sound, size, &[9; 16]), Fault::Truncated("the metadata")));
    let table = sound.windows(8).position(|w| w == b"metadata").unwrap();
    let item = u32::from_le_bytes(sound[parameters + 16..parameters + 20].try_into().unwrap()) as usize;
    assert!(matches!(spoilt(&sound, table + item + 4, &2_u32.to_le_bytes()), Fault::BackingFile("VHDX", _)));
    assert!(matches!(
        spoilt(&sound, table + item, &3_u32.to_le_bytes()),
        Fault::Absurd { field: "the block size", value: 3 }
    ));
    let found = judged(&sound).unwrap();
    whole(&sound[..], found, sound.len() as u64).unwrap();
    // One block that is present, at the last MiB and then one further.
    let map = u64::from_le_bytes(sound[find([0x66, 0x77, 0xc2, 0x2d]) + 16..][..8].try_into().unwrap()) as usize;
    let mib = sound.len() as u64 >> 20;
    for (at, fits) in [(mib - 1, true), (mib, false)] {
        let mut file = sound.clone();
        file[map..map + 8].copy_from_slice(&(at << 20 | 6).to_le_bytes());
        let judged = whole(&file[..], found, file.len() as u64);
        assert_eq!(judged.is_ok(), fits, "{judged:?}");
    }
    assert!(matches!(judged(&sound[..200_000]), Err(Fault::Truncated(_))));
    assert!(matches!(judged(&sound[..1 << 20]), Err(Fault::Truncated(_))));
}

#[test]
fn each_lie_of_a_vdi_is_refused_by_name() {
    let sound = disk("vdi", "static=off");
    let absurd = |offset, bytes: &[u8]| match spoilt(&sound, offset, bytes) {
        Fault::Absurd { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(absurd(68, &2_u32.to_le_bytes()), "the version");
    assert_eq!(absurd(76, &9_u32.to_le_bytes()), "the image type");
    assert_eq!(absurd(360, &4096_u32.to_le_bytes()), "the sector size");
    assert_eq!(absurd(376, &7_u32.to_le_bytes()), "the block size");
    assert_eq!(absurd(368, &0_u64.to_le_bytes()), "the disk's size");
    assert_eq!(absurd(384, &u32::MAX.to_le_bytes()), "the number of blocks");
    assert_eq!(absurd(388, &u32::MAX.to_le_bytes()), "the number of allocated blocks");
    assert_eq!(absurd(340, &7_u32.to_le_bytes()), "the block map's offset");
    assert!(matches!(spoilt(&sound, 388, &16_u32.to_le_bytes()), Fault::Truncated("its data")));
    assert!(matches!(spoilt(&sound, 76, &4_u32.to_le_bytes()), Fault::BackingFile("VDI", _)));
    assert!(matches!(spoilt(&sound, 440, &[1; 16]), Fault::BackingFile("VDI", _)));
    assert!(matches!(judged(&sound[..100]), Err(Fault::Truncated(_))));
}
