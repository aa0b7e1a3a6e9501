//! What has become of servers since an outage was evacuated. Its report is a record and stays as it was written; where
//! servers are now is said by their own documents, each time somebody looks. So it changes no state, and cannot flap.

use std::collections::{BTreeMap, BTreeSet};

use watari_model::{
    NodeName, Refusal, VmName,
    outage::{Outage, State},
    vm::{self, Vm},
};

use super::{Snapshot, evacuation::concerned, report::Report};

/// Who runs where it goes dark though that is evacuated.
pub(crate) fn still_there<'s>(snap: &'s Snapshot, outage: &Outage) -> Vec<&'s Vm> {
    use vm::State::{Migrating, Running, Starting, Stopping};
    if outage.state != State::Evacuated {
        return Vec::new();
    }
    let mut there = concerned(snap, outage);
    there.retain(|vm| matches!(vm.state, Running | Starting | Stopping | Migrating));
    there
}

/// Why it never left, if that is so; else it was started there later, or came back.
pub(crate) fn never_left<'o>(outage: &'o Outage, vm: &VmName) -> Option<&'o Refusal> {
    let left = outage.left.iter().filter(|left| !left.is_off()).map(|left| (&left.vm, &left.fault));
    let halted = outage.halted.iter().map(|halted| (&halted.vm, &halted.fault));
    left.chain(halted).find(|(one, _)| *one == vm).map(|(_, fault)| fault)
}

/// Who is elsewhere by now than the report of an evacuated outage says, and on which node; on none if it is gone.
pub(crate) fn moved_since(snap: &Snapshot, outage: &Outage, report: &Report<'_>) -> Vec<(VmName, Option<NodeName>)> {
    if outage.state != State::Evacuated {
        return Vec::new();
    }
    let mut told: BTreeMap<&VmName, Option<&NodeName>> = outage.left.iter().map(|left| (&left.vm, None)).collect();
    told.extend(report.moved.iter().map(|migration| (&migration.vm, Some(&migration.to))));
    let there: BTreeSet<&VmName> = concerned(snap, outage).into_iter().map(|vm| &vm.name).collect();
    let differs = |(name, told): (&VmName, Option<&NodeName>)| {
        let vm = snap.vms.get(name.as_str()).map(|entry| &entry.value);
        let node = vm.and_then(Vm::node);
        let is_so = match told {
            Some(to) => node == Some(to),
            // It stays where it was, or never was anywhere.
            None => vm.is_some() && (node.is_none() || there.contains(name)),
        };
        (!is_so).then(|| (name.clone(), node.cloned()))
    };
    told.into_iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests;
