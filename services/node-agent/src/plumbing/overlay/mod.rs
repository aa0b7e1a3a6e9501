//! Overlay networks on this node: for each, a bridge for its servers and a VXLAN tunnel to the other
//! nodes, made by us, labelled, and gone with the last server.
//!
//! ```text
//!   guests ── taps ──┐
//!   gateway, DHCP ── bridge ── tunnel ══ UDP 4789 ══▶ the node that runs the other end
//! ```
//!
//! Nothing is learned and nothing flooded. The tunnel knows from the network plan at which node each
//! MAC is, answers for the addresses of all of them itself, and so lets neither ARP nor DHCP out. The
//! bridge has the gateway's address and MAC, which are the same on every node: a server keeps its
//! gateway wherever it runs.

mod border;
mod entries;
mod forwarding;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv4Addr,
    path::Path,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::sync::Mutex;
use watari_contracts::plan::NetworkPlan;
use watari_model::{NetworkName, network};

use super::{
    links::{Link, Links, Mac, VXLAN_PORT, Vxlan},
    public::Led,
};
use crate::{blueprint, settings};
use entries::{Change, Entries};
use forwarding::Forwarding;

/// How our bridges begin. Not as our taps do, which have rules of their own.
pub(super) const BRIDGE_PREFIX: &str = "wb";
const TUNNEL_PREFIX: &str = "wx";
/// How the labels of our links begin.
const LABEL: &str = "watari overlay network ";

/// What a network's links are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) network: NetworkName,
    pub(super) overlay: network::Overlay,
    pub(super) subnet: Ipv4Net,
    pub(super) gateway: Ipv4Addr,
    pub(super) ipv6: Option<network::Ipv6>,
}

impl Spec {
    /// The bridge's name: the VNI is unique, and a network's name may be longer than an interface's.
    pub(super) fn bridge(&self) -> String {
        format!("{BRIDGE_PREFIX}{:06x}", self.overlay.vni)
    }

    fn tunnel(&self) -> String {
        format!("{TUNNEL_PREFIX}{:06x}", self.overlay.vni)
    }

    /// Where the node itself is on it, beside its gateway's address: the same on every node.
    pub(super) fn own6(&self) -> Option<Ipv6Net> {
        let ipv6 = self.ipv6.as_ref()?;
        Ipv6Net::new(ipv6.beside(self.gateway), ipv6.cidr.prefix_len()).ok()
    }

    /// Whether its servers are told that the node is their way out by IPv6.
    fn leads_out6(&self) -> bool {
        let told = self.ipv6.as_ref().and_then(|ipv6| ipv6.gateway);
        told.is_some() && told == self.own6().map(|own| own.addr())
    }

    fn label(&self) -> String {
        format!("{LABEL}{}", self.network)
    }
}

/// A MAC as bytes.
pub(super) fn mac(text: &str) -> Option<Mac> {
    let mut bytes = Mac::default();
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// And as text, as ports' documents have it.
pub(super) fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// One network that is laid here.
struct Laid {
    spec: Spec,
    /// The tunnel, by index.
    tunnel: u32,
    /// What the kernel was told last.
    entries: Entries,
}

#[derive(Default)]
struct State {
    networks: BTreeMap<NetworkName, Laid>,
    /// Servers that were resumed here before the plan knew: whatever it says, they are here.
    claimed: BTreeSet<(NetworkName, Mac)>,
    plan: NetworkPlan,
    /// Whether the plan was sent since the agent's start. One that was kept may name servers that went elsewhere
    /// while this node was off.
    is_fresh: bool,
    /// The networks that the border's rules were laid for, and whether IPv6 gets out.
    bordered: Option<(BTreeSet<NetworkName>, bool)>,
}

/// This node's overlay networks.
pub(super) struct Overlays {
    node: border::Node,
    forwarding: Forwarding,
    state: Mutex<State>,
}

impl Overlays {
    /// Touches nothing yet.
    pub(super) fn new(tunnel: Option<Ipv4Addr>, settings: &settings::Networks, run: &Path) -> Self {
        let bridges = settings.segments.values().cloned().collect();
        let node = border::Node { tunnel, bridges, metadata_port: settings.metadata_port() };
        Self { node, forwarding: Forwarding::new(run), state: Mutex::default() }
    }

    /// Takes note of a plan without laying it.
    pub(super) async fn know(&self, plan: NetworkPlan) {
        self.state.lock().await.plan = plan;
    }

    /// Brings the entries of every network that is laid here to what the plan says.
    ///
    /// # Errors
    /// The kernel's first complaint; everything else was done.
    pub(super) async fn lay(&self, links: &Links, plan: NetworkPlan) -> io::Result<()> {
        let mut state = self.state.lock().await;
        state.plan = plan;
        state.is_fresh = true;
        state.keep_claims();
        let names: Vec<NetworkName> = state.networks.keys().cloned().collect();
        let mut outcome = Ok(());
        for name in names {
            let done = state.sync(links, &name).await;
            outcome = outcome.and(done);
        }
        outcome
    }

    /// Makes a network's links, or mends them, with all that the plan says of them; again changes
    /// nothing. They are looked at afterwards: what is not as it should be is an error.
    ///
    /// # Errors
    /// What is missing, or the kernel's complaint.
    pub(super) async fn ensure(&self, links: &Links, spec: &Spec) -> io::Result<()> {
        let local = self.node.tunnel.ok_or_else(|| {
            io::Error::other("this node has no tunnel address: set networks.tunnel_address in node-agent.toml")
        })?;
        let mtu = links.mtu_at(local).await?;
        let mtu = mtu.ok_or_else(|| io::Error::other(format!("no interface of this node has the address {local}")))?;
        let (most, wanted) = (mtu.saturating_sub(network::ENCAPSULATION), spec.overlay.mtu);
        if most < wanted {
            let text = format!("its packets of {wanted} bytes do not fit: the interface of {local} leaves {most}");
            return Err(io::Error::other(text));
        }
        let mut state = self.state.lock().await;
        let tunnel = make(links, spec, local).await?;
        let known = state.networks.get(&spec.network).is_some_and(|laid| laid.tunnel == tunnel && laid.spec == *spec);
        if !known {
            let entries = Entries::read(links, tunnel).await?;
            state.networks.insert(spec.network.clone(), Laid { spec: spec.clone(), tunnel, entries });
        }
        state.sync(links, &spec.network).await?;
        self.border(&mut state).await
    }

    /// Looks at everything that is laid, and mends what is not as it should be.
    pub(super) async fn tend(&self, links: &Links) {
        let specs: Vec<Spec> = self.state.lock().await.networks.values().map(|laid| laid.spec.clone()).collect();
        for spec in specs {
            if let Some(laid) = self.state.lock().await.networks.get_mut(&spec.network) {
                // What the kernel has, not what it was told.
                match Entries::read(links, laid.tunnel).await {
                    Ok(entries) => laid.entries = entries,
                    Err(error) => tracing::debug!(network = %spec.network, %error, "its entries cannot be read"),
                }
            }
            if let Err(error) = self.ensure(links, &spec).await {
                tracing::warn!(network = %spec.network, %error, "the overlay network is not whole here");
            }
        }
    }

    /// A server is resumed here: its bridge has it from now on, whatever the plan says until it knows.
    ///
    /// # Errors
    /// The kernel's complaint.
    pub(super) async fn claim(&self, links: &Links, network: &NetworkName, mac: Mac, tap: &str) -> io::Result<()> {
        let mut state = self.state.lock().await;
        state.claimed.insert((network.clone(), mac));
        let synced = state.sync(links, network).await;
        if let Some(tap) = links.named(tap).await? {
            links.switch(tap.index, &mac).await?;
        }
        synced
    }

    /// The servers with a public address that may be here, by the plan or before it knew, and the bridges and subnets of
    /// all networks that are laid; none until the network service has said so since the agent's start.
    pub(super) async fn public(&self) -> Option<(Vec<Led>, Vec<(String, Ipv4Net)>)> {
        let state = self.state.lock().await;
        let networks = state.networks.values().map(|laid| (laid.spec.bridge(), laid.spec.subnet)).collect();
        state.is_fresh.then(|| (state.led(), networks))
    }

    /// Removes a network's links.
    ///
    /// # Errors
    /// The kernel's complaint.
    pub(super) async fn remove(&self, links: &Links, network: &NetworkName) -> io::Result<()> {
        let mut state = self.state.lock().await;
        let Some(laid) = state.networks.get(network) else { return Ok(()) };
        for name in [laid.spec.tunnel(), laid.spec.bridge()] {
            if let Some(link) = links.named(&name).await?.filter(|link| is_ours(link, LABEL)) {
                links.delete(&link).await?;
            }
        }
        state.networks.remove(network);
        state.claimed.retain(|(of, _)| of != network);
        self.border(&mut state).await
    }

    /// Removes links of ours that belong to none of the networks that are laid, as after a restart.
    ///
    /// # Errors
    /// The kernel's complaint.
    pub(super) async fn sweep(&self, links: &Links) -> io::Result<()> {
        let mut state = self.state.lock().await;
        let kept: BTreeSet<String> =
            state.networks.values().flat_map(|laid| [laid.spec.bridge(), laid.spec.tunnel()]).collect();
        for link in links.all().await?.iter().filter(|link| link.alias.starts_with(LABEL)) {
            if !kept.contains(&link.name) {
                tracing::info!(link = link.name, label = link.alias, "removing a link that no server here needs");
                links.delete(link).await?;
            }
        }
        self.border(&mut state).await
    }

    /// Lays the rules at the networks' borders, if the networks are others than before, or the node's own IPv6 came or went.
    async fn border(&self, state: &mut State) -> io::Result<()> {
        let networks: BTreeSet<NetworkName> = state.networks.keys().cloned().collect();
        let specs: Vec<&Spec> = state.networks.values().map(|laid| &laid.spec).collect();
        let by_ipv6 = specs.iter().any(|spec| spec.leads_out6()) && forwarding::has_ipv6();
        let wanted = (networks, by_ipv6);
        if state.bordered.as_ref() == Some(&wanted) {
            return Ok(());
        }
        border::lay(&specs, &self.node, &self.forwarding, by_ipv6).await?;
        state.bordered = Some(wanted);
        Ok(())
    }
}

impl State {
    /// A claim ends when the plan says the same, or nothing of the server any more.
    fn keep_claims(&mut self) {
        let plan = &self.plan;
        self.claimed.retain(|(network, claimed)| {
            let network = plan.networks.iter().find(|planned| planned.network == *network);
            let here = network.and_then(|n| n.here.iter().find(|port| mac(&port.mac) == Some(*claimed)));
            here.is_some_and(|port| port.via.is_some())
        });
    }

    /// Those whose server is still to arrive are another node's.
    fn led(&self) -> Vec<Led> {
        let mut led = Vec::new();
        for planned in &self.plan.networks {
            let Some(laid) = self.networks.get(&planned.network) else { continue };
            let claimed =
                |text: &str| mac(text).is_some_and(|mac| self.claimed.contains(&(planned.network.clone(), mac)));
            let here = planned.here.iter().filter(|port| port.via.is_none() || claimed(&port.mac));
            led.extend(here.filter_map(|port| {
                let tap = blueprint::tap(&port.vm_uuid, usize::try_from(port.card).unwrap_or(usize::MAX));
                Some(Led { bridge: laid.spec.bridge(), tap, own: port.address, public: port.public.clone()? })
            }));
        }
        led
    }

    async fn sync(&mut self, links: &Links, network: &NetworkName) -> io::Result<()> {
        let Some(laid) = self.networks.get_mut(network) else { return Ok(()) };
        let planned = self.plan.networks.iter().find(|planned| planned.network == *network);
        let claimed = |mac: &Mac| self.claimed.contains(&(network.clone(), *mac));
        let wanted = planned.map_or_else(Entries::default, |planned| Entries::planned(planned, claimed));
        let mut outcome = Ok(());
        for change in laid.entries.changes(&wanted) {
            let done = apply(links, laid.tunnel, &change).await;
            match done {
                Ok(()) => laid.entries.note(&change),
                failed => outcome = outcome.and(failed),
            }
        }
        outcome
    }
}

async fn apply(links: &Links, tunnel: u32, change: &Change) -> io::Result<()> {
    match change {
        Change::Reach(mac, node) => links.reach(tunnel, mac, *node).await,
        Change::Forget(mac) => links.forget(tunnel, mac).await,
        Change::Answer(address, mac) => links.answer(tunnel, *address, mac).await,
        Change::Silence(address) => links.silence(tunnel, *address).await,
    }
}

/// One that we made; one without a label is ours too, if it has our kind of name: we died before we
/// could label it.
pub(super) fn is_ours(link: &Link, label: &str) -> bool {
    link.alias.is_empty() || link.alias.starts_with(label)
}

/// Makes the bridge and the tunnel, and gives the tunnel's index.
async fn make(links: &Links, spec: &Spec, local: Ipv4Addr) -> io::Result<u32> {
    let mtu = spec.overlay.mtu;
    let gateway = mac(&network::mac_of(spec.gateway)).unwrap_or_default();
    let bridge = match ours(links, &spec.bridge(), LABEL).await? {
        Some(link) if link.mac == gateway => link,
        stale => {
            if let Some(link) = stale {
                links.delete(&link).await?;
            }
            links.add_bridge(&spec.bridge(), &gateway, mtu).await?;
            made(links, &spec.bridge()).await?
        }
    };
    if !bridge.up || bridge.alias != spec.label() || bridge.mtu != mtu {
        ipv6(&bridge.name, spec, OF_ITS_MAC)?;
        links.raise(bridge.index, &spec.label(), mtu).await?;
    }
    let own = Ipv4Net::new(spec.gateway, spec.subnet.prefix_len()).map_err(io::Error::other)?;
    for address in [Some(IpNet::V4(own)), spec.own6().map(IpNet::V6)].into_iter().flatten() {
        links.add_address(bridge.index, address).await?;
    }
    let wanted = Vxlan { vni: spec.overlay.vni, local, learning: false, proxy: true, port: VXLAN_PORT };
    let tunnel = match ours(links, &spec.tunnel(), LABEL).await? {
        Some(link) if link.vxlan == Some(wanted) && link.bridge == Some(bridge.index) => link,
        stale => {
            if let Some(link) = stale {
                links.delete(&link).await?;
            }
            links.add_vxlan(&spec.tunnel(), wanted, mtu, bridge.index).await?;
            made(links, &spec.tunnel()).await?
        }
    };
    if !tunnel.up || tunnel.alias != spec.label() || tunnel.mtu != mtu {
        ipv6(&tunnel.name, spec, NONE)?;
        links.quieten(tunnel.index, spec.ipv6.is_some()).await?;
        links.raise(tunnel.index, &spec.label(), mtu).await?;
    }
    Ok(tunnel.index)
}

/// The link of that name, if it is there and ours, as its label says.
pub(super) async fn ours(links: &Links, name: &str, label: &str) -> io::Result<Option<Link>> {
    match links.named(name).await? {
        Some(link) if !is_ours(&link, label) => {
            Err(io::Error::other(format!("an interface {name} is there that is labelled {:?}", link.alias)))
        }
        found => Ok(found),
    }
}

/// The link of that name, which was just made.
pub(super) async fn made(links: &Links, name: &str) -> io::Result<Link> {
    links.named(name).await?.ok_or_else(|| io::Error::other(format!("{name} was made and is not there")))
}

/// Our links carry servers' packets only: the node itself announces nothing on them.
pub(super) fn without_ipv6(link: &str) -> io::Result<()> {
    match switch(link, "disable_ipv6", "1") {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// The link-local address that a link gives itself (`in6_addr_gen_mode` in linux/if_link.h).
pub(super) const OF_ITS_MAC: &str = "0";
const NONE: &str = "1";

/// Where servers have IPv6 the bridge answers their DHCPv6, at the address that it has on every node, so that nobody is asked
/// whether it is free; and the tunnel answers for neighbours, which it does without an address. Neither heeds a router.
fn ipv6(link: &str, spec: &Spec, own: &str) -> io::Result<()> {
    if spec.ipv6.is_some() { with_ipv6(link, own) } else { without_ipv6(link) }
}

/// Turns IPv6 on at a link of ours, whose own link-local address is made as `own` says.
pub(super) fn with_ipv6(link: &str, own: &str) -> io::Result<()> {
    let switches = [("accept_ra", "0"), ("accept_dad", "0"), ("addr_gen_mode", own), ("disable_ipv6", "0")];
    switches.into_iter().try_for_each(|(name, value)| switch(link, name, value))
}

/// One of a link's own switches for IPv6.
fn switch(link: &str, name: &str, value: &str) -> io::Result<()> {
    fs::write(format!("/proc/sys/net/ipv6/conf/{link}/{name}"), value)
}
