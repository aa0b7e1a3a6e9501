//! How much of a file system may still be written to.

use std::path::Path;

/// How many percent of the file system below this folder are free for whoever is not root, rounded down; none if nobody
/// can say.
#[must_use]
pub fn free_percent(folder: &Path) -> Option<u8> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    share(stat.f_bavail, stat.f_blocks)
}

fn share(free: u64, all: u64) -> Option<u8> {
    let percent = (u128::from(free.min(all)) * 100).checked_div(u128::from(all))?;
    u8::try_from(percent).ok()
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_share_is_told_of_whatever_is_there() {
        assert_eq!(
            [(0, 1_000), (99, 1_000), (1_000, 1_000)].map(|(free, all)| share(free, all)),
            [0, 9, 100].map(Some)
        );
        assert_eq!((share(u64::MAX, u64::MAX), share(0, 0)), (Some(100), None));
        let folder = TempDir::new();
        assert!(free_percent(folder.path()).is_some_and(|percent| percent <= 100));
        assert_eq!(free_percent(&folder.path().join("not-there")), None);
    }
}
