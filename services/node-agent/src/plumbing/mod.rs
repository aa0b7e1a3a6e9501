//! What a server's cards are plugged into here: bridges that the operator made, overlay networks'
//! bridges that we make, and DHCP, DNS and the metadata address on both.
//!
//! What a guest may send and receive there is `guard`'s. dnsmasq and nft are called in this module
//! and nowhere else.

mod admission;
mod arp;
mod dnsmasq;
mod guard;
mod hosts;
mod links;
mod metadata;
mod module;
mod names;
mod neighbour;
mod nft;
mod overlay;
mod packets;
mod public;
mod say;
mod segment;
mod strangers;
mod vlan;
mod wiring;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv4Addr,
    time::Duration,
};

use tokio::sync::Mutex;
use watari_contracts::{
    agent::{Server, Wire},
    plan::NetworkPlan,
};
use watari_model::{
    NetworkName, NodeName, Refusal, Said, SegmentName,
    network::{Kind, Route},
    node::{Tunnel, health::Bridge},
};

use guard::Guard;
pub use guard::Policy;
use links::Links;
use metadata::Metadata;
use overlay::Overlays;
use public::Public;
use vlan::Vlans;

use crate::{blueprint, hypervisor::Nic, layout::Layout, settings};

/// This node's DHCP and its bridges.
pub struct Plumbing {
    node: NodeName,
    layout: Layout,
    settings: settings::Networks,
    tunnel_address: Option<Ipv4Addr>,
    links: Links,
    overlays: Overlays,
    vlans: Vlans,
    public: Public,
    networks: Mutex<BTreeMap<NetworkName, Network>>,
    /// What belongs on the networks' links, by the network service.
    plan: Mutex<NetworkPlan>,
    guard: Guard,
    metadata: Metadata,
}

/// One network with servers on this node.
struct Network {
    config: dnsmasq::Config,
    /// The files of the cards that are answered.
    cards: BTreeSet<String>,
}

impl Plumbing {
    /// Touches nothing yet.
    ///
    /// # Errors
    /// The kernel gives no connection.
    pub fn open(
        node: NodeName,
        layout: Layout,
        settings: settings::Networks,
        tunnel_address: Option<Ipv4Addr>,
    ) -> io::Result<Self> {
        let overlays = Overlays::new(tunnel_address, &settings, layout.run());
        let vlans = Vlans::new(settings.ports_for_servers());
        let public = Public::new(settings.segments.clone(), layout.run());
        let (guard, metadata) = (Guard::new(settings.guard, layout.run()), Metadata::new(&settings));
        let (links, networks, plan) = (Links::open()?, Mutex::default(), Mutex::default());
        Ok(Self {
            node,
            layout,
            settings,
            tunnel_address,
            links,
            overlays,
            vlans,
            public,
            networks,
            plan,
            guard,
            metadata,
        })
    }

    /// Where overlay networks' packets reach this node, if an interface has that address now.
    pub async fn tunnel(&self) -> Option<Tunnel> {
        let address = self.tunnel_address?;
        match self.links.mtu_at(address).await {
            Ok(mtu) => mtu.map(|mtu| Tunnel { address, mtu }),
            Err(error) => {
                tracing::warn!(%error, "the tunnel's interface is not known");
                None
            }
        }
    }

    /// Takes note of a plan, to be laid with the servers of this node.
    pub async fn know(&self, plan: NetworkPlan) {
        self.public.doubt(&plan);
        self.overlays.know(plan.clone()).await;
        self.metadata.learn(&plan);
        if let Err(refusal) = self.follow(Policy::from(&plan)).await {
            tracing::error!(%refusal, "what firewall groups say is not enforced yet");
        }
        *self.plan.lock().await = plan;
    }

    /// Lays a plan: makes what is on the networks' links exactly what it says. Doing it again
    /// changes nothing. What could not be laid is the answer, and is tried again when the links are
    /// tended.
    pub async fn lay(&self, plan: NetworkPlan) -> Option<Refusal> {
        self.public.doubt(&plan);
        // First what a server may stand still for.
        let forwarded = self.overlays.lay(&self.links, plan.clone()).await;
        self.metadata.learn(&plan);
        let followed = self.follow(Policy::from(&plan)).await;
        *self.plan.lock().await = plan;
        // Whoever is busy with the networks writes the names afterwards, or the next look does.
        let named = match self.networks.try_lock() {
            Ok(networks) => self.write_names(&networks).await,
            Err(_) => Ok(()),
        };
        let published = self.public.lay(&self.links, &self.overlays).await;
        let Some(error) = forwarded.and(named).and(published).err() else { return followed.err() };
        let detail = Said::new(
            format!("its network plan cannot be put into effect in full: {error}"),
            format!("ネットワークの設定の一部を反映できません: {error}"),
        );
        Some(Refusal::NodeUnfit { node: self.node.to_string(), detail })
    }

    /// Brings the names that each network's dnsmasq knows to what the plan says.
    async fn write_names(&self, networks: &BTreeMap<NetworkName, Network>) -> io::Result<()> {
        let plan = self.plan.lock().await;
        let mut outcome = Ok(());
        for planned in &plan.networks {
            let Some(network) = networks.get(&planned.network) else { continue };
            let Some(dns) = &network.config.dns_for else { continue };
            let written = names::write(&dns.names, planned).and_then(|changed| {
                let running = dnsmasq::Running::find(&network.config.pid_file).filter(|_| changed);
                running.map_or(Ok(()), |running| running.read_again())
            });
            outcome = outcome.and(written);
        }
        outcome
    }

    /// A server is about to run on here: its networks have it here from now on. Quick, since the
    /// server stands still meanwhile.
    pub async fn settle(&self, server: &Server) {
        for (index, wire) in server.wires.iter().enumerate().filter(|(_, wire)| wire.kind == Kind::Overlay) {
            let Some(mac) = overlay::mac(&wire.mac) else { continue };
            let tap = blueprint::tap(&server.uuid, index);
            if let Err(error) = self.overlays.claim(&self.links, &wire.network, mac, &tap).await {
                tracing::warn!(vm = %server.name, network = %wire.network, %error, "its bridge may not know yet that it is here");
            }
        }
        self.publish().await;
    }

    /// Brings public addresses to what the plan says and to who is here; what fails is tried again.
    pub async fn publish(&self) {
        if let Err(error) = self.public.lay(&self.links, &self.overlays).await {
            tracing::warn!(%error, "public addresses are not answered as they should be");
        }
    }

    /// A server runs on here: the segments' switches are told, several times, beside everything else.
    pub fn announce(&self, server: &Server) {
        for wire in server.wires.iter().filter(|wire| wire.kind == Kind::Provider) {
            let (Ok(bridge), Some(mac)) = (self.bridge_of(wire), overlay::mac(&wire.mac)) else { continue };
            let (address, vm) = (wire.address, server.name.clone());
            let address6 = wire.ipv6.as_ref().map(|ipv6| ipv6.address);
            tokio::spawn(async move {
                if let Err(error) = arp::announce(&bridge, mac, address, address6).await {
                    tracing::warn!(%vm, bridge, %error, "the segment was not told where the server is");
                }
            });
        }
    }

    /// Whether a server that is here answers at its first address within `patience`; none if it
    /// cannot be asked.
    pub async fn answers(&self, server: &Server, patience: Duration) -> Option<bool> {
        let wire = server.wires.first()?;
        // The gateway's address of an overlay network is every node's own.
        let (bridge, asker) = (self.bridge_of(wire).ok()?, Self::overlay(wire).ok()?.map(|spec| spec.gateway));
        match arp::answers(&bridge, asker, (overlay::mac(&wire.mac)?, wire.address), patience).await {
            Ok(answers) => Some(answers),
            Err(error) => {
                tracing::warn!(vm = %server.name, bridge, %error, "the server cannot be asked whether it answers");
                None
            }
        }
    }

    /// Which segments can be used now: those whose bridge exists and is up.
    #[must_use]
    pub fn segments(&self) -> BTreeMap<SegmentName, String> {
        let usable = self.settings.segments.iter().filter(|(_, bridge)| segment::is_usable(bridge));
        usable.map(|(segment, bridge)| (segment.clone(), bridge.clone())).collect()
    }

    /// The bridges that are made here for VLANs, by network; none where none can be made.
    #[must_use]
    pub fn vlans(&self) -> Option<BTreeMap<NetworkName, String>> {
        self.vlans.shown()
    }

    /// How each segment's bridge stands, usable or not.
    #[must_use]
    pub fn bridges(&self) -> Vec<Bridge> {
        self.settings.segments.iter().map(|(segment, bridge)| wiring::look(segment, bridge)).collect()
    }

    /// The overlay network of a card, if it is on one.
    fn overlay(wire: &Wire) -> Result<Option<overlay::Spec>, Refusal> {
        let subnet = blueprint::check_wire(wire)?;
        let (Some(overlay), Some(gateway)) = (wire.overlay, wire.gateway) else { return Ok(None) };
        let ipv6 = wire.ipv6.as_ref().map(|ipv6| ipv6.network.clone());
        Ok(Some(overlay::Spec { network: wire.network.clone(), overlay, subnet, gateway, ipv6 }))
    }

    fn bridge(&self, wire: &Wire) -> Result<&str, Refusal> {
        let bridge = self.settings.segments.get(&wire.segment).filter(|bridge| segment::is_usable(bridge));
        bridge.map(String::as_str).ok_or_else(|| self.unbound(wire))
    }

    fn unbound(&self, wire: &Wire) -> Refusal {
        Refusal::SegmentUnbound { node: self.node.to_string(), segment: wire.segment.to_string() }
    }

    /// The bridge that a card is plugged into: one that we make, or the operator's.
    fn bridge_of(&self, wire: &Wire) -> Result<String, Refusal> {
        if let Some(spec) = Self::overlay(wire)? {
            return Ok(spec.bridge());
        }
        let operators = self.bridge(wire)?;
        Ok(wire.vlan.map_or_else(|| operators.to_owned(), |vlan| vlan::bridge(&wire.segment, vlan)))
    }

    fn config(&self, wire: &Wire) -> Result<dnsmasq::Config, Refusal> {
        let subnet = blueprint::check_wire(wire)?;
        let (overlay, bridge) = (Self::overlay(wire)?, self.bridge_of(wire)?);
        let shared = match segment::address(&bridge, subnet) {
            // It has one that makes no route.
            _ if wire.vlan.is_some() => true,
            segment::Address::Inside => false,
            segment::Address::Elsewhere => true,
            segment::Address::None => {
                let network = &wire.network;
                let detail = Said::new(
                    format!(
                        "bridge {bridge} has no IPv4 address, and DHCP for network {network} cannot answer without one; give it any address"
                    ),
                    format!(
                        "ブリッジ {bridge} に IPv4 アドレスがなく、ネットワーク {network} の DHCP が応答できません。任意のアドレスを付けてください"
                    ),
                );
                return Err(Refusal::NodeUnfit { node: self.node.to_string(), detail });
            }
        };
        Ok(dnsmasq::Config {
            bridge,
            subnet,
            shared,
            gateway: wire.gateway,
            routes: wire.routes.iter().filter_map(Route::ipv4).collect(),
            dns: wire.dns.clone(),
            dns_for: overlay.as_ref().map(|spec| dnsmasq::Dns {
                domain: names::domain(&wire.network),
                names: self.layout.dns_names(&wire.network),
                address: spec.gateway,
                address6: spec.own6().map(|own| own.addr()),
            }),
            mtu: overlay.as_ref().map(|spec| spec.overlay.mtu).or(wire.mtu),
            ipv6: wire.ipv6.as_ref().map(|ipv6| ipv6.network.clone()),
            lease_minutes: self.settings.lease_minutes,
            hosts: self.layout.dhcp_hosts(&wire.network),
            pid_file: self.layout.dhcp_pid(&wire.network),
        })
    }

    /// Whether DHCPv6 can answer a server that comes, if its network has that. One that is here already loses nothing else
    /// when the operator's bridge has lost its address.
    fn check_address6(&self, wire: &Wire, config: &dnsmasq::Config) -> Result<(), Refusal> {
        let (network, bridge) = (&wire.network, &config.bridge);
        let Some(ipv6) = config.ipv6.as_ref().filter(|ipv6| !segment::has_address6(bridge, ipv6.cidr)) else {
            return Ok(());
        };
        let cidr = ipv6.cidr;
        let detail = Said::new(
            format!(
                "bridge {bridge} has no IPv6 address in {cidr}, and DHCPv6 for network {network} cannot answer without one; give it one that no server has"
            ),
            format!(
                "ブリッジ {bridge} に {cidr} の IPv6 アドレスがなく、ネットワーク {network} の DHCPv6 が応答できません。サーバが使わないアドレスを付けてください"
            ),
        );
        Err(Refusal::NodeUnfit { node: self.node.to_string(), detail })
    }

    /// Makes the links of the card's network, if they are ours to make.
    async fn link(&self, wire: &Wire) -> Result<(), Refusal> {
        let network = &wire.network;
        let (made, detail) = if let Some(spec) = Self::overlay(wire)? {
            let made = self.overlays.ensure(&self.links, &spec).await;
            (made, ("the overlay network", "オーバーレイネットワーク"))
        } else if let Some(vlan) = wire.vlan {
            // One that cannot be used now is looked at again when the links are tended.
            let under = self.settings.segments.get(&wire.segment).cloned().ok_or_else(|| self.unbound(wire))?;
            let (segment, ipv6) = (wire.segment.clone(), wire.ipv6.as_ref().map(|ipv6| ipv6.network.clone()));
            let spec = vlan::Spec { network: network.clone(), segment, vlan, mtu: wire.mtu, under, ipv6 };
            (self.vlans.ensure(&self.links, &spec).await, ("the VLAN of network", "VLAN を使うネットワーク"))
        } else {
            return Ok(());
        };
        made.map_err(|error| {
            let (en, ja) = detail;
            let detail = Said::new(
                format!("{en} {network} cannot be set up here: {error}"),
                format!("{ja} {network} を用意できません: {error}"),
            );
            Refusal::NodeUnfit { node: self.node.to_string(), detail }
        })
    }

    /// Removes the links of a network that has no server here any more, if they are ours.
    async fn unlink(&self, network: &NetworkName) -> io::Result<()> {
        let overlay = self.overlays.remove(&self.links, network).await;
        overlay.and(self.vlans.remove(&self.links, network).await)
    }

    /// Answers the server from now on, and says what its cards are. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`Refusal::SegmentUnbound`], [`Refusal::NodeUnfit`], or dnsmasq's failure.
    pub async fn connect(&self, server: &Server) -> Result<Vec<Nic>, Refusal> {
        let nics = self.plug(server).await?;
        self.attend(server).await.map(|()| nics)
    }

    /// The first half of [`Self::connect`]: what must be there before the taps are.
    ///
    /// # Errors
    /// As there.
    pub async fn plug(&self, server: &Server) -> Result<Vec<Nic>, Refusal> {
        let mut networks = self.networks.lock().await;
        for wire in &server.wires {
            self.check_mtu(wire)?;
            self.link(wire).await?;
        }
        // The tap must not exist before its rules do.
        self.admit(server, None).await?;
        let mut nics = Vec::with_capacity(server.wires.len());
        for (index, wire) in server.wires.iter().enumerate() {
            let config = self.config(wire)?;
            self.check_address6(wire, &config)?;
            let failed = |error: io::Error| self.broken(wire, &error);
            make_folders(&config).map_err(failed)?;
            hosts::add(&config.hosts, &server.uuid, index, &server.name, wire).map_err(failed)?;
            nics.push(Nic {
                mac: wire.mac.clone(),
                bridge: config.bridge.clone(),
                tap: blueprint::tap(&server.uuid, index),
                mtu: segment::mtu(&config.bridge),
            });
            let network = networks
                .entry(wire.network.clone())
                .or_insert_with(|| Network { config: config.clone(), cards: BTreeSet::new() });
            network.cards.insert(hosts::file(&server.uuid, index));
            network.config = config;
        }
        Ok(nics)
    }

    /// The other half: what must be there before the guest asks for it.
    ///
    /// # Errors
    /// As there.
    pub async fn attend(&self, server: &Server) -> Result<(), Refusal> {
        let networks = self.networks.lock().await;
        for wire in &server.wires {
            let Some(network) = networks.get(&wire.network) else { continue };
            serve(&network.config).await.map_err(|error| self.broken(wire, &error))?;
        }
        if let Err(error) = self.write_names(&networks).await {
            tracing::warn!(vm = %server.name, %error, "its neighbours' names are not known yet");
        }
        // What follows waits for nft, and has locks of its own: other servers' networks need not wait with it.
        drop(networks);
        self.metadata.know(server, self.cards(server, None)).await;
        self.metadata.tend(self.guard.is_identity_held()).await;
        self.publish().await;
        Ok(())
    }

    /// The server's network cards as its domain names them; nothing of them is made.
    ///
    /// # Errors
    /// A network that this node does not have.
    pub fn nics(&self, server: &Server) -> Result<Vec<Nic>, Refusal> {
        let nic = |(index, wire): (usize, &Wire)| -> Result<Nic, Refusal> {
            let bridge = self.bridge_of(wire)?;
            let (mac, tap, mtu) = (wire.mac.clone(), blueprint::tap(&server.uuid, index), segment::mtu(&bridge));
            Ok(Nic { mac, bridge, tap, mtu })
        };
        server.wires.iter().enumerate().map(nic).collect()
    }

    fn broken(&self, wire: &Wire, error: &io::Error) -> Refusal {
        let network = &wire.network;
        let detail = Said::new(
            format!("DHCP for network {network} cannot be served: {error}"),
            format!("ネットワーク {network} の DHCP を提供できません: {error}"),
        );
        Refusal::NodeUnfit { node: self.node.to_string(), detail }
    }

    /// Answers the server no more. The last of a network takes its dnsmasq along.
    ///
    /// # Errors
    /// [`Refusal::NodeUnfit`]: files or a process could not be taken away.
    pub async fn disconnect(&self, server: &Server) -> Result<(), Refusal> {
        let mut networks = self.networks.lock().await;
        for (index, wire) in server.wires.iter().enumerate() {
            let failed = |error: io::Error| self.broken(wire, &error);
            let folder = self.layout.dhcp_hosts(&wire.network);
            hosts::remove(&folder, &server.uuid, index).map_err(failed)?;
            let Some(network) = networks.get_mut(&wire.network) else {
                // Links may have been made before something else failed.
                self.unlink(&wire.network).await.map_err(failed)?;
                continue;
            };
            network.cards.remove(&hosts::file(&server.uuid, index));
            if network.cards.is_empty() {
                networks.remove(&wire.network);
                self.close(&wire.network).await.map_err(failed)?;
                self.unlink(&wire.network).await.map_err(failed)?;
            } else if let Some(running) = dnsmasq::Running::find(&network.config.pid_file) {
                running.read_again().map_err(failed)?;
            }
        }
        // As when it was connected.
        drop(networks);
        self.publish().await;
        self.metadata.forget(&server.uuid).await;
        self.metadata.tend(self.guard.is_identity_held()).await;
        self.dismiss(server).await;
        Ok(())
    }

    /// After the agent's start: answers exactly these servers, adopts the dnsmasq processes that
    /// run, and ends those that nobody needs. What cannot be served yet is tended later.
    pub async fn restore(&self, servers: &[Server]) {
        self.vlans.look_at_kernel().await;
        let mut networks = self.networks.lock().await;
        for server in servers {
            for (index, wire) in server.wires.iter().enumerate() {
                if let Err(refusal) = self.link(wire).await {
                    tracing::warn!(vm = %server.name, network = %wire.network, %refusal, "its network is not whole here");
                }
                let wanted = match self.config(wire) {
                    Ok(config) => config,
                    Err(refusal) => {
                        tracing::warn!(vm = %server.name, network = %wire.network, %refusal, "its DHCP is not served");
                        continue;
                    }
                };
                let written = make_folders(&wanted)
                    .and_then(|()| hosts::add(&wanted.hosts, &server.uuid, index, &server.name, wire));
                if let Err(error) = written {
                    tracing::warn!(vm = %server.name, network = %wire.network, %error, "its DHCP is not served");
                    continue;
                }
                let network = networks
                    .entry(wire.network.clone())
                    .or_insert_with(|| Network { config: wanted.clone(), cards: BTreeSet::new() });
                network.cards.insert(hosts::file(&server.uuid, index));
            }
        }
        self.guard.restore(servers.iter().flat_map(|server| self.cards(server, None)).collect()).await;
        for server in servers {
            self.metadata.know(server, self.cards(server, None)).await;
        }
        for network in networks.values() {
            let cleared = hosts::keep_only(&network.config.hosts, &network.cards);
            let running = dnsmasq::Running::find(&network.config.pid_file);
            let reread = cleared.and_then(|()| running.map_or(Ok(()), |running| running.read_again()));
            if let Err(error) = reread {
                tracing::warn!(%error, "old DHCP hosts stay");
            }
        }
        if let Err(error) = self.close_others(&networks).await {
            tracing::warn!(%error, "a dnsmasq that nobody needs may stay");
        }
        let swept = self.overlays.sweep(&self.links).await;
        if let Err(error) = swept.and(self.vlans.sweep(&self.links).await) {
            tracing::warn!(%error, "links or rules of networks that nobody needs may stay");
        }
        drop(networks);
        self.tend().await;
    }

    async fn close_others(&self, networks: &BTreeMap<NetworkName, Network>) -> io::Result<()> {
        for entry in fs::read_dir(self.layout.dhcp())? {
            let path = entry?.path();
            let name =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<NetworkName>().ok());
            let Some(name) = name.filter(|name| !networks.contains_key(name)) else { continue };
            if path.extension().is_some_and(|extension| extension == "pid") {
                self.close(&name).await?;
            }
        }
        Ok(())
    }

    /// Ends a network's dnsmasq and removes its files.
    async fn close(&self, network: &NetworkName) -> io::Result<()> {
        let pid_file = self.layout.dhcp_pid(network);
        if let Some(running) = dnsmasq::Running::find(&pid_file) {
            running.end().await?;
        }
        let (hosts, names) = (self.layout.dhcp_hosts(network), self.layout.dns_names(network));
        for removed in [fs::remove_file(pid_file), fs::remove_dir_all(hosts), fs::remove_dir_all(names)] {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Starts again what has died, and mends what was changed.
    pub async fn tend(&self) {
        self.overlays.tend(&self.links).await;
        self.vlans.tend(&self.links).await;
        self.guard.tend().await;
        self.ask_for_public_addresses().await;
        self.publish().await;
        self.public.remind().await;
        self.metadata.tend(self.guard.is_identity_held()).await;
        let networks = self.networks.lock().await;
        for (name, network) in networks.iter() {
            if let Err(error) = serve(&network.config).await {
                tracing::warn!(network = %name, %error, "DHCP is not served");
            }
        }
        if let Err(error) = self.write_names(&networks).await {
            tracing::warn!(%error, "names of servers may be missing");
        }
    }
}

/// Makes a dnsmasq of this configuration run: the one that does, or a new one.
async fn serve(config: &dnsmasq::Config) -> io::Result<()> {
    if let Some(running) = dnsmasq::Running::find(&config.pid_file) {
        if running.has(config) {
            return Ok(());
        }
        running.end().await?;
    }
    dnsmasq::start(config).await
}

fn make_folders(config: &dnsmasq::Config) -> io::Result<()> {
    hosts::make(&config.hosts)?;
    config.dns_for.as_ref().map_or(Ok(()), |dns| hosts::make(&dns.names))
}
