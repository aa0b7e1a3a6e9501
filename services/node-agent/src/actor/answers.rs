//! Whether a server that crosses answers at its address: asked before it leaves, and again where it
//! has arrived. Beside everything else: nobody's order waits for it.

use std::{sync::Arc, time::Duration};

use super::{Actor, Book};
use crate::{
    node::Node,
    record::{Record, Side},
};
use watari_contracts::agent::Phase;

/// How long it is asked: one that is about to leave shall be heard before it has left; one that
/// has just arrived may be busy.
const fn patience(side: Side) -> Duration {
    match side {
        Side::Source => Duration::from_secs(2),
        Side::Target => Duration::from_secs(10),
    }
}

/// Asks, and notes the answer in the server's passage.
pub(super) fn ask(node: &Arc<Node>, book: &Arc<Book>, record: &Record) {
    let (Some(server), Some(passage)) = (record.server.clone(), record.passage.clone()) else { return };
    let (node, book) = (Arc::clone(node), Arc::clone(book));
    tokio::spawn(async move {
        if let Some(answers) = node.plumbing.answers(&server, patience(passage.side)).await {
            tracing::debug!(vm = %server.name, migration = %passage.migration, answers, "asked whether it answers");
            book.answered(&passage.migration, answers).await;
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
