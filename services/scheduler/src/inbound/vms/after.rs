//! On which other servers one depends, who depends on it, and that nobody deletes it from under those.

use tokio::sync::OwnedMutexGuard;
use watari_chassis::Snapshot as Docs;
use watari_model::{
    Refusal, VmName,
    vm::{Desired, MOST_AFTER, Vm},
};

use super::{Desk, check::check_list, find};
use crate::core::{Snapshot, circle};

/// So many of those that depend on one are named.
const NAMED: usize = 10;

impl Desk {
    /// One at a time changes who depends on whom, if it does, so that no two make a circle together.
    pub(super) async fn after_turn(&self, changes: bool) -> Option<OwnedMutexGuard<()>> {
        if changes { Some(self.turns.take("server dependencies").await) } else { None }
    }

    /// Checks that a server may depend on these: not too many, each once, all there, and no circle.
    pub(super) async fn check_after(&self, vm: &VmName, after: &[VmName]) -> Result<(), Refusal> {
        check_list("after", after.iter(), MOST_AFTER)?;
        if after.is_empty() {
            return Ok(());
        }
        for other in after {
            // That is a circle, and it may not be there yet.
            if other == vm {
                continue;
            }
            let entry = find(&self.stores().vms, other.as_str()).await?;
            if entry.is_none_or(|entry| entry.value.desired == Desired::Deleted) {
                return Err(Refusal::VmUnknown { vm: other.to_string() });
            }
        }
        match circle(&self.stores().vms.snapshot(), vm, after) {
            Some(chain) => Err(Refusal::AfterCycle { vm: vm.to_string(), chain }),
            None => Ok(()),
        }
    }
}

/// The servers that stay and depend on one.
pub(super) fn users<'s>(vms: &'s Docs<Vm>, vm: &'s VmName) -> impl Iterator<Item = &'s VmName> {
    let vms = vms.values().map(|entry| &entry.value);
    vms.filter(move |other| other.desired != Desired::Deleted && other.spec.after.contains(vm)).map(|other| &other.name)
}

/// Checks that no server that stays depends on one that is to be deleted.
pub(super) fn check_free(snap: &Snapshot, vm: &Vm) -> Result<(), Refusal> {
    if vm.desired == Desired::Deleted {
        return Ok(());
    }
    let users: Vec<String> = users(&snap.vms, &vm.name).take(NAMED).map(ToString::to_string).collect();
    if users.is_empty() {
        return Ok(());
    }
    Err(Refusal::DependedOn { vm: vm.name.to_string(), users: users.join(", ") })
}

/// That a server depends on some that are to be off: nothing waits for those. None if all are to run.
pub(super) fn off(vms: &Docs<Vm>, vm: &VmName, after: &[VmName]) -> Option<Refusal> {
    let is_off = |name: &&VmName| vms.get(name.as_str()).is_some_and(|entry| entry.value.desired == Desired::Stopped);
    let off: Vec<String> = after.iter().filter(is_off).map(ToString::to_string).collect();
    (!off.is_empty()).then(|| Refusal::AfterOff { vm: vm.to_string(), off: off.join(", ") })
}
