//! Disks that a guest may have written, read by a real qemu-img: what their headers say is not followed.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use watari_chassis::CancellationToken;
use watari_node_agent::hypervisor::copy::{Copied, copy, measure};
use watari_node_agent::hypervisor::{BackingFile, DiskFormat, Error, Kind, Volume, disk};
use watari_testkit::TempDir;

const MIB: u64 = 1 << 20;

fn qemu(program: &str, arguments: &[&str], files: &[&Path]) -> bool {
    Command::new(program).args(arguments).args(files).output().unwrap().status.success()
}

/// A disk of 8 MiB on a frozen layer on an image, each in its folder.
struct Scene {
    dir: TempDir,
    volume: Volume,
}

impl Scene {
    async fn new() -> Self {
        let dir = TempDir::new();
        for folder in ["images", "disks", "saves"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let (image, other) = (dir.path().join("images/base.raw"), dir.path().join("images/other.raw"));
        let (layer, top) = (dir.path().join("disks/a.qcow2"), dir.path().join("disks/a.1.qcow2"));
        fs::write(&image, vec![7; 1 << 20]).unwrap();
        fs::write(&other, vec![8; 1 << 20]).unwrap();
        let image = BackingFile { path: image, format: DiskFormat::Raw };
        disk::create_overlay(&layer, &image, 8 * MIB).await.unwrap();
        assert!(qemu("qemu-io", &["-f", "qcow2", "-c", "write -P 1 2M 1M"], &[&layer]));
        let layer = BackingFile { path: layer, format: DiskFormat::Qcow2 };
        disk::create_overlay(&top, &layer, 8 * MIB).await.unwrap();
        assert!(qemu("qemu-io", &["-f", "qcow2", "-c", "write -P 2 4M 1M"], &[&top]));
        Self { dir, volume: Volume { path: top, under: vec![layer, image] } }
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("saves/a.qcow2")
    }

    async fn copied(&self, most_bytes: u64) -> Result<Copied, Error> {
        copy(&self.volume, &self.target(), most_bytes, &CancellationToken::new()).await
    }

    /// Neither measured nor copied, and no file is made.
    async fn assert_untrusted(&self, what: &str) {
        assert_eq!(measure(&self.volume).await.unwrap_err().kind(), Kind::Untrusted, "{what}");
        assert_eq!(self.copied(64 * MIB).await.unwrap_err().kind(), Kind::Untrusted, "{what}");
        assert_eq!(fs::read_dir(self.dir.path().join("saves")).unwrap().count(), 0, "{what}");
    }
}

/// Writes what somebody else would into a header, whatever it names.
fn name(file: &Path, backing: &str, format: &str) {
    let words = ["rebase", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", format];
    assert!(qemu("qemu-img", &words, &[file]), "{backing}");
}

fn put(file: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(file).unwrap().write_all_at(bytes, at).unwrap();
}

#[tokio::test]
async fn a_volume_is_copied_with_all_that_it_stands_on() {
    let scene = Scene::new().await;
    // As libvirt leaves what it has brought here.
    fs::set_permissions(&scene.volume.under[0].path, fs::Permissions::from_mode(0o600)).unwrap();
    let bytes = measure(&scene.volume).await.unwrap();
    assert!((3 * MIB..8 * MIB).contains(&bytes), "{bytes}");
    assert_eq!(scene.copied(bytes + MIB).await.unwrap(), Copied::Whole);
    let (target, meta) = (scene.target(), fs::metadata(scene.target()).unwrap());
    assert!(qemu("qemu-img", &["compare", "-f", "qcow2", "-F", "qcow2"], &[&scene.volume.path, &target]));
    assert_eq!(disk::info(&target, DiskFormat::Qcow2).await.unwrap().backing, None);
    assert_eq!(meta.uid(), fs::metadata(&scene.volume.path).unwrap().uid(), "the reader has no hold on it any more");
}

#[tokio::test]
async fn a_copy_takes_no_more_room_than_it_may_and_ends_when_it_is_to() {
    let scene = Scene::new().await;
    let error = scene.copied(MIB).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
    assert!(fs::metadata(scene.target()).unwrap().len() <= MIB);
    fs::remove_file(scene.target()).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(copy(&scene.volume, &scene.target(), 64 * MIB, &stop).await.unwrap(), Copied::Stopped);
}

#[tokio::test]
async fn a_spoilt_header_is_not_followed_and_no_copy_is_made() {
    let scene = Scene::new().await;
    let Volume { path, under } = &scene.volume;
    let layer = under[0].path.to_str().unwrap();
    let json = r#"json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}"#;
    let other = scene.dir.path().join("images/other.raw");
    for (backing, format) in [
        ("/etc/passwd", "raw"),
        (json, "raw"),
        ("nbd:127.0.0.1:9", "raw"),
        (other.to_str().unwrap(), "raw"),
        // The image itself: what the layer between them holds would be left out.
        (under[1].path.to_str().unwrap(), "raw"),
        (layer, "raw"),
        ("", "qcow2"),
    ] {
        name(path, backing, format);
        scene.assert_untrusted(backing).await;
    }
    name(path, layer, "qcow2");
    // Below as well.
    name(&under[0].path, "/etc/passwd", "raw");
    scene.assert_untrusted("a layer").await;
    name(&under[0].path, under[1].path.to_str().unwrap(), "raw");
    assert_eq!(scene.copied(64 * MIB).await.unwrap(), Copied::Whole, "it is as it was made");
}

#[tokio::test]
async fn what_is_elsewhere_encrypted_or_unknown_is_neither_read_nor_changed() {
    let scene = Scene::new().await;
    let (path, layer) = (&scene.volume.path, &scene.volume.under[0]);
    let sound = fs::read(path).unwrap();
    let features = |bits: u64| bits.to_be_bytes().to_vec();
    for (at, bytes) in [
        (72, features(1 << 2)),
        (72, features(1 << 40)),
        (32, 2_u32.to_be_bytes().to_vec()),
        (40, features(1 << 40)),
        (0, b"RAW\0".to_vec()),
    ] {
        put(path, at, &bytes);
        let spoilt = fs::read(path).unwrap();
        scene.assert_untrusted(&format!("{bytes:?} at {at}")).await;
        let ways = [
            disk::info(path, DiskFormat::Qcow2).await.map(drop),
            disk::grow(path, 16 * MIB).await,
            disk::stand_on(path, layer).await,
        ];
        assert!(ways.iter().all(|way| way.as_ref().is_err_and(|error| error.kind() == Kind::Untrusted)), "{ways:?}");
        assert!(fs::read(path).unwrap() == spoilt, "{bytes:?} at {at}");
        fs::write(path, &sound).unwrap();
    }
    disk::grow(path, 16 * MIB).await.unwrap();
    disk::stand_on(path, layer).await.unwrap();
    assert!(matches!(scene.copied(64 * MIB).await, Ok(Copied::Whole)));
}
