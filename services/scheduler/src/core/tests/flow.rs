//! libvirt's paused migration, with its ways of failing at the switch-over.
//!
//! ```text
//!  copying ──▶ A stands still ──▶ B complete, paused ──▶ A gone ──▶ the call returns
//! ```

use watari_contracts::agent::{OffReason, Phase, Progress, Transfer};
use watari_model::{MigrationId, NodeName, VmName};
use watari_testkit::facts::passage;

use super::{
    agent::Process,
    faults::Fault,
    sim::{Broken, Event, Sim},
};

/// A migration as libvirt does it.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) migration: MigrationId,
    pub(crate) vm: VmName,
    pub(crate) from: NodeName,
    pub(crate) to: NodeName,
    pub(crate) operation: String,
    pub(crate) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Copying,
    Stopped,
    Arrived,
}

impl Sim {
    pub(crate) fn begin_flow(&mut self, flow: Flow) {
        self.check_first_byte(&flow);
        let ready = self.hosts[&flow.to].up
            && self.linked(&flow.from, &flow.to)
            && self.hosts[&flow.to].guests.get(&flow.vm).is_some_and(|g| {
                // QEMU copies no disk into one of another size.
                let same = self.hosts[&flow.from].guests.get(&flow.vm).is_some_and(|from| from.disk_gib == g.disk_gib);
                same && g.process == Process::None && g.disk == super::agent::Disk::Copy(flow.migration.clone())
            });
        self.guest(&flow.from, &flow.vm).passage = Some(passage(&flow.migration, Phase::Copying));
        let id = flow.migration.clone();
        if !ready {
            return self.end_flow(flow, Some("the target does not take it"));
        }
        self.guest(&flow.to, &flow.vm).process = Process::Incoming(id.clone());
        let memory = self.memory_bytes(&flow.vm).saturating_mul(1_000);
        let next = memory.checked_div(self.link).unwrap_or_else(|| self.rng.between(50, 3_000));
        let slow = self.hosts[&flow.from].ails.slow || self.hosts[&flow.to].ails.slow;
        let next = if slow { next * 10 } else { next };
        self.flows.insert(id.clone(), flow);
        self.after(next, Event::Flow(id));
    }

    fn memory_bytes(&self, vm: &VmName) -> u64 {
        self.document(vm).map_or(0, |vm| vm.spec.memory_mib << 20)
    }

    pub(crate) fn advance_flow(&mut self, id: &MigrationId) {
        let Some(mut flow) = self.flows.get(id).cloned() else { return };
        let (there, back) = (self.linked(&flow.from, &flow.to), self.linked(&flow.to, &flow.from));
        // A link that is cut one way lets the last of the copy through, and not the word that it is whole; or that word
        // alone.
        let goes_on = match flow.stage {
            Stage::Copying => there && back,
            Stage::Stopped => there,
            Stage::Arrived => back,
        };
        if !goes_on {
            return self.break_flow(id);
        }
        match flow.stage {
            Stage::Copying => {
                self.guest(&flow.from, &flow.vm).process = Process::Paused;
                flow.stage = Stage::Stopped;
            }
            Stage::Stopped => {
                let arrives = if self.broken == Broken::ArrivesRunning { Process::Running } else { Process::Paused };
                self.guest(&flow.to, &flow.vm).process = arrives;
                self.truth.entry(flow.vm.clone()).or_default().disk.insert(flow.to.clone());
                flow.stage = Stage::Arrived;
                self.publish(&flow.to.clone());
            }
            Stage::Arrived => {
                let source = self.guest(&flow.from, &flow.vm);
                source.process = Process::None;
                source.defined = Some(OffReason::Migrated);
                let source = flow.from.clone();
                self.end_flow(flow, None);
                return self.publish(&source);
            }
        }
        self.flows.insert(id.clone(), flow);
        if self.befalls(self.faults.aim, Fault::SwitchOverBroken) {
            return self.break_flow(id);
        }
        let next = self.rng.between(1, 60);
        self.after(next, Event::Flow(id.clone()));
    }

    /// The link, or one side, is gone: what is left depends on how far it was, and on luck.
    pub(crate) fn break_flow(&mut self, id: &MigrationId) {
        let Some(flow) = self.flows.remove(id) else { return };
        let (a, b) = (self.hosts[&flow.from].up, self.hosts[&flow.to].up);
        if flow.stage < Stage::Arrived && b {
            let target = self.guest(&flow.to, &flow.vm);
            if matches!(target.process, Process::Incoming(_)) {
                target.process = Process::None;
            }
        }
        if a {
            let luck = self.rng.between(0, 3);
            let whole = flow.stage == Stage::Arrived;
            let source = self.guest(&flow.from, &flow.vm);
            if source.process == Process::Paused {
                // Measured: libvirt may let the source run on, leave it standing, or end it.
                match luck {
                    0 | 1 => {
                        source.process = Process::Running;
                        let newest = [flow.from.clone()].into();
                        self.truth.entry(flow.vm.clone()).or_default().disk = newest;
                    }
                    2 if whole => {
                        source.process = Process::None;
                        source.defined = Some(OffReason::Crashed);
                    }
                    _ => {}
                }
            }
        }
        if flow.stage == Stage::Arrived && !(a && b) {
            // The only whole copy may have died with a side.
            self.hurt(&flow.vm);
        }
        self.end_flow(flow, Some("the connection broke"));
    }

    /// An operator's or the scheduler's breaking off; in the switch-over libvirt takes none.
    pub(crate) fn abort_flow(&mut self, id: &MigrationId) -> bool {
        match self.flows.get(id).map(|flow| flow.stage) {
            Some(Stage::Copying) => {
                self.break_flow(id);
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    fn end_flow(&mut self, flow: Flow, complaint: Option<&str>) {
        self.flows.remove(&flow.migration);
        if !self.hosts[&flow.from].up {
            return;
        }
        let memory_sent = if self.link == 0 { 1 } else { self.memory_bytes(&flow.vm) };
        let source = self.guest(&flow.from, &flow.vm);
        if let Some(passage) = source.passage.as_mut().filter(|p| p.migration == flow.migration) {
            passage.phase = Phase::Ended;
            passage.complaint = complaint.map(str::to_owned);
            passage.transfer = Some(Transfer { memory_sent, downtime_ms: 30, ..Transfer::default() });
        }
        if source.working.as_ref() == Some(&flow.operation) {
            source.working = None;
        }
        let host = self.hosts.get_mut(&flow.from).unwrap();
        host.journal.insert(flow.operation, Progress::Done);
        self.publish(&flow.from);
    }
}
