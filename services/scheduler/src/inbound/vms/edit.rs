//! What becomes of a server when it has to leave, or goes off by itself; and with which project it is counted. It holds
//! from the moment on at which it is written down, since nothing of it concerns its node, but for what its node does when
//! it is cut off: that node is told with the next start, and the next one with the migration.

use std::num::NonZeroU32;

use watari_contracts::scheduler::{EditVm, Fault, VmView};
use watari_model::{
    Refusal,
    project::Used,
    vm::{Desired, Vm},
};

use super::{
    Desk,
    after::{off, users},
    check::{check_max_downtime, check_priority, check_probes},
    digest_of,
    power::not_now,
};
use crate::inbound::projects::USE;

impl Desk {
    pub(in crate::inbound) async fn edit_vm(self, request: EditVm) -> Result<VmView, Refusal> {
        let EditVm { restart, priority, evacuate, on_isolation, ref probes, .. } = request;
        let from_copy = request.restart_from_copy_seconds;
        let max_downtime = request.max_downtime_seconds;
        let seconds = from_copy.is_some() || max_downtime.is_some();
        let policies = [restart.is_some(), priority.is_some(), evacuate.is_some(), on_isolation.is_some(), seconds];
        let lists = probes.is_some() || request.after.is_some();
        if !policies.contains(&true) && !lists && request.project.is_none() {
            let detail = "none of project, restart, priority, evacuate, on_isolation, restart_from_copy_seconds, \
                          max_downtime_seconds, probes and after is given"
                .to_owned();
            return Err(Refusal::Malformed { detail });
        }
        request.priority.map_or(Ok(()), check_priority)?;
        max_downtime.map_or(Ok(()), check_max_downtime)?;
        request.probes.as_deref().map_or(Ok(()), check_probes)?;
        let digest = digest_of(&("edit", EditVm { request_id: None, ..request.clone() }));
        let _use = match &request.project {
            Some(_) => Some(self.turns.take(USE).await),
            None => None,
        };
        let _after = self.after_turn(request.after.is_some()).await;
        if let Some(after) = &request.after {
            self.check_after(&request.name, after).await?;
        }
        let edit = |vm: &mut Vm| {
            if vm.desired == Desired::Deleted {
                return Err(not_now(vm, "edit"));
            }
            if let Some(project) = request.project.as_ref().filter(|project| **project != vm.project) {
                self.admits(project, &vm.name, Used::of(vm))?;
                vm.project = project.clone();
            }
            let spec = &mut vm.spec;
            if let Some(probes) = &request.probes {
                spec.probes.clone_from(probes);
            }
            if let Some(after) = &request.after {
                spec.after.clone_from(after);
            }
            spec.restart = request.restart.unwrap_or(spec.restart);
            spec.priority = request.priority.unwrap_or(spec.priority);
            spec.evacuate = request.evacuate.unwrap_or(spec.evacuate);
            spec.on_isolation = request.on_isolation.unwrap_or(spec.on_isolation);
            spec.restart_from_copy_seconds = from_copy.map_or(spec.restart_from_copy_seconds, NonZeroU32::new);
            spec.max_downtime_seconds = max_downtime.map_or(spec.max_downtime_seconds, NonZeroU32::new);
            Ok(())
        };
        let view = self.amend(&request.name, request.request_id.as_deref(), &digest, edit).await?;
        let after = request.after.as_deref().unwrap_or_default();
        let vms = self.stores().vms.snapshot();
        let off = off(&vms, &request.name, after);
        // As where it is shown: who reads on whom it depends now reads who depends on it beside that.
        let before = users(&vms, &request.name).cloned().collect();
        Ok(VmView { warnings: off.iter().map(Fault::from).collect(), before: Some(before), ..view })
    }
}
