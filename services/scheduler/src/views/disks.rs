//! A kept disk's view.

use watari_contracts::scheduler::DiskView;
use watari_model::VmName;

use crate::core::Kept;

/// A kept disk with the server that is to begin with it; none if its node tells nonsense.
pub(crate) fn disk(kept: &Kept<'_>, used_by: Option<VmName>) -> Option<DiskView> {
    Some(DiskView {
        name: kept.name()?,
        vm: kept.disk.vm.clone(),
        project: kept.disk.project.clone(),
        node: kept.node.name.clone(),
        site: kept.node.site.clone(),
        image: kept.disk.base.image.clone(),
        disk_gib: kept.disk.disk_gib,
        size_bytes: kept.disk.size_bytes,
        used_by,
        kept_at: kept.disk.kept_at,
    })
}
