//! Whether backups are still made, on a front end on which somebody has said where they lie.

use std::{
    fs,
    path::{Path, PathBuf},
};

use watari_chassis::backups::newest;
use watari_model::Timestamp;

/// Where it is said: `folder` of `[backups]`.
const SETTINGS: &str = "etc/watari/monitor.toml";
/// One a day is made where the guide is followed, and one may fail: as the alert has it.
const OLD_MS: u64 = 2 * 86_400_000;

/// A folder that has no new backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Stale {
    /// Which.
    pub(in crate::doctor) folder: PathBuf,
    /// Of when the newest one is; none if there is none, or the folder cannot be read.
    pub(in crate::doctor) newest: Option<Timestamp>,
}

/// The folder below this root, if it is one that is named and stale.
pub(super) fn stale(root: &Path, now: Timestamp) -> Option<Stale> {
    let settings: toml::Table = toml::from_str(&fs::read_to_string(root.join(SETTINGS)).ok()?).ok()?;
    let folder = settings.get("backups")?.get("folder")?.as_str().filter(|folder| !folder.is_empty())?;
    let folder = root.join(folder.trim_start_matches('/'));
    let newest = newest(&folder).ok().flatten();
    let is_old = newest.is_none_or(|at| now.millis_since(at) > OLD_MS);
    is_old.then_some(Stale { folder, newest })
}

#[cfg(test)]
mod tests {
    use watari_chassis::clock;
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_folder_without_a_new_backup_is_stale_and_one_that_nobody_named_is_none() {
        let root = TempDir::new();
        let (now, write) = (clock::now(), |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap());
        assert_eq!(stale(root.path(), now), None);
        fs::create_dir_all(root.path().join("etc/watari")).unwrap();
        write(SETTINGS, "[backups]\nfolder = \"\"\n");
        assert_eq!(stale(root.path(), now), None);
        write(SETTINGS, "[backups]\nfolder = \"/backups\"\n");
        let folder = root.path().join("backups");
        assert_eq!(stale(root.path(), now), Some(Stale { folder: folder.clone(), newest: None }), "it is not there");
        fs::create_dir(&folder).unwrap();
        write("backups/watari-2026.tar.zst", "x");
        assert_eq!(stale(root.path(), now), None);
        let found = stale(root.path(), now.plus_millis(OLD_MS + 60_000)).unwrap();
        assert!(found.newest.is_some());
    }
}
