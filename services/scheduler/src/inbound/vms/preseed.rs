//! Sending a server's disk ahead: asked for in its document, done by the loop.

use watari_chassis::clock;
use watari_contracts::scheduler::{PreseedVm, VmView};
use watari_model::{
    NodeName, Refusal,
    vm::{Desired, State, Vm},
};

use super::{Desk, digest_of, power::not_now};
use crate::core::{Need, Rooms, Snapshot, ask_elsewhere, check, closed, not_running, target};

impl Desk {
    pub(in crate::inbound) async fn preseed_vm(self, request: PreseedVm) -> Result<VmView, Refusal> {
        let request_id = request.request_id.as_deref();
        if request.cancel {
            let take_back = |vm: &mut Vm| {
                vm.cancel_preseed(clock::now());
                Ok(())
            };
            return self.amend(&request.name, request_id, &digest_of(&("no preseed", &request.name)), take_back).await;
        }
        let digest = digest_of(&("preseed", &request.name, &request.to));
        let snap = self.executor.snapshot(0);
        let rooms = Rooms::of(&snap, &self.rules);
        let ask = |vm: &mut Vm| {
            may_send(vm)?;
            is_not_leaving(&snap, vm)?;
            match &request.to {
                Some(to) => {
                    may_go(&snap, &rooms, vm, to)?;
                    vm.ask_preseed(Some(to.clone()), clock::now());
                }
                None => {
                    ask_elsewhere(&snap, vm, clock::now());
                    // From where one goes that is on its way is known when it has arrived.
                    if vm.state == State::Running {
                        target(&snap, &rooms, vm)?;
                    }
                }
            }
            Ok(())
        };
        self.amend(&request.name, request_id, &digest, ask).await
    }
}

/// One that is on its way is sent ahead when it has arrived.
fn may_send(vm: &Vm) -> Result<(), Refusal> {
    match (vm.state, vm.desired) {
        (State::Running | State::Migrating, Desired::Running) => Ok(()),
        (State::Pending, Desired::Stopped)
        | (State::Stopped | State::Suspended | State::Failed, Desired::Running | Desired::Stopped) => {
            Err(not_running(vm))
        }
        _ => Err(not_now(vm, "preseed")),
    }
}

/// One that leaves an emptied site has nowhere to be sent ahead to but that site: it is told what it would be told once
/// it has arrived.
fn is_not_leaving(snap: &Snapshot, vm: &Vm) -> Result<(), Refusal> {
    let node = vm.node().and_then(|node| snap.nodes.get(node.as_str()));
    node.and_then(|entry| closed(snap, &entry.value)).map_or(Ok(()), Err)
}

/// Whether a certain node can have its disk, and later the server.
fn may_go(snap: &Snapshot, rooms: &Rooms, vm: &Vm, to: &NodeName) -> Result<(), Refusal> {
    if vm.node() == Some(to) {
        return Err(Refusal::AlreadyThere { vm: vm.name.to_string(), node: to.to_string() });
    }
    if let Some(refusal) = snap.nodes.get(to.as_str()).and_then(|entry| closed(snap, &entry.value)) {
        return Err(refusal);
    }
    check(rooms, &Need::crossing(vm, snap), to)
}
