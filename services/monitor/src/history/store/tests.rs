use time::OffsetDateTime;
use watari_testkit::TempDir;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp(OffsetDateTime::from_unix_timestamp(1_700_000_000 + second).unwrap())
}

fn site(revision: u64, second: i64, title: Option<&str>) -> Change {
    Change {
        at: at(second),
        bucket: "sites".to_owned(),
        key: "myodaiji".to_owned(),
        revision,
        document: title.map(|t| format!(r#"{{"v":1,"name":"myodaiji","title":"{t}"}}"#)),
    }
}

fn all() -> Filter {
    Filter { limit: 1_000, ..Filter::default() }
}

async fn summaries(store: &Store) -> Vec<String> {
    store.events(&all()).await.unwrap().into_iter().map(|e| e.summary).collect()
}

#[tokio::test]
async fn a_change_is_written_down_once_however_often_it_is_told() {
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("deep/er/history.db")).await.unwrap();
    let changes = [site(1, 1, Some("A")), site(2, 2, Some("B")), site(3, 3, None)];
    assert_eq!(store.add(&changes, 1 << 16).await.unwrap(), 3);
    assert_eq!(store.add(&changes, 1 << 16).await.unwrap(), 0);
    assert_eq!(store.rows().await.unwrap(), 3);
    assert!(store.has("sites", "myodaiji", 2).await.unwrap() && !store.has("sites", "myodaiji", 4).await.unwrap());
    // The bucket was lost and made anew: the same number is another write.
    assert_eq!(store.add(&[site(1, 9, Some("C"))], 1 << 16).await.unwrap(), 1);
}

#[tokio::test]
async fn events_come_newest_last_and_filtered() {
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("history.db")).await.unwrap();
    let other = Change { key: "yamate".to_owned(), ..site(4, 4, Some("Y")) };
    // A gap is filled later: the order is that of what happened, not of what was told.
    for change in [site(3, 3, None), other, site(1, 1, Some("A")), site(2, 2, Some("B"))] {
        store.add(&[change], 1 << 16).await.unwrap();
    }
    let revisions =
        |events: Vec<watari_contracts::monitor::Event>| events.iter().map(|e| e.revision).collect::<Vec<_>>();
    assert_eq!(revisions(store.events(&all()).await.unwrap()), [1, 2, 3, 4]);
    assert_eq!(revisions(store.events(&Filter { limit: 2, ..all() }).await.unwrap()), [3, 4]);
    let of_key = |key: &str| Filter { key: Some(key.to_owned()), ..all() };
    assert_eq!(revisions(store.events(&of_key("yamate")).await.unwrap()), [4]);
    let of_both = Filter { bucket: Some("sites".to_owned()), ..of_key("myodaiji") };
    assert_eq!(revisions(store.events(&of_both).await.unwrap()), [1, 2, 3]);
    let hostile = of_key("x' OR '1'='1");
    assert_eq!(store.events(&hostile).await.unwrap(), []);
    assert_eq!(store.events(&Filter { bucket: Some("vms".to_owned()), ..all() }).await.unwrap(), []);
}

#[tokio::test]
async fn a_summary_tells_what_changed_within_a_batch_and_across_batches() {
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("history.db")).await.unwrap();
    store.add(&[site(1, 1, Some("A")), site(2, 2, Some("B"))], 1 << 16).await.unwrap();
    store.add(&[site(3, 3, Some("C")), site(4, 4, None)], 1 << 16).await.unwrap();
    assert_eq!(
        summaries(&store).await,
        ["myodaiji: created (A)", "myodaiji: renamed A → B", "myodaiji: renamed B → C", "myodaiji: deleted"]
    );
}

#[tokio::test]
async fn a_large_document_is_noted_without_its_text() {
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("history.db")).await.unwrap();
    store.add(&[site(1, 1, Some(&"x".repeat(2_000)))], 1_024).await.unwrap();
    let kept: (Option<String>,) = sqlx::query_as("SELECT document FROM events").fetch_one(&store.pool).await.unwrap();
    assert_eq!(kept.0, None);
    assert_eq!(store.rows().await.unwrap(), 1);
}

#[tokio::test]
async fn a_completed_migration_is_measured_once() {
    let golden = include_str!("../../../../../shared/contracts/tests/golden/document.migrations.json");
    let documents: Vec<serde_json::Value> = serde_json::from_str(golden).unwrap();
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("history.db")).await.unwrap();
    for (n, document) in (1..).zip(&documents) {
        let key = document["id"].as_str().unwrap().to_owned();
        let document = Some(document.to_string());
        let change = Change { at: at(n), bucket: "migrations".to_owned(), key, revision: n.unsigned_abs(), document };
        store.add(std::slice::from_ref(&change), 1 << 16).await.unwrap();
        store.add(&[change], 1 << 16).await.unwrap();
    }
    let rows: Vec<(String, String, String, i64, i64)> =
        sqlx::query_as("SELECT migration, from_node, to_node, total_ms, downtime_ms FROM measured")
            .fetch_all(&store.pool)
            .await
            .unwrap();
    assert_eq!(rows, [("mail-2".to_owned(), "m1".to_owned(), "y1".to_owned(), 2310, 140)]);
}

#[tokio::test]
async fn what_is_old_and_what_is_too_much_is_forgotten_oldest_first() {
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("history.db")).await.unwrap();
    let changes: Vec<_> = (1..=20).map(|n| site(n, i64::try_from(n).unwrap(), Some("A"))).collect();
    store.add(&changes, 1 << 16).await.unwrap();
    assert_eq!(store.retain(at(6), 1_000).await.unwrap(), 5);
    assert_eq!(store.retain(at(0), 10).await.unwrap(), 5);
    let left: Vec<_> = store.events(&all()).await.unwrap().iter().map(|e| e.revision).collect();
    assert_eq!(left, (11..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn how_far_a_bucket_was_read_survives() {
    let dir = TempDir::new();
    let path = dir.path().join("history.db");
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.reached("vms").await.unwrap(), None);
    for revision in [5, 9] {
        store.reach("vms", Reached { made: at(1), revision }).await.unwrap();
    }
    store.close().await;
    let again = Store::open(&path).await.unwrap();
    assert_eq!(again.reached("vms").await.unwrap(), Some(Reached { made: at(1), revision: 9 }));
}

#[tokio::test]
async fn a_spoilt_file_is_told_apart_and_set_aside_and_a_folder_that_cannot_be_is_not_spoilt() {
    let dir = TempDir::new();
    let path = dir.path().join("history.db");
    for n in 0..4 {
        fs::write(&path, "this is no database, however long one looks at it".repeat(100)).unwrap();
        let refused = Store::open(&path).await.unwrap_err();
        assert!(matches!(refused, StoreError::Spoilt(_)), "{refused}");
        set_aside(&path, at(n)).unwrap();
        assert!(!path.exists());
    }
    assert_eq!(spoilt(&path).unwrap().len(), SPOILT_KEPT);
    Store::open(&path).await.unwrap();
    let under_a_file = path.join("history.db");
    assert!(matches!(Store::open(&under_a_file).await.unwrap_err(), StoreError::Folder { .. }));
}
