//! Where backups lie: how old the newest is tells whether anybody makes them any more.

use std::{fs, io, path::Path};

use time::OffsetDateTime;
use watari_model::Timestamp;

/// What a backup's name begins with.
const PREFIX: &str = "watari-";
/// So many files are looked at; more are no sensible folder of backups.
const MOST_FILES: usize = 100_000;

/// When the newest backup of a folder was written; none if it has none.
///
/// # Errors
/// The folder cannot be read.
pub fn newest(folder: &Path) -> io::Result<Option<Timestamp>> {
    let mut newest: Option<Timestamp> = None;
    for entry in fs::read_dir(folder)?.take(MOST_FILES) {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Who tidies up may have been faster.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_file() && about.len() > 0 {
            newest = newest.max(Some(Timestamp(OffsetDateTime::from(about.modified()?))));
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        time::{Duration, UNIX_EPOCH},
    };

    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn the_newest_file_that_is_a_backup_by_its_name_and_not_empty_counts() {
        let dir = TempDir::new();
        let put = |name: &str, bytes: &[u8], seconds: u64| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            File::options()
                .append(true)
                .open(&path)
                .unwrap()
                .set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
                .unwrap();
        };
        assert_eq!(newest(dir.path()).unwrap(), None);
        put("watari-2027-03-20", b"x", 2_000);
        put("watari-2027-03-19", b"x", 1_000);
        put("watari-2027-03-21", b"", 3_000);
        put("other-2027-03-22", b"x", 4_000);
        fs::create_dir(dir.path().join("watari-folder")).unwrap();
        assert_eq!(newest(dir.path()).unwrap().unwrap().0.unix_timestamp(), 2_000);
        assert!(newest(&dir.path().join("gone")).is_err());
    }
}
