//! Ways out of a provider network besides its gateway's: through another router of the same wire.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ipv6, Network, check_whole, ipv6};
use crate::{Said, said};

/// The most that a network may have: with the default route they fit into one option of DHCP, whose 255 bytes are nine
/// at most for each (RFC 3442).
pub const MOST_ROUTES: usize = 16;

/// A way to a subnet; written `SUBNET=ROUTER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// The subnet to which it leads.
    #[schemars(with = "String")]
    pub to: IpNet,
    /// The router, an address of the network itself.
    pub via: IpAddr,
}

/// A text that is no route.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no route such as 198.51.100.0/24=203.0.113.2")]
pub struct NotARoute;

impl FromStr for Route {
    type Err = NotARoute;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (to, via) = text.split_once('=').ok_or(NotARoute)?;
        Ok(Self { to: to.parse().map_err(|_| NotARoute)?, via: via.parse().map_err(|_| NotARoute)? })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.to, self.via)
    }
}

impl Route {
    /// Its two ends, if it is one of IPv4.
    #[must_use]
    pub const fn ipv4(&self) -> Option<(Ipv4Net, Ipv4Addr)> {
        match (self.to, self.via) {
            (IpNet::V4(to), IpAddr::V4(via)) => Some((to, via)),
            _ => None,
        }
    }

    /// Checks that it leads from a network with this subnet, and this IPv6 side, to somewhere else.
    ///
    /// # Errors
    /// A sentence about the first thing that is wrong.
    pub fn check(&self, subnet: Ipv4Net, ipv6: Option<&Ipv6>) -> Result<(), Said> {
        let Self { to, via } = *self;
        let own = match via {
            IpAddr::V4(_) => Some(IpNet::V4(subnet)),
            IpAddr::V6(_) => ipv6.map(|ipv6| IpNet::V6(ipv6.cidr)),
        };
        let Some(own) = own else {
            return Err(said!(
                "the router {via} needs IPv6, which the network has not",
                "ルータ {via} には IPv6 が必要ですが、このネットワークにはありません"
            ));
        };
        if to.addr().is_ipv4() != via.is_ipv4() {
            return Err(said!(
                "{to} and its router {via} are not both IPv4 or both IPv6",
                "{to} とそのルータ {via} の一方が IPv4、もう一方が IPv6 です"
            ));
        }
        check_whole(to)?;
        if to.prefix_len() == 0 {
            return Err(said!(
                "the way to {to} is given as the gateway",
                "{to} への経路は、ゲートウェイとして指定します"
            ));
        }
        if to.contains(&own) || own.contains(&to) {
            return Err(said!(
                "{to} and the network's own subnet {own} overlap",
                "{to} はネットワーク自身のサブネット {own} と重なっています"
            ));
        }
        if !leads_to_machines(to.network()) {
            return Err(said!(
                "{to} is no subnet in which a machine is reached",
                "{to} はマシンに届くサブネットではありません"
            ));
        }
        if !own.contains(&via) || via == own.network() || via == own.broadcast() {
            return Err(said!(
                "the router {via} is no machine's address in {own}",
                "ルータ {via} は {own} の中のマシンのアドレスではありません"
            ));
        }
        Ok(())
    }
}

/// Whether machines have addresses that begin like this. 169.254.169.254 is one, where servers ask for metadata: a network
/// without a gateway may name a router that leads there.
fn leads_to_machines(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            !matches!(first, 0 | 127 | 224..)
        }
        IpAddr::V6(address) => ipv6::is_unicast(address),
    }
}

impl Network {
    /// Checks that each of its routes leads somewhere else by a router that no server can be, and no two to one subnet.
    ///
    /// # Errors
    /// A sentence about the first thing that is wrong.
    pub(super) fn check_routes(&self) -> Result<(), Said> {
        let given = self.routes.len();
        if given > MOST_ROUTES {
            return Err(said!(
                "{given} routes are given; {MOST_ROUTES} are allowed",
                "経路が {given} 個指定されていますが、指定できるのは {MOST_ROUTES} 個までです"
            ));
        }
        for (n, route) in self.routes.iter().enumerate() {
            route.check(self.cidr, self.ipv6.as_ref())?;
            let Route { to, via } = route;
            if self.would_be_servers(*via) {
                return Err(said!(
                    "the router {via} would be the address of a server",
                    "ルータ {via} はサーバのアドレスになり得ます"
                ));
            }
            if self.routes.iter().take(n).any(|other| other.to == *to) {
                return Err(said!("{to} stands twice", "{to} が重複しています"));
            }
        }
        Ok(())
    }

    /// Whether a server may be given this address, or has it beside its IPv4 one.
    fn would_be_servers(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.range.contains(address),
            IpAddr::V6(address) => self.ipv6.as_ref().is_some_and(|ipv6| {
                let is_machines = || self.fixtures().any(|machine| ipv6.beside(machine) == address);
                ipv6.is_for_servers(address, self.cidr) && !is_machines()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::network, *};

    fn with(routes: &[&str]) -> Result<(), String> {
        let mut network = network("203.0.113.0/24", "203.0.113.100", "203.0.113.199", Some("203.0.113.1"));
        let cidr = "2001:db8:0:1::/64".parse().unwrap();
        network.ipv6 = Some(Ipv6 { cidr, gateway: None, dns: Vec::new() });
        network.routes = routes.iter().map(|text| text.parse().unwrap()).collect();
        network.check_routes().map_err(|said| said.en)
    }

    #[test]
    fn a_route_leads_elsewhere_by_a_router_of_the_network_that_no_server_is() {
        for good in [
            &["198.51.100.0/24=203.0.113.2", "10.0.0.0/8=203.0.113.2"][..],
            &["10.0.0.0/8=203.0.113.1", "10.1.0.0/16=203.0.113.3", "10.1.0.7/32=203.0.113.250"],
            &["169.254.169.254/32=203.0.113.2"],
            &["2001:db8:7::/48=2001:db8:0:1::2", "fd00::/8=2001:db8:0:1::cb00:7101"],
        ] {
            assert_eq!(with(good), Ok(()), "{good:?}");
        }
        for (bad, says) in [
            ("198.51.100.7/24=203.0.113.2", "the subnet is 198.51.100.0/24"),
            ("198.51.100.0/24=192.0.2.1", "no machine's address"),
            ("198.51.100.0/24=203.0.113.0", "no machine's address"),
            ("198.51.100.0/24=203.0.113.255", "no machine's address"),
            ("198.51.100.0/24=203.0.113.100", "address of a server"),
            ("0.0.0.0/0=203.0.113.2", "is given as the gateway"),
            ("203.0.113.0/24=203.0.113.2", "overlap"),
            ("203.0.0.0/16=203.0.113.2", "overlap"),
            ("203.0.113.128/25=203.0.113.2", "overlap"),
            ("224.0.0.0/4=203.0.113.2", "in which a machine is reached"),
            ("127.0.0.0/8=203.0.113.2", "in which a machine is reached"),
            ("198.51.100.0/24=2001:db8:0:1::2", "not both"),
            ("2001:db8:7::/48=203.0.113.2", "not both"),
            ("2001:db8:7::/48=fe80::1", "no machine's address"),
            ("2001:db8:7::/48=2001:db8:0:1::cb00:7164", "address of a server"),
            ("2001:db8::/32=2001:db8:0:1::2", "overlap"),
            ("ff00::/8=2001:db8:0:1::2", "in which a machine is reached"),
        ] {
            let said = with(&[bad]).unwrap_err();
            assert!(said.contains(says), "{bad}: {said}");
        }
        assert!(with(&["10.0.0.0/8=203.0.113.2", "10.0.0.0/8=203.0.113.3"]).unwrap_err().contains("twice"));
        let many: Vec<String> = (0..=MOST_ROUTES).map(|n| format!("10.{n}.0.0/16=203.0.113.2")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(with(&many).unwrap_err().contains("are allowed"));
        assert_eq!(with(&many[1..]), Ok(()), "as many as are allowed");
    }

    #[test]
    fn a_network_without_ipv6_has_no_routes_of_it() {
        let mut network = network("203.0.113.0/24", "203.0.113.100", "203.0.113.199", None);
        network.routes = vec!["2001:db8:7::/48=2001:db8:0:1::2".parse().unwrap()];
        assert!(network.check_routes().unwrap_err().en.contains("needs IPv6"));
    }

    #[test]
    fn a_route_is_read_as_it_is_shown() {
        for text in ["198.51.100.0/24=203.0.113.2", "2001:db8:7::/48=2001:db8:0:1::2"] {
            assert_eq!(text.parse::<Route>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "=",
            "198.51.100.0/24",
            "198.51.100.0=203.0.113.2",
            "198.51.100.0/24=",
            "a=b",
            "10.0.0.0/8=203.0.113.2,x",
        ] {
            assert_eq!(text.parse::<Route>(), Err(NotARoute), "{text}");
        }
    }
}
