//! The base images that are kept on this node: as many as there is room for, the least recently used dropped first.
//!
//! ```text
//!  who needs one ─▶ held ─▶ a disk stands on it ─▶ let go ─▶ no disk any more ─▶ may be dropped ─▶ fetched again
//! ```
//!
//! An image that somebody holds, or that a disk here stands on ([`standing`]), is never dropped. When an image was
//! last used is the time of its file's last change, since nothing else ever changes it: so that is known after a restart.
//! One that is to go gets another name first, under the lock, and is then deleted: what a crash leaves under that name
//! goes at the next start.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use watari_chassis::{CancellationToken, clock};
use watari_model::size::GIB;

use super::{
    choice::{self, Kept, Kind, Room},
    standing,
};
use crate::{counts::Cached, hypervisor::inventory, layout::Layout};

/// How often it is looked whether there is room, when nobody needs any.
const LOOK: Duration = Duration::from_secs(60);
/// What has arrived of an image that nobody has asked for since is of no use.
const PART_LASTS: Duration = Duration::from_secs(3_600);
/// Without a setting, images may take this part of the file system.
const SHARE: u64 = 4;
/// The unit in which the kernel counts what a file takes (stat(2)).
const BLOCK: u64 = 512;
/// As many as the inventory names.
const MOST_TOLD: usize = 64;

/// How a file is called that is being dropped.
const DROPPED: &str = "dropped";
/// How a file is called of which more is to arrive.
pub(super) const PARTIAL: &str = "partial";

/// The setting.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// All images together, in MiB; 0 is a quarter of the file system.
    pub cache_mib: u64,
    /// What stays free of the file system, in GiB.
    pub reserve_gib: u64,
}

/// The images that are here.
pub(super) struct Cache {
    layout: Layout,
    bound: Bound,
    shown: Cached,
    ledger: Mutex<Ledger>,
    /// One at a time looks and drops.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Ledger {
    holds: HashMap<OsString, Holds>,
    told: BTreeSet<String>,
    droppable_bytes: u64,
}

/// Who needs one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holds {
    now: usize,
    /// Counts them all, so that one who came and went while it was looked is noticed.
    ever: u64,
}

/// An image that stays where it is as long as this is held.
pub struct Held {
    cache: Arc<Cache>,
    path: PathBuf,
}

impl Held {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Held").field(&self.path).finish()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(name) = self.path.file_name() else { return };
        if let Some(holds) = self.cache.ledger().holds.get_mut(name) {
            holds.now = holds.now.saturating_sub(1);
        }
    }
}

impl Cache {
    pub(super) fn new(layout: Layout, bound: Bound, shown: Cached) -> Self {
        Self { layout, bound, shown, ledger: Mutex::default(), looking: tokio::sync::Mutex::default() }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds what is, or will be, at that path.
    pub(super) fn hold(self: &Arc<Self>, path: &Path) -> Held {
        if let Some(name) = path.file_name() {
            let mut ledger = self.ledger();
            let holds = ledger.holds.entry(name.to_owned()).or_default();
            (holds.now, holds.ever) = (holds.now.saturating_add(1), holds.ever.wrapping_add(1));
        }
        Held { cache: Arc::clone(self), path: path.to_owned() }
    }

    /// The digests of the images that were here at the last look, the most recently used if there are very many.
    pub(super) fn told(&self) -> BTreeSet<String> {
        self.ledger().told.clone()
    }

    /// What would be free if every image went that nobody needs, by the last look.
    pub(super) fn droppable_bytes(&self) -> u64 {
        self.ledger().droppable_bytes
    }

    /// Looks until shutdown: first of all, what a crash has left is cleared away.
    pub(super) async fn run(self: &Arc<Self>, shutdown: &CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            self.make_room(0, 0).await;
        }
    }

    /// Drops what nobody needs until there is room for `coming` bytes more of images, and for `beside` bytes of other
    /// things on the same disk. Whether that is enough is for the caller to see.
    pub(super) async fn make_room(self: &Arc<Self>, coming: u64, beside: u64) {
        let _looking = self.looking.lock().await;
        let (total, free) = match inventory::disk_space(&self.layout.images()).await {
            Ok(space) => space,
            Err(error) => {
                tracing::warn!(%error, "nobody knows how much room base images may take");
                return;
            }
        };
        let room = Room {
            most: if self.bound.cache_mib > 0 { self.bound.cache_mib.saturating_mul(1 << 20) } else { total / SHARE },
            coming,
            free,
            wanted: self.bound.reserve_gib.saturating_mul(GIB).saturating_add(coming).saturating_add(beside),
        };
        let this = Arc::clone(self);
        match tokio::task::spawn_blocking(move || this.look(room)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "no base image is dropped: nobody knows which are in use"),
            Err(error) => tracing::error!(%error, "looking at base images fell"),
        }
    }

    /// Looks, and drops what there is no room for. It blocks.
    fn look(&self, room: Room) -> io::Result<()> {
        // Before the disks are asked: whoever holds an image from now on is noticed by the count.
        let before = self.ledger().holds.clone();
        let in_use = standing::all(&self.layout)?;
        let now = SystemTime::from(clock::now().0);
        let mut kept = self.list(now, &in_use, &before)?;
        let gone: BTreeSet<OsString> =
            choice::dropped(&kept, room).into_iter().filter(|name| self.drop_file(name, &before)).collect();
        kept.retain(|file| !gone.contains(&file.name));
        self.tell(kept);
        Ok(())
    }

    /// What is in the folder. What is needed is used now; what nobody will ask for again goes.
    fn list(
        &self,
        now: SystemTime,
        in_use: &BTreeSet<OsString>,
        holds: &HashMap<OsString, Holds>,
    ) -> io::Result<Vec<Kept>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.layout.images())? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_file() {
                continue;
            }
            let ending = path.extension().unwrap_or_default();
            if ending == DROPPED {
                remove(&path);
                continue;
            }
            let kind = if ending == PARTIAL { Kind::Part } else { Kind::Whole };
            let whole = whole(&name, kind);
            let held = holds.get(&whole).is_some_and(|holds| holds.now > 0);
            let needed = held || (kind == Kind::Whole && in_use.contains(&name));
            let used = meta.modified().unwrap_or(now);
            if kind == Kind::Part && !needed && now.duration_since(used).is_ok_and(|age| age > PART_LASTS) {
                self.drop_file(&name, holds);
                continue;
            }
            if needed && kind == Kind::Whole {
                touch(&path, now);
            }
            let bytes = meta.blocks().saturating_mul(BLOCK);
            found.push(Kept { name, kind, bytes, used: if needed { now } else { used }, needed });
        }
        Ok(found)
    }

    /// Drops a file, unless somebody holds it or has held it since; tells whether it is gone.
    fn drop_file(&self, name: &OsStr, before: &HashMap<OsString, Holds>) -> bool {
        let path = self.layout.images().join(name);
        let (kind, mut aside) = (kind(&path), path.as_os_str().to_owned());
        aside.push(".");
        aside.push(DROPPED);
        let whole = whole(name, kind);
        {
            let ledger = self.ledger();
            let holds = |all: &HashMap<OsString, Holds>| all.get(&whole).copied().unwrap_or_default();
            let (was, is) = (holds(before), holds(&ledger.holds));
            if is.now > 0 || is != was {
                return false;
            }
            if let Err(error) = fs::rename(&path, &aside) {
                tracing::warn!(%error, path = %path.display(), "a base image is not dropped");
                return false;
            }
        }
        remove(Path::new(&aside));
        if kind == Kind::Whole {
            self.shown.dropped.inc();
            tracing::info!(path = %path.display(), "a base image that nobody needs was dropped to make room");
        }
        true
    }

    fn tell(&self, mut kept: Vec<Kept>) {
        let total: u64 = kept.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
        self.shown.bytes.set(i64::try_from(total).unwrap_or(i64::MAX));
        let free_bytes = kept.iter().filter(|file| !file.needed).map(|file| file.bytes).fold(0, u64::saturating_add);
        kept.retain(|file| file.kind == Kind::Whole);
        kept.sort_by_key(|file| std::cmp::Reverse(file.used));
        let digest = |file: &Kept| Some(Path::new(&file.name).file_stem()?.to_str()?.to_owned());
        let told: BTreeSet<String> = kept.iter().filter_map(digest).take(MOST_TOLD).collect();
        let mut ledger = self.ledger();
        ledger.holds.retain(|_, holds| holds.now > 0);
        (ledger.told, ledger.droppable_bytes) = (told, free_bytes);
    }
}

fn kind(path: &Path) -> Kind {
    if path.extension().is_some_and(|ending| ending == PARTIAL) { Kind::Part } else { Kind::Whole }
}

/// The name that a file has once it is whole.
fn whole(name: &OsStr, kind: Kind) -> OsString {
    match kind {
        Kind::Whole => name.to_owned(),
        Kind::Part => Path::new(name).file_stem().unwrap_or(name).to_owned(),
    }
}

/// Says that an image was used just now. If that cannot be written down, it is only dropped sooner.
pub(super) fn touch(path: &Path, now: SystemTime) {
    if let Err(error) = File::open(path).and_then(|file| file.set_modified(now)) {
        tracing::debug!(%error, path = %path.display(), "when a base image was used is not written down");
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "a dropped base image stays");
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
