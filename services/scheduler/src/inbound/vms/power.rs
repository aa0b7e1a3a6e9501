//! Start, stop, reboot, delete: what an operator wants of a server, stored in its document.

use watari_chassis::clock;
use watari_contracts::{
    agent::Domain,
    scheduler::{DeleteVm, RebootVm, StartVm, StopVm, VmView},
};
use watari_model::{
    DiskName, NodeName, Refusal, Said,
    disk::MOST_KEPT,
    outage::Scope,
    vm::{Change, Desired, State, Vm},
};

use super::{Desk, after::check_free, digest_of};
use crate::core::{Sight, Snapshot, disks};

pub(super) fn not_now(vm: &Vm, wanted: &str) -> Refusal {
    let name = vm.name.to_string();
    match &vm.crossing {
        Some(crossing) => Refusal::VmMigrating { vm: name, migration: crossing.id.to_string() },
        None => Refusal::VmState { vm: name, state: vm.state.word().to_owned(), wanted: wanted.to_owned() },
    }
}

impl Desk {
    /// Refuses what needs the server's node while nobody hears it.
    pub(super) fn reachable(&self, snap: &Snapshot, vm: &Vm) -> Result<(), Refusal> {
        match vm.node() {
            Some(node) if snap.off(node, self.rules.silent_ms).is_some() => {
                Err(Refusal::VmStranded { vm: vm.name.to_string(), node: node.to_string() })
            }
            Some(node) if snap.unreachable(node, self.rules.silent_ms) => {
                Err(Refusal::VmUnreachable { vm: vm.name.to_string(), node: node.to_string() })
            }
            _ => Ok(()),
        }
    }

    pub(in crate::inbound) async fn start_vm(self, request: StartVm) -> Result<VmView, Refusal> {
        let snap = self.executor.view();
        if request.discard_copy {
            let digest = digest_of(&("discard copy", &request.name));
            let discard = |vm: &mut Vm| self.discard_copy(&snap, vm);
            return self.amend(&request.name, request.request_id.as_deref(), &digest, discard).await;
        }
        let digest = digest_of(&("start", &request.name));
        let start = |vm: &mut Vm| match (vm.state, vm.desired) {
            (State::Deleting, _) | (_, Desired::Deleted) | (State::Stopping, _) => Err(not_now(vm, "start")),
            (State::Running | State::Starting | State::Migrating, Desired::Stopped) => Err(not_now(vm, "start")),
            (State::Running | State::Starting | State::Migrating, _) => Ok(()),
            // It is started as soon as it is back.
            (State::Stopped, _) if vm.is_going_back() => {
                vm.desired = Desired::Running;
                Ok(())
            }
            (State::Stopped | State::Suspended | State::Failed, _) if vm.grant.is_some() => {
                self.reachable(&snap, vm)?;
                vm.keeps_its_disk()?;
                vm.node().map_or(Ok(()), |node| may_start_there(&snap, node))?;
                vm.desired = Desired::Running;
                vm.force_off = false;
                // Its disk is there and nowhere else.
                let node = vm.node().cloned();
                let granted = node.map(|node| vm.apply(Change::Granted(node), clock::now()));
                if matches!(granted, Some(Ok(()))) { Ok(()) } else { Err(not_now(vm, "start")) }
            }
            (State::Failed, _) => {
                vm.desired = Desired::Running;
                vm.apply(Change::StartAsked, clock::now()).map_err(|_| not_now(vm, "start"))
            }
            (State::Pending | State::Stopped | State::Suspended, _) => {
                vm.desired = Desired::Running;
                Ok(())
            }
        };
        self.amend(&request.name, request.request_id.as_deref(), &digest, start).await
    }

    /// Gives up the copy that it never ran on, for the disk that it had before, and wants it to run on that.
    fn discard_copy(&self, snap: &Snapshot, vm: &mut Vm) -> Result<(), Refusal> {
        if vm.desired == Desired::Deleted {
            return Err(not_now(vm, "start"));
        }
        if !vm.is_going_back() {
            let name = vm.name.to_string();
            // One that has just come up on it runs on, though its document does not say so yet.
            let sight = vm.node().map(|node| snap.sight(node, &vm.name, self.rules.silent_ms));
            let runs = sight.and_then(Sight::domain) == Some(Domain::Running);
            let Some(node) = vm.disk_before_copy().filter(|_| !runs).cloned() else {
                return Err(Refusal::NoCopyToDiscard { vm: name });
            };
            if snap.unreachable(&node, self.rules.silent_ms) {
                return Err(Refusal::DiskBeforeSilent { vm: name, node: node.to_string() });
            }
            may_start_there(snap, &node)?;
            vm.apply(Change::CopyDiscarded, clock::now()).map_err(|_| not_now(vm, "start"))?;
            vm.force_off = false;
        }
        vm.desired = Desired::Running;
        Ok(())
    }

    pub(in crate::inbound) async fn stop_vm(self, request: StopVm) -> Result<VmView, Refusal> {
        let digest = digest_of(&("stop", &request.name, request.force));
        let force = request.force;
        let stop = |vm: &mut Vm| {
            if vm.desired == Desired::Deleted {
                // A guest that does not heed the wish holds up its own deletion.
                let heeds_not = vm.state == State::Stopping && force;
                vm.force_off |= heeds_not;
                return if heeds_not { Ok(()) } else { Err(not_now(vm, "stop")) };
            }
            vm.desired = Desired::Stopped;
            match vm.state {
                State::Running | State::Starting => {
                    vm.force_off = force;
                    vm.apply(Change::StopAsked, clock::now()).map_err(|_| not_now(vm, "stop"))
                }
                // It stops when it has arrived.
                State::Stopping | State::Migrating => {
                    vm.force_off |= force;
                    Ok(())
                }
                State::Pending | State::Failed | State::Stopped => Ok(()),
                // Off it is; whoever forces it gives up what was saved of its memory.
                State::Suspended => {
                    vm.force_off |= force;
                    Ok(())
                }
                State::Deleting => Err(not_now(vm, "stop")),
            }
        };
        self.amend(&request.name, request.request_id.as_deref(), &digest, stop).await
    }

    pub(in crate::inbound) async fn reboot_vm(self, request: RebootVm) -> Result<VmView, Refusal> {
        let digest = digest_of(&("reboot", &request.name, request.force));
        let snap = self.executor.view();
        let reboot = |vm: &mut Vm| {
            // One that is being stopped only to be started again may be made to hurry.
            let rebooting = vm.state == State::Stopping && vm.reboots.asked != vm.reboots.done;
            if (vm.state != State::Running && !rebooting) || vm.desired != Desired::Running {
                return Err(not_now(vm, "reboot"));
            }
            self.reachable(&snap, vm)?;
            // A second wish while the first is being fulfilled is the same wish, perhaps a firmer one.
            if vm.reboots.asked == vm.reboots.done || (request.force && !vm.reboots.force) {
                vm.reboots.asked += 1;
                vm.reboots.force = request.force;
            }
            vm.force_off |= rebooting && request.force;
            Ok(())
        };
        self.amend(&request.name, request.request_id.as_deref(), &digest, reboot).await
    }

    pub(in crate::inbound) async fn delete_vm(self, request: DeleteVm) -> Result<VmView, Refusal> {
        let keep = request.keep_disk;
        let digest = digest_of(&("delete", &request.name, keep));
        let snap = self.executor.view();
        let delete = |vm: &mut Vm| {
            check_free(&snap, vm)?;
            if keep && !vm.keep_disk {
                may_keep(&snap, vm)?;
                vm.keep_disk = true;
            }
            vm.desired = Desired::Deleted;
            let change = match vm.state {
                // A server on its way is called back or arrives first; the loop sees to it.
                State::Migrating | State::Deleting => return Ok(()),
                // Its guest writes its disk out first; the loop sees to that as well.
                State::Stopping if vm.writes_out() => return Ok(()),
                _ if vm.writes_out() => Change::StopAsked,
                _ => Change::DeleteAsked,
            };
            vm.apply(change, clock::now()).map_err(|_| not_now(vm, "delete"))
        };
        self.amend(&request.name, request.request_id.as_deref(), &digest, delete).await
    }
}

/// Nothing is kept of a server that has no disk yet, or of which something may be gone already.
fn may_keep(snap: &Snapshot, vm: &Vm) -> Result<(), Refusal> {
    let has_one = vm.booted || vm.spec.first_boot.disk.is_some();
    let Some(node) = vm.node().filter(|_| has_one && vm.desired != Desired::Deleted) else {
        return Err(not_now(vm, "keep its disk"));
    };
    // Two of one name could not be told apart: not the one that a lost node still has of it, nor one that is kept.
    let lost = vm.leftovers.iter().find(|leftover| leftover.newest).map(|leftover| &leftover.node);
    if let Some(other) = lost.or_else(|| disks::namesake(snap, vm)) {
        let disk = DiskName::of(&vm.name, &vm.uuid).map_or_else(|_| vm.uuid.clone(), |name| name.to_string());
        return Err(Refusal::DiskNameTaken { vm: vm.name.to_string(), disk, node: other.to_string() });
    }
    let kept = snap.nodes.get(node.as_str()).map_or(0, |entry| entry.value.inventory.disks.len());
    if kept >= MOST_KEPT {
        let (vm, node) = (vm.name.to_string(), node.to_string());
        return Err(Refusal::DisksFull { vm, node, most: MOST_KEPT.to_string() });
    }
    Ok(())
}

/// A site or node that is being emptied starts nothing.
fn may_start_there(snap: &Snapshot, node: &NodeName) -> Result<(), Refusal> {
    let Some(node) = snap.nodes.get(node.as_str()) else { return Ok(()) };
    let mut outages = snap.outages.values().map(|entry| &entry.value);
    let Some(outage) = outages.find(|outage| outage.keeps_away(&node.value)) else { return Ok(()) };
    let id = &outage.id;
    Err(match &outage.scope {
        Scope::Site(site) => Refusal::SiteDraining { site: site.to_string(), outage: id.to_string() },
        Scope::Node(name) => {
            let detail = Said::new(format!("it is being emptied ({id})"), format!("退避中です ({id})"));
            Refusal::NodeUnfit { node: name.to_string(), detail }
        }
    })
}
