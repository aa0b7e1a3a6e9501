//! What deleted servers left on nodes that were given up. Such a node may come back one day; what it has is removed
//! then, and only because it is written down that the server was deleted: that a document is missing
//! proves nothing. Nothing that runs is touched.

use std::collections::HashSet;

use watari_chassis::Entry;
use watari_contracts::agent::Remove;
use watari_model::{
    NodeName,
    site::{Change, Remains, Site},
    vm::Vm,
};

use super::{
    action::{Action, Order},
    naming,
    snapshot::Sight,
    turn::{OnFailure, Step, Turn},
};

/// Clears nodes that are back of what they have of servers that were deleted meanwhile.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    // Few sites have any, and each turn comes by here.
    if snap.sites.values().all(|entry| entry.value.remains.is_empty()) {
        return;
    }
    // One that came back from a backup is no longer deleted.
    let known: HashSet<&str> = snap.vms.values().map(|entry| entry.value.uuid.as_str()).collect();
    for entry in snap.sites.values() {
        if !turn.settled::<Site>(entry.value.name.as_str()) {
            continue;
        }
        for remains in entry.value.remains.iter().filter(|remains| !known.contains(remains.uuid.as_str())) {
            if clear(turn, remains) {
                let (node, uuid) = (remains.node.clone(), remains.uuid.clone());
                change(turn, entry, Change::Cleared { node, uuid });
                break;
            }
        }
    }
}

/// Whether its node has nothing of it any more.
fn clear(turn: &mut Turn<'_>, remains: &Remains) -> bool {
    let Remains { node, vm, uuid, generation, .. } = remains;
    if turn.unreachable(node) {
        return false;
    }
    match turn.sight(node, vm) {
        Sight::Silent => return false,
        Sight::Seen(fact) if fact.uuid.as_ref().is_none_or(|there| there == uuid) && !fact.domain.is_off() => {
            let text = format!("server {vm}, which was deleted, is alive on node {node}; nothing is done to it");
            turn.alarm(format!("alarm/vm/{vm}"), text);
            return false;
        }
        Sight::Nothing | Sight::Seen(_) => {}
    }
    let step = turn.order(&naming::of_remains(remains), node, OnFailure::TryAgain, |order| {
        let (vm, uuid, generation) = (vm.clone(), uuid.clone(), *generation);
        Order::Remove(Remove { order, vm, uuid, generation, keep_layers: false, spare_running: true, keep_disk: None })
    });
    matches!(step, Step::Done(_))
}

/// Whether it is written down that a server that is about to be forgotten has something on `nodes`, which were
/// given up.
pub(super) fn are_noted(turn: &mut Turn<'_>, vm: &Vm, nodes: &[&NodeName]) -> bool {
    let snap = turn.snap;
    for node in nodes {
        let site = snap.nodes.get(node.as_str()).and_then(|entry| snap.sites.get(entry.value.site.as_str()));
        // A node of a site that was never configured: there is nowhere to write it down.
        let Some(entry) = site.filter(|entry| !entry.value.remembers(node, &vm.uuid)) else { continue };
        let remains = Remains {
            node: (*node).clone(),
            vm: vm.name.clone(),
            uuid: vm.uuid.clone(),
            generation: vm.generation(),
            since: turn.now,
        };
        change(turn, entry, Change::LeftBehind(remains));
        return false;
    }
    true
}

fn change(turn: &mut Turn<'_>, entry: &Entry<Site>, change: Change) {
    let mut site = entry.value.clone();
    site.apply(change, turn.now);
    turn.push(Action::StoreSite { site: Box::new(site), revision: entry.revision });
}
