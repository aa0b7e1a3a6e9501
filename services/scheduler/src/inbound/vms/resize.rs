//! A server's size. It changes while the server is off, and what of it can grow while the server runs; until then the
//! document says what will be.

use watari_chassis::clock;
use watari_contracts::scheduler::{ResizeVm, VmView};
use watari_model::{
    Refusal, migration,
    project::Used,
    vm::{Change, Desired, Size, Vm},
};

use super::{Desk, check::check_size, digest_of, power::not_now};
use crate::{
    core::{Amount, Rooms, Snapshot, takes_memory},
    inbound::projects::USE,
};

impl Desk {
    pub(in crate::inbound) async fn resize_vm(self, request: ResizeVm) -> Result<VmView, Refusal> {
        if request.vcpus.is_none() && request.memory_mib.is_none() && request.disk_gib.is_none() {
            let detail = "none of vcpus, memory_mib and disk_gib is given".to_owned();
            return Err(Refusal::Malformed { detail });
        }
        let digest = digest_of(&("resize", ResizeVm { request_id: None, ..request.clone() }));
        // One server grows at a time: what was free for one is not free for the next, nor what its project had left.
        let _turn = self.turns.take(USE).await;
        let snap = self.executor.snapshot(0);
        let rooms = Rooms::of(&snap, &self.rules);
        let resize = |vm: &mut Vm| {
            if vm.desired == Desired::Deleted {
                return Err(not_now(vm, "resize"));
            }
            let before = vm.pending.unwrap_or_else(|| vm.spec.size());
            let wanted = Size {
                vcpus: request.vcpus.unwrap_or(before.vcpus),
                memory_mib: request.memory_mib.unwrap_or(before.memory_mib),
                disk_gib: request.disk_gib.unwrap_or(before.disk_gib),
            };
            check_size(wanted)?;
            // One that is to grow may have grown already. What its snapshots take besides is no part of its disk.
            let least = vm.most_disk_gib();
            if wanted.disk_gib < least {
                return Err(Refusal::DiskShrinks {
                    vm: vm.name.to_string(),
                    disk_gib: least.to_string(),
                    wanted_gib: wanted.disk_gib.to_string(),
                });
            }
            if wanted.memory_mib < before.memory_mib && takes_memory(&snap, vm) {
                return Err(Refusal::MemoryGrows { vm: vm.name.to_string() });
            }
            let (claimed, used) = (vm.claims(), Used::of(vm));
            vm.apply(Change::Resized(wanted), clock::now()).map_err(|_| not_now(vm, "resize"))?;
            self.admits(&vm.project, &vm.name, Used::of(vm).beyond(used))?;
            grows(&snap, &rooms, vm, claimed)
        };
        self.amend(&request.name, request.request_id.as_deref(), &digest, resize).await
    }
}

/// Whether there is room, where the server is and where it is going or will be, for what it claims more
/// than before; if it is nowhere yet, whether any node could ever take it.
fn grows(snap: &Snapshot, rooms: &Rooms, vm: &Vm, before: Size) -> Result<(), Refusal> {
    if vm.grant.is_none() {
        return rooms.could_hold(&vm.name, vm.claims());
    }
    let more = Amount::of(vm.claims()).minus(Amount::of(before));
    let queued = snap.migrations.values().map(|entry| &entry.value);
    let promised = queued.filter(|m| m.vm == vm.name && m.state == migration::State::Queued).map(|m| &m.to);
    for room in vm.reserves_on().chain(promised).filter_map(|node| rooms.get(node)) {
        room.has(more).map_err(|why| {
            let (vm, node) = (vm.name.to_string(), room.node().name.to_string());
            Refusal::NoRoomToGrow { vm, node, detail: why.of_one() }
        })?;
    }
    Ok(())
}
