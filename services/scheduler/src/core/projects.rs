//! What projects have: their servers, with their snapshots, and the disks that were kept of servers.

use std::collections::{BTreeMap, BTreeSet};

use watari_model::{ProjectName, project::Used, vm::Desired};

use super::{
    Snapshot,
    disks::{self, Kept},
};

/// What each project has.
pub(crate) fn used(snap: &Snapshot) -> BTreeMap<ProjectName, Used> {
    let mut used = Used::by_project(snap.vms.values().map(|entry| &entry.value));
    for kept in counted(snap) {
        let all = used.entry(project_of(&kept)).or_default();
        *all = all.plus(Used::kept(kept.disk.counted_gib()));
    }
    used
}

/// What one project has.
pub(crate) fn used_by(snap: &Snapshot, project: &ProjectName) -> Used {
    let own = snap.vms.values().map(|entry| &entry.value).filter(|vm| vm.project == *project).map(Used::of);
    let kept = kept_of(snap, project).map(|kept| Used::kept(kept.disk.counted_gib()));
    own.chain(kept).fold(Used::default(), Used::plus)
}

/// The kept disks that are counted with a project.
pub(crate) fn kept_of<'a>(snap: &'a Snapshot, project: &'a ProjectName) -> impl Iterator<Item = Kept<'a>> {
    counted(snap).into_iter().filter(move |kept| project_of(kept) == *project)
}

/// With which project a kept disk is counted. One of which that is not known, since an agent of before has kept it, is
/// counted as a server is that names none.
pub(crate) fn project_of(kept: &Kept<'_>) -> ProjectName {
    kept.disk.project.clone().unwrap_or_default()
}

/// The kept disks that are counted with no server: neither with one that is to begin with it, nor with the one that it was
/// of, which is being deleted.
fn counted(snap: &Snapshot) -> Vec<Kept<'_>> {
    let mut kept: Vec<Kept<'_>> = disks::all(snap).collect();
    // Most have none, and then nobody looks at all servers.
    if !kept.is_empty() {
        let taken = disks::taken(snap);
        let deleted = snap.vms.values().map(|entry| &entry.value).filter(|vm| vm.desired == Desired::Deleted);
        let going: BTreeSet<_> = deleted.filter_map(|vm| Some((vm.uuid.as_str(), vm.node()?))).collect();
        kept.retain(|kept| !taken.contains(kept.uuid) && !going.contains(&(kept.uuid, &kept.node.name)));
    }
    kept
}

#[cfg(test)]
mod tests {
    use watari_model::{
        disk::KeptDisk,
        vm::{Change, Vm},
    };

    use super::*;
    use crate::core::tests::documents::{Documents, at, name, node, put, vm};

    const UUID: &str = "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41";

    fn research() -> ProjectName {
        "research".parse().unwrap()
    }

    /// A node that keeps a disk of 8 GiB, and servers of 2 GiB.
    fn snap(project: Option<ProjectName>, vms: impl IntoIterator<Item = Vm>) -> Snapshot {
        let (mut docs, mut counter) = (Documents::default(), 0);
        let mut keeper = node("m1", "myodaiji", 4_096);
        let (vm, base) = ("old".parse().unwrap(), vm("old", 128).spec.base);
        let kept = KeptDisk { vm, project, base, disk_gib: 8, size_bytes: 7, kept_at: at(0) };
        keeper.inventory.disks.insert(UUID.to_owned(), kept);
        put(&mut docs.nodes, &mut counter, keeper, 0);
        for vm in vms {
            put(&mut docs.vms, &mut counter, vm, 0);
        }
        let Documents { vms, nodes, .. } = docs;
        Snapshot { vms, nodes, ..Snapshot::default() }
    }

    fn disk(snap: &Snapshot, project: &ProjectName) -> (u64, u64) {
        let used = used_by(snap, project);
        assert_eq!(self::used(snap).get(project).copied().unwrap_or_default(), used);
        (used.disk_gib, used.kept_disk_gib)
    }

    #[test]
    fn a_kept_disk_is_counted_with_its_servers_project_and_with_default_if_that_is_not_known() {
        let of_research = Vm { project: research(), ..vm("one", 128) };
        let known = snap(Some(research()), [of_research.clone(), vm("two", 128)]);
        assert_eq!((disk(&known, &research()), disk(&known, &ProjectName::default())), ((10, 8), (2, 0)));
        let unknown = snap(None, [of_research, vm("two", 128)]);
        assert_eq!((disk(&unknown, &research()), disk(&unknown, &ProjectName::default())), ((2, 0), (10, 8)));
    }

    #[test]
    fn a_disk_is_counted_once_while_it_becomes_a_kept_one_and_while_it_becomes_another_servers() {
        let mut going = Vm { uuid: UUID.to_owned(), project: research(), ..vm("old", 128) };
        going.apply(Change::Granted(name("m1")), at(0)).unwrap();
        let set_aside = snap(Some(research()), [going.clone()]);
        assert_eq!(disk(&set_aside, &research()), (10, 8), "it runs on with another disk than that");
        going.desired = Desired::Deleted;
        assert_eq!(disk(&snap(Some(research()), [going]), &research()), (2, 0));
        let mut heir = vm("new", 128);
        heir.spec.first_boot.disk = Some(UUID.to_owned());
        let taken = snap(Some(research()), [heir]);
        assert_eq!((disk(&taken, &research()), disk(&taken, &ProjectName::default())), ((0, 0), (2, 0)));
    }
}
