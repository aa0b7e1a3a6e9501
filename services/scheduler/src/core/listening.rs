//! Nodes that have not been heard are asked, and what they have that nobody knows is an alarm.

use watari_contracts::agent::Domain;
use watari_model::node;

use super::{Action, action::listen_key, turn::Turn};

/// Asks silent nodes for all they see. A server that runs somewhere and has no document is told
/// to an operator: a missing document never stops or deletes anything.
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
            if alive && heard.age_ms < turn.rules.silent_ms && !snap.vms.contains_key(fact.vm.as_str()) {
                let text = format!("server {} is on node {node} and has no document; nothing is done to it", fact.vm);
                turn.alarm(format!("alarm/vm/{}", fact.vm), text);
            }
        }
    }
}
