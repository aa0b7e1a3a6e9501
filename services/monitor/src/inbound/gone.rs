//! Nodes that somebody says are off, and nodes that are forgotten.

use std::time::Duration;

use watari_chassis::{Bucket, asker, clock};
use watari_contracts::{
    history::named,
    monitor::{ConfirmNodeOff, NodeRemoval, NodeView, RemoveNode},
};
use watari_model::{
    NodeName, Refusal, VmName,
    node::{Node, Off, State},
    said,
    vm::{State as VmState, Vm},
};

use super::{out_of_range, shown, view};
use crate::{documents, watch::Watch};

/// How long the servers' bucket may take to be found.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest name of who says so.
const LONGEST_NAME: usize = 64;

/// Takes somebody's word, unless the node is heard.
pub(super) async fn confirm_off(watch: &Watch, request: &ConfirmNodeOff) -> Result<NodeView, Refusal> {
    let word = word(watch, request.by.as_deref(), false)?;
    let node = lost(watch, &request.name, documents::confirm_off(watch, &request.name, word).await?)?;
    Ok(view(watch, &node))
}

/// Gives a node up, and forgets it once no server names it.
pub(super) async fn remove(watch: &Watch, request: &RemoveNode) -> Result<NodeRemoval, Refusal> {
    let word = word(watch, request.by.as_deref(), true)?;
    let name = &request.name;
    let Some(entry) = watch.nodes.get(name.as_str()) else {
        return Err(Refusal::NodeUnknown { node: name.to_string() });
    };
    let node = lost(watch, name, entry.value.clone())?;
    if node.off.is_none() {
        return Err(Refusal::NodeNotOff { node: name.to_string() });
    }
    let (stay, leave) = servers(watch, name).await?;
    if !stay.is_empty() {
        let vms: Vec<&str> = stay.iter().map(VmName::as_str).collect();
        return Err(Refusal::NodeHasServers { node: name.to_string(), vms: vms.join(", ") });
    }
    // From now on nothing of it is waited for, so that whoever is being deleted there comes to an end.
    let node = lost(watch, name, documents::confirm_off(watch, name, word).await?)?;
    if !leave.is_empty() {
        return Ok(NodeRemoval { name: node.name, removed: false, waits_for: leave });
    }
    let before = lost(watch, name, documents::forget(watch, name).await?)?;
    let removed = before.off.is_some_and(|off| off.for_good);
    Ok(NodeRemoval { name: node.name, removed, waits_for: leave })
}

/// Who says so, checked, as the word that a node is off. Of whoever does not say who they are their key does.
pub(super) fn word(watch: &Watch, by: Option<&str>, for_good: bool) -> Result<Off, Refusal> {
    let Some(by) = by else {
        let by = named(&asker().unwrap_or_default(), &watch.settings.history.people);
        return Ok(Off { by, at: clock::now(), for_good });
    };
    if by.is_empty() || by.chars().count() > LONGEST_NAME || by.chars().any(char::is_control) {
        let allowed = said!("1 to {LONGEST_NAME} characters", "1～{LONGEST_NAME} 文字");
        return Err(out_of_range("by", shown(by), allowed));
    }
    Ok(Off { by: by.to_owned(), at: clock::now(), for_good })
}

/// Of a node that is heard nobody can say that it is off. What was heard a moment ago may not be in the
/// document yet.
fn lost(watch: &Watch, name: &NodeName, node: Node) -> Result<Node, Refusal> {
    let limits = watch.settings.nodes.limits();
    let heard = watch.fleet().get(name.as_str()).map(|heard| heard.at);
    let silent = heard.is_none_or(|at| clock::boot_millis().saturating_sub(at) >= limits.lost_after_ms);
    if node.state == State::Lost && silent {
        return Ok(node);
    }
    let state = if node.state == State::Lost { State::Suspect } else { node.state };
    Err(Refusal::NodeNotLost { node: name.to_string(), state: state.word().to_owned() })
}

/// The servers that name the node: those that stay, and those that are being deleted.
async fn servers(watch: &Watch, node: &NodeName) -> Result<(Vec<VmName>, Vec<VmName>), Refusal> {
    let nowhere = || Refusal::NoAnswer { who: "the bucket vms".to_owned() };
    let bucket = tokio::time::timeout(PATIENCE, Bucket::<Vm>::of_another(&watch.ctx)).await;
    let bucket = bucket.map_err(|_| nowhere())?.map_err(|_| nowhere())?;
    let (mut stay, mut leave) = (Vec::new(), Vec::new());
    for entry in bucket.list().await.map_err(|_| nowhere())? {
        let vm = entry.map_err(|unreadable| Refusal::Internal { detail: unreadable.to_string() })?.value;
        let crosses = vm.crossing.as_ref().is_some_and(|crossing| crossing.to == *node);
        let left = vm.leftovers.iter().any(|leftover| leftover.node == *node);
        let ahead = vm.seeded_on() == Some(node);
        if vm.state == VmState::Deleting && (vm.node() == Some(node) || left || ahead) {
            leave.push(vm.name);
        } else if vm.node() == Some(node) || crosses {
            stay.push(vm.name);
        } else if left {
            // Given up with the node, once it runs where it is.
            leave.push(vm.name);
        }
    }
    Ok((stay, leave))
}
