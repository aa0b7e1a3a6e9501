//! The agents' side: what they admit, by the real rules ([`Seen::admit`](watari_model::admission::Seen::admit),
//! [`heed`]), and what comes of it; and libvirt's paused migration with its ways of failing, as they were measured.

use watari_contracts::agent::Phase;
use watari_model::{
    admission::{Ask, Seen, heed},
    vm::Grant,
};

use super::{
    Broken, Ending, Luck, Protocol,
    world::{Ahead, Disk, Flow, Guest, HOME, Order, Place, Process, Stage, Verb, World, name},
};

/// What an order asks for, as far as grants matter.
fn ask<'a>(order: Order, grant: &'a Grant, operation: &'a str) -> Option<Ask<'a>> {
    Some(match order.verb {
        Verb::Start | Verb::Resume => Ask::Run { grant, operation },
        Verb::Receive => Ask::Receive(order.generation),
        Verb::Send => Ask::Send(order.generation),
        Verb::Discard => Ask::Discard(order.generation),
        Verb::Release | Verb::Remove => Ask::Clear(order.generation),
        Verb::Abort => return None,
    })
}

impl Protocol {
    /// An order comes, sent by the scheduler of that epoch.
    pub(super) fn deliver(&self, world: &mut World, order: Order, epoch: u64, ending: Ending) -> Option<()> {
        let guest = &mut world.guests[order.at];
        if !guest.up {
            return None;
        }
        match heed(guest.epoch, epoch) {
            Ok(highest) => guest.epoch = highest,
            Err(_) if self.broken == Broken::IgnoresEpochs => {}
            Err(_) => return None,
        }
        let succeeded = epoch < guest.obeyed;
        guest.obeyed = guest.obeyed.max(epoch);
        let Some(seen) = self.admit(guest, order) else { return Some(()) };
        guest.seen = seen;
        match order.verb {
            Verb::Abort | Verb::Discard => {
                guest.closed.insert(order.migration);
            }
            // From now on the copy is the server, and its disk the server's disk.
            Verb::Resume if matches!(guest.disk, Disk::Copy(_)) => guest.disk = Disk::Whole,
            _ => {}
        }
        world.disobeyed |= succeeded;
        if ending == Ending::CutOff {
            world.faults = world.faults.checked_sub(1)?;
        } else if self.perform(world, order) {
            world.guests[order.at].done.insert(order);
        }
        Some(())
    }

    /// What the journal keeps if the order is taken; nothing if it is refused, or known.
    fn admit(&self, guest: &Guest, order: Order) -> Option<Seen> {
        let runs = matches!(order.verb, Verb::Start | Verb::Resume);
        if runs && self.broken == Broken::HeedsNoGrant {
            return Some(guest.seen.clone());
        }
        let travels = matches!(order.verb, Verb::Receive | Verb::Send);
        if guest.done.contains(&order) || (travels && guest.closed.contains(&order.migration)) {
            return None;
        }
        let me = name(order.at);
        let (grant, operation) = (Grant { node: me.clone(), generation: order.generation }, order.operation());
        match ask(order, &grant, &operation) {
            Some(ask) => guest.seen.admit(&me, ask).ok(),
            None => Some(guest.seen.clone()),
        }
    }

    /// Does it; whether that is done.
    fn perform(&self, world: &mut World, order: Order) -> bool {
        match order.verb {
            Verb::Send => return send(world, order),
            Verb::Abort => return break_off(world, order.migration),
            _ => {}
        }
        let guest = &mut world.guests[order.at];
        match (order.verb, guest.process, guest.disk) {
            (Verb::Start | Verb::Resume, Process::Running, _) => {}
            (Verb::Start, Process::None, Disk::Whole) | (Verb::Resume, Process::Paused, _) => {
                guest.process = Process::Running;
            }
            (Verb::Start, Process::None, Disk::None) if world.ahead == Ahead::Granted && order.at != HOME => {
                world.ahead = Ahead::Nothing;
                guest.disk = Disk::Whole;
                guest.process = Process::Running;
            }
            (Verb::Receive, Process::None, Disk::None | Disk::Copy(_) | Disk::Leftover) => {
                // What lay here is made anew.
                world.newest[order.at] = false;
                guest.disk = Disk::Copy(order.migration);
                guest.passage = Some((order.migration, Phase::Prepared));
            }
            // A later migration is under way: of this one nothing is left.
            (Verb::Discard, _, Disk::Copy(of)) if of != order.migration => {}
            (Verb::Discard, ..) => {
                guest.process = Process::None;
                guest.passage = None;
                if matches!(guest.disk, Disk::Copy(_)) {
                    guest.disk = Disk::None;
                }
            }
            (Verb::Release, Process::None, disk) => {
                guest.passage = None;
                if disk == Disk::Whole {
                    guest.disk = Disk::Leftover;
                }
            }
            (Verb::Remove, ..) => {
                guest.process = Process::None;
                guest.disk = Disk::None;
                guest.passage = None;
            }
            _ => return false,
        }
        true
    }

    /// libvirt goes on.
    pub(super) fn flow(&self, world: &mut World) -> Option<()> {
        let mut flow = world.flow.filter(|flow| !flow.dead)?;
        match flow.stage {
            Stage::Copying => {
                world.guests[flow.from].process = Process::Paused;
                flow.stage = Stage::Stopped;
            }
            Stage::Stopped => {
                let running = self.broken == Broken::ArrivesRunning;
                world.guests[flow.to].process = if running { Process::Running } else { Process::Paused };
                world.newest[flow.to] = true;
                world.whole = flow.migration;
                flow.stage = Stage::Arrived;
            }
            Stage::Arrived => {
                world.guests[flow.from].process = Process::None;
                end_flow(world, flow);
                return Some(());
            }
        }
        world.flow = Some(flow);
        Some(())
    }

    /// The connection breaks. Measured: libvirt may let the source run on, leave it standing, or end it.
    pub(super) fn snap(&self, world: &mut World, luck: Luck) -> Option<()> {
        let flow = world.flow?;
        let possible = match luck {
            Luck::RunsOn => true,
            Luck::Stands => flow.stage != Stage::Copying,
            Luck::Ends => flow.stage == Stage::Arrived,
        };
        if !possible {
            return None;
        }
        if !flow.dead {
            world.faults = world.faults.checked_sub(1)?;
        }
        world.guests[flow.from].process = match luck {
            Luck::RunsOn => Process::Running,
            Luck::Stands => Process::Paused,
            Luck::Ends => Process::None,
        };
        end_flow(world, flow);
        Some(())
    }

    /// A node's power goes: no process survives it.
    pub(super) fn cut_power(&self, world: &mut World, at: Place) -> Option<()> {
        let guest = &mut world.guests[at];
        if !guest.up {
            return None;
        }
        guest.up = false;
        guest.process = Process::None;
        world.faults = world.faults.checked_sub(1)?;
        Some(())
    }

    /// It comes back, and runs nothing.
    pub(super) fn restore_power(&self, world: &mut World, at: Place) -> Option<()> {
        let guest = &mut world.guests[at];
        if guest.up {
            return None;
        }
        guest.up = true;
        guest.passage =
            guest.passage.map(|(of, phase)| (of, if phase == Phase::Copying { Phase::Ended } else { phase }));
        Some(())
    }

    /// An agent dies and is started again. All that matters is in its journal, unless that is not kept.
    pub(super) fn restart_agent(&self, world: &mut World, at: Place) -> Option<()> {
        if self.broken != Broken::ForgetsAtCrash {
            return None;
        }
        world.faults = world.faults.checked_sub(1)?;
        let guest = &mut world.guests[at];
        guest.seen = Seen::default();
        guest.epoch = 0;
        guest.closed.clear();
        guest.done.clear();
        Some(())
    }
}

/// The sending begins, if the target is prepared for it.
fn send(world: &mut World, order: Order) -> bool {
    let (from, to, migration) = (order.at, 1 - order.at, order.migration);
    if world.guests[from].process != Process::Running || world.flow.is_some() {
        return false;
    }
    let target = &mut world.guests[to];
    let ready = target.up && target.process == Process::None && target.disk == Disk::Copy(migration);
    if ready {
        target.process = Process::Incoming;
        world.flow = Some(Flow { migration, from, to, stage: Stage::Copying, dead: false });
    }
    world.guests[from].passage = Some((migration, if ready { Phase::Copying } else { Phase::Ended }));
    true
}

/// A sending is broken off; in the switch-over libvirt lets nobody do so.
fn break_off(world: &mut World, migration: u64) -> bool {
    match world.flow.filter(|flow| flow.migration == migration) {
        Some(flow) if flow.stage == Stage::Copying => {
            end_flow(world, flow);
            true
        }
        Some(_) => false,
        None => true,
    }
}

fn end_flow(world: &mut World, flow: Flow) {
    world.flow = None;
    let target = &mut world.guests[flow.to];
    if target.process == Process::Incoming {
        target.process = Process::None;
    }
    let source = &mut world.guests[flow.from];
    if source.up {
        source.passage = Some((flow.migration, Phase::Ended));
    }
}

impl World {
    /// What follows at once from what has just happened.
    pub(super) fn follow(&mut self) {
        if let Some(flow) = self.flow {
            let (source, target) = match flow.stage {
                Stage::Copying => (Process::Running, Process::Incoming),
                Stage::Stopped => (Process::Paused, Process::Incoming),
                Stage::Arrived => (Process::Paused, Process::Paused),
            };
            if self.guests[flow.from].process != source {
                end_flow(self, flow);
            } else if self.guests[flow.to].process != target {
                self.flow = Some(Flow { dead: true, ..flow });
            }
        }
        for at in [0_usize, 1] {
            if self.guests[at].process == Process::Running {
                self.newest = [at == 0, at == 1];
            }
        }
        for at in [0_usize, 1] {
            let granted = at != HOME && self.ahead == Ahead::Granted;
            self.newest[at] &= self.guests[at].disk != Disk::None || granted;
        }
    }
}
