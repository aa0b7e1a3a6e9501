//! Disks of deleted servers that nodes keep, as the nodes' documents tell of them; and which servers begin with them.

use std::collections::HashSet;

use watari_model::{DiskName, NodeName, Refusal, disk::KeptDisk, node::Node, vm::Vm};

use super::Snapshot;

/// A kept disk, and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) node: &'a Node,
    /// The UUID of the server that it was of.
    pub(crate) uuid: &'a str,
    pub(crate) disk: &'a KeptDisk,
}

impl Kept<'_> {
    /// What it is called; none if its node tells nonsense.
    pub(crate) fn name(&self) -> Option<DiskName> {
        DiskName::of(&self.disk.vm, self.uuid).ok()
    }
}

/// All of them, by node.
pub(crate) fn all(snap: &Snapshot) -> impl Iterator<Item = Kept<'_>> {
    snap.nodes.values().flat_map(|entry| {
        let node = &entry.value;
        node.inventory.disks.iter().map(move |(uuid, disk)| Kept { node, uuid, disk })
    })
}

/// The one of that name.
pub(crate) fn named<'a>(snap: &'a Snapshot, name: &DiskName) -> Option<Kept<'a>> {
    all(snap).find(|kept| kept.name().as_ref() == Some(name))
}

/// Where a disk is kept that has the name which a server's own would have: one that it left when its node was lost, or by
/// chance another's.
pub(crate) fn namesake<'a>(snap: &'a Snapshot, vm: &Vm) -> Option<&'a NodeName> {
    let name = DiskName::of(&vm.name, &vm.uuid).ok()?;
    named(snap, &name).map(|kept| &kept.node.name)
}

/// The server whose disk it is to become, or became just now.
pub(crate) fn taker<'a>(snap: &'a Snapshot, uuid: &str) -> Option<&'a Vm> {
    let mut vms = snap.vms.values().map(|entry| &entry.value);
    vms.find(|vm| vm.spec.first_boot.disk.as_deref() == Some(uuid))
}

/// The server that has a disk which no node keeps any more. Of the server that it was of nobody knows the name then, so
/// that the digits of the UUID in the disk's name tell.
pub(crate) fn heir<'a>(snap: &'a Snapshot, name: &DiskName) -> Option<&'a Vm> {
    let (_, digits) = name.as_str().rsplit_once('-')?;
    let mut vms = snap.vms.values().map(|entry| &entry.value);
    vms.find(|vm| vm.spec.first_boot.disk.as_deref().and_then(|uuid| uuid.get(..8)) == Some(digits))
}

/// What is said of a disk that no node keeps: that a server has it, or that there is none.
pub(crate) fn missing(snap: &Snapshot, name: &DiskName) -> Refusal {
    let disk = name.to_string();
    match heir(snap, name) {
        Some(vm) => Refusal::DiskInUse { disk, vm: vm.name.to_string() },
        None => Refusal::DiskUnknown { disk },
    }
}

/// The disks that servers begin with: room is reckoned for those.
pub(crate) fn taken(snap: &Snapshot) -> HashSet<&str> {
    snap.vms.values().filter_map(|entry| entry.value.spec.first_boot.disk.as_deref()).collect()
}

/// The disk that a server is to begin with, if it is to begin with one that it has not got yet.
pub(crate) fn wanted(vm: &Vm) -> Option<&str> {
    vm.spec.first_boot.disk.as_deref().filter(|_| !vm.booted)
}

#[cfg(test)]
mod tests;
