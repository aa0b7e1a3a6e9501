//! From the text of a request to a network's document, or to the one thing that is wrong with it.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net};
use watari_contracts::network::{CreateNetwork, EditNetwork, WantedIpv6};
use watari_model::{
    NetworkName, Refusal, Said, SegmentName, Timestamp,
    network::{
        ENCAPSULATION, Ipv6, Kind, LEAST_IPV6_MTU, MOST_DNS, NODE_ADDRESS, Network, OVERLAY_MTUS, Overlay,
        PROVIDER_MTUS, Range, VLANS, VNIS,
    },
    node::Node,
    said,
};

/// An overlay network's packet size where no node is known yet: Ethernet's 1,500 bytes, less what VXLAN takes.
const USUAL_MTU: u32 = 1_500 - ENCAPSULATION;
/// The longest `request_id`.
const LONGEST_ID: usize = 128;
/// Subnets in which nobody's servers can live, and why.
const NOBODYS: [(&str, &str, &str); 5] = [
    ("0.0.0.0/8", "means \"this network\"", "「このネットワーク」を表す"),
    ("127.0.0.0/8", "is every machine's own loopback", "各マシン自身のループバックの"),
    ("169.254.0.0/16", "is for addresses that machines give themselves", "マシンが自分で付けるアドレスの"),
    ("224.0.0.0/4", "is for multicast", "マルチキャスト用の"),
    ("240.0.0.0/4", "is reserved", "予約されている"),
];

/// Reads and checks everything that can be checked without knowing the other networks.
///
/// # Errors
/// What [`Network::check`] refuses, with a sentence about the first thing that is wrong,
/// [`Refusal::OutOfRange`] for other fields, [`Refusal::Unsupported`] for what this version does not make.
pub(crate) fn network(wanted: &CreateNetwork, most_addresses: u64, now: Timestamp) -> Result<Network, Refusal> {
    let request_id = request_id(wanted.request_id.as_deref())?;
    suits_its_kind(wanted)?;
    let refuse = |detail: Said| Refusal::BadRange { network: wanted.name.to_string(), detail };
    let (cidr, range) = (cidr(&wanted.cidr).map_err(refuse)?, range(&wanted.range).map_err(refuse)?);
    let gateway = match wanted.kind {
        Kind::Provider => wanted.gateway,
        Kind::Overlay => Some(wanted.gateway.map_or_else(|| usual_gateway(cidr, range), Ok).map_err(refuse)?),
    };
    let mut ipv6 = wanted.ipv6.as_ref().map(|side| ipv6(&wanted.name, side)).transpose()?;
    if let (Kind::Overlay, Some(side), Some(gateway)) = (wanted.kind, &mut ipv6, gateway) {
        // Every node has it, as it has the gateway's.
        side.gateway = Some(side.beside(gateway));
    }
    let mut excluded = wanted.excluded.clone();
    excluded.sort_by_key(|one| one.first);
    let network = Network {
        v: 1,
        name: wanted.name.clone(),
        kind: wanted.kind,
        segment: match (&wanted.segment, wanted.kind) {
            (Some(segment), _) => segment.clone(),
            (None, Kind::Provider) => segment_named("campus")?,
            (None, Kind::Overlay) => segment_named(wanted.name.as_str())?,
        },
        vlan: wanted.vlan,
        mtu: wanted.mtu.filter(|_| wanted.kind == Kind::Provider),
        public: wanted.public,
        // Its number is chosen beside the other networks.
        overlay: None,
        cidr,
        range,
        excluded,
        gateway,
        dns: name_servers(wanted),
        routes: wanted.routes.clone(),
        strangers: Vec::new(),
        ipv6,
        request_id,
        created_at: now,
    };
    network.check()?;
    usable(&network, most_addresses).map_err(refuse)?;
    Ok(network)
}

/// A network as it is to be, checked in the same way.
///
/// # Errors
/// As [`network`].
pub(crate) fn edited(there: &Network, wanted: &EditNetwork, most_addresses: u64) -> Result<Network, Refusal> {
    let refuse = |detail: Said| Refusal::BadRange { network: there.name.to_string(), detail };
    let mut new = there.clone();
    if let Some(text) = &wanted.range {
        new.range = range(text).map_err(refuse)?;
    }
    if let Some(excluded) = &wanted.excluded {
        new.excluded.clone_from(excluded);
        new.excluded.sort_by_key(|one| one.first);
    }
    new.check()?;
    usable(&new, most_addresses).map_err(refuse)?;
    Ok(new)
}

/// Where nothing is said of name servers, servers that have a way out ask the node that they are on. On an overlay network
/// they ask its gateway, whatever is said.
fn name_servers(wanted: &CreateNetwork) -> Vec<Ipv4Addr> {
    let is_for_servers = wanted.kind == Kind::Provider && !wanted.public && wanted.gateway.is_some();
    let says_nothing = wanted.dns.is_empty() && wanted.ipv6.as_ref().is_none_or(|ipv6| ipv6.dns.is_empty());
    if is_for_servers && says_nothing { vec![NODE_ADDRESS] } else { wanted.dns.clone() }
}

/// The largest packets that a network of that kind may have.
fn mtus(kind: Kind) -> std::ops::RangeInclusive<u32> {
    match kind {
        Kind::Provider => PROVIDER_MTUS,
        Kind::Overlay => OVERLAY_MTUS,
    }
}

/// What a network of public addresses takes of anything that is told to servers.
fn for_nobody() -> Said {
    Said::new(
        "nothing: no server is on a network of public addresses",
        "「なし」 (公開アドレスのネットワークにサーバはありません)",
    )
}

/// Only a provider network has a segment; and a packet size must be one that its kind can have.
fn suits_its_kind(wanted: &CreateNetwork) -> Result<(), Refusal> {
    let refuse = |field: &str, value: String, allowed: Said| {
        Err(Refusal::OutOfRange { field: field.to_owned(), value, allowed })
    };
    if wanted.public && wanted.kind == Kind::Overlay {
        let allowed = Said::new(
            "false: public addresses are of a provider network",
            "false (公開アドレスはプロバイダネットワークのものです)",
        );
        return refuse("public", wanted.public.to_string(), allowed);
    }
    tagged(wanted)?;
    routed(wanted)?;
    if let Some(ipv6) = &wanted.ipv6 {
        suits_ipv6(wanted, ipv6)?;
    }
    match (wanted.kind, &wanted.segment, wanted.mtu) {
        (Kind::Overlay, Some(segment), _) => {
            let allowed = Said::new(
                "nothing: an overlay network needs no segment",
                "「なし」 (オーバーレイネットワークにセグメントは不要)",
            );
            refuse("segment", segment.to_string(), allowed)
        }
        (_, _, Some(mtu)) if wanted.public => refuse("mtu", mtu.to_string(), for_nobody()),
        (kind, _, Some(mtu)) if !mtus(kind).contains(&mtu) => {
            refuse("mtu", mtu.to_string(), Said::between(mtus(kind).start(), mtus(kind).end()))
        }
        _ => Ok(()),
    }
}

/// Only servers of a provider network are on a VLAN: an overlay network is a wire of its own, and for public addresses
/// nodes answer on the segment's untagged wire.
fn tagged(wanted: &CreateNetwork) -> Result<(), Refusal> {
    let Some(vlan) = wanted.vlan else { return Ok(()) };
    let allowed = if wanted.kind == Kind::Overlay {
        Said::new("nothing: an overlay network needs no VLAN", "「なし」 (オーバーレイネットワークに VLAN は不要)")
    } else if wanted.public {
        Said::new(
            "nothing: public addresses are on the segment itself",
            "「なし」 (公開アドレスは VLAN ではなくセグメントそのもので使います)",
        )
    } else if VLANS.contains(&vlan) {
        return Ok(());
    } else {
        Said::between(VLANS.start(), VLANS.end())
    };
    Err(Refusal::OutOfRange { field: "vlan".to_owned(), value: vlan.to_string(), allowed })
}

/// Routes are told to servers of a provider network: on an overlay network every node is the router, and no server may send
/// for others.
fn routed(wanted: &CreateNetwork) -> Result<(), Refusal> {
    let Some(route) = wanted.routes.first().filter(|_| wanted.public || wanted.kind == Kind::Overlay) else {
        return Ok(());
    };
    let allowed = if wanted.public {
        for_nobody()
    } else {
        Said::new(
            "nothing: an overlay network has no router but its gateway",
            "「なし」 (オーバーレイネットワークのルータはゲートウェイだけです)",
        )
    };
    Err(Refusal::OutOfRange { field: "routes".to_owned(), value: route.to_string(), allowed })
}

/// Public addresses are IPv4's; and the router of an overlay network is every node, at the address beside its IPv4 gateway.
fn suits_ipv6(wanted: &CreateNetwork, ipv6: &WantedIpv6) -> Result<(), Refusal> {
    let refuse = |field: &str, value: String, allowed: Said| {
        Err(Refusal::OutOfRange { field: field.to_owned(), value, allowed })
    };
    match (wanted.kind, ipv6.gateway, wanted.mtu) {
        _ if wanted.public => {
            let allowed =
                Said::new("nothing: public addresses are IPv4 only", "「なし」 (公開アドレスは IPv4 だけです)");
            refuse("ipv6", ipv6.cidr.clone(), allowed)
        }
        (Kind::Overlay, Some(gateway), _) => {
            let allowed = Said::new(
                "nothing: every node is the IPv6 router of an overlay network",
                "「なし」 (オーバーレイネットワークでは各ノードが IPv6 のルータになります)",
            );
            refuse("ipv6.gateway", gateway.to_string(), allowed)
        }
        (kind, _, Some(mtu)) if mtu < LEAST_IPV6_MTU => {
            refuse("mtu", mtu.to_string(), Said::between(LEAST_IPV6_MTU, mtus(kind).end()))
        }
        _ => Ok(()),
    }
}

/// Reads the IPv6 side.
fn ipv6(network: &NetworkName, wanted: &WantedIpv6) -> Result<Ipv6, Refusal> {
    let shown = shown(&wanted.cidr);
    let cidr = wanted.cidr.parse().map_err(|_| Refusal::BadIpv6 {
        network: network.to_string(),
        detail: said!(
            "{shown} is no subnet such as 2001:db8:0:1::/64",
            "{shown} は 2001:db8:0:1::/64 のようなサブネットではありません"
        ),
    })?;
    Ok(Ipv6 { cidr, gateway: wanted.gateway, dns: wanted.dns.clone() })
}

fn segment_named(name: &str) -> Result<SegmentName, Refusal> {
    name.parse().map_err(|e| Refusal::Internal { detail: format!("{e}") })
}

/// The first address of the subnet that is not handed out.
fn usual_gateway(cidr: Ipv4Net, range: Range) -> Result<Ipv4Addr, Said> {
    let first = cidr.hosts().next().filter(|first| !range.contains(*first));
    let beyond = || u32::from(range.last).checked_add(1).map(Ipv4Addr::from).filter(|next| *next < cidr.broadcast());
    first.or_else(beyond).ok_or_else(|| {
        said!(
            "the range leaves no address of {cidr} for the gateway",
            "範囲の外に、ゲートウェイに使える {cidr} のアドレスが残っていません"
        )
    })
}

/// A number and a packet size for a new overlay network, beside those that there are and on the
/// nodes that there are.
///
/// # Errors
/// [`Refusal::OutOfRange`] if the wanted size is more than a node carries, [`Refusal::NodeUnfit`] if a
/// node carries too little for any.
pub(crate) fn overlay<'a>(
    wanted: Option<u32>,
    networks: impl Iterator<Item = &'a Network>,
    nodes: impl Iterator<Item = &'a Node>,
) -> Result<Overlay, Refusal> {
    let taken: BTreeSet<u32> = networks.filter_map(|network| Some(network.overlay?.vni)).collect();
    // Not the one that was given back last: a node that was away may still know it.
    let next = taken.last().map_or(*VNIS.start(), |last| last + 1);
    let free = || VNIS.clone().find(|vni| !taken.contains(vni));
    let vni = Some(next).filter(|vni| VNIS.contains(vni)).or_else(free);
    let vni = vni.ok_or_else(|| Refusal::Internal { detail: "every VNI is taken".to_owned() })?;
    let tunnels = nodes.filter_map(|node| Some((node.inventory.tunnel?.mtu, &node.name)));
    let narrowest = tunnels.min().map(|(mtu, node)| (mtu.saturating_sub(ENCAPSULATION), node));
    let most = narrowest.map_or(USUAL_MTU, |(most, _)| most.min(*OVERLAY_MTUS.end()));
    match (wanted, narrowest) {
        (_, Some((most, node))) if most < *OVERLAY_MTUS.start() => Err(Refusal::NodeUnfit {
            node: node.to_string(),
            detail: Said::new(
                format!("the interface of its tunnel address leaves {most} bytes for overlay networks' packets"),
                format!(
                    "トンネル用アドレスのインターフェースでは、オーバーレイネットワークのパケットに {most} バイトしか使えません"
                ),
            ),
        }),
        (Some(mtu), Some((most, node))) if mtu > most => {
            let least = OVERLAY_MTUS.start();
            let allowed = said!(
                "{least} to {most}, which is what node {node} carries",
                "{least}～{most} (ノード {node} が運べる大きさまで)"
            );
            Err(Refusal::OutOfRange { field: "mtu".to_owned(), value: mtu.to_string(), allowed })
        }
        (wanted, _) => Ok(Overlay { vni, mtu: wanted.unwrap_or(most) }),
    }
}

/// Whether an overlay network's packets are large enough for what it is to carry.
///
/// # Errors
/// [`Refusal::OutOfRange`] if they are too small for IPv6.
pub(crate) fn carries(network: &Network, overlay: Overlay) -> Result<Overlay, Refusal> {
    if network.ipv6.is_none() || overlay.mtu >= LEAST_IPV6_MTU {
        return Ok(overlay);
    }
    let mtu = overlay.mtu;
    let allowed = said!(
        "nothing: the nodes carry packets of {mtu} bytes, and IPv6 needs {LEAST_IPV6_MTU}",
        "「なし」 (ノードが運べるパケットは {mtu} バイトまでで、IPv6 には {LEAST_IPV6_MTU} バイト必要です)"
    );
    let value = network.ipv6.as_ref().map(|ipv6| ipv6.cidr.to_string()).unwrap_or_default();
    Err(Refusal::OutOfRange { field: "ipv6".to_owned(), value, allowed })
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
        allowed: said!("1 to {LONGEST_ID} printable ASCII characters", "表示できる ASCII 文字 1～{LONGEST_ID} 個"),
    })
}

fn cidr(text: &str) -> Result<Ipv4Net, Said> {
    let shown = shown(text);
    text.parse().map_err(|_| {
        said!(
            "{shown} is no subnet such as 203.0.113.0/24",
            "{shown} は 203.0.113.0/24 のようなサブネットではありません"
        )
    })
}

fn range(text: &str) -> Result<Range, Said> {
    let shown = shown(text);
    let form = || {
        said!(
            "{shown} is no range such as 203.0.113.100-203.0.113.199",
            "{shown} は 203.0.113.100-203.0.113.199 のような範囲ではありません"
        )
    };
    let (first, last) = text.split_once('-').ok_or_else(form)?;
    Ok(Range { first: first.parse().map_err(|_| form())?, last: last.parse().map_err(|_| form())? })
}

/// What `Network::check` does not say: whether guests could live with it.
fn usable(network: &Network, most_addresses: u64) -> Result<(), Said> {
    let Network { cidr, range, gateway, dns, .. } = network;
    for (subnet, reason, ja) in NOBODYS {
        let subnet: Ipv4Net = subnet.parse().map_err(|e| Said::both(format!("{e}")))?;
        if subnet.contains(&cidr.network()) || cidr.contains(&subnet.network()) {
            return Err(said!(
                "{subnet}, which {reason}, and {cidr} overlap",
                "{ja} {subnet} と {cidr} が重なっています"
            ));
        }
    }
    if range.size() > most_addresses {
        let size = range.size();
        return Err(said!(
            "the range has {size} addresses; {most_addresses} are allowed",
            "範囲のアドレスが {size} 個あり、上限の {most_addresses} 個を超えています"
        ));
    }
    let nobodys = |address: &Ipv4Addr| *address == cidr.network() || *address == cidr.broadcast();
    if let Some(gateway) = gateway.filter(nobodys) {
        return Err(said!(
            "the gateway {gateway} is the network or broadcast address of {cidr}",
            "ゲートウェイ {gateway} は {cidr} のネットワークアドレスかブロードキャストアドレスです"
        ));
    }
    if dns.len() > MOST_DNS {
        let given = dns.len();
        return Err(said!(
            "{given} name servers are given; a guest reads {MOST_DNS}",
            "ネームサーバが {given} 台指定されていますが、サーバが読むのは {MOST_DNS} 台までです"
        ));
    }
    if dns.contains(&NODE_ADDRESS) {
        asks_its_node(network)?;
    }
    for (n, server) in dns.iter().enumerate() {
        // A node that asks them for servers is not to ask what it tells itself alone.
        let is_own = server.is_unspecified() || server.is_loopback();
        if is_own || server.is_multicast() || server.is_broadcast() || nobodys(server) {
            return Err(said!(
                "the name server {server} is no machine's address",
                "ネームサーバ {server} はマシンのアドレスではありません"
            ));
        }
        if range.contains(*server) {
            return Err(said!(
                "the name server {server} lies in the range",
                "ネームサーバ {server} が範囲の中にあります"
            ));
        }
        if dns[..n].contains(server) {
            return Err(said!("the name server {server} stands twice", "ネームサーバ {server} が重複しています"));
        }
    }
    Ok(())
}

/// Whether servers could ask the node that they are on for names.
fn asks_its_node(network: &Network) -> Result<(), Said> {
    if network.kind == Kind::Overlay {
        return Err(said!(
            "servers of an overlay network ask its gateway for names, which cannot ask {NODE_ADDRESS} in turn",
            "オーバーレイネットワークのサーバはゲートウェイに名前を問い合わせ、ゲートウェイから {NODE_ADDRESS} に問い合わせることはできません"
        ));
    }
    if network.gateway.is_none() {
        return Err(said!(
            "the name server {NODE_ADDRESS} is the node itself, which servers reach only if the network has a gateway",
            "ネームサーバ {NODE_ADDRESS} はノード自身で、ネットワークにゲートウェイがないとサーバから届きません"
        ));
    }
    Ok(())
}

/// Whether two documents describe the same network, whenever and by whichever request they were made,
/// and whatever number the older one got.
pub(crate) fn same(a: &Network, b: &Network) -> bool {
    // A document of an older version names nobody where this one has the node.
    let dns = |n: &Network| Some(n.dns.clone()).filter(|dns| dns[..] != [NODE_ADDRESS]).unwrap_or_default();
    let part = |n: &Network| (n.name.clone(), n.kind, n.segment.clone(), n.cidr, n.range, n.gateway, dns(n));
    let more = |n: &Network| (n.public, n.vlan, n.mtu, n.excluded.clone(), n.routes.clone(), n.ipv6.clone());
    part(a) == part(b) && more(a) == more(b)
}

/// Whether a new network can stand beside one that exists. Networks on one segment share its
/// wire, so that no address may be handed out by two of them.
///
/// # Errors
/// [`Refusal::RangeOverlaps`], [`Refusal::VlanTaken`], [`Refusal::SubnetsOverlap`] or [`Refusal::BadRange`].
pub(crate) fn beside(new: &Network, old: &Network) -> Result<(), Refusal> {
    if new.kind == Kind::Overlay || old.kind == Kind::Overlay {
        return apart(new, old);
    }
    if !new.shares_wire(old) {
        return Ok(());
    }
    if let Some(vlan) = new.vlan {
        // A VLAN is made for one network, and goes with it.
        let (segment, other) = (new.segment.to_string(), old.name.to_string());
        return Err(Refusal::VlanTaken { vlan: vlan.to_string(), segment, other });
    }
    if new.range.overlaps(old.range) {
        return Err(Refusal::RangeOverlaps { network: new.name.to_string(), other: old.name.to_string() });
    }
    let refuse = |detail: Said| Err(Refusal::BadRange { network: new.name.to_string(), detail });
    let other = &old.name;
    if let Some(address) = old.fixtures().find(|a| new.range.contains(*a)) {
        return refuse(said!(
            "the range has {address}, a gateway, router or name server of network {other} on the same segment",
            "範囲に、同じセグメントのネットワーク {other} のゲートウェイ、ルータ、ネームサーバのいずれか {address} が含まれています"
        ));
    }
    if let Some(address) = new.fixtures().find(|a| old.range.contains(*a)) {
        return refuse(said!(
            "{address} lies in the range of network {other} on the same segment",
            "{address} は同じセグメントのネットワーク {other} の範囲の中にあります"
        ));
    }
    let refuse = |detail: Said| Err(Refusal::BadIpv6 { network: new.name.to_string(), detail });
    if let Some(address) = servers_own(new, old) {
        return refuse(said!(
            "{address}, a gateway, router or name server of network {other} on the same segment, would be the address of a server",
            "同じセグメントのネットワーク {other} のゲートウェイ、ルータ、ネームサーバのいずれか {address} が、サーバのアドレスになり得ます"
        ));
    }
    if let Some(address) = servers_own(old, new) {
        return refuse(said!(
            "{address} would be the address of a server on network {other} on the same segment",
            "{address} は同じセグメントのネットワーク {other} のサーバのアドレスになり得ます"
        ));
    }
    Ok(())
}

/// A router's or name server's IPv6 address of `others` that a server of `of` could have. No server has one beside an
/// IPv4 address that such a machine has.
fn servers_own(of: &Network, others: &Network) -> Option<Ipv6Addr> {
    let ipv6 = of.ipv6.as_ref()?;
    let is_machines = |address: Ipv6Addr| of.fixtures().chain(others.fixtures()).any(|v4| ipv6.beside(v4) == address);
    others.fixtures6().find(|address| ipv6.is_for_servers(*address, of.cidr) && !is_machines(*address))
}

/// Every node is the router of every overlay network, and a router knows each subnet once.
fn apart(new: &Network, old: &Network) -> Result<(), Refusal> {
    let subnets = |network: &Network| {
        let ipv6 = network.ipv6.as_ref().map(|ipv6| IpNet::V6(ipv6.cidr));
        [Some(IpNet::V4(network.cidr)), ipv6].into_iter().flatten()
    };
    for cidr in subnets(new) {
        if let Some(theirs) = subnets(old).find(|theirs| cidr.contains(theirs) || theirs.contains(&cidr)) {
            return Err(Refusal::SubnetsOverlap {
                network: new.name.to_string(),
                cidr: cidr.to_string(),
                other: old.name.to_string(),
                theirs: theirs.to_string(),
            });
        }
    }
    Ok(())
}

/// Whether a server may ask for this very address.
///
/// # Errors
/// [`Refusal::OutOfRange`] if it is none for servers, [`Refusal::AddressTaken`] if a machine of
/// the network or another network of the segment has it, [`Refusal::AddressStrange`] or [`Refusal::AddressStrange6`] if
/// somebody answered for it.
pub(crate) fn fixed(address: Ipv4Addr, network: &Network, others: &[&Network]) -> Result<(), Refusal> {
    let cidr = network.cidr;
    if !cidr.contains(&address) || address == cidr.network() || address == cidr.broadcast() {
        return Err(Refusal::OutOfRange {
            field: "address".to_owned(),
            value: address.to_string(),
            allowed: said!(
                "an address inside {cidr} other than its network and broadcast address",
                "{cidr} の中の、ネットワークアドレスとブロードキャストアドレス以外のアドレス"
            ),
        });
    }
    let taken =
        |owner: Said| Refusal::AddressTaken { network: network.name.to_string(), address: address.to_string(), owner };
    if network.fixtures().any(|a| a == address) {
        return Err(taken(Said::new(
            "its gateway, a router or a name server",
            "ゲートウェイ、ルータ、ネームサーバのいずれか",
        )));
    }
    if let Some(stranger) = network.stranger_at(address) {
        return Err(stranger.refusal(network));
    }
    let other = |n: &&&Network| n.range.contains(address) || n.fixtures().any(|a| a == address);
    match others.iter().find(other) {
        Some(other) => {
            let other = &other.name;
            Err(taken(said!("network {other} on the same segment", "同じセグメントのネットワーク {other}")))
        }
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
