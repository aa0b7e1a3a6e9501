//! The journal on a real SQLite file: what was written is there after a crash, and what was not is not.

use std::path::PathBuf;

use watari_contracts::{
    agent::{Abort, Order, Progress, Stop},
    plan::{Edition, NetworkPlan, PlannedNetwork},
};
use watari_model::{Refusal, admission::Seen, isolation::Terms};
use watari_node_agent::{
    record::{Disk, Record, Removal},
    store::{Accepted, Journal, KeptLease, Key},
    work::Work,
};

const UUID: &str = "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("watari-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    async fn open(&self) -> Journal {
        Journal::open(&self.0.join("agent.db"), 8).await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn stop(operation: &str) -> Work {
    let order = Order { epoch: 3, operation: operation.to_owned() };
    Work::Stop(Stop { order, vm: "mail".parse().unwrap(), generation: 2, force: false })
}

fn key(work: &Work) -> Key {
    Key { server: UUID.to_owned(), verb: work.verb(), operation: work.order().operation.clone() }
}

fn record() -> Record {
    let mut record = Record::new("mail".parse().unwrap(), UUID.to_owned());
    record.seen = Seen { generation: 2, granted: 2, operation: Some("start-mail-2".to_owned()) };
    record.disk = Disk::Whole;
    record
}

#[tokio::test]
async fn an_order_that_was_taken_is_known_after_a_crash_before_the_act() {
    let folder = Folder::new("crash");
    let (work, record) = (stop("stop-mail-2"), record());
    {
        let journal = folder.open().await;
        journal.heed_epoch(3).await.unwrap();
        journal.accept(Accepted { key: &key(&work), work: &work, record: Some(&record) }).await.unwrap();
        // Copied while it is open and uncheckpointed: what a crash leaves.
        for file in ["agent.db", "agent.db-wal"] {
            let from = folder.0.join(file);
            if from.exists() {
                std::fs::copy(&from, folder.0.join(file.replace("agent", "crashed"))).unwrap();
            }
        }
    }
    let journal = Journal::open(&folder.0.join("crashed.db"), 8).await.unwrap();
    assert_eq!(journal.epoch().await, 3);
    assert_eq!(journal.records().await.unwrap(), [record]);
    assert_eq!(journal.progress(&key(&work)).await.unwrap(), Some(Progress::Working));
    let left = journal.unfinished().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].server.as_str(), &left[0].work), (UUID, &work));
}

#[tokio::test]
async fn an_older_epoch_is_refused_also_after_a_restart() {
    let folder = Folder::new("epoch");
    let journal = folder.open().await;
    journal.heed_epoch(7).await.unwrap();
    journal.heed_epoch(7).await.unwrap();
    assert!(matches!(journal.heed_epoch(6).await, Err(Refusal::Stale { what, .. }) if what == "epoch"));
    journal.close().await;
    let journal = folder.open().await;
    assert!(matches!(journal.heed_epoch(6).await, Err(Refusal::Stale { .. })));
    assert!(journal.heed_epoch(u64::MAX).await.is_err(), "an absurd epoch does not lock everybody out");
    journal.heed_epoch(8).await.unwrap();
}

#[tokio::test]
async fn a_broken_off_migration_stays_closed() {
    let folder = Folder::new("closed");
    let journal = folder.open().await;
    let order = Order { epoch: 1, operation: "abort-mail-1".to_owned() };
    let work = Work::Abort(Abort { order, migration: "mail-1".parse().unwrap(), vm: "mail".parse().unwrap() });
    assert!(!journal.is_closed(&"mail-1".parse().unwrap()).await.unwrap());
    journal.accept(Accepted { key: &key(&work), work: &work, record: None }).await.unwrap();
    journal.close().await;
    let journal = folder.open().await;
    assert!(journal.is_closed(&"mail-1".parse().unwrap()).await.unwrap());
    assert!(!journal.is_closed(&"mail-2".parse().unwrap()).await.unwrap());
}

#[tokio::test]
async fn finished_operations_are_remembered_up_to_a_bound_and_unfinished_ones_always() {
    let folder = Folder::new("bound");
    let journal = folder.open().await;
    let working = stop("the-one-under-way");
    journal.accept(Accepted { key: &key(&working), work: &working, record: Some(&record()) }).await.unwrap();
    for number in 0..20 {
        let work = stop(&format!("stop-{number}"));
        journal.accept(Accepted { key: &key(&work), work: &work, record: None }).await.unwrap();
        journal.finish(&key(&work), &work, &Progress::Done).await.unwrap();
    }
    assert_eq!(journal.progress(&key(&stop("stop-19"))).await.unwrap(), Some(Progress::Done));
    assert_eq!(journal.progress(&key(&stop("stop-0"))).await.unwrap(), None);
    assert_eq!(journal.progress(&key(&working)).await.unwrap(), Some(Progress::Working));
    journal.save(&Record { removal: Removal::Done, ..record() }).await.unwrap();
    journal.tidy().await.unwrap();
    assert_eq!(journal.records().await.unwrap().len(), 1, "a tombstone is kept");
}

#[tokio::test]
async fn two_agents_cannot_share_a_journal() {
    let folder = Folder::new("two");
    let first = folder.open().await;
    first.heed_epoch(1).await.unwrap();
    assert!(Journal::open(&folder.0.join("agent.db"), 8).await.is_err());
}

#[tokio::test]
async fn the_newest_plan_is_kept_and_an_older_one_does_not_replace_it() {
    let folder = Folder::new("plan");
    let network = PlannedNetwork {
        network: "lab".parse().unwrap(),
        kind: watari_model::network::Kind::Overlay,
        overlay: None,
        here: Vec::new(),
        elsewhere: Vec::new(),
    };
    let (empty, full) = (NetworkPlan::default(), NetworkPlan { networks: vec![network], ..NetworkPlan::default() });
    let edition = |epoch, revision| Edition { epoch, revision };
    {
        let journal = folder.open().await;
        assert_eq!(journal.plan().await.unwrap(), None);
        journal.keep_plan(edition(4, 9), &empty).await.unwrap();
        journal.keep_plan(edition(5, 1), &full).await.unwrap();
        journal.keep_plan(edition(4, 10), &empty).await.unwrap();
        journal.keep_plan(edition(5, 0), &empty).await.unwrap();
    }
    assert_eq!(folder.open().await.plan().await.unwrap(), Some((edition(5, 1), full)));
}

#[tokio::test]
async fn the_last_lease_is_kept_and_an_older_one_of_the_same_boot_does_not_replace_it() {
    let folder = Folder::new("lease");
    let lease = |boot: &str, asked_at| {
        let terms = Terms { lease_ms: 30_000, stop_ms: 60_000 };
        KeptLease { boot: boot.to_owned(), asked_at, terms }
    };
    let journal = folder.open().await;
    assert_eq!(journal.lease().await.unwrap(), None);
    for asked_at in [7_000, 9_000, 8_000] {
        journal.keep_lease(&lease("first", asked_at)).await.unwrap();
    }
    journal.close().await;
    let journal = folder.open().await;
    assert_eq!(journal.lease().await.unwrap(), Some(lease("first", 9_000)));
    // Another boot counts anew.
    journal.keep_lease(&lease("second", 5)).await.unwrap();
    assert_eq!(journal.lease().await.unwrap(), Some(lease("second", 5)));
}
