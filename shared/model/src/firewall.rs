//! Firewall groups: what may reach the servers that name them, and what these may reach.
//!
//! A server that names no group is open in both directions; only who it claims to be is checked. A
//! server that names groups receives nothing that no rule of theirs lets in, and sends everything
//! unless one of them has rules for *out*: then only what these let out. Answers to what was let
//! through pass by themselves.

use std::{fmt, str::FromStr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, FirewallName, Refusal, Said, Timestamp, network::check_whole, said};

/// The most groups that a server may name.
pub const MOST_GROUPS: usize = 8;

/// Which way a packet goes, as the server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the server.
    In,
    /// From the server.
    Out,
}

impl Direction {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Whatever it is.
    Any,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, ping among it, of whichever version of IP.
    Icmp,
}

impl Protocol {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }

    /// Whether it has ports.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

/// Ports from `first` to `last`, both included; written `80` or `80-90`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl FromStr for Ports {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ok(Self { first: first.parse()?, last: last.parse()? })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// Anybody.
    Anywhere,
    /// Whoever has an address in this subnet.
    Cidr(#[schemars(with = "String")] IpNet),
    /// The servers that name this group.
    Group(FirewallName),
}

/// What is let through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which way.
    pub direction: Direction,
    /// What.
    pub protocol: Protocol,
    /// To which ports, of TCP or UDP; all if left out.
    #[serde(default)]
    pub ports: Option<Ports>,
    /// From whom (in) or to whom (out); anybody if left out.
    #[serde(default = "anywhere")]
    pub peer: Peer,
}

const fn anywhere() -> Peer {
    Peer::Anywhere
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction.word(), self.protocol.word())?;
        if let Some(ports) = self.ports {
            write!(f, " {ports}")?;
        }
        let end = if self.direction == Direction::In { "from" } else { "to" };
        match &self.peer {
            Peer::Anywhere => Ok(()),
            Peer::Cidr(subnet) => write!(f, " {end} {subnet}"),
            Peer::Group(group) => write!(f, " {end} {group}"),
        }
    }
}

impl Rule {
    /// Checks that it says something that can be.
    ///
    /// # Errors
    /// [`Refusal::BadRule`] saying what cannot be.
    pub fn check(&self) -> Result<(), Refusal> {
        let refuse = |detail: Said| Err(Refusal::BadRule { rule: self.to_string(), detail });
        if let Some(Ports { first, last }) = self.ports {
            if !self.protocol.has_ports() {
                let protocol = self.protocol.word();
                return refuse(said!("{protocol} has no ports", "{protocol} にポートはありません"));
            }
            if first == 0 || first > last {
                return refuse(said!(
                    "the ports {first}-{last} are no range between 1 and 65535",
                    "ポート {first}-{last} は 1～65535 の範囲になっていません"
                ));
            }
        }
        match &self.peer {
            Peer::Cidr(subnet) => check_whole(*subnet).or_else(refuse),
            Peer::Anywhere | Peer::Group(_) => Ok(()),
        }
    }
}

/// A group's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Firewall {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: FirewallName,
    /// What is let through, sorted, none twice.
    pub rules: Vec<Rule>,
    /// The request that made it.
    pub request_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its rules last changed.
    pub changed_at: Timestamp,
}

impl Document for Firewall {
    const BUCKET: &'static str = "firewalls";
    fn key(&self) -> String {
        self.name.to_string()
    }
}

/// Checks rules and puts them in order, none twice.
///
/// # Errors
/// As [`Rule::check`]; [`Refusal::OutOfRange`] if there are more than `most`.
pub fn ordered(mut rules: Vec<Rule>, most: usize) -> Result<Vec<Rule>, Refusal> {
    rules.iter().try_for_each(Rule::check)?;
    rules.sort();
    rules.dedup();
    if rules.len() > most {
        let (value, allowed) = (rules.len().to_string(), Said::between(0, most));
        return Err(Refusal::OutOfRange { field: "rules".to_owned(), value, allowed });
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: Protocol, ports: Option<&str>, cidr: Option<&str>) -> Rule {
        let peer = cidr.map_or(Peer::Anywhere, |text| Peer::Cidr(text.parse().unwrap()));
        Rule { direction: Direction::In, protocol, ports: ports.map(|text| text.parse().unwrap()), peer }
    }

    #[test]
    fn a_rule_that_cannot_be_is_refused() {
        for good in [
            rule(Protocol::Any, None, None),
            rule(Protocol::Tcp, Some("25"), None),
            rule(Protocol::Udp, Some("1-65535"), Some("203.0.113.0/24")),
            rule(Protocol::Icmp, None, Some("0.0.0.0/0")),
            rule(Protocol::Tcp, Some("25"), Some("2001:db8::/32")),
        ] {
            assert_eq!(good.check(), Ok(()), "{good}");
        }
        for bad in [
            rule(Protocol::Any, Some("25"), None),
            rule(Protocol::Icmp, Some("8"), None),
            rule(Protocol::Tcp, Some("0"), None),
            rule(Protocol::Tcp, Some("90-80"), None),
            rule(Protocol::Tcp, None, Some("203.0.113.7/24")),
            rule(Protocol::Tcp, None, Some("2001:db8::7/64")),
        ] {
            assert!(matches!(bad.check(), Err(Refusal::BadRule { .. })), "{bad}");
        }
        assert!("80-".parse::<Ports>().is_err() && "a".parse::<Ports>().is_err() && "70000".parse::<Ports>().is_err());
    }

    #[test]
    fn rules_are_in_order_and_none_stands_twice() {
        let (one, two) = (rule(Protocol::Tcp, Some("25"), None), rule(Protocol::Tcp, Some("80"), None));
        assert_eq!(ordered(vec![two.clone(), one.clone(), two.clone()], 2), Ok(vec![one.clone(), two.clone()]));
        assert!(matches!(ordered(vec![one, two], 1), Err(Refusal::OutOfRange { .. })));
    }

    #[test]
    fn a_rule_reads_as_it_is_meant() {
        let mut rule = rule(Protocol::Tcp, Some("80-90"), Some("203.0.113.0/24"));
        assert_eq!(rule.to_string(), "in tcp 80-90 from 203.0.113.0/24");
        rule.direction = Direction::Out;
        rule.peer = Peer::Group("db".parse().unwrap());
        assert_eq!(rule.to_string(), "out tcp 80-90 to db");
    }
}
