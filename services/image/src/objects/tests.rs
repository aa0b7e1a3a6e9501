//! The store's faults, made by a store in memory that does as it is told: real ones are met in `tests/suite/store.rs`.

use std::{
    fmt, fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use object_store::{
    CopyOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, PutMultipartOptions, PutOptions,
    PutResult, memory::InMemory, multipart::PartId,
};
use tokio_util::sync::CancellationToken;
use watari_testkit::TempDir;

use super::*;
use crate::digest;

const MIB: usize = 1 << 20;

/// A store that takes so many writes more and then is away.
#[derive(Debug, Default)]
struct Failing {
    memory: InMemory,
    parts_put: AtomicUsize,
    writes_left: AtomicUsize,
    away: std::sync::atomic::AtomicBool,
    /// What the next listing waits for, which is then taken from here.
    gate: Mutex<Option<Arc<tokio::sync::Semaphore>>>,
}

impl Failing {
    fn fault() -> object_store::Error {
        object_store::Error::Generic { store: "failing", source: "no route to host".into() }
    }

    fn reads(&self) -> object_store::Result<()> {
        if self.away.load(Ordering::SeqCst) { Err(Self::fault()) } else { Ok(()) }
    }

    fn writes(&self) -> object_store::Result<()> {
        self.reads()?;
        let left = self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| Self::fault())
    }

    fn takes(&self, writes: usize) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

/// An upload that is not known is 404 for a real store.
fn unknown<T>(done: object_store::Result<T>) -> object_store::Result<T> {
    done.map_err(|error| match error {
        object_store::Error::Generic { source, .. } => object_store::Error::NotFound { path: String::new(), source },
        error => error,
    })
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> object_store::Result<PutResult> {
        self.writes()?;
        self.memory.put_opts(at, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.memory.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> object_store::Result<GetResult> {
        self.reads()?;
        self.memory.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.memory.delete_stream(all)
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let found = self.memory.list(below);
        let Some(gate) = lock(&self.gate).take() else { return found };
        let opened = async move {
            drop(gate.acquire().await);
            found
        };
        futures_util::stream::once(opened).flatten().boxed()
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> object_store::Result<ListResult> {
        self.memory.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> object_store::Result<()> {
        self.memory.copy_opts(from, to, how).await
    }
}

#[async_trait]
impl MultipartStore for Failing {
    async fn create_multipart(&self, at: &Path) -> object_store::Result<MultipartId> {
        self.writes()?;
        self.memory.create_multipart(at).await
    }

    async fn put_part(
        &self,
        at: &Path,
        id: &MultipartId,
        part: usize,
        bytes: PutPayload,
    ) -> object_store::Result<PartId> {
        self.writes()?;
        self.parts_put.fetch_add(1, Ordering::SeqCst);
        unknown(self.memory.put_part(at, id, part, bytes).await)
    }

    async fn complete_multipart(
        &self,
        at: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> object_store::Result<PutResult> {
        self.writes()?;
        unknown(self.memory.complete_multipart(at, id, parts).await)
    }

    async fn abort_multipart(&self, at: &Path, id: &MultipartId) -> object_store::Result<()> {
        self.reads()?;
        unknown(self.memory.abort_multipart(at, id).await)
    }
}

struct Scene {
    dir: TempDir,
    disk: Store,
    store: Arc<Failing>,
    stop: CancellationToken,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new();
        let disk = Store::open(dir.path()).unwrap();
        let store = Arc::new(Failing::default());
        store.takes(usize::MAX);
        Self { dir, disk, store, stop: CancellationToken::new() }
    }

    /// What a process has that begins now.
    fn objects(&self) -> Objects {
        let name = image::ObjectStore { url: "s3://images/watari".to_owned(), campus: None };
        let sent = IntCounter::new("sent", "bytes").unwrap();
        let mut objects = Objects::over(Arc::clone(&self.store), name, &self.disk, &sent);
        objects.prefix = "watari".to_owned();
        objects.part_bytes = MIB as u64;
        objects
    }

    fn file(&self, bytes: &[u8]) -> (PathBuf, Digest) {
        let path = self.dir.path().join("file");
        fs::write(&path, bytes).unwrap();
        (path, digest::of(bytes))
    }

    async fn stored(&self, objects: &Objects, digest: &Digest) -> Option<Vec<u8>> {
        let got = self.store.memory.get(&objects.key(digest)).await.ok()?;
        Some(got.bytes().await.unwrap().to_vec())
    }

    fn unfinished(&self) -> usize {
        self.disk.sendings().unwrap().len()
    }
}

/// So many bytes that differ from part to part.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n / 1000 % 251) as u8).collect()
}

#[tokio::test]
async fn small_and_large_files_are_kept_once_under_their_digest() {
    let scene = Scene::new();
    let objects = scene.objects();
    for length in [0, 1, MIB, MIB + 1, 3 * MIB + 7] {
        let (path, digest) = scene.file(&bytes(length));
        for _ in 0..2 {
            objects.keep(&path, &digest, &scene.stop).await.unwrap();
        }
        assert!(scene.stored(&objects, &digest).await.unwrap() == bytes(length), "{length}");
        assert_eq!(scene.unfinished(), 0);
    }
    assert_eq!(objects.sent.get(), (1 + MIB + MIB + 1 + 3 * MIB + 7) as u64, "nothing is sent twice");
    objects.look("image.m-front.1").await.unwrap();
    assert_eq!(objects.listed().unwrap().len(), 5, "without the probe");
}

#[tokio::test]
async fn an_upload_that_breaks_at_any_step_goes_on_in_the_next_process_and_sends_no_part_twice() {
    // Begun, five parts, named.
    for writes in 0..7 {
        let scene = Scene::new();
        let all = bytes(4 * MIB + 9);
        let (path, digest) = scene.file(&all);
        let objects = scene.objects();
        scene.store.takes(writes);
        let broken = objects.keep(&path, &digest, &scene.stop).await.unwrap_err();
        assert!(matches!(broken, ObjectsError::Away { .. }) && broken.to_string().contains("no route"), "{broken}");
        assert_eq!(scene.stored(&objects, &digest).await, None, "half a file has no name, after {writes}");

        scene.store.takes(usize::MAX);
        let next = scene.objects();
        next.keep(&path, &digest, &scene.stop).await.unwrap();
        assert!(scene.stored(&next, &digest).await.unwrap() == all);
        assert_eq!((scene.store.parts_put.load(Ordering::SeqCst), scene.unfinished()), (5, 0), "after {writes}");
    }
}

#[tokio::test]
async fn an_upload_whose_object_has_its_name_is_done_though_the_note_is_still_there() {
    let scene = Scene::new();
    let (path, digest) = scene.file(&bytes(2 * MIB));
    let objects = scene.objects();
    scene.store.takes(2);
    objects.keep(&path, &digest, &scene.stop).await.unwrap_err();
    let note = fs::read(scene.disk.sending(&digest)).unwrap();
    scene.store.takes(usize::MAX);
    objects.keep(&path, &digest, &scene.stop).await.unwrap();
    // The process died before it could remove it.
    fs::write(scene.disk.sending(&digest), note).unwrap();
    let next = scene.objects();
    next.keep(&path, &digest, &scene.stop).await.unwrap();
    assert_eq!((scene.store.parts_put.load(Ordering::SeqCst), scene.unfinished()), (2, 0));
}

#[tokio::test]
async fn an_upload_that_the_store_has_swept_begins_anew() {
    let scene = Scene::new();
    let (path, digest) = scene.file(&bytes(3 * MIB));
    let objects = scene.objects();
    scene.store.takes(2);
    objects.keep(&path, &digest, &scene.stop).await.unwrap_err();
    scene.store.takes(usize::MAX);
    let begun = objects.noted(&digest).unwrap();
    scene.store.memory.abort_multipart(&objects.key(&digest), &begun.id).await.unwrap();
    objects.keep(&path, &digest, &scene.stop).await.unwrap_err();
    objects.keep(&path, &digest, &scene.stop).await.unwrap();
    assert!(scene.stored(&objects, &digest).await.unwrap() == bytes(3 * MIB));
}

#[tokio::test]
async fn a_file_that_is_not_what_it_should_be_gets_no_name_in_the_store() {
    let scene = Scene::new();
    let objects = scene.objects();
    for length in [100, 2 * MIB] {
        let (path, digest) = scene.file(&bytes(length));
        let mut rotten = bytes(length);
        rotten[length - 1] ^= 1;
        fs::write(&path, &rotten).unwrap();
        let found = objects.keep(&path, &digest, &scene.stop).await.unwrap_err();
        assert!(matches!(&found, ObjectsError::Damaged { found } if *found == digest::of(&rotten)), "{found}");
        assert_eq!((scene.stored(&objects, &digest).await, scene.unfinished()), (None, 0));
    }
}

#[tokio::test]
async fn an_unwanted_upload_is_broken_off_and_one_to_another_store_is_forgotten() {
    let scene = Scene::new();
    let (path, digest) = scene.file(&bytes(3 * MIB));
    let objects = scene.objects();
    scene.store.takes(2);
    objects.keep(&path, &digest, &scene.stop).await.unwrap_err();
    let begun = objects.noted(&digest).unwrap();
    scene.store.away.store(true, Ordering::SeqCst);
    objects.break_off(&digest).await.unwrap_err();
    assert_eq!(scene.unfinished(), 1, "it is not forgotten while the store may still have its parts");
    scene.store.away.store(false, Ordering::SeqCst);
    objects.break_off(&digest).await.unwrap();
    assert_eq!(scene.unfinished(), 0);
    let gone = scene.store.memory.abort_multipart(&objects.key(&digest), &begun.id).await;
    assert!(gone.is_err(), "the store has thrown its parts away");

    let elsewhere = sending::Begun { store: "s3://another".to_owned(), ..begun };
    fs::write(scene.disk.sending(&digest), serde_json::to_vec(&elsewhere).unwrap()).unwrap();
    objects.break_off(&digest).await.unwrap();
    assert_eq!(scene.unfinished(), 0);
}

#[tokio::test]
async fn a_store_that_is_away_is_looked_at_without_a_conclusion() {
    let scene = Scene::new();
    let (path, digest) = scene.file(b"abc");
    let objects = scene.objects();
    assert_eq!(objects.listed(), None, "nobody has looked yet");
    objects.keep(&path, &digest, &scene.stop).await.unwrap();
    objects.look("probe").await.unwrap();
    assert_eq!(objects.listed().unwrap().get(&digest), Some(&3));
    scene.store.away.store(true, Ordering::SeqCst);
    let refused = objects.refusal(&objects.look("probe").await.unwrap_err());
    assert_eq!((refused.code(), refused.retryable(), objects.listed()), ("image.store-away", true, None));
    assert!(objects.has(&digest, 3).await.is_err() && objects.read(&digest, 0, 3).await.is_err());
}

#[tokio::test]
async fn what_is_kept_while_a_listing_is_made_is_not_missed() {
    let scene = Scene::new();
    let (path, digest) = scene.file(b"abc");
    let objects = scene.objects();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    *lock(&scene.store.gate) = Some(Arc::clone(&gate));
    let keeping = async {
        while lock(&scene.store.gate).is_some() {
            tokio::task::yield_now().await;
        }
        objects.keep(&path, &digest, &scene.stop).await.unwrap();
        gate.add_permits(1);
    };
    let (looked, ()) = tokio::join!(objects.look("probe"), keeping);
    looked.unwrap();
    assert_eq!(objects.listed().unwrap().get(&digest), Some(&3));
}

#[tokio::test]
async fn an_object_is_read_from_anywhere_on_and_one_that_is_damaged_is_written_anew() {
    let scene = Scene::new();
    let (path, digest) = scene.file(b"abcdef");
    let objects = scene.objects();
    objects.look("probe").await.unwrap();
    objects.keep(&path, &digest, &scene.stop).await.unwrap();
    let read: Vec<Bytes> = objects.read(&digest, 4, 6).await.unwrap().try_collect().await.unwrap();
    assert_eq!(read.concat(), b"ef");
    assert!(matches!(objects.read(&digest, 0, 7).await, Err(ObjectsError::Unfaithful { .. })));

    scene.store.memory.put(&objects.key(&digest), PutPayload::from_static(b"abcdeF")).await.unwrap();
    assert!(objects.has(&digest, 6).await.unwrap(), "its size does not betray it");
    objects.distrust(&digest);
    assert!(!objects.has(&digest, 6).await.unwrap() && objects.listed().unwrap().is_empty());
    objects.look("probe").await.unwrap();
    assert!(objects.listed().unwrap().is_empty(), "looking does not make it better");
    objects.keep(&path, &digest, &scene.stop).await.unwrap();
    assert_eq!(scene.stored(&objects, &digest).await.unwrap(), b"abcdef");
    assert!(objects.listed().unwrap().contains_key(&digest));
    objects.remove(&digest).await.unwrap();
    objects.remove(&digest).await.unwrap();
    assert_eq!((scene.stored(&objects, &digest).await, objects.listed().unwrap().len()), (None, 0));
}
