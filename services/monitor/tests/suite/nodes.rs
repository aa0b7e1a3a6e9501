//! Nodes appear, fall silent, return; and nobody can make the monitor believe otherwise.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use crate::harness::{Agent, PATIENCE, Running, ask, beat, becomes, events, inventory, node, settings, somebody, told};
use futures_util::StreamExt;
use watari_chassis::{Bucket, Context, codec};
use watari_contracts::{
    Service,
    beat::VERSION,
    monitor::{
        CapacityChanged, ConfirmNodeOff, CordonNode, GetNode, ListEvents, ListHealth, ListNodes, ListUpses, RemoveNode,
        UncordonNode,
    },
    subjects,
};
use watari_model::{
    Refusal,
    node::{Node, State, Strain},
    vm::{Grant, Vm},
};
use watari_testkit::{NatsServer, TempDir, eventually, eventually_some};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_appears_falls_silent_and_returns_and_its_document_changes_no_more_often() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let monitor = Running::start(&nats, settings(dir.path())).await;
    let bus = somebody(&nats).await;
    let agent = Agent::start(&nats, "myodaiji", "m1").await;
    becomes(&bus, "m1", State::Ready).await;
    let view = node(&bus, "m1").await.unwrap();
    assert_eq!((view.site.as_str(), view.vcpus_total, view.vcpus_used, view.vms), ("myodaiji", 8, 2, 1));
    assert_eq!((view.memory_mib_total, view.memory_mib_used, view.disk_gib_free), (16_384, 512, 90));

    agent.speak(false);
    becomes(&bus, "m1", State::Lost).await;
    // Whoever only asks how it is may miss what it is for a second and a half.
    let told = told(&bus, "nodes", "m1: suspect → lost").await;
    assert!(told.iter().any(|line| line == "m1: ready → suspect"), "{told:?}");
    assert!(node(&bus, "m1").await.unwrap().silent_ms >= 2_500);
    agent.speak(true);
    becomes(&bus, "m1", State::Ready).await;
    agent.answers.store(false, Ordering::Relaxed);
    becomes(&bus, "m1", State::Suspect).await;
    agent.answers.store(true, Ordering::Relaxed);
    becomes(&bus, "m1", State::Ready).await;

    // Beats alone are not written down.
    let context = Context::new(Service::Monitor, &crate::harness::common(&nats)).await.unwrap();
    let nodes = Bucket::<Node>::of_another(&context).await.unwrap();
    let before = nodes.get("m1").await.unwrap().unwrap().revision;
    let beats = monitor.metric("watari_beats_total");
    eventually("twenty more beats", PATIENCE, || async { monitor.metric("watari_beats_total") >= beats + 20.0 }).await;
    let last = events(&bus, "nodes").await.pop().unwrap();
    assert!(last.revision >= before);
    let flapped = last.revision - before;
    assert!(flapped <= 2, "{flapped} writes for twenty beats");
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_how_nodes_are_hears_what_their_agents_find_and_how_their_clocks_go() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let monitor = Running::start(&nats, settings(dir.path())).await;
    let bus = somebody(&nats).await;
    let _agents = [Agent::start(&nats, "myodaiji", "m1").await, Agent::start(&nats, "yamate", "y1").await];
    becomes(&bus, "m1", State::Ready).await;
    becomes(&bus, "y1", State::Ready).await;
    let page = ask(&bus, ListHealth { limit: Some(1), ..ListHealth::default() }).await.unwrap();
    assert_eq!((page.nodes.len(), page.next.as_ref().map(|name| name.as_str())), (1, Some("m1")));
    let rest = ask(&bus, ListHealth { after: page.next, limit: None }).await.unwrap();
    let [y1] = rest.nodes.as_slice() else { panic!("{rest:?}") };
    assert_eq!((y1.node.name.as_str(), &y1.cpu_features), ("y1", &inventory().cpu_features));
    assert_eq!((&y1.health, &rest.next), (&inventory().health, &None));
    // The harness beats with the moment at which it began.
    assert!(y1.clock_ahead_ms.is_some_and(|ms| ms <= 0), "{y1:?}");
    // Each beat tells of one server of 200 MiB.
    let occupied = monitor.metric("watari_vm_memory_bytes") - f64::from(400 << 20);
    assert!(occupied.abs() < 0.5, "as many nodes as servers are shown");
    let refused = ask(&bus, ListHealth { limit: Some(101), ..ListHealth::default() }).await;
    assert!(matches!(refused, Err(Refusal::OutOfRange { .. })), "{refused:?}");
    assert!(ask(&bus, ListUpses {}).await.unwrap().upses.is_empty(), "none is configured");
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_is_told_when_it_changes() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let monitor = Running::start(&nats, settings(dir.path())).await;
    let bus = somebody(&nats).await;
    let mut told = bus.subscribe(subjects::CAPACITIES).await.unwrap();
    let agent = Agent::start(&nats, "yamate", "y1").await;
    let mut until = async |what: &str, wanted: &dyn Fn(&CapacityChanged) -> bool| {
        let found = async {
            loop {
                let message = told.next().await.unwrap();
                assert_eq!(message.subject, "watari.capacity.yamate.y1");
                let event: CapacityChanged = serde_json::from_slice(&message.payload).unwrap();
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("not told: {what}"))
    };
    let first = until("it is ready", &|e| e.state == State::Ready).await;
    assert_eq!((first.memory_free_mib, first.disk_free_gib), (16_384 - 512, 90));
    agent.memory_used_mib.store(4_096, Ordering::Relaxed);
    until("less memory is free", &|e| e.memory_free_mib == 16_384 - 4_096).await;
    agent.speak(false);
    until("it is lost", &|e| e.state == State::Lost).await;
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_nearly_full_says_so_until_it_is_relieved_and_each_is_an_event() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let mut settings = settings(dir.path());
    (settings.pressure.enter_seconds, settings.pressure.leave_seconds) = (1, 1);
    let monitor = Running::start(&nats, settings).await;
    let bus = somebody(&nats).await;
    let agent = Agent::start(&nats, "yamate", "y1").await;
    becomes(&bus, "y1", State::Ready).await;
    let full = BTreeSet::from([Strain::MemoryNearlyFull]);
    for (used_mib, strains) in [(16_000, full), (512, BTreeSet::new())] {
        agent.memory_used_mib.store(used_mib, Ordering::Relaxed);
        let shown = || async { node(&bus, "y1").await.is_some_and(|node| node.strains == strains) };
        eventually("it is shown", PATIENCE, shown).await;
        let metric = monitor.metric("watari_node_strain");
        assert!((metric - strains.len() as f64).abs() < 0.5, "{metric}");
    }
    let lines = told(&bus, "nodes", "y1: relieved, no longer memory nearly full").await;
    assert!(lines.iter().any(|line| line == "y1: memory nearly full"), "{lines:?}");
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_cordoned_and_listed_by_site_and_page() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let monitor = Running::start(&nats, settings(dir.path())).await;
    let bus = somebody(&nats).await;
    let mut agents = Vec::new();
    for (site, name) in [("myodaiji", "m1"), ("myodaiji", "m2"), ("yamate", "y1")] {
        agents.push(Agent::start(&nats, site, name).await);
        becomes(&bus, name, State::Ready).await;
    }
    let m1 = || "m1".parse().unwrap();
    assert!(ask(&bus, CordonNode { name: m1() }).await.unwrap().cordoned);
    assert!(ask(&bus, CordonNode { name: m1() }).await.unwrap().cordoned, "again");
    assert!(node(&bus, "m1").await.unwrap().cordoned);
    assert!(!ask(&bus, UncordonNode { name: m1() }).await.unwrap().cordoned);
    let nobody = CordonNode { name: "nobody".parse().unwrap() };
    assert!(matches!(ask(&bus, nobody).await, Err(Refusal::NodeUnknown { .. })));
    assert!(matches!(ask(&bus, GetNode { name: "nobody".parse().unwrap() }).await, Err(Refusal::NodeUnknown { .. })));

    let names = |page: watari_contracts::monitor::NodePage| {
        (page.nodes.iter().map(|n| n.name.to_string()).collect::<Vec<_>>().join(" "), page.next.map(|n| n.to_string()))
    };
    let all = ListNodes::default();
    assert_eq!(names(ask(&bus, all.clone()).await.unwrap()), ("m1 m2 y1".to_owned(), None));
    let two = ListNodes { limit: Some(2), ..all.clone() };
    assert_eq!(names(ask(&bus, two.clone()).await.unwrap()), ("m1 m2".to_owned(), Some("m2".to_owned())));
    let rest = ListNodes { after: Some("m2".parse().unwrap()), ..two };
    assert_eq!(names(ask(&bus, rest).await.unwrap()), ("y1".to_owned(), None));
    let here = ListNodes { site: Some("myodaiji".parse().unwrap()), ..all.clone() };
    assert_eq!(names(ask(&bus, here).await.unwrap()), ("m1 m2".to_owned(), None));
    assert!(matches!(ask(&bus, ListNodes { limit: Some(0), ..all }).await, Err(Refusal::OutOfRange { .. })));
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_lost_node_is_said_to_be_off_and_the_word_ends_when_it_is_heard_again() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let monitor = Running::start(&nats, settings(dir.path())).await;
    let bus = somebody(&nats).await;
    let scheduler = Context::new(Service::Scheduler, &crate::harness::common(&nats)).await.unwrap();
    let vms = Bucket::<Vm>::open(&scheduler).await.unwrap();
    let agent = Agent::start(&nats, "myodaiji", "m1").await;
    becomes(&bus, "m1", State::Ready).await;
    let m1 = || "m1".parse().unwrap();
    let off = || ConfirmNodeOff { name: m1(), by: Some("sato".to_owned()) };
    let remove = || RemoveNode { name: m1(), by: None };
    let unsaid = || ConfirmNodeOff { name: m1(), by: None };
    assert!(matches!(ask(&bus, off()).await, Err(Refusal::NodeNotLost { .. })));

    agent.speak(false);
    becomes(&bus, "m1", State::Lost).await;
    assert!(matches!(ask(&bus, remove()).await, Err(Refusal::NodeNotOff { .. })));
    let nameless = ConfirmNodeOff { name: m1(), by: Some(String::new()) };
    assert!(matches!(ask(&bus, nameless).await, Err(Refusal::OutOfRange { .. })));
    let first = ask(&bus, off()).await.unwrap().off.unwrap();
    assert_eq!((first.by.as_str(), first.for_good), ("sato", false));
    assert_eq!(ask(&bus, off()).await.unwrap().off, Some(first), "again changes nothing");

    agent.speak(true);
    becomes(&bus, "m1", State::Ready).await;
    assert_eq!(node(&bus, "m1").await.unwrap().off, None);
    assert!(matches!(ask(&bus, remove()).await, Err(Refusal::NodeNotLost { .. })));

    // One that will not come back is forgotten when no server is its own any more.
    agent.speak(false);
    becomes(&bus, "m1", State::Lost).await;
    let by = ask(&bus, unsaid()).await.unwrap().off.unwrap().by;
    assert_eq!(by, "somebody", "whoever does not say who they are is called by what they ask with");
    const SAMPLES: &str = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
    let mut mail: Vm = serde_json::from_str::<Vec<Vm>>(SAMPLES).unwrap().remove(0);
    mail.crossing = None;
    mail.leftovers.clear();
    mail.state = watari_model::vm::State::Stopped;
    mail.grant = Some(Grant { node: m1(), generation: 1 });
    let revision = vms.create(&mail).await.unwrap();
    assert!(matches!(ask(&bus, remove()).await, Err(Refusal::NodeHasServers { vms, .. }) if vms == mail.name.as_str()));
    mail.state = watari_model::vm::State::Deleting;
    let revision = vms.update(&mail, revision).await.unwrap();
    let waits = ask(&bus, remove()).await.unwrap();
    assert_eq!((waits.removed, waits.waits_for), (false, vec![mail.name.clone()]));
    assert!(node(&bus, "m1").await.unwrap().off.unwrap().for_good);
    vms.delete(mail.name.as_str(), revision).await.unwrap();
    assert!(ask(&bus, remove()).await.unwrap().removed);
    assert!(matches!(ask(&bus, remove()).await, Err(Refusal::NodeUnknown { .. })));
    // Should it come all the same, it is a stranger.
    agent.speak(true);
    becomes(&bus, "m1", State::Ready).await;
    assert_eq!(node(&bus, "m1").await.unwrap().off, None);
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_beats_and_inventories_are_counted_and_believed_in_nothing() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let monitor = Running::start(&nats, settings(dir.path())).await;
    let bus = somebody(&nats).await;
    // Somebody answers for it, so that only disbelief keeps the node away.
    let agent = Agent::start(&nats, "myodaiji", "m1").await;
    becomes(&bus, "m1", State::Ready).await;
    let good = codec::encode(VERSION, &beat("myodaiji", "m9")).unwrap();
    let mut trailing = good.clone();
    trailing.push(0);
    let mut other_version = good.clone();
    other_version[0] = 2;
    let families = monitor.ctx.metrics.gather();
    for (name, labels) in [("watari_beats_refused_total", 7), ("watari_history_failures_total", 3)] {
        let shown = families.iter().find(|f| f.name() == name).map_or(0, |f| f.get_metric().len());
        assert_eq!(shown, labels, "every reason is there before it is given: {name}");
    }
    let refused = monitor.metric("watari_beats_refused_total");
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("watari.beat.myodaiji.m8", good.clone()),
        ("watari.beat.yamate.m9", good.clone()),
        ("watari.beat.myodaiji.M9", codec::encode(VERSION, &beat("myodaiji", "M9")).unwrap()),
        ("watari.beat.yamate.m1", codec::encode(VERSION, &beat("yamate", "m1")).unwrap()),
        ("watari.beat.myodaiji.m9", Vec::new()),
        ("watari.beat.myodaiji.m9", vec![1]),
        ("watari.beat.myodaiji.m9", vec![0xff; 70_000]),
        ("watari.beat.myodaiji.m9", vec![1, 253, 0, 0, 0, 0, 0, 0, 0, 16]),
        ("watari.beat.myodaiji.m9", good[..good.len() / 2].to_vec()),
        ("watari.beat.myodaiji.m9", trailing),
        ("watari.beat.myodaiji.m9", other_version),
    ];
    let expected = refused + hostile.len() as f64;
    for (subject, payload) in hostile {
        bus.publish_beat(subject, payload).await.unwrap();
    }
    eventually("all are counted", PATIENCE, || async { monitor.metric("watari_beats_refused_total") >= expected })
        .await;

    let json = serde_json::to_value(inventory()).unwrap();
    for (subject, payload) in [
        ("watari.inventory.myodaiji.M9", json.clone()),
        ("watari.inventory.yamate.m1", json.clone()),
        ("watari.inventory.myodaiji.m9", serde_json::json!({"vcpus": -1})),
        ("watari.inventory.myodaiji.m9", serde_json::json!("x".repeat(300_000))),
    ] {
        bus.publish_json(subject, &payload).await.unwrap();
    }
    let inventories = || async { monitor.metric("watari_inventories_refused_total") >= 4.0 };
    eventually("all inventories are counted", PATIENCE, inventories).await;
    let nodes = ask(&bus, ListNodes::default()).await.unwrap().nodes;
    assert_eq!(nodes.iter().map(|n| (n.name.as_str(), n.site.as_str())).collect::<Vec<_>>(), [("m1", "myodaiji")]);
    for request in [
        ListEvents { bucket: Some("users; --".to_owned()), ..ListEvents::default() },
        ListEvents { key: Some("x".repeat(500)), ..ListEvents::default() },
        ListEvents { limit: Some(1_001), ..ListEvents::default() },
    ] {
        assert!(matches!(ask(&bus, request).await, Err(Refusal::OutOfRange { .. })));
    }
    becomes(&bus, "m1", State::Ready).await;
    drop(agent);
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_alone_makes_a_node_that_is_suspect_and_then_lost() {
    let (nats, dir) = (NatsServer::start(), TempDir::new());
    let monitor = Running::start(&nats, settings(dir.path())).await;
    let bus = somebody(&nats).await;
    ask(&bus, ListNodes::default()).await.unwrap();
    let (site, name) = ("yamate".parse().unwrap(), "y9".parse().unwrap());
    bus.publish_json(&subjects::inventory(&site, &name), &inventory()).await.unwrap();
    let state = eventually_some("it is there", PATIENCE, || async { node(&bus, "y9").await }).await.state;
    assert_ne!(state, State::Ready);
    becomes(&bus, "y9", State::Lost).await;
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_new_primary_nor_a_restarted_bus_blames_the_nodes() {
    let (mut nats, here, there) = (NatsServer::start(), TempDir::new(), TempDir::new());
    let bus = somebody(&nats).await;
    let first = Running::start(&nats, settings(here.path())).await;
    let (alive, dead) = (Agent::start(&nats, "myodaiji", "m1").await, Agent::start(&nats, "myodaiji", "m2").await);
    for name in ["m1", "m2"] {
        becomes(&bus, name, State::Ready).await;
    }
    let second = Running::start(&nats, settings(there.path())).await;
    let has_history = || async { second.metric("watari_history_available") > 0.5 };
    eventually("the standby keeps a history of its own", PATIENCE, has_history).await;
    dead.speak(false);
    first.kill();
    becomes(&bus, "m2", State::Lost).await;
    nats.restart();
    dead.speak(true);
    becomes(&bus, "m2", State::Ready).await;
    becomes(&bus, "m1", State::Ready).await;
    let told: Vec<_> = events(&bus, "nodes").await.into_iter().filter(|e| e.key == "m1").map(|e| e.summary).collect();
    assert!(!told.iter().any(|line| line.contains("lost")), "m1 spoke all the time: {told:?}");
    drop(alive);
    second.stop().await;
}
