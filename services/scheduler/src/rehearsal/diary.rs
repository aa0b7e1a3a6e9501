//! What happens in a rehearsal, written down as it happens. Moments are milliseconds of the twin's time.

use std::collections::BTreeMap;

use watari_model::{
    NodeName, VmName,
    migration::Reason,
    outage::{Halted, Left, Outage, State},
    vm::{self, Vm},
};

use super::link::Flow;

/// One way of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trip {
    pub(crate) to: NodeName,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) bytes: u64,
    pub(crate) measured: bool,
}

/// What happened to one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// How it left.
    pub(crate) out: Option<Trip>,
    /// When it began to go off, for want of time.
    pub(crate) stops: Option<u64>,
    /// When it was off.
    pub(crate) off: Option<u64>,
    /// When it was at home and ran again.
    pub(crate) home: Option<u64>,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    pub(crate) servers: BTreeMap<VmName, Entry>,
    /// When the outage was evacuated.
    pub(crate) evacuated: Option<u64>,
    /// When the return began.
    pub(crate) returns: Option<u64>,
    /// When it was over.
    pub(crate) completed: Option<u64>,
    /// Who did not leave.
    pub(crate) left: Vec<Left>,
    /// Who went off instead.
    pub(crate) halted: Vec<Halted>,
    /// Who did not come home.
    pub(crate) away: Vec<Left>,
    /// Who ran on a node that failed, which it was and when.
    pub(crate) fell: BTreeMap<VmName, (NodeName, u64)>,
    /// Bytes that had travelled to nodes that failed, before the outage was evacuated.
    pub(crate) vain: u64,
    /// Who was there when the power went.
    pub(crate) at_risk: Option<Vec<VmName>>,
}

impl Diary {
    fn of(&mut self, vm: &VmName) -> &mut Entry {
        self.servers.entry(vm.clone()).or_default()
    }

    /// Whether a server has left, whatever its document says yet.
    pub(crate) fn has_left(&self, vm: &VmName) -> bool {
        self.servers.get(vm).is_some_and(|entry| entry.out.is_some())
    }

    pub(super) fn crossed(&mut self, flow: &Flow, reason: Reason, clock: u64) {
        let began = flow.began.unwrap_or(clock);
        let (bytes, measured) = (flow.bytes, flow.load.measured);
        let entry = self.of(&flow.vm);
        match reason {
            Reason::Return => entry.home = Some(clock),
            _ => entry.out = Some(Trip { to: flow.to.clone(), began, ended: clock, bytes, measured }),
        }
    }

    /// A server's document is written, which was in state `before`.
    pub(super) fn server(&mut self, vm: &Vm, before: Option<vm::State>, clock: u64) {
        use vm::State::{Running, Starting, Stopped, Stopping, Suspended};
        if before == Some(vm.state) {
            return;
        }
        match vm.state {
            Stopping if vm.halt.is_some() => self.of(&vm.name).stops = Some(clock),
            Stopped | Suspended if vm.halt.is_some() => self.of(&vm.name).off = Some(clock),
            Running if before == Some(Starting) && self.servers.get(&vm.name).is_some_and(|e| e.off.is_some()) => {
                self.of(&vm.name).home = Some(clock);
            }
            _ => {}
        }
    }

    pub(super) fn outage(&mut self, outage: &Outage, clock: u64) {
        match outage.state {
            State::Evacuating => self.halted.clone_from(&outage.halted),
            State::Evacuated => {
                self.evacuated.get_or_insert(clock);
                self.left.clone_from(&outage.left);
                self.halted.clone_from(&outage.halted);
            }
            State::Returning => {
                self.returns.get_or_insert(clock);
                self.at_risk.get_or_insert_default();
            }
            State::Completed => {
                self.completed.get_or_insert(clock);
                self.away.clone_from(&outage.left);
            }
            State::Scheduled | State::Cancelled => {}
        }
    }

    /// A node goes dark on which these run.
    pub(super) fn went_down(&mut self, vms: Vec<VmName>, node: &NodeName, clock: u64) {
        self.fell.extend(vms.into_iter().map(|vm| (vm, (node.clone(), clock))));
    }

    /// A copy's target failed under way.
    pub(super) const fn in_vain(&mut self, flow: &Flow) {
        if self.evacuated.is_none() {
            self.vain = self.vain.saturating_add(flow.sent());
        }
    }

    /// Whether a server went down with this node.
    pub(crate) fn fell_with(&self, vm: &VmName, node: &NodeName) -> bool {
        self.fell.get(vm).is_some_and(|(with, _)| with == node)
    }

    pub(super) fn power_off(&mut self, there: Vec<VmName>) {
        self.at_risk.get_or_insert(there);
    }

    /// When the last of them had left or was off.
    pub(crate) fn last_left(&self) -> Option<u64> {
        let left = self.servers.values().filter_map(|entry| entry.out.as_ref().map(|trip| trip.ended).max(entry.off));
        left.max()
    }
}
