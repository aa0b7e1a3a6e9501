//! What a running domain is given more of.

use virt_sys as sys;

use super::disk::DISK_JOB;
use super::error::Result;
use super::{Hypervisor, within};

/// The target of a domain's own disk, the first (`domain_xml`).
const DISK: &str = "vda";

/// A running domain's virtual CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vcpus {
    /// How many are plugged in.
    pub now: u32,
    /// For how many it was started with places.
    pub most: u32,
}

impl Hypervisor {
    /// Makes a running domain's own disk so large, and tells its guest. It would make a larger one smaller: look first.
    ///
    /// # Errors
    /// The domain does not run; QEMU copies or merges the disk; no answer in time; libvirt's own.
    pub async fn grow_disk(&self, name: &str, virtual_bytes: u64) -> Result<()> {
        let act = "grow the disk of the running domain";
        let flags = sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES;
        let call = self.on_domain(act, name, move |domain| domain.block_resize(DISK, virtual_bytes, flags));
        within(act, DISK_JOB, call).await
    }

    /// How many virtual CPUs a running domain has, and for how many it has places.
    ///
    /// # Errors
    /// The domain does not run; libvirt's own.
    pub async fn vcpus(&self, name: &str) -> Result<Vcpus> {
        let act = "count the virtual CPUs";
        let call = self.on_domain(act, name, |domain| {
            let now = domain.vcpus_flags(sys::VIR_DOMAIN_VCPU_LIVE)?;
            let most = domain.vcpus_flags(sys::VIR_DOMAIN_VCPU_LIVE | sys::VIR_DOMAIN_VCPU_MAXIMUM)?;
            Ok(Vcpus { now, most })
        });
        within(act, DISK_JOB, call).await
    }

    /// Plugs virtual CPUs into a running domain until there are so many. Whether its guest uses them is the guest's
    /// business. Its definition stays as it is: each start writes another.
    ///
    /// # Errors
    /// The domain does not run, or has too few places; no answer in time; libvirt's own.
    pub async fn plug_vcpus(&self, name: &str, vcpus: u32) -> Result<()> {
        let act = "plug in virtual CPUs";
        let flags = sys::VIR_DOMAIN_VCPU_LIVE;
        let call = self.on_domain(act, name, move |domain| domain.set_vcpus_flags(vcpus, flags));
        within(act, DISK_JOB, call).await
    }
}
