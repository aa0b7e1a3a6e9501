//! Which segment lies on which bridge here, and what that bridge is, read from the kernel. A
//! bridge belongs to the operator: the agent looks at it and never changes it.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

use ipnet::{Ipv4Net, Ipv6Net};

/// Where the kernel shows network interfaces.
pub(super) const CLASS: &str = "/sys/class/net";
/// Where it shows its routes.
pub(super) const ROUTES: &str = "/proc/net/route";
/// Where it shows IPv6 addresses.
const ADDRESSES6: &str = "/proc/net/if_inet6";
/// Set in `flags` when an interface is administratively up (`IFF_UP`).
const IFF_UP: u32 = 1;

/// Whether it exists, is a bridge, and is up.
pub(super) fn is_usable(bridge: &str) -> bool {
    let folder = Path::new(CLASS).join(bridge);
    folder.join("bridge").is_dir() && is_up(&folder)
}

/// Whether the interface that the kernel shows in this folder is administratively up.
pub(super) fn is_up(interface: &Path) -> bool {
    let flags = fs::read_to_string(interface.join("flags")).unwrap_or_default();
    u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0) & IFF_UP != 0
}

/// Its largest packet in bytes.
pub(super) fn mtu(bridge: &str) -> u32 {
    let text = fs::read_to_string(Path::new(CLASS).join(bridge).join("mtu")).unwrap_or_default();
    text.trim().parse().unwrap_or(1500)
}

/// Whether the bridge has an address, which DHCP needs, and whether it lies in the subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Inside: the ordinary case.
    Inside,
    /// It has one of another subnet.
    Elsewhere,
    /// None: dnsmasq would drop every request.
    None,
}

/// Looks at the bridge's connected routes, of which each address has one.
pub(super) fn address(bridge: &str, subnet: Ipv4Net) -> Address {
    address_in(&fs::read_to_string(ROUTES).unwrap_or_default(), bridge, subnet)
}

fn address_in(routes: &str, bridge: &str, subnet: Ipv4Net) -> Address {
    // Columns: interface, destination, gateway, flags, refcount, use, metric, mask; numbers are
    // hexadecimal in the machine's byte order.
    let connected = routes.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| columns.get(index).and_then(|text| u32::from_str_radix(text, 16).ok());
        let here = columns.first() == Some(&bridge) && number(2)? == 0 && number(7)? != 0;
        let address = |n: u32| Ipv4Addr::from(n.to_ne_bytes());
        here.then(|| Ipv4Net::with_netmask(address(number(1)?), address(number(7)?)).ok()).flatten()
    });
    let mut found = Address::None;
    for route in connected {
        if route.contains(&subnet) || subnet.contains(&route) {
            return Address::Inside;
        }
        found = Address::Elsewhere;
    }
    found
}

/// Whether the bridge has an IPv6 address of the subnet, and the whole of that on its wire, as dnsmasq wants it.
pub(super) fn has_address6(bridge: &str, subnet: Ipv6Net) -> bool {
    has_address6_in(&fs::read_to_string(ADDRESSES6).unwrap_or_default(), bridge, subnet)
}

fn has_address6_in(addresses: &str, bridge: &str, subnet: Ipv6Net) -> bool {
    // Columns: address (32 hexadecimal digits), index, prefix, scope, flags, interface.
    addresses.lines().any(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let address = columns.first().and_then(|text| u128::from_str_radix(text, 16).ok()).map(Ipv6Addr::from);
        let length = columns.get(2).and_then(|text| u8::from_str_radix(text, 16).ok());
        let holds_all = length.is_some_and(|length| length <= subnet.prefix_len());
        columns.last() == Some(&bridge) && holds_all && address.is_some_and(|address| subnet.contains(&address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_the_kernels_table_of_routes() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            br0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            br0\t0071CB00\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            br1\t000000C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
            .replace("0071CB00", &format!("{:08X}", u32::from_ne_bytes([203, 0, 113, 0])))
            .replace("00FFFFFF", &format!("{:08X}", u32::from_ne_bytes([255, 255, 255, 0])));
        let campus = "203.0.113.0/24".parse().unwrap();
        assert_eq!(address_in(&routes, "br0", campus), Address::Inside);
        assert_eq!(address_in(&routes, "br1", campus), Address::Elsewhere);
        assert_eq!(address_in(&routes, "br2", campus), Address::None);
    }

    #[test]
    fn an_ipv6_address_is_found_in_the_kernels_table_of_addresses() {
        let addresses = "20010db8000000010000000000000001 04 40 00 80      br0\n\
            fe800000000000000000000000000001 05 40 20 80      br1\n\
            20010db8000000010000000000000002 06 80 00 80      br2\n";
        let campus = "2001:db8:0:1::/64".parse().unwrap();
        assert!(has_address6_in(addresses, "br0", campus));
        for (bridge, what) in [("br1", "of the link"), ("br2", "alone, a /128"), ("br3", "none")] {
            assert!(!has_address6_in(addresses, bridge, campus), "{what}");
        }
    }
}
