//! The one server that is left of two by a loss which nobody planned becomes a majority by itself, by an operator's word.
//!
//! ```text
//!  nobody leads, two have a vote ── one vote is made enough ──▶ it leads ── the other's vote is taken away ──▶ the only one
//! ```
//!
//! That one vote is enough is NATS' own rescue (nats-server 2.15 and later): it is refused where somebody leads, by a server
//! without a vote and by one that holds nothing, and forgotten after five minutes. Of two servers both have acknowledged
//! whatever was acknowledged, so that nothing is lost; of three the one that is left may lack what the others agreed upon,
//! and is made nothing.

use serde_json::json;
use watari_contracts::{
    frontend::{Duty, NatsOrder, nats_orders},
    permissions::SERVERS,
};

use super::{
    keeper::{PATIENCE, ordered},
    servers,
};
use crate::{Bus, run::chain};

/// What is next until the server that is left has the only vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It has to start, or to lead.
    Waits,
    /// One vote has to be enough.
    Lowers,
    /// The vote of the other has to go: its id.
    Removes(String),
    /// It has the only vote.
    Done,
}

/// Why it is not made that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The servers could not be asked, with the reason.
    Unasked(String),
    /// This one of the others is there.
    Answers(String),
    /// This one leads, with a majority.
    Led(String),
    /// Its own vote was taken away: others hold more than it does.
    Voteless,
    /// More than the other one has a vote, or another one: their names.
    Others(String),
}

/// Looks what is next for the server on `survivor` once that on `lost` is lost for good. `bus` is a connection to it in the
/// system account.
///
/// # Errors
/// [`Unfit`].
pub async fn recovery(bus: &Bus, survivor: &str, lost: &str) -> Result<Recovery, Unfit> {
    let answers = bus.gather(SERVERS, &json!({}), PATIENCE).await.map_err(|e| Unfit::Unasked(chain(&e)))?;
    servers::recovery(&answers, survivor, lost)
}

/// Does what is next.
///
/// # Errors
/// A sentence. It may be tried again.
pub async fn recover(bus: &Bus, survivor: &str, next: &Recovery) -> Result<(), String> {
    // A server that was started since votes only once it has met another one.
    if matches!(next, Recovery::Waits | Recovery::Lowers) {
        let order = NatsOrder { host: survivor.to_owned(), duty: Duty::Alone };
        bus.publish_json(&nats_orders(survivor), &order).await.map_err(|e| chain(&e))?;
    }
    match next {
        Recovery::Waits | Recovery::Done => Ok(()),
        Recovery::Lowers => ordered(bus, "$JS.API.META.RESCUE".to_owned(), &json!({"quorum_needed": 1})).await,
        Recovery::Removes(id) => ordered(bus, "$JS.API.SERVER.REMOVE".to_owned(), &json!({"peer_id": id})).await,
    }
}
