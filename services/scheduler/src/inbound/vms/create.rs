//! Making a server. Its addresses are drawn first, so that the answer has them; if the document
//! is then not made they are given back, and what a crash leaves behind is given back by the
//! network service or used by the next try.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use watari_chassis::{WriteError, clock, telemetry::trace};
use watari_contracts::{
    network::{AllocatePort, ReleasePorts},
    scheduler::{CreateVm, Fault, VmView},
};
use watari_model::{
    Refusal, Said, SiteName,
    project::Used,
    userdata::{self, UserData},
    vm::{Base, Desired, Evacuate, FirstBoot, Login, Nic, Reboots, Snapshots, Spec, State, Vm},
};

use super::{Desk, after::off, answered, digest_of, find, newest, remember, unwritten};
use crate::{
    core::{cannot_leave, cannot_start, digest, has_no_network, outside_ranges},
    settings::CannotLeave,
};

impl Desk {
    pub(in crate::inbound) async fn create_vm(self, mut request: CreateVm) -> Result<VmView, Refusal> {
        self.check_sizes(&request)?;
        let digest = digest_of(&CreateVm { request_id: None, ..request.clone() });
        let _turn = self.turns.take(request.name.as_str()).await;
        if let Some(entry) = find(&self.stores().vms, request.name.as_str()).await? {
            return self.exists(&entry.value, &request, &digest);
        }
        let _disk_turn = match &request.disk {
            Some(disk) => Some(self.turns.take(&format!("disk {disk}")).await),
            None => None,
        };
        let kept = self.check_disk(&mut request)?;
        let (base, disk, counted_gib) = match kept {
            Some((base, uuid, counted_gib)) => (base, Some(uuid), counted_gib),
            None => (self.check_image(&request).await?, None, 0),
        };
        self.check_networks(&request).await?;
        let logins = self.check_keys(&request).await?;
        self.check_firewalls(&request).await?;
        self.check_after(&request.name, &request.after).await?;
        let home = self.home(&request)?;
        self.check_ever_fits(&request)?;
        // Asked before anything is drawn, and decided when nobody comes between.
        self.has_left(&request, counted_gib)?;
        let uuid = self.uuid(&request);
        let nics = match self.allocate(&request, &uuid).await {
            Ok(nics) => nics,
            Err(refusal) => {
                self.release(&request, &uuid).await;
                return Err(refusal);
            }
        };
        if let Err(refusal) = self.store_user_data(&request, &uuid).await {
            self.release(&request, &uuid).await;
            return Err(refusal);
        }
        let _use = self.project_turn(&request.project).await;
        let _after = self.after_turn(!request.after.is_empty()).await;
        let stands = match self.has_left(&request, counted_gib) {
            Ok(()) => self.check_after(&request.name, &request.after).await,
            left => left,
        };
        let first_boot = FirstBoot { disk, ..first_boot(&request, logins) };
        let mut vm = document(&request, base, home, uuid, nics, first_boot);
        if let Err(refusal) = stands.and_then(|()| self.check_leaving(&vm)) {
            self.release(&request, &vm.uuid).await;
            return Err(refusal);
        }
        remember(&mut vm, request.request_id.as_deref(), &digest);
        self.executor.memory.note_trace(&vm.name, trace::recorded());
        match self.stores().vms.create(&vm).await {
            Ok(_) => Ok(self.show_made(&vm)),
            Err(WriteError::Exists { .. }) => {
                let entry = newest(&self.stores().vms, request.name.as_str()).await?;
                if entry.as_ref().is_none_or(|entry| entry.value.uuid != vm.uuid) {
                    self.release(&request, &vm.uuid).await;
                }
                match entry {
                    Some(entry) => self.exists(&entry.value, &request, &digest),
                    None => Err(Refusal::NoAnswer { who: "the bus".to_owned() }),
                }
            }
            // It may have been written: its addresses stay, and a repetition finds out.
            Err(error) => Err(unwritten(&error)),
        }
    }

    /// Where the server will belong, if there may be one more. No snapshot outlives this: what is written while somebody
    /// holds one copies all that is in it.
    fn home(&self, request: &CreateVm) -> Result<SiteName, Refusal> {
        let snap = self.stores().snapshot();
        if snap.vms.len() >= self.servers.most {
            let most = snap.vms.len();
            let detail = Said::new(
                format!("there are {most} servers already, the most that this scheduler takes"),
                format!("すでに上限の {most} 台のサーバがあります"),
            );
            return Err(Refusal::NoRoom { vm: request.name.to_string(), detail, help: None });
        }
        self.choose_home(&snap, request)
    }

    /// Whether its project has so much left. So much of its disk the project has already: it is a kept disk of it.
    fn has_left(&self, request: &CreateVm, counted_gib: u64) -> Result<(), Refusal> {
        let CreateVm { vcpus, memory_mib, disk_gib, .. } = *request;
        let disk_gib = disk_gib.saturating_sub(counted_gib);
        let more = Used { servers: 1, vcpus: vcpus.into(), memory_mib, disk_gib, ..Used::default() };
        self.admits(&request.project, &request.name, more)
    }

    /// Whether a server may be made though it could not leave when the power goes, if it could not.
    fn check_leaving(&self, vm: &Vm) -> Result<(), Refusal> {
        if self.servers.cannot_leave == CannotLeave::Warn || vm.spec.evacuate == Evacuate::Stay {
            return Ok(());
        }
        match cannot_leave(&self.stores().snapshot(), &self.rules, || self.rooms(), vm, clock::now()) {
            Some(refusal @ Refusal::CannotLeave { .. }) => Err(refusal),
            _ => Ok(()),
        }
    }

    fn exists(&self, vm: &Vm, request: &CreateVm, digest: &str) -> Result<VmView, Refusal> {
        if answered(vm, request.request_id.as_deref(), digest)? {
            Ok(self.show_made(vm))
        } else {
            Err(Refusal::VmExists { vm: request.name.to_string() })
        }
    }

    /// Whoever makes a server is told in time if there is no room for it, if it could not leave when the power goes, as is
    /// known already, if nobody could reach it, if an address that was asked for lies where none is handed out, or if what it
    /// depends on is off.
    fn show_made(&self, vm: &Vm) -> VmView {
        let (snap, rooms) = (self.stores().snapshot(), || self.rooms());
        let off = off(&snap.vms, &vm.name, &vm.spec.after);
        let leaves = cannot_leave(&snap, &self.rules, rooms, vm, clock::now());
        let known = [cannot_start(&snap, rooms, vm), leaves, has_no_network(vm), off];
        let outside = outside_ranges(&snap, vm);
        VmView { warnings: known.iter().flatten().chain(&outside).map(Fault::from).collect(), ..self.show(vm) }
    }

    /// A new UUID; or, if an earlier try drew addresses and died before the document was made,
    /// the one it drew them for.
    fn uuid(&self, request: &CreateVm) -> String {
        let ports = self.stores().ports.belonging_to(request.name.as_str());
        let orphan = ports.iter().find(|entry| sound(&entry.value.vm_uuid));
        orphan.map_or_else(new_uuid, |entry| entry.value.vm_uuid.clone())
    }

    async fn allocate(&self, request: &CreateVm, uuid: &str) -> Result<Vec<Nic>, Refusal> {
        let mut nics = Vec::new();
        for wanted in &request.networks {
            let ask = AllocatePort {
                network: wanted.network.clone(),
                vm: request.name.clone(),
                vm_uuid: uuid.to_owned(),
                address: wanted.address,
            };
            let given = self.executor.ctx.bus.request(&ask).await.map_err(Refusal::from)?;
            nics.push(Nic {
                network: given.port.network,
                segment: given.segment,
                mac: given.port.mac,
                address: given.port.address,
                fixed: wanted.address.is_some(),
                address6: given.port.address6,
            });
        }
        Ok(nics)
    }

    /// Stores user-data before the server that needs it. What an earlier try left under this UUID is
    /// replaced; what is never used is forgotten by the loop.
    async fn store_user_data(&self, request: &CreateVm, uuid: &str) -> Result<(), Refusal> {
        let Some(text) = &request.user_data else { return Ok(()) };
        let (v, vm, vm_uuid) = (1, request.name.clone(), uuid.to_owned());
        let wanted = UserData { v, vm, vm_uuid, text: text.clone(), created_at: clock::now() };
        let store = &self.stores().userdata;
        let written = match newest(store, uuid).await? {
            Some(there) => store.update(&wanted, there.revision).await,
            None => store.create(&wanted).await,
        };
        written.map(|_| ()).map_err(|error| unwritten(&error))
    }

    async fn release(&self, request: &CreateVm, uuid: &str) {
        if request.networks.is_empty() {
            return;
        }
        let release = ReleasePorts { vm: request.name.clone(), vm_uuid: uuid.to_owned() };
        if let Err(error) = self.executor.ctx.bus.request(&release).await {
            tracing::warn!(%error, vm = %request.name, "addresses were not given back; the network service finds them");
        }
    }
}

fn first_boot(request: &CreateVm, logins: Vec<Login>) -> FirstBoot {
    let user_data = request
        .user_data
        .as_ref()
        .map(|text| userdata::Digest { bytes: text.0.len() as u64, sha256: digest(text.0.as_bytes()) });
    FirstBoot { hostname: request.hostname.clone(), logins, user_data, disk: None }
}

fn document(request: &CreateVm, base: Base, home: SiteName, uuid: String, nics: Vec<Nic>, first_boot: FirstBoot) -> Vm {
    let now = clock::now();
    Vm {
        v: 1,
        name: request.name.clone(),
        uuid,
        project: request.project.clone(),
        spec: Spec {
            vcpus: request.vcpus,
            memory_mib: request.memory_mib,
            disk_gib: request.disk_gib,
            base,
            nics,
            node_labels: request.node_labels.clone(),
            groups: request.groups.clone(),
            firewalls: request.firewalls.clone(),
            probes: request.probes.clone(),
            after: request.after.clone(),
            evacuate: request.evacuate,
            priority: request.priority,
            restart: request.restart,
            on_isolation: request.on_isolation,
            restart_from_copy_seconds: request.restart_from_copy_seconds,
            max_downtime_seconds: request.max_downtime_seconds,
            display: request.display,
            first_boot,
        },
        desired: if request.start { Desired::Running } else { Desired::Stopped },
        force_off: false,
        keep_disk: false,
        booted: false,
        home_site: home,
        state: State::Pending,
        grant: None,
        crossing: None,
        leftovers: Vec::new(),
        fault: None,
        pending: None,
        reboots: Reboots::default(),
        preseed: None,
        snapshots: Snapshots::default(),
        halt: None,
        guarded: None,
        unseen: None,
        restored: None,
        migrations: 0,
        requests: Vec::new(),
        created_at: now,
        changed_at: now,
    }
}

/// A random UUID (RFC 9562, version 4). Its only claim is to be new: the standard library's keys
/// for hash maps come from the operating system and are never the same twice.
fn new_uuid() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random() & !0xf000 | 0x4000, random() & !(0b11 << 62) | (0b10 << 62));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn sound(uuid: &str) -> bool {
    uuid.len() == 36 && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_of_version_four_and_never_the_same_twice() {
        let uuids: std::collections::BTreeSet<String> = (0..1_000).map(|_| new_uuid()).collect();
        assert_eq!(uuids.len(), 1_000);
        for uuid in uuids {
            assert!(sound(&uuid), "{uuid}");
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
        }
    }
}
