//! The agent with a real QEMU under libvirt's own driver, in this process and in a folder of its own
//! (`qemu:///embed`): orders, refusals, restarts.
#![allow(clippy::unwrap_used, missing_docs)]

mod console;
mod growing;
mod held;
mod isolation;
mod kept;
mod layers;
mod saving;
mod scene;
mod screen;
mod sending;
mod snapshots;
mod stall;
mod uefi;
mod weights;

use scene::{Scene, scene};
use watari_contracts::{
    agent::{
        Abort, Answer, Discard, DiskUse, Domain, KeepConsole, MOST_KEPT, OffReason, Order, Phase, Progress,
        ReadConsole, Receive, Release, Remove, Stack, Start, Stop, Suspend,
    },
    plan::{Edition, LayPlan, NetworkPlan, PlannedFirewall},
};
use watari_model::{Refusal, vm::Grant};

fn order(operation: &str) -> Order {
    Order { epoch: 5, operation: operation.to_owned() }
}

fn grant(generation: u64) -> Grant {
    Grant { node: "m1".parse().unwrap(), generation }
}

fn start(scene: &Scene, vm: &str, generation: u64, disk: DiskUse) -> Start {
    Start {
        order: order(&format!("start-{vm}-{generation}")),
        grant: grant(generation),
        server: scene.server(vm),
        disk,
        kept: None,
        copy: None,
    }
}

fn stop(vm: &str, generation: u64) -> Stop {
    Stop { order: order(&format!("off-{vm}-{generation}")), vm: vm.parse().unwrap(), generation, force: true }
}

fn remove(scene: &Scene, vm: &str, generation: u64) -> Remove {
    let operation = order(&format!("remove-{vm}-{generation}"));
    let (uuid, vm) = (scene.server(vm).uuid, vm.parse().unwrap());
    Remove { order: operation, vm, uuid, generation, keep_layers: false, spare_running: false, keep_disk: None }
}

fn receive(scene: &Scene, vm: &str, migration: &str, generation: u64) -> Receive {
    Receive {
        order: order(&format!("receive-{migration}")),
        migration: migration.parse().unwrap(),
        generation,
        from: "y1".parse().unwrap(),
        server: scene.server(vm),
        stack: Stack::default(),
    }
}

fn discard(vm: &str, migration: &str, generation: u64) -> Discard {
    Discard {
        order: order(&format!("discard-{migration}")),
        migration: migration.parse().unwrap(),
        vm: vm.parse().unwrap(),
        generation,
    }
}

fn assert_stale<T: std::fmt::Debug>(outcome: Result<T, Refusal>) {
    assert!(matches!(outcome, Err(Refusal::Stale { .. })), "{outcome:?}");
}

fn failed(answer: &Answer) -> &Refusal {
    match &answer.progress {
        Progress::Failed(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_started_stopped_started_again_on_its_disk_and_removed() {
    let scene = scene().await;
    let agent = scene.agent("life").await;
    let started = agent.done(start(scene, "life", 1, DiskUse::MayCreate)).await;
    assert_eq!((started.fact.domain, started.fact.generation, started.fact.granted), (Domain::Running, 1, true));
    assert!(started.fact.disk && scene.disk(&agent, "life").exists());

    // The same order again is not done again; an older grant is refused.
    let again = agent.order(start(scene, "life", 1, DiskUse::MayCreate)).await.unwrap();
    assert_eq!(again.progress, Progress::Done);
    assert_stale(agent.order(Start { order: order("other"), ..start(scene, "life", 1, DiskUse::MayCreate) }).await);

    let stopped = agent.done(stop("life", 1)).await;
    assert_eq!(stopped.fact.domain, Domain::Off(OffReason::Destroyed));
    let late = Start { order: order("late"), ..start(scene, "life", 1, DiskUse::MayCreate) };
    assert_stale(agent.order(late).await);

    let inode = scene.inode(&agent, "life");
    agent.done(start(scene, "life", 2, DiskUse::Existing)).await;
    assert_eq!(scene.inode(&agent, "life"), inode, "the disk persists across stop and start");
    assert_stale(agent.order(Stop { order: order("late-off"), ..stop("life", 1) }).await);
    assert_stale(agent.order(remove(scene, "life", 1)).await);
    let console = agent.console("life", 1_000).await;
    assert!(console.is_ok(), "{console:?}");
    let kept = |uuid: &str| KeepConsole {
        order: order("keep"),
        vm: "life".parse().unwrap(),
        uuid: uuid.to_owned(),
        text: format!("{}last words elsewhere\n", "x".repeat(MOST_KEPT)),
    };
    let uuid = scene.server("life").uuid;
    assert_eq!(agent.agent.keep_console(kept(&uuid)).await.unwrap().bytes, u64::try_from(MOST_KEPT).unwrap());
    let told = agent.console("life", 100_000).await.unwrap().text;
    assert!(told.starts_with('x') && told.contains("last words elsewhere\n"), "it stands before what is written here");
    let another = agent.agent.keep_console(kept(&scene.server("another").uuid)).await;
    assert!(matches!(another, Err(Refusal::VmUnknown { .. })), "{another:?}");

    let removed = agent.done(remove(scene, "life", 2)).await;
    assert_eq!((removed.fact.domain, removed.fact.disk), (Domain::Absent, false));
    assert!(!scene.disk(&agent, "life").exists());
    assert!(agent.facts().vms.is_empty(), "a removed server is reported no more");
    let late = Start { order: order("later"), ..start(scene, "life", 2, DiskUse::MayCreate) };
    assert_stale(agent.order(late).await);
    assert_eq!(agent.done(remove(scene, "life", 2)).await.progress, Progress::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_outlives_its_agent_and_is_taken_up_again() {
    let scene = scene().await;
    let agent = scene.agent("again").await;
    agent.done(start(scene, "again", 1, DiskUse::MayCreate)).await;
    let process = scene.process("again").await;
    let agent = agent.restart().await;
    let fact = agent.observe("again").await;
    assert_eq!((fact.domain, fact.generation, fact.granted), (Domain::Running, 1, true));
    assert_eq!(scene.process("again").await, process, "it is the same process");
    assert_eq!(agent.order(start(scene, "again", 1, DiskUse::MayCreate)).await.unwrap().progress, Progress::Done);
    // The journal is lost: the domain's own definition says under which grant it runs.
    let agent = agent.restart_without_journal().await;
    // Also if somebody speaks of it before it is found.
    agent
        .done(Abort { order: order("early"), migration: "again-0".parse().unwrap(), vm: "again".parse().unwrap() })
        .await;
    let fact = agent.until("again", |fact| fact.generation == 1).await;
    assert_eq!((fact.domain, fact.granted), (Domain::Running, true));
    assert_stale(agent.order(discard("again", "again-1", 1)).await);
    agent.done(remove(scene, "again", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_its_disk_is_not_started_from_nothing() {
    let scene = scene().await;
    let agent = scene.agent("nothing").await;
    let answer = agent.ended(start(scene, "nothing", 1, DiskUse::Existing)).await;
    assert!(matches!(failed(&answer), Refusal::VmState { .. }) && !failed(&answer).retryable());
    // An old copy is not its disk either.
    agent.done(start(scene, "nothing", 2, DiskUse::MayCreate)).await;
    agent.done(stop("nothing", 2)).await;
    let released = Release { order: order("release"), vm: "nothing".parse().unwrap(), generation: 2 };
    let fact = agent.done(released).await.fact;
    assert_eq!((fact.domain, fact.disk), (Domain::Absent, true));
    let answer = agent.ended(start(scene, "nothing", 3, DiskUse::Existing)).await;
    assert!(matches!(failed(&answer), Refusal::VmState { .. }), "{answer:?}");
    agent.done(remove(scene, "nothing", 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reception_is_prepared_discarded_and_never_begins_again_once_it_was() {
    let scene = scene().await;
    let agent = scene.agent("guest").await;
    let answer = agent.done(receive(scene, "guest", "guest-1", 4)).await;
    assert_eq!(answer.fact.passage.as_ref().map(|p| p.phase), Some(Phase::Prepared));
    assert_eq!((answer.fact.domain, answer.fact.granted, answer.fact.disk), (Domain::Absent, false, true));
    // An unfinished copy is no disk to start from, and a new migration may replace it.
    let answer = agent.ended(start(scene, "guest", 5, DiskUse::Existing)).await;
    assert!(matches!(failed(&answer), Refusal::VmState { .. }));
    agent.done(receive(scene, "guest", "guest-2", 6)).await;
    // The late end of the first touches nothing of the second.
    agent.done(discard("guest", "guest-1", 6)).await;
    assert!(scene.disk(&agent, "guest").exists());
    let fact = agent.done(discard("guest", "guest-2", 6)).await.fact;
    assert_eq!((fact.disk, fact.passage), (false, None));
    let late = Receive { order: order("late"), ..receive(scene, "guest", "guest-2", 6) };
    assert!(matches!(agent.order(late).await, Err(Refusal::MigrationCancelled { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_the_journal_does_not_know_is_in_the_way() {
    let scene = scene().await;
    let agent = scene.agent("unknown").await;
    std::fs::write(scene.disk(&agent, "unknown"), "somebody's only disk").unwrap();
    let answer = agent.ended(receive(scene, "unknown", "unknown-1", 1)).await;
    assert!(matches!(failed(&answer), Refusal::AgentState { .. }) && failed(&answer).retryable());
    assert_eq!(std::fs::read(scene.disk(&agent, "unknown")).unwrap(), b"somebody's only disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deleted_server_left_goes_unless_it_lives_and_its_name_is_free_again() {
    let scene = scene().await;
    let agent = scene.agent("deleted").await;
    agent.done(start(scene, "deleted", 1, DiskUse::MayCreate)).await;
    let clear =
        |operation: &str| Remove { order: order(operation), spare_running: true, ..remove(scene, "deleted", 1) };
    let answer = agent.ended(clear("clear")).await;
    assert!(matches!(failed(&answer), Refusal::AgentState { .. }), "{answer:?}");
    assert_eq!(agent.observe("deleted").await.domain, Domain::Running, "what runs is not touched");
    agent.done(stop("deleted", 1)).await;

    let mut other = scene.server("deleted");
    other.uuid = "0b5c1d7e-1111-4222-8333-444455556666".to_owned();
    let begin = |operation: &str, generation: u64| Start {
        order: order(operation),
        server: other.clone(),
        ..start(scene, "deleted", generation, DiskUse::MayCreate)
    };
    let answer = agent.ended(begin("other", 1)).await;
    let there = scene.server("deleted").uuid;
    assert!(matches!(failed(&answer), Refusal::NameTaken { uuid, .. } if *uuid == there), "{answer:?}");
    agent.done(clear("clear-again")).await;
    assert!(!scene.disk(&agent, "deleted").exists());
    agent.done(begin("other-again", 2)).await;
    agent.done(Remove { order: order("end"), uuid: other.uuid.clone(), ..remove(scene, "deleted", 2) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_that_comes_late_is_told_once_and_then_tried_again() {
    let scene = scene().await;
    let source = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", source.local_addr().unwrap());
    let agent = scene.agent_fetching("late", vec![origin]).await;
    let mut wanted = receive(scene, "late", "late-1", 1);
    wanted.server.base.sha256 = "ab".repeat(32);
    let asked = agent.order(wanted.clone()).await.unwrap();
    assert_eq!(asked.progress, Progress::Working, "the source has not said a word yet");
    // The source hangs up on both attempts.
    for _ in 0..2 {
        drop(source.accept().await.unwrap());
    }
    agent.until_counted("receive", "image.unavailable", 1).await;
    let told = agent.order(wanted.clone()).await.unwrap();
    assert!(matches!(failed(&told), Refusal::ImageUnavailable { .. }), "{told:?}");
    let again = agent.order(wanted).await.unwrap();
    assert_eq!(again.progress, Progress::Working, "it is tried again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_epoch_is_refused_and_hostile_orders_change_nothing() {
    let scene = scene().await;
    let agent = scene.agent("epoch").await;
    let old = Start {
        order: Order { epoch: 4, operation: "old".to_owned() },
        ..start(scene, "epoch", 9, DiskUse::MayCreate)
    };
    agent.done(stop("epoch", 1)).await;
    assert_stale(agent.order(old).await);
    let mut hostile = start(scene, "epoch", 1, DiskUse::MayCreate);
    hostile.server.uuid = "../../../etc/passwd".to_owned();
    assert!(matches!(agent.order(hostile).await, Err(Refusal::OutOfRange { .. })));
    let elsewhere = Start {
        grant: Grant { node: "y1".parse().unwrap(), generation: 1 },
        ..start(scene, "epoch", 1, DiskUse::MayCreate)
    };
    assert!(matches!(agent.order(elsewhere).await, Err(Refusal::Malformed { .. })));
    let huge = Remove { uuid: "x".repeat(100), ..remove(scene, "epoch", 1) };
    assert!(matches!(agent.order(huge).await, Err(Refusal::OutOfRange { .. })));
    let missing = ReadConsole { vm: "nobody".parse().unwrap(), bytes: 1 };
    assert!(matches!(agent.agent.console(&missing).await, Err(Refusal::VmUnknown { .. })));
    assert!(agent.facts().vms.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn force_overtakes_a_guest_that_does_not_shut_down() {
    let scene = scene().await;
    let agent = scene.agent("stubborn").await;
    agent.done(start(scene, "stubborn", 1, DiskUse::MayCreate)).await;
    // No operating system is on its disk that could hear the button.
    let ask = Stop { order: order("ask"), force: false, ..stop("stubborn", 1) };
    assert_eq!(agent.order(ask.clone()).await.unwrap().progress, Progress::Working);
    let agent = agent.restart().await;
    assert_eq!(agent.order(ask.clone()).await.unwrap().progress, Progress::Working, "it is gone on with");
    let off = agent.done(stop("stubborn", 1)).await;
    assert_eq!(off.fact.domain, Domain::Off(OffReason::Destroyed));
    agent.done(remove(scene, "stubborn", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_server_goes_on_under_a_newer_grant_and_what_is_forced_off_is_forgotten() {
    let scene = scene().await;
    let agent = scene.agent("rests").await;
    let suspend = |generation: u64| Suspend {
        order: order(&format!("suspend-rests-{generation}")),
        vm: "rests".parse().unwrap(),
        generation,
    };
    agent.done(start(scene, "rests", 1, DiskUse::MayCreate)).await;
    let saved = agent.done(suspend(1)).await;
    assert_eq!(saved.fact.domain, Domain::Off(OffReason::Saved));
    let late = Start { order: order("late"), ..start(scene, "rests", 1, DiskUse::Existing) };
    assert_stale(agent.order(late).await);
    let agent = agent.restart().await;
    assert_eq!(agent.observe("rests").await.domain, Domain::Off(OffReason::Saved), "it is still known");

    let on = agent.done(start(scene, "rests", 2, DiskUse::Existing)).await;
    assert_eq!((on.fact.domain, on.fact.generation, on.fact.granted), (Domain::Running, 2, true));
    // What was saved with its memory is the older grant.
    let agent = agent.restart_without_journal().await;
    agent.until("rests", |fact| fact.generation == 2).await;

    assert_eq!(agent.done(suspend(2)).await.fact.domain, Domain::Off(OffReason::Saved));
    let off = agent.done(stop("rests", 2)).await;
    assert_eq!(off.fact.domain, Domain::Off(OffReason::Destroyed));
    agent.done(remove(scene, "rests", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_server_arrives_before_its_firewall_groups_rules() {
    let scene = scene().await;
    let agent = scene.agent("guarded").await;
    let arriving = |migration: &str, generation| {
        let mut order = receive(scene, "guarded", migration, generation);
        order.server.firewalls = vec!["smtp".parse().unwrap()];
        order
    };
    let answer = agent.ended(arriving("guarded-1", 1)).await;
    let Refusal::FirewallRulesMissing { vm, node, firewalls } = failed(&answer) else { panic!("{answer:?}") };
    assert_eq!((vm.as_str(), node.as_str(), firewalls.as_str()), ("guarded", "m1", "smtp"));
    assert!(failed(&answer).retryable());

    // Once they have come the server may.
    let firewalls = vec![PlannedFirewall { firewall: "smtp".parse().unwrap(), rules: Vec::new() }];
    let plan = NetworkPlan { firewalls, ..NetworkPlan::default() };
    agent.agent.lay(LayPlan { edition: Edition { epoch: 1, revision: 1 }, plan }).await.unwrap();
    let answer = agent.done(arriving("guarded-2", 2)).await;
    assert_eq!(answer.fact.passage.unwrap().phase, Phase::Prepared);
}
