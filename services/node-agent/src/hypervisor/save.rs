//! A domain's memory on the disk, as libvirt keeps it for a domain's next start: its *managed save*.
//!
//! libvirt stops the vCPUs, writes the memory through to the disk, and ends the process. The next start of
//! the domain goes on from there and deletes the file; undefining the domain deletes it as well. libvirtd
//! finds it again after its own restart, and after that of the host.

use std::{path::Path, sync::Arc};

use virt_sys as sys;

use super::{Hypervisor, blocking, error::Result, failure, inventory};

/// Where libvirt keeps them.
const FOLDER: &str = "/var/lib/libvirt/qemu/save";

impl Hypervisor {
    /// Saves the domain's memory and ends its process. It takes as long as the disk does; so it has a connection of
    /// its own, and few at a time. Dropping the future does not stop it.
    ///
    /// # Errors
    /// No such domain; it does not run; a job of it is under way; the disk is full: libvirt's own.
    pub async fn save(&self, name: &str) -> Result<()> {
        const ACT: &str = "save the domain's memory";
        let permit = Arc::clone(&self.saves).acquire_owned().await;
        let (connection, name) = (Arc::clone(&self.connection), name.to_owned());
        blocking(ACT, move || {
            let _permit = permit;
            let link = connection.open_private()?;
            let domain = link.connect.lookup_domain_by_name(&name);
            let saved = domain.and_then(|domain| domain.managed_save(sys::VIR_DOMAIN_SAVE_RUNNING));
            saved.map_err(|source| failure(ACT, &link.connect, source))
        })
        .await
    }

    /// Forgets what was saved of a domain's memory: its next start is a boot. Nothing saved is success.
    ///
    /// # Errors
    /// No such domain, or libvirt's own.
    pub async fn forget_saved(&self, name: &str) -> Result<()> {
        self.on_domain("forget the domain's saved memory", name, |domain| {
            if domain.has_managed_save(0)? { domain.managed_save_remove(0) } else { Ok(()) }
        })
        .await
    }
}

/// Bytes that may still be written where memory is saved; none before libvirt has made the folder.
pub async fn room_for_saves() -> Option<u64> {
    inventory::disk_space(Path::new(FOLDER)).await.ok().map(|(_, free)| free)
}
