//! From the text of a request to a network's document, or to the one thing that is wrong with it.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use watari_contracts::network::CreateNetwork;
use watari_model::{
    NetworkName, Refusal, SegmentName, Timestamp,
    network::{Kind, Network, Range},
};

/// More name servers than a guest's resolver reads (resolv.conf(5), MAXNS).
const MOST_DNS: usize = 3;
/// The longest `request_id`.
const LONGEST_ID: usize = 128;
/// Subnets in which nobody's servers can live, and why.
const NOBODYS: [(&str, &str); 5] = [
    ("0.0.0.0/8", "means \"this network\""),
    ("127.0.0.0/8", "is every machine's own loopback"),
    ("169.254.0.0/16", "is for addresses that machines give themselves"),
    ("224.0.0.0/4", "is for multicast"),
    ("240.0.0.0/4", "is reserved"),
];

/// Reads and checks everything that can be checked without knowing the other networks.
///
/// # Errors
/// [`Refusal::BadRange`] with a sentence about the first thing that is wrong, [`Refusal::OutOfRange`]
/// for other fields, [`Refusal::Unsupported`] for what this version does not make.
pub(crate) fn network(wanted: &CreateNetwork, most_addresses: u64, now: Timestamp) -> Result<Network, Refusal> {
    let request_id = request_id(wanted.request_id.as_deref())?;
    if wanted.kind == Kind::Overlay {
        return Err(Refusal::Unsupported { what: "an overlay network (kind \"overlay\")".to_owned() });
    }
    let refuse = |detail: String| Refusal::BadRange { network: wanted.name.to_string(), detail };
    let network = Network {
        v: 1,
        name: wanted.name.clone(),
        kind: wanted.kind,
        segment: match &wanted.segment {
            Some(segment) => segment.clone(),
            None => usual_segment()?,
        },
        overlay: None,
        cidr: cidr(&wanted.cidr).map_err(refuse)?,
        range: range(&wanted.range).map_err(refuse)?,
        gateway: wanted.gateway,
        dns: wanted.dns.clone(),
        request_id,
        created_at: now,
    };
    network.check()?;
    usable(&network, most_addresses).map_err(refuse)?;
    Ok(network)
}

/// What is used when a request names no segment.
fn usual_segment() -> Result<SegmentName, Refusal> {
    "campus".parse().map_err(|e| Refusal::Internal { detail: format!("{e}") })
}

/// A request's name for itself; empty if it has none.
pub(crate) fn request_id(id: Option<&str>) -> Result<String, Refusal> {
    let Some(id) = id else { return Ok(String::new()) };
    if (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(id.to_owned());
    }
    Err(Refusal::OutOfRange {
        field: "request_id".to_owned(),
        value: shown(id),
        allowed: format!("1 to {LONGEST_ID} printable ASCII characters"),
    })
}

fn cidr(text: &str) -> Result<Ipv4Net, String> {
    text.parse().map_err(|_| format!("{} is no subnet such as 203.0.113.0/24", shown(text)))
}

fn range(text: &str) -> Result<Range, String> {
    let form = || format!("{} is no range such as 203.0.113.100-203.0.113.199", shown(text));
    let (first, last) = text.split_once('-').ok_or_else(form)?;
    Ok(Range { first: first.parse().map_err(|_| form())?, last: last.parse().map_err(|_| form())? })
}

/// What `Network::check` does not say: whether guests could live with it.
fn usable(network: &Network, most_addresses: u64) -> Result<(), String> {
    let Network { cidr, range, gateway, dns, .. } = network;
    for (subnet, reason) in NOBODYS {
        let subnet: Ipv4Net = subnet.parse().map_err(|e| format!("{e}"))?;
        if subnet.contains(&cidr.network()) || cidr.contains(&subnet.network()) {
            return Err(format!("{subnet}, which {reason}, and {cidr} overlap"));
        }
    }
    if range.size() > most_addresses {
        return Err(format!("the range has {} addresses; {most_addresses} are allowed", range.size()));
    }
    let nobodys = |address: &Ipv4Addr| *address == cidr.network() || *address == cidr.broadcast();
    if let Some(gateway) = gateway.filter(nobodys) {
        return Err(format!("the gateway {gateway} is the network or broadcast address of {cidr}"));
    }
    if dns.len() > MOST_DNS {
        return Err(format!("{} name servers are given; a guest reads {MOST_DNS}", dns.len()));
    }
    for (n, server) in dns.iter().enumerate() {
        if server.is_unspecified() || server.is_multicast() || server.is_broadcast() || nobodys(server) {
            return Err(format!("the name server {server} is no machine's address"));
        }
        if range.contains(*server) {
            return Err(format!("the name server {server} lies in the range"));
        }
        if dns[..n].contains(server) {
            return Err(format!("the name server {server} stands twice"));
        }
    }
    Ok(())
}

/// Whether two documents describe the same network, whenever and by whichever request they were made.
pub(crate) fn same(a: &Network, b: &Network) -> bool {
    let part = |n: &Network| (n.name.clone(), n.kind, n.segment.clone(), n.cidr, n.range, n.gateway, n.dns.clone());
    part(a) == part(b)
}

/// Whether a new network can stand beside one that exists. Networks on one segment share its
/// wire, so that no address may be handed out by two of them.
///
/// # Errors
/// [`Refusal::RangeOverlaps`] or [`Refusal::BadRange`].
pub(crate) fn beside(new: &Network, old: &Network) -> Result<(), Refusal> {
    if new.segment != old.segment {
        return Ok(());
    }
    if new.range.overlaps(old.range) {
        return Err(Refusal::RangeOverlaps { network: new.name.to_string(), other: old.name.to_string() });
    }
    let refuse = |detail: String| Err(Refusal::BadRange { network: new.name.to_string(), detail });
    if let Some(address) = fixtures(old).find(|a| new.range.contains(*a)) {
        return refuse(format!(
            "the range has {address}, a gateway or name server of network {} on the same segment",
            old.name
        ));
    }
    if let Some(address) = fixtures(new).find(|a| old.range.contains(*a)) {
        return refuse(format!("{address} lies in the range of network {} on the same segment", old.name));
    }
    Ok(())
}

/// The machines of a network that are not its servers.
pub(crate) fn fixtures(network: &Network) -> impl Iterator<Item = Ipv4Addr> {
    network.gateway.into_iter().chain(network.dns.iter().copied())
}

/// Whether a server may ask for this very address.
///
/// # Errors
/// [`Refusal::OutOfRange`] if it is none for servers, [`Refusal::AddressTaken`] if a machine of
/// the network or another network of the segment has it.
pub(crate) fn fixed(address: Ipv4Addr, network: &Network, others: &[&Network]) -> Result<(), Refusal> {
    let cidr = network.cidr;
    if !cidr.contains(&address) || address == cidr.network() || address == cidr.broadcast() {
        return Err(Refusal::OutOfRange {
            field: "address".to_owned(),
            value: address.to_string(),
            allowed: format!("an address inside {cidr} other than its network and broadcast address"),
        });
    }
    let taken = |owner: String| Refusal::AddressTaken {
        network: network.name.to_string(),
        address: address.to_string(),
        owner,
    };
    if fixtures(network).any(|a| a == address) {
        return Err(taken("its gateway or a name server".to_owned()));
    }
    let other = |n: &&&Network| n.range.contains(address) || fixtures(n).any(|a| a == address);
    match others.iter().find(other) {
        Some(other) => Err(taken(format!("network {} on the same segment", other.name))),
        None => Ok(()),
    }
}

/// Text from outside, cut to what is safe and sensible to show.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// The network's name, for a refusal.
pub(crate) fn unknown(network: &NetworkName) -> Refusal {
    Refusal::NetworkUnknown { network: network.to_string() }
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
