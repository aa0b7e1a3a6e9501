//! The two families of addresses, as nft has them. Pure.

use std::net::IpAddr;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Its packets' protocol, to name fields by.
    pub(super) const fn protocol(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// The type of a set's elements.
    pub(super) const fn address(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }

    /// What `meta nfproto` says of its packets.
    pub(super) const fn netfilter(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    /// A set or map of this family, of those that both have.
    pub(super) fn named(self, name: &str) -> String {
        match self {
            Self::V4 => name.to_owned(),
            Self::V6 => format!("{name}-v6"),
        }
    }
}
