//! A node that nobody hears any more: what its policy says is stopped, everything else runs on.

use std::convert::Infallible;

use watari_chassis::{CancellationToken, Pulse, clock};
use watari_contracts::agent::{DiskUse, Domain, Guarded, Hold, OffReason, Start};
use watari_model::isolation::OnIsolation;
use watari_node_agent::isolation::Sentinel;
use watari_testkit::eventually;

use crate::{
    failed, order, remove,
    scene::{BOUND, Scene, TestAgent, scene},
    start,
};

/// Longer than the leases of these tests hold.
const MANY_MS: u64 = 4_000;

fn stopping(scene: &Scene, vm: &str, generation: u64) -> Start {
    let mut start = start(scene, vm, generation, DiskUse::MayCreate);
    start.server.on_isolation = OnIsolation::Stop;
    start
}

/// The agent's sentinel, until what is returned is cancelled.
fn watched(agent: &TestAgent) -> CancellationToken {
    let (sentinel, ending) = (Sentinel::new(agent.agent.clone()), CancellationToken::new());
    let ended = ending.clone();
    tokio::spawn(async move { sentinel.run(&ended, &Pulse::unwatched()).await });
    ending
}

/// What the scheduler does that hears its facts; whether the lease holds then.
async fn hears(agent: &TestAgent) -> bool {
    let facts = agent.agent.node().facts.all();
    let hold = Hold { order: order(&format!("hold-{}", facts.seq)), instance: facts.instance, seq: facts.seq };
    agent.agent.hold(hold).await.unwrap().holds
}

/// The scheduler hears it again and again.
async fn is_heard(agent: &TestAgent) -> Infallible {
    loop {
        hears(agent).await;
    }
}

/// What the agent says of its one server.
fn guarded(agent: &TestAgent) -> Option<Guarded> {
    agent.agent.node().facts.all().guard?.vms.into_values().next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_is_to_stop_is_stopped_when_the_lease_has_run_out_and_one_that_is_to_stay_runs_on() {
    let scene = scene().await;
    let (cut, kept) = (scene.agent("cut").await, scene.agent("spared").await);
    let sentinels = [watched(&cut), watched(&kept)];
    cut.done(stopping(scene, "cut", 1)).await;
    kept.done(start(scene, "spared", 1, DiskUse::MayCreate)).await;
    assert_eq!(guarded(&cut), None, "nobody may count on it before there is a lease");
    eventually("a lease", BOUND, || hears(&cut)).await;
    let told = Guarded { generation: 1, stopped: false };
    eventually("the server's being told of", BOUND, || async { guarded(&cut) == Some(told) }).await;
    assert!(kept.agent.node().facts.all().guard.is_none(), "who has nothing to stop asks for nothing");

    // As long as somebody answers it runs on.
    let begun = clock::boot_millis();
    while clock::boot_millis() - begun < MANY_MS {
        assert!(hears(&cut).await);
        assert!(!cut.observe("cut").await.domain.is_off());
    }
    // The guest has no system that would heed the button.
    cut.until("cut", |fact| fact.domain == Domain::Off(OffReason::Destroyed)).await;
    assert_eq!(guarded(&cut), Some(Guarded { generation: 1, stopped: true }));
    assert_eq!(kept.observe("spared").await.domain, Domain::Running);

    // Nothing of that policy is started while nobody hears the node, and it is once somebody does.
    let late = cut.ended(stopping(scene, "cut", 2)).await;
    assert!(failed(&late).retryable() && !kept_lease(&cut), "{late:?}");
    assert!(hears(&cut).await);
    let again = tokio::select! {
        again = cut.done(stopping(scene, "cut", 2)) => again,
        never = is_heard(&cut) => match never {},
    };
    assert_eq!((again.fact.domain, again.fact.generation), (Domain::Running, 2));

    // An agent that starts again knows how long its lease lasts.
    sentinels.iter().for_each(CancellationToken::cancel);
    let cut = cut.restart().await;
    assert!(cut.agent.node().lease.now().is_promised());
    let sentinel = watched(&cut);
    cut.until("cut", |fact| fact.domain.is_off()).await;
    sentinel.cancel();
    cut.done(remove(scene, "cut", 2)).await;
    kept.done(remove(scene, "spared", 1)).await;
}

fn kept_lease(agent: &TestAgent) -> bool {
    agent.agent.node().lease.holds()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_for_what_was_never_asked_or_by_another_start_of_the_agent_makes_no_lease() {
    let scene = scene().await;
    let agent = scene.agent("unasked").await;
    let hold = |instance: &str, seq| Hold { order: order("hold"), instance: instance.to_owned(), seq };
    let seq = agent.agent.node().facts.all().seq;
    for hold in [hold("test", seq), hold("test", seq + 7), hold("another", seq)] {
        assert!(!agent.agent.hold(hold).await.unwrap().holds);
    }
    assert!(!agent.agent.node().lease.now().is_promised());
    let stale = Hold { order: watari_contracts::agent::Order { epoch: 1, ..order("late") }, ..hold("test", seq) };
    crate::assert_stale(agent.agent.hold(stale).await);
}
