//! The history: complete, without doubles, and never in the way.

use std::fs;

use crate::harness::{Agent, PATIENCE, Running, ask, becomes, common, events, settings, somebody, told};
use watari_chassis::{Bucket, Context};
use watari_contracts::{Service, monitor::ListEvents};
use watari_model::{Refusal, node::State, site::Site};
use watari_testkit::{NatsServer, TempDir, eventually};

fn site(name: &str, title: &str) -> Site {
    Site::new(name.parse().unwrap(), title.to_owned())
}

/// The scheduler's hand on its bucket.
async fn sites(nats: &NatsServer) -> Bucket<Site> {
    let scheduler = Context::new(Service::Scheduler, &common(nats)).await.unwrap();
    Bucket::open(&scheduler).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_once_across_restarts_of_everything() {
    let (mut nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let sites = sites(&nats).await;
    // Before there is a monitor at all.
    let a = sites.create(&site("myodaiji", "A")).await.unwrap();
    let first = Running::start(&nats, settings(dir.path())).await;
    let mut expected = vec!["myodaiji: created (A)".to_owned()];
    assert_eq!(told(&bus, "sites", "myodaiji: created (A)").await, expected);

    // While it listens.
    let b = sites.update(&site("myodaiji", "B"), a).await.unwrap();
    expected.push("myodaiji: renamed A → B".to_owned());
    assert_eq!(told(&bus, "sites", "myodaiji: renamed A → B").await, expected);
    first.stop().await;

    // While it is off.
    let c = sites.update(&site("myodaiji", "C"), b).await.unwrap();
    sites.create(&site("yamate", "Y")).await.unwrap();
    expected.extend(["myodaiji: renamed B → C".to_owned(), "yamate: created (Y)".to_owned()]);
    let second = Running::start(&nats, settings(dir.path())).await;
    assert_eq!(told(&bus, "sites", "yamate: created (Y)").await, expected);

    // Around a power cut of NATS.
    sites.delete("myodaiji", c).await.unwrap();
    nats.restart();
    eventually("NATS takes writes again", PATIENCE, || async { sites.get("yamate").await.is_ok() }).await;
    let y = sites.get("yamate").await.unwrap().unwrap().revision;
    sites.update(&site("yamate", "Z"), y).await.unwrap();
    expected.extend(["myodaiji: deleted".to_owned(), "yamate: renamed Y → Z".to_owned()]);
    // What was missed around the cut may be told after what was heard live since.
    let lines = || async { events(&bus, "sites").await.into_iter().map(|e| e.summary).collect::<Vec<_>>() };
    eventually("all of it is told", PATIENCE, || async { lines().await.len() >= expected.len() }).await;
    assert_eq!(lines().await, expected);
    second.kill();

    let third = Running::start(&nats, settings(dir.path())).await;
    assert_eq!(told(&bus, "sites", "yamate: renamed Y → Z").await, expected);
    let of_key = ListEvents { key: Some("yamate".to_owned()), limit: Some(1), ..ListEvents::default() };
    let newest = ask(&bus, of_key).await.unwrap().events;
    assert_eq!((newest.len(), newest[0].summary.as_str()), (1, "yamate: renamed Y → Z"));
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_longer_than_one_reading_is_complete() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let sites = sites(&nats).await;
    for n in 0..1_203 {
        sites.create(&site(&format!("s{n}"), "S")).await.unwrap();
    }
    let monitor = Running::start(&nats, settings(dir.path())).await;
    told(&bus, "sites", "s1202: created (S)").await;
    let counted = || async { monitor.metric("watari_history_changes_total") > 1_202.5 };
    eventually("all are counted", PATIENCE, counted).await;
    assert!(monitor.metric("watari_history_changes_total") < 1_203.5, "each once");
    assert_eq!(events(&bus, "sites").await.len(), 1_000, "as many as fit into one answer");
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_spoilt_file_is_made_anew_from_the_streams() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let sites = sites(&nats).await;
    sites.create(&site("myodaiji", "A")).await.unwrap();
    for (n, spoil) in [false, true].into_iter().enumerate() {
        let folder = dir.path().join(n.to_string());
        fs::create_dir_all(&folder).unwrap();
        if spoil {
            fs::write(folder.join("history.db"), "no database at all".repeat(1_000)).unwrap();
        }
        let monitor = Running::start(&nats, settings(&folder)).await;
        assert_eq!(told(&bus, "sites", "myodaiji: created (A)").await.len(), 1);
        let aside = fs::read_dir(&folder)
            .unwrap()
            .filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().contains("spoilt"));
        assert_eq!(aside.count(), usize::from(spoil), "the spoilt file is kept");
        monitor.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_history_everything_else_goes_on() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    // A folder that cannot be made, since a file is in the way.
    fs::write(dir.path().join("blocked"), "").unwrap();
    let monitor = Running::start(&nats, settings(&dir.path().join("blocked"))).await;
    let agent = Agent::start(&nats, "myodaiji", "m1").await;
    becomes(&bus, "m1", State::Ready).await;
    let refused = ask(&bus, ListEvents::default()).await.unwrap_err();
    assert!(matches!(refused, Refusal::HistoryUnavailable { .. }), "{refused}");
    assert!(monitor.metric("watari_history_available") < 0.5);
    // The obstacle goes, and the history is complete.
    fs::remove_file(dir.path().join("blocked")).unwrap();
    let joined = "m1: joined site myodaiji, suspect";
    let is_told = || async { events(&bus, "nodes").await.first().is_some_and(|event| event.summary == joined) };
    eventually("the history has the node from its beginning", PATIENCE, is_told).await;
    drop(agent);
    monitor.stop().await;
}
