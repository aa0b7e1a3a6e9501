//! Lost nodes are cut off their power by a controller that does, or does not, what it is told: here a program that
//! keeps each node's power in a file. What may come of its failings is tried in the model and in the scheduler's
//! simulation.

use std::{fs, path::Path};

use crate::harness::{Agent, PATIENCE, Running, ask, becomes, common, events, node, settings, somebody};
use watari_chassis::{Bucket, Bus, Context};
use watari_contracts::{
    Service,
    monitor::{GetNode, NodePower, NodeView, PowerNode, PowerWish},
};
use watari_model::{
    Refusal,
    node::{
        State,
        fencing::{Act, BY_ITSELF, Outcome},
    },
    outage::Outage,
};
use watari_monitor::{Settings, settings::fencing::Controller};
use watari_testkit::{NatsServer, TempDir, eventually, eventually_some};

/// `$1` is what is wanted, `$2` the folder, `$3` the node.
const PROGRAM: &str = r#"
echo "$1 $3" >>"$2/calls"
[ ! -e "$2/dead" ] || { echo "no route to $3" >&2; exit 1; }
case $1 in
  status) cat "$2/$3" 2>/dev/null || echo on ;;
  *) echo "$1" >"$2/$3"; [ ! -e "$2/mute" ] || sleep 1000 ;;
esac
"#;

/// A monitor with a power controller for each node of Myodaiji, three of which speak.
struct Stage {
    nats: NatsServer,
    dir: TempDir,
    bus: Bus,
    agents: Vec<Agent>,
    monitor: Running,
}

fn fenced(folder: &Path) -> Settings {
    let file = folder.join("program");
    fs::write(&file, PROGRAM).unwrap();
    let words = |what: &str| {
        let (file, folder) = (file.display().to_string(), folder.display().to_string());
        ["bash", &file, what, &folder, "{node}"].map(str::to_owned).to_vec()
    };
    let mut settings = settings(folder);
    settings.fencing = vec![Controller {
        node: None,
        site: Some("myodaiji".parse().unwrap()),
        off: words("off"),
        status: words("status"),
        on: words("on"),
        secrets: Default::default(),
    }];
    settings.fence.wait_seconds = 1;
    settings.fence.program_seconds = 1;
    settings.fence.settle_seconds = 1;
    settings.fence.retry_seconds = 1;
    settings.fence.most_retry_seconds = 1;
    settings
}

impl Stage {
    async fn set() -> Self {
        let (nats, dir) = (NatsServer::start(), TempDir::new());
        // Without the outages nobody knows who is dark on purpose.
        let scheduler = Context::new(Service::Scheduler, &common(&nats)).await.unwrap();
        Bucket::<Outage>::open(&scheduler).await.unwrap();
        let monitor = Running::start(&nats, fenced(dir.path())).await;
        let bus = somebody(&nats).await;
        let mut agents = Vec::new();
        for name in ["m1", "m2", "m3"] {
            agents.push(Agent::start(&nats, "myodaiji", name).await);
            becomes(&bus, name, State::Ready).await;
        }
        Self { nats, dir, bus, agents, monitor }
    }

    fn says(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join(file)).unwrap_or_default()
    }

    fn put(&self, file: &str) {
        fs::write(self.dir.path().join(file), "").unwrap();
    }

    async fn m1(&self) -> NodeView {
        ask(&self.bus, GetNode { name: "m1".parse().unwrap() }).await.unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&NodeView) -> bool) -> NodeView {
        eventually_some(what, PATIENCE, || async { Some(self.m1().await).filter(|m1| holds(m1)) }).await
    }

    async fn until_off(&self) -> NodeView {
        self.until("m1 is off", |m1| m1.off.is_some()).await
    }

    async fn power(&self, wish: PowerWish, dry_run: bool) -> Result<NodePower, Refusal> {
        ask(&self.bus, PowerNode { name: "m1".parse().unwrap(), wish, by: Some("sato".to_owned()), dry_run }).await
    }
}

fn ended(m1: &NodeView, is: impl Fn(&Outcome) -> bool) -> bool {
    m1.fencing.last.as_ref().is_some_and(|last| is(&last.outcome))
}

fn failed(m1: &NodeView) -> bool {
    ended(m1, |outcome| matches!(outcome, Outcome::Failed { why: Refusal::FencingFailed { .. } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_is_off_once_its_controller_says_so_and_no_longer_when_it_is_heard() {
    let stage = Stage::set().await;
    assert!(stage.m1().await.fencing.configured);
    stage.agents[0].speak(false);
    let off = stage.until_off().await;
    assert_eq!((off.state, off.off.as_ref().unwrap().by.as_str()), (State::Lost, BY_ITSELF));
    assert!(ended(&off, |outcome| *outcome == Outcome::Done), "{off:?}");
    assert_eq!((stage.says("m1").trim(), stage.says("m2").as_str()), ("off", ""));
    assert_eq!(stage.says("calls").matches("off m1").count(), 1, "once is enough");
    let told = || async {
        let begun = "m1: power off begun by fencing";
        events(&stage.bus, "nodes").await.iter().any(|event| event.summary == begun)
    };
    eventually("it is an event", PATIENCE, told).await;
    stage.agents[0].speak(true);
    becomes(&stage.bus, "m1", State::Ready).await;
    assert_eq!(stage.m1().await.off, None);
    stage.monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_fails_proves_nothing_and_one_that_does_it_without_an_answer_is_asked() {
    let stage = Stage::set().await;
    stage.put("dead");
    stage.agents[0].speak(false);
    let told = stage.until("it has failed", failed).await;
    assert_eq!(told.off, None);
    let why = format!("{:?}", told.fencing.last.unwrap().outcome);
    assert!(why.contains("no route to m1"), "{why}");
    let shown = || async { stage.monitor.metric("watari_node_fencing") >= 1.0 };
    eventually("it is shown", PATIENCE, shown).await;
    // From now on it does what it is told, and does not say so.
    stage.put("mute");
    fs::remove_file(stage.dir.path().join("dead")).unwrap();
    let off = stage.until_off().await;
    assert!(off.fencing.last.unwrap().tries > 1);
    assert!(stage.says("calls").matches("off m1").count() > 1);
    stage.monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_more_than_a_third_falls_silent_at_once_nobody_is_fenced_and_it_is_told() {
    let stage = Stage::set().await;
    stage.agents[0].speak(false);
    stage.agents[1].speak(false);
    let withheld = |outcome: &Outcome| matches!(outcome, Outcome::Withheld { why: Refusal::FencingWithheld { .. } });
    let told = stage.until("it is withheld", |m1| ended(m1, withheld)).await;
    assert_eq!((told.off, stage.says("calls").matches("off ").count()), (None, 0));
    // Once one of them is back, the other is no network.
    stage.agents[1].speak(true);
    stage.until_off().await;
    assert_eq!((stage.says("m1").trim(), stage.says("m2").as_str()), ("off", ""));
    stage.monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_asks_and_switches_a_node_and_that_alone_makes_nobody_off() {
    let stage = Stage::set().await;
    let dry = stage.power(PowerWish::Off, true).await.unwrap();
    assert_eq!((dry.commands.len(), dry.begun), (2, None));
    assert_eq!(dry.commands[0].last().unwrap(), "m1", "{:?}", dry.commands);
    assert_eq!(stage.says("calls"), "", "a dry run runs nothing");
    assert_eq!(stage.power(PowerWish::Status, false).await.unwrap().says, Some(Act::On));

    let begun = stage.power(PowerWish::Off, false).await.unwrap().begun.unwrap();
    assert_eq!((begun.act, begun.by.as_str(), begun.lost_at), (Act::Off, "sato", None));
    let off = stage.until("it is done", |m1| ended(m1, |outcome| *outcome == Outcome::Done)).await;
    assert_eq!((off.state, off.off), (State::Ready, None), "it is heard");
    assert_eq!(stage.power(PowerWish::Status, false).await.unwrap().says, Some(Act::Off));
    // Whoever switched it may not have let go of it yet.
    let taken = || async { stage.power(PowerWish::On, false).await.ok() };
    eventually_some("it is switched on", PATIENCE, taken).await;
    let on = |m1: &NodeView| m1.fencing.last.as_ref().is_some_and(|last| last.act == Act::On);
    stage.until("it is on", |m1| on(m1) && ended(m1, |outcome| *outcome == Outcome::Done)).await;

    let _other = Agent::start(&stage.nats, "yamate", "y1").await;
    becomes(&stage.bus, "y1", State::Ready).await;
    assert!(!node(&stage.bus, "y1").await.unwrap().fencing.configured);
    for (name, missing) in [("y1", true), ("y9", false)] {
        let asked = PowerNode { name: name.parse().unwrap(), wish: PowerWish::Off, by: None, dry_run: true };
        match ask(&stage.bus, asked).await {
            Err(Refusal::FencingMissing { .. }) => assert!(missing),
            Err(Refusal::NodeUnknown { .. }) => assert!(!missing),
            other => panic!("{name}: {other:?}"),
        }
    }
    stage.monitor.stop().await;
}
