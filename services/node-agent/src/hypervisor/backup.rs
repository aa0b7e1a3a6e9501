//! Copying a running domain's disk, which goes on being written to: QEMU keeps what the guest overwrites
//! until it is copied, so that the copy shows the moment at which it was begun.
//!
//! The job is libvirt's, one a domain, and excludes a migration: whoever migrates ends it first.

use std::path::Path;

use quick_xml::Writer;
use virt_sys as sys;

use super::disk::for_libvirt;
use super::error::{Error, Kind, Result};
use super::{Hypervisor, ffi};

/// The target of a domain's own disk, the first (`domain_xml`). The seed is no part of a copy.
const DISK: &str = "vda";

/// Whether the guest's file systems hold still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frozen {
    /// They do.
    Yes,
    /// They do not: no agent is in the guest, or it has nothing to freeze.
    No,
    /// Its agent was asked and did not say: they have to be thawed, and count as not frozen.
    Perhaps,
}

impl Hypervisor {
    /// Has the guest's own agent, if there is one, write everything out and hold its file systems still.
    /// The bound is for each answer of that agent.
    pub async fn freeze(&self, name: &str, seconds: u16) -> Frozen {
        let asked = self.on_domain("freeze file systems", name, move |domain| ffi::freeze(domain, seconds.into()));
        match asked.await {
            Ok(0) => Frozen::No,
            Ok(_) => Frozen::Yes,
            // It has no channel to an agent.
            Err(error) if matches!(error.kind(), Kind::Incompatible | Kind::NoDomain | Kind::InvalidState) => {
                Frozen::No
            }
            Err(error) => {
                tracing::debug!(name, %error, "the guest's agent does not freeze its file systems");
                Frozen::Perhaps
            }
        }
    }

    /// Lets the guest's file systems go on; none that are frozen is success.
    ///
    /// # Errors
    /// The guest's agent does not answer, or libvirt's own.
    pub async fn thaw(&self, name: &str) -> Result<()> {
        self.on_domain("thaw file systems", name, ffi::thaw).await
    }

    /// Begins to copy the domain's disk, with what lies under it, into a qcow2 that stands on nothing.
    /// [`Hypervisor::job_stats`] and [`super::Event::JobCompleted`] tell how far it is and how it ended;
    /// [`Hypervisor::abort_job`] ends it.
    ///
    /// # Errors
    /// There is a file of that name; another job holds the domain ([`Kind::Busy`]); libvirt's own.
    pub async fn begin_backup(&self, name: &str, target: &Path) -> Result<()> {
        let xml = describe(target)?;
        self.on_domain("copy the disk", name, move |domain| ffi::begin_backup(domain, &xml)).await
    }

    /// Forgets the figures of the job that was over last, so that they are not taken for those of the next.
    ///
    /// # Errors
    /// No such domain, or libvirt is away.
    pub async fn forget_job(&self, name: &str) -> Result<()> {
        // Reading them once without keeping them is how.
        let flags = sys::VIR_DOMAIN_JOB_STATS_COMPLETED;
        self.on_domain("forget the last job", name, move |domain| ffi::job_stats(domain, flags)).await.map(drop)
    }
}

fn describe(target: &Path) -> Result<String> {
    let file = for_libvirt("copy", target)?;
    let mut out = Writer::new(Vec::new());
    out.create_element("domainbackup")
        .with_attribute(("mode", "push"))
        .write_inner_content(|out| {
            // A disk that is not listed is not copied.
            out.create_element("disks").write_inner_content(|out| {
                out.create_element("disk")
                    .with_attribute(("name", DISK))
                    .with_attribute(("type", "file"))
                    .write_inner_content(|out| {
                        out.create_element("driver").with_attribute(("type", "qcow2")).write_empty()?;
                        out.create_element("target").with_attribute(("file", file)).write_empty()?;
                        Ok(())
                    })?;
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

    #[test]
    fn only_the_servers_own_disk_is_copied_and_a_path_cannot_say_otherwise() {
        let xml = describe(Path::new("/var/lib/a & <b>/c.qcow2")).unwrap();
        let wanted = "<domainbackup mode=\"push\"><disks><disk name=\"vda\" type=\"file\"><driver type=\"qcow2\"/>\
                      <target file=\"/var/lib/a &amp; &lt;b&gt;/c.qcow2\"/></disk></disks></domainbackup>";
        assert_eq!(xml, wanted);
        assert_eq!(describe(Path::new("c.qcow2")).unwrap_err().kind(), Kind::Invalid);
    }
}
