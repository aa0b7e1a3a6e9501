//! Moments of a server's disk that have a name: asked for in its document, done by the loop.

use watari_chassis::clock;
use watari_contracts::scheduler::{CreateSnapshot, DeleteSnapshot, RevertSnapshot, VmView};
use watari_model::{
    Refusal,
    project::Used,
    vm::{Desired, State, Vm},
};

use super::{Desk, digest_of, power::not_now};
use crate::inbound::projects::USE;

impl Desk {
    pub(in crate::inbound) async fn create_snapshot(self, request: CreateSnapshot) -> Result<VmView, Refusal> {
        let digest = digest_of(&("create-snapshot", &request.vm, &request.name));
        // What the project had left for one is not left for the next.
        let _turn = self.turns.take(USE).await;
        let snap = self.executor.view();
        let ask = |vm: &mut Vm| {
            // Of one that is on its way it is taken when it has arrived.
            let has_disk = matches!(vm.state, State::Running | State::Migrating | State::Stopped) && vm.grant.is_some();
            if !has_disk || vm.desired == Desired::Deleted {
                return Err(not_now(vm, "take a snapshot"));
            }
            self.reachable(&snap, vm)?;
            let used = Used::of(vm);
            vm.ask_snapshot(request.name.clone(), clock::now())?;
            self.admits(&vm.project, &vm.name, Used::of(vm).beyond(used))
        };
        self.amend(&request.vm, request.request_id.as_deref(), &digest, ask).await
    }

    pub(in crate::inbound) async fn revert_snapshot(self, request: RevertSnapshot) -> Result<VmView, Refusal> {
        let digest = digest_of(&("revert-snapshot", &request.vm, &request.name));
        let snap = self.executor.view();
        let ask = |vm: &mut Vm| {
            if vm.desired == Desired::Deleted {
                return Err(not_now(vm, "go back to a snapshot"));
            }
            // A server is not stopped for a name that it does not have.
            vm.snapshot(&request.name)?;
            off(vm)?;
            self.reachable(&snap, vm)?;
            vm.ask_revert(&request.name, clock::now())
        };
        self.amend(&request.vm, request.request_id.as_deref(), &digest, ask).await
    }

    pub(in crate::inbound) async fn delete_snapshot(self, request: DeleteSnapshot) -> Result<VmView, Refusal> {
        let digest = digest_of(&("delete-snapshot", &request.vm, &request.name));
        let forget = |vm: &mut Vm| vm.forget_snapshot(&request.name);
        self.amend(&request.vm, request.request_id.as_deref(), &digest, forget).await
    }
}

/// Whether it is off, and nobody but an operator would start it.
fn off(vm: &Vm) -> Result<(), Refusal> {
    let state = match (vm.state, vm.desired) {
        (State::Stopped, Desired::Stopped) if vm.grant.is_some() => return Ok(()),
        // It is to run, and will as soon as it can.
        (State::Stopped, Desired::Running) => State::Starting,
        (state, _) => state,
    };
    Err(Refusal::RevertNotStopped { vm: vm.name.to_string(), state: state.word().to_owned() })
}
