mod bounded;
mod foreign_disks;

use std::{path::Path, process::Command};

use watari_testkit::TempDir;

use super::*;

const MANY: u64 = 1 << 50;

fn qemu_img(dir: &Path, args: &[&str]) {
    let done = Command::new("qemu-img").current_dir(dir).args(args).output().unwrap();
    assert!(done.status.success(), "qemu-img {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn judged(path: &Path) -> Result<Found, Fault> {
    let file = std::fs::File::open(path).unwrap();
    inspect(&file, file.metadata().unwrap().len(), 1 << 40)
}

/// Makes `name` with `qemu-img create` and judges it.
fn created(dir: &TempDir, args: &[&str]) -> Result<Found, Fault> {
    let mut all = vec!["create", "-q"];
    all.extend(args);
    qemu_img(dir.path(), &all);
    let name = args.iter().find(|a| a.starts_with("d.")).unwrap();
    judged(&dir.path().join(name))
}

#[test]
fn plain_disks_of_every_allowed_kind_are_taken() {
    let dir = TempDir::new();
    for options in [
        "compat=v3",
        "compat=0.10",
        "cluster_size=512",
        "cluster_size=2M",
        "extended_l2=on,cluster_size=128k",
        "compression_type=zstd",
        "lazy_refcounts=on",
        "refcount_bits=64",
    ] {
        let found = created(&dir, &["-f", "qcow2", "-o", options, "d.qcow2", "20M"]).unwrap();
        assert_eq!(found, Found { kind: Kind::Qcow2, virtual_size_bytes: 20 << 20 }, "{options}");
    }
    let found = created(&dir, &["-f", "raw", "d.raw", "1000"]).unwrap();
    assert_eq!(found, Found { kind: Kind::Raw, virtual_size_bytes: 1024 });
}

#[test]
fn what_has_no_format_and_no_whole_sectors_is_no_raw_disk() {
    let passwd = b"root:x:0:0:root:/root:/bin/bash\n".repeat(64);
    for (length, sound) in [(passwd.len(), true), (passwd.len() - 1, false), (511, false), (1, false)] {
        let judged = inspect(&passwd[..length], length as u64, MANY);
        assert_eq!(judged.is_ok(), sound, "{length}: {judged:?}");
        assert!(sound || matches!(judged, Err(Fault::NotSectors(bytes)) if bytes == length as u64));
    }
}

#[test]
fn a_qcow2_with_a_backing_file_is_refused() {
    let dir = TempDir::new();
    std::fs::write(dir.path().join("secret"), [7; 4096]).unwrap();
    let fault = created(&dir, &["-f", "qcow2", "-b", "secret", "-F", "raw", "d.qcow2"]).unwrap_err();
    assert!(matches!(&fault, Fault::BackingFile("qcow2", name) if name == "secret"), "{fault}");
}

#[test]
fn a_qcow2_with_an_external_data_file_is_refused() {
    let dir = TempDir::new();
    for raw in ["off", "on"] {
        let options = format!("data_file=data.{raw},data_file_raw={raw}");
        let fault = created(&dir, &["-f", "qcow2", "-o", &options, "d.qcow2", "1M"]).unwrap_err();
        assert!(matches!(fault, Fault::ExternalData), "{fault}");
    }
}

#[test]
fn encrypted_disks_are_refused() {
    let dir = TempDir::new();
    let secret = ["--object", "secret,id=s,data=abc"];
    let luks = ["-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", "d.qcow2", "1M"];
    let fault = created(&dir, &[&secret[..], &["-f", "qcow2"], &luks].concat()).unwrap_err();
    assert!(matches!(fault, Fault::Encrypted("LUKS")), "{fault}");
    let luks = ["-f", "luks", "-o", "key-secret=s,iter-time=10", "d.luks", "1M"];
    let fault = created(&dir, &[&secret[..], &luks].concat()).unwrap_err();
    assert!(matches!(fault, Fault::Encrypted("LUKS")), "{fault}");
}

#[test]
fn other_formats_are_named_and_refused() {
    let dir = TempDir::new();
    let cases = [
        ("vpc", "subformat=dynamic", "a VHD disk"),
        ("vpc", "subformat=fixed", "a VHD disk"),
        ("qed", "table_size=1", "a QED disk"),
        ("parallels", "cluster_size=1M", "a Parallels disk"),
    ];
    for (format, option, name) in cases {
        match created(&dir, &["-f", format, "-o", option, &format!("d.{format}"), "16M"]) {
            Err(Fault::Foreign(found)) => assert_eq!(found, name, "{format} {option}"),
            other => panic!("{format} {option}: {other:?}"),
        }
    }
    let fault = created(&dir, &["-f", "qcow", "d.qcow", "1M"]).unwrap_err();
    assert!(matches!(fault, Fault::Version(1)), "{fault}");
}

#[test]
fn archives_and_installation_media_are_no_disks() {
    let mut iso = vec![0; 40_000];
    iso[32_769..32_774].copy_from_slice(b"CD001");
    assert!(matches!(inspect(&iso[..], 40_000, MANY), Err(Fault::NotADisk(_))));
    for bytes in [&b"BZh9"[..], b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c"] {
        assert!(matches!(inspect(bytes, bytes.len() as u64, MANY), Err(Fault::Archive(_))));
    }
    let packed =
        [(&b"\x1f\x8b\x08\0"[..], Packing::Gzip), (b"\xfd7zXZ\0", Packing::Xz), (b"\x28\xb5\x2f\xfd", Packing::Zstd)];
    for (bytes, packing) in packed {
        let fault = inspect(bytes, bytes.len() as u64, MANY).unwrap_err();
        assert!(matches!(fault, Fault::Packed(found) if found == packing), "{fault}");
    }
    assert!(matches!(inspect(&[][..], 0, MANY), Err(Fault::Empty)));
}

#[test]
fn a_backing_name_that_is_a_protocol_is_called_one() {
    let dir = TempDir::new();
    std::fs::write(dir.path().join("secret"), [7; 4096]).unwrap();
    let json = "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"secret\"}}";
    let fault = created(&dir, &["-u", "-f", "qcow2", "-b", json, "-F", "raw", "d.qcow2", "1M"]).unwrap_err();
    assert!(matches!(&fault, Fault::Protocol(name) if name.starts_with("json:")), "{fault}");
    let fault =
        created(&dir, &["-u", "-f", "qcow2", "-b", "nbd:127.0.0.1:9", "-F", "raw", "d.qcow2", "1M"]).unwrap_err();
    assert!(matches!(&fault, Fault::Protocol(name) if name == "nbd:127.0.0.1:9"), "{fault}");
}

/// A sound qcow2 of 20 MiB whose bytes the caller may spoil.
fn sound() -> Vec<u8> {
    let dir = TempDir::new();
    created(&dir, &["-f", "qcow2", "d.qcow2", "20M"]).unwrap();
    std::fs::read(dir.path().join("d.qcow2")).unwrap()
}

fn spoilt(sound: &[u8], offset: usize, bytes: &[u8]) -> Fault {
    let mut file = sound.to_vec();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    inspect(&file[..], file.len() as u64, 1 << 40).unwrap_err()
}

#[test]
fn each_lie_in_the_header_is_refused_by_name() {
    let sound = sound();
    let absurd = |offset, bytes: &[u8]| match spoilt(&sound, offset, bytes) {
        Fault::Absurd { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(absurd(20, &8_u32.to_be_bytes()), "the cluster size's exponent");
    assert_eq!(absurd(20, &22_u32.to_be_bytes()), "the cluster size's exponent");
    assert_eq!(absurd(20, &u32::MAX.to_be_bytes()), "the cluster size's exponent");
    assert_eq!(absurd(24, &0_u64.to_be_bytes()), "the disk's size");
    assert_eq!(absurd(24, &u64::MAX.to_be_bytes()), "the disk's size");
    assert_eq!(absurd(24, &(1_u64 << 39).to_be_bytes()), "the L1 table's number of entries");
    assert_eq!(absurd(32, &3_u32.to_be_bytes()), "the encryption method");
    assert_eq!(absurd(36, &u32::MAX.to_be_bytes()), "the L1 table's size");
    assert_eq!(absurd(40, &1_u64.to_be_bytes()), "the L1 table");
    assert_eq!(absurd(48, &0_u64.to_be_bytes()), "the refcount table");
    assert_eq!(absurd(56, &u32::MAX.to_be_bytes()), "the refcount table's size");
    assert_eq!(absurd(60, &u32::MAX.to_be_bytes()), "the number of snapshots");
    assert_eq!(absurd(96, &7_u32.to_be_bytes()), "the refcount order");
    assert_eq!(absurd(100, &u32::MAX.to_be_bytes()), "the header's length");
    assert_eq!(absurd(104, &[9]), "the compression type");
    assert_eq!(absurd(116, &u32::MAX.to_be_bytes()), "a header extension's length");
    assert!(matches!(spoilt(&sound, 40, &(1_u64 << 40).to_be_bytes()), Fault::Truncated("the L1 table")));
    assert!(matches!(spoilt(&sound, 40, &(u64::MAX << 16).to_be_bytes()), Fault::Truncated("the L1 table")));
    assert!(matches!(spoilt(&sound, 72, &(1_u64 << 40).to_be_bytes()), Fault::UnknownFeatures(_)));
    assert!(matches!(spoilt(&sound, 72, &1_u64.to_be_bytes()), Fault::NotClosed));
    assert!(matches!(spoilt(&sound, 72, &2_u64.to_be_bytes()), Fault::Corrupt));
    assert!(matches!(spoilt(&sound, 4, &4_u32.to_be_bytes()), Fault::Version(4)));
}

#[test]
fn a_file_cut_before_its_tables_is_truncated() {
    let sound = sound();
    for keep in [4, 40, 100, 70_000, 196_615] {
        let fault = inspect(&sound[..keep], keep as u64, MANY).unwrap_err();
        assert!(matches!(fault, Fault::Truncated(_)), "{keep}: {fault}");
    }
}

#[test]
fn a_disk_beyond_the_limit_is_refused() {
    let sound = sound();
    let fault = inspect(&sound[..], sound.len() as u64, 1 << 20).unwrap_err();
    assert!(matches!(fault, Fault::TooLarge { size: 20_971_520, limit: 1_048_576 }), "{fault}");
}
