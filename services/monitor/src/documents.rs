//! Writing nodes' documents: each by compare-and-set, and only when something in it changes.

use std::{collections::BTreeSet, sync::Arc};

use watari_chassis::{Entry, ReadError, WriteError, clock};
use watari_contracts::Service;
use watari_model::{
    NodeName, Refusal, SiteName,
    node::{Change, Fencing, Inventory, Node, Off, State, Strain},
};

use crate::watch::Watch;

/// So often a change is tried anew upon what somebody else wrote meanwhile.
const TRIES: usize = 4;

/// Who gives no answer, where the bucket does not.
const NODES: &str = "the bucket nodes";

/// Whether a document was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It was.
    Yes,
    /// It said so already.
    AsBefore,
}

/// Why a node's document was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritten {
    /// There is no such node.
    #[error("there is no node {0}")]
    Unknown(NodeName),
    /// The bus did not acknowledge.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The document cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<Unwritten> for Refusal {
    fn from(error: Unwritten) -> Self {
        match error {
            Unwritten::Unknown(node) => Self::NodeUnknown { node: node.to_string() },
            Unwritten::Read(ReadError::Unreadable(error)) => Self::Internal { detail: error.to_string() },
            Unwritten::Write(error) => error.refusal(Service::Monitor, NODES),
            Unwritten::Read(_) => Self::NoAnswer { who: NODES.to_owned() },
        }
    }
}

/// Notes what a node is and has, making its document if it is new. A new node is suspect until
/// its first beat.
pub(crate) async fn inventory(
    watch: &Watch,
    site: &SiteName,
    name: &NodeName,
    inventory: Inventory,
) -> Result<Written, Unwritten> {
    if watch.nodes.get(name.as_str()).is_none() {
        let node = Node::new(name.clone(), site.clone(), inventory.clone(), clock::now());
        match watch.nodes.create(&node).await {
            Ok(_) => {
                tracing::info!(node = %name, %site, "a new node");
                return Ok(Written::Yes);
            }
            // The mirror has not seen it yet.
            Err(WriteError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let written = change(watch, name, Change::Told(site.clone(), Box::new(inventory)));
    written.await.map(|(written, _)| written)
}

/// Notes a node's state.
pub(crate) async fn state(watch: &Watch, name: &NodeName, state: State) -> Result<Written, Unwritten> {
    change(watch, name, Change::Judged(state)).await.map(|(written, _)| written)
}

/// Notes of what a node has hardly any left.
pub(crate) async fn strained(watch: &Watch, name: &NodeName, strains: BTreeSet<Strain>) -> Result<Written, Unwritten> {
    let (written, node) = change(watch, name, Change::Strained(strains)).await?;
    if written == Written::Yes {
        let strains: Vec<&str> = node.strains.iter().map(|strain| strain.word()).collect();
        tracing::info!(node = %name, ?strains, "of what a node has hardly any left has changed");
    }
    Ok(written)
}

/// Notes whether new servers are kept away.
pub(crate) async fn cordon(watch: &Watch, name: &NodeName, cordoned: bool) -> Result<Node, Unwritten> {
    change(watch, name, Change::Cordoned(cordoned)).await.map(|(_, node)| node)
}

/// Notes that an operator says a node is off. Nothing is noted of one that is heard.
pub(crate) async fn confirm_off(watch: &Watch, name: &NodeName, word: Off) -> Result<Node, Unwritten> {
    change(watch, name, Change::ConfirmedOff(word)).await.map(|(_, node)| node)
}

/// Notes what is done with a node's power, or came of it; see [`Change::Fenced`].
pub(crate) async fn fenced(watch: &Watch, name: &NodeName, told: Fencing) -> Result<(Written, Node), Unwritten> {
    change(watch, name, Change::Fenced(Box::new(told))).await
}

/// Forgets a node that is as the caller has read it.
pub(crate) async fn forget(watch: &Watch, name: &NodeName) -> Result<Node, Unwritten> {
    let there = newest(watch, name, 1).await?;
    let given_up = there.value.off.as_ref().is_some_and(|off| off.for_good);
    if given_up {
        watch.nodes.delete(name.as_str(), there.revision).await?;
        watch.fleet().forget(name.as_str());
        tracing::info!(node = %name, "a node was forgotten");
    }
    Ok(there.value.clone())
}

/// Applies a change to the newest form of a document.
async fn change(watch: &Watch, name: &NodeName, change: Change) -> Result<(Written, Node), Unwritten> {
    let mut conflict = None;
    for attempt in 0..TRIES {
        let there = newest(watch, name, attempt).await?;
        let mut node = there.value.clone();
        node.apply(change.clone(), clock::now());
        if node == there.value {
            return Ok((Written::AsBefore, node));
        }
        match watch.nodes.update(&node, there.revision).await {
            Ok(_) => {
                let (from, to) = (there.value.state.word(), node.state.word());
                if from != to {
                    tracing::info!(node = %name, from, to, "a node's state changed");
                }
                return Ok((Written::Yes, node));
            }
            Err(error @ WriteError::Conflict { .. }) => conflict = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(conflict.map_or(Unwritten::Unknown(name.clone()), Unwritten::Write))
}

/// At first the mirror's form; after a conflict that of the stream's leader.
async fn newest(watch: &Watch, name: &NodeName, attempt: usize) -> Result<Arc<Entry<Node>>, Unwritten> {
    if attempt == 0
        && let Some(entry) = watch.nodes.get(name.as_str())
    {
        return Ok(entry);
    }
    let entry = watch.nodes.bucket().get(name.as_str()).await?;
    entry.map(Arc::new).ok_or_else(|| Unwritten::Unknown(name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_no_more_says_so_to_whoever_asked() {
        let overtaken = Unwritten::Write(WriteError::NotLeading { key: "m1".to_owned() });
        assert_eq!(Refusal::from(overtaken), Refusal::NotPrimary { service: "monitor".to_owned() });
    }
}
