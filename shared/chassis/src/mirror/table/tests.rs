use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::clock;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Thing {
    name: String,
    size: u64,
}

impl Document for Thing {
    const BUCKET: &'static str = "things";
    fn key(&self) -> String {
        self.name.clone()
    }
    /// A thing's size says whose it is, in these tests.
    fn belongs_to(&self) -> Option<&str> {
        match self.size % 3 {
            0 => None,
            1 => Some("one"),
            _ => Some("two"),
        }
    }
}

fn raw(key: &str, revision: Revision, payload: &str, deleted: bool) -> Raw {
    let payload = Bytes::from(payload.to_owned());
    Raw { bucket: "things", key: key.into(), revision, payload, created: clock::now(), deleted }
}

fn put(key: &str, revision: Revision) -> Raw {
    raw(key, revision, &format!(r#"{{"name":"{key}","size":{revision}}}"#), false)
}

fn sizes(table: &Table<Thing>) -> Vec<(String, u64)> {
    table.snapshot().iter().map(|(k, e)| (k.clone(), e.value.size)).collect()
}

#[test]
fn a_late_reading_moves_nothing_backwards_and_brings_nothing_back() {
    let mut table = Table::<Thing>::default();
    assert!(matches!(table.read(&put("a", 5)), Effect::Changed));
    assert!(matches!(table.read(&put("a", 4)), Effect::Known));
    assert_eq!(table.get("a").unwrap().revision, 5);
    assert!(matches!(table.read(&raw("a", 6, "", true)), Effect::Changed));
    assert!(matches!(table.read(&put("a", 5)), Effect::Known));
    assert!(table.get("a").is_none());
}

#[test]
fn a_snapshot_that_somebody_holds_does_not_change() {
    let mut table = Table::<Thing>::default();
    table.read(&put("a", 1));
    let before = table.snapshot();
    table.read(&put("b", 2));
    assert_eq!((before.len(), table.snapshot().len()), (1, 2));
}

#[test]
fn what_cannot_be_read_is_told_and_the_last_readable_form_stays() {
    let mut table = Table::<Thing>::default();
    table.read(&put("a", 1));
    for (revision, text) in [(2, "{"), (3, r#"{"name":"other","size":1}"#)] {
        assert!(
            matches!(table.read(&raw("a", revision, text, false)), Effect::Unreadable(e) if e.revision == revision)
        );
        assert_eq!((table.get("a").unwrap().revision, table.unreadable().len()), (1, 1));
    }
    table.read(&put("a", 4));
    assert!(table.unreadable().is_empty());
}

#[test]
fn a_document_that_a_list_lacks_is_missing_unless_it_is_newer_or_deleted() {
    let mut table = Table::<Thing>::default();
    for reading in [put("old", 1), put("listed", 2), put("new", 9), raw("deleted", 3, "", true)] {
        table.read(&reading);
    }
    assert_eq!(table.missing(&BTreeSet::from(["listed".to_owned()]), 5), ["old"]);
    assert!(table.vanish("old") && !table.vanish("old"));
    assert!(table.get("old").is_some(), "a missing document never stops or deletes a server");
    table.read(&put("old", 1));
    assert!(table.vanished().is_empty(), "it is there after all");
}

#[test]
fn in_a_bucket_made_anew_small_revisions_are_news() {
    let mut table = Table::<Thing>::default();
    table.read(&put("a", 100));
    table.remade();
    assert!(table.get("a").is_some());
    assert!(matches!(table.read(&put("a", 1)), Effect::Changed));
    assert_eq!((table.get("a").unwrap().revision, table.newest()), (1, 1));
}

#[test]
fn a_document_belongs_to_whom_its_newest_form_says_and_to_nobody_once_it_is_deleted() {
    let mut table = Table::<Thing>::default();
    table.read(&put("a", 1));
    table.read(&put("b", 4));
    assert_eq!(table.belonging_to("one").len(), 2);
    table.read(&put("a", 5));
    assert_eq!((table.belonging_to("one").len(), table.belonging_to("two").len()), (1, 1));
    table.read(&raw("a", 7, "", true));
    table.read(&put("b", 9));
    assert!(table.belonging_to("one").is_empty() && table.belonging_to("two").is_empty());
    assert!(table.owned.is_empty(), "who owns nothing is forgotten");
}

proptest! {
    #[test]
    fn the_order_of_readings_makes_no_difference(
        writes in proptest::collection::vec((0_u8..4, any::<bool>()), 1..30),
        order in any::<u64>(),
    ) {
        let readings: Vec<Raw> = (1..).zip(&writes).map(|(revision, (key, deleted))| {
            let key = format!("k{key}");
            if *deleted { raw(&key, revision, "", true) } else { put(&key, revision) }
        }).collect();
        let mut straight = Table::<Thing>::default();
        readings.iter().for_each(|r| { straight.read(r); });
        let mut shuffled: Vec<&Raw> = readings.iter().chain(&readings).collect();
        shuffled.sort_by_key(|r| r.revision.wrapping_mul(order | 1));
        let mut mixed = Table::<Thing>::default();
        shuffled.into_iter().for_each(|r| { mixed.read(r); });
        prop_assert_eq!(sizes(&straight), sizes(&mixed));
        for owner in ["one", "two"] {
            let found: Vec<u64> = mixed.belonging_to(owner).iter().map(|entry| entry.value.size).collect();
            let all = mixed.snapshot();
            let looked: Vec<u64> = all.values().map(|entry| &entry.value).filter(|thing| thing.belongs_to() == Some(owner)).map(|thing| thing.size).collect();
            prop_assert_eq!(found, looked);
        }
        prop_assert_eq!((straight.newest(), mixed.newest()), (writes.len() as u64, writes.len() as u64));
    }
}
