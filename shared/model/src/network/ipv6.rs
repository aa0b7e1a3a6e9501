//! The IPv6 side of a network.
//!
//! A server's IPv6 address is the network's prefix with the server's IPv4 address as its last 32 bits:
//! `2001:db8:0:1::cb00:7164` beside 203.0.113.100. Who has the one has the other, so that no IPv6 address is given
//! twice or runs out by itself, and whoever knows the one knows the other.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_whole;
use crate::{Said, said};

/// The lengths that a prefix may have: no shorter than a segment's (RFC 4291), and with room for an IPv4 address.
const PREFIXES: std::ops::RangeInclusive<u8> = 64..=96;
/// The smallest packet that every link with IPv6 carries (RFC 8200).
pub const LEAST_MTU: u32 = 1_280;
/// A guest's resolver reads no more name servers than this (resolv.conf(5), MAXNS).
pub const MOST_DNS: usize = 3;

/// What a network with IPv6 has beside its IPv4 subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ipv6 {
    /// The subnet.
    #[schemars(with = "String")]
    pub cidr: Ipv6Net,
    /// The router told to servers, if any.
    #[serde(default)]
    pub gateway: Option<Ipv6Addr>,
    /// The name servers told to servers.
    #[serde(default)]
    pub dns: Vec<Ipv6Addr>,
}

impl Ipv6 {
    /// The address of whoever has this IPv4 address.
    #[must_use]
    pub fn beside(&self, address: Ipv4Addr) -> Ipv6Addr {
        Ipv6Addr::from(u128::from(self.cidr.network()) | u128::from(u32::from(address)))
    }

    /// Whether this could be the address of a server whose IPv4 address is of that subnet.
    #[must_use]
    pub fn is_for_servers(&self, address: Ipv6Addr, servers: Ipv4Net) -> bool {
        let [.., a, b, c, d] = address.octets();
        let beside = Ipv4Addr::new(a, b, c, d);
        servers.contains(&beside) && self.beside(beside) == address
    }

    /// Checks the subnet, and that neither the router nor a name server has a server's address. `servers` is the
    /// IPv4 subnet and `gateway` its router, beside which this router may be.
    ///
    /// # Errors
    /// A sentence about the first thing that is wrong.
    pub fn check(&self, servers: Ipv4Net, gateway: Option<Ipv4Addr>) -> Result<(), Said> {
        let cidr = self.cidr;
        if !PREFIXES.contains(&cidr.prefix_len()) {
            return Err(said!(
                "{cidr} is no subnet between /64 and /96",
                "{cidr} は /64 から /96 までのサブネットではありません"
            ));
        }
        check_whole(cidr)?;
        if !is_unicast(cidr.network()) {
            return Err(said!(
                "{cidr} is for no machine's lasting addresses",
                "{cidr} はマシンに固定で割り当てるアドレスではありません"
            ));
        }
        let is_routers = |address: Ipv6Addr| gateway.is_some_and(|gateway| self.beside(gateway) == address);
        if let Some(router) = self.gateway {
            if !cidr.contains(&router) || router == cidr.network() {
                return Err(said!(
                    "the gateway {router} is no machine's address in {cidr}",
                    "ゲートウェイ {router} は {cidr} の中のマシンのアドレスではありません"
                ));
            }
            if self.is_for_servers(router, servers) && !is_routers(router) {
                return Err(said!(
                    "the gateway {router} would be the address of a server",
                    "ゲートウェイ {router} はサーバのアドレスになり得ます"
                ));
            }
        }
        if self.dns.len() > MOST_DNS {
            let given = self.dns.len();
            return Err(said!(
                "{given} name servers are given; a guest reads {MOST_DNS}",
                "ネームサーバが {given} 台指定されていますが、サーバが読むのは {MOST_DNS} 台までです"
            ));
        }
        for (n, server) in self.dns.iter().enumerate() {
            if !is_unicast(*server) || *server == cidr.network() {
                return Err(said!(
                    "the name server {server} is no machine's address",
                    "ネームサーバ {server} はマシンのアドレスではありません"
                ));
            }
            if self.is_for_servers(*server, servers) && !is_routers(*server) {
                return Err(said!(
                    "the name server {server} would be the address of a server",
                    "ネームサーバ {server} はサーバのアドレスになり得ます"
                ));
            }
            if self.dns[..n].contains(server) {
                return Err(said!("the name server {server} stands twice", "ネームサーバ {server} が重複しています"));
            }
        }
        Ok(())
    }

    /// The machines of the network that are not its servers.
    pub fn fixtures(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.gateway.into_iter().chain(self.dns.iter().copied())
    }
}

/// Whether a machine may have it for good and others reach it: global (RFC 4291) or unique local (RFC 4193). What is
/// reserved for IPv4 in disguise, a machine itself or a link is not.
pub(super) fn is_unicast(address: Ipv6Addr) -> bool {
    let [first, ..] = address.octets();
    // 2000::/3 and fc00::/7.
    first >> 5 == 0b001 || first >> 1 == 0b111_1110
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(cidr: &str, gateway: Option<&str>, dns: &[&str]) -> Ipv6 {
        Ipv6 {
            cidr: cidr.parse().unwrap(),
            gateway: gateway.map(|text| text.parse().unwrap()),
            dns: dns.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_server_has_the_prefix_and_its_ipv4_address() {
        let net = side("2001:db8:0:1::/64", None, &[]);
        let address = net.beside([203, 0, 113, 100].into());
        assert_eq!(address.to_string(), "2001:db8:0:1::cb00:7164");
        let servers = "203.0.113.0/24".parse().unwrap();
        assert!(net.is_for_servers(address, servers));
        assert!(!net.is_for_servers("2001:db8:0:1::1".parse().unwrap(), servers));
        assert!(!net.is_for_servers("2001:db8:0:1:1::cb00:7164".parse().unwrap(), servers));
    }

    #[test]
    fn only_a_subnet_of_lasting_addresses_with_a_router_that_is_no_server_will_do() {
        let servers: Ipv4Net = "203.0.113.0/24".parse().unwrap();
        let check = |net: &Ipv6| net.check(servers, Some([203, 0, 113, 1].into()));
        for good in [
            side("2001:db8:0:1::/64", None, &[]),
            side("2001:db8:0:1::/64", Some("2001:db8:0:1::1"), &["2001:db8:0:1::53", "2001:db8::53"]),
            side("fd00:1:2:3::/96", Some("fd00:1:2:3::cb00:7101"), &[]),
        ] {
            assert_eq!(check(&good), Ok(()), "{good:?}");
        }
        for bad in [
            side("2001:db8::/63", None, &[]),
            side("2001:db8::/97", None, &[]),
            side("2001:db8::1/64", None, &[]),
            side("fe80::/64", None, &[]),
            side("ff02::/64", None, &[]),
            side("::/64", None, &[]),
            side("2001:db8::/64", Some("2001:db8:0:1::1"), &[]),
            side("2001:db8::/64", Some("2001:db8::"), &[]),
            side("2001:db8::/64", Some("2001:db8::cb00:7164"), &[]),
            side("2001:db8::/64", None, &["2001:db8::cb00:7164"]),
            side("2001:db8::/64", None, &["fe80::1"]),
            side("2001:db8::/64", None, &["2001:db8::53", "2001:db8::53"]),
            side("2001:db8::/64", None, &["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"]),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }
}
