//! Networks and the ports that servers have on them. Both are there or not, and have no states.
//!
//! A port's key in its bucket is its network and address, so that two owners of one address
//! cannot be written down: the second create fails (it is a compare-and-set on "absent").

mod ipv6;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use ipv6::{Ipv6, LEAST_MTU as LEAST_IPV6_MTU, MOST_DNS};

use crate::{Document, NetworkName, Refusal, Said, SegmentName, Timestamp, VmName, said};

mod exclusion;
mod route;
mod stranger;

pub use exclusion::{Exclusion, MOST_EXCLUSIONS, NotAnExclusion};
pub use route::{MOST_ROUTES, NotARoute, Route};
pub use stranger::Stranger;

/// What a network is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The campus's own segment, on a bridge that the node has.
    Provider,
    /// A private segment across both campuses, made by the agents.
    Overlay,
}

/// Addresses from `first` to `last`, both included; written `A-B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// The lowest address handed out.
    pub first: Ipv4Addr,
    /// The highest address handed out.
    pub last: Ipv4Addr,
}

impl Range {
    /// All its addresses, ascending.
    pub fn addresses(self) -> impl DoubleEndedIterator<Item = Ipv4Addr> {
        (u32::from(self.first)..=u32::from(self.last)).map(Ipv4Addr::from)
    }

    /// How many addresses it has; 0 if the last lies before the first.
    #[must_use]
    pub fn size(self) -> u64 {
        (u64::from(u32::from(self.last)) + 1).saturating_sub(u64::from(u32::from(self.first)))
    }

    /// Whether the address is in it.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.first <= address && address <= self.last
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// What only an overlay network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overlay {
    /// Its number in the packets between nodes (VXLAN network identifier, 24 bits), unique.
    pub vni: u32,
    /// The largest packet of its servers, in bytes: what the nodes' network carries, less [`ENCAPSULATION`].
    pub mtu: u32,
}

/// What VXLAN puts around a frame, in bytes: the frame's own Ethernet header, VXLAN, UDP and IPv4 (RFC 7348).
pub const ENCAPSULATION: u32 = 50;
/// Where a server asks the node that it is on, wherever that is: who it is, and, if this stands among the name servers of its
/// provider network, for names.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The numbers that overlay networks may have: all 24 bits, less those that people tend to use by hand.
pub const VNIS: std::ops::RangeInclusive<u32> = 0x1000..=0x00ff_ffff;
/// The largest packets that an overlay network may have: what IPv4 demands of every link (RFC 791), and what
/// jumbo frames leave.
pub const OVERLAY_MTUS: std::ops::RangeInclusive<u32> = 576..=8_950;

/// The largest packets that a provider network may have: what IPv4 demands of every link (RFC 791), and what switches
/// carry that know jumbo frames.
pub const PROVIDER_MTUS: std::ops::RangeInclusive<u32> = 576..=9_216;

/// The tags that a VLAN may have (IEEE 802.1Q, clause 9.6: 0 is none, 4,095 is reserved).
pub const VLANS: std::ops::RangeInclusive<u16> = 1..=4_094;

/// A network's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: NetworkName,
    /// What it is made of.
    pub kind: Kind,
    /// The segment that nodes bind to a bridge; an overlay network is its own, of its own name.
    pub segment: SegmentName,
    /// The VLAN of the segment on which a provider network lives; none if its frames have no tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The largest packet of a provider network's servers, in bytes; as the nodes' bridges if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether a provider network's range is for public addresses, and no server's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// What only an overlay network has.
    #[serde(default)]
    pub overlay: Option<Overlay>,
    /// The subnet.
    #[schemars(with = "String")]
    pub cidr: Ipv4Net,
    /// What is handed out.
    pub range: Range,
    /// What of it is kept back, by address: see [`Exclusion`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<Exclusion>,
    /// The router told to servers, if any.
    pub gateway: Option<Ipv4Addr>,
    /// The name servers told to servers.
    #[serde(default)]
    pub dns: Vec<Ipv4Addr>,
    /// Ways out besides the gateway's, of a provider network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Addresses of its range, or asked for by name, that somebody else has; by address. See [`Stranger`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<Stranger>,
    /// Its IPv6 side, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6>,
    /// The request that made it.
    pub request_id: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Document for Network {
    const BUCKET: &'static str = "networks";
    fn key(&self) -> String {
        self.name.to_string()
    }
}

impl Network {
    /// Whether the two lie on one wire, where who has an address on the one has it on the other as well.
    #[must_use]
    pub fn shares_wire(&self, other: &Self) -> bool {
        (self.kind, &self.segment, self.vlan) == (other.kind, &other.segment, other.vlan)
    }

    /// Who has an address that is not ours to give, as far as somebody has asked.
    #[must_use]
    pub fn stranger_at(&self, address: Ipv4Addr) -> Option<&Stranger> {
        self.strangers.iter().find(|stranger| stranger.address == address)
    }

    /// The machines of the network that are not its servers.
    pub fn fixtures(&self) -> impl Iterator<Item = Ipv4Addr> {
        let routers = self.routes.iter().filter_map(|route| Some(route.ipv4()?.1));
        self.gateway.into_iter().chain(self.dns.iter().copied()).chain(routers)
    }

    /// The same by IPv6.
    pub fn fixtures6(&self) -> impl Iterator<Item = Ipv6Addr> {
        let routers = self.routes.iter().filter_map(|route| match route.via {
            IpAddr::V4(_) => None,
            IpAddr::V6(via) => Some(via),
        });
        self.ipv6.iter().flat_map(|ipv6| ipv6.fixtures()).chain(routers)
    }

    /// Checks that the range lies inside the subnet, leaves out its network and broadcast
    /// addresses and the gateway, and is not empty.
    ///
    /// # Errors
    /// [`Refusal::BadRange`] saying which of these is broken, [`Refusal::BadExclusion`] what is wrong with what it keeps
    /// back, [`Refusal::BadIpv6`] what with its IPv6 side, [`Refusal::BadRoute`] what with its routes.
    pub fn check(&self) -> Result<(), Refusal> {
        let refuse = |detail: Said| Err(Refusal::BadRange { network: self.name.to_string(), detail });
        let (cidr, Range { first, last }) = (self.cidr, self.range);
        if !(8..=30).contains(&self.cidr.prefix_len()) {
            return refuse(said!(
                "{cidr} is no subnet between /8 and /30",
                "{cidr} は /8 から /30 までのサブネットではありません"
            ));
        }
        if let Err(detail) = check_whole(cidr) {
            return refuse(detail);
        }
        if first > last {
            return refuse(said!(
                "the range ends at {last} before it begins at {first}",
                "範囲の終わり {last} が始まり {first} より前にあります"
            ));
        }
        for end in [first, last] {
            if !self.cidr.contains(&end) {
                return refuse(said!("{end} lies outside {cidr}", "{end} は {cidr} の外にあります"));
            }
        }
        if first == self.cidr.network() || last == self.cidr.broadcast() {
            return refuse(said!(
                "the network and broadcast addresses of {cidr} belong to nobody",
                "{cidr} のネットワークアドレスとブロードキャストアドレスは使えません"
            ));
        }
        if let Some(gateway) = self.gateway {
            if !self.cidr.contains(&gateway) {
                return refuse(said!(
                    "the gateway {gateway} lies outside {cidr}",
                    "ゲートウェイ {gateway} は {cidr} の外にあります"
                ));
            }
            if self.range.contains(gateway) {
                return refuse(said!(
                    "the gateway {gateway} lies in the range",
                    "ゲートウェイ {gateway} が範囲の中にあります"
                ));
            }
        }
        let excluded = self.check_exclusions();
        excluded.map_err(|detail| Refusal::BadExclusion { network: self.name.to_string(), detail })?;
        let ipv6 = self.ipv6.as_ref().map_or(Ok(()), |ipv6| ipv6.check(cidr, self.gateway));
        ipv6.map_err(|detail| Refusal::BadIpv6 { network: self.name.to_string(), detail })?;
        self.check_routes().map_err(|detail| Refusal::BadRoute { network: self.name.to_string(), detail })
    }
}

/// Checks that a subnet is written as one: with no bits beyond its prefix, of which nobody knows whether they were meant.
///
/// # Errors
/// A sentence that has the subnet.
pub(crate) fn check_whole(subnet: impl Into<IpNet>) -> Result<(), Said> {
    let subnet = subnet.into();
    let whole = subnet.trunc();
    if subnet == whole {
        return Ok(());
    }
    Err(said!("{subnet} is an address, the subnet is {whole}", "{subnet} はアドレスです。サブネットは {whole} です"))
}

/// A server's port on a network: its MAC and address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Port {
    /// The document's version.
    pub v: u32,
    /// The network.
    pub network: NetworkName,
    /// The address.
    pub address: Ipv4Addr,
    /// The IPv6 address, on a network that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// `xx:xx:xx:xx:xx:xx`, lower case.
    pub mac: String,
    /// The owner.
    pub vm: VmName,
    /// The owner's UUID, so that a new server of an old name is not taken for the old one.
    pub vm_uuid: String,
    /// When it was handed out.
    pub created_at: Timestamp,
}

impl Document for Port {
    const BUCKET: &'static str = "ports";
    fn key(&self) -> String {
        port_key(&self.network, self.address)
    }
    /// Its server, by name.
    fn belongs_to(&self) -> Option<&str> {
        Some(self.vm.as_str())
    }
}

/// The key under which the port of an address stands.
#[must_use]
pub fn port_key(network: &NetworkName, address: Ipv4Addr) -> String {
    format!("{network}.{}", address.to_string().replace('.', "-"))
}

/// The MAC of the port with this address: locally administered, unicast (IEEE 802, the second
/// lowest bit of the first octet set and the lowest clear), and as unique on its segment as the
/// address is.
#[must_use]
pub fn mac_of(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("52:57:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn network(cidr: &str, first: &str, last: &str, gateway: Option<&str>) -> Network {
        Network {
            v: 1,
            name: "campus".parse().unwrap(),
            kind: Kind::Provider,
            segment: "campus".parse().unwrap(),
            vlan: None,
            mtu: None,
            public: false,
            overlay: None,
            cidr: cidr.parse().unwrap(),
            range: Range { first: first.parse().unwrap(), last: last.parse().unwrap() },
            excluded: Vec::new(),
            gateway: gateway.map(|g| g.parse().unwrap()),
            dns: Vec::new(),
            routes: Vec::new(),
            strangers: Vec::new(),
            ipv6: None,
            request_id: String::new(),
            created_at: Timestamp(time::OffsetDateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_range_must_lie_inside_its_subnet_and_leave_out_the_gateway() {
        let net = "203.0.113.0/24";
        assert_eq!(network(net, "203.0.113.100", "203.0.113.199", Some("203.0.113.1")).check(), Ok(()));
        for (first, last, gateway) in [
            ("203.0.113.199", "203.0.113.100", None),
            ("203.0.112.100", "203.0.113.199", None),
            ("203.0.113.100", "203.0.114.1", None),
            ("203.0.113.0", "203.0.113.10", None),
            ("203.0.113.10", "203.0.113.255", None),
            ("203.0.113.100", "203.0.113.199", Some("203.0.113.150")),
            ("203.0.113.100", "203.0.113.199", Some("192.0.2.1")),
        ] {
            assert!(network(net, first, last, gateway).check().is_err(), "{first}-{last} {gateway:?}");
        }
        assert!(network("203.0.113.7/24", "203.0.113.100", "203.0.113.199", None).check().is_err());
        assert!(network("203.0.113.0/31", "203.0.113.0", "203.0.113.1", None).check().is_err());
    }

    #[test]
    fn what_has_bits_beyond_its_prefix_is_an_address_and_is_told_its_subnet() {
        for (address, subnet) in [("203.0.113.7/24", "203.0.113.0/24"), ("2001:db8::7/64", "2001:db8::/64")] {
            let said = check_whole(address.parse::<IpNet>().unwrap()).unwrap_err();
            assert!(said.en.ends_with(&format!("the subnet is {subnet}")) && said.ja.contains(subnet), "{said:?}");
            assert_eq!(check_whole(subnet.parse::<IpNet>().unwrap()), Ok(()));
        }
    }

    #[test]
    fn a_mac_is_local_and_unicast_and_follows_the_address() {
        assert_eq!(mac_of("203.0.113.100".parse().unwrap()), "52:57:cb:00:71:64");
    }

    #[test]
    fn a_range_counts_and_overlaps_at_its_ends() {
        let range = |a: &str, b: &str| Range { first: a.parse().unwrap(), last: b.parse().unwrap() };
        let r = range("203.0.113.100", "203.0.113.199");
        assert_eq!((r.size(), r.addresses().count()), (100, 100));
        assert!(r.overlaps(range("203.0.113.199", "203.0.113.220")));
        assert!(!r.overlaps(range("203.0.113.200", "203.0.113.220")));
    }
}
