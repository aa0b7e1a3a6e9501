use std::{fs, path::PathBuf, process::Command};

use watari_testkit::TempDir;

use super::*;
use crate::settings::Qemu;

fn qemu() -> Qemu {
    Qemu { program: "qemu-img".into(), timeout_seconds: 60, cpu_seconds: 30, memory_mib: 1024, uid: 65534, gid: 65534 }
}

async fn checker(qemu: Qemu) -> Checker {
    Checker { sandbox: Sandbox::prepare(&qemu).await, max_virtual_bytes: 1 << 40 }
}

/// A qcow2 with 3 MiB of data.
fn sound(dir: &TempDir) -> PathBuf {
    let (raw, path) = (dir.path().join("raw"), dir.path().join("d.qcow2"));
    let bytes: Vec<u8> = (0_u32..3 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    fs::write(&raw, bytes).unwrap();
    let args = ["convert", "-f", "raw", "-O", "qcow2"];
    assert!(Command::new("qemu-img").args(args).arg(&raw).arg(&path).status().unwrap().success());
    path
}

async fn judged(checker: &Checker, path: &Path, sha256: Option<String>) -> Result<Stored, CheckError> {
    let announced = Announced { size_bytes: fs::metadata(path).unwrap().len(), sha256 };
    checker.check(&"mini".parse().unwrap(), path, &announced, &CancellationToken::new()).await
}

fn detail(judged: Result<Stored, CheckError>) -> String {
    match judged {
        Err(CheckError::Refused(refusal)) => match *refusal {
            Refusal::ImageRefused { detail, .. } => detail,
            other => other.to_string(),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_sound_file_is_stored_under_its_digest() {
    let dir = TempDir::new();
    let path = sound(&dir);
    let checker = checker(qemu()).await;
    let stored = judged(&checker, &path, None).await.unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(stored.sha256, crate::digest::of(&bytes).as_ref());
    assert_eq!(
        (stored.format, stored.virtual_size_bytes, stored.size_bytes),
        (Format::Qcow2, 3 << 20, bytes.len() as u64)
    );
    assert_eq!(judged(&checker, &path, Some(stored.sha256.clone())).await.unwrap(), stored);
    let told = judged(&checker, &path, Some("0".repeat(64))).await;
    assert!(detail(told).contains(&stored.sha256));
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let dir = TempDir::new();
    let path = sound(&dir);
    let whole = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(whole - (1 << 20)).unwrap();
    assert!(detail(judged(&checker(qemu()).await, &path, None).await).contains("truncated"));
}

#[tokio::test]
async fn a_file_with_broken_tables_is_refused() {
    use std::os::unix::fs::FileExt;
    let dir = TempDir::new();
    let path = sound(&dir);
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let mut l1 = [0; 8];
    file.read_exact_at(&mut l1, 40).unwrap();
    // The first L2 table is said to lie in the middle of nowhere.
    file.write_all_at(&(0x8000_0000_0000_0000_u64 | 0x1234_5600).to_be_bytes(), u64::from_be_bytes(l1)).unwrap();
    let told = detail(judged(&checker(qemu()).await, &path, None).await);
    assert!(told.contains("corrupt") || told.contains("cannot check"), "{told}");
}

#[tokio::test]
async fn fewer_bytes_than_announced_are_refused() {
    let dir = TempDir::new();
    let path = sound(&dir);
    let announced = Announced { size_bytes: 1, sha256: None };
    let checked =
        checker(qemu()).await.check(&"mini".parse().unwrap(), &path, &announced, &CancellationToken::new()).await;
    assert!(detail(checked).contains("announced"));
}

#[tokio::test]
async fn the_program_is_bounded_and_its_absence_is_not_the_files_fault() {
    let dir = TempDir::new();
    let path = sound(&dir);
    let small = checker(Qemu { memory_mib: 1, ..qemu() }).await;
    let told = judged(&small, &path, None).await;
    assert!(told.is_err(), "{told:?}");

    let absent = checker(Qemu { program: "no-such-program".into(), ..qemu() }).await;
    let told = judged(&absent, &path, None).await;
    assert!(matches!(told, Err(CheckError::Program { .. })), "{told:?}");

    // A program that never ends and talks all the time.
    let script = dir.path().join("endless");
    fs::write(&script, "#!/bin/sh\nwhile :; do echo talk; echo more >&2; done\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let endless = checker(Qemu { program: script, timeout_seconds: 1, ..qemu() }).await;
    assert!(detail(judged(&endless, &path, None).await).contains("longer than 1 seconds"));
}

#[tokio::test]
async fn the_program_runs_as_nobody_and_can_open_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = TempDir::new();
    let path = sound(&dir);
    let script = dir.path().join("nosy");
    let nosy = "#!/bin/sh\n[ $(id -u) = 65534 ] && [ ! -r /etc/shadow ] && grep -q 'CapBnd:.*0000000000000000' /proc/self/status && exit 5\nexit 6\n";
    fs::write(&script, nosy).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let sandbox = Sandbox::prepare(&Qemu { program: script, ..qemu() }).await;
    let ran = sandbox.run("check", &fs::File::open(&path).unwrap(), &CancellationToken::new()).await.unwrap().unwrap();
    assert_eq!(ran.code, Some(5), "{}", ran.complaint);
}
