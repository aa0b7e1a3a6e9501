//! Where a server fits, and if nowhere, why not. Pure: what is reserved on a node is the sum of
//! the documents that name it, and nothing else.
//!
//! A single server goes to the node with the most free memory (worst fit). Many go together in
//! [`plan`]: the worthiest and largest first, each to the emptiest node, on a heap; those that want
//! to be together are one unit. Where only the largest first leave nobody behind, they go first.

mod bases;
mod fit;
mod plan;
mod processors;
mod room;

use std::{cmp::Reverse, collections::HashMap};

use watari_model::{NodeName, Refusal, Said, SegmentName, SiteName, VmName, network, node::Node, said, vm::Vm};

pub(crate) use bases::{Bases, Supply};
pub(crate) use fit::Crowd;
use fit::{Unfit, explain};
pub(crate) use plan::plan;
use room::Room;
pub(crate) use room::{Rooms, Undo};

use super::{Snapshot, rules::Amount};

/// A server that wants a place.
#[derive(Clone, Debug)]
pub(crate) struct Need<'a> {
    pub(crate) vm: &'a Vm,
    pub(crate) amount: Amount,
    /// Segments that the node must bind to a bridge.
    pub(crate) segments: Vec<&'a SegmentName>,
    /// How large packets the bridges of some of them must carry, in bytes.
    pub(crate) segment_mtus: Vec<(&'a SegmentName, u32)>,
    /// Whether one of its networks lives on a VLAN.
    pub(crate) tagged: bool,
    /// The largest packet of its overlay networks, in bytes, if it is on any.
    pub(crate) tunnel_mtu: Option<u32>,
    /// The node it comes from, live.
    pub(crate) source: Option<&'a Node>,
}

impl<'a> Need<'a> {
    /// A server that is to be started.
    pub(crate) fn start(vm: &'a Vm, snap: &Snapshot) -> Self {
        let provider =
            |name: &str| snap.networks.get(name).is_none_or(|entry| entry.value.kind == network::Kind::Provider);
        let segments =
            vm.spec.nics.iter().filter(|nic| provider(nic.network.as_str())).map(|nic| &nic.segment).collect();
        let on = |nic: &watari_model::vm::Nic| snap.networks.get(nic.network.as_str());
        let tagged = vm.spec.nics.iter().filter_map(on).any(|network| network.value.vlan.is_some());
        let sized = |nic: &'a watari_model::vm::Nic| Some((&nic.segment, on(nic)?.value.mtu?));
        let segment_mtus = vm.spec.nics.iter().filter_map(sized).collect();
        let overlay = |nic: &watari_model::vm::Nic| snap.networks.get(nic.network.as_str())?.value.overlay;
        let tunnel_mtu = vm.spec.nics.iter().filter_map(overlay).map(|overlay| overlay.mtu).max();
        Self { vm, amount: Amount::of(vm.claims()), segments, segment_mtus, tagged, tunnel_mtu, source: None }
    }

    /// A server that is to cross live from the node that runs it.
    pub(crate) fn crossing(vm: &'a Vm, snap: &'a Snapshot) -> Self {
        let source = vm.node().and_then(|n| snap.nodes.get(n.as_str())).map(|entry| &entry.value);
        Self { source, ..Self::start(vm, snap) }
    }

    /// The same for many servers, of which several come from one node.
    pub(crate) fn all_crossing(vms: &[&'a Vm], snap: &'a Snapshot) -> Vec<Self> {
        let mut sources: HashMap<&NodeName, Option<&Node>> = HashMap::new();
        let mut needs = Vec::with_capacity(vms.len());
        for vm in vms.iter().copied() {
            let source = vm.node().and_then(|node| {
                *sources.entry(node).or_insert_with(|| snap.nodes.get(node.as_str()).map(|entry| &entry.value))
            });
            needs.push(Self { source, ..Self::start(vm, snap) });
        }
        needs
    }

    fn name(&self) -> &VmName {
        &self.vm.name
    }
}

/// Which nodes come into question, in order of preference.
pub(crate) type Candidates<'a> = &'a dyn Fn(&Node) -> bool;

/// The best node among the candidates, by the most free memory; those in `avoid` only if no other
/// fits.
///
/// # Errors
/// [`Refusal::NoRoom`], saying how many nodes were looked at and what was the matter with each; if it is one thing alone,
/// as the firmware or the base image, that of its own name.
pub(crate) fn choose(
    rooms: &Rooms,
    need: &Need<'_>,
    candidates: Candidates<'_>,
    avoid: &[NodeName],
) -> Result<NodeName, Refusal> {
    let (mut unfit, mut bare) = (Vec::new(), Vec::new());
    let mut fitting = Vec::new();
    for room in rooms.iter().filter(|room| candidates(room.node())) {
        match rooms.fit(need, room) {
            Ok(()) => fitting.push(room),
            Err(why) => {
                if why == Unfit::Uefi {
                    bare.push(&room.node().name);
                }
                unfit.push(why);
            }
        }
    }
    let best = fitting.into_iter().max_by_key(|room| {
        let name = &room.node().name;
        (Reverse(avoid.contains(name)), room.free().memory_mib, room.free().vcpus, Reverse(name.clone()))
    });
    best.map(|room| room.node().name.clone()).ok_or_else(|| {
        let detail = explain(need, &unfit, rooms.iter().count(), only_site(rooms, candidates));
        nowhere(need, &unfit, &bare, detail)
    })
}

/// Why no node takes a server: what all that come into question lack has a remedy of its own.
fn nowhere(need: &Need<'_>, unfit: &[Unfit], bare: &[&NodeName], detail: Said) -> Refusal {
    let all_lack =
        |lack: fn(&Unfit) -> bool| unfit.iter().any(lack) && unfit.iter().all(|why| lack(why) || why.is_closed());
    let vm = need.name().to_string();
    if all_lack(|why| *why == Unfit::Uefi) {
        no_uefi(need, bare)
    } else if all_lack(|why| *why == Unfit::Base) {
        no_image(need)
    } else if all_lack(|why| *why == Unfit::Processor) {
        Refusal::NoProcessor { vm, detail }
    } else if all_lack(Unfit::is_network) {
        Refusal::NetworkUnbound { vm, detail }
    } else if all_lack(|why| matches!(why, Unfit::Label(_))) {
        Refusal::NoLabel { vm, detail }
    } else {
        Refusal::NoRoom { vm, detail, help: help(need, unfit) }
    }
}

/// What else there is to do about a server that never ran: it may become smaller at once, and with it nothing is lost but
/// what it was to begin with.
fn help(need: &Need<'_>, unfit: &[Unfit]) -> Option<Box<Said>> {
    if need.source.is_some() || need.vm.grant.is_some() || need.vm.spec.first_boot.disk.is_some() {
        return None;
    }
    let vm = need.name();
    let help = if unfit.iter().any(Unfit::is_size) {
        said!(
            "; a smaller one may fit (watari vm resize {vm}); if it is not wanted: watari vm delete {vm}",
            "。小さくすれば (watari vm resize {vm}) 収まる可能性があります。不要なら watari vm delete {vm} で削除してください"
        )
    } else {
        said!("; if it is not wanted: watari vm delete {vm}", "。不要なら watari vm delete {vm} で削除してください")
    };
    Some(Box::new(help))
}

/// The site of all candidates, if it is one.
fn only_site<'r>(rooms: &'r Rooms, candidates: Candidates<'_>) -> Option<&'r SiteName> {
    let mut sites = rooms.iter().map(Room::node).filter(|node| candidates(node)).map(|node| &node.site);
    let first = sites.next()?;
    sites.all(|site| site == first).then_some(first)
}

/// So many nodes without UEFI firmware are named.
const NAMED: usize = 8;

fn no_uefi(need: &Need<'_>, nodes: &[&NodeName]) -> Refusal {
    let more = nodes.len().saturating_sub(NAMED);
    let named = nodes.iter().take(NAMED).map(|node| node.as_str()).collect::<Vec<_>>().join(", ");
    let nodes = if more > 0 { format!("{named} (+{more})") } else { named };
    Refusal::NoUefi { vm: need.name().to_string(), nodes }
}

fn no_image(need: &Need<'_>) -> Refusal {
    Refusal::NoImage { vm: need.name().to_string(), image: need.vm.spec.base.image.to_string() }
}

/// The nodes among the candidates that would take the server, were some of those gone that stand there.
pub(crate) fn crowded(rooms: &Rooms, need: &Need<'_>, candidates: Candidates<'_>) -> Vec<Crowd> {
    rooms.iter().filter(|room| candidates(room.node())).filter_map(|room| rooms.crowd(need, room)).collect()
}

/// Whether one named node can take the server.
///
/// # Errors
/// [`Refusal::NodeUnknown`], [`Refusal::NoUefi`], [`Refusal::NoImage`], or [`Refusal::NodeUnfit`] with another reason.
pub(crate) fn check(rooms: &Rooms, need: &Need<'_>, node: &NodeName) -> Result<(), Refusal> {
    let room = rooms.get(node).ok_or_else(|| Refusal::NodeUnknown { node: node.to_string() })?;
    rooms.fit(need, room).map_err(|why| match why {
        Unfit::Uefi => no_uefi(need, &[node]),
        Unfit::Base => no_image(need),
        why => unfit(node, &why),
    })
}

/// Whether a node to which a server is on its way may still receive it: it may have begun to drain since it was chosen.
///
/// # Errors
/// [`Refusal::NodeUnfit`], as [`check`] says it.
pub(crate) fn still_takes(rooms: &Rooms, node: &NodeName) -> Result<(), Refusal> {
    match rooms.get(node) {
        Some(room) if room.is_draining() => Err(unfit(node, &Unfit::Draining)),
        _ => Ok(()),
    }
}

fn unfit(node: &NodeName, why: &Unfit) -> Refusal {
    Refusal::NodeUnfit { node: node.to_string(), detail: why.of_one() }
}

#[cfg(test)]
mod tests;
