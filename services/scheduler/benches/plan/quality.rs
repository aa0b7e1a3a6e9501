//! Whether a plan is one, looked at apart from who made it, and how good it is.

use std::collections::{BTreeMap, BTreeSet};

use watari_model::{GroupName, NodeName, VmName, vm::Company};
use watari_scheduler::core::{
    Snapshot,
    forecast::{Forecast, Move},
};

use crate::Fault;

/// What is to be said of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Quality {
    /// Who runs where it goes dark and is not moved.
    pub(crate) left: usize,
    /// Nodes that would hold more than they have, servers that would be beside another of their group or still
    /// where it goes dark, moves of servers that are not there, and those before what they depend on has its turn.
    pub(crate) faults: usize,
    /// The fullest node's memory in use, against what it would be if all were alike.
    pub(crate) fullest: f64,
}

/// Looks at the plan of an evacuation.
pub(crate) fn look(snap: &Snapshot, plan: &Forecast) -> Result<Quality, Fault> {
    let dark = crate::cloud::dark()?;
    let mut places: BTreeMap<&VmName, &NodeName> = BTreeMap::new();
    for vm in snap.vms.values().map(|entry| &entry.value) {
        places.extend(vm.node().map(|node| (&vm.name, node)));
    }
    let mut faults = 0_usize;
    let mut to_come: BTreeSet<&VmName> = plan.moves.iter().map(|one| &one.vm).collect();
    for Move { vm, from, to, .. } in &plan.moves {
        let before = places.insert(vm, to);
        faults += usize::from(before != Some(from));
        to_come.remove(vm);
        let after = snap.vms.get(vm.as_str()).into_iter().flat_map(|entry| &entry.value.spec.after);
        faults += after.filter(|other| to_come.contains(other)).count();
    }
    let mut used: BTreeMap<&NodeName, u64> = BTreeMap::new();
    let mut groups: BTreeSet<(&NodeName, &GroupName)> = BTreeSet::new();
    let mut left = 0_usize;
    for vm in snap.vms.values().map(|entry| &entry.value) {
        let Some(node) = places.get(&vm.name).copied() else { continue };
        *used.entry(node).or_default() += vm.spec.memory_mib;
        if snap.nodes.get(node.as_str()).is_none_or(|entry| entry.value.site == dark) {
            left += 1;
            continue;
        }
        for membership in vm.spec.groups.iter().filter(|membership| membership.company == Company::Apart) {
            faults += usize::from(!groups.insert((node, &membership.group)));
        }
    }
    let (mut all, mut most, mut count) = (0_u64, 0_u64, 0_u64);
    for node in snap.nodes.values().map(|entry| &entry.value).filter(|node| node.site != dark) {
        let memory = used.get(&node.name).copied().unwrap_or(0);
        faults += usize::from(memory > node.inventory.memory_mib);
        (all, most, count) = (all + memory, most.max(memory), count + 1);
    }
    Ok(Quality { left, faults, fullest: (most * count) as f64 / all as f64 })
}

/// Whether two plans are the same.
pub(crate) fn are_same(a: &Forecast, b: &Forecast) -> bool {
    format!("{a:?}") == format!("{b:?}")
}
