//! From an order's server to libvirt's domain; and the checks that nothing hostile passes on the way.

use std::{fs, net::Ipv4Addr, thread};

use ipnet::Ipv4Net;
use watari_contracts::agent::{Ipv6Wire, Server, Stack, Wire};
use watari_model::{
    Refusal, Said,
    image::{self, Format},
    network::{self, Kind},
    said, vm,
};

use crate::{
    hypervisor::{BackingFile, Cpu, Disk, DiskFormat, DomainSpec, Firmware, Grant, Nic, VirtType},
    layers,
    node::Node,
    settings::Memory,
};

/// The most network cards: one letter in the tap's name.
const MAX_WIRES: usize = 26;

fn refuse(field: &str, value: impl Into<String>, allowed: Said) -> Refusal {
    let value: String = value.into();
    Refusal::OutOfRange { field: field.to_owned(), value: value.chars().take(80).collect(), allowed }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether it is a UUID as we write it. It becomes a file's name.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|g| is_hex(g))
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 6
        && parts.iter().all(|p| p.len() == 2 && is_hex(p))
        // Unicast: a bridge would flood what is sent to a group.
        && u8::from_str_radix(parts[0], 16).is_ok_and(|first| first & 1 == 0)
}

/// Checks a server's UUID, which ends in paths.
///
/// # Errors
/// [`Refusal::OutOfRange`].
pub fn check_uuid(uuid: &str) -> Result<(), Refusal> {
    if is_uuid(uuid) {
        return Ok(());
    }
    Err(Refusal::OutOfRange {
        field: "uuid".to_owned(),
        value: uuid.chars().take(80).collect(),
        allowed: Said::new("a UUID in lower case", "小文字の UUID"),
    })
}

/// Checks everything of a server that ends in a path, an argument or a file.
///
/// # Errors
/// [`Refusal::OutOfRange`] naming the field.
pub fn check(server: &Server) -> Result<(), Refusal> {
    if !is_uuid(&server.uuid) {
        return Err(refuse("uuid", &server.uuid, Said::new("a UUID in lower case", "小文字の UUID")));
    }
    if server.base.sha256.len() != 64 || !is_hex(&server.base.sha256) {
        return Err(refuse(
            "base.sha256",
            &server.base.sha256,
            Said::new("64 hexadecimal digits in lower case", "小文字の 16 進数 64 桁"),
        ));
    }
    if !vm::VCPUS.contains(&server.vcpus) {
        return Err(refuse("vcpus", server.vcpus.to_string(), Said::between(1, 256)));
    }
    if !vm::MEMORY_MIB.contains(&server.memory_mib) {
        return Err(refuse("memory_mib", server.memory_mib.to_string(), Said::between("32 MiB", "4 TiB")));
    }
    if !vm::DISK_GIB.contains(&server.disk_gib) {
        return Err(refuse("disk_gib", server.disk_gib.to_string(), Said::between("1 GiB", "64 TiB")));
    }
    if server.wires.len() > MAX_WIRES {
        return Err(refuse("wires", server.wires.len().to_string(), Said::between(0, MAX_WIRES)));
    }
    server.wires.iter().try_for_each(|wire| check_wire(wire).map(drop))
}

/// An overlay network has a number, a size and a gateway; another has no number.
fn check_overlay(wire: &Wire) -> Result<(), Refusal> {
    let described = |overlay: Option<network::Overlay>| match overlay {
        Some(overlay) => format!("VNI {}, packets of {} bytes", overlay.vni, overlay.mtu),
        None => "nothing".to_owned(),
    };
    let sound = match (wire.kind, wire.overlay) {
        (Kind::Provider, overlay) => overlay.is_none(),
        (Kind::Overlay, Some(network::Overlay { vni, mtu })) => {
            network::VNIS.contains(&vni) && network::OVERLAY_MTUS.contains(&mtu) && wire.gateway.is_some()
        }
        (Kind::Overlay, None) => false,
    };
    if sound {
        return Ok(());
    }
    Err(refuse(
        "overlay",
        described(wire.overlay),
        Said::new(
            "a VNI, a packet size and a gateway for an overlay network, and none for another",
            "オーバーレイネットワークでは VNI、パケットの大きさ、ゲートウェイ。ほかでは「なし」",
        ),
    ))
}

/// Only a provider network lives on a VLAN.
fn check_vlan(wire: &Wire) -> Result<(), Refusal> {
    match wire.vlan {
        Some(vlan) if wire.kind == Kind::Overlay || !network::VLANS.contains(&vlan) => {
            let (least, most) = (network::VLANS.start(), network::VLANS.end());
            let allowed = said!(
                "{least} to {most} for a provider network, and none for another",
                "プロバイダネットワークでは {least}～{most}、ほかでは「なし」"
            );
            Err(refuse("vlan", vlan.to_string(), allowed))
        }
        _ => Ok(()),
    }
}

/// Only a provider network has a packet size of its own: an overlay network's stands with its number.
fn check_mtu(wire: &Wire) -> Result<(), Refusal> {
    match wire.mtu {
        Some(mtu) if wire.kind == Kind::Overlay || !network::PROVIDER_MTUS.contains(&mtu) => {
            let (least, most) = (network::PROVIDER_MTUS.start(), network::PROVIDER_MTUS.end());
            let allowed = said!(
                "{least} to {most} for a provider network, and none for another",
                "プロバイダネットワークでは {least}～{most}、ほかでは「なし」"
            );
            Err(refuse("mtu", mtu.to_string(), allowed))
        }
        _ => Ok(()),
    }
}

/// Checks one network card and gives its subnet.
///
/// # Errors
/// As [`check`].
pub fn check_wire(wire: &Wire) -> Result<Ipv4Net, Refusal> {
    check_overlay(wire)?;
    check_vlan(wire)?;
    check_mtu(wire)?;
    if !is_mac(&wire.mac) {
        return Err(refuse(
            "mac",
            &wire.mac,
            Said::new("a unicast address such as 52:57:cb:00:71:64", "52:57:cb:00:71:64 のようなユニキャストアドレス"),
        ));
    }
    let subnet: Ipv4Net = wire.cidr.parse().map_err(|_| {
        refuse("cidr", &wire.cidr, Said::new("a subnet such as 192.0.2.0/24", "192.0.2.0/24 のようなサブネット"))
    })?;
    if !(8..=30).contains(&subnet.prefix_len()) || subnet.addr() != subnet.network() {
        return Err(refuse(
            "cidr",
            &wire.cidr,
            Said::new("a subnet between /8 and /30", "/8 から /30 までのサブネット"),
        ));
    }
    let inside =
        |address: Ipv4Addr| subnet.contains(&address) && address != subnet.network() && address != subnet.broadcast();
    if !inside(wire.address) || wire.gateway.is_some_and(|gateway| !inside(gateway)) {
        return Err(refuse(
            "address",
            wire.address.to_string(),
            Said::new("an address inside the network's subnet", "ネットワークのサブネットの中のアドレス"),
        ));
    }
    wire.ipv6.as_ref().map_or(Ok(()), |ipv6| check_ipv6(wire, subnet, ipv6))?;
    check_routes(wire, subnet)?;
    Ok(subnet)
}

/// Routes lead from a provider network, and are no more than fit into an answer of DHCP.
fn check_routes(wire: &Wire, subnet: Ipv4Net) -> Result<(), Refusal> {
    let ipv6 = wire.ipv6.as_ref().map(|ipv6| &ipv6.network);
    let may = wire.kind == Kind::Provider && wire.routes.len() <= network::MOST_ROUTES;
    let Some(route) = wire.routes.iter().find(|route| !may || route.check(subnet, ipv6).is_err()) else {
        return Ok(());
    };
    let most = network::MOST_ROUTES;
    Err(refuse(
        "routes",
        route.to_string(),
        said!(
            "at most {most} ways out of a provider network by its own routers, and none for another",
            "プロバイダネットワークでは、そのルータを通る経路が {most} 個まで、ほかでは「なし」"
        ),
    ))
}

/// The IPv6 side is one that a network may have, and the address the server's on it.
fn check_ipv6(wire: &Wire, subnet: Ipv4Net, Ipv6Wire { network, address }: &Ipv6Wire) -> Result<(), Refusal> {
    let mtu = wire.overlay.map(|overlay| overlay.mtu).or(wire.mtu);
    let fits = mtu.is_none_or(|mtu| mtu >= network::LEAST_IPV6_MTU);
    if network.check(subnet, wire.gateway).is_ok() && *address == network.beside(wire.address) && fits {
        return Ok(());
    }
    Err(refuse(
        "ipv6",
        format!("{address} in {}", network.cidr),
        Said::new(
            "a subnet of servers' addresses, and in it the address beside the server's IPv4 one",
            "サーバ用のサブネットと、その中で IPv4 アドレスに対応するアドレス",
        ),
    ))
}

/// The tap of a server's card, the same on every node, so that rules may name it before it exists.
/// At most 15 letters; the UUID's first digits are random.
#[must_use]
pub fn tap(uuid: &str, index: usize) -> String {
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    let letter = u8::try_from(index).ok().filter(|i| *i < 26).map_or('z', |i| char::from(b'a' + i));
    format!("{TAP_PREFIX}{digits}{letter}")
}

/// How our taps begin.
pub const TAP_PREFIX: &str = "wt";

/// The image under a server's disk.
#[must_use]
pub fn backing(node: &Node, base: &vm::Base) -> BackingFile {
    let format = match base.format {
        Format::Qcow2 => DiskFormat::Qcow2,
        Format::Raw => DiskFormat::Raw,
    };
    BackingFile { path: node.layout.image(&base.sha256, base.format), format }
}

/// For how many virtual CPUs a server is started with places, on a node of so many: twice as many as it has, and some
/// for a small one. A place costs next to nothing while none is plugged in.
fn places(vcpus: u32, cpus: u32) -> u32 {
    vcpus.saturating_mul(2).max(4).min(cpus).min(*vm::VCPUS.end()).max(vcpus)
}

/// The virtual CPUs that this node has to give.
fn cpus(node: &Node) -> u32 {
    match node.settings.capacity.vcpus {
        0 => thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
        given => given,
    }
}

/// Most systems find memory in blocks of so many MiB: what is less at the end of all places could not be used.
const MEMORY_BLOCK_MIB: u64 = 128;
/// The most that a server is started with places for, in MiB. In what a processor can address at least (1 TiB, which is
/// all that the emulated one can) there must be room for devices behind it.
const MOST_PLACES_MIB: u64 = 640 << 10;

/// For how much more memory, in MiB, a server is started with places on this node.
fn memory_places(memory_mib: u64, node: &Node) -> u64 {
    let settings = &node.settings.memory;
    // QEMU 10.0's emulation ends by an assertion (physmem.c, tlb_reset_dirty_range_all) when such a server is moved.
    let is_safe = node.virt == VirtType::Kvm || settings.grows_emulated;
    if is_safe && !counts_all_memory() { more_memory(memory_mib, settings) } else { 0 }
}

/// So much more memory, in MiB, may a server of that size be given. Places for it cost the node nothing, but the guest
/// some of its memory.
fn more_memory(memory_mib: u64, settings: &Memory) -> u64 {
    if memory_mib < settings.grows_from_mib {
        return 0;
    }
    let most_mib = memory_mib.saturating_mul(settings.grows_times).min(MOST_PLACES_MIB);
    let more_mib = most_mib.saturating_sub(memory_mib);
    more_mib - more_mib % MEMORY_BLOCK_MIB
}

/// Whether this kernel lends no more memory than there is. It would count all places as taken: QEMU refuses to start.
fn counts_all_memory() -> bool {
    fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| mode.trim() == "2")
}

/// By what a server boots here.
fn firmware(node: &Node, server: &Server) -> Firmware {
    let files = &node.settings.uefi;
    match server.base.firmware {
        image::Firmware::Bios => Firmware::Bios,
        image::Firmware::Uefi => Firmware::Uefi {
            code: files.code.clone(),
            template: files.variables.clone(),
            variables: node.layout.variables(&server.uuid),
        },
    }
}

/// The domain of a server on this node, under a grant of that generation.
#[must_use]
pub fn domain(node: &Node, server: &Server, stack: &Stack, nics: Vec<Nic>, generation: u64) -> DomainSpec {
    let cpu = match node.virt {
        VirtType::Qemu => Cpu::Emulated,
        VirtType::Kvm if node.settings.cpu.model.is_empty() => Cpu::HostModel,
        VirtType::Kvm => {
            Cpu::Named { model: node.settings.cpu.model.clone(), features: node.settings.cpu.features.clone() }
        }
    };
    DomainSpec {
        name: server.name.to_string(),
        uuid: server.uuid.clone(),
        vcpus: server.vcpus,
        most_vcpus: places(server.vcpus, cpus(node)),
        memory_mib: server.memory_mib,
        more_mib: memory_places(server.memory_mib, node),
        virt_type: node.virt,
        cpu,
        firmware: firmware(node, server),
        disks: vec![Disk {
            path: node.layout.layer(&server.uuid, stack.top),
            format: DiskFormat::Qcow2,
            backing: layers::stack::under(node, server, stack),
            cache: node.cache,
        }],
        seed: Some(node.layout.seed(&server.uuid)),
        nics,
        console_log: node.layout.console(&server.uuid),
        display: server.display,
        grant: Grant { owner: node.name.to_string(), generation },
    }
}

#[cfg(test)]
mod tests {
    use watari_testkit::orders;

    use super::*;

    fn server() -> Server {
        let card = orders::card("203.0.113.100".parse().unwrap());
        Server { wires: vec![card], ..orders::server("mail", "4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f") }
    }

    #[test]
    fn a_server_has_places_for_memory_in_whole_blocks_from_a_size_on_and_up_to_what_can_be_addressed() {
        let settings = Memory { grows_from_mib: 1_024, grows_times: 4, grows_emulated: false, take_seconds: 10 };
        let places = |memory_mib| more_memory(memory_mib, &settings);
        assert_eq!((places(1_023), places(1_024), places(1_100)), (0, 3_072, 3_200));
        assert_eq!((places(512 << 10), places(640 << 10), places(4 << 20)), (128 << 10, 0, 0));
        let never = Memory { grows_times: 1, ..settings };
        assert_eq!(more_memory(1 << 20, &never), 0);
    }

    #[test]
    fn nothing_hostile_becomes_a_path_or_an_argument() {
        assert_eq!(check(&server()), Ok(()));
        let spoil: [fn(&mut Server); 12] = [
            |s| s.uuid = "../../etc/passwd".to_owned(),
            |s| s.uuid = s.uuid.to_uppercase(),
            |s| s.base.sha256 = format!("{}/../x", "0".repeat(59)),
            |s| s.base.sha256 = "0".repeat(63),
            |s| s.vcpus = 0,
            |s| s.memory_mib = u64::MAX,
            |s| s.disk_gib = 0,
            |s| s.wires[0].mac = "52:57:cb:00:71:64,203.0.113.1,evil\n".to_owned(),
            |s| s.wires[0].mac = "01:57:cb:00:71:64".to_owned(),
            |s| s.wires[0].cidr = "203.0.113.0/24 --dhcp-script=x".to_owned(),
            |s| s.wires[0].address = "192.0.2.1".parse().unwrap(),
            |s| s.wires[0].address = "203.0.113.255".parse().unwrap(),
        ];
        for (number, spoil) in spoil.iter().enumerate() {
            let mut server = server();
            spoil(&mut server);
            assert!(matches!(check(&server), Err(Refusal::OutOfRange { .. })), "{number}");
        }
        let mut tagged = server();
        for (vlan, sound) in [(Some(0), false), (Some(1), true), (Some(4_094), true), (Some(4_095), false)] {
            tagged.wires[0].vlan = vlan;
            assert_eq!(check(&tagged).is_ok(), sound, "{vlan:?}");
        }
        let mut sized = server();
        for (mtu, sound) in [(Some(575), false), (Some(576), true), (Some(9_216), true), (Some(9_217), false)] {
            sized.wires[0].mtu = mtu;
            assert_eq!(check(&sized).is_ok(), sound, "{mtu:?}");
        }
        let mut both = server();
        let net = network::Ipv6 { cidr: "2001:db8:0:1::/64".parse().unwrap(), gateway: None, dns: Vec::new() };
        let beside = net.beside(both.wires[0].address);
        both.wires[0].ipv6 = Some(Ipv6Wire { network: net.clone(), address: beside });
        assert_eq!(check(&both), Ok(()));
        both.wires[0].mtu = Some(1_279);
        assert!(matches!(check(&both), Err(Refusal::OutOfRange { .. })), "too small for IPv6");
        both.wires[0].mtu = None;
        both.wires[0].ipv6 = Some(Ipv6Wire { network: net, address: "2001:db8:0:1::1".parse().unwrap() });
        assert!(matches!(check(&both), Err(Refusal::OutOfRange { .. })), "another's IPv6 address");
        let mut routed = server();
        routed.wires[0].routes = vec!["198.51.100.0/24=203.0.113.2".parse().unwrap()];
        assert_eq!(check(&routed), Ok(()));
        for bad in ["198.51.100.0/24=192.0.2.1", "203.0.0.0/16=203.0.113.2", "2001:db8::/32=2001:db8:0:1::1"] {
            routed.wires[0].routes = vec![bad.parse().unwrap()];
            assert!(matches!(check(&routed), Err(Refusal::OutOfRange { .. })), "{bad}");
        }
        let mut overlay = server();
        overlay.wires[0].kind = Kind::Overlay;
        assert!(matches!(check(&overlay), Err(Refusal::OutOfRange { .. })), "without a number");
        overlay.wires[0].overlay = Some(network::Overlay { vni: 4_096, mtu: 1_450 });
        assert!(matches!(check(&overlay), Err(Refusal::OutOfRange { .. })), "without a gateway");
        overlay.wires[0].gateway = Some("203.0.113.1".parse().unwrap());
        assert_eq!(check(&overlay), Ok(()));
        overlay.wires[0].routes = vec!["198.51.100.0/24=203.0.113.2".parse().unwrap()];
        assert!(matches!(check(&overlay), Err(Refusal::OutOfRange { .. })), "with routes");
        overlay.wires[0].routes = Vec::new();
        overlay.wires[0].vlan = Some(30);
        assert!(matches!(check(&overlay), Err(Refusal::OutOfRange { .. })), "with a VLAN");
        overlay.wires[0].vlan = None;
        overlay.wires[0].mtu = Some(1_400);
        assert!(matches!(check(&overlay), Err(Refusal::OutOfRange { .. })), "with a second packet size");
        overlay.wires[0].mtu = None;
        overlay.wires[0].overlay = Some(network::Overlay { vni: 1 << 24, mtu: 1_450 });
        assert!(matches!(check(&overlay), Err(Refusal::OutOfRange { .. })), "a number of 25 bits");
    }

    #[test]
    fn a_server_has_places_to_grow_into_as_far_as_its_node_goes() {
        assert_eq!([1, 2, 3, 8].map(|vcpus| places(vcpus, 64)), [4, 4, 6, 16]);
        assert_eq!([1, 2, 8].map(|vcpus| places(vcpus, 2)), [2, 2, 8], "what it has it has");
        assert_eq!([200, 256].map(|vcpus| places(vcpus, 1_000)), [256, 256]);
    }

    #[test]
    fn a_tap_has_a_name_that_the_kernel_takes_and_that_is_the_same_everywhere() {
        let server = server();
        assert_eq!(tap(&server.uuid, 0), "wt4dea22b31d52a");
        assert_eq!(tap(&server.uuid, 25).len(), 15);
    }
}
