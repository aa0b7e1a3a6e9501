//! The agent as a process on a real NATS server: its commands, facts and beats. libvirt is its test driver.

use std::time::Duration;

use futures_util::StreamExt;
use watari_chassis::{Bus, BusSettings, CallError, Context, codec, config::Common};
use watari_contracts::{
    Service,
    agent::{Domain, NodeFacts, Observe, ObserveAll, Order, Progress, ShutDown, Stop},
    beat::{self, Beat},
    plan::{Edition, LayPlan, NetworkPlan},
    subjects,
};
use watari_model::NodeName;
use watari_node_agent::{DEFAULTS, Settings, serve, settings::Virtualisation};
use watari_testkit::{NatsServer, TempDir, eventually_some};

const PATIENCE: Duration = Duration::from_secs(30);

fn settings(folder: &TempDir) -> Settings {
    let mut settings: Settings = toml::from_str(DEFAULTS).unwrap();
    settings.node = "m1".to_owned();
    settings.site = "myodaiji".to_owned();
    settings.data_dir = folder.path().join("data");
    settings.run_dir = folder.path().join("run");
    settings.libvirt_uri = "test:///default".to_owned();
    settings.virtualisation = Virtualisation::Qemu;
    settings.networks.guard = false;
    settings.intervals.beat_ms = 100;
    settings.intervals.facts_ms = 500;
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_answers_its_commands_and_tells_what_it_sees() {
    let (nats, folder) = (NatsServer::start(), TempDir::new());
    let mut common = Common::embedded().unwrap();
    common.bus.urls = vec![nats.url()];
    let ctx = Context::new(Service::NodeAgent, &common).await.unwrap();
    let bus = Bus::connect(&BusSettings { urls: vec![nats.url()], ..BusSettings::default() }).await.unwrap();
    let mut facts = bus.subscribe(subjects::FACTS).await.unwrap();
    let mut beats = bus.subscribe(subjects::BEATS).await.unwrap();
    let agent = tokio::spawn(serve(ctx.clone(), settings(&folder)));

    let node: NodeName = "m1".parse().unwrap();
    // The test driver's domain "test" is a stranger: reported, with no process and so not running.
    let all = eventually_some("an answer that tells of the stranger", PATIENCE, || async {
        let all = bus.command(&node, &ObserveAll {}).await.ok()?;
        all.vms.contains_key(&"test".parse().unwrap()).then_some(all)
    })
    .await;
    assert_eq!((all.node.as_str(), all.site.as_str()), ("m1", "myodaiji"));
    let stranger = bus.command(&node, &Observe { vm: "test".parse().unwrap() }).await.unwrap();
    assert!(matches!(stranger.domain, Domain::Off(_)) && !stranger.granted && stranger.generation == 0, "{stranger:?}");

    // The network service's epochs are its own: a high one does not fence the scheduler's orders below.
    let lay = |epoch, revision| LayPlan { edition: Edition { epoch, revision }, plan: NetworkPlan::default() };
    let laid = bus.command(&node, &lay(90, 2)).await.unwrap();
    assert_eq!((laid.edition, laid.fault), (Edition { epoch: 90, revision: 2 }, None));
    let newer = bus.command(&node, &lay(90, 1)).await.unwrap();
    assert_eq!(newer.edition, Edition { epoch: 90, revision: 2 }, "what it has is newer");
    let overtaken = bus.command(&node, &lay(89, 7)).await.unwrap_err();
    assert!(matches!(overtaken, CallError::Refused(body) if body.code == "agent.stale"));

    let order = |epoch| Order { epoch, operation: "stop-nobody".to_owned() };
    let stop = |epoch| Stop { order: order(epoch), vm: "nobody".parse().unwrap(), generation: 1, force: true };
    let answer = bus.command(&node, &stop(7)).await.unwrap();
    assert_eq!((answer.progress, answer.fact.domain), (Progress::Done, Domain::Absent));
    let refused = bus.command(&node, &stop(6)).await.unwrap_err();
    assert!(refused.to_string().contains("epoch"), "{refused}");
    let stranger = Stop { vm: "test".parse().unwrap(), ..stop(7) };
    let answer = bus.command(&node, &stranger).await.unwrap();
    assert!(matches!(answer.progress, Progress::Failed(_)), "a stranger's domain is not touched: {answer:?}");
    let alive = bus.command(&node, &ShutDown { order: order(7) }).await.unwrap_err();
    assert!(matches!(&alive, CallError::Refused(body) if body.code == "node.not-empty"), "libvirt says so: {alive:?}");

    let mut seqs = Vec::new();
    while seqs.len() < 3 {
        let message = tokio::time::timeout(PATIENCE, facts.next()).await.unwrap().unwrap();
        assert_eq!(message.subject.as_str(), "watari.fact.myodaiji.m1");
        let told: NodeFacts = serde_json::from_slice(&message.payload).unwrap();
        seqs.push(told.seq);
    }
    assert!(seqs.is_sorted(), "{seqs:?}");
    let message = tokio::time::timeout(PATIENCE, beats.next()).await.unwrap().unwrap();
    let beat: Beat = codec::decode(beat::VERSION, &message.payload).unwrap();
    assert_eq!((beat.node.as_str(), beat.site.as_str()), ("m1", "myodaiji"));

    ctx.shutdown.cancel();
    tokio::time::timeout(PATIENCE, agent).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_which_nothing_lives_is_shut_down_by_its_own_program_and_by_no_order_of_the_past() {
    let (nats, folder) = (NatsServer::start(), TempDir::new());
    let mut common = Common::embedded().unwrap();
    common.bus.urls = vec![nats.url()];
    let bus = Bus::connect(&BusSettings { urls: vec![nats.url()], ..BusSettings::default() }).await.unwrap();
    let (host, off) = (folder.path().join("node.xml"), folder.path().join("off"));
    std::fs::write(&host, "<node/>").unwrap();
    let order = |epoch| ShutDown { order: Order { epoch, operation: "shut-down".to_owned() } };
    let node: NodeName = "m1".parse().unwrap();
    for words in [vec![], vec!["touch".to_owned(), off.display().to_string()]] {
        let is_named = !words.is_empty();
        let ctx = Context::new(Service::NodeAgent, &common).await.unwrap();
        let mut settings = settings(&folder);
        settings.libvirt_uri = format!("test://{}", host.display());
        settings.power.shut_down = words;
        let agent = tokio::spawn(serve(ctx.clone(), settings));
        let told = eventually_some("an answer to the order", PATIENCE, || async {
            match bus.command(&node, &order(7)).await {
                Ok(facts) => Some(Ok(facts)),
                Err(CallError::Refused(body)) if body.code != "agent.hypervisor" => Some(Err(body.code)),
                Err(_) => None,
            }
        })
        .await;
        match told {
            Ok(facts) => assert!(is_named && facts.node == node && off.exists()),
            Err(code) => assert!(!is_named && code == "node.shut-down-missing", "{code}"),
        }
        if is_named {
            std::fs::remove_file(&off).unwrap();
            let stale = bus.command(&node, &order(6)).await.unwrap_err();
            assert!(matches!(stale, CallError::Refused(body) if body.code == "agent.stale") && !off.exists());
        }
        ctx.shutdown.cancel();
        tokio::time::timeout(PATIENCE, agent).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_agent_starts_though_nobody_is_there_since_it_may_have_something_to_stop() {
    let mut common = Common::embedded().unwrap();
    // The discard port: nobody listens there.
    common.bus.urls = vec!["nats://127.0.0.1:9".to_owned()];
    let started = tokio::time::timeout(PATIENCE, Context::new(Service::NodeAgent, &common)).await;
    assert!(!*started.unwrap().unwrap().bus.connected().borrow());
}
