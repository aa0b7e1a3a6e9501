//! What this node is and has.

use std::collections::BTreeSet;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::domain_xml::attribute;
use super::error::{Error, Result};
use super::spec::VirtType;
use super::{Hypervisor, blocking};

/// The CPU that guests of this host can be given, to be compared across sites.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostCpu {
    /// libvirt's name of the nearest model.
    pub model: String,
    /// The vendor, where known.
    pub vendor: String,
    /// Features beyond the model.
    pub features: BTreeSet<String>,
}

/// What this node is and has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Its CPU, as `host-model` guests see it under the given virtualisation.
    pub cpu: HostCpu,
    /// Logical CPUs.
    pub cpus: u32,
    /// All memory.
    pub memory_total_mib: u64,
    /// Memory that could be given out now (free and reclaimable).
    pub memory_available_mib: u64,
    /// libvirt's version, `11.3.0`.
    pub libvirt_version: String,
    /// QEMU's version.
    pub qemu_version: String,
    /// The disk folder's file system.
    pub disk_total_bytes: u64,
    /// What an ordinary user may still write there.
    pub disk_free_bytes: u64,
}

impl Hypervisor {
    /// Takes stock.
    ///
    /// # Errors
    /// libvirt is away, or the disk folder cannot be read.
    pub async fn inventory(&self, virt_type: VirtType, disks: &Path) -> Result<Inventory> {
        let capabilities = self.capabilities(virt_type).await?;
        let (node, libvirt, qemu) = self
            .call("take stock of the host", |connect| {
                Ok((connect.node_info()?, connect.lib_version()?, connect.hyp_version()?))
            })
            .await?;
        let (disk_total_bytes, disk_free_bytes) = disk_space(disks).await?;
        let (memory_total_mib, memory_available_mib) = memory_mib().await?;
        Ok(Inventory {
            cpu: host_model(&capabilities)?,
            cpus: node.cpus,
            memory_total_mib,
            memory_available_mib,
            libvirt_version: version(libvirt),
            qemu_version: version(qemu),
            disk_total_bytes,
            disk_free_bytes,
        })
    }

    /// What domains under that virtualisation can have here, in libvirt's XML.
    pub(super) async fn capabilities(&self, virt_type: VirtType) -> Result<String> {
        let kind = match virt_type {
            VirtType::Kvm => "kvm",
            VirtType::Qemu => "qemu",
        };
        self.call("ask what domains can have", move |connect| {
            connect.domain_capabilities(None, Some("x86_64"), Some("q35"), Some(kind), 0)
        })
        .await
    }
}

/// A folder's file system: bytes in all, and bytes that may still be written.
///
/// # Errors
/// The folder cannot be read.
pub async fn disk_space(folder: &Path) -> Result<(u64, u64)> {
    let folder = folder.to_owned();
    blocking("read the disk's space", move || {
        let stat = rustix::fs::statvfs(&folder).map_err(|error| Error::Io {
            act: "measure",
            path: folder,
            source: error.into(),
        })?;
        Ok((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
    })
    .await
}

/// Memory in all, and memory that could be given out now by the kernel's own estimate. (libvirt's figure
/// leaves out memory that a virtual machine was given after its start.)
///
/// # Errors
/// `/proc/meminfo` cannot be read.
pub async fn memory_mib() -> Result<(u64, u64)> {
    let path = Path::new("/proc/meminfo");
    let text = tokio::fs::read_to_string(path).await.map_err(|source| Error::Io {
        act: "read",
        path: path.to_owned(),
        source,
    })?;
    let mib = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
    };
    Ok((mib("MemTotal:"), mib("MemAvailable:")))
}

/// libvirt packs versions as 1,000,000 × major + 1,000 × minor + release.
fn version(packed: u32) -> String {
    format!("{}.{}.{}", packed / 1_000_000, packed / 1_000 % 1_000, packed % 1_000)
}

/// The `host-model` part of the domain capabilities.
fn host_model(xml: &str) -> Result<HostCpu> {
    let mut reader = Reader::from_str(xml);
    let mut cpu = HostCpu::default();
    let (mut inside, mut element) = (false, String::new());
    loop {
        match reader.read_event().map_err(|error| Error::Xml(error.to_string()))? {
            Event::Start(start) | Event::Empty(start) if start.name().as_ref() == "mode" => {
                inside = attribute(&start, "name")?.as_deref() == Some("host-model");
            }
            Event::End(end) if end.name().as_ref() == "mode" => inside = false,
            Event::Empty(start)
                if inside
                    && start.name().as_ref() == "feature"
                    && attribute(&start, "policy")?.as_deref() == Some("require") =>
            {
                cpu.features.extend(attribute(&start, "name")?);
            }
            Event::Start(start) if inside => element = start.name().as_ref().to_owned(),
            Event::End(_) => element.clear(),
            Event::Text(text) if inside => match element.as_str() {
                "model" => cpu.model = text.xml10_content().into_owned(),
                "vendor" => cpu.vendor = text.xml10_content().into_owned(),
                _ => {}
            },
            Event::Eof => return Ok(cpu),
            _ => {}
        }
    }
}
