//! A domain's memory on the disk, as libvirt keeps it for a domain's next start: its *managed save*.
//!
//! libvirt stops the vCPUs, writes the memory through to the disk, and ends the process. The next start of
//! the domain goes on from there and deletes the file; undefining the domain deletes it as well. libvirtd
//! finds it again after its own restart, and after that of the host.
//!
//! Both take as long as the disk does: on the common connection a few of them would keep everything else waiting.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::OwnedSemaphorePermit;
use virt::{
    domain::Domain,
    enumutil::Enum,
    error::{Error, ErrorNumber},
};
use virt_sys as sys;

use super::{
    Hypervisor, blocking,
    error::{Kind, Result},
    failure, in_proportion, inventory, within,
};

/// Where libvirt keeps them.
const FOLDER: &str = "/var/lib/libvirt/qemu/save";
/// How long a save may take: so many seconds, and one more for each so many MiB.
const PATIENCE: (u64, u64) = (900, 4);

/// The right to write a memory to the disk, or to read one from there. Few have it at a time; who drops it passes it on.
pub struct Place {
    memory_mib: u64,
    /// Of this memory and of those that were being saved before, in MiB.
    needed_mib: u64,
    promised: Arc<AtomicU64>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// What must be free where memory is saved, in MiB: what others are still to write is spoken for.
    #[must_use]
    pub fn needed_mib(&self) -> u64 {
        self.needed_mib
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.promised.fetch_sub(self.memory_mib, Ordering::AcqRel);
    }
}

impl Hypervisor {
    /// Waits for a place to save a memory of that size, in MiB; or to read a saved one: of none.
    pub async fn place(&self, memory_mib: u64) -> Place {
        let permit = Arc::clone(&self.saves).acquire_owned().await.ok();
        let before = self.saving_mib.fetch_add(memory_mib, Ordering::AcqRel);
        let needed_mib = before.saturating_add(memory_mib);
        Place { memory_mib, needed_mib, promised: Arc::clone(&self.saving_mib), _permit: permit }
    }

    /// Saves the domain's memory and ends its process. Dropping the future does not stop it, nor does the end of
    /// the patience with it: [`Self::abort_job`] does.
    ///
    /// # Errors
    /// No such domain; it does not run; a job of it is under way; the disk is full: libvirt's own. It takes longer
    /// than is sensible for its memory: [`Kind::Timeout`].
    pub async fn save(&self, name: &str, place: Place) -> Result<()> {
        const ACT: &str = "save the domain's memory";
        let after = patience(place.memory_mib);
        let saved = self.at_length(ACT, name, place, |domain| domain.managed_save(sys::VIR_DOMAIN_SAVE_RUNNING));
        within(ACT, after, saved).await
    }

    /// Starts a domain whose memory is saved: it goes on from there. Dropping the future does not stop it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_saved(&self, name: &str, place: Place) -> Result<()> {
        self.at_length("start the domain from its saved memory", name, place, |domain| domain.create_with_flags(0))
            .await
    }

    /// A call that takes long: on a connection of its own.
    async fn at_length(
        &self,
        act: &'static str,
        name: &str,
        place: Place,
        body: impl FnOnce(&Domain) -> std::result::Result<(), Error> + Send + 'static,
    ) -> Result<()> {
        let (connection, name) = (Arc::clone(&self.connection), name.to_owned());
        blocking(act, move || {
            let _place = place;
            let link = connection.open_private()?;
            let done = link.connect.lookup_domain_by_name(&name).and_then(|domain| body(&domain));
            done.map_err(|source| failure(act, &link.connect, source))
        })
        .await
    }

    /// Forgets what was saved of a domain's memory: its next start is a boot. Nothing saved is success, and so is no
    /// such domain.
    ///
    /// # Errors
    /// libvirt's own.
    pub async fn forget_saved(&self, name: &str) -> Result<()> {
        let forget = |domain: &Domain| if is_saved(domain)? { domain.managed_save_remove(0) } else { Ok(()) };
        match self.on_domain("forget the domain's saved memory", name, forget).await {
            Err(error) if error.kind() == Kind::NoDomain => Ok(()),
            outcome => outcome,
        }
    }
}

/// Whether the domain's memory is saved. A driver that cannot save has saved nothing; any other error is no answer.
pub(super) fn is_saved(domain: &Domain) -> std::result::Result<bool, Error> {
    match domain.has_managed_save(0) {
        Err(error) if cannot(&error) => Ok(false),
        outcome => outcome,
    }
}

fn cannot(error: &Error) -> bool {
    matches!(error.code(), Enum::Known(ErrorNumber::NoSupport | ErrorNumber::OperationUnsupported))
}

fn patience(memory_mib: u64) -> Duration {
    in_proportion(PATIENCE, memory_mib)
}

/// Bytes that may still be written where memory is saved; none before libvirt has made the folder.
pub async fn room_for_saves() -> Option<u64> {
    inventory::disk_space(Path::new(FOLDER)).await.ok().map(|(_, free)| free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::Config;

    #[tokio::test]
    async fn room_is_asked_for_all_memories_on_their_way_to_the_disk_and_no_longer_than_they_are() {
        let config = Config { uri: "test:///default".to_owned(), ..Config::default() };
        let hypervisor = Hypervisor::connect(config).unwrap();
        let (first, second) = (hypervisor.place(100).await, hypervisor.place(50).await);
        assert_eq!((first.needed_mib(), second.needed_mib()), (100, 150));
        drop(first);
        assert_eq!(hypervisor.place(10).await.needed_mib(), 60);
        drop(second);
        assert_eq!(hypervisor.place(10).await.needed_mib(), 10);
    }

    #[test]
    fn a_large_memory_is_waited_for_longer_and_no_size_is_too_large_to_say_how_long() {
        assert_eq!(patience(0).as_secs(), 900);
        assert_eq!(patience(64 << 10).as_secs(), 900 + (16 << 10));
        assert!(patience(u64::MAX) > patience(1 << 40));
    }
}
