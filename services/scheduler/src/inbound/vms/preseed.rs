//! Sending a server's disk ahead: asked for in its document, done by the loop.

use watari_chassis::clock;
use watari_contracts::scheduler::{PreseedVm, VmView};
use watari_model::{
    Refusal,
    vm::{Desired, State, Vm},
};

use super::{Desk, digest_of, power::not_now};
use crate::core::{Need, Rooms, ask_elsewhere, check};

impl Desk {
    pub(in crate::inbound) async fn preseed_vm(self, request: PreseedVm) -> Result<VmView, Refusal> {
        let digest = digest_of(&("preseed", &request.name, &request.to));
        let snap = self.executor.snapshot(0);
        let rooms = Rooms::of(&snap, &self.rules);
        let ask = |vm: &mut Vm| {
            // One that is on its way is sent ahead when it has arrived.
            let runs = matches!(vm.state, State::Running | State::Migrating) && vm.desired == Desired::Running;
            if !runs {
                return Err(not_now(vm, "preseed"));
            }
            if let Some(to) = &request.to {
                if vm.node() == Some(to) {
                    return Err(Refusal::AlreadyThere { vm: vm.name.to_string(), node: to.to_string() });
                }
                check(&rooms, &Need::crossing(vm, &snap), to)?;
            }
            match &request.to {
                Some(to) => vm.ask_preseed(Some(to.clone()), clock::now()),
                None => ask_elsewhere(&snap, vm, clock::now()),
            }
            Ok(())
        };
        self.amend(&request.name, request.request_id.as_deref(), &digest, ask).await
    }
}
