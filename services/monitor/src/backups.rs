//! How old the newest backup is: that nobody makes them any more is else noticed on the day on which one is needed.

use std::{
    fs, io,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use prometheus::IntGauge;
use tokio::time::{MissedTickBehavior, interval};
use watari_chassis::{Context, metrics::added, prometheus};

use crate::settings::backups::Backups;

/// When the newest backup in `backups.folder` was made, in Unix time: 0 if there is none, absent where no folder is
/// named.
pub(crate) const NEWEST: &str = "watari_backup_newest_timestamp_seconds";

/// What a backup's name begins with.
const PREFIX: &str = "watari-";
/// So many files are looked at; more are no sensible folder of backups.
const MOST_FILES: usize = 100_000;

/// Begins to look, if there is a folder to look at.
///
/// # Errors
/// Another metric has the name.
pub(crate) fn watch(ctx: &Context, settings: &Backups) -> Result<(), prometheus::Error> {
    let Backups { folder, look_seconds } = settings.clone();
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    let shown = added(&ctx.metrics, IntGauge::new(NEWEST, "When the newest backup was made.")?)?;
    let shutdown = ctx.shutdown.clone();
    ctx.spawn("backups", async move {
        let mut pace = interval(Duration::from_secs(look_seconds));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complaint = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = pace.tick() => {}
            }
            let place = folder.clone();
            // It falls only with the runtime.
            let Ok(looked) = tokio::task::spawn_blocking(move || newest(&place)).await else { return };
            let (made, fault) = match looked {
                Ok(made) => (made.unwrap_or(0), None),
                Err(error) => (0, Some(error.to_string())),
            };
            shown.set(i64::try_from(made).unwrap_or(i64::MAX));
            if complaint != fault {
                if let Some(error) = &fault {
                    tracing::warn!(folder = %folder.display(), error, "the folder of backups cannot be read");
                }
                complaint = fault;
            }
        }
    });
    Ok(())
}

/// When the newest backup of a folder was written, in seconds since 1970; none if it has none.
fn newest(folder: &Path) -> io::Result<Option<u64>> {
    let mut newest: Option<u64> = None;
    for entry in fs::read_dir(folder)?.take(MOST_FILES) {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Who tidies up may have been faster.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_file() && about.len() > 0 {
            let since = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            newest = newest.max(Some(since.as_secs()));
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

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
        assert_eq!(newest(dir.path()).unwrap(), Some(2_000));
        assert!(newest(&dir.path().join("gone")).is_err());
    }
}
