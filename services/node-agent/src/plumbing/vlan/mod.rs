//! VLANs of the campus's segments on this node: for each network that lives on one, a bridge for its servers, and a
//! tagged interface (IEEE 802.1Q) that leads out of it; made by us, labelled, and gone with the last server.
//!
//! ```text
//!   guests ── taps ──┐
//!   DHCP ──────── our bridge ── tagged interface ── the operator's bridge ══ frames with a tag ══▶ the campus
//! ```
//!
//! The operator's bridge stays as it is: the tagged interface stands on top of it, as if the node itself were on the
//! VLAN. It is not: it answers no ARP there, and takes from there only what servers ask of its DHCP and of the metadata
//! address ([`rules`]). Where servers have IPv6 it has an address of their prefix, from which dnsmasq tells which prefix it
//! serves; nobody is answered who asks for that one either.

mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv4Addr,
    path::Path,
    sync::{Mutex as Quick, PoisonError},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::sync::{Mutex, OnceCell};
use watari_model::{NetworkName, SegmentName, network::Ipv6};

use super::{
    links::{Link, Links, Vlan},
    module, nft,
    overlay::{OF_ITS_MAC, is_ours, made, ours, with_ipv6, without_ipv6},
};

/// How our bridges begin. Not as taps or overlay networks' bridges do, which have rules of their own.
pub(super) const BRIDGE_PREFIX: &str = "wv";
const TAGGED_PREFIX: &str = "wu";
/// How the labels of our links begin.
const LABEL: &str = "watari VLAN network ";
/// The kernel shows its VLANs here, if it makes any.
const SHOWN: &str = "/proc/net/vlan";
/// The kernel's switches of each interface.
const SWITCHES: &str = "/proc/sys/net/ipv4/conf";
/// dnsmasq answers only where the node has an address. Nobody is told this one, and no ARP for it is answered, so that it
/// may be the same on every node and bridge (link-local, RFC 3927).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 87, 1);

/// What a network's links are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) network: NetworkName,
    pub(super) segment: SegmentName,
    pub(super) vlan: u16,
    /// The network's largest packet, in bytes, if it says so.
    pub(super) mtu: Option<u32>,
    /// The operator's bridge.
    pub(super) under: String,
    /// The network's IPv6 side, if it has one.
    pub(super) ipv6: Option<Ipv6>,
}

impl Spec {
    fn bridge(&self) -> String {
        bridge(&self.segment, self.vlan)
    }

    fn tagged(&self) -> String {
        name(TAGGED_PREFIX, &self.segment, self.vlan)
    }

    /// The node's addresses there. By IPv6 it is what stands beside the one of IPv4, which no server has.
    fn own(&self) -> impl Iterator<Item = IpNet> {
        let beside = |ipv6: &Ipv6| Ipv6Net::new(ipv6.beside(ADDRESS), ipv6.cidr.prefix_len()).ok();
        let own6 = self.ipv6.as_ref().and_then(beside);
        [Some(IpNet::V4(Ipv4Net::from(ADDRESS))), own6.map(IpNet::V6)].into_iter().flatten()
    }

    fn label(&self) -> String {
        format!("{LABEL}{}", self.network)
    }
}

/// The bridge of a segment's VLAN, known before it is there, so that rules may name it.
pub(super) fn bridge(segment: &SegmentName, vlan: u16) -> String {
    name(BRIDGE_PREFIX, segment, vlan)
}

/// A segment's name may be longer than an interface's: its hash stands for it (FNV-1a, 32 bits).
fn name(prefix: &str, segment: &SegmentName, vlan: u16) -> String {
    let mixed = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = segment.as_str().bytes().fold(0x811c_9dc5, mixed);
    format!("{prefix}{vlan:03x}{hash:08x}")
}

#[derive(Default)]
struct State {
    networks: BTreeMap<NetworkName, Spec>,
    /// The bridges that the rules were laid for.
    guarded: BTreeSet<String>,
}

/// This node's VLANs.
#[derive(Default)]
pub(super) struct Vlans {
    /// The protocols and ports of the listeners for the metadata address.
    ports: Vec<(&'static str, u16)>,
    /// Whether the kernel makes VLAN interfaces.
    able: OnceCell<bool>,
    state: Mutex<State>,
    /// The bridges by network, apart from the state, so that telling them waits for no transaction.
    shown: Quick<BTreeMap<NetworkName, String>>,
}

impl Vlans {
    /// Touches nothing yet.
    pub(super) fn new(ports: Vec<(&'static str, u16)>) -> Self {
        Self { ports, ..Self::default() }
    }

    /// Finds out whether the kernel makes VLAN interfaces; it is not asked again.
    pub(super) async fn look_at_kernel(&self) -> bool {
        let look = || async {
            let able = Path::new(SHOWN).exists() || (module::load("8021q").await && Path::new(SHOWN).exists());
            if !able {
                tracing::info!("this kernel makes no VLAN interfaces (module 8021q): no server on a VLAN comes here");
            }
            able
        };
        *self.able.get_or_init(look).await
    }

    /// The bridges that are laid, by network; none if the kernel makes no VLAN interfaces.
    pub(super) fn shown(&self) -> Option<BTreeMap<NetworkName, String>> {
        self.able.get().filter(|able| **able)?;
        Some(self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Makes a network's links, or mends them; again changes nothing.
    ///
    /// # Errors
    /// The kernel's or nft's complaint; then nothing of it carries anything.
    pub(super) async fn ensure(&self, links: &Links, spec: &Spec) -> io::Result<()> {
        if !self.look_at_kernel().await {
            return Err(io::Error::other("this kernel makes no VLAN interfaces (module 8021q)"));
        }
        let mut state = self.state.lock().await;
        // What fails now is made when the links are tended; and what servers that run are on is nobody's to sweep away.
        state.networks.insert(spec.network.clone(), spec.clone());
        let bridges = state.bridges();
        // The rules come before what they hold for.
        self.guard(&mut state, bridges).await?;
        make(links, spec).await?;
        self.show(&state);
        Ok(())
    }

    /// Looks at everything that is laid, and mends what is not as it should be.
    pub(super) async fn tend(&self, links: &Links) {
        let specs: Vec<Spec> = {
            let mut state = self.state.lock().await;
            if !state.guarded.is_empty() && !stand().await {
                tracing::error!("somebody took away the rules of our VLANs; they are laid again");
                state.guarded.clear();
            }
            state.networks.values().cloned().collect()
        };
        for spec in specs {
            if let Err(error) = self.ensure(links, &spec).await {
                tracing::warn!(network = %spec.network, %error, "the network's VLAN is not whole here");
            }
        }
    }

    /// Removes a network's links.
    ///
    /// # Errors
    /// The kernel's complaint.
    pub(super) async fn remove(&self, links: &Links, network: &NetworkName) -> io::Result<()> {
        let mut state = self.state.lock().await;
        let Some(spec) = state.networks.get(network) else { return Ok(()) };
        for name in [spec.tagged(), spec.bridge()] {
            if let Some(link) = links.named(&name).await?.filter(|link| is_ours(link, LABEL)) {
                links.delete(&link).await?;
            }
        }
        state.networks.remove(network);
        self.show(&state);
        let left = state.bridges();
        self.guard(&mut state, left).await
    }

    /// Removes links of ours that belong to none of the networks that are laid, as after a restart.
    ///
    /// # Errors
    /// The kernel's complaint.
    pub(super) async fn sweep(&self, links: &Links) -> io::Result<()> {
        let mut state = self.state.lock().await;
        let kept: BTreeSet<String> = state.networks.values().flat_map(|spec| [spec.bridge(), spec.tagged()]).collect();
        for link in links.all().await?.iter().filter(|link| link.alias.starts_with(LABEL)) {
            if !kept.contains(&link.name) {
                tracing::info!(link = link.name, label = link.alias, "removing a link that no server here needs");
                links.delete(link).await?;
            }
        }
        // An earlier agent may have laid rules of which this one knows nothing.
        if state.networks.is_empty() && stand().await {
            nft::apply(&rules::removal()).await?;
        }
        let left = state.bridges();
        self.guard(&mut state, left).await
    }

    /// Lays the rules for these bridges, if they are others than before; with the last bridge the rules go as well.
    async fn guard(&self, state: &mut State, bridges: BTreeSet<String>) -> io::Result<()> {
        if state.guarded == bridges {
            return Ok(());
        }
        let wanted = if bridges.is_empty() { rules::removal() } else { rules::compile(&bridges, &self.ports) };
        nft::apply(&wanted).await?;
        state.guarded = bridges;
        Ok(())
    }

    fn show(&self, state: &State) {
        let bridges = state.networks.values().map(|spec| (spec.network.clone(), spec.bridge()));
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = bridges.collect();
    }
}

impl State {
    fn bridges(&self) -> BTreeSet<String> {
        self.networks.values().map(Spec::bridge).collect()
    }
}

/// Whether the rules stand.
async fn stand() -> bool {
    let (family, table, chain) = rules::PLACE;
    nft::stands(family, table, chain).await.unwrap_or(false)
}

/// An interface that is not ours and has the VLAN already. On the bridge itself the kernel makes no second one; on a port of
/// the bridge, such as its wire, it takes the frames before they come to the bridge.
fn taken<'a>(there: &'a [Link], under: &Link, spec: &Spec) -> Option<&'a Link> {
    let carries = |index: u32| {
        index == under.index || there.iter().any(|link| link.index == index && link.bridge == Some(under.index))
    };
    there.iter().find(|link| {
        let same = link.vlan.is_some_and(|vlan| vlan.tag == spec.vlan && carries(vlan.under));
        same && link.name != spec.tagged()
    })
}

/// Makes the bridge and the tagged interface.
async fn make(links: &Links, spec: &Spec) -> io::Result<()> {
    let there = links.all().await?;
    let under = there.iter().find(|link| link.name == spec.under);
    let under = under.ok_or_else(|| io::Error::other(format!("the bridge {} is gone", spec.under)))?;
    if let Some(theirs) = taken(&there, under, spec) {
        let (name, vlan) = (&theirs.name, spec.vlan);
        return Err(io::Error::other(format!("the host's own interface {name} has VLAN {vlan} of {}", spec.under)));
    }
    // The tag is the switches' to carry: what servers send is as large as without it.
    let (label, mtu) = (spec.label(), spec.mtu.map_or(under.mtu, |mtu| mtu.min(under.mtu)));
    let bridge = match ours(links, &spec.bridge(), LABEL).await? {
        Some(link) => link,
        None => {
            // Its ports would give it a new address with each server that comes or goes.
            links.add_bridge(&spec.bridge(), &under.mac, mtu).await?;
            made(links, &spec.bridge()).await?
        }
    };
    if !bridge.up || bridge.alias != label || bridge.mtu != mtu {
        if spec.ipv6.is_some() {
            with_ipv6(&bridge.name, OF_ITS_MAC)?;
        } else {
            without_ipv6(&bridge.name)?;
        }
        set_apart(&bridge.name)?;
        links.raise(bridge.index, &label, mtu).await?;
    }
    for address in spec.own() {
        links.add_lone_address(bridge.index, address).await?;
    }
    let wanted = Vlan { tag: spec.vlan, under: under.index };
    let tagged = match ours(links, &spec.tagged(), LABEL).await? {
        Some(link) if link.vlan == Some(wanted) && link.bridge == Some(bridge.index) => link,
        stale => {
            if let Some(link) = stale {
                links.delete(&link).await?;
            }
            links.add_vlan(&spec.tagged(), wanted, bridge.index).await?;
            made(links, &spec.tagged()).await?
        }
    };
    if !tagged.up || tagged.alias != label || tagged.mtu != mtu {
        without_ipv6(&tagged.name)?;
        links.raise(tagged.index, &label, mtu).await?;
    }
    Ok(())
}

/// The node has no address that anybody on the VLAN could know, and takes servers' questions though its own way to their
/// subnet, if it has one, is another.
fn set_apart(bridge: &str) -> io::Result<()> {
    let switch = |of: &str, name: &str| Path::new(SWITCHES).join(of).join(name);
    // No ARP is answered (ip-sysctl: arp_ignore).
    fs::write(switch(bridge, "arp_ignore"), "8")?;
    // The stricter of both counts, as a number: 1 for all is only overcome by 2, which asks for any way at all.
    let strict = fs::read_to_string(switch("all", "rp_filter")).is_ok_and(|text| text.trim() == "1");
    fs::write(switch(bridge, "rp_filter"), if strict { "2" } else { "0" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlans_links_have_names_that_the_kernel_takes_and_that_differ_by_segment_and_tag() {
        let long = "a".repeat(63);
        let names: BTreeSet<String> = ["campus", "lab", &long]
            .iter()
            .flat_map(|segment| [1, 30, 4_094].map(|vlan| (segment.parse::<SegmentName>().unwrap(), vlan)))
            .flat_map(|(segment, vlan)| [bridge(&segment, vlan), name(TAGGED_PREFIX, &segment, vlan)])
            .collect();
        assert_eq!(names.len(), 18);
        assert!(names.iter().all(|name| name.len() == 13), "{names:?}");
    }

    fn spec(under: &str) -> Spec {
        let (network, segment) = ("staff".parse().unwrap(), "campus".parse().unwrap());
        Spec { network, segment, vlan: 30, mtu: None, under: under.to_owned(), ipv6: None }
    }

    #[test]
    fn the_node_has_an_ipv6_address_of_the_prefix_where_servers_have_one() {
        let ipv6 = Ipv6 { cidr: "2001:db8:0:1::/64".parse().unwrap(), gateway: None, dns: Vec::new() };
        let told = |spec: Spec| spec.own().map(|own| own.to_string()).collect::<Vec<_>>();
        assert_eq!(told(spec("br-campus")), ["169.254.87.1/32"]);
        let both = told(Spec { ipv6: Some(ipv6), ..spec("br-campus") });
        assert_eq!(both, ["169.254.87.1/32", "2001:db8:0:1::a9fe:5701/64"]);
    }

    #[test]
    fn a_vlan_that_the_host_has_on_the_bridge_or_on_its_wire_is_taken() {
        let link = |index: u32, name: &str, bridge: Option<u32>, vlan: Option<Vlan>| Link {
            index,
            name: name.to_owned(),
            alias: String::new(),
            mac: vec![2; 6],
            mtu: 1_500,
            up: true,
            bridge,
            vxlan: None,
            vlan,
        };
        let spec = spec("br-campus");
        let tagged = |index, name: &str, tag, under| link(index, name, None, Some(Vlan { tag, under }));
        let base = [
            link(1, "br-campus", None, None),
            link(2, "wire", Some(1), None),
            link(3, "spare", None, None),
            tagged(4, &spec.tagged(), 30, 1),
            tagged(5, "another-tag", 31, 1),
            tagged(6, "another-wire", 30, 3),
        ];
        assert_eq!(taken(&base, &base[0], &spec), None);
        for (under, what) in [(1, "the bridge"), (2, "its wire")] {
            let there = [base.as_slice(), &[tagged(7, "theirs", 30, under)]].concat();
            assert_eq!(taken(&there, &there[0], &spec).map(|link| link.name.as_str()), Some("theirs"), "{what}");
        }
    }

    #[tokio::test]
    async fn what_a_kernel_cannot_do_is_not_shown_and_makes_nothing() {
        let (links, vlans) = (Links::open().unwrap(), Vlans::default());
        vlans.able.set(false).unwrap();
        let spec = spec("lo");
        assert!(vlans.ensure(&links, &spec).await.unwrap_err().to_string().contains("8021q"));
        assert_eq!((vlans.shown(), links.named(&spec.bridge()).await.unwrap()), (None, None));
    }
}
