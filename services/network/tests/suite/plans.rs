//! Plans reach the agents that they are for: at once when a grant moves, again until they are laid,
//! and from whoever leads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::harness::{PATIENCE, Running, ask, lab, server_of, settings, somebody, wants};
use watari_chassis::{Bucket, Context, Entry, Server, clock};
use watari_contracts::{
    Service,
    plan::{Edition, LayPlan, PlanLaid},
};
use watari_model::{
    NodeName, Refusal,
    network::{Kind, Network, Overlay},
    node::{Inventory, Node, State, Tunnel, Virtualisation},
    vm::{Grant, Vm},
};
use watari_testkit::{NatsServer, eventually_some};

/// An agent that lays nothing and remembers what it was told; it answers with a fault while `ill`.
#[derive(Clone, Default)]
struct Agent {
    told: Arc<Mutex<Vec<(LayPlan, Instant)>>>,
    ill: Arc<Mutex<bool>>,
}

impl Agent {
    async fn start(nats: &NatsServer, node: &str) -> Self {
        let agent = Self::default();
        let ctx = Context::new(Service::NodeAgent, &crate::harness::common(nats)).await.unwrap();
        let of = agent.clone();
        let commands = Server::new(&ctx, Service::NodeAgent).commands(&node.parse().unwrap());
        let server = commands.command::<LayPlan, _, _>(move |_, order| {
            let agent = of.clone();
            async move {
                let edition = order.edition;
                agent.told.lock().unwrap().push((order, Instant::now()));
                let fault = agent.ill.lock().unwrap().then(|| Refusal::Internal { detail: "ill".to_owned() });
                Ok(PlanLaid { edition, fault })
            }
        });
        tokio::spawn(server.done().serve_always());
        agent
    }

    fn last(&self) -> Option<(LayPlan, Instant)> {
        self.told.lock().unwrap().last().cloned()
    }

    fn count(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// Waits for a plan whose first network has this first port, here (`true`) or elsewhere.
    async fn knows(&self, vm: &str, here: bool) -> (LayPlan, Instant) {
        eventually_some("the plan arrives", PATIENCE, || async {
            let (order, at) = self.last()?;
            let network = order.plan.networks.first()?;
            let found = if here {
                network.here.iter().any(|port| port.vm.as_str() == vm && port.via.is_none())
            } else {
                network.elsewhere.iter().any(|port| port.vm.as_str() == vm && port.via.is_some())
            };
            found.then_some((order, at))
        })
        .await
    }
}

fn node(name: &str, tunnel: u8) -> Node {
    Node {
        v: 1,
        name: name.parse().unwrap(),
        site: "myodaiji".parse().unwrap(),
        state: State::Ready,
        cordoned: false,
        off: None,
        fencing: None,
        strains: Default::default(),
        inventory: Inventory {
            vcpus: 1,
            memory_mib: 1,
            disk_gib: 1,
            cpu_model: String::new(),
            cpu_features: Vec::new(),
            libvirt: String::new(),
            qemu: String::new(),
            agent: String::new(),
            virtualisation: Virtualisation::Qemu,
            migration_address: String::new(),
            segments: BTreeMap::new(),
            segment_mtus: BTreeMap::new(),
            vlans: None,
            labels: BTreeMap::new(),
            protection: watari_model::node::Protection::default(),
            tunnel: Some(Tunnel { address: [192, 0, 2, tunnel].into(), mtu: 1_500 }),
            health: None,
            host: watari_model::node::Host::default(),
            images: Default::default(),
            disks: Default::default(),
            weights: Default::default(),
            carried: Default::default(),
        },
        first_seen_at: clock::now(),
        changed_at: clock::now(),
    }
}

/// What the scheduler and the monitor would write.
struct Others {
    vms: Bucket<Vm>,
    _ctx: [Context; 2],
}

impl Others {
    /// Two nodes, and two servers that both run on the first.
    async fn begin(nats: &NatsServer, bus: &watari_chassis::Bus) -> (Self, Vec<Vm>) {
        let common = crate::harness::common(nats);
        let scheduler = Context::new(Service::Scheduler, &common).await.unwrap();
        let monitor = Context::new(Service::Monitor, &common).await.unwrap();
        let vms = Bucket::<Vm>::open(&scheduler).await.unwrap();
        let nodes = Bucket::<Node>::open(&monitor).await.unwrap();
        nodes.create(&node("m1", 11)).await.unwrap();
        nodes.create(&node("y1", 21)).await.unwrap();
        let mut servers = Vec::new();
        for n in [1, 2] {
            let port = ask(bus, wants(n)).await.unwrap().port;
            let mut vm = server_of(&port, clock::now());
            vm.state = watari_model::vm::State::Running;
            vm.grant = Some(Grant { node: "m1".parse().unwrap(), generation: 1 });
            vms.create(&vm).await.unwrap();
            servers.push(vm);
        }
        (Self { vms, _ctx: [scheduler, monitor] }, servers)
    }

    async fn grant(&self, vm: &Vm, to: &str) {
        let Entry { mut value, revision, .. } = self.vms.get(vm.name.as_str()).await.unwrap().unwrap();
        let node: NodeName = to.parse().unwrap();
        value.grant = Some(Grant { node, generation: value.generation() + 1 });
        self.vms.update(&value, revision).await.unwrap();
    }
}

/// The network that servers are on, as an overlay: its document as a later `network create --overlay` makes it.
async fn make_overlay(nats: &NatsServer) {
    let ctx = Context::new(Service::Network, &crate::harness::common(nats)).await.unwrap();
    let networks = Bucket::<Network>::open(&ctx).await.unwrap();
    let Entry { mut value, revision, .. } = networks.get("campus").await.unwrap().unwrap();
    value.kind = Kind::Overlay;
    value.overlay = Some(Overlay { vni: 4_096, mtu: 1_450 });
    networks.update(&value, revision).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_grant_reaches_both_agents_at_once_and_a_fault_is_tried_again() {
    let nats = NatsServer::start();
    let mut quick = settings();
    quick.plans.tick_ms = 200;
    let service = Running::start(&nats, quick).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.100-203.0.113.199")).await.unwrap();
    make_overlay(&nats).await;
    let (m1, y1) = (Agent::start(&nats, "m1").await, Agent::start(&nats, "y1").await);
    let (others, servers) = Others::begin(&nats, &bus).await;
    m1.knows("vm1", true).await;
    m1.knows("vm2", true).await;

    // Several times: what is measured is the way from the write to the agent.
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let (to, from, at_to, at_from) = if round % 2 == 0 { ("y1", "m1", &y1, &m1) } else { ("m1", "y1", &m1, &y1) };
        let begun = Instant::now();
        others.grant(&servers[0], to).await;
        let (_, arrived) = at_to.knows("vm1", true).await;
        slowest = slowest.max(arrived.saturating_duration_since(begun));
        if from == "m1" {
            let (order, arrived) = at_from.knows("vm1", false).await;
            assert_eq!(order.plan.networks[0].elsewhere[0].via, Some([192, 0, 2, 21].into()));
            slowest = slowest.max(arrived.saturating_duration_since(begun));
        }
    }
    println!("slowest of ten, from the write of the grant to the plan's arrival: {slowest:?}");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");

    *y1.ill.lock().unwrap() = true;
    others.grant(&servers[0], "y1").await;
    y1.knows("vm1", true).await;
    let then = y1.count();
    eventually_some("what is not laid is sent again", PATIENCE, || async { (y1.count() > then + 2).then_some(()) })
        .await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_tenure_sends_a_later_edition_of_the_same() {
    let nats = NatsServer::start();
    let first = Running::start(&nats, settings()).await;
    let bus = somebody(&nats).await;
    ask(&bus, lab("203.0.113.100-203.0.113.199")).await.unwrap();
    let m1 = Agent::start(&nats, "m1").await;
    let (_others, _) = Others::begin(&nats, &bus).await;
    let (before, _) = m1.knows("vm2", true).await;
    assert!(before.plan.networks[0].overlay.is_none());
    first.kill();
    let second = Running::start(&nats, settings()).await;
    let after = eventually_some("the next tenure tells the agent", PATIENCE, || async {
        m1.last().map(|(order, _)| order).filter(|order| order.edition.epoch > before.edition.epoch)
    })
    .await;
    let latest = eventually_some("the same plan", PATIENCE, || async {
        m1.last().map(|(order, _)| order).filter(|order| order.plan == before.plan)
    })
    .await;
    assert!(latest.edition >= after.edition && after.edition > before.edition);
    assert_ne!(after.edition, Edition::default());
    second.stop().await;
}
