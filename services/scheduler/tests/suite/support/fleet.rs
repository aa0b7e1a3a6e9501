//! Simulated agents on the bus: they follow the contract, have no hypervisor, and a migration
//! takes as long as a test wants.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use watari_chassis::{Call, Context, Server, clock};
use watari_contracts::{
    Command, Service,
    agent::{
        Abort, Answer, Bytes, ConsoleKept, ConsolePart, ConsoleText, Discard, DiskUse, Domain, Grow, Guard, Guarded,
        Held, Hold, KeepConsole, NodeFacts, Observe, ObserveAll, OffReason, Passage, Phase, Picture, Progress,
        ReadConsole, Reboot, Receive, Release, Remove, Resume, Seed, Send, ShutDown, Start, Stop, Suspend, TakePicture,
        Transfer, UseConsole, VmFact,
    },
    subjects,
};
use watari_model::{
    MigrationId, NodeName, Refusal, Said, SiteName, VmName,
    isolation::{OnIsolation, Terms},
    vm::{Growth, Size},
};
use watari_testkit::facts::passage;

/// So many processors can be plugged into a server while it runs.
pub const PLACES: u32 = 4;
/// How much memory in MiB each guest takes while it runs.
pub const MOST_MIB: u64 = 208;

/// What is there of a server.
#[derive(Clone, Debug)]
pub struct Guest {
    pub uuid: String,
    pub domain: Domain,
    pub disk: bool,
    pub seen: u64,
    pub granted: u64,
    pub passage: Option<Passage>,
    /// What it was told about itself.
    pub seed: Option<Seed>,
    /// What it does when its node is cut off.
    pub on_isolation: OnIsolation,
    /// Counts boots: a migrated server keeps its number.
    pub boots: u32,
    /// How large it was made at its last boot, and has grown since.
    pub size: Size,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            uuid: String::new(),
            domain: Domain::Absent,
            disk: false,
            seen: 0,
            granted: 0,
            passage: None,
            seed: None,
            on_isolation: OnIsolation::Keep,
            boots: 0,
            size: Size { vcpus: 0, memory_mib: 0, disk_gib: 0 },
        }
    }
}

#[derive(Default)]
struct World {
    sites: BTreeMap<NodeName, SiteName>,
    guests: HashMap<(NodeName, VmName), Guest>,
    journal: HashMap<(NodeName, String), Progress>,
    seq: u64,
    /// How long a copy takes.
    copy: Duration,
    /// Nodes that refuse to receive.
    closed: Vec<NodeName>,
    /// Nodes that were granted a lease.
    leased: Vec<NodeName>,
    aborted: Vec<MigrationId>,
    /// Nodes whose agents have no program that shuts them down, and those that were told to shut down.
    unable: Vec<NodeName>,
    shut_down: Vec<NodeName>,
    /// Whether a server answers after it was moved, where that is not simply so.
    answers: HashMap<VmName, Option<bool>>,
    /// The most that were copied at the same time.
    copying: usize,
    most_copying: usize,
    /// What nodes were told of what servers wrote before they came.
    consoles: HashMap<(NodeName, VmName), String>,
    /// The longest time from a copy's being whole to its being resumed.
    arrived: HashMap<VmName, u64>,
    pauses: Vec<u64>,
    /// What was ordered of whom, and in which trace.
    asked: Vec<(String, &'static str, String)>,
}

/// All agents. Cloning shares them.
#[derive(Clone)]
pub struct Fleet {
    ctx: Context,
    world: Arc<Mutex<World>>,
}

impl Fleet {
    pub fn new(ctx: &Context) -> Self {
        let world = World { copy: Duration::from_millis(50), ..World::default() };
        Self { ctx: ctx.clone(), world: Arc::new(Mutex::new(world)) }
    }

    /// What a node was told of what a server wrote to its console before it came.
    pub fn console_before(&self, node: &str, vm: &str) -> Option<String> {
        self.world().consoles.get(&(node.parse().unwrap(), vm.parse().unwrap())).cloned()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn copies_take(&self, copy: Duration) {
        self.world().copy = copy;
    }

    /// From now on, what is known of whether the server answers where it has arrived.
    pub fn answers(&self, vm: &str, answers: Option<bool>) {
        self.world().answers.insert(vm.parse().unwrap(), answers);
    }

    pub fn close(&self, node: &str) {
        self.world().closed.push(node.parse().unwrap());
    }

    pub fn guest(&self, node: &str, vm: &str) -> Guest {
        let key = (node.parse().unwrap(), vm.parse().unwrap());
        self.world().guests.get(&key).cloned().unwrap_or_default()
    }

    /// Changes what is there, as a guest or a power cut would, and tells.
    pub async fn change(&self, node: &str, vm: &str, change: impl FnOnce(&mut Guest)) {
        let node: NodeName = node.parse().unwrap();
        change(self.world().guests.entry((node.clone(), vm.parse().unwrap())).or_default());
        self.tell(&node).await;
    }

    /// On which nodes the server's processors run.
    pub fn running(&self, vm: &str) -> Vec<String> {
        let world = self.world();
        let runs =
            world.guests.iter().filter(|((_, name), guest)| name.as_str() == vm && guest.domain == Domain::Running);
        runs.map(|((node, _), _)| node.to_string()).collect()
    }

    /// The node's agent has no program that shuts it down.
    pub fn cannot_shut_down(&self, node: &str) {
        self.world().unable.push(node.parse().unwrap());
    }

    /// Whether the node's agent has begun to shut it down.
    pub fn is_shut_down(&self, node: &str) -> bool {
        self.world().shut_down.iter().any(|told| told.as_str() == node)
    }

    pub fn most_copying(&self) -> usize {
        self.world().most_copying
    }

    /// The pauses of all switch-overs, in milliseconds.
    pub fn pauses(&self) -> Vec<u64> {
        self.world().pauses.clone()
    }

    fn heard<C: Command>(&self, node: &NodeName, call: &Call, _: &C) {
        let trace = call.trace.map(|trace| trace.trace_id()).unwrap_or_default();
        self.world().asked.push((node.to_string(), C::VERB, trace));
    }

    /// What was ordered of whom in one trace, each once.
    pub fn asked_in(&self, trace: &str) -> BTreeSet<(String, &'static str)> {
        let world = self.world();
        let asked = world.asked.iter().filter(|(_, _, known)| known == trace);
        asked.map(|(node, verb, _)| (node.clone(), *verb)).collect()
    }

    fn fact(world: &World, node: &NodeName, vm: &VmName) -> VmFact {
        let guest = world.guests.get(&(node.clone(), vm.clone())).cloned().unwrap_or_default();
        VmFact {
            vm: vm.clone(),
            uuid: None,
            domain: guest.domain,
            generation: guest.seen,
            granted: guest.seen > 0 && guest.seen == guest.granted,
            disk: guest.disk,
            passage: guest.passage,
            stack: watari_contracts::agent::Stack::default(),
            still: None,
        }
    }

    /// Who has what is to stop asks for a lease, and says so of it once there is one.
    fn guard(world: &World, node: &NodeName) -> Option<Guard> {
        let stops = |guest: &Guest| guest.on_isolation == OnIsolation::Stop && guest.seen == guest.granted;
        let wards = world.guests.iter().filter(|((at, _), guest)| at == node && stops(guest));
        let told = wards.map(|((_, vm), guest)| {
            (vm.clone(), Guarded { generation: guest.granted, stopped: guest.domain != Domain::Running })
        });
        let mut vms: BTreeMap<_, _> = told.collect();
        if vms.is_empty() {
            return None;
        }
        if !world.leased.contains(node) {
            vms.clear();
        }
        Some(Guard { terms: Terms { lease_ms: 30_000, stop_ms: 60_000 }, watchdog: true, vms })
    }

    fn facts(&self, node: &NodeName) -> NodeFacts {
        let mut world = self.world();
        world.seq += 1;
        let names: Vec<VmName> = world.guests.keys().filter(|(at, _)| at == node).map(|(_, vm)| vm.clone()).collect();
        NodeFacts {
            node: node.clone(),
            site: world.sites[node].clone(),
            instance: "one".to_owned(),
            seq: world.seq,
            epoch: 0,
            hypervisor_answers: true,
            at: clock::now(),
            vms: names.into_iter().map(|vm| (vm.clone(), Self::fact(&world, node, &vm))).collect(),
            layers: std::collections::BTreeMap::new(),
            guard: Self::guard(&world, node),
        }
    }

    async fn tell(&self, node: &NodeName) {
        let facts = self.facts(node);
        let _ = self.ctx.bus.publish_json(&subjects::fact(&facts.site, node), &facts).await;
    }

    /// Does an operation once, and says how it went.
    async fn once(
        &self,
        node: &NodeName,
        vm: &VmName,
        operation: &str,
        act: impl FnOnce(&mut World, &mut Guest) -> Result<(), Refusal>,
    ) -> Result<Answer, Refusal> {
        let answer = {
            let mut world = self.world();
            let known = world.journal.get(&(node.clone(), operation.to_owned())).cloned();
            let progress = match known {
                Some(progress) => progress,
                None => {
                    let key = (node.clone(), vm.clone());
                    let mut guest = world.guests.get(&key).cloned().unwrap_or_default();
                    let progress = match act(&mut world, &mut guest) {
                        Ok(()) => Progress::Done,
                        Err(refusal) => Progress::Failed(refusal),
                    };
                    world.guests.insert(key, guest);
                    world.journal.insert((node.clone(), operation.to_owned()), progress.clone());
                    progress
                }
            };
            Answer { progress, fact: Self::fact(&world, node, vm), brought: None }
        };
        self.tell(node).await;
        Ok(answer)
    }

    fn not_now(node: &NodeName, vm: &VmName, state: &str) -> Refusal {
        let (vm, node) = (vm.to_string(), node.to_string());
        Refusal::AgentState { vm, node, state: state.to_owned(), wanted: "do it".to_owned() }
    }

    fn grant(guest: &mut Guest, given: u64) -> Result<(), Refusal> {
        if given <= guest.seen {
            let (seen, given) = (guest.seen.to_string(), given.to_string());
            return Err(Refusal::Stale { what: "generation".to_owned(), seen, given });
        }
        guest.seen = given;
        guest.granted = given;
        Ok(())
    }

    /// Sends, in the background.
    async fn send(self, node: NodeName, send: Send) -> Result<Answer, Refusal> {
        let key = (node.clone(), send.order.operation.clone());
        let (vm, asked) = (send.vm.clone(), key.clone());
        let begin = {
            let mut world = self.world();
            let new = !world.journal.contains_key(&key);
            if new {
                world.journal.insert(key.clone(), Progress::Working);
                world.copying += 1;
                world.most_copying = world.most_copying.max(world.copying);
                let guest = world.guests.entry((node.clone(), vm.clone())).or_default();
                guest.passage = Some(passage(&send.migration, Phase::Copying));
            }
            new
        };
        if begin {
            let fleet = self.clone();
            let source = node.clone();
            tokio::spawn(async move { fleet.travel(source, send, key).await });
        }
        let world = self.world();
        let progress = world.journal[&asked].clone();
        Ok(Answer { progress, fact: Self::fact(&world, &node, &vm), brought: None })
    }

    async fn travel(&self, node: NodeName, send: Send, key: (NodeName, String)) {
        let copy = self.world().copy;
        tokio::time::sleep(copy).await;
        {
            let mut world = self.world();
            world.copying -= 1;
            let (from, to) = ((node.clone(), send.vm.clone()), (send.to.clone(), send.vm.clone()));
            let aborted = world.aborted.contains(&send.migration);
            let prepared = world.guests.get(&to).is_some_and(|g| g.disk && g.domain == Domain::Absent);
            let mut source = world.guests.get(&from).cloned().unwrap_or_default();
            let mut ended = passage(&send.migration, Phase::Ended);
            ended.transfer =
                Some(Transfer { memory_sent: 1_000, disk_sent: 10, downtime_ms: 20, ..Transfer::default() });
            if source.domain == Domain::Running && prepared && !aborted {
                source.domain = Domain::Off(OffReason::Migrated);
                let boots = source.boots;
                let target = world.guests.get_mut(&to).unwrap();
                target.domain = Domain::Paused;
                target.boots = boots;
                world.arrived.insert(send.vm.clone(), clock::boot_millis());
            } else {
                ended.complaint = Some("operation aborted".to_owned());
            }
            source.passage = Some(ended);
            world.guests.insert(from, source);
            world.journal.insert(key, Progress::Done);
        }
        self.tell(&send.to).await;
        self.tell(&node).await;
    }

    /// An agent for one more node.
    pub async fn add(&self, node: &str, site: &str) {
        let node: NodeName = node.parse().unwrap();
        self.world().sites.insert(node.clone(), site.parse().unwrap());
        macro_rules! handler {
            ($handle:expr) => {{
                let (fleet, node) = (self.clone(), node.clone());
                move |call, command| {
                    let (fleet, node) = (fleet.clone(), node.clone());
                    fleet.heard(&node, &call, &command);
                    ($handle)(fleet, node, command)
                }
            }};
        }
        let server = Server::new(&self.ctx, Service::NodeAgent)
            .commands(&node)
            .command(handler!(|fleet: Fleet, node: NodeName, o: Start| async move {
                fleet
                    .once(&node, &o.server.name, &o.order.operation, |_, guest| {
                        if guest.uuid != o.server.uuid {
                            *guest = Guest { uuid: o.server.uuid.clone(), ..Guest::default() };
                        }
                        Self::grant(guest, o.grant.generation)?;
                        if !guest.disk && o.disk == DiskUse::Existing {
                            return Err(Self::not_now(&node, &o.server.name, "without its disk"));
                        }
                        guest.disk = true;
                        guest.on_isolation = o.server.on_isolation;
                        guest.seed = Some(o.server.seed.clone());
                        // What was saved goes on where it was.
                        if !matches!(guest.domain, Domain::Running | Domain::Off(OffReason::Saved)) {
                            guest.boots += 1;
                            let made = &o.server;
                            guest.size =
                                Size { vcpus: made.vcpus, memory_mib: made.memory_mib, disk_gib: made.disk_gib };
                        }
                        guest.domain = Domain::Running;
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Stop| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |_, guest| {
                        guest.domain = Domain::Off(if o.force { OffReason::Destroyed } else { OffReason::Shutdown });
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Suspend| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |_, guest| {
                        guest.domain = Domain::Off(OffReason::Saved);
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Reboot| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |_, guest| {
                        guest.boots += 1;
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Grow| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |_, guest| {
                        if guest.domain != Domain::Running || guest.granted != o.generation {
                            return Err(Self::not_now(&node, &o.vm, "not running"));
                        }
                        match o.growth {
                            Growth::DiskGib(gib) => guest.size.disk_gib = gib,
                            Growth::Vcpus(vcpus) if vcpus <= PLACES => guest.size.vcpus = vcpus,
                            Growth::MemoryMib(mib) if mib <= MOST_MIB => guest.size.memory_mib = mib,
                            Growth::Vcpus(_) | Growth::MemoryMib(_) => {
                                let detail = Said::both(format!("{PLACES} and {MOST_MIB}"));
                                return Err(Refusal::GrowthWaits { vm: o.vm.to_string(), detail });
                            }
                        }
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Remove| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |_, guest| {
                        if guest.granted > o.generation {
                            let (seen, given) = (guest.granted.to_string(), o.generation.to_string());
                            return Err(Refusal::Stale { what: "generation".to_owned(), seen, given });
                        }
                        let Guest { uuid, seen, granted, .. } = guest.clone();
                        *guest = Guest { uuid, seen, granted, ..Guest::default() };
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Receive| async move {
                fleet
                    .once(&node, &o.server.name, &o.order.operation, |world, guest| {
                        if world.closed.contains(&node) {
                            let detail = "no space left on device".to_owned();
                            return Err(Refusal::DiskFull { node: node.to_string(), detail });
                        }
                        guest.uuid = o.server.uuid.clone();
                        guest.seen = guest.seen.max(o.generation);
                        guest.disk = true;
                        guest.on_isolation = o.server.on_isolation;
                        guest.seed = Some(o.server.seed.clone());
                        guest.passage = Some(passage(&o.migration, Phase::Prepared));
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Send| fleet.send(node, o)))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Abort| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |world, _| {
                        world.aborted.push(o.migration.clone());
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Resume| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |world, guest| {
                        Self::grant(guest, o.grant.generation)?;
                        if guest.domain != Domain::Paused {
                            return Err(Self::not_now(&node, &o.vm, "not paused"));
                        }
                        guest.domain = Domain::Running;
                        if let Some(passage) = &mut guest.passage {
                            passage.answers = world.answers.get(&o.vm).copied().unwrap_or(Some(true));
                        }
                        let paused = world.arrived.remove(&o.vm).map(|at| clock::boot_millis() - at);
                        if let (Some(passage), Some(paused)) = (&mut guest.passage, paused) {
                            passage.paused_ms = Some(paused);
                            world.pauses.push(paused);
                        }
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Discard| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |_, guest| {
                        let Guest { uuid, seen, granted, .. } = guest.clone();
                        *guest = Guest { uuid, seen, granted, ..Guest::default() };
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Release| async move {
                fleet
                    .once(&node, &o.vm, &o.order.operation, |_, guest| {
                        guest.domain = Domain::Absent;
                        guest.passage = None;
                        Ok(())
                    })
                    .await
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: Observe| async move {
                Ok(Self::fact(&fleet.world(), &node, &o.vm))
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, _: ShutDown| async move {
                if fleet.world().unable.contains(&node) {
                    return Err(Refusal::ShutDownMissing { node: node.to_string() });
                }
                fleet.world().shut_down.push(node.clone());
                Ok(fleet.facts(&node))
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, _: ObserveAll| async move { Ok(fleet.facts(&node)) }))
            .command(handler!(|fleet: Fleet, node: NodeName, _: Hold| async move {
                let is_new = {
                    let mut world = fleet.world();
                    let is_new = !world.leased.contains(&node);
                    if is_new {
                        world.leased.push(node.clone());
                    }
                    is_new
                };
                // Each telling asks again: only what is new is told.
                if is_new {
                    fleet.tell(&node).await;
                }
                Ok(Held { holds: true })
            }))
            .command(handler!(|_: Fleet, node: NodeName, o: ReadConsole| async move {
                Ok(ConsoleText { text: format!("{} on {node}", o.vm) })
            }))
            .command(handler!(|fleet: Fleet, node: NodeName, o: KeepConsole| async move {
                let bytes = u64::try_from(o.text.len()).unwrap();
                fleet.world().consoles.insert((node, o.vm), o.text);
                Ok(ConsoleKept { bytes })
            }))
            .command(handler!(|_: Fleet, node: NodeName, o: TakePicture| async move {
                Ok(Picture { png: Bytes(format!("{} on {node}", o.vm).into_bytes()) })
            }))
            // It says who asks, and nothing else.
            .command(handler!(|_: Fleet, _: NodeName, o: UseConsole| async move {
                Ok(ConsolePart { output: Bytes(o.by.into_bytes()), ..ConsolePart::default() })
            }))
            .done();
        self.ctx.spawn("agent", async move { server.serve_always().await.unwrap() });
        let (fleet, told) = (self.clone(), node.clone());
        self.ctx.spawn("facts", async move {
            while !fleet.ctx.shutdown.is_cancelled() {
                fleet.tell(&told).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        });
    }
}
