//! Whether backups are made, on a front end: somebody has said where they lie, and a new one lies there.

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

/// What is not well with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Backups {
    /// Nobody has said where they lie, so that nothing tells whether there are any.
    Unnamed,
    /// None in the folder is new.
    Old {
        /// Which folder.
        folder: PathBuf,
        /// Of when the newest one is; none if there is none, or the folder cannot be read.
        newest: Option<Timestamp>,
    },
}

/// What is not well on the host below this root; nothing where it is no front end.
pub(super) fn look(root: &Path, now: Timestamp) -> Option<Backups> {
    let settings: toml::Table = toml::from_str(&fs::read_to_string(root.join(SETTINGS)).ok()?).ok()?;
    let folder = settings.get("backups").and_then(|backups| backups.get("folder")?.as_str());
    let Some(folder) = folder.filter(|folder| !folder.is_empty()) else { return Some(Backups::Unnamed) };
    let folder = root.join(folder.trim_start_matches('/'));
    let newest = newest(&folder).ok().flatten();
    let is_old = newest.is_none_or(|at| now.millis_since(at) > OLD_MS);
    is_old.then_some(Backups::Old { folder, newest })
}

#[cfg(test)]
mod tests {
    use watari_chassis::clock;
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_front_end_has_a_folder_with_a_new_backup_or_it_is_told_what_is_missing() {
        let root = TempDir::new();
        let (now, write) = (clock::now(), |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap());
        let look = |now| super::look(root.path(), now);
        assert_eq!(look(now), None, "it is no front end");
        fs::create_dir_all(root.path().join("etc/watari")).unwrap();
        for unnamed in ["", "[backups]\n", "[backups]\nfolder = \"\"\n"] {
            write(SETTINGS, unnamed);
            assert_eq!(look(now), Some(Backups::Unnamed), "{unnamed}");
        }
        write(SETTINGS, "[backups]\nfolder = \"/backups\"\n");
        let folder = root.path().join("backups");
        assert_eq!(look(now), Some(Backups::Old { folder: folder.clone(), newest: None }), "it is not there");
        fs::create_dir(&folder).unwrap();
        write("backups/watari-2026.tar.zst", "x");
        assert_eq!(look(now), None);
        let found = look(now.plus_millis(OLD_MS + 60_000));
        assert!(matches!(found, Some(Backups::Old { newest: Some(_), .. })), "{found:?}");
    }
}
