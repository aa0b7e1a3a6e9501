use std::{fs, path::PathBuf, process::Command};

use watari_testkit::TempDir;

use super::*;
use crate::settings::Qemu;

fn qemu() -> Qemu {
    Qemu { program: "qemu-img".into(), timeout_seconds: 60, cpu_seconds: 30, memory_mib: 1024, uid: 65534, gid: 65534 }
}

/// A store of its own with a checker for it.
struct Bench {
    dir: TempDir,
    store: Store,
    checker: Checker,
}

async fn bench(qemu: Qemu) -> Bench {
    let mut table: toml::Table = crate::settings::DEFAULTS.parse().unwrap();
    table["image"]["site"] = "yamate".into();
    let settings: crate::settings::Settings = serde::Deserialize::deserialize(toml::Value::Table(table)).unwrap();
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("data")).unwrap();
    let checker = Checker::new(Sandbox::prepare(&qemu).await, &settings.image.limits, &store);
    Bench { dir, store, checker }
}

impl Bench {
    async fn judged(&self, path: &Path, sha256: Option<String>) -> Result<Sound, CheckError> {
        let announced = Announced { size_bytes: Some(fs::metadata(path).unwrap().len()), sha256, url: None };
        self.judged_as(path, &announced).await
    }

    async fn judged_as(&self, path: &Path, announced: &Announced) -> Result<Sound, CheckError> {
        let image = "mini".parse().unwrap();
        let upload = UploadId::of(&image, "r");
        fs::copy(path, self.store.upload(&upload)).unwrap();
        let candidate = Candidate { image: &image, upload: &upload, announced, prefix: Prefix::default() };
        let judged = self.checker.check(&candidate, &CancellationToken::new()).await;
        fs::remove_file(self.store.upload(&upload)).unwrap();
        judged
    }

    /// Judges bytes, and gives the refusal's code and text.
    async fn refused(&self, bytes: &[u8]) -> (&'static str, String) {
        let path = self.dir.path().join("file");
        fs::write(&path, bytes).unwrap();
        refusal(self.judged(&path, None).await)
    }
}

/// A qcow2 with 3 MiB of data, and beside it the same raw.
fn sound(dir: &TempDir) -> PathBuf {
    let (raw, path) = (dir.path().join("raw"), dir.path().join("d.qcow2"));
    let bytes: Vec<u8> = (0_u32..3 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    fs::write(&raw, bytes).unwrap();
    let args = ["convert", "-f", "raw", "-O", "qcow2"];
    assert!(Command::new("qemu-img").args(args).arg(&raw).arg(&path).status().unwrap().success());
    path
}

fn refusal(judged: Result<Sound, CheckError>) -> (&'static str, String) {
    match judged {
        Err(CheckError::Refused(refusal)) => (refusal.code(), refusal.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_sound_file_is_stored_under_its_digest() {
    let bench = bench(qemu()).await;
    let path = sound(&bench.dir);
    let Sound { stored, .. } = bench.judged(&path, None).await.unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(stored.sha256, crate::digest::of(&bytes).as_ref());
    assert_eq!(
        (stored.format, stored.virtual_size_bytes, stored.size_bytes),
        (Format::Qcow2, 3 << 20, bytes.len() as u64)
    );
    assert_eq!(bench.judged(&path, Some(stored.sha256.clone())).await.unwrap().stored, stored);
    let (code, text) = refusal(bench.judged(&path, Some("0".repeat(64))).await);
    assert!(code == "image.digest-mismatch" && text.contains(&stored.sha256), "{text}");
}

#[tokio::test]
async fn what_a_node_puts_behind_the_disk_of_a_saved_server_is_stored_with_it() {
    let bench = bench(qemu()).await;
    let path = sound(&bench.dir);
    let mut bytes = fs::read(&path).unwrap();
    // No whole number of sectors, nor of clusters.
    bytes.extend_from_slice(&[7; 131_121]);
    fs::write(&path, &bytes).unwrap();
    let Sound { stored, path } = bench.judged(&path, None).await.unwrap();
    assert_eq!((stored.format, stored.virtual_size_bytes), (Format::Qcow2, 3 << 20));
    assert_eq!((stored.size_bytes, stored.sha256.as_str()), (bytes.len() as u64, crate::digest::of(&bytes).as_ref()));
    assert!(path.ends_with(UploadId::of(&"mini".parse().unwrap(), "r").to_string()), "it is the file that came");
}

#[tokio::test]
async fn a_file_of_another_hypervisor_becomes_a_qcow2_with_the_same_contents() {
    let bench = bench(qemu()).await;
    let raw = sound(&bench.dir).with_file_name("raw");
    for (format, option) in [
        ("vmdk", "subformat=monolithicSparse"),
        ("vmdk", "subformat=streamOptimized"),
        ("vhdx", "subformat=dynamic"),
        ("vdi", "static=off"),
    ] {
        let path = bench.dir.path().join("foreign");
        let _ = fs::remove_file(&path);
        let args = ["convert", "-f", "raw", "-O", format, "-o", option];
        assert!(Command::new("qemu-img").args(args).arg(&raw).arg(&path).status().unwrap().success());
        let Sound { stored, path } = bench.judged(&path, None).await.unwrap();
        assert_eq!((stored.format, stored.virtual_size_bytes), (Format::Qcow2, 3 << 20), "{format} {option}");
        assert_eq!(stored.sha256, crate::digest::of(&fs::read(&path).unwrap()).as_ref());
        let same = Command::new("qemu-img").args(["compare", "-f", "raw", "-F", "qcow2"]).arg(&raw).arg(&path).status();
        assert!(same.unwrap().success(), "{format} {option}");
        let meta = fs::metadata(&path).unwrap();
        let readonly = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777 == 0o444;
        let ours = std::os::unix::fs::MetadataExt::uid(&meta) == rustix::process::geteuid().as_raw();
        assert!(readonly && ours, "the writer has no hold on it any more");
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let bench = bench(qemu()).await;
    let path = sound(&bench.dir);
    let whole = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(whole - (1 << 20)).unwrap();
    let (code, text) = refusal(bench.judged(&path, None).await);
    assert_eq!(code, "image.truncated", "{text}");
}

#[tokio::test]
async fn a_file_with_broken_tables_is_refused() {
    use std::os::unix::fs::FileExt;
    let bench = bench(qemu()).await;
    let path = sound(&bench.dir);
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let mut l1 = [0; 8];
    file.read_exact_at(&mut l1, 40).unwrap();
    // The first L2 table is said to lie where no cluster begins.
    file.write_all_at(&(0x8000_0000_0000_0000_u64 | 0x1_0200).to_be_bytes(), u64::from_be_bytes(l1)).unwrap();
    assert_eq!(refusal(bench.judged(&path, None).await).0, "image.corrupt");
}

#[tokio::test]
async fn fewer_bytes_than_announced_are_refused() {
    let bench = bench(qemu()).await;
    let path = sound(&bench.dir);
    let (_, text) = refusal(bench.judged_as(&path, &Announced { size_bytes: Some(1), ..Announced::default() }).await);
    assert!(text.contains("announced"), "{text}");
}

#[tokio::test]
async fn the_program_is_bounded_and_its_absence_is_not_the_files_fault() {
    let small = bench(Qemu { memory_mib: 1, ..qemu() }).await;
    let path = sound(&small.dir);
    assert!(small.judged(&path, None).await.is_err());

    let absent = bench(Qemu { program: "no-such-program".into(), ..qemu() }).await;
    let told = absent.judged(&path, None).await;
    assert!(matches!(told, Err(CheckError::Program { .. })), "{told:?}");

    // A program that never ends and talks all the time.
    let script = script(&small.dir, "while :; do echo talk; echo more >&2; done");
    let endless = bench(Qemu { program: script, timeout_seconds: 1, ..qemu() }).await;
    let (code, text) = refusal(endless.judged(&path, None).await);
    assert!(code == "image.too-costly" && text.contains("longer than 1 seconds"), "{text}");
}

fn script(dir: &TempDir, text: &str) -> PathBuf {
    let script = dir.path().join("script");
    fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    script
}

#[tokio::test]
async fn the_program_runs_as_nobody_and_can_open_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = bench(qemu()).await;
    let path = sound(&bench.dir);
    // qemu-img's own answer to `check` cannot say this: exit code 2 is "corrupt", 1 "cannot check".
    let nosy = "[ $(id -u) = 65534 ] && [ ! -r /etc/shadow ] && grep -q 'CapBnd:.*0000000000000000' /proc/self/status && exit 2\nexit 1";
    let script = script(&bench.dir, nosy);
    let sandbox = Sandbox::prepare(&Qemu { program: script, ..qemu() }).await;
    let checked = sandbox.check(Kind::Qcow2, &fs::File::open(&path).unwrap(), &CancellationToken::new()).await.unwrap();
    match checked {
        Checked::Corrupt(told) => assert!(told.contains("0 errors"), "{told}"),
        _ => panic!("another answer"),
    }
}

#[tokio::test]
async fn a_conversion_writes_no_more_than_it_may() {
    let bench = bench(qemu()).await;
    let path = sound(&bench.dir);
    let target = bench.dir.path().join("target");
    let opened = fs::File::options().read(true).write(true).create_new(true).open(&target).unwrap();
    let sandbox = Sandbox::prepare(&qemu()).await;
    let source = fs::File::open(&path).unwrap();
    let ended = sandbox.convert(Kind::Qcow2, &source, &opened, 1 << 20, &CancellationToken::new()).await.unwrap();
    assert!(matches!(ended, Converted::NoRoom));
    assert!(fs::metadata(&target).unwrap().len() <= 1 << 20);
}

/// The same bytes under each compression.
fn packed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(bytes).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    [("gzip", gzip.finish().unwrap()), ("xz", xz.finish().unwrap()), ("zstd", zstd)]
}

#[tokio::test]
async fn a_disk_under_any_compression_is_stored_as_itself() {
    let bench = bench(qemu()).await;
    let plain = fs::read(sound(&bench.dir)).unwrap();
    for (word, bytes) in packed(&plain) {
        let path = bench.dir.path().join(word);
        fs::write(&path, &bytes).unwrap();
        let sent = crate::digest::of(&bytes).to_string();
        let sound = bench.judged(&path, Some(sent)).await.unwrap();
        assert_eq!(sound.stored.sha256, crate::digest::of(&plain).as_ref(), "{word}");
        // Several streams after one another are one file, as the formats say.
        let (first, second) = plain.split_at(plain.len() / 2);
        let halves = |half: &[u8]| packed(half).into_iter().find(|(w, _)| *w == word).unwrap().1;
        fs::write(&path, [halves(first), halves(second)].concat()).unwrap();
        let sound = bench.judged(&path, None).await.unwrap();
        assert_eq!(sound.stored.sha256, crate::digest::of(&plain).as_ref(), "{word} in two streams");
    }
}

#[tokio::test]
async fn what_unpacks_badly_is_refused_by_name_and_leaves_nothing() {
    let bench = bench(qemu()).await;
    let plain = fs::read(sound(&bench.dir)).unwrap();
    for (word, bytes) in packed(&plain) {
        let (code, text) = bench.refused(&bytes[..bytes.len() - 40_000]).await;
        assert_eq!(code, "image.truncated", "{word}: {text}");
        let mut spoilt = bytes.clone();
        let middle = spoilt.len() / 2;
        spoilt[middle..middle + 64].iter_mut().for_each(|b| *b ^= 0x5a);
        let (code, text) = bench.refused(&spoilt).await;
        assert_eq!(code, "image.corrupt", "{word}: {text}");
        let twice = packed(&bytes).into_iter().next().unwrap().1;
        assert_eq!(bench.refused(&twice).await.0, "image.archive", "{word} in gzip");
    }
    let image = "mini".parse().unwrap();
    bench.checker.clear(&UploadId::of(&image, "r")).unwrap();
    assert_eq!(fs::read_dir(bench.dir.path().join("data/working")).unwrap().count(), 0);
}

#[tokio::test]
async fn bombs_are_refused_before_they_go_off() {
    let mut bench = bench(qemu()).await;
    bench.checker.limits.max_virtual_gib = 1;
    for (word, bytes) in packed(&vec![0; 300 << 20]) {
        // Some MiB at most, and beyond what a small file may unpack to.
        assert!(bytes.len() < 4 << 20, "{word}: {}", bytes.len());
        bench.checker.limits.max_unpack_ratio = 10;
        let (code, text) = bench.refused(&bytes).await;
        assert_eq!(code, "image.bomb", "{word}: {text}");
        assert!(text.contains("256 MiB"), "{text}");
    }
    // A decoder's own memory is bounded as well.
    let (_, xz) = packed(b"abc").into_iter().find(|(word, _)| *word == "xz").unwrap();
    bench.checker.limits.unpack_memory_mib = 1;
    let (code, _) = bench.refused(&xz).await;
    assert!(matches!(code, "image.too-costly"), "{code}");
}
