//! What a domain shall be, in plain types.

use std::path::PathBuf;

use super::error::{Error, Result};
use super::grow::MEMORY_STEP_MIB;

/// Hardware virtualisation or emulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VirtType {
    /// Hardware virtualisation.
    Kvm,
    /// QEMU's emulation (TCG).
    Qemu,
}

/// The CPU that the guest sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cpu {
    /// QEMU's `qemu64`: every emulating host has it, so it migrates anywhere among them.
    Emulated,
    /// This host's CPU as a named model with features: migrates to equal or richer hosts.
    HostModel,
    /// A model and features that all hosts have, such as a baseline of both sites.
    Named {
        /// libvirt's name of the model.
        model: String,
        /// Features required beyond the model.
        features: Vec<String>,
    },
}

/// A disk file's format; always named, never guessed from the file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// QEMU copy-on-write 2.
    Qcow2,
    /// Plain bytes.
    Raw,
}

impl DiskFormat {
    /// The name that QEMU and libvirt use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// How writes reach the disk; both honour the guest's flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Past the host's page cache: needs `O_DIRECT` (see [`super::disk::supports_direct_io`]).
    None,
    /// Through the host's page cache.
    Writeback,
}

/// A file under an overlay: the image, or a frozen layer that stands on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackingFile {
    /// Where it is, the same on every node.
    pub path: PathBuf,
    /// Its format.
    pub format: DiskFormat,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where the file is, the same on every node.
    pub path: PathBuf,
    /// Its format.
    pub format: DiskFormat,
    /// What it stands on, the nearest first, to the end: the last has no backing file itself.
    pub backing: Vec<BackingFile>,
    /// How it is cached.
    pub cache: CacheMode,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Its hardware address.
    pub mac: String,
    /// The bridge that it is plugged into.
    pub bridge: String,
    /// The tap's name on every host, so that rules can be laid before it exists. Not `vnet…`,
    /// which libvirt would replace; at most 15 bytes.
    pub tap: String,
    /// Largest packet in bytes.
    pub mtu: u32,
}

/// By what the guest boots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Firmware {
    /// QEMU's own BIOS.
    #[default]
    Bios,
    /// UEFI, without Secure Boot. Both files of the package are at the same place, and as large, on every node: a
    /// migration names them by path, and their contents travel with the memory.
    Uefi {
        /// The firmware itself, which nobody writes.
        code: PathBuf,
        /// The variables that a new server has.
        template: PathBuf,
        /// This server's own variables, as large as the template.
        variables: PathBuf,
    },
}

/// The right to run a server, as last recorded in its domain. It makes a domain recognisable as ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The node that may run it.
    pub owner: String,
    /// The grant's generation.
    pub generation: u64,
}

/// What a domain shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainSpec {
    /// The server's name: a DNS label.
    pub name: String,
    /// The server's UUID, the same on every node.
    pub uuid: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// For how many virtual CPUs there are places: so many can be plugged in while it runs.
    pub most_vcpus: u32,
    /// Memory in MiB that it boots with.
    pub memory_mib: u64,
    /// How much more memory, in MiB, it has places for: so much can be given to it while it runs. None if it is 0.
    pub more_mib: u64,
    /// Hardware virtualisation or emulation.
    pub virt_type: VirtType,
    /// The CPU that the guest sees.
    pub cpu: Cpu,
    /// By what it boots.
    pub firmware: Firmware,
    /// Disks, `vda` first.
    pub disks: Vec<Disk>,
    /// The read-only volume that says who the server is, the last disk. The same on every node: a
    /// migration copies no read-only disk.
    pub seed: Option<PathBuf>,
    /// Network interfaces, in order.
    pub nics: Vec<Nic>,
    /// Where the serial console is logged on each host; appended to.
    pub console_log: PathBuf,
    /// Whether it has a screen, of which pictures can be taken.
    pub display: bool,
    /// The grant under which it is defined.
    pub grant: Grant,
}

impl DomainSpec {
    /// Refuses what no domain can be made of. Names come checked from the model; this guards the XML
    /// and the file system against what slipped through.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field.
    pub fn validate(&self) -> Result<()> {
        label("name", &self.name, 63)?;
        label("owner", &self.grant.owner, 63)?;
        require("vcpus", (1..=1024).contains(&self.vcpus), "1 to 1024")?;
        require("most_vcpus", (self.vcpus..=1024).contains(&self.most_vcpus), "vcpus to 1024")?;
        require("memory_mib", (1..=16_777_216).contains(&self.memory_mib), "1 MiB to 16 TiB")?;
        let steps = self.more_mib.is_multiple_of(MEMORY_STEP_MIB);
        require("more_mib", steps && self.more_mib <= 16_777_216, "whole steps of 4 MiB, to 16 TiB")?;
        require("uuid", is_uuid(&self.uuid), "not a UUID")?;
        require("disks", self.disks.len() <= 25, "at most 25")?;
        require("seed", self.seed.as_ref().is_none_or(|path| path.is_absolute()), "must be absolute")?;
        require("console_log", self.console_log.is_absolute(), "must be absolute")?;
        if let Firmware::Uefi { code, template, variables } = &self.firmware {
            let absolute = [code, template, variables].iter().all(|path| path.is_absolute());
            require("firmware", absolute, "must be absolute")?;
        }
        for disk in &self.disks {
            let backing = disk.backing.iter().all(|backing| backing.path.is_absolute());
            require("disk path", disk.path.is_absolute() && backing, "must be absolute")?;
        }
        for nic in &self.nics {
            label("bridge", &nic.bridge, 15)?;
            label("tap", &nic.tap, 15)?;
            require("tap", !nic.tap.starts_with("vnet"), "libvirt replaces names in vnet…")?;
            require("mtu", (576..=65_521).contains(&nic.mtu), "576 to 65521")?;
            let mac = nic.mac.len() == 17
                && nic.mac.split(':').all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
            require("mac", mac, "not six hexadecimal pairs")?;
        }
        Ok(())
    }
}

fn require(field: &'static str, holds: bool, reason: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Invalid { field, reason: reason.to_owned() }) }
}

fn label(field: &'static str, text: &str, most: usize) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let good = !text.is_empty()
        && text.len() <= most
        && text.bytes().all(allowed)
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    require(field, good, "letters, digits, - _ . only, within its length")
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
