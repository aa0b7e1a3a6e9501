//! The cache on a real folder.

use watari_chassis::prometheus::Registry;

use super::*;
use crate::images::standing::tests::header;

struct Scene {
    folder: PathBuf,
    layout: Layout,
    shown: Cached,
    cache: Arc<Cache>,
}

impl Scene {
    /// Images may take 1 MiB.
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("watari-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let layout = Layout::new(&folder.join("data"), &folder.join("run"));
        layout.make().unwrap();
        let shown = Cached::register(&Registry::new()).unwrap();
        let bound = Bound { cache_mib: 1, reserve_gib: 0 };
        let cache = Arc::new(Cache::new(layout.clone(), bound, shown.clone()));
        Self { folder, layout, shown, cache }
    }

    /// A file of 400 KiB that was last used so many minutes ago.
    fn image(&self, name: &str, minutes: u64) -> PathBuf {
        let path = self.layout.images().join(name);
        fs::write(&path, vec![7; 400 << 10]).unwrap();
        let ago = SystemTime::from(clock::now().0) - Duration::from_secs(minutes * 60);
        File::options().append(true).open(&path).unwrap().set_modified(ago).unwrap();
        path
    }

    fn here(&self) -> Vec<String> {
        let names = fs::read_dir(self.layout.images()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn the_least_recently_used_goes_and_never_one_that_a_disk_stands_on() {
    let scene = Scene::new("least");
    let base = scene.image("base.raw", 90);
    scene.image("old.raw", 80);
    scene.image("new.qcow2", 10);
    fs::write(scene.layout.disks().join("x.qcow2"), header(base.to_str().unwrap())).unwrap();
    scene.cache.make_room(0, 0).await;
    assert_eq!(scene.here(), ["base.raw", "new.qcow2"]);
    assert_eq!(scene.shown.dropped.get(), 1);
    assert!((700 << 10..1 << 20).contains(&scene.shown.bytes.get()), "{} bytes", scene.shown.bytes.get());
    assert_eq!(scene.cache.told(), BTreeSet::from(["base".to_owned(), "new".to_owned()]));
    assert!((300 << 10..500 << 10).contains(&scene.cache.droppable_bytes()));
    // When it was used is known to whoever comes next, by its file.
    let used = fs::metadata(&base).unwrap().modified().unwrap();
    assert!(SystemTime::from(clock::now().0).duration_since(used).unwrap_or_default() < Duration::from_secs(60));
    // There is no room for what comes: all goes that may.
    scene.cache.make_room(1 << 20, 0).await;
    assert_eq!(scene.here(), ["base.raw"]);
    fs::remove_file(scene.layout.disks().join("x.qcow2")).unwrap();
    scene.cache.make_room(0, u64::MAX).await;
    assert_eq!(scene.here(), [""; 0], "no disk stands on it any more, and room is needed");
}

#[tokio::test]
async fn one_that_is_held_stays_until_it_is_let_go() {
    let scene = Scene::new("held");
    let path = scene.image("base.raw", 90);
    let (one, two) = (scene.cache.hold(&path), scene.cache.hold(&path));
    drop(one);
    scene.cache.make_room(0, u64::MAX).await;
    assert_eq!(scene.here(), ["base.raw"]);
    drop(two);
    scene.cache.make_room(0, u64::MAX).await;
    assert_eq!(scene.here(), [""; 0]);
}

#[tokio::test]
async fn one_that_somebody_used_since_the_disks_were_asked_stays() {
    let scene = Scene::new("since");
    let path = scene.image("base.raw", 90);
    let before = scene.cache.ledger().holds.clone();
    drop(scene.cache.hold(&path));
    assert!(!scene.cache.drop_file(OsStr::new("base.raw"), &before));
    assert_eq!(scene.here(), ["base.raw"]);
    let before = scene.cache.ledger().holds.clone();
    assert!(scene.cache.drop_file(OsStr::new("base.raw"), &before));
}

#[tokio::test]
async fn what_a_crash_left_is_cleared_away_and_what_is_arriving_is_not() {
    let scene = Scene::new("crash");
    scene.image("a.raw.dropped", 0);
    scene.image("b.raw.partial.dropped", 0);
    scene.image("c.raw.partial", 61);
    scene.image("d.raw.partial", 1);
    let arriving = scene.image("e.raw.partial", 61).with_extension("");
    let held = scene.cache.hold(&arriving);
    scene.cache.make_room(0, 0).await;
    assert_eq!(scene.here(), ["d.raw.partial", "e.raw.partial"]);
    assert_eq!(scene.shown.dropped.get(), 0, "those were no images");
    assert_eq!(scene.cache.told(), BTreeSet::new());
    drop(held);
}

#[tokio::test]
async fn while_nobody_knows_what_is_in_use_nothing_is_dropped() {
    let scene = Scene::new("damaged");
    scene.image("base.raw", 90);
    let damaged = scene.layout.layers().join("x.qcow2");
    fs::write(&damaged, &header("/some/base.raw")[..106]).unwrap();
    scene.cache.make_room(0, u64::MAX).await;
    assert_eq!(scene.here(), ["base.raw"]);
}
