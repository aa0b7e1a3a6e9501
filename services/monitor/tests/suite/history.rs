//! The history: complete, without doubles, and never in the way.

use std::{fs, path::Path};

use crate::harness::{Agent, PATIENCE, Running, ask, becomes, common, events, settings, somebody, told};
use watari_chassis::{Bucket, Bus, Context, clock};
use watari_contracts::{
    Service,
    history::HistoryChange,
    monitor::{CordonNode, ListEvents, ListHistory, ReportUsage},
};
use watari_model::{Refusal, node::State, site::Site, vm::Vm};
use watari_monitor::Settings;
use watari_testkit::{NatsServer, PostgresServer, TempDir, eventually, eventually_some};

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

/// A server of two hours ago, of which nothing was written down yet.
fn old_server() -> Vm {
    let golden = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
    let mut vm = serde_json::from_str::<Vec<Vm>>(golden).unwrap().swap_remove(0);
    vm.created_at = clock::now().minus_millis(7_200_000);
    vm
}

/// The use of servers from an hour ago on.
fn last_hour() -> ReportUsage {
    let (from, until) = (clock::now().minus_millis(3_600_000), clock::now().plus_millis(3_600_000));
    ReportUsage { from, until, vm: None, project: None, after: None, limit: None }
}

/// Once the history has as many writes of servers, they are these.
async fn has_writes(bus: &Bus, what: &str, wanted: &[u64]) {
    let revisions = || async { events(bus, "vms").await.iter().map(|event| event.revision).collect::<Vec<_>>() };
    eventually(what, PATIENCE, || async { revisions().await.len() >= wanted.len() }).await;
    assert_eq!(revisions().await, wanted, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_made_anew_has_the_last_eight_writes_of_a_document_and_says_that_it_knows_no_more() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let scheduler = Context::new(Service::Scheduler, &common(&nats)).await.unwrap();
    let vms = Bucket::<Vm>::open(&scheduler).await.unwrap();
    let (vm, window) = (old_server(), last_hour());
    let first = Running::start(&nats, settings(&dir.path().join("first"))).await;
    let mut last = vms.create(&vm).await.unwrap();
    let mut written = vec![last];
    has_writes(&bus, "it listens", &written).await;
    for _ in 0..11 {
        last = vms.update(&vm, last).await.unwrap();
        written.push(last);
    }
    has_writes(&bus, "who was there has all of them", &written).await;
    first.stop().await;

    let second = Running::start(&nats, settings(&dir.path().join("second"))).await;
    has_writes(&bus, "who comes later has what the bucket's stream still has", &written[4..]).await;
    let used = ask(&bus, window).await.unwrap().servers.swap_remove(0);
    assert_eq!((used.vm, used.servers), (vm.name, 1));
    assert!((3_590..3_700).contains(&used.unknown_seconds), "before the eight it is told as unknown");
    assert!(used.existed_seconds < 600, "and counted since");
    second.stop().await;
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

/// Settings of a monitor whose history is on a server.
fn on_server(folder: &Path, server: &PostgresServer, database: &str) -> Settings {
    let mut settings = settings(folder);
    settings.history.url = database.to_owned();
    settings.history.password_file = server.password_file();
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn two_monitors_on_one_server_tell_every_change_once_and_a_lost_database_is_made_anew_from_the_streams() {
    let (nats, dir, server) = (NatsServer::start(), TempDir::new(), PostgresServer::start());
    let bus = somebody(&nats).await;
    let sites = sites(&nats).await;
    let a = sites.create(&site("myodaiji", "A")).await.unwrap();
    for database in [server.database(), server.database()] {
        let start = || Running::start(&nats, on_server(dir.path(), &server, &database));
        let (one, other) = (start().await, start().await);
        assert_eq!(told(&bus, "sites", "myodaiji: created (A)").await.len(), 1);
        for monitor in [&one, &other] {
            let has = || async { monitor.metric("watari_history_available") > 0.5 };
            eventually("both keep it", PATIENCE, has).await;
        }
        one.stop().await;
        other.stop().await;
    }
    sites.update(&site("myodaiji", "B"), a).await.unwrap();
    let monitor = Running::start(&nats, on_server(dir.path(), &server, &server.database())).await;
    let lines = told(&bus, "sites", "myodaiji: renamed A → B").await;
    assert_eq!(lines, ["myodaiji: created (A)", "myodaiji: renamed A → B"]);
    assert!(!dir.path().join("history.db").exists(), "nothing is kept in a file beside");
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_holds_nothing_up_and_has_everything_afterwards() {
    let (nats, dir, mut server) = (NatsServer::start(), TempDir::new(), PostgresServer::start());
    let bus = somebody(&nats).await;
    let sites = sites(&nats).await;
    let a = sites.create(&site("myodaiji", "A")).await.unwrap();
    let monitor = Running::start(&nats, on_server(dir.path(), &server, &server.database())).await;
    told(&bus, "sites", "myodaiji: created (A)").await;
    server.kill();
    let gone = || async { monitor.metric("watari_history_available") < 0.5 };
    eventually("it is seen though nothing changes", PATIENCE, gone).await;
    sites.update(&site("myodaiji", "B"), a).await.unwrap();
    let agent = Agent::start(&nats, "myodaiji", "m1").await;
    becomes(&bus, "m1", State::Ready).await;
    let refused = ask(&bus, ListEvents::default()).await.unwrap_err();
    assert!(matches!(refused, Refusal::HistoryUnavailable { .. }), "{refused}");
    server.restart();
    let is_back = || async { monitor.metric("watari_history_available") > 0.5 };
    eventually("it is kept again", PATIENCE, is_back).await;
    assert_eq!(told(&bus, "sites", "myodaiji: renamed A → B").await.len(), 2);
    drop(agent);
    monitor.stop().await;
}

/// The change of which the history says this, with all that it knows of it.
async fn change(bus: &Bus, summary: &str) -> HistoryChange {
    let request = ListHistory { bucket: Some("nodes".to_owned()), limit: Some(200), ..ListHistory::default() };
    eventually_some(summary, PATIENCE, || async {
        let changes = ask(bus, request.clone()).await.ok()?.changes;
        changes.into_iter().find(|change| change.summary == summary)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_for_what_is_told_and_survives_the_loss_of_the_file() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let agent = Agent::start(&nats, "myodaiji", "m1").await;
    let first = Running::start(&nats, settings(&dir.path().join("first"))).await;
    becomes(&bus, "m1", State::Ready).await;
    ask(&bus, CordonNode { name: "m1".parse().unwrap() }).await.unwrap();
    let cordoned = change(&bus, "m1: cordoned").await;
    // Without an account of their own people have no name.
    assert_eq!((cordoned.by.as_deref(), cordoned.why.as_deref()), (Some("somebody"), Some("node.cordon")));
    let field = cordoned.fields.iter().find(|field| field.field == "cordoned").unwrap();
    assert_eq!((field.before.as_deref(), field.after.as_deref()), (Some("false"), Some("true")));
    let joined = change(&bus, "m1: joined site myodaiji, suspect").await;
    assert_eq!((joined.by.as_deref(), joined.why), (Some("monitor"), None));
    first.stop().await;

    let second = Running::start(&nats, settings(&dir.path().join("second"))).await;
    let again = change(&bus, "m1: cordoned").await;
    assert_eq!((again.by, again.why, again.fields), (cordoned.by, cordoned.why, cordoned.fields));
    let by = |by: &str| ListHistory { by: Some(by.to_owned()), ..ListHistory::default() };
    assert_eq!(ask(&bus, by("SOME")).await.unwrap().changes.len(), 1);
    assert!(matches!(ask(&bus, by("")).await.unwrap_err(), Refusal::OutOfRange { .. }));
    drop(agent);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn use_is_reported_of_a_window_and_of_nothing_else() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let bus = somebody(&nats).await;
    let scheduler = Context::new(Service::Scheduler, &common(&nats)).await.unwrap();
    let vms = Bucket::<Vm>::open(&scheduler).await.unwrap();
    let (vm, window) = (old_server(), last_hour());
    vms.create(&vm).await.unwrap();
    let monitor = Running::start(&nats, settings(dir.path())).await;
    let used = eventually_some("use is reported", PATIENCE, || async {
        ask(&bus, window.clone()).await.ok()?.servers.into_iter().next()
    })
    .await;
    assert_eq!((used.vm.as_str(), used.servers), (vm.name.as_str(), 1));
    assert!((3_590..3_700).contains(&used.unknown_seconds), "{used:?}");
    assert!(used.existed_seconds < 600, "the future is not counted: {used:?}");
    let elsewhere = ReportUsage { project: Some("elsewhere".parse().unwrap()), ..window.clone() };
    assert_eq!(ask(&bus, elsewhere).await.unwrap().servers, []);
    let other = ReportUsage { vm: Some("nobody".parse().unwrap()), ..window.clone() };
    assert_eq!(ask(&bus, other).await.unwrap().servers, []);
    let empty = ReportUsage { until: window.from, ..window };
    assert!(matches!(ask(&bus, empty).await.unwrap_err(), Refusal::OutOfRange { .. }));
    monitor.stop().await;
}
