//! What becomes of a server when it has to leave, or goes off by itself. It holds from the moment on at which it is
//! written down; nothing of it concerns its node.

use watari_contracts::scheduler::{EditVm, VmView};
use watari_model::{
    Refusal,
    vm::{Desired, Vm},
};

use super::{Desk, check::check_priority, digest_of, power::not_now};

impl Desk {
    pub(in crate::inbound) async fn edit_vm(self, request: EditVm) -> Result<VmView, Refusal> {
        if request.restart.is_none() && request.priority.is_none() && request.evacuate.is_none() {
            return Err(Refusal::Malformed { detail: "none of restart, priority and evacuate is given".to_owned() });
        }
        request.priority.map_or(Ok(()), check_priority)?;
        let digest = digest_of(&("edit", EditVm { request_id: None, ..request.clone() }));
        let edit = |vm: &mut Vm| {
            if vm.desired == Desired::Deleted {
                return Err(not_now(vm, "edit"));
            }
            let spec = &mut vm.spec;
            spec.restart = request.restart.unwrap_or(spec.restart);
            spec.priority = request.priority.unwrap_or(spec.priority);
            spec.evacuate = request.evacuate.unwrap_or(spec.evacuate);
            Ok(())
        };
        self.amend(&request.name, request.request_id.as_deref(), &digest, edit).await
    }
}
