//! Nodes that are cut off from the bus while they live: their guards, whose clocks are up to a percent wrong, stop what
//! is to stop, or their watchdogs reset them; and what is concluded of it, when. What is decided is the model's and the
//! core's; what is done is here.

use watari_contracts::agent::{Guard, Guarded, NodeFacts, OffReason};
use watari_model::{
    NodeName, Refusal, VmName,
    isolation::{Duty, OnIsolation, Terms},
    migration,
    vm::{Desired, State},
};

use super::{
    agent::{Disk, Guest, Host, Process},
    faults::{CALM, DARK, Faults},
    flow::Stage,
    scenarios::tell,
    sim::{Broken, Event, MINUTE, SERVERS, Sim},
    wishes::Wish,
};

/// The longest that are granted here, and the only ones that are asked for.
pub(crate) const TERMS: Terms = Terms { lease_ms: 10_000, stop_ms: 4_000 };
/// A watchdog's time.
const BITES_MS: u64 = 3_000;
/// Longer than it takes from the last lease until everything is known to be stopped, and less than a minute.
const OVER: u64 = 35_000;

/// A lease on its way to the node.
pub(crate) struct Grant {
    pub(crate) node: NodeName,
    instance: u64,
    seq: u64,
    epoch: u64,
}

impl Host {
    fn clock(&self, now: u64) -> u64 {
        now.saturating_add_signed(i64::try_from(now / 100).unwrap() * self.skew)
    }

    /// What it is to stop when it is cut off, and under which generation it has it.
    fn wards(&self) -> Vec<(VmName, u64)> {
        let granted =
            self.guests.iter().filter(|(_, guest)| guest.stops && guest.seen > 0 && guest.seen == guest.granted);
        granted.map(|(vm, guest)| (vm.clone(), guest.seen)).collect()
    }

    fn is_alive(&self, vm: &VmName) -> bool {
        self.guests.get(vm).is_some_and(|guest| guest.process != Process::None)
    }

    /// What its facts ask for.
    pub(crate) fn ask(&mut self, now: u64) -> Option<Guard> {
        let needs = |guest: &Guest| match guest.disk {
            Disk::Copy(_) => true,
            Disk::None | Disk::Whole => guest.seen > 0 && guest.seen == guest.granted,
            Disk::Leftover => false,
        };
        if !self.guests.values().any(|guest| guest.stops && !guest.removed && needs(guest)) {
            return None;
        }
        let wards = self.wards();
        self.asked.insert(self.seq, self.clock(now));
        let guarded = |(vm, generation): (VmName, u64)| {
            let stopped = self.guests[&vm].stopped;
            let told = stopped || (self.lease.is_promised() && self.is_alive(&vm));
            told.then_some((vm, Guarded { generation, stopped }))
        };
        Some(Guard { terms: TERMS, watchdog: true, vms: wards.into_iter().filter_map(guarded).collect() })
    }
}

impl Sim {
    /// The scheduler hears that a node asks. What it grants is noted before it is sent.
    pub(crate) fn grant(&mut self, facts: &NodeFacts) {
        let Some(guard) = &facts.guard else { return };
        if self.ledger.grant(&facts.node, guard.terms, self.now) && !self.is_lost() {
            let (node, instance) = (facts.node.clone(), facts.instance.parse().unwrap());
            let delay = self.delay();
            self.after(delay, Event::Hold(Grant { node, instance, seq: facts.seq, epoch: self.epoch }));
        }
    }

    /// The grant arrives.
    pub(crate) fn hold(&mut self, grant: &Grant) {
        let now = self.now;
        let obeys_all = self.broken.ignores_epochs();
        let host = self.hosts.get_mut(&grant.node).unwrap();
        if !host.hears() || host.instance != grant.instance || (host.epoch > grant.epoch && !obeys_all) {
            return;
        }
        host.epoch = host.epoch.max(grant.epoch);
        let was = host.lease.is_promised();
        if let Some(asked_at) = host.asked.get(&grant.seq) {
            host.lease = host.lease.granted(*asked_at, TERMS);
        }
        host.cut_off = host.lease.duty(host.clock(now)) != Duty::RunOn;
        if !was {
            let node = grant.node.clone();
            self.publish(&node);
        }
    }

    /// A second of all guards.
    pub(crate) fn guard(&mut self) {
        if self.broken == Broken::GuardSleeps {
            return;
        }
        let nodes: Vec<NodeName> = self.hosts.keys().cloned().collect();
        for node in nodes {
            let host = self.hosts.get_mut(&node).unwrap();
            host.cut_off = host.lease.duty(host.clock(self.now)) != Duty::RunOn;
            let wards = host.wards();
            if host.up && !wards.is_empty() {
                self.guard_one(&node, &wards);
            }
        }
    }

    fn guard_one(&mut self, node: &NodeName, wards: &[(VmName, u64)]) {
        let now = self.hosts[node].clock(self.now);
        if !self.hosts[node].agent_up || self.hosts[node].ails.paused {
            if now >= self.hosts[node].bites_at {
                self.log(format!("the watchdog of {node} bites"));
                self.darken(node);
                self.after(5_000, Event::Mend(node.clone()));
            }
            return;
        }
        let duty = self.hosts[node].lease.duty(now);
        for (vm, _) in wards {
            let process = self.hosts[node].guests[vm].process.clone();
            let heeds = duty == Duty::ShutDown && process == Process::Running && self.rng.chance(50);
            if heeds || (duty == Duty::ForceOff && process != Process::None) {
                self.halt(node, vm);
            }
        }
        let host = self.hosts.get_mut(node).unwrap();
        let all_stopped = host.cut_off && wards.iter().all(|(vm, _)| !host.is_alive(vm));
        if host.lease.may_kick(now, BITES_MS, all_stopped) {
            host.bites_at = now + BITES_MS;
        }
    }

    /// A guard stops a server.
    fn halt(&mut self, node: &NodeName, vm: &VmName) {
        self.log(format!("{node}, which is cut off, stops {vm}"));
        self.halts += 1;
        self.hurt(vm);
        let guest = self.guest(node, vm);
        guest.process = Process::None;
        guest.defined = Some(OffReason::Shutdown);
        (guest.stopped, guest.operation) = (true, None);
        self.break_flows(|flow| flow.from == *node && flow.vm == *vm);
        self.publish(node);
    }
}

fn mail() -> VmName {
    "mail".parse().unwrap()
}

/// A world whose servers are to stop, and whose nodes' clocks differ.
pub(super) fn isolated(seed: u64, servers: &[(&str, u64)], faults: Faults, broken: Broken) -> Sim {
    let mut sim = Sim::new(seed, servers, faults, broken);
    for (host, skew) in sim.hosts.values_mut().zip([-1, 1, 0, -1]) {
        host.skew = skew;
    }
    for (name, _) in servers {
        sim.amend(name, |vm| vm.spec.on_isolation = OnIsolation::Stop);
    }
    sim
}

/// `mail` runs, and its node has said that it stops it; where.
fn guarded(seed: u64, broken: Broken) -> (Sim, NodeName) {
    let mut sim = isolated(seed, &[("mail", 192)], CALM, broken);
    sim.run(20_000);
    let vm = sim.document(&mail()).unwrap();
    assert_eq!(vm.guarded, Some(vm.generation()), "{}", sim.story());
    let node = vm.node().unwrap().clone();
    assert_eq!(sim.running(&mail()), [&node], "{}", sim.story());
    (sim, node)
}

fn cut(sim: &mut Sim, node: &NodeName) {
    sim.log(format!("{node} is cut from the bus"));
    sim.hosts.get_mut(node).unwrap().connected = false;
}

fn is_told(sim: &Sim) -> bool {
    matches!(sim.document(&mail()).unwrap().fault, Some(Refusal::VmIsolated { .. }))
}

/// `mail` has arrived at its target, paused; and its source, which knows nothing of that, is cut off. From where to where.
fn cut_at_the_switch_over(seed: u64, broken: Broken) -> (Sim, NodeName, NodeName) {
    let (mut sim, from) = guarded(seed, broken);
    sim.after(0, Event::Operator(Wish::Migrate(mail())));
    while !sim.flows.values().any(|flow| flow.stage == Stage::Arrived) {
        assert!(sim.now < MINUTE, "{}", sim.story());
        sim.run(sim.now + 1);
    }
    let flow = sim.flows.values().next().unwrap().clone();
    cut(&mut sim, &from);
    sim.break_flow(&flow.migration);
    (sim, from, flow.to)
}

#[test]
fn invariant_1_a_server_runs_on_at_most_one_node_whoever_is_cut_off_and_whatever_dies() {
    let mut halts = 0;
    for seed in 0..40 {
        let sim = tell(isolated(seed, SERVERS, DARK, Broken::Nothing), 2 * MINUTE);
        sim.assert_sound();
        halts += sim.halts;
    }
    assert!(halts > 0, "nobody was cut off for long enough");
}

#[test]
fn a_paused_copy_runs_once_its_source_must_have_stopped_and_not_before() {
    for seed in 0..20 {
        let (mut sim, from, to) = cut_at_the_switch_over(seed, Broken::Nothing);
        sim.run(sim.now + 6_000);
        assert!(!sim.running(&mail()).contains(&&to), "its source may still run: {}", sim.story());
        sim.run(sim.now + OVER);
        assert_eq!(sim.running(&mail()), [&to], "{}", sim.story());
        assert_eq!(sim.truth[&mail()].boots, 1, "it was not booted anew");
        let ended = sim.docs.migrations.values().all(|m| m.value.state == migration::State::Completed);
        assert!(ended, "{}", sim.story());
        sim.mend(&from);
        sim.run(sim.now + 2 * MINUTE);
        sim.assert_sound();
        assert_eq!(sim.running(&mail()), [&to], "its old node runs nothing without a grant: {}", sim.story());
    }
}

#[test]
fn a_node_that_promises_to_stop_a_server_and_does_not_is_found_out() {
    let doubles = |seed| {
        let (mut sim, ..) = cut_at_the_switch_over(seed, Broken::GuardSleeps);
        sim.run(sim.now + OVER);
        sim.violation.is_some_and(|what| what.starts_with("invariant 1"))
    };
    assert!((0..40).any(doubles), "the simulation proves nothing");
}

#[test]
fn a_server_whose_only_disk_is_on_a_node_that_is_cut_off_is_told_to_be_off_and_starts_there_again() {
    for seed in 0..10 {
        let (mut sim, node) = guarded(seed, Broken::Nothing);
        cut(&mut sim, &node);
        sim.run(sim.now + 5_000);
        assert_eq!(sim.running(&mail()), [&node], "its lease has not run out: {}", sim.story());
        sim.run(sim.now + OVER);
        let vm = sim.document(&mail()).unwrap();
        assert_eq!(
            (vm.state, vm.desired, vm.node()),
            (State::Stopped, Desired::Running, Some(&node)),
            "{}",
            sim.story()
        );
        assert!(is_told(&sim) && sim.running(&mail()).is_empty(), "{}", sim.story());
        sim.mend(&node);
        sim.run(sim.now + MINUTE);
        sim.assert_sound();
        assert!(!is_told(&sim), "{}", sim.story());
        assert_eq!(sim.running(&mail()), [&node], "{}", sim.story());
    }
}

#[test]
fn a_server_that_was_stopped_so_is_started_again_though_its_guest_shut_down_in_order() {
    for seed in 0..10 {
        let (mut sim, node) = guarded(seed, Broken::Nothing);
        cut(&mut sim, &node);
        // Long enough for the guard, and too short for anybody else to conclude anything.
        sim.run(sim.now + 14_000);
        assert!(sim.running(&mail()).is_empty() && !is_told(&sim), "{}", sim.story());
        sim.mend(&node);
        sim.run(sim.now + MINUTE);
        assert_eq!(sim.document(&mail()).unwrap().desired, Desired::Running, "{}", sim.story());
        assert_eq!(sim.running(&mail()), [&node], "{}", sim.story());
        sim.assert_sound();
    }
}

#[test]
fn one_that_is_to_stay_runs_on_however_long_its_node_is_cut_off() {
    let mut sim = Sim::new(7, &[("mail", 192)], CALM, Broken::Nothing);
    sim.run(20_000);
    let vm = sim.document(&mail()).unwrap();
    let node = vm.node().unwrap().clone();
    assert_eq!(vm.guarded, None);
    cut(&mut sim, &node);
    sim.run(sim.now + 5 * MINUTE);
    assert_eq!((sim.running(&mail()), sim.halts), (vec![&node], 0), "{}", sim.story());
    assert_eq!(sim.document(&mail()).unwrap().state, State::Running, "silence proves nothing");
}

#[test]
fn of_a_site_that_is_cut_off_as_a_whole_and_of_a_cordoned_node_nothing_is_concluded() {
    for cordoned in [true, false] {
        let (mut sim, node) = guarded(3, Broken::Nothing);
        if cordoned {
            let entry = sim.docs.nodes[node.as_str()].clone();
            let mut changed = entry.value.clone();
            changed.cordoned = true;
            let docs = &mut sim.docs;
            assert!(super::documents::put(&mut docs.nodes, &mut docs.revision, changed, entry.revision));
            cut(&mut sim, &node);
        } else {
            let site = sim.hosts[&node].site.clone();
            let there: Vec<NodeName> =
                sim.hosts.values().filter(|host| host.site == site).map(|host| host.name.clone()).collect();
            there.iter().for_each(|node| cut(&mut sim, node));
        }
        sim.run(sim.now + 3 * MINUTE);
        assert!(sim.running(&mail()).is_empty() && !is_told(&sim), "{}", sim.story());
        assert_eq!(sim.document(&mail()).unwrap().state, State::Running, "{}", sim.story());
    }
}

#[test]
fn one_that_accepts_the_loss_runs_from_its_copy_once_its_node_must_have_stopped_it_and_not_before() {
    for seed in 0..20 {
        let (mut sim, _) = guarded(seed, Broken::Nothing);
        let (from, to) = super::copies::copy_elsewhere(&mut sim, 3_600);
        sim.run(sim.now + 2_000);
        cut(&mut sim, &from);
        sim.run(sim.now + 6_000);
        assert!(!sim.running(&mail()).contains(&&to), "its node may still run it: {}", sim.story());
        sim.run(sim.now + OVER + 20_000);
        assert_eq!(sim.running(&mail()), [&to], "{}", sim.story());
        sim.mend(&from);
        sim.run(sim.now + 2 * MINUTE);
        sim.assert_sound();
        assert_eq!(sim.running(&mail()), [&to], "its old node runs nothing without a grant: {}", sim.story());
    }
}
