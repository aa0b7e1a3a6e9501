//! Memory and disk that are spoken for, so that two servers are not promised the same room.
//!
//! The scheduler reserves by its documents; this is the node's own word, from what the kernel says
//! is there, less what the servers that are already here may still take.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use watari_model::{NodeName, Refusal, Said, VmName};

use crate::hypervisor::inventory;

/// What one server may take.
#[derive(Clone, Debug)]
struct Claim {
    memory_mib: u64,
    /// What its process holds already.
    resident_mib: u64,
    /// Room for a disk that is still to arrive.
    disk_gib: u64,
    vm: VmName,
}

/// What a server needs of this node.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Its memory.
    pub memory_mib: u64,
    /// Room for its disk.
    pub disk_gib: u64,
}

/// The claims on this node.
pub struct Room {
    node: NodeName,
    folder: PathBuf,
    reserve_disk_gib: u64,
    claims: Mutex<BTreeMap<String, Claim>>,
}

impl Room {
    /// No claims yet.
    #[must_use]
    pub fn new(node: NodeName, folder: PathBuf, reserve_disk_gib: u64) -> Self {
        Self { node, folder, reserve_disk_gib, claims: Mutex::default() }
    }

    fn claims(&self) -> MutexGuard<'_, BTreeMap<String, Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims room; the same server again replaces its claim.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`] for memory, [`Refusal::DiskFull`] for disk; nothing is claimed then.
    pub async fn claim(&self, vm: &VmName, uuid: &str, need: Need) -> Result<(), Refusal> {
        let unreadable = |error: crate::hypervisor::Error| Refusal::Internal { detail: error.to_string() };
        let (_, available_mib) = inventory::memory_mib().await.map_err(unreadable)?;
        let (_, free) = inventory::disk_space(&self.folder).await.map_err(unreadable)?;
        let mut claims = self.claims();
        self.fits(&claims, vm, uuid, need, available_mib, free >> 30)?;
        let claim = Claim { memory_mib: need.memory_mib, resident_mib: 0, disk_gib: need.disk_gib, vm: vm.clone() };
        claims.insert(uuid.to_owned(), claim);
        Ok(())
    }

    /// Claims more memory, or less, for a server that is here. What its process holds is gone from what is available.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`]; its claim is then as it was.
    pub async fn claim_memory(&self, vm: &VmName, uuid: &str, memory_mib: u64) -> Result<(), Refusal> {
        let unreadable = |error: crate::hypervisor::Error| Refusal::Internal { detail: error.to_string() };
        let (_, available_mib) = inventory::memory_mib().await.map_err(unreadable)?;
        let mut claims = self.claims();
        let resident_mib = claims.get(uuid).map_or(0, |claim| claim.resident_mib);
        let need = Need { memory_mib: memory_mib.saturating_sub(resident_mib), disk_gib: 0 };
        self.fits(&claims, vm, uuid, need, available_mib, u64::MAX)?;
        let none = || Claim { memory_mib, resident_mib, disk_gib: 0, vm: vm.clone() };
        claims.entry(uuid.to_owned()).or_insert_with(none).memory_mib = memory_mib;
        Ok(())
    }

    /// Notes how much memory a server has that is here, whether or not it fits.
    pub fn has_memory(&self, uuid: &str, memory_mib: u64) {
        if let Some(claim) = self.claims().get_mut(uuid) {
            claim.memory_mib = memory_mib;
        }
    }

    fn fits(
        &self,
        claims: &BTreeMap<String, Claim>,
        vm: &VmName,
        uuid: &str,
        need: Need,
        available_mib: u64,
        free_gib: u64,
    ) -> Result<(), Refusal> {
        let others = || claims.iter().filter(|(other, _)| *other != uuid).map(|(_, claim)| claim);
        let promised_mib: u64 = others().map(|c| c.memory_mib.saturating_sub(c.resident_mib)).sum();
        if available_mib < promised_mib.saturating_add(need.memory_mib) {
            let (node, needed) = (&self.node, need.memory_mib);
            let detail = Said::new(
                format!(
                    "node {node} has {available_mib} MiB of memory, {promised_mib} of them promised, and {needed} are needed"
                ),
                format!(
                    "ノード {node} の空きメモリは {available_mib} MiB (うち {promised_mib} MiB は予約済み) で、{needed} MiB が必要です"
                ),
            );
            return Err(Refusal::NoRoom { vm: vm.to_string(), detail, help: None });
        }
        self.fits_disk(claims, uuid, need.disk_gib, free_gib)
    }

    fn fits_disk(
        &self,
        claims: &BTreeMap<String, Claim>,
        key: &str,
        disk_gib: u64,
        free_gib: u64,
    ) -> Result<(), Refusal> {
        let promised_gib = promised(claims, key);
        if free_gib < promised_gib.saturating_add(disk_gib).saturating_add(self.reserve_disk_gib) {
            let detail = format!(
                "{free_gib} GiB are free, {promised_gib} of them promised, {} kept back, and {disk_gib} are needed",
                self.reserve_disk_gib
            );
            return Err(Refusal::DiskFull { node: self.node.to_string(), detail });
        }
        Ok(())
    }

    /// What is promised of the disk to others than that one, in GiB.
    #[must_use]
    pub fn promised_gib(&self, key: &str) -> u64 {
        promised(&self.claims(), key)
    }

    /// Claims room on the disk for the copy of a server's disk, beside the server's own claim. It ends as
    /// others do, by its key.
    ///
    /// # Errors
    /// [`Refusal::DiskFull`]; nothing is claimed then.
    pub async fn claim_copy(&self, vm: &VmName, key: &str, disk_gib: u64) -> Result<(), Refusal> {
        let free = inventory::disk_space(&self.folder).await;
        let (_, free) = free.map_err(|error| Refusal::Internal { detail: error.to_string() })?;
        let mut claims = self.claims();
        self.fits_disk(&claims, key, disk_gib, free >> 30)?;
        claims.insert(key.to_owned(), Claim { memory_mib: 0, resident_mib: 0, disk_gib, vm: vm.clone() });
        Ok(())
    }

    /// Notes the claim of a server that was found here, whether or not it fits.
    pub fn found(&self, vm: &VmName, uuid: &str, memory_mib: u64) {
        let claim = Claim { memory_mib, resident_mib: 0, disk_gib: 0, vm: vm.clone() };
        self.claims().entry(uuid.to_owned()).or_insert(claim);
    }

    /// The server's disk has arrived: what it occupies is no longer to come.
    pub fn arrived(&self, uuid: &str) {
        if let Some(claim) = self.claims().get_mut(uuid) {
            claim.disk_gib = 0;
        }
    }

    /// Ends a claim.
    pub fn release(&self, uuid: &str) {
        self.claims().remove(uuid);
    }

    /// Notes how much memory a server's process holds.
    pub fn resident(&self, vm: &str, mib: u64) {
        for claim in self.claims().values_mut().filter(|claim| claim.vm.as_str() == vm) {
            claim.resident_mib = mib;
        }
    }
}

fn promised(claims: &BTreeMap<String, Claim>, key: &str) -> u64 {
    claims.iter().filter(|(other, _)| *other != key).map(|(_, claim)| claim.disk_gib).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_room_is_not_promised_twice() {
        let room = Room::new("m1".parse().unwrap(), "/".into(), 1);
        let mail: VmName = "mail".parse().unwrap();
        let need = |memory_mib, disk_gib| Need { memory_mib, disk_gib };
        let claim = |memory_mib, resident_mib, disk_gib| Claim { memory_mib, resident_mib, disk_gib, vm: mail.clone() };
        let claims = BTreeMap::from([("a".to_owned(), claim(600, 200, 3)), ("b".to_owned(), claim(100, 100, 0))]);
        let fits = |uuid: &str, need, mib, gib| room.fits(&claims, &mail, uuid, need, mib, gib);
        assert_eq!(fits("c", need(100, 2), 500, 6), Ok(()));
        assert!(matches!(fits("c", need(101, 2), 500, 6), Err(Refusal::NoRoom { .. })));
        assert!(matches!(fits("c", need(100, 3), 500, 6), Err(Refusal::DiskFull { .. })));
        assert_eq!(fits("a", need(500, 5), 500, 6), Ok(()), "its own claim does not stand in its way");
        assert!(fits("c", need(u64::MAX, u64::MAX), 500, 6).is_err());
    }
}
