//! A simulated node: what is really there (processes, disks), what its agent has journaled, and
//! the agent's rules. What is journaled survives the agent; what is on disks survives the power.

use std::collections::{BTreeMap, BTreeSet};

use watari_contracts::agent::{DiskUse, Domain, Grow, Layer, NodeFacts, OffReason, Passage, Phase, Progress, VmFact};
use watari_model::{
    MigrationId, NodeName, Refusal, VmName,
    admission::heed,
    isolation::{Lease, OnIsolation},
    vm::{Growth, Standstill},
};
use watari_testkit::facts::passage;

use super::faults::{Ails, wall};
use crate::core::Order;

/// The process of a server on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    None,
    Incoming(MigrationId),
    Paused,
    Running,
}

/// The file of a server's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    None,
    Whole,
    Copy(MigrationId),
    Leftover,
}

/// A server on a node.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) process: Process,
    pub(crate) disk: Disk,
    /// How large that is.
    pub(crate) disk_gib: u64,
    pub(crate) defined: Option<OffReason>,
    pub(crate) seen: u64,
    pub(crate) granted: u64,
    pub(crate) operation: Option<String>,
    pub(crate) passage: Option<Passage>,
    pub(crate) working: Option<String>,
    pub(crate) removed: bool,
    /// Whether it is to stop when the node is cut off, and whether it was.
    pub(crate) stops: bool,
    pub(crate) stopped: bool,
    /// Why its process stands still for no order.
    pub(crate) still: Option<Standstill>,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            process: Process::None,
            disk: Disk::None,
            disk_gib: 0,
            defined: None,
            seen: 0,
            granted: 0,
            operation: None,
            passage: None,
            working: None,
            removed: false,
            stops: false,
            stopped: false,
            still: None,
        }
    }
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: NodeName,
    pub(crate) site: String,
    pub(crate) up: bool,
    pub(crate) agent_up: bool,
    pub(crate) connected: bool,
    pub(crate) instance: u64,
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
    pub(crate) guests: BTreeMap<VmName, Guest>,
    /// Frozen layers of servers that are elsewhere, by UUID.
    pub(crate) layers: BTreeMap<String, Vec<Layer>>,
    /// Whether no server comes up on those.
    pub(crate) spoilt: bool,
    pub(crate) journal: BTreeMap<String, Progress>,
    pub(crate) closed: BTreeSet<MigrationId>,
    pub(crate) silent_since: Option<u64>,
    pub(crate) lease: Lease,
    /// When a lease was asked for with which facts, on the node's clock.
    pub(crate) asked: BTreeMap<u64, u64>,
    /// Whether the lease had run out at the last look.
    pub(crate) cut_off: bool,
    /// By how many percent its clock is wrong.
    pub(crate) skew: i64,
    /// When its watchdog resets it, if it is not kicked.
    pub(crate) bites_at: u64,
    pub(crate) ails: Ails,
}

/// What an agent says to an order at once.
pub(crate) enum Taken {
    /// Known, or refused.
    Said(Result<Progress, Refusal>),
    /// Accepted: to be carried out under this name.
    Begun(String),
}

pub(crate) fn parts(order: &Order) -> (&watari_contracts::agent::Order, &VmName) {
    order.parts()
}

impl Host {
    pub(crate) fn new(name: &str, site: &str) -> Self {
        Self {
            name: super::documents::name(name),
            site: site.to_owned(),
            up: true,
            agent_up: true,
            connected: true,
            instance: 1,
            seq: 0,
            epoch: 0,
            guests: BTreeMap::new(),
            layers: BTreeMap::new(),
            spoilt: false,
            journal: BTreeMap::new(),
            closed: BTreeSet::new(),
            silent_since: None,
            lease: Lease::Never,
            asked: BTreeMap::new(),
            cut_off: false,
            skew: 0,
            bites_at: u64::MAX,
            ails: Ails::default(),
        }
    }

    pub(crate) const fn hears(&self) -> bool {
        self.up && self.agent_up && self.connected && !self.ails.deaf
    }

    pub(crate) const fn speaks(&self) -> bool {
        self.up && self.agent_up && self.connected && !self.ails.mute && !self.ails.paused
    }

    /// Whether its agent stands still.
    pub(crate) const fn is_paused(&self) -> bool {
        self.up && self.agent_up && self.ails.paused
    }

    pub(crate) fn libvirt(&self, detail: &str) -> Refusal {
        Refusal::Hypervisor { node: self.name.to_string(), detail: detail.to_owned() }
    }

    pub(crate) fn disk_full(&self) -> Refusal {
        Refusal::DiskFull { node: self.name.to_string(), detail: "no space is left".to_owned() }
    }

    pub(crate) fn not_now(&self, vm: &VmName, state: &str, wanted: &str) -> Refusal {
        Refusal::AgentState {
            vm: vm.to_string(),
            node: self.name.to_string(),
            state: state.to_owned(),
            wanted: wanted.to_owned(),
        }
    }

    pub(crate) fn fact(&self, vm: &VmName) -> VmFact {
        let guest = self.guests.get(vm).cloned().unwrap_or_default();
        let domain = match &guest.process {
            _ if self.ails.hung => Domain::Unknown,
            Process::Running if guest.still.is_some() => Domain::Unknown,
            Process::Running => Domain::Running,
            Process::Paused => Domain::Paused,
            Process::Incoming(_) => Domain::Incoming,
            Process::None => guest.defined.map_or(Domain::Absent, Domain::Off),
        };
        VmFact {
            vm: vm.clone(),
            uuid: None,
            domain,
            generation: guest.seen,
            granted: guest.seen > 0 && guest.seen == guest.granted,
            disk: guest.disk != Disk::None,
            passage: guest.passage,
            stack: watari_contracts::agent::Stack::default(),
            still: guest.still.filter(|_| guest.process == Process::Running),
        }
    }

    pub(crate) fn facts(&mut self, now: u64) -> NodeFacts {
        self.seq += 1;
        let guard = self.ask(now);
        NodeFacts {
            node: self.name.clone(),
            site: self.site.parse().unwrap(),
            instance: self.instance.to_string(),
            seq: self.seq,
            epoch: self.epoch,
            hypervisor_answers: !self.ails.hung,
            at: wall(now, self.ails.jump),
            vms: self.guests.keys().map(|vm| (vm.clone(), self.fact(vm))).collect(),
            layers: self.layers.clone(),
            guard,
        }
    }

    /// Takes an order by the rules of the contract, but for one that is broken.
    pub(crate) fn take(&mut self, order: &Order, ignores_epochs: bool) -> Taken {
        let (head, vm) = parts(order);
        match heed(self.epoch, head.epoch) {
            Ok(epoch) => self.epoch = epoch,
            Err(_) if ignores_epochs => {}
            Err(refusal) => return Taken::Said(Err(refusal)),
        }
        if let Some(progress) = self.journal.get(&head.operation) {
            return Taken::Said(Ok(progress.clone()));
        }
        let mut guest = self.guests.get(vm).cloned().unwrap_or_default();
        if let Err(refusal) = self.admit(&mut guest, order) {
            return Taken::Said(Err(refusal));
        }
        let aside = matches!(order, Order::Abort(_));
        if let (Some(working), false) = (&guest.working, aside) {
            return Taken::Said(Err(self.not_now(vm, &format!("busy ({working})"), "take another order")));
        }
        if !aside {
            guest.working = Some(head.operation.clone());
        }
        // From now on the copy is the server, and its disk the server's disk.
        if matches!(order, Order::Resume(_)) && matches!(guest.disk, Disk::Copy(_)) {
            guest.disk = Disk::Whole;
        }
        let told = match order {
            Order::Start(o) => Some(&o.server),
            Order::Receive(o) => Some(&o.server),
            _ => None,
        };
        if let Some(server) = told {
            (guest.stops, guest.stopped) = (server.on_isolation == OnIsolation::Stop, false);
        }
        if let Order::Abort(abort) = order {
            self.closed.insert(abort.migration.clone());
        }
        if let Order::Discard(discard) = order {
            self.closed.insert(discard.migration.clone());
        }
        self.guests.insert(vm.clone(), guest);
        self.journal.insert(head.operation.clone(), Progress::Working);
        Taken::Begun(head.operation.clone())
    }

    fn admit(&self, guest: &mut Guest, order: &Order) -> Result<(), Refusal> {
        let seen = guest.seen;
        let stale = |given: u64, seen: u64| {
            Err(Refusal::Stale { what: "generation".to_owned(), seen: seen.to_string(), given: given.to_string() })
        };
        let quit = |guest: &mut Guest, generation: u64| {
            guest.seen = guest.seen.max(generation);
            guest.operation = None;
            Ok(())
        };
        match order {
            Order::Start(watari) => Self::run(guest, &watari.grant, &watari.order.operation),
            Order::Resume(watari) => Self::run(guest, &watari.grant, &watari.order.operation),
            Order::Reboot(o) if o.generation < seen => stale(o.generation, seen),
            Order::Grow(o) if o.generation != seen || o.generation != guest.granted => stale(o.generation, seen),
            Order::Reboot(_) | Order::Abort(_) | Order::Grow(_) | Order::Freeze(_) | Order::SendAhead(_) => Ok(()),
            Order::TakeSnapshot(_) | Order::RevertDisk(_) => Ok(()),
            Order::Stop(o) if o.generation < seen => stale(o.generation, seen),
            Order::Suspend(o) if o.generation < seen => stale(o.generation, seen),
            Order::Send(o) if o.generation < seen => stale(o.generation, seen),
            Order::Send(o) if self.closed.contains(&o.migration) => {
                Err(Refusal::MigrationCancelled { vm: o.vm.to_string() })
            }
            Order::Receive(o) if self.closed.contains(&o.migration) => {
                Err(Refusal::MigrationCancelled { vm: o.server.name.to_string() })
            }
            Order::Receive(o) if o.generation < seen || o.generation <= guest.granted => stale(o.generation, seen),
            // What was removed comes back only under a newer generation than was seen here.
            Order::Receive(o) if guest.removed && o.generation <= seen => stale(o.generation, seen),
            Order::Discard(o) if guest.granted >= o.generation => stale(o.generation, guest.granted),
            Order::Remove(o) if guest.granted > o.generation => stale(o.generation, guest.granted),
            Order::Release(o) if guest.granted > o.generation => stale(o.generation, guest.granted),
            Order::Stop(o) => quit(guest, o.generation),
            Order::Suspend(o) => quit(guest, o.generation),
            Order::Send(o) => quit(guest, o.generation),
            Order::Receive(o) => quit(guest, o.generation),
            Order::Discard(o) => quit(guest, o.generation),
            Order::Remove(o) => quit(guest, o.generation),
            Order::Release(o) => quit(guest, o.generation),
        }
    }

    fn run(guest: &mut Guest, grant: &watari_model::vm::Grant, operation: &str) -> Result<(), Refusal> {
        let again = grant.generation == guest.granted
            && guest.seen == guest.granted
            && guest.operation.as_deref() == Some(operation);
        if grant.generation <= guest.seen && !again {
            let (seen, given) = (guest.seen.to_string(), grant.generation.to_string());
            return Err(Refusal::Stale { what: "generation".to_owned(), seen, given });
        }
        guest.seen = grant.generation;
        guest.granted = grant.generation;
        guest.operation = Some(operation.to_owned());
        Ok(())
    }

    /// Carries out what is no sending. Gives what was started or resumed.
    pub(crate) fn perform(&mut self, order: &Order) -> Result<Effect, Refusal> {
        let (_, vm) = parts(order);
        let vm = vm.clone();
        let refuse = |host: &Self, state: &str| Err(host.not_now(&vm, state, "do it"));
        let mut guest = self.guests.get(&vm).cloned().unwrap_or_default();
        let mut effect = Effect::Nothing;
        if self.ails.hung {
            return Err(self.libvirt("it does not answer"));
        }
        let fills = match order {
            Order::Start(_) => guest.disk == Disk::None,
            order => matches!(order, Order::Receive(_) | Order::Suspend(_)),
        };
        if self.ails.full && fills {
            return Err(self.disk_full());
        }
        if guest.stops && self.cut_off && matches!(order, Order::Start(_) | Order::Resume(_)) {
            return refuse(self, "kept off");
        }
        match order {
            Order::Start(o) => match (&guest.process, &guest.disk, o.disk) {
                (Process::Running, ..) => {}
                (Process::None, Disk::Whole, _) if guest.defined == Some(OffReason::Saved) => {
                    guest.process = Process::Running;
                    guest.defined = Some(OffReason::Unknown);
                    effect = Effect::Resumed;
                }
                (Process::None, Disk::Whole, _) => effect = Effect::Booted,
                (Process::None, Disk::None, DiskUse::MayCreate) => {
                    guest.disk = Disk::Whole;
                    effect = Effect::Booted;
                }
                (Process::None, Disk::None, DiskUse::Existing) if o.copy.is_some() => {
                    if self.spoilt {
                        return refuse(self, "unable to start");
                    }
                    let kept = self.layers.remove(&o.server.uuid);
                    if kept != o.copy.as_ref().map(|copy| copy.layers.clone()) {
                        return refuse(self, "without the copy");
                    }
                    guest.disk = Disk::Whole;
                    effect = Effect::FromCopy;
                }
                (Process::None, Disk::None, DiskUse::Existing) => {
                    return Err(Refusal::VmState {
                        vm: vm.to_string(),
                        state: "without its disk".to_owned(),
                        wanted: "start".to_owned(),
                    });
                }
                _ => return refuse(self, "in the way"),
            },
            Order::Stop(_) => {
                if guest.process != Process::None {
                    guest.process = Process::None;
                    guest.defined = Some(OffReason::Shutdown);
                    effect = Effect::Stopped;
                }
            }
            Order::Suspend(_) if guest.process == Process::Running => {
                guest.process = Process::None;
                guest.defined = Some(OffReason::Saved);
                effect = Effect::Suspended;
            }
            Order::Suspend(_) | Order::Reboot(_) => {}
            Order::Remove(o) if o.spare_running && guest.process != Process::None => return refuse(self, "alive"),
            Order::Remove(_) => {
                effect = if guest.process == Process::None { Effect::Removed } else { Effect::RemovedAlive };
                guest.process = Process::None;
                guest.defined = None;
                guest.disk = Disk::None;
                guest.passage = None;
                guest.removed = true;
            }
            Order::Receive(o) => match (&guest.process, &guest.disk) {
                (Process::None, Disk::None | Disk::Leftover | Disk::Copy(_)) if guest.defined.is_none() => {
                    guest.disk = Disk::Copy(o.migration.clone());
                    guest.disk_gib = o.server.disk_gib;
                    guest.removed = false;
                    guest.passage = Some(passage(&o.migration, Phase::Prepared));
                }
                _ => return refuse(self, "in the way"),
            },
            Order::Discard(o) => {
                if !matches!(&guest.disk, Disk::Copy(m) if *m != o.migration) {
                    guest.process = Process::None;
                    guest.defined = None;
                    if matches!(guest.disk, Disk::Copy(_)) {
                        guest.disk = Disk::None;
                    }
                    guest.passage = None;
                }
            }
            Order::Release(_) => {
                if guest.process != Process::None {
                    return refuse(self, "alive");
                }
                guest.defined = None;
                if guest.disk == Disk::Whole {
                    guest.disk = Disk::Leftover;
                }
                guest.passage = None;
            }
            Order::Resume(_) => match guest.process {
                Process::Paused => {
                    guest.process = Process::Running;
                    guest.disk = Disk::Whole;
                    guest.defined = Some(OffReason::Unknown);
                    if let Some(passage) = &mut guest.passage {
                        passage.paused_ms = Some(7);
                        passage.answers = Some(true);
                    }
                    effect = Effect::Resumed;
                }
                Process::Running => {}
                _ => return refuse(self, "not paused"),
            },
            Order::Grow(_) if guest.process != Process::Running => return refuse(self, "not running"),
            Order::Grow(Grow { growth: Growth::DiskGib(gib), .. }) => guest.disk_gib = guest.disk_gib.max(*gib),
            Order::Send(_) | Order::Abort(_) | Order::Grow(_) | Order::Freeze(_) | Order::SendAhead(_) => {}
            Order::TakeSnapshot(_) | Order::RevertDisk(_) => {}
        }
        if let (Effect::Booted | Effect::FromCopy, Order::Start(o)) = (&effect, order) {
            (guest.process, guest.still) = (Process::Running, None);
            guest.disk_gib = guest.disk_gib.max(o.server.disk_gib);
            guest.defined = Some(OffReason::Unknown);
        }
        self.guests.insert(vm, guest);
        Ok(effect)
    }

    /// The agent starts again: operations that were under way are judged by what is seen.
    pub(crate) fn restart_agent(&mut self, flows: &BTreeSet<MigrationId>) {
        self.instance += 1;
        self.seq = 0;
        self.asked.clear();
        let me = self.clone();
        let kept: BTreeSet<String> = self.guests.values().filter_map(|guest| guest.working.clone()).collect();
        for (operation, progress) in &mut self.journal {
            if *progress == Progress::Working && !kept.contains(operation) {
                let vm = "any".parse().unwrap();
                *progress = Progress::Failed(me.not_now(&vm, "left in the middle", "go on"));
            }
        }
        for (vm, guest) in &mut self.guests {
            if let Some(operation) = guest.working.take() {
                let sends = guest.passage.as_ref().filter(|_| operation.starts_with("send-"));
                let under_way = sends.is_some_and(|p| flows.contains(&p.migration));
                if under_way {
                    guest.working = Some(operation);
                } else {
                    let done = operation.starts_with("start-") || operation.starts_with("resume-");
                    let progress = if done && guest.process == Process::Running || operation.starts_with("send-") {
                        Progress::Done
                    } else {
                        Progress::Failed(me.not_now(vm, "left in the middle", "go on"))
                    };
                    self.journal.insert(operation, progress);
                }
            }
            if let Some(passage) = &mut guest.passage
                && passage.phase == Phase::Copying
                && !flows.contains(&passage.migration)
            {
                passage.phase = Phase::Ended;
            }
        }
    }

    /// The power goes: no process survives, no operation goes on.
    pub(crate) fn lose_power(&mut self) -> Vec<VmName> {
        let mut killed = Vec::new();
        for (vm, guest) in &mut self.guests {
            if guest.process == Process::Running || guest.process == Process::Paused {
                killed.push(vm.clone());
            }
            guest.process = Process::None;
        }
        self.up = false;
        self.agent_up = false;
        self.ails = Ails::default();
        self.lease = Lease::Never;
        killed
    }
}

/// What an order did that the invariants are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Booted,
    FromCopy,
    Resumed,
    Stopped,
    Suspended,
    Removed,
    RemovedAlive,
}
