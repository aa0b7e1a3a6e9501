//! Merging what a running domain's disk stands on: QEMU takes it into the file that it writes to. No other file is
//! changed by that, and the guest's writes go on meanwhile.

use std::ffi::CStr;
use std::path::Path;

use super::disk::{DISK_JOB, for_libvirt};
use super::error::{Kind, Result};
use super::{Hypervisor, ffi, within};

/// The target of a domain's own disk, the first (`domain_xml`).
const DISK: &CStr = c"vda";

impl Hypervisor {
    /// Has QEMU begin to copy into the file that the domain writes to what lies between it and `base`, one of the
    /// files that it stands on, by the path in its definition; at most so many MiB a second, 0 without bound. When all
    /// of it is copied, the header of that file names `base`. QEMU does not write it all through then: it does so
    /// when the disk is frozen next ([`Self::freeze_disk`]).
    ///
    /// # Errors
    /// The path is none for libvirt, or no file that the disk stands on; another job holds the domain; libvirt's own.
    pub async fn begin_pull(&self, name: &str, base: &Path, mib: u32) -> Result<()> {
        let act = "merge layers of the disk";
        let base = for_libvirt("base", base)?.to_owned();
        let begun = self.on_domain(act, name, move |domain| ffi::begin_pull(domain, DISK, &base, mib));
        within(act, DISK_JOB, begun).await
    }

    /// Whether it is under way.
    ///
    /// # Errors
    /// The domain does not run; libvirt's own.
    pub async fn is_pulling(&self, name: &str) -> Result<bool> {
        let act = "look how far merging layers is";
        within(act, DISK_JOB, self.on_domain(act, name, |domain| ffi::has_disk_job(domain, DISK))).await
    }

    /// Ends it, if it is under way. What is copied already stays and shows what the disk showed before.
    ///
    /// # Errors
    /// The domain does not run; libvirt's own.
    pub async fn end_pull(&self, name: &str) -> Result<()> {
        if !self.is_pulling(name).await? {
            return Ok(());
        }
        let act = "break off merging layers of the disk";
        match within(act, DISK_JOB, self.on_domain(act, name, |domain| ffi::end_disk_job(domain, DISK))).await {
            // It has ended by itself.
            Err(error) if error.kind() == Kind::InvalidState => Ok(()),
            outcome => outcome,
        }
    }
}
