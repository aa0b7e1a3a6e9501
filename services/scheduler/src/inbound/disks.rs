//! Requests about the disks of deleted servers that nodes keep. They have no document of their own: what a node tells
//! is what there is.

use std::collections::BTreeMap;

use watari_contracts::{
    agent::{DropDisk, Order},
    scheduler::{DeleteDisk, DiskPage, DiskView, GetDisk, ListDisks},
};
use watari_model::{DiskName, Refusal};

use super::{Desk, fill, page};
use crate::{
    core::{Kept, Snapshot, disks, projects},
    views,
};

/// What names the order at its node: it is known by the disk, not by its name.
const OPERATION: &str = "drop-disk";

fn shown(snap: &Snapshot, kept: &Kept<'_>) -> Option<DiskView> {
    views::disk(kept, disks::taker(snap, kept.uuid).map(|vm| vm.name.clone()))
}

impl Desk {
    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn get_disk(self, request: GetDisk) -> Result<DiskView, Refusal> {
        let snap = self.executor.view();
        let kept = disks::named(&snap, &request.name).and_then(|kept| shown(&snap, &kept));
        kept.ok_or_else(|| disks::missing(&snap, &request.name))
    }

    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn list_disks(self, request: ListDisks) -> Result<DiskPage, Refusal> {
        let limit = page(request.limit, 500)?;
        let snap = self.executor.view();
        let is_wanted = |kept: &Kept<'_>| request.project.as_ref().is_none_or(|own| projects::project_of(kept) == *own);
        let views = disks::all(&snap).filter(is_wanted).filter_map(|kept| shown(&snap, &kept));
        let mut all: BTreeMap<DiskName, DiskView> = views.map(|view| (view.name.clone(), view)).collect();
        if let Some(after) = &request.after {
            all.retain(|name, _| name > after);
        }
        let wanted = all.len();
        let disks = fill(all.into_values(), limit);
        let next = if disks.len() < wanted { disks.last().map(|disk| disk.name.clone()) } else { None };
        Ok(DiskPage { disks, next })
    }

    pub(super) async fn delete_disk(self, request: DeleteDisk) -> Result<DiskView, Refusal> {
        let _turn = self.turns.take(&format!("disk {}", request.name)).await;
        let snap = self.executor.view();
        let missing = || disks::missing(&snap, &request.name);
        let kept = disks::named(&snap, &request.name).ok_or_else(missing)?;
        let view = shown(&snap, &kept).ok_or_else(missing)?;
        if let Some(vm) = &view.used_by {
            return Err(Refusal::DiskInUse { disk: request.name.to_string(), vm: vm.to_string() });
        }
        let epoch = self.executor.leadership.borrow().epoch();
        let not_primary = || Refusal::NotPrimary { service: "scheduler".to_owned() };
        let order = Order { epoch: epoch.ok_or_else(not_primary)?, operation: OPERATION.to_owned() };
        let drop = DropDisk { order, uuid: kept.uuid.to_owned() };
        match self.executor.ctx.bus.command(&view.node, &drop).await {
            Ok(_) => Ok(view),
            Err(watari_chassis::CallError::Refused(body)) => Err(body.refusal),
            Err(error) => {
                tracing::debug!(%error, node = %view.node, "a kept disk is not deleted");
                Err(Refusal::DiskUnreachable { disk: request.name.to_string(), node: view.node.to_string() })
            }
        }
    }
}
