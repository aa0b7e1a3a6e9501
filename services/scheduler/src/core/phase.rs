//! What is to be said of an outage beside its state. It follows from documents each time somebody looks, and nothing is decided by it.

use watari_contracts::scheduler::Phase;
use watari_model::{
    Timestamp, VmName,
    node::{self, Node},
    outage::{Outage, Scope, State, dark::Stage},
    vm::Preseed,
};

use super::{Rules, Snapshot, dark::turns, evacuation::concerned, forecast::is_wanted};

/// The phase that an outage is in, if that is another thing than its state.
pub(crate) fn phase(snap: &Snapshot, rules: &Rules, outage: &Outage, now: Timestamp) -> Option<Phase> {
    match outage.state {
        State::Scheduled if is_preparing(snap, rules, outage, now) => Some(Phase::Preparing),
        State::Evacuated | State::Completed if has_failed(outage) => Some(Phase::Failed),
        State::Evacuated if is_dark(snap, outage) => Some(Phase::Dark),
        _ => None,
    }
}

/// Whether disks are being sent ahead for it, as the rules have it or as somebody asked in that time.
fn is_preparing(snap: &Snapshot, rules: &Rules, outage: &Outage, now: Timestamp) -> bool {
    let is_near = outage.window.is_some_and(|window| now >= window.from.minus_millis(rules.preseed.lead_ms));
    is_near && concerned(snap, outage).iter().any(|vm| vm.preseed.as_ref().is_some_and(Preseed::is_due))
}

/// Whether somebody who was to move did not.
fn has_failed(outage: &Outage) -> bool {
    let is_halted = |vm: &VmName| outage.halted.iter().any(|halted| halted.vm == *vm);
    outage.left.iter().any(|left| !left.is_off() && !is_wanted(left) && !is_halted(&left.vm))
}

/// Whether nothing of the site is on any more, as far as anybody hears.
fn is_dark(snap: &Snapshot, outage: &Outage) -> bool {
    let mut nodes = turns(snap, outage).peekable();
    matches!(outage.scope, Scope::Site(_)) && nodes.peek().is_some() && nodes.all(|node| is_off(outage, node))
}

fn is_off(outage: &Outage, node: &Node) -> bool {
    let mut darkened = outage.dark.iter().flat_map(|dark| &dark.nodes);
    let shut_down = darkened.any(|one| one.node == node.name && one.stage == Stage::Off);
    match node.state {
        node::State::Lost => true,
        // It is not taken for lost yet.
        node::State::Suspect => shut_down,
        node::State::Ready => false,
    }
}

#[cfg(test)]
mod tests;
