//! What a running domain is given more of.

use virt_sys as sys;

use super::disk::DISK_JOB;
use super::error::Result;
use super::{Hypervisor, domain_xml, within};

/// The target of a domain's own disk, the first (`domain_xml`).
const DISK: &str = "vda";
/// Memory is given in whole steps of so many MiB: no system takes less at a time.
pub const MEMORY_STEP_MIB: u64 = 4;

/// A running domain's virtual CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vcpus {
    /// How many are plugged in.
    pub now: u32,
    /// For how many it was started with places.
    pub most: u32,
}

/// A running domain's memory, in MiB. What it has beyond what it booted with is its guest's to take (virtio-mem): the
/// domain offers it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// What it booted with.
    pub boot_mib: u64,
    /// For how much more it was started with places.
    pub places_mib: u64,
    /// How much more is offered.
    pub offered_mib: u64,
    /// How much more its guest has taken.
    pub taken_mib: u64,
}

impl Memory {
    /// What the guest has.
    #[must_use]
    pub const fn now_mib(self) -> u64 {
        self.boot_mib.saturating_add(self.taken_mib)
    }

    /// What the guest can have before its next start.
    #[must_use]
    pub const fn most_mib(self) -> u64 {
        self.boot_mib.saturating_add(self.places_mib)
    }
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

    /// What memory a running domain has, and for how much it has places.
    ///
    /// # Errors
    /// The domain does not run; libvirt's own.
    pub async fn memory(&self, name: &str) -> Result<Memory> {
        let xml = self.described("read the memory", name).await?;
        Ok(domain_xml::parse(&xml)?.memory)
    }

    /// Offers a running domain's guest so much memory beyond what it booted with. If that is less than it has taken, it
    /// is asked to give the rest back. When it does so, and whether, is the guest's business.
    ///
    /// # Errors
    /// The domain does not run, or has too few places; no answer in time; libvirt's own.
    pub async fn offer_memory(&self, name: &str, more_mib: u64) -> Result<()> {
        let act = "offer memory to the guest";
        let device = domain_xml::with_offer(&self.described(act, name).await?, more_mib)?;
        let flags = sys::VIR_DOMAIN_AFFECT_LIVE;
        let call = self.on_domain(act, name, move |domain| domain.update_device_flags(&device, flags));
        within(act, DISK_JOB, call).await
    }

    async fn described(&self, act: &'static str, name: &str) -> Result<String> {
        within(act, DISK_JOB, self.on_domain(act, name, |domain| domain.xml_desc(0))).await
    }
}
