//! What becomes of a server when it has to leave, or goes off by itself. It holds from the moment on at which it is
//! written down; nothing of it concerns its node.

use watari_contracts::scheduler::{EditVm, VmView};
use watari_model::{
    Refusal,
    vm::{Desired, Vm},
};

use super::{Desk, check::check_priority, digest_of, power::not_now, probes::check_probes};

impl Desk {
    pub(in crate::inbound) async fn edit_vm(self, request: EditVm) -> Result<VmView, Refusal> {
        let EditVm { restart, priority, evacuate, ref probes, .. } = request;
        if restart.is_none() && priority.is_none() && evacuate.is_none() && probes.is_none() {
            let detail = "none of restart, priority, evacuate and probes is given".to_owned();
            return Err(Refusal::Malformed { detail });
        }
        request.priority.map_or(Ok(()), check_priority)?;
        request.probes.as_deref().map_or(Ok(()), check_probes)?;
        let digest = digest_of(&("edit", EditVm { request_id: None, ..request.clone() }));
        let edit = |vm: &mut Vm| {
            if vm.desired == Desired::Deleted {
                return Err(not_now(vm, "edit"));
            }
            let spec = &mut vm.spec;
            if let Some(probes) = &request.probes {
                spec.probes.clone_from(probes);
            }
            spec.restart = request.restart.unwrap_or(spec.restart);
            spec.priority = request.priority.unwrap_or(spec.priority);
            spec.evacuate = request.evacuate.unwrap_or(spec.evacuate);
            Ok(())
        };
        self.amend(&request.name, request.request_id.as_deref(), &digest, edit).await
    }
}
