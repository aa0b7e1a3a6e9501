use sqlx::Row;
use time::OffsetDateTime;
use watari_contracts::history::Place as Page;
use watari_model::{ProjectName, node::Node};
use watari_testkit::{PostgresServer, TempDir};

use super::*;
use crate::{
    history::usage::{Meter, Sum},
    settings::Settings,
};

/// What must hold wherever the history is kept: each in a file of its own, and each in a database of its own on one
/// server, since a server takes longer to start than all of it.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod in_a_file {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let dir = TempDir::new();
                super::$name(&Place::File(dir.path().join("deep/er/history.db"))).await;
            })+
        }

        #[tokio::test]
        async fn all_of_it_holds_on_a_server() {
            let server = PostgresServer::start();
            $($name(&database(&server)).await;)+
        }
    };
}

on_both! {
    a_change_is_written_down_once_however_often_it_is_told,
    events_come_newest_last_and_filtered,
    a_summary_tells_what_changed_within_a_batch_and_across_batches,
    what_a_backup_puts_back_is_told_as_that_and_not_as_what_its_counters_say,
    a_large_document_is_noted_without_its_text,
    what_is_old_and_what_is_too_much_is_forgotten_oldest_first_but_not_how_things_stood,
    who_did_what_is_told_with_before_and_after_page_by_page,
    who_did_what_is_found_by_who_and_when,
    how_far_a_bucket_was_read_survives,
    what_was_measured_of_a_migration_is_told_from_its_document,
    use_is_read_from_what_was_when_the_window_begins,
    a_kept_disk_is_used_until_its_node_has_it_no_more_in_whatever_order_that_is_told,
    a_text_with_a_nul_is_kept_without_it,
    two_that_write_the_same_write_it_once,
}

/// An empty database of a server.
fn database(server: &PostgresServer) -> Place {
    let mut settings = Settings::embedded().unwrap().history;
    settings.url = server.database();
    settings.password_file = server.password_file();
    Place::of(&settings).unwrap()
}

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
        by: None,
        why: None,
    }
}

fn all() -> Filter {
    Filter { limit: 1_000, ..Filter::default() }
}

async fn summaries(store: &Store) -> Vec<String> {
    store.events(&all()).await.unwrap().into_iter().map(|e| e.summary).collect()
}

async fn a_change_is_written_down_once_however_often_it_is_told(place: &Place) {
    let store = Store::open(place).await.unwrap();
    let changes = [site(1, 1, Some("A")), site(2, 2, Some("B")), site(3, 3, None)];
    assert_eq!(store.add(&changes, 1 << 16).await.unwrap(), 3);
    assert_eq!(store.add(&changes, 1 << 16).await.unwrap(), 0);
    assert_eq!(store.rows().await.unwrap(), 3);
    assert!(store.has("sites", "myodaiji", 2).await.unwrap() && !store.has("sites", "myodaiji", 4).await.unwrap());
    // The bucket was lost and made anew: the same number is another write.
    assert_eq!(store.add(&[site(1, 9, Some("C"))], 1 << 16).await.unwrap(), 1);
}

async fn events_come_newest_last_and_filtered(place: &Place) {
    let store = Store::open(place).await.unwrap();
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

async fn a_summary_tells_what_changed_within_a_batch_and_across_batches(place: &Place) {
    let store = Store::open(place).await.unwrap();
    store.add(&[site(1, 1, Some("A")), site(2, 2, Some("B"))], 1 << 16).await.unwrap();
    store.add(&[site(3, 3, Some("C")), site(4, 4, None)], 1 << 16).await.unwrap();
    assert_eq!(
        summaries(&store).await,
        ["myodaiji: created (A)", "myodaiji: renamed A → B", "myodaiji: renamed B → C", "myodaiji: deleted"]
    );
}

async fn what_a_backup_puts_back_is_told_as_that_and_not_as_what_its_counters_say(place: &Place) {
    let store = Store::open(place).await.unwrap();
    let vm = |revision: u64, asked: u64, home: &str, why: Option<&str>| Change {
        bucket: "vms".to_owned(),
        key: "mail".to_owned(),
        document: Some(format!(
            r#"{{"name":"mail","home":"{home}","migrations":{asked},"reboots":{{"asked":{asked}}}}}"#
        )),
        why: why.map(str::to_owned),
        ..site(revision, i64::try_from(revision).unwrap(), None)
    };
    store.add(&[vm(1, 0, "a", None), vm(2, 1_000, "b", Some("backup.restore"))], 1 << 16).await.unwrap();
    assert_eq!(summaries(&store).await[1], "mail: restored from a backup");
    let told = store.told(&Wanted { limit: 1, ..Wanted::default() }).await.unwrap();
    let fields: Vec<&str> = told[0].fields.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["home"]);
}

async fn a_large_document_is_noted_without_its_text(place: &Place) {
    let store = Store::open(place).await.unwrap();
    store.add(&[site(1, 1, Some(&"x".repeat(2_000)))], 1_024).await.unwrap();
    let kept: (Option<String>,) = sqlx::query_as("SELECT document FROM events").fetch_one(&store.pool).await.unwrap();
    assert_eq!(kept.0, None);
    assert_eq!(store.rows().await.unwrap(), 1);
}

async fn what_was_measured_of_a_migration_is_told_from_its_document(place: &Place) {
    let golden = include_str!("../../../../../shared/contracts/tests/golden/document.migrations.json");
    let completed = serde_json::from_str::<Vec<serde_json::Value>>(golden).unwrap().swap_remove(0);
    let mut copying = completed.clone();
    (copying["state"], copying["measured"]) = ("copying".into(), serde_json::Value::Null);
    let store = Store::open(place).await.unwrap();
    for (n, document) in [(1_i64, &copying), (2, &completed)] {
        let (key, document) = ("mail-2".to_owned(), Some(document.to_string()));
        let change = Change { bucket: "migrations".to_owned(), key, document, ..site(n.unsigned_abs(), n, None) };
        store.add(&[change], 1 << 16).await.unwrap();
    }
    let wanted = Wanted { bucket: Some("migrations".to_owned()), limit: 1, ..Wanted::default() };
    let told = store.told(&wanted).await.unwrap().swap_remove(0);
    assert!(told.summary.contains("2310 ms, standstill 171 ms"), "{}", told.summary);
    let after = |name: &str| told.fields.iter().find(|one| one.field == name).and_then(|one| one.after.as_deref());
    assert_eq!(after("measured.total_ms"), Some("2310"));
    assert_eq!((after("measured.downtime_ms"), after("measured.pause_ms")), (Some("140"), Some("31")));
    let bytes = (after("measured.memory_bytes"), after("measured.disk_bytes"));
    assert_eq!(bytes, (Some("213909504"), Some("74448896")));
    let twice = sqlx::query("SELECT 1 FROM measured").fetch_optional(&store.pool).await;
    assert!(twice.is_err(), "nothing is kept that nobody reads");
}

async fn what_is_old_and_what_is_too_much_is_forgotten_oldest_first_but_not_how_things_stood(place: &Place) {
    let store = Store::open(place).await.unwrap();
    let changes: Vec<_> = (1..=20).map(|n| site(n, i64::try_from(n).unwrap(), Some("A"))).collect();
    store.add(&changes, 1 << 16).await.unwrap();
    // The fifth still says how it was when the sixth came.
    assert_eq!(store.retain(at(6), 1_000).await.unwrap(), 4);
    assert_eq!(store.retain(at(6), 1_000).await.unwrap(), 0);
    assert_eq!(store.retain(at(0), 10).await.unwrap(), 6);
    let left: Vec<_> = store.events(&all()).await.unwrap().iter().map(|e| e.revision).collect();
    assert_eq!(left, (11..=20).collect::<Vec<_>>());
    // Of what was deleted long ago nothing is left.
    store.add(&[site(21, 21, None)], 1 << 16).await.unwrap();
    store.retain(at(30), 1_000).await.unwrap();
    assert_eq!(store.rows().await.unwrap(), 0);
}

fn ours(change: Change, by: &str, why: &str) -> Change {
    Change { by: Some(by.to_owned()), why: Some(why.to_owned()), ..change }
}

async fn who_did_what_is_told_with_before_and_after_page_by_page(place: &Place) {
    let store = Store::open(place).await.unwrap();
    let sato = "operator@192.0.2.10 (sato)";
    let changes = [
        site(1, 1, Some("A")),
        ours(site(2, 2, Some("B")), sato, "site.rename"),
        ours(site(3, 3, Some("C")), "scheduler.m-front", "site.rename"),
        site(4, 4, None),
    ];
    store.add(&changes, 1 << 16).await.unwrap();
    let wanted = |limit| Wanted { limit, ..Wanted::default() };
    let found = store.told(&wanted(10)).await.unwrap();
    assert_eq!(found.iter().map(|c| c.revision).collect::<Vec<_>>(), [4, 3, 2, 1]);
    let second = &found[2];
    assert_eq!((second.by.as_deref(), second.why.as_deref()), (Some(sato), Some("site.rename")));
    let field = &second.fields[0];
    let shown = (field.field.as_str(), field.before.as_deref(), field.after.as_deref());
    assert_eq!((second.fields.len(), shown), (1, ("title", Some("A"), Some("B"))));
    assert!(found[0].fields.iter().all(|f| f.after.is_none()) && found[3].fields.iter().all(|f| f.before.is_none()));

    // Page by page it is the same, whatever is written meanwhile.
    let mut paged = Vec::new();
    let mut before = None;
    loop {
        let page = store.told(&Wanted { before, ..wanted(1) }).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(Page { at: last.at, bucket: last.bucket.clone(), revision: last.revision });
        paged.extend(page);
        store.add(&[site(9, 9, Some("Z"))], 1 << 16).await.unwrap();
    }
    assert_eq!(paged, found);
}

async fn who_did_what_is_found_by_who_and_when(place: &Place) {
    let store = Store::open(place).await.unwrap();
    let changes = [
        ours(site(1, 1, Some("A")), "operator@192.0.2.10 (sato)", "a.b"),
        ours(site(2, 2, Some("B")), "viewer@192.0.2.11", "a.b"),
        site(3, 3, Some("C")),
    ];
    store.add(&changes, 1 << 16).await.unwrap();
    let revisions = async |wanted: Wanted| {
        let found = store.told(&Wanted { limit: 10, ..wanted }).await.unwrap();
        found.iter().map(|c| c.revision).collect::<Vec<_>>()
    };
    let by = |text: &str| Wanted { by: Some(text.to_owned()), ..Wanted::default() };
    assert_eq!(revisions(by("SATO")).await, [1]);
    assert_eq!(revisions(by("192.0.2.")).await, [2, 1]);
    for sign in ["%", "_", "\\"] {
        assert_eq!(revisions(by(sign)).await, Vec::<u64>::new());
    }
    assert_eq!(revisions(by("x') OR 1 = 1 --")).await, Vec::<u64>::new());
    assert_eq!(revisions(Wanted { since: Some(at(2)), ..Wanted::default() }).await, [3, 2]);
    assert_eq!(revisions(Wanted { until: Some(at(2)), ..Wanted::default() }).await, [1]);
    assert_eq!(revisions(Wanted { key: Some("yamate".to_owned()), ..Wanted::default() }).await, Vec::<u64>::new());
    assert_eq!(revisions(Wanted { bucket: Some("sites".to_owned()), ..Wanted::default() }).await, [3, 2, 1]);
}

/// What the servers of one name used that name no project.
async fn used(store: &Store, name: &str, from: i64, until: i64) -> Sum {
    let meter = store.used(name, Meter::new(at(from), at(until))).await.unwrap();
    meter.done().remove(&ProjectName::default()).unwrap_or_default()
}

async fn use_is_read_from_what_was_when_the_window_begins(place: &Place) {
    let golden = include_str!("../../../../../shared/contracts/tests/golden/document.vms.json");
    let documents: Vec<watari_model::vm::Vm> = serde_json::from_str(golden).unwrap();
    let mut vm = documents.into_iter().next().unwrap();
    vm.created_at = at(-7_200);
    vm.state = watari_model::vm::State::Running;
    (vm.spec.vcpus, vm.spec.memory_mib, vm.spec.disk_gib) = (2, 512, 4);
    let write = |n: i64, document: Option<&watari_model::vm::Vm>| Change {
        bucket: "vms".to_owned(),
        key: "mail".to_owned(),
        document: document.map(|vm| serde_json::to_string(vm).unwrap()),
        ..site(n.unsigned_abs(), n, None)
    };
    let store = Store::open(place).await.unwrap();
    let first = write(1, Some(&vm));
    let other = Change { key: "web".to_owned(), ..write(2, Some(&vm)) };
    vm.spec.vcpus = 4;
    store.add(&[first, other, write(50, Some(&vm)), write(60, None)], 1 << 16).await.unwrap();
    assert_eq!(store.servers("", 10).await.unwrap(), ["mail", "web"]);
    assert_eq!(store.servers("mail", 10).await.unwrap(), ["web"]);
    assert_eq!(store.servers("", 1).await.unwrap(), ["mail"]);
    let sum = used(&store, "mail", 40, 100).await;
    assert_eq!((sum.ran_ms, sum.vcpu_ms), (20_000, 10_000 * 2 + 10_000 * 4));
    // It was there before anything was written of it.
    let before = used(&store, "mail", -3_600, -1_800).await;
    assert_eq!((before.servers, before.unknown_ms, before.existed_ms), (1, 1_800_000, 0));
    // What was forgotten for its age takes nothing of it.
    store.retain(at(45), 1_000).await.unwrap();
    assert_eq!(used(&store, "mail", 40, 100).await, sum);
    assert_eq!(used(&store, "nobody", 40, 100).await.servers, 0);
}

async fn a_kept_disk_is_used_until_its_node_has_it_no_more_in_whatever_order_that_is_told(place: &Place) {
    let golden = include_str!("../../../../../shared/contracts/tests/golden/document.nodes.json");
    let with = serde_json::from_str::<Vec<Node>>(golden).unwrap().into_iter().find(|n| !n.inventory.disks.is_empty());
    let store = Store::open(place).await.unwrap();
    let research: ProjectName = "research".parse().unwrap();
    let sum = async |vm: &str, from: i64, until: i64| {
        let meter = store.used(vm, Meter::new(at(from), at(until))).await.unwrap();
        meter.done().remove(&research).unwrap_or_default()
    };
    for (n, order) in (0_u64..).zip([[0, 1, 2, 3], [3, 2, 1, 0], [3, 1, 0, 2], [2, 0, 3, 1]]) {
        let mut with = with.clone().unwrap();
        let mut all = std::mem::take(&mut with.inventory.disks);
        let (uuid, mut disk) = all.pop_first().unwrap();
        (disk.vm, disk.project) = (format!("old{n}").parse().unwrap(), Some(research.clone()));
        (disk.disk_gib, disk.kept_at) = (4, at(15));
        let without = with.clone();
        with.inventory.disks.insert(uuid, disk);
        let writes = [(10, &without), (20, &with), (30, &with), (40, &without)].map(|(second, node)| Change {
            bucket: "nodes".to_owned(),
            key: format!("m{n}"),
            document: Some(serde_json::to_string(node).unwrap()),
            ..site(10 * n + 1, second, None)
        });
        for place in order {
            store.add(&writes[place..=place], 1 << 16).await.unwrap();
        }
        let name = format!("old{n}");
        let used = sum(&name, 0, 100).await;
        assert_eq!((used.servers, used.existed_ms, used.disk_gib_ms), (0, 0, 25_000 * 4), "{order:?}");
        assert_eq!(sum(&name, 16, 18).await.disk_gib_ms, 2_000 * 4);
        assert_eq!(sum(&name, 40, 100).await, Sum::default());
        // It is kept anew, and goes with its node.
        with.inventory.disks.values_mut().next().unwrap().kept_at = at(50);
        let again = Change { document: Some(serde_json::to_string(&with).unwrap()), ..writes[3].clone() };
        let (again, gone) = (Change { at: at(60), ..again.clone() }, Change { at: at(70), document: None, ..again });
        store.add(&[again, gone], 1 << 16).await.unwrap();
        assert_eq!(sum(&name, 0, 100).await.disk_gib_ms, (25_000 + 20_000) * 4);
    }
    // Nothing else is known of servers of these names.
    assert_eq!(store.servers("", 10).await.unwrap(), ["old0", "old1", "old2", "old3"]);
    assert_eq!(store.servers("old1", 1).await.unwrap(), ["old2"]);
    store.retain(at(45), 1_000).await.unwrap();
    assert_eq!(sum("old0", 0, 100).await.disk_gib_ms, 20_000 * 4, "what ended before is forgotten for its age");
}

async fn how_far_a_bucket_was_read_survives(place: &Place) {
    let store = Store::open(place).await.unwrap();
    assert_eq!(store.reached("vms").await.unwrap(), None);
    for revision in [5, 9] {
        store.reach("vms", Reached { made: at(1), revision }).await.unwrap();
    }
    store.close().await;
    let again = Store::open(place).await.unwrap();
    assert_eq!(again.reached("vms").await.unwrap(), Some(Reached { made: at(1), revision: 9 }));
}

async fn a_text_with_a_nul_is_kept_without_it(place: &Place) {
    let store = Store::open(place).await.unwrap();
    // As JSON has it, it is a NUL only in the summary.
    store.add(&[site(1, 1, Some("A\\u0000B")), site(2, 2, Some("C\0D"))], 1 << 16).await.unwrap();
    assert_eq!(summaries(&store).await[0], "myodaiji: created (A\u{fffd}B)");
    assert_eq!(store.rows().await.unwrap(), 2);
    assert_eq!(store.events(&Filter { key: Some("a\0b".to_owned()), ..all() }).await.unwrap(), []);
}

async fn two_that_write_the_same_write_it_once(place: &Place) {
    let (one, other) = (Store::open(place).await.unwrap(), Store::open(place).await.unwrap());
    let forth: Vec<_> = (1..=100).map(|n| site(n, i64::try_from(n).unwrap(), Some("A"))).collect();
    let back: Vec<_> = forth.iter().rev().cloned().collect();
    let (first, second) = tokio::join!(one.add(&forth, 1 << 16), other.add(&back, 1 << 16));
    assert_eq!(first.unwrap() + second.unwrap(), 100);
    assert_eq!(one.rows().await.unwrap(), 100);
}

#[tokio::test]
async fn a_server_that_goes_is_missed_and_is_told_apart_from_one_with_another_password() {
    let mut server = PostgresServer::start();
    let place = database(&server);
    let store = Store::open(&place).await.unwrap();
    let lost = tokio::spawn({
        let store = store.clone();
        async move { store.lost(Duration::from_millis(20)).await }
    });
    assert_eq!(store.add(&[site(1, 1, Some("A"))], 1 << 16).await.unwrap(), 1);
    server.kill();
    let why = lost.await.unwrap();
    assert!(matches!(why, StoreError::Unusable(_)), "{why}");
    let refused = Store::open(&place).await.unwrap_err().to_string();
    assert!(refused.contains("refused"), "{refused}");

    server.restart();
    assert_eq!(Store::open(&place).await.unwrap().rows().await.unwrap(), 1);
    let Place::Server { options, .. } = place else { panic!("no server") };
    let password = server.password_file().with_extension("other");
    for (text, said) in [("another secret", "password"), ("", "empty")] {
        fs::write(&password, text).unwrap();
        let wrong = Place::Server { options: options.clone(), password: Some(password.clone()) };
        let refused = Store::open(&wrong).await.unwrap_err().to_string();
        assert!(refused.contains(said) && !refused.contains("another secret"), "{refused}");
    }
}

#[tokio::test]
async fn what_is_forgotten_is_given_back_to_the_disk_but_for_room_for_what_comes_next() {
    let dir = TempDir::new();
    let store = Store::open(&Place::File(dir.path().join("history.db"))).await.unwrap();
    let pages = || async {
        let row = sqlx::query("SELECT page_count FROM pragma_page_count").fetch_one(&store.pool).await.unwrap();
        row.try_get::<i64, _>(0).unwrap()
    };
    // More than is kept free: 600 of 32 KiB are some 5,000 pages.
    let title = "x".repeat(32 << 10);
    for first in [1, 201, 401] {
        let changes: Vec<_> = (first..first + 200).map(|n| site(n, i64::try_from(n).unwrap(), Some(&title))).collect();
        store.add(&changes, 1 << 16).await.unwrap();
    }
    let full = pages().await;
    store.retain(at(0), 1).await.unwrap();
    assert_eq!(pages().await, full, "what is deleted is only free within the file");
    store.compact().await.unwrap();
    let left = pages().await;
    assert!(left < full / 2 && left > 500, "{left} of {full} pages");
    // It goes on being written to.
    store.add(&[site(601, 601, Some("A"))], 1 << 16).await.unwrap();
    assert_eq!(store.rows().await.unwrap(), 2);
}

#[tokio::test]
async fn a_spoilt_file_is_told_apart_and_set_aside_and_a_folder_that_cannot_be_is_not_spoilt() {
    let dir = TempDir::new();
    let path = dir.path().join("history.db");
    let in_file = Place::File(path.clone());
    for n in 0..4 {
        fs::write(&path, "this is no database, however long one looks at it".repeat(100)).unwrap();
        let refused = Store::open(&in_file).await.unwrap_err();
        assert!(matches!(refused, StoreError::Spoilt(_)), "{refused}");
        set_aside(&path, at(n)).unwrap();
        assert!(!path.exists());
    }
    assert_eq!(spoilt(&path).unwrap().len(), SPOILT_KEPT);
    Store::open(&in_file).await.unwrap();
    let under_a_file = path.join("history.db");
    assert!(matches!(Store::open(&Place::File(under_a_file)).await.unwrap_err(), StoreError::Folder { .. }));
}
