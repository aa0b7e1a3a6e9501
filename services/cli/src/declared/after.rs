//! Who depends on whom once a file holds: in which order its servers are made and changed, and whether all on which they
//! depend are there and none depends on itself. Pure.

use std::collections::{BTreeMap, BTreeSet};

use watari_contracts::scheduler::VmView;
use watari_model::{
    Refusal, VmName,
    vm::{self, Desired},
};

use super::form::Server;
use crate::failure::Failure;

/// The servers of a circle, by which it is known whichever of them it is told of; none if that is not the matter.
pub(super) fn circle(failure: &Failure) -> Option<BTreeSet<String>> {
    let Failure::Refused(body) = failure else { return None };
    let Refusal::AfterCycle { chain, .. } = &body.refusal else { return None };
    Some(chain.split(" > ").map(str::to_owned).collect())
}

/// The servers that are there then, each with those on which it depends.
pub(super) struct Depends<'a>(BTreeMap<&'a VmName, &'a [VmName]>);

impl<'a> Depends<'a> {
    /// As the file says, and as it is where the file says nothing. What is being deleted is as good as gone.
    pub(super) fn of(declared: impl Iterator<Item = &'a Server>, there: &'a [VmView]) -> Self {
        let (gone, stay): (Vec<_>, Vec<_>) = there.iter().partition(|vm| vm.desired == Desired::Deleted);
        let gone: BTreeSet<&VmName> = gone.into_iter().map(|vm| &vm.name).collect();
        let mut all: BTreeMap<&VmName, &[VmName]> =
            stay.into_iter().map(|vm| (&vm.name, vm.after.as_slice())).collect();
        for server in declared.filter(|server| !gone.contains(&server.name)) {
            let after = all.entry(&server.name).or_default();
            if let Some(wanted) = &server.after {
                *after = wanted.as_slice();
            }
        }
        Self(all)
    }

    /// Why a server cannot depend on what the file says; none if it can.
    pub(super) fn fault(&self, server: &Server) -> Option<Refusal> {
        let after = server.after.as_deref()?;
        let circle = vm::circle(&server.name, after, |name| self.0.get(name).copied().unwrap_or_default());
        if let Some(chain) = circle {
            return Some(Refusal::AfterCycle { vm: server.name.to_string(), chain });
        }
        let unknown = after.iter().find(|other| !self.0.contains_key(*other))?;
        Some(Refusal::VmUnknown { vm: unknown.to_string() })
    }

    /// How long the longest chain is on which each depends; of those that are in a circle, or behind one, nothing is said.
    pub(super) fn depths(&self) -> BTreeMap<VmName, usize> {
        let mut missing: BTreeMap<&VmName, usize> = BTreeMap::new();
        let mut behind: BTreeMap<&VmName, Vec<&VmName>> = BTreeMap::new();
        for (vm, after) in &self.0 {
            for other in after.iter().filter(|other| self.0.contains_key(*other)) {
                *missing.entry(*vm).or_default() += 1;
                behind.entry(other).or_default().push(*vm);
            }
        }
        let mut free: Vec<(&VmName, usize)> =
            self.0.keys().filter(|vm| !missing.contains_key(*vm)).map(|vm| (*vm, 0)).collect();
        let mut depths = BTreeMap::new();
        while !free.is_empty() {
            let mut next = Vec::new();
            for (vm, depth) in free {
                depths.insert(vm.clone(), depth);
                for dependent in behind.get(vm).into_iter().flatten() {
                    let Some(left) = missing.get_mut(*dependent) else { continue };
                    *left -= 1;
                    if *left == 0 {
                        next.push((*dependent, depth + 1));
                    }
                }
            }
            free = next;
        }
        depths
    }
}
