//! A domain's life on this node: define, start, stop, forget, and what it is doing.

use virt::error::ErrorNumber;
use virt_sys as sys;

use super::domain_xml::{self, DomainRecord};
use super::error::{Kind, Result};
use super::spec::{DomainSpec, Grant};
use super::state::{DomainState, StopReason};
use super::{Hypervisor, ffi, save};

/// How a domain is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// Its vCPUs run at once.
    Running,
    /// Its vCPUs wait for [`Hypervisor::resume`].
    Paused,
}

/// A domain found on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainSummary {
    /// What its XML says; `grant` is none when it is not ours.
    pub record: DomainRecord,
    /// What it is doing.
    pub state: DomainState,
    /// Whether it has a persistent definition.
    pub persistent: bool,
}

impl Hypervisor {
    /// Writes the persistent definition; the same again changes nothing.
    ///
    /// # Errors
    /// An invalid specification; a domain of that name with another UUID ([`Kind::Exists`]); libvirt's own.
    pub async fn define(&self, spec: &DomainSpec) -> Result<()> {
        let xml = domain_xml::build(spec)?;
        self.call("define the domain", move |connect| {
            connect.define_domain_xml_flags(&xml, sys::VIR_DOMAIN_DEFINE_VALIDATE).map(drop)
        })
        .await
    }

    /// Makes a transient (arrived) domain persistent, from its own live XML.
    ///
    /// # Errors
    /// No such domain, or libvirt's own.
    pub async fn persist(&self, name: &str) -> Result<()> {
        self.on_domain("make the domain persistent", name, |domain| {
            if domain.is_persistent()? {
                return Ok(());
            }
            let flags = sys::VIR_DOMAIN_XML_SECURE | sys::VIR_DOMAIN_XML_MIGRATABLE;
            let xml = domain.xml_desc(flags)?;
            domain.connect()?.define_domain_xml(&xml).map(drop)
        })
        .await
    }

    /// Starts the defined domain. One that runs already is [`Kind::InvalidState`].
    ///
    /// # Errors
    /// No definition, no memory, no disk: libvirt's own.
    pub async fn start(&self, name: &str, mode: StartMode) -> Result<()> {
        let flags = match mode {
            StartMode::Running => 0,
            StartMode::Paused => sys::VIR_DOMAIN_START_PAUSED,
        };
        self.on_domain("start the domain", name, move |domain| domain.create_with_flags(flags)).await
    }

    /// Lets a paused domain run; one that runs already stays so.
    ///
    /// # Errors
    /// No such domain; it is shut off; libvirt's own.
    pub async fn resume(&self, name: &str) -> Result<()> {
        self.on_domain("resume the domain", name, |domain| domain.resume().map(drop)).await
    }

    /// Stops a domain's vCPUs.
    ///
    /// # Errors
    /// No such domain; it is shut off; libvirt's own.
    pub async fn suspend(&self, name: &str) -> Result<()> {
        self.on_domain("pause the domain", name, |domain| domain.suspend().map(drop)).await
    }

    /// Presses the power button. The guest may take its time, or ignore it.
    ///
    /// # Errors
    /// No such domain; it does not run; libvirt's own.
    pub async fn shutdown(&self, name: &str) -> Result<()> {
        self.on_domain("shut the domain down", name, |domain| {
            domain.shutdown_flags(sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN).map(drop)
        })
        .await
    }

    /// Presses the reset button: a reboot that needs no help from the guest.
    ///
    /// # Errors
    /// No such domain; it does not run; libvirt's own.
    pub async fn reset(&self, name: &str) -> Result<()> {
        self.on_domain("reset the domain", name, |domain| domain.reset().map(drop)).await
    }

    /// Asks the guest to reboot.
    ///
    /// # Errors
    /// No such domain; it does not run; libvirt's own.
    pub async fn reboot(&self, name: &str) -> Result<()> {
        self.on_domain("reboot the domain", name, |domain| domain.reboot(sys::VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)).await
    }

    /// Pulls the plug. One that is off already, or absent, is success.
    ///
    /// # Errors
    /// libvirt's own.
    pub async fn destroy(&self, name: &str) -> Result<()> {
        let outcome = self.on_domain("force the domain off", name, |domain| domain.destroy().map(drop)).await;
        match outcome {
            Err(error) if error.kind() == Kind::NoDomain => Ok(()),
            Err(error) if error.kind() == Kind::InvalidState => match self.state(name).await? {
                DomainState::Absent | DomainState::ShutOff(_) => Ok(()),
                _ => Err(error),
            },
            outcome => outcome,
        }
    }

    /// Removes the persistent definition, with saved state. The file of its firmware's variables stays, as its disks
    /// do. A running domain goes on as a transient one. Absent is success.
    ///
    /// # Errors
    /// libvirt's own.
    pub async fn undefine(&self, name: &str) -> Result<()> {
        let outcome = self
            .on_domain("undefine the domain", name, |domain| {
                if !domain.is_persistent()? {
                    return Ok(());
                }
                domain.undefine_flags(
                    sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                        | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                        | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
                        | sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM,
                )
            })
            .await;
        match outcome {
            Err(error) if error.kind() == Kind::NoDomain => Ok(()),
            outcome => outcome,
        }
    }

    /// What the domain is doing, by libvirt's word. One whose memory is saved is said to be so even when libvirtd,
    /// started anew, no longer knows why it is off.
    ///
    /// # Errors
    /// libvirt is away. A missing domain is [`DomainState::Absent`], not an error.
    pub async fn state(&self, name: &str) -> Result<DomainState> {
        let look = |domain: &virt::domain::Domain| -> std::result::Result<DomainState, virt::error::Error> {
            let state = DomainState::from_raw(ffi::state(domain)?);
            let DomainState::ShutOff(reason) = state else { return Ok(state) };
            let saved = save::is_saved(domain)?;
            Ok(DomainState::ShutOff(match reason {
                _ if saved => StopReason::Saved,
                // It was, and somebody did not want that any more.
                StopReason::Saved => StopReason::Destroyed,
                reason => reason,
            }))
        };
        match self.on_domain("read the domain's state", name, look).await {
            Ok(state) => Ok(state),
            Err(error) if error.kind() == Kind::NoDomain => Ok(DomainState::Absent),
            Err(error) => Err(error),
        }
    }

    /// The UUID of the domain of that name; nothing if there is none. Unlike [`Self::record`], no job delays it.
    ///
    /// # Errors
    /// libvirt is away.
    pub async fn uuid(&self, name: &str) -> Result<Option<String>> {
        match self.on_domain("look the domain up", name, |domain| domain.uuid_string()).await {
            Ok(uuid) => Ok(Some(uuid)),
            Err(error) if error.kind() == Kind::NoDomain => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Names of every domain on this node, ours and others'. Unlike [`Self::list`], no job delays it.
    ///
    /// # Errors
    /// libvirt is away.
    pub async fn names(&self) -> Result<Vec<String>> {
        self.call("list the domains' names", |connect| {
            connect.list_all_domains(0)?.iter().map(virt::domain::Domain::name).collect()
        })
        .await
    }

    /// What the domain's definition says; nothing if it is absent. libvirt answers only after an *incoming*
    /// migration is over (measured: its whole duration), and serves few calls at a time: never ask this of
    /// a domain that may be arriving.
    ///
    /// # Errors
    /// libvirt is away, or its XML is not understood.
    pub async fn record(&self, name: &str) -> Result<Option<DomainRecord>> {
        match self.on_domain("read the domain's XML", name, |domain| domain.xml_desc(0)).await {
            Ok(xml) => domain_xml::parse(&xml).map(Some),
            Err(error) if error.kind() == Kind::NoDomain => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every domain on this node, ours and others'; ours carry a grant. Waits for arriving ones, as
    /// [`Self::record`] does.
    ///
    /// # Errors
    /// libvirt is away. A domain that goes away meanwhile is left out.
    pub async fn list(&self) -> Result<Vec<DomainSummary>> {
        let found = self
            .call("list domains", |connect| {
                let mut found = Vec::new();
                for domain in connect.list_all_domains(0)? {
                    let read = || Ok((domain.xml_desc(0)?, ffi::state(&domain)?, domain.is_persistent()?));
                    match read() {
                        Ok(entry) => found.push(entry),
                        Err(error) if is_no_domain(&error) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(found)
            })
            .await?;
        found
            .into_iter()
            .map(|(xml, state, persistent)| {
                let record = domain_xml::parse(&xml)?;
                Ok(DomainSummary { record, state: DomainState::from_raw(state), persistent })
            })
            .collect()
    }

    /// Records the grant in the domain, live and persistent alike.
    ///
    /// # Errors
    /// No such domain, or libvirt's own.
    pub async fn set_grant(&self, name: &str, grant: &Grant) -> Result<()> {
        let element = domain_xml::grant_element(grant)?;
        self.on_domain("record the grant", name, move |domain| {
            let mut flags = 0;
            if domain.is_active()? {
                flags |= sys::VIR_DOMAIN_AFFECT_LIVE;
            }
            if domain.is_persistent()? {
                flags |= sys::VIR_DOMAIN_AFFECT_CONFIG;
            }
            domain.set_metadata(
                sys::VIR_DOMAIN_METADATA_ELEMENT.cast_signed(),
                Some(&element),
                Some(domain_xml::PREFIX),
                Some(domain_xml::NAMESPACE),
                flags,
            )
        })
        .await
    }
}

fn is_no_domain(error: &virt::error::Error) -> bool {
    matches!(error.code(), virt::enumutil::Enum::Known(ErrorNumber::NoDomain))
}
