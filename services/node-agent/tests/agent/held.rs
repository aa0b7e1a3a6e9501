//! Between QEMU's start and the guest's first instruction: what is left there when an agent dies, or an order fails.

use watari_contracts::agent::{DiskUse, Domain, Stop};
use watari_model::{Refusal, admission::Seen};
use watari_node_agent::{
    hypervisor::StartMode,
    record::{Launch, Record},
    store::{Accepted, Key},
    work::Work,
};

use crate::{
    failed,
    layers::record,
    order, remove,
    scene::{Scene, TestAgent, scene},
    start, stop,
};

/// The server's domain stands still, and the agent dies.
async fn left(agent: TestAgent, vm: &str, launch: Launch) -> TestAgent {
    let record = Record { launch, ..record(&agent, vm).await };
    let node = agent.agent.node();
    node.hypervisor.start(vm, StartMode::Paused).await.unwrap();
    node.journal.save(&record).await.unwrap();
    agent.restart().await
}

/// The same in the middle of an order to start it under that grant.
async fn left_in_the_middle(scene: &Scene, agent: TestAgent, vm: &str, generation: u64) -> TestAgent {
    let order = start(scene, vm, generation, DiskUse::Existing);
    let seen = Seen { generation, granted: generation, operation: Some(order.order.operation.clone()) };
    let (work, record) = (Work::from(order), Record { seen, ..record(&agent, vm).await });
    let operation = work.order().operation.clone();
    let key = Key { server: record.uuid.clone(), verb: work.verb(), operation };
    let accepted = Accepted { key: &key, work: &work, record: Some(&record) };
    agent.agent.node().journal.accept(accepted).await.unwrap();
    left(agent, vm, Launch::Held).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_has_run_nothing_when_its_agent_dies_is_destroyed_and_starts_anew() {
    let scene = scene().await;
    let agent = scene.agent("held").await;
    agent.done(start(scene, "held", 1, DiskUse::MayCreate)).await;
    assert_eq!(record(&agent, "held").await.launch, Launch::Released, "written down before it runs");
    agent.done(stop("held", 1)).await;

    // An agent that comes back to the order takes it back, and lets nothing run of its own accord.
    let agent = left_in_the_middle(scene, agent, "held", 2).await;
    agent.until("held", |fact| fact.domain.is_off()).await;
    agent.until_counted("start", "agent.state", 1).await;
    assert_eq!(record(&agent, "held").await.launch, Launch::Idle);
    let on = agent.done(start(scene, "held", 3, DiskUse::Existing)).await;
    assert_eq!((on.fact.domain, on.fact.generation), (Domain::Running, 3));
    agent.done(stop("held", 3)).await;

    // Nothing is left of the order, as when it could not be taken back: whatever is ordered next does so.
    let agent = left(agent, "held", Launch::Held).await;
    let before = scene.process("held").await;
    assert_eq!(agent.observe("held").await.domain, Domain::Paused);
    agent.done(start(scene, "held", 4, DiskUse::Existing)).await;
    assert!(before.is_some() && scene.process("held").await != before, "it is another process");
    agent.done(stop("held", 4)).await;
    let agent = left(agent, "held", Launch::Held).await;
    let off = agent.done(Stop { order: order("ask"), force: false, ..stop("held", 4) }).await;
    assert!(off.fact.domain.is_off(), "there is no guest that could be asked");
    agent.done(remove(scene, "held", 4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_may_have_run_is_never_destroyed_for_a_start_and_goes_on_under_its_next_grant() {
    let scene = scene().await;
    let agent = scene.agent("released").await;
    agent.done(start(scene, "released", 1, DiskUse::MayCreate)).await;
    agent.done(stop("released", 1)).await;
    let agent = left(agent, "released", Launch::Released).await;
    let before = scene.process("released").await;
    // Whoever asks it to shut down in vain has changed nothing.
    let asked = agent.ended(Stop { order: order("ask-released"), force: false, ..stop("released", 1) }).await;
    assert!(matches!(failed(&asked), Refusal::AgentState { .. }), "{asked:?}");
    let on = agent.done(start(scene, "released", 2, DiskUse::Existing)).await;
    assert_eq!((on.fact.domain, on.fact.generation), (Domain::Running, 2));
    assert!(before.is_some() && scene.process("released").await == before, "it is the same process");

    // One that stands still for another reason is left as it is.
    agent.done(stop("released", 2)).await;
    let agent = left(agent, "released", Launch::Idle).await;
    let before = scene.process("released").await;
    let answer = agent.ended(start(scene, "released", 3, DiskUse::Existing)).await;
    assert!(matches!(failed(&answer), Refusal::AgentState { .. }), "{answer:?}");
    assert!(before.is_some() && scene.process("released").await == before);
    agent.done(remove(scene, "released", 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_server_that_comes_to_nothing_here_the_disk_stays_and_nothing_else() {
    let scene = scene().await;
    let agent = scene.agent("nowhere").await;
    let mut order = start(scene, "nowhere", 1, DiskUse::MayCreate);
    // What lies in the place of its seed volume cannot be replaced.
    let seed = agent.agent.node().layout.seed(&order.server.uuid);
    std::fs::create_dir_all(seed.join("in-the-way")).unwrap();
    let answer = agent.ended(order.clone()).await;
    assert!(matches!(failed(&answer), Refusal::Internal { .. }), "{answer:?}");
    let fact = agent.observe("nowhere").await;
    assert_eq!((fact.domain, fact.disk), (Domain::Absent, true));
    let record = record(&agent, "nowhere").await;
    assert_eq!((record.launch, record.wired), (Launch::Idle, false));
    std::fs::remove_dir_all(seed).unwrap();
    order.grant.generation = 2;
    order.order.operation = "again".to_owned();
    assert_eq!(agent.done(order).await.fact.domain, Domain::Running);
    agent.done(remove(scene, "nowhere", 2)).await;
}
