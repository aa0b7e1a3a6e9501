//! Freezing a running domain's disk: QEMU goes on in a new overlay, and what it wrote so far never changes again.

use std::path::Path;

use quick_xml::Writer;
use virt_sys as sys;

use super::disk::{DISK_JOB, for_libvirt};
use super::error::{Error, Result};
use super::{Hypervisor, ffi, within};

const ACT: &str = "freeze the disk";

/// What the guest does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    /// It goes on: what it has not written out is not in what is frozen.
    GoesOn,
    /// Its own agent writes everything out and holds its file systems still for that moment. The bound, in seconds,
    /// is for each answer of that agent.
    HoldsStill(u16),
}

impl Hypervisor {
    /// Has the domain write to `overlay` from now on: a complete qcow2 that stands on its present disk. No
    /// write of the guest's is lost or waits for longer than the change takes. Whether it happened, if this
    /// fails, is seen by which files the process has open.
    ///
    /// # Errors
    /// The path is none for libvirt; another job holds the domain; QEMU does not answer; the guest does not hold
    /// still; libvirt's own.
    pub async fn freeze_disk(&self, name: &str, overlay: &Path, guest: Guest) -> Result<()> {
        within(ACT, DISK_JOB, self.go_over(name, overlay, guest)).await
    }

    async fn go_over(&self, name: &str, overlay: &Path, guest: Guest) -> Result<()> {
        let disks = self.record(name).await?.map_or(0, |record| record.disks.len());
        let xml = describe(overlay, disks)?;
        let flags = sys::VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
            | sys::VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
            | sys::VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT
            | sys::VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
        self.on_domain(ACT, name, move |domain| match guest {
            Guest::GoesOn => domain.create_snapshot_xml(&xml, flags).map(drop),
            Guest::HoldsStill(seconds) => {
                ffi::agent_answers_within(domain, seconds.into())?;
                // libvirt lets the guest go on by itself, whoever ends meanwhile.
                domain.create_snapshot_xml(&xml, flags | sys::VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE).map(drop)
            }
        })
        .await
    }
}

/// The domain's own disk is the first; what is not named would be frozen as well.
fn describe(overlay: &Path, disks: usize) -> Result<String> {
    let file = for_libvirt("overlay", overlay)?;
    let mut out = Writer::new(Vec::new());
    out.create_element("domainsnapshot")
        .write_inner_content(|out| {
            out.create_element("disks").write_inner_content(|out| {
                out.create_element("disk")
                    .with_attribute(("name", "vda"))
                    .with_attribute(("snapshot", "external"))
                    .with_attribute(("type", "file"))
                    .write_inner_content(|out| {
                        out.create_element("driver").with_attribute(("type", "qcow2")).write_empty()?;
                        out.create_element("source").with_attribute(("file", file)).write_empty()?;
                        Ok(())
                    })?;
                for letter in ('a'..='z').take(disks).skip(1) {
                    let name = format!("vd{letter}");
                    let other = out.create_element("disk").with_attribute(("name", name.as_str()));
                    other.with_attribute(("snapshot", "no")).write_empty()?;
                }
                Ok(())
            })?;
            Ok(())
        })
        .map_err(|error| Error::Xml(error.to_string()))?;
    String::from_utf8(out.into_inner()).map_err(|error| Error::Xml(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::Kind;

    #[test]
    fn the_servers_own_disk_is_frozen_and_its_seed_is_not() {
        let xml = describe(Path::new("/var/lib/a & <b>/d.1.qcow2"), 2).unwrap();
        let wanted = "<domainsnapshot><disks><disk name=\"vda\" snapshot=\"external\" type=\"file\">\
                      <driver type=\"qcow2\"/><source file=\"/var/lib/a &amp; &lt;b&gt;/d.1.qcow2\"/></disk>\
                      <disk name=\"vdb\" snapshot=\"no\"/></disks></domainsnapshot>";
        assert_eq!(xml, wanted);
        assert_eq!(describe(Path::new("d.qcow2"), 1).unwrap_err().kind(), Kind::Invalid);
    }
}
