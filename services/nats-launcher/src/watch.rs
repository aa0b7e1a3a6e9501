//! Noticing that the server's configuration is another one, as after a host has joined, or its certificate, which is renewed.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Interval, MissedTickBehavior, interval};

/// A host that has joined is let in within about this time.
const LOOK: Duration = Duration::from_secs(1);

/// What tells one form of a file from the next: it is put in its place by a rename, or written where it is.
type Form = (u64, u64, i64, i64);

/// Looks at files from time to time.
pub(crate) struct Watch {
    files: Vec<Known>,
    tick: Interval,
}

impl Watch {
    /// Whatever the files hold now is known.
    pub(crate) fn on(paths: &[&Path]) -> Self {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { files: paths.iter().map(|path| Known::on(path)).collect(), tick }
    }

    /// Ends when one of the files is there and another one than it was. It may be dropped and asked again.
    pub(crate) async fn changed(&mut self) {
        loop {
            self.tick.tick().await;
            let mut another = false;
            for file in &mut self.files {
                another |= file.is_another();
            }
            if another {
                return;
            }
        }
    }
}

/// A file as it was seen last.
struct Known {
    path: PathBuf,
    seen: Option<Form>,
}

impl Known {
    fn on(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: form(path) }
    }

    fn is_another(&mut self) -> bool {
        let now = form(&self.path);
        let another = now.is_some() && now != self.seen;
        if another {
            self.seen = now;
        }
        another
    }
}

fn form(path: &Path) -> Option<Form> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn a_file_is_noticed_once_for_each_change_and_not_while_it_is_away() {
        let dir = TempDir::new();
        let path = dir.path().join("nats.conf");
        fs::write(&path, "one").unwrap();
        let mut file = Known::on(&path);
        assert!(!file.is_another(), "nothing has changed");
        fs::rename(&path, dir.path().join("away")).unwrap();
        assert!(!file.is_another(), "it is away");
        fs::write(&path, "another").unwrap();
        assert!(file.is_another());
        assert!(!file.is_another(), "it is known by now");
    }
}
