//! Public addresses of servers on overlay networks: the node that runs a server answers for its public address on
//! the campus's own segment, and translates one to one.
//!
//! ```text
//!   whoever asks ── segment ── the operator's bridge ── this node ── our bridge ── the server
//!                              ARP for the address       table watari-public
//! ```
//!
//! The address stands, by itself, on the server's own bridge, which is ours; the kernel answers ARP for it on
//! whichever interface it is asked. So the operator's bridge is not touched, and with the last server of a network
//! everything is gone. What the server says leaves by the segment, whatever the node's own routes are: a table of
//! routes for each address, numbered as the address, and a rule that leads there.
//!
//! Which addresses are answered follows from the network plan and from who was resumed here before it knew
//! (`super::overlay`), as long as its tap is there: a server that this node has stopped may run elsewhere, of which a node
//! that is cut off from the bus hears nothing. One that is newly led to a server here is asked for first (`doubts`). The
//! neighbours are told by gratuitous ARP when one is new here, and a little by every look.

mod doubts;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use ipnet::{IpNet, Ipv4Net};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use watari_contracts::plan::{NetworkPlan, PublicPort};
use watari_model::SegmentName;

use super::{
    arp,
    guard::tracking::{self, Sake},
    links::{Links, Route, Rule},
    nft,
    overlay::Overlays,
    segment,
};
use doubts::Doubts;

/// The kernel's switches of each interface.
const SWITCHES: &str = "/proc/sys/net/ipv4/conf";

/// A server that may run here and has a public address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Led {
    /// The bridge that it is plugged into.
    pub(super) bridge: String,
    /// Its tap, which is there while its domain lives.
    pub(super) tap: String,
    /// Its own address.
    pub(super) own: Ipv4Addr,
    pub(super) public: PublicPort,
}

/// The same, with what is here of its segment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    public: Ipv4Addr,
    own: Ipv4Addr,
    bridge: String,
    /// The operator's bridge on the segment.
    wire: String,
    subnet: Ipv4Net,
    gateway: Option<Ipv4Addr>,
}

#[derive(Default)]
struct State {
    /// What the kernel took last.
    laid: Option<Vec<Value>>,
    /// The addresses that are answered, with the bridges on which neighbours ask.
    answered: BTreeMap<Ipv4Addr, String>,
    /// Whether nothing of ours is left anywhere.
    clean: bool,
}

/// This node's public addresses.
pub(super) struct Public {
    /// Segment to bridge.
    segments: BTreeMap<SegmentName, String>,
    /// The agent's run folder.
    run: PathBuf,
    doubts: Doubts,
    state: Mutex<State>,
}

impl Public {
    /// Touches nothing yet.
    pub(super) fn new(segments: BTreeMap<SegmentName, String>, run: &Path) -> Self {
        Self { segments, run: run.to_owned(), doubts: Doubts::default(), state: Mutex::default() }
    }

    /// Takes note of what a plan leads to servers here and the one before it did not: that is not answered before it is
    /// asked for.
    pub(super) fn doubt(&self, plan: &NetworkPlan) {
        self.doubts.follow(plan);
    }

    /// Asks for it. Whether more may be answered now.
    pub(super) async fn ask(&self) -> bool {
        self.doubts.ask(&self.segments).await
    }

    /// Whether it may be a node of ours that has some of it still, and is about to let go.
    pub(super) fn may_be_free_soon(&self) -> bool {
        self.doubts.may_end()
    }

    /// Makes all of it what it should be now; again changes nothing.
    ///
    /// # Errors
    /// The first complaint. Addresses whose segment is not here are left out, the others are laid.
    pub(super) async fn lay(&self, links: &Links, overlays: &Overlays) -> io::Result<()> {
        // Whoever comes later has seen more.
        let mut state = self.state.lock().await;
        // What an earlier agent laid stays as it is until somebody says what should be.
        let Some((led, networks)) = overlays.public().await else { return Ok(()) };
        let (mut places, mut outcome) = (Vec::new(), Ok(()));
        for one in led {
            if links.named(&one.tap).await?.is_none() {
                continue;
            }
            match self.place(one).and_then(|place| Ok(self.doubts.permits(place.public)?.then_some(place))) {
                Ok(place) => places.extend(place),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        if places.is_empty() && state.clean {
            return outcome;
        }
        state.clean = false;
        lay(&mut state, links, &places, &networks).await?;
        // Connections of a server that comes back have gone on without this node.
        let tracked = if places.is_empty() {
            tracking::insist(&self.run, Sake::PublicAddresses)
        } else {
            tracking::relax(&self.run, Sake::PublicAddresses)
        };
        let before = std::mem::take(&mut state.answered);
        state.answered = places.iter().map(|place| (place.public, place.wire.clone())).collect();
        for (address, wire) in state.answered.iter().filter(|(address, _)| !before.contains_key(*address)) {
            announce(*address, wire.clone());
        }
        state.clean = places.is_empty() && tracked.is_ok();
        outcome.and(tracked)
    }

    /// Says once more where each address is: a neighbour may have missed it, or have heard somebody else.
    pub(super) async fn remind(&self) {
        for (address, wire) in &self.state.lock().await.answered {
            if let Err(error) = arp::hardware(wire).and_then(|mac| arp::tell(wire, mac, *address)) {
                tracing::debug!(%address, wire, %error, "the segment is not reminded of a public address");
            }
        }
    }

    fn place(&self, led: Led) -> io::Result<Place> {
        let Led { bridge, own, public: PublicPort { address: public, segment, subnet, gateway }, .. } = led;
        let wire = self.segments.get(&segment).filter(|wire| segment::is_usable(wire));
        let wire = wire.ok_or_else(|| {
            io::Error::other(format!("public address {public} needs a bridge for segment {segment}, which is not here"))
        })?;
        if let Some(switch) = is_silent(wire) {
            let text = format!("public address {public} would not be answered: {switch} is not 0");
            return Err(io::Error::other(text));
        }
        let subnet: Ipv4Net = subnet.parse().map_err(|_| io::Error::other(format!("{subnet} is no subnet")))?;
        Ok(Place { public, own, bridge, wire: wire.clone(), subnet, gateway })
    }
}

/// The switch by which the kernel answers on an interface only for that interface's own addresses, if it is on.
fn is_silent(wire: &str) -> Option<String> {
    let switches = ["all", wire].map(|name| Path::new(SWITCHES).join(name).join("arp_ignore"));
    let on = |path: &&PathBuf| fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
    switches.iter().find(on).map(|path| path.display().to_string())
}

/// Five times within a second, beside everything else.
fn announce(address: Ipv4Addr, wire: String) {
    tokio::spawn(async move {
        let told = match arp::hardware(&wire) {
            Ok(mac) => arp::announce(&wire, mac, address, None).await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::warn!(%address, wire, %error, "the segment was not told where a public address is");
        }
    });
}

/// An address is answered only while its rules stand: they come first, and go last.
async fn lay(state: &mut State, links: &Links, places: &[Place], networks: &[(String, Ipv4Net)]) -> io::Result<()> {
    let mut of_bridges: BTreeMap<&str, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for (bridge, _) in networks {
        of_bridges.insert(bridge, BTreeSet::new());
    }
    for place in places {
        of_bridges.entry(&place.bridge).or_default().insert(place.public);
    }
    let mut answering = Vec::new();
    for (bridge, wanted) in of_bridges {
        // One that is gone took its addresses along.
        if let Some(link) = links.named(bridge).await? {
            links.keep_singles(link.index, &wanted).await?;
            answering.push((link.index, wanted));
        }
    }
    translate(state, places, networks).await?;
    steer(links, places, networks).await?;
    for (link, wanted) in answering {
        let there = links.singles(link).await?;
        for address in wanted.difference(&there) {
            links.add_address(link, IpNet::from(IpAddr::V4(*address))).await?;
        }
    }
    Ok(())
}

async fn translate(state: &mut State, places: &[Place], networks: &[(String, Ipv4Net)]) -> io::Result<()> {
    if places.is_empty() {
        // Where nft is missing there is nothing to take away either.
        if rules::stand().await.unwrap_or(false) {
            nft::apply(&json!({"nftables": rules::removal()})).await?;
        }
        state.laid = None;
        return Ok(());
    }
    let subnets: Vec<Ipv4Net> = networks.iter().map(|(_, subnet)| *subnet).collect();
    let wanted = rules::compile(places, &subnets);
    if state.laid.as_ref() != Some(&wanted) || !rules::stand().await? {
        state.laid = None;
        nft::apply(&json!({"nftables": wanted})).await?;
        state.laid = Some(wanted);
    }
    Ok(())
}

/// A server's answers leave by the segment on which the question came, and so does what it asks others; to servers
/// of overlay networks here the way is as before.
async fn steer(links: &Links, places: &[Place], networks: &[(String, Ipv4Net)]) -> io::Result<()> {
    let table = |place: &Place| u32::from(place.public);
    let mut wanted = BTreeSet::new();
    if !places.is_empty() {
        wanted.extend(networks.iter().map(|(_, subnet)| Rule::To(*subnet)));
    }
    for place in places {
        let wire = links.named(&place.wire).await?;
        let wire = wire.ok_or_else(|| io::Error::other(format!("the bridge {} is gone", place.wire)))?;
        let way = |to, by| Route { table: table(place), to, by, link: wire.index };
        links.lead(way(place.subnet, None)).await?;
        if let Some(router) = place.gateway {
            links.lead(way(Ipv4Net::default(), Some(router))).await?;
        }
        // Those who ask for the public address are looked up by it before they are answered (rp_filter).
        wanted.extend([place.own, place.public].map(|address| Rule::From(address, table(place))));
    }
    let kept: BTreeSet<u32> = places.iter().map(table).collect();
    let there = match links.steered().await {
        // Where the kernel knows no such rules there is nothing to take away either.
        Err(_) if places.is_empty() => return Ok(()),
        there => there?,
    };
    links.steer(&wanted).await?;
    let stale: BTreeSet<u32> = there.difference(&kept).copied().collect();
    links.clear(&stale).await
}
