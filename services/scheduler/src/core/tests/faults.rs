//! What goes wrong: kinds of fault, how often each comes, and what it does to the simulated world. Each that came is
//! counted, so that a run that says "nothing is violated" can say under what.

use std::collections::BTreeSet;

use watari_model::{MigrationId, NodeName, Timestamp};

use super::{
    documents::at,
    flow::Flow,
    scheduler::Held,
    sim::{Event, Sim},
};
use crate::core::{Action, decide};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A message is lost.
    Lost,
    /// One comes seconds late, after others that were sent later.
    Late,
    /// An order comes twice.
    Twice,
    /// The connection of a migration breaks in the switch-over, and libvirt leaves one of its outcomes.
    SwitchOverBroken,
    /// The scheduler dies, and what it had in hand with it.
    SchedulerDies,
    /// It is succeeded, and what it had in hand goes on: it does not know.
    SchedulerLingers,
    /// It stands still with what it has decided, and goes on with that; mostly another one leads by then.
    SchedulerPaused,
    /// It dies just before it writes or orders something.
    SchedulerDiesBefore,
    /// It dies just after something that it wrote or ordered is done.
    SchedulerDiesAfter,
    AgentDies,
    /// An agent stands still, and goes on with what it held.
    AgentPaused,
    /// It dies when it has written an order down and not carried it out.
    AgentDiesBefore,
    /// It dies when it has carried an order out and not written that down.
    AgentDiesAfter,
    /// A node is cut from the bus.
    NodeCut,
    /// A node hears, and nobody hears it.
    NodeMute,
    /// A node is heard, and hears nobody.
    NodeDeaf,
    LinkCut,
    LinkCutOneWay,
    PowerLost,
    /// The whole bus is down.
    BusDown,
    /// The clock on the wall, a scheduler's or a node's, jumps ahead or back.
    ClockJumps,
    DiskSlow,
    DiskFull,
    /// libvirt does not do it, and says so.
    LibvirtFails,
    /// libvirt does it, and says that it failed.
    LibvirtErrs,
    /// libvirt says nothing for a while.
    LibvirtHangs,
}

impl Fault {
    pub(crate) const ALL: [Self; 26] = [
        Self::Lost,
        Self::Late,
        Self::Twice,
        Self::SwitchOverBroken,
        Self::SchedulerDies,
        Self::SchedulerLingers,
        Self::SchedulerPaused,
        Self::SchedulerDiesBefore,
        Self::SchedulerDiesAfter,
        Self::AgentDies,
        Self::AgentPaused,
        Self::AgentDiesBefore,
        Self::AgentDiesAfter,
        Self::NodeCut,
        Self::NodeMute,
        Self::NodeDeaf,
        Self::LinkCut,
        Self::LinkCutOneWay,
        Self::PowerLost,
        Self::BusDown,
        Self::ClockJumps,
        Self::DiskSlow,
        Self::DiskFull,
        Self::LibvirtFails,
        Self::LibvirtErrs,
        Self::LibvirtHangs,
    ];
}

/// Those that come by the clock. One that is named twice comes twice as often.
const USUAL: [Fault; 8] = [
    Fault::SchedulerDies,
    Fault::SchedulerLingers,
    Fault::AgentDies,
    Fault::AgentDies,
    Fault::NodeCut,
    Fault::LinkCut,
    Fault::LinkCut,
    Fault::LinkCut,
];
const POWER: [Fault; 2] = [Fault::PowerLost; 2];
const WORSE: [Fault; 11] = [
    Fault::SchedulerPaused,
    Fault::SchedulerPaused,
    Fault::AgentPaused,
    Fault::NodeMute,
    Fault::NodeDeaf,
    Fault::LinkCutOneWay,
    Fault::BusDown,
    Fault::ClockJumps,
    Fault::DiskSlow,
    Fault::DiskFull,
    Fault::LibvirtHangs,
];

/// How bad the world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Percent of messages that are lost, and of those that come late.
    pub(crate) loss: u64,
    /// Percent of orders that come twice, the second time late.
    pub(crate) twice: u64,
    /// Milliseconds between faults, about; 0 for none.
    pub(crate) every: u64,
    /// Whether nodes lose power, which kills guests.
    pub(crate) power: bool,
    /// Whether the rarer kinds are among them: pauses, one-way cuts, clocks, disks, the bus.
    pub(crate) worse: bool,
    /// Percent of a switch-over's steps at which the link is cut.
    pub(crate) aim: u64,
    /// Percent of what libvirt is asked to do that fails, or seems to.
    pub(crate) libvirt: u64,
    /// Percent of effects before or after which the one who has it in hand dies.
    pub(crate) dies: u64,
    /// Percent of seconds in which an operator looks after a lost node, and says so if it is dark.
    pub(crate) looks: u64,
}

/// Nothing goes wrong.
pub(crate) const CALM: Faults =
    Faults { loss: 0, twice: 0, every: 0, power: false, worse: false, aim: 0, libvirt: 0, dies: 0, looks: 0 };
/// Messages are lost, late and doubled, and connections break at the worst moment.
pub(crate) const LOSSY: Faults = Faults { loss: 5, twice: 5, aim: 10, ..CALM };
/// Schedulers, agents and links die as well.
pub(crate) const ROUGH: Faults = Faults { loss: 2, twice: 3, every: 4_000, aim: 15, ..CALM };
/// Nodes lose their power as well.
pub(crate) const DARK: Faults = Faults { every: 5_000, power: true, ..ROUGH };
/// All there is.
pub(crate) const WORST: Faults = Faults { every: 3_000, worse: true, libvirt: 4, dies: 1, looks: 20, ..DARK };

/// How long the lease of leadership lasts: who stands still or is cut off for longer is succeeded.
const LEADS_MS: u64 = 4_000;

/// What is the matter with a node that lives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ails {
    /// Its agent stands still.
    pub(crate) paused: bool,
    /// Nothing that its agent says arrives.
    pub(crate) mute: bool,
    /// Nothing that is said to its agent arrives.
    pub(crate) deaf: bool,
    pub(crate) slow: bool,
    pub(crate) full: bool,
    /// libvirt does not answer.
    pub(crate) hung: bool,
    /// By how many milliseconds its clock on the wall is wrong.
    pub(crate) jump: i64,
}

/// The moment on a clock on the wall that is wrong.
pub(crate) fn wall(now: u64, jump: i64) -> Timestamp {
    at(now.saturating_add_signed(jump))
}

impl Sim {
    /// A fault has come.
    pub(crate) fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }

    /// Whether chance would have it.
    pub(crate) fn befalls(&mut self, percent: u64, fault: Fault) -> bool {
        let befalls = self.rng.chance(percent);
        if befalls {
            self.count(fault);
        }
        befalls
    }

    pub(crate) fn is_lost(&mut self) -> bool {
        self.befalls(self.faults.loss, Fault::Lost)
    }

    pub(crate) const fn bus_is_down(&self) -> bool {
        self.now < self.bus_until
    }

    /// A moment has come for one.
    pub(crate) fn fault(&mut self) {
        if self.now >= self.trouble_until {
            return;
        }
        let Faults { every, power, worse, .. } = self.faults;
        let next = self.rng.between(every / 2, every * 2);
        self.after(next, Event::Fault);
        let mut kinds = USUAL.to_vec();
        kinds.extend(POWER.into_iter().filter(|_| power));
        kinds.extend(WORSE.into_iter().filter(|_| worse));
        let nodes: Vec<NodeName> = self.hosts.keys().cloned().collect();
        let (kind, node, other) =
            (*self.rng.pick(&kinds), self.rng.pick(&nodes).clone(), self.rng.pick(&nodes).clone());
        if self.strike(kind, &node, &other) {
            self.log(format!("FAULT {kind:?}, about {node} and {other}"));
            self.count(kind);
        }
    }

    /// Does what a kind of fault does; whether it could.
    fn strike(&mut self, kind: Fault, node: &NodeName, other: &NodeName) -> bool {
        let back = self.rng.between(500, 30_000);
        let leads = self.primary && !self.stands_still();
        let lives = self.hosts[node].up && self.hosts[node].agent_up;
        match kind {
            Fault::SchedulerDies | Fault::SchedulerLingers if leads => {
                self.scheduler_dies(kind == Fault::SchedulerLingers, 8_000);
            }
            Fault::SchedulerPaused if leads && self.held.is_none() => self.pause_scheduler(),
            Fault::BusDown if !self.bus_is_down() => self.take_bus_down(back),
            Fault::ClockJumps => {
                let jump = i64::try_from(self.rng.between(0, 120_000)).unwrap() - 60_000;
                if self.rng.chance(50) {
                    self.scheduler.jump = jump;
                } else {
                    self.hosts.get_mut(node).unwrap().ails.jump = jump;
                }
            }
            Fault::LinkCut | Fault::LinkCutOneWay if node != other => {
                self.cut_link(node, other, kind == Fault::LinkCut, back);
            }
            Fault::AgentDies if lives => self.agent_dies(node, back),
            Fault::PowerLost if self.hosts[node].up => {
                self.darken(node);
                self.after(back, Event::Mend(node.clone()));
            }
            Fault::NodeCut => {
                self.hosts.get_mut(node).unwrap().connected = false;
                self.after(back, Event::Mend(node.clone()));
            }
            Fault::AgentPaused
            | Fault::NodeMute
            | Fault::NodeDeaf
            | Fault::DiskSlow
            | Fault::DiskFull
            | Fault::LibvirtHangs
                if lives =>
            {
                let ails = &mut self.hosts.get_mut(node).unwrap().ails;
                match kind {
                    Fault::AgentPaused => ails.paused = true,
                    Fault::NodeMute => ails.mute = true,
                    Fault::NodeDeaf => ails.deaf = true,
                    Fault::DiskSlow => ails.slow = true,
                    Fault::DiskFull => ails.full = true,
                    _ => ails.hung = true,
                }
                self.after(back, Event::Mend(node.clone()));
            }
            _ => return false,
        }
        true
    }

    /// The scheduler dies, and another one leads within `most` milliseconds.
    pub(crate) fn scheduler_dies(&mut self, linger: bool, most: u64) {
        self.crash_scheduler(linger);
        let back = self.rng.between(1, most);
        self.after(back, Event::Elect);
    }

    pub(crate) fn agent_dies(&mut self, node: &NodeName, back: u64) {
        let host = self.hosts.get_mut(node).unwrap();
        (host.agent_up, host.ails.paused) = (false, false);
        self.after(back, Event::Mend(node.clone()));
    }

    /// Whether the scheduler that leads stands still.
    pub(crate) fn stands_still(&self) -> bool {
        self.primary && self.held.as_ref().is_some_and(|held| held.epoch == self.scheduler.epoch)
    }

    /// It stands still between deciding and doing.
    fn pause_scheduler(&mut self) {
        let (epoch, until) = (self.scheduler.epoch, self.now + self.rng.between(500, 20_000));
        self.follow();
        let decided = decide(&self.snapshot(), &self.rules, self.wall());
        let says = |action: &Action| !matches!(action, Action::Alarm { .. } | Action::ReleasePorts { .. });
        let free = |action: &Action| !self.scheduler.is_busy(&action.key());
        let actions = decided.into_iter().filter(|action| says(action) && free(action)).collect();
        self.held = Some(Held { epoch, until, actions });
        self.after(until - self.now, Event::Thaw);
        self.after(LEADS_MS, Event::Succeed(epoch));
    }

    /// The lease of a scheduler that could not renew it has run out.
    pub(crate) fn succeed(&mut self, epoch: u64) {
        let is_away = self.bus_is_down() || self.stands_still();
        if self.primary && self.scheduler.epoch == epoch && is_away {
            self.log(format!("the lease of epoch {epoch} has run out"));
            self.scheduler_dies(true, LEADS_MS);
        }
    }

    fn take_bus_down(&mut self, back: u64) {
        self.bus_until = self.now + back;
        if self.primary {
            self.after(LEADS_MS, Event::Succeed(self.scheduler.epoch));
        }
    }

    fn cut_link(&mut self, node: &NodeName, other: &NodeName, both: bool, back: u64) {
        for (a, b) in [(node, other), (other, node)].into_iter().take(if both { 2 } else { 1 }) {
            self.cut.insert((a.clone(), b.clone()));
            self.after(back, Event::Relink(a.clone(), b.clone()));
        }
        // keepalive notices at once, or a little later when the flow goes on
        if self.rng.chance(50) {
            self.break_flows(|f| (f.from == *node && f.to == *other) || (f.from == *other && f.to == *node));
        }
    }

    pub(crate) fn break_flows(&mut self, which: impl Fn(&Flow) -> bool) {
        let ids: Vec<_> = self.flows.values().filter(|f| which(f)).map(|f| f.migration.clone()).collect();
        ids.iter().for_each(|id| self.break_flow(id));
    }

    /// A node goes dark, and stays so until it is mended.
    pub(crate) fn darken(&mut self, node: &NodeName) {
        self.log(format!("{node} loses power"));
        let killed = self.hosts.get_mut(node).unwrap().lose_power();
        killed.iter().for_each(|vm| self.hurt(vm));
        self.break_flows(|f| f.from == *node || f.to == *node);
    }

    pub(crate) fn mend(&mut self, node: &NodeName) {
        self.log(format!("{node} is well"));
        let flows: BTreeSet<MigrationId> = self.flows.keys().cloned().collect();
        let host = self.hosts.get_mut(node).unwrap();
        host.connected = true;
        host.ails = Ails::default();
        if !host.up || !host.agent_up {
            host.up = true;
            host.agent_up = true;
            host.restart_agent(&flows);
        }
        self.publish(node);
    }

    /// Everything works again.
    pub(crate) fn heal(&mut self) {
        self.faults = CALM;
        self.fencer = None;
        self.cut.clear();
        self.bus_until = 0;
        self.scheduler.jump = 0;
        if let Some(held) = &mut self.held {
            held.until = self.now;
        }
        self.thaw();
        let nodes: Vec<NodeName> = self.hosts.keys().cloned().collect();
        nodes.iter().for_each(|node| self.mend(node));
        let overtaken = self.hosts.values().any(|host| host.epoch > self.scheduler.epoch);
        if !self.primary || overtaken {
            self.elect_scheduler();
        }
        self.log("HEALED".to_owned());
    }
}
