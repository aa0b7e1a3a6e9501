//! What the agent finds when it looks at its host, for whoever asks whether the node is well. It judges
//! nothing and mends nothing.
//!
//! Looking costs a few small reads and is done with each inventory. Only the disk's pace is measured, which
//! is seldom and beside everything else.

mod pace;

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use watari_chassis::certificates;
use watari_model::node::Health;

use crate::{node::Node, settings::Settings};
use pace::Pace;

/// What the agent starts.
const PROGRAMS: [&str; 4] = ["dnsmasq", "nft", "qemu-img", "qemu-system-x86_64"];
/// Files that may still be made are told in such steps, so that a document does not change with every file.
const STEP_PERCENT: u128 = 5;

/// Looks at the host.
pub struct Examiner {
    certificates: Vec<PathBuf>,
    revocation_lists: Vec<PathBuf>,
    pace: Pace,
}

impl Examiner {
    /// Looks at nothing yet. `probe` is the file with which the disk is measured.
    #[must_use]
    pub fn new(settings: &Settings, probe: PathBuf) -> Self {
        let own = [&settings.image.ca, &settings.image.cert].into_iter().filter(|path| !path.as_os_str().is_empty());
        Self {
            certificates: settings.health.certificates.iter().chain(own).cloned().collect(),
            revocation_lists: settings.health.revocation_lists.clone(),
            pace: Pace::new(probe, Duration::from_secs(settings.health.disk_minutes * 60)),
        }
    }

    /// What is found now. Of the disk's pace it is what was found last.
    pub async fn look(&self, node: &Node) -> Health {
        let bridges = node.plumbing.bridges();
        let fsync_ms = self.pace.last();
        let (paths, lists, disks) = (self.certificates.clone(), self.revocation_lists.clone(), node.layout.disks());
        let looked = tokio::task::spawn_blocking(move || Health {
            certificates: certificates::look(&paths),
            revocation_lists: certificates::revocation_lists(&lists),
            missing_programs: missing(&std::env::var_os("PATH").unwrap_or_default()),
            files_free_percent: files_free_percent(&disks),
            ..Health::default()
        });
        // It falls only with the runtime; then nobody hears of it any more.
        Health { bridges, fsync_ms, ..looked.await.unwrap_or_default() }
    }
}

/// The programs that are in none of these folders.
fn missing(path: &OsStr) -> Vec<String> {
    let is_program =
        |path: PathBuf| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    let is_there = |program: &str| std::env::split_paths(path).any(|folder| is_program(folder.join(program)));
    PROGRAMS.into_iter().filter(|program| !is_there(program)).map(str::to_owned).collect()
}

fn files_free_percent(folder: &Path) -> Option<u8> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    share(stat.f_favail, stat.f_files)
}

/// Some file systems make inodes as they need them, and count none.
fn share(free: u64, all: u64) -> Option<u8> {
    let percent = (u128::from(free.min(all)) * 100).checked_div(u128::from(all))?;
    u8::try_from(percent / STEP_PERCENT * STEP_PERCENT).ok()
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_program_that_is_in_no_folder_or_cannot_be_started_is_missing() {
        let (one, other) = (TempDir::new(), TempDir::new());
        let put = |folder: &TempDir, name: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put(&one, "nft", 0o755);
        put(&other, "qemu-img", 0o755);
        put(&other, "dnsmasq", 0o644);
        let path = std::env::join_paths([one.path(), other.path()]).unwrap();
        assert_eq!(missing(&path), ["dnsmasq", "qemu-system-x86_64"]);
    }

    #[test]
    fn files_are_counted_in_steps_and_not_at_all_where_nobody_counts_them() {
        let shares = [(100, 100), (99, 100), (4, 100), (0, 100), (u64::MAX, u64::MAX)];
        assert_eq!(shares.map(|(free, all)| share(free, all)), [100, 95, 0, 0, 100].map(Some));
        assert_eq!(share(0, 0), None);
    }
}
