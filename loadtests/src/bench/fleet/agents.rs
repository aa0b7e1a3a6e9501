//! Simulated agents, a thousand in one: they follow the contract towards the scheduler, the network service and the
//! monitor, and have no hypervisor. What is ordered is done at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::{sync::mpsc, task::JoinHandle};
use watari_chassis::{Bus, clock};
use watari_contracts::{
    Command,
    agent::{
        Answer, Domain, NodeFacts, Observe, ObserveAll, OffReason, Progress, Remove, Stack, Start, TakeInventory,
        VmFact,
    },
    plan::{Edition, LayPlan, PlanLaid},
    subjects,
};
use watari_model::{
    SiteName, VmName,
    vm::{State, Vm},
};
use watari_testkit::Responder;

use super::{
    documents::{Place, inventory},
    stage::Stage,
};

/// How often an agent tells its facts when nothing changes, as the real one does by default.
const FACTS: Duration = Duration::from_secs(5);
/// The agents tell theirs in so many parts, so that not all of them speak at a time.
const PARTS: u32 = 100;

/// All agents, until they are dropped.
pub(super) struct Agents {
    world: Arc<World>,
    _answering: Responder,
    telling: [JoinHandle<()>; 2],
}

struct World {
    hosts: Mutex<HashMap<String, Host>>,
    inventory: Vec<u8>,
}

struct Host {
    place: Place,
    /// Counts its facts.
    seq: u64,
    vms: BTreeMap<VmName, VmFact>,
}

/// Of a network plan an agent without a network keeps only which it is.
#[derive(Deserialize)]
struct Planned {
    edition: Edition,
}

impl Agents {
    /// One for each node, on the bus.
    pub(super) async fn start(stage: &Stage, places: &[Place]) -> anyhow::Result<Self> {
        let host = |place: &Place| Host { place: place.clone(), seq: 0, vms: BTreeMap::new() };
        let hosts = places.iter().map(|place| (place.name.to_string(), host(place))).collect();
        let world = Arc::new(World { hosts: Mutex::new(hosts), inventory: serde_json::to_vec(&inventory()?)? });
        let (changed, changes) = mpsc::unbounded_channel();
        let (url, answering) = (stage.url(), Arc::clone(&world));
        let answer = move |subject: &str, payload: &[u8]| answering.answer(subject, payload, &changed);
        let answering = Responder::start(&url, subjects::COMMANDS, answer).await;
        let bus = stage.bus().await?;
        let telling = [
            tokio::spawn(tell_changes(bus.clone(), Arc::clone(&world), changes)),
            tokio::spawn(tell_all(bus, Arc::clone(&world), places.to_vec())),
        ];
        Ok(Self { world, _answering: answering, telling })
    }

    /// A server that is on its node already.
    pub(super) fn have(&self, vm: &Vm) {
        let domain = if vm.state == State::Running { Domain::Running } else { Domain::Off(OffReason::Shutdown) };
        let mut hosts = self.world.hosts();
        if let Some(host) = vm.node().and_then(|node| hosts.get_mut(node.as_str())) {
            host.vms.insert(vm.name.clone(), fact(&vm.name, Some(&vm.uuid), domain, vm.generation()));
        }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.telling.iter().for_each(JoinHandle::abort);
    }
}

fn fact(vm: &VmName, uuid: Option<&str>, domain: Domain, generation: u64) -> VmFact {
    VmFact {
        vm: vm.clone(),
        uuid: uuid.map(str::to_owned),
        domain,
        generation,
        granted: generation > 0,
        disk: generation > 0,
        passage: None,
        stack: Stack::default(),
        still: None,
    }
}

/// The answer to a command, if it is one.
fn answered<C: Command>(payload: &[u8], act: impl FnOnce(C) -> C::Reply) -> Option<Vec<u8>> {
    serde_json::to_vec(&act(serde_json::from_slice(payload).ok()?)).ok()
}

impl World {
    fn hosts(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        // Each change is one call and leaves it whole.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers `watari.agent.<node>.<verb>`. Whose facts have changed is told.
    fn answer(&self, subject: &str, payload: &[u8], changed: &mpsc::UnboundedSender<String>) -> Option<Vec<u8>> {
        let (node, verb) = subject.strip_prefix("watari.agent.")?.split_once('.')?;
        if verb == TakeInventory::VERB {
            return Some(self.inventory.clone());
        }
        let mut hosts = self.hosts();
        let host = hosts.get_mut(node)?;
        match verb {
            Start::VERB => answered(payload, |order: Start| {
                let (name, uuid) = (&order.server.name, order.server.uuid.as_str());
                let fact = fact(name, Some(uuid), Domain::Running, order.grant.generation);
                host.vms.insert(name.clone(), fact.clone());
                // Nobody listens once the fleet is being dropped.
                let _ = changed.send(node.to_owned());
                Answer { progress: Progress::Done, fact, brought: None }
            }),
            Remove::VERB => answered(payload, |order: Remove| {
                host.vms.remove(&order.vm);
                let _ = changed.send(node.to_owned());
                let fact = fact(&order.vm, None, Domain::Absent, 0);
                Answer { progress: Progress::Done, fact, brought: None }
            }),
            Observe::VERB => answered(payload, |ask: Observe| {
                let known = host.vms.get(&ask.vm).cloned();
                known.unwrap_or_else(|| fact(&ask.vm, None, Domain::Absent, 0))
            }),
            ObserveAll::VERB => answered(payload, |_: ObserveAll| host.facts()),
            LayPlan::VERB => {
                let Planned { edition } = serde_json::from_slice(payload).ok()?;
                serde_json::to_vec(&PlanLaid { edition, fault: None }).ok()
            }
            _ => None,
        }
    }

    /// A node's facts, with its site.
    fn facts(&self, node: &str) -> Option<(SiteName, NodeFacts)> {
        self.hosts().get_mut(node).map(|host| (host.place.site.clone(), host.facts()))
    }
}

impl Host {
    fn facts(&mut self) -> NodeFacts {
        self.seq += 1;
        NodeFacts {
            node: self.place.name.clone(),
            site: self.place.site.clone(),
            instance: "one".to_owned(),
            seq: self.seq,
            epoch: 0,
            hypervisor_answers: true,
            at: clock::now(),
            vms: self.vms.clone(),
            layers: BTreeMap::new(),
            guard: None,
        }
    }
}

async fn tell(bus: &Bus, world: &World, node: &str) {
    if let Some((site, facts)) = world.facts(node) {
        // They are told again soon.
        let _ = bus.publish_json(&subjects::fact(&site, &facts.node), &facts).await;
    }
}

async fn tell_changes(bus: Bus, world: Arc<World>, mut changes: mpsc::UnboundedReceiver<String>) {
    while let Some(node) = changes.recv().await {
        tell(&bus, &world, &node).await;
    }
}

async fn tell_all(bus: Bus, world: Arc<World>, places: Vec<Place>) {
    let mut pace = tokio::time::interval(FACTS / PARTS);
    let parts = PARTS as usize;
    for part in (0..parts).cycle() {
        pace.tick().await;
        for place in places.iter().skip(part).step_by(parts) {
            tell(&bus, &world, place.name.as_str()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::fleet::documents::places;

    /// The samples that the contracts keep of commands are what an agent is really sent.
    #[test]
    fn an_agent_answers_what_a_creation_and_a_deletion_need_as_the_contract_says() {
        let places = places(1).unwrap();
        let host = Host { place: places[0].clone(), seq: 0, vms: BTreeMap::new() };
        let hosts = Mutex::new(HashMap::from([("n00000".to_owned(), host)]));
        let world = World { hosts, inventory: serde_json::to_vec(&inventory().unwrap()).unwrap() };
        let (changed, mut changes) = mpsc::unbounded_channel();
        let ask = |verb: &str, payload: &str| {
            let samples: Vec<serde_json::Value> = serde_json::from_str(payload).unwrap();
            let payload = serde_json::to_vec(&samples[0]).unwrap();
            world.answer(&format!("watari.agent.n00000.{verb}"), &payload, &changed).unwrap()
        };
        let start = include_str!("../../../../shared/contracts/tests/golden/command.start.json");
        let answer: Answer = serde_json::from_slice(&ask(Start::VERB, start)).unwrap();
        assert_eq!((answer.progress, answer.fact.domain), (Progress::Done, Domain::Running));
        let plan = include_str!("../../../../shared/contracts/tests/golden/command.network-plan.json");
        let laid: PlanLaid = serde_json::from_slice(&ask(LayPlan::VERB, plan)).unwrap();
        assert_eq!(laid.fault, None);
        let all: NodeFacts = serde_json::from_slice(&ask(ObserveAll::VERB, "[{}]")).unwrap();
        assert_eq!(all.vms.values().collect::<Vec<_>>(), [&answer.fact]);
        assert_eq!(changes.try_recv().unwrap(), "n00000");
        let remove = include_str!("../../../../shared/contracts/tests/golden/command.remove.json");
        let answer: Answer = serde_json::from_slice(&ask(Remove::VERB, remove)).unwrap();
        assert_eq!((answer.progress, answer.fact.domain), (Progress::Done, Domain::Absent));
        let all: NodeFacts = serde_json::from_slice(&ask(ObserveAll::VERB, "[{}]")).unwrap();
        assert!(all.vms.is_empty());
        assert_eq!(changes.try_recv().unwrap(), "n00000");
    }
}
