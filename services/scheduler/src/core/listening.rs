//! Nodes that have not been heard are asked, and what they have that nobody knows is an alarm.

use watari_contracts::agent::Domain;
use watari_model::{NodeName, node, vm::Vm};

use super::{Action, action::listen_key, turn::Turn};

/// What a document says of a server's whereabouts is compared with what nodes say only when it has not
/// changed for so long: news of a change may be under way.
const CALM_MS: u64 = 60_000;

/// Asks silent nodes for all they see. A process that no document explains is told to an operator:
/// a missing document never stops or deletes anything.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    for entry in snap.nodes.values() {
        let name = &entry.value.name;
        let quiet = snap.heard.get(name).is_none_or(|heard| heard.age_ms > turn.rules.silent_ms / 2);
        let asked = snap.answers.get(&listen_key(name)).is_some_and(|answer| answer.age_ms < turn.rules.poll_ms);
        // Whoever is lost is asked as well: the monitor may be the one who is cut off.
        if quiet && !asked && matches!(entry.value.state, node::State::Ready | node::State::Suspect | node::State::Lost)
        {
            turn.push(Action::LookAtAll { node: name.clone() });
        }
    }
    for (node, heard) in &snap.heard {
        for fact in heard.facts.vms.values() {
            let alive = matches!(fact.domain, Domain::Running | Domain::Paused | Domain::Incoming);
            if !alive || heard.age_ms >= turn.rules.silent_ms {
                continue;
            }
            let vm = &fact.vm;
            let text = match snap.vms.get(vm.as_str()).map(|entry| &entry.value) {
                None => format!("server {vm} is on node {node} and has no document; nothing is done to it"),
                Some(known) if is_stray(known, node) && turn.now.millis_since(known.changed_at) > CALM_MS => {
                    format!(
                        "node {node} has a process of server {vm} that its document knows nothing of; nothing is done to it"
                    )
                }
                Some(_) => continue,
            };
            turn.alarm(format!("alarm/vm/{vm}"), text);
        }
    }
}

/// Whether nothing says that this node has anything of the server.
fn is_stray(vm: &Vm, node: &NodeName) -> bool {
    vm.node() != Some(node) && vm.crossing.is_none() && vm.leftovers.iter().all(|leftover| leftover.node != *node)
}
