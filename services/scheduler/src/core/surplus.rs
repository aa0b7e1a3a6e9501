//! Frozen layers of which there is no use any more, at nodes that keep them for servers elsewhere: those that were
//! merged since, and those of servers that were deleted while the node was silent. They are copies: whoever lacks one
//! that was of use is sent it again.

use watari_contracts::agent::{DropLayers, Layer, Order};
use watari_model::{NodeName, vm::Vm};

use super::{Action, ahead, naming, turn::Turn};

/// What names the order at its node: it is known by what stays, not by its name.
const OPERATION: &str = "drop-layers";

/// Has every node that is heard delete what it keeps and nobody needs.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    // Few nodes keep any, and each turn comes by here.
    if snap.heard.values().all(|heard| heard.facts.layers.is_empty()) {
        return;
    }
    let owners = snap.owners();
    for (node, heard) in &snap.heard {
        if heard.age_ms > turn.rules.silent_ms || turn.unreachable(node) {
            continue;
        }
        for (uuid, kept) in &heard.facts.layers {
            let useful = match owners.get(uuid.as_str()) {
                Some(vm) => useful(turn, vm, node),
                None => is_unknown(turn, uuid).then(Vec::new),
            };
            if let Some(keep) = useful.filter(|useful| kept.iter().any(|layer| !useful.contains(layer))) {
                drop_others(turn, node, uuid, keep);
            }
        }
    }
}

fn drop_others(turn: &mut Turn<'_>, node: &NodeName, uuid: &str, keep: Vec<Layer>) {
    let key = naming::at(&format!("{OPERATION}/{uuid}"), node);
    if turn.snap.answers.get(&key).is_some_and(|answer| answer.age_ms < turn.rules.poll_ms) {
        return;
    }
    let order = Order { epoch: turn.snap.epoch, operation: OPERATION.to_owned() };
    let drop = DropLayers { order, uuid: uuid.to_owned(), keep };
    turn.push(Action::DropLayers { key, node: node.clone(), drop });
}

/// What a node may need of a server that is at rest elsewhere; none if that is not known for sure.
fn useful(turn: &Turn<'_>, vm: &Vm, node: &NodeName) -> Option<Vec<Layer>> {
    let grant = vm.grant.as_ref()?;
    if turn.moves(vm) || !turn.sight(&grant.node, &vm.name).runs_under(grant.generation) {
        return None;
    }
    let stack = ahead::stack_at(turn.snap, &grant.node, &vm.name);
    // Where it runs, what it stands on is in its place and kept no more.
    if grant.node == *node {
        return Some(Vec::new());
    }
    // Layers that were merged since are what it could be started from until what came of them has arrived.
    let accepts = vm.spec.restart_from_copy_seconds.is_some();
    let copy = vm.copy_elsewhere().filter(|(at, _)| accepts && *at == node).map(|(_, copy)| &copy.stack.layers);
    // A disk that stands on nothing frozen, and of which yet something is kept, is not understood.
    let understood = !stack.layers.is_empty() && stack.is_named();
    understood.then(|| stack.layers.iter().chain(copy.into_iter().flatten()).cloned().collect())
}

/// Whether a server is unknown: it has no document, and every node that may ever be heard again says that it has
/// nothing else of it. A document may be lost, and then what there is of the server is left as it is.
fn is_unknown(turn: &Turn<'_>, uuid: &str) -> bool {
    let snap = turn.snap;
    let speaks = |node: &NodeName| {
        snap.heard_within(node, turn.rules.silent_ms).is_some_and(|heard| heard.facts.hypervisor_answers)
    };
    let mut nodes = snap.nodes.values().map(|entry| &entry.value.name);
    let mut facts = snap.heard.values().flat_map(|heard| heard.facts.vms.values());
    nodes.all(|node| turn.is_given_up(node) || speaks(node)) && !facts.any(|fact| fact.uuid.as_deref() == Some(uuid))
}

#[cfg(test)]
mod tests;
