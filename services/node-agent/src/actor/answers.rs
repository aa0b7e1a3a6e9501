//! Whether a server that crosses answers at its address: asked before it leaves, and again where it
//! has arrived. Beside everything else: nobody's order waits for it.

use std::{sync::Arc, time::Duration};

use super::{Actor, Book};
use crate::{
    node::Node,
    record::{Record, Side},
};
use watari_contracts::agent::Phase;

/// Who has not answered for so long does not answer so far.
const SO_FAR: Duration = Duration::from_secs(1);

/// How long it is asked: one that is about to leave shall be heard before it has left; one that has
/// just arrived may be busy, and the scheduler says when that is too long.
const fn patience(side: Side) -> Duration {
    match side {
        Side::Source => Duration::from_secs(2),
        Side::Target => Duration::from_secs(60),
    }
}

/// Asks, and notes the answer in the server's passage: that there is none so far, and then that
/// there is one.
pub(super) fn ask(node: &Arc<Node>, book: &Arc<Book>, record: &Record) {
    let (Some(server), Some(passage)) = (record.server.clone(), record.passage.clone()) else { return };
    let (node, book, uuid) = (Arc::clone(node), Arc::clone(book), record.uuid.clone());
    tokio::spawn(async move {
        let patience = patience(passage.side);
        if passage.side == Side::Target {
            // Until its network has it here, the network may answer in its place.
            node.plumbing.settle(&server).await;
        }
        for patience in [SO_FAR, patience.saturating_sub(SO_FAR)] {
            let Some(answers) = node.plumbing.answers(&server, patience).await else { return };
            tracing::debug!(vm = %server.name, migration = %passage.migration, answers, "asked whether it answers");
            if !book.answered(&uuid, &passage.migration, answers).await || answers {
                return;
            }
        }
    });
}

impl Actor {
    /// What a restart of the agent kept from being heard is asked again.
    pub(super) fn ask_again(&self, record: &Record) {
        let arrived = |side, phase| side == Side::Target && phase == Phase::Ended;
        if record.passage.as_ref().is_some_and(|p| arrived(p.side, p.phase) && p.answers.is_none()) {
            ask(&self.node, &self.book, record);
        }
    }
}
