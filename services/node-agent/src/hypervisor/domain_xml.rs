//! Domain XML: written from a [`DomainSpec`] through a writer that escapes, read back for what we need.

use std::io;
use std::path::{Path, PathBuf};

use quick_xml::events::{BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

use super::error::{Error, Result};
use super::grow::{MEMORY_STEP_MIB, Memory};
use super::spec::{BackingFile, CacheMode, Cpu, Disk, DomainSpec, Firmware, Grant, Nic, VirtType};

/// The namespace of our element in a domain's metadata.
pub(super) const NAMESPACE: &str = "urn:watari:domain:1";
/// Its prefix.
pub(super) const PREFIX: &str = "watari";
/// The model of a screen: the one that every firmware and kernel draws on.
pub(super) const VIDEO: &str = "vga";
/// Its memory in KiB, which travels whenever the server moves: enough for 1152 × 864 and, as UEFI has it, 1280 × 800.
const VIDEO_KIB: &str = "4096";

type Out = Writer<Vec<u8>>;

/// What a domain's XML says, as far as the agent needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainRecord {
    /// The domain's name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Its memory.
    pub memory: Memory,
    /// Disk files in order, without their backing files.
    pub disks: Vec<PathBuf>,
    /// Tap names in order.
    pub taps: Vec<String>,
    /// Whether somebody may type at its serial console, rather than only read its log.
    pub interactive: bool,
    /// The grant recorded in it; none on a domain that is not ours.
    pub grant: Option<Grant>,
}

/// The domain's XML.
///
/// # Errors
/// [`Error::Invalid`] when the specification fails its own checks.
pub fn build(spec: &DomainSpec) -> Result<String> {
    spec.validate()?;
    let mut out = Writer::new_with_indent(Vec::new(), b' ', 2);
    write_domain(&mut out, spec).map_err(|error| Error::Xml(error.to_string()))?;
    String::from_utf8(out.into_inner()).map_err(|error| Error::Xml(error.to_string()))
}

/// Our metadata element alone, as `virDomainSetMetadata` wants it.
pub(super) fn grant_element(grant: &Grant) -> Result<String> {
    let mut out = Writer::new(Vec::new());
    out.create_element("grant")
        .with_attribute(("owner", grant.owner.as_str()))
        .with_attribute(("generation", grant.generation.to_string().as_str()))
        .write_empty()
        .map_err(|error| Error::Xml(error.to_string()))?;
    String::from_utf8(out.into_inner()).map_err(|error| Error::Xml(error.to_string()))
}

fn write_domain(out: &mut Out, spec: &DomainSpec) -> io::Result<()> {
    let kind = match spec.virt_type {
        VirtType::Kvm => "kvm",
        VirtType::Qemu => "qemu",
    };
    out.create_element("domain").with_attribute(("type", kind)).write_inner_content(|out| {
        text(out, "name", &spec.name)?;
        text(out, "uuid", &spec.uuid)?;
        out.create_element("metadata").write_inner_content(|out| {
            out.create_element(format!("{PREFIX}:grant"))
                .with_attribute((format!("xmlns:{PREFIX}").as_str(), NAMESPACE))
                .with_attribute(("owner", spec.grant.owner.as_str()))
                .with_attribute(("generation", spec.grant.generation.to_string().as_str()))
                .write_empty()?;
            Ok(())
        })?;
        write_memory(out, spec)?;
        out.create_element("vcpu")
            .with_attribute(("current", spec.vcpus.to_string().as_str()))
            .write_text_content(BytesText::new(&spec.most_vcpus.to_string()))?;
        out.create_element("os").write_inner_content(|out| {
            // libvirt replaces the alias by the newest version at definition; that travels along.
            out.create_element("type")
                .with_attribute(("arch", "x86_64"))
                .with_attribute(("machine", "q35"))
                .write_text_content(BytesText::new("hvm"))?;
            write_firmware(out, &spec.firmware)?;
            empty(out, "boot", &[("dev", "hd")])
        })?;
        out.create_element("features").write_inner_content(|out| {
            empty(out, "acpi", &[])?;
            empty(out, "apic", &[])
        })?;
        write_cpu(out, spec)?;
        empty(out, "clock", &[("offset", "utc")])?;
        // A guest that ends must not come back by itself: only a grant starts it.
        text(out, "on_poweroff", "destroy")?;
        text(out, "on_reboot", "restart")?;
        text(out, "on_crash", "destroy")?;
        out.create_element("devices").write_inner_content(|out| write_devices(out, spec))?;
        Ok(())
    })?;
    Ok(())
}

/// The files are named, rather than left to libvirt's choice among what is installed: another node must come to the
/// same ones.
fn write_firmware(out: &mut Out, firmware: &Firmware) -> io::Result<()> {
    let Firmware::Uefi { code, template, variables } = firmware else { return Ok(()) };
    out.create_element("loader")
        .with_attributes([("readonly", "yes"), ("secure", "no"), ("type", "pflash")])
        .write_text_content(BytesText::new(&path(code)))?;
    out.create_element("nvram")
        .with_attribute(("template", path(template).as_str()))
        .write_text_content(BytesText::new(&path(variables)))?;
    Ok(())
}

/// One that can be given more later is told so when it boots. Of another nothing is said that was not said before there
/// were such: its guest sees the same machine.
fn write_memory(out: &mut Out, spec: &DomainSpec) -> io::Result<()> {
    let most_mib = spec.memory_mib.saturating_add(spec.more_mib);
    if spec.more_mib > 0 {
        // This kind of memory takes no slot; libvirt before 9.5 wants one all the same.
        out.create_element("maxMemory")
            .with_attributes([("slots", "1"), ("unit", "MiB")])
            .write_text_content(BytesText::new(&most_mib.to_string()))?;
        mib(out, "currentMemory", spec.memory_mib)?;
    }
    // libvirt counts all that a device could offer.
    mib(out, "memory", most_mib)
}

/// What is offered later belongs to a NUMA node. So what it boots with must be one, with all processors that there can
/// be.
fn write_cell(out: &mut Out, spec: &DomainSpec) -> io::Result<()> {
    if spec.more_mib == 0 {
        return Ok(());
    }
    let (cpus, memory) = (format!("0-{}", spec.most_vcpus.saturating_sub(1)), spec.memory_mib.to_string());
    let cell = [("id", "0"), ("cpus", cpus.as_str()), ("memory", memory.as_str()), ("unit", "MiB")];
    out.create_element("numa").write_inner_content(|out| empty(out, "cell", &cell)).map(drop)
}

/// The device that offers memory. It is there from the start, with nothing on offer: so both ends of a migration have
/// the same devices, whatever was taken meanwhile.
fn write_places(out: &mut Out, more_mib: u64) -> io::Result<()> {
    out.create_element("memory").with_attribute(("model", "virtio-mem")).write_inner_content(|out| {
        out.create_element("target").write_inner_content(|out| {
            mib(out, "size", more_mib)?;
            text(out, "node", "0")?;
            mib(out, "block", MEMORY_STEP_MIB)?;
            mib(out, "requested", 0)
        })?;
        Ok(())
    })?;
    Ok(())
}

fn write_cpu(out: &mut Out, spec: &DomainSpec) -> io::Result<()> {
    let custom = |out: &mut Out, model: &str, features: &[String]| {
        out.create_element("cpu")
            .with_attribute(("mode", "custom"))
            .with_attribute(("match", "exact"))
            .write_inner_content(|out| {
                out.create_element("model")
                    .with_attribute(("fallback", "forbid"))
                    .write_text_content(BytesText::new(model))?;
                for feature in features {
                    empty(out, "feature", &[("policy", "require"), ("name", feature)])?;
                }
                write_cell(out, spec)
            })
            .map(drop)
    };
    match &spec.cpu {
        Cpu::Emulated => custom(out, "qemu64", &[]),
        Cpu::HostModel => out
            .create_element("cpu")
            .with_attributes([("mode", "host-model"), ("check", "partial")])
            .write_inner_content(|out| write_cell(out, spec))
            .map(drop),
        Cpu::Named { model, features } => custom(out, model, features),
    }
}

fn write_devices(out: &mut Out, spec: &DomainSpec) -> io::Result<()> {
    for (disk, letter) in spec.disks.iter().zip('a'..='z') {
        write_disk(out, disk, &format!("vd{letter}"))?;
    }
    if let Some(seed) = &spec.seed {
        write_seed(out, seed, spec.disks.len())?;
    }
    for nic in &spec.nics {
        write_nic(out, nic)?;
    }
    // QEMU writes the log itself, whether somebody has the console open or not.
    out.create_element("serial").with_attribute(("type", "pty")).write_inner_content(|out| {
        empty(out, "log", &[("file", &path(&spec.console_log)), ("append", "on")])?;
        empty(out, "target", &[("type", "isa-serial"), ("port", "0")])
    })?;
    // How the guest's own agent, where there is one, is asked to hold still ([`super::Hypervisor::freeze`]).
    out.create_element("channel")
        .with_attribute(("type", "unix"))
        .write_inner_content(|out| empty(out, "target", &[("type", "virtio"), ("name", "org.qemu.guest_agent.0")]))?;
    out.create_element("rng").with_attribute(("model", "virtio")).write_inner_content(|out| {
        out.create_element("backend")
            .with_attribute(("model", "random"))
            .write_text_content(BytesText::new("/dev/urandom"))?;
        Ok(())
    })?;
    empty(out, "controller", &[("type", "usb"), ("model", "none")])?;
    empty(out, "memballoon", &[("model", "virtio")])?;
    if spec.display {
        // Without a `graphics` element nothing listens, and nobody can type there.
        out.create_element("video")
            .write_inner_content(|out| empty(out, "model", &[("type", VIDEO), ("vram", VIDEO_KIB), ("heads", "1")]))?;
    }
    if spec.more_mib > 0 { write_places(out, spec.more_mib) } else { Ok(()) }
}

fn write_disk(out: &mut Out, disk: &Disk, target: &str) -> io::Result<()> {
    let cache = match disk.cache {
        CacheMode::None => "none",
        CacheMode::Writeback => "writeback",
    };
    out.create_element("disk")
        .with_attribute(("type", "file"))
        .with_attribute(("device", "disk"))
        .write_inner_content(|out| {
            let driver = [("name", "qemu"), ("type", disk.format.as_str()), ("cache", cache), ("discard", "unmap")];
            empty(out, "driver", &driver)?;
            empty(out, "source", &[("file", &path(&disk.path))])?;
            // The chain is spelled out to its end, so that libvirt opens no file that an image names.
            write_backing(out, &disk.backing)?;
            empty(out, "target", &[("dev", target), ("bus", "virtio")])
        })?;
    Ok(())
}

/// A disk rather than a CD-ROM: the kernels of cloud images have no driver for the latter.
fn write_seed(out: &mut Out, file: &Path, index: usize) -> io::Result<()> {
    let letter = ('a'..='z').nth(index).unwrap_or('z');
    out.create_element("disk")
        .with_attribute(("type", "file"))
        .with_attribute(("device", "disk"))
        .write_inner_content(|out| {
            empty(out, "driver", &[("name", "qemu"), ("type", "raw")])?;
            empty(out, "source", &[("file", &path(file))])?;
            empty(out, "backingStore", &[])?;
            empty(out, "target", &[("dev", &format!("vd{letter}")), ("bus", "virtio")])?;
            empty(out, "readonly", &[])
        })?;
    Ok(())
}

fn write_backing(out: &mut Out, chain: &[BackingFile]) -> io::Result<()> {
    let Some((backing, rest)) = chain.split_first() else { return empty(out, "backingStore", &[]) };
    out.create_element("backingStore").with_attribute(("type", "file")).write_inner_content(|out| {
        empty(out, "format", &[("type", backing.format.as_str())])?;
        empty(out, "source", &[("file", &path(&backing.path))])?;
        write_backing(out, rest)
    })?;
    Ok(())
}

/// Without the ROM from which a machine boots over the network: nobody does here, and to go through it makes each boot
/// slower. A ROM is sent with the memory, and the other end must have it as well: who was started with one keeps it until
/// the next start, since a running domain takes its own XML along, and a saved one goes on with that of its memory.
fn write_nic(out: &mut Out, nic: &Nic) -> io::Result<()> {
    out.create_element("interface").with_attribute(("type", "bridge")).write_inner_content(|out| {
        empty(out, "mac", &[("address", &nic.mac)])?;
        empty(out, "source", &[("bridge", &nic.bridge)])?;
        empty(out, "target", &[("dev", &nic.tap)])?;
        empty(out, "model", &[("type", "virtio")])?;
        empty(out, "mtu", &[("size", &nic.mtu.to_string())])?;
        empty(out, "rom", &[("enabled", "no")])
    })?;
    Ok(())
}

fn mib(out: &mut Out, name: &str, amount: u64) -> io::Result<()> {
    out.create_element(name)
        .with_attribute(("unit", "MiB"))
        .write_text_content(BytesText::new(&amount.to_string()))
        .map(drop)
}

fn text(out: &mut Out, name: &str, content: &str) -> io::Result<()> {
    out.create_element(name).write_text_content(BytesText::new(content)).map(drop)
}

fn empty(out: &mut Out, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
    out.create_element(name).with_attributes(attributes.iter().copied()).write_empty().map(drop)
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Reads back what [`build`] and libvirt write.
///
/// # Errors
/// [`Error::Xml`] when it is no XML.
pub fn parse(xml: &str) -> Result<DomainRecord> {
    let mut reader = Reader::from_str(xml);
    let mut record = DomainRecord::default();
    // Element names from the root; short, since a domain's XML is shallow.
    let mut at: Vec<String> = Vec::new();
    let mut in_mib = false;
    loop {
        match reader.read_event().map_err(|error| Error::Xml(error.to_string()))? {
            Event::Start(start) => {
                at.push(element(&start));
                in_mib = attribute(&start, "unit")?.as_deref() == Some("MiB");
                read_element(&mut record, &at, &start)?;
            }
            Event::Empty(start) => {
                at.push(element(&start));
                read_element(&mut record, &at, &start)?;
                at.pop();
            }
            Event::End(_) => {
                at.pop();
            }
            Event::Text(content) => {
                read_text(&mut record, &at, &content.xml10_content(), in_mib);
            }
            Event::Eof => {
                // In all libvirt counts what could be offered, too.
                record.memory.boot_mib = record.memory.boot_mib.saturating_sub(record.memory.places_mib);
                return Ok(record);
            }
            _ => {}
        }
    }
}

/// The device of a running domain that offers memory, as libvirt described it, with so much on offer: libvirt changes
/// nothing else of it, and takes it only if nothing else differs.
///
/// # Errors
/// [`Error::Xml`] when it is no XML, [`Error::Invalid`] when the domain has no such device.
pub(super) fn with_offer(xml: &str, more_mib: u64) -> Result<String> {
    let failed = |error: io::Error| Error::Xml(error.to_string());
    let mut reader = Reader::from_str(xml);
    let mut out = Writer::new(Vec::new());
    let mut at: Vec<String> = Vec::new();
    loop {
        let event = reader.read_event().map_err(|error| Error::Xml(error.to_string()))?;
        if let Event::Start(start) = &event {
            at.push(element(start));
        }
        let ends = matches!(event, Event::End(_));
        let path: Vec<&str> = at.iter().map(String::as_str).collect();
        match (path.as_slice(), event) {
            (_, Event::Eof) => break,
            (["domain", "devices", "memory", "target", "requested"], Event::Start(_)) => {
                mib(&mut out, "requested", more_mib).map_err(failed)?;
            }
            (["domain", "devices", "memory", "target", "requested"], _) => {}
            (["domain", "devices", "memory", ..], event) => out.write_event(event).map_err(failed)?,
            _ => {}
        }
        if ends {
            at.pop();
        }
    }
    let device = String::from_utf8(out.into_inner()).map_err(|error| Error::Xml(error.to_string()))?;
    if device.is_empty() {
        return Err(Error::Invalid { field: "memory", reason: "the domain has no places for more".to_owned() });
    }
    Ok(device)
}

fn element(start: &BytesStart<'_>) -> String {
    start.name().as_ref().to_owned()
}

fn read_text(record: &mut DomainRecord, at: &[String], content: &str, in_mib: bool) {
    let at: Vec<&str> = at.iter().map(String::as_str).collect();
    // libvirt writes KiB, whatever unit it was given.
    let mib = || content.trim().parse::<u64>().unwrap_or(0) / if in_mib { 1 } else { 1024 };
    match at.as_slice() {
        ["domain", "name"] => record.name = content.to_owned(),
        ["domain", "uuid"] => record.uuid = content.to_owned(),
        // Those that are plugged in, if there are places for more; all of them else.
        ["domain", "vcpu"] if record.vcpus == 0 => record.vcpus = content.trim().parse().unwrap_or(0),
        ["domain", "memory"] => record.memory.boot_mib = mib(),
        ["domain", "devices", "memory", "target", "size"] => record.memory.places_mib = mib(),
        ["domain", "devices", "memory", "target", "requested"] => record.memory.offered_mib = mib(),
        ["domain", "devices", "memory", "target", "current"] => record.memory.taken_mib = mib(),
        _ => {}
    }
}

fn read_element(record: &mut DomainRecord, at: &[String], start: &BytesStart<'_>) -> Result<()> {
    let at: Vec<&str> = at.iter().map(String::as_str).collect();
    match at.as_slice() {
        ["domain", "vcpu"] => {
            record.vcpus = attribute(start, "current")?.and_then(|text| text.parse().ok()).unwrap_or(0);
        }
        ["domain", "devices", "disk", "source"] => {
            record.disks.extend(attribute(start, "file")?.map(PathBuf::from));
        }
        ["domain", "devices", "interface", "target"] => {
            record.taps.extend(attribute(start, "dev")?);
        }
        ["domain", "devices", "serial"] => {
            record.interactive |= attribute(start, "type")?.as_deref() == Some("pty");
        }
        ["domain", "metadata", "watari:grant"] => {
            let generation = attribute(start, "generation")?.and_then(|text| text.parse().ok());
            record.grant =
                attribute(start, "owner")?.zip(generation).map(|(owner, generation)| Grant { owner, generation });
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    start
        .try_get_attribute(name)
        .map_err(|error| Error::Xml(error.to_string()))?
        .map(|attribute| attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map(String::from))
        .transpose()
        .map_err(|error| Error::Xml(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libvirt 11 describes one that runs.
    const LIVE: &str = r#"<domain type='qemu' id='3'>
  <memory unit='KiB'>655360</memory>
  <currentMemory unit='KiB'>196608</currentMemory>
  <devices>
    <memory model='virtio-mem'>
      <target>
        <size unit='KiB'>524288</size>
        <node>0</node>
        <block unit='KiB'>4096</block>
        <requested unit='KiB'>65536</requested>
        <current unit='KiB'>65536</current>
        <address base='0x140000000'/>
      </target>
      <alias name='virtiomem0'/>
      <address type='pci' domain='0x0000' bus='0x08' slot='0x00' function='0x0'/>
    </memory>
    <memballoon model='virtio'><alias name='balloon0'/></memballoon>
  </devices>
</domain>"#;

    #[test]
    fn an_offer_changes_nothing_of_the_device_but_how_much_is_on_offer() {
        let offer = with_offer(LIVE, 96).unwrap();
        let device = LIVE.split_once("<memory model").unwrap().1.split_once("</memory>").unwrap().0;
        let wanted = device.replace("<requested unit='KiB'>65536<", "<requested unit=\"MiB\">96<");
        assert_eq!(offer, format!("<memory model{wanted}</memory>"));
        let without = LIVE.replace(&format!("<memory model{device}</memory>"), "");
        assert!(matches!(with_offer(&without, 96), Err(Error::Invalid { field: "memory", .. })));
    }

    #[test]
    fn what_a_domain_booted_with_is_told_apart_from_what_it_was_offered_and_has_taken() {
        let memory = parse(LIVE).unwrap().memory;
        assert_eq!(memory, Memory { boot_mib: 128, places_mib: 512, offered_mib: 64, taken_mib: 64 });
        assert_eq!((memory.now_mib(), memory.most_mib()), (192, 640));
    }
}
