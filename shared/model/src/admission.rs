//! What an agent may do under which grant, and whom it obeys. Pure: the agent's journal keeps what these
//! functions return, with fsync, before anything is done.
//!
//! An agent remembers of each server the newest generation that it has seen in any order, and the
//! newest that was granted to itself. From these follows invariant 1 on this node's side: a server
//! is run only under a grant newer than everything seen, and a late order of an older time does nothing.

use serde::{Deserialize, Serialize};

use crate::{NodeName, Refusal, vm::Grant};

/// What [`Refusal::Stale`] calls the tenure of who leads.
pub(crate) const EPOCH: &str = "epoch";

/// The highest epoch seen, once an order of the epoch `given` is heeded.
///
/// # Errors
/// [`Refusal::Stale`] if a later one has been `seen`: whoever sends it has been succeeded.
pub fn heed(seen: u64, given: u64) -> Result<u64, Refusal> {
    if given < seen {
        return Err(Refusal::Stale { what: EPOCH.to_owned(), seen: seen.to_string(), given: given.to_string() });
    }
    Ok(given)
}

/// What is remembered of one server's grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seen {
    /// The newest generation in any order, 0 if none.
    pub generation: u64,
    /// The newest generation granted to this node, 0 if none. Never above `generation`.
    pub granted: u64,
    /// The operation that may still be repeated under that grant: the one it came with, until
    /// another order ended its time.
    pub operation: Option<String>,
}

/// What an order asks for, as far as grants matter.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// Run it: start, resume.
    Run {
        /// The right to.
        grant: &'a Grant,
        /// The order's operation.
        operation: &'a str,
    },
    /// Reboot what runs here under exactly this grant.
    Reboot(u64),
    /// Send away what runs here under exactly this grant.
    Send(u64),
    /// Let grow what runs here under exactly this grant.
    Grow(u64),
    /// Freeze the disk of what runs here under exactly this grant.
    Freeze(u64),
    /// Keep the disk of this node's own server, which may be off, or put it back: under the newest generation seen,
    /// which is not its grant's if only an order to stop it has come since.
    Keep(u64),
    /// Stop what runs: what was allowed to start must not start after that.
    Quit(u64),
    /// Prepare to receive what runs elsewhere under this generation.
    Receive(u64),
    /// Clear away a copy that a migration from there made here: never this node's own server.
    Discard(u64),
    /// Clear away what is here: remove, release.
    Clear(u64),
}

impl Seen {
    /// Whether the newest generation seen was granted to this node.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.generation > 0 && self.generation == self.granted
    }

    /// What is to be remembered if the order is taken.
    ///
    /// # Errors
    /// [`Refusal::Stale`] if it has been overtaken, [`Refusal::Malformed`] if it is meant for another node.
    pub fn admit(&self, me: &NodeName, ask: Ask<'_>) -> Result<Self, Refusal> {
        let stale = |given: u64, seen: u64| {
            Err(Refusal::Stale { what: "generation".to_owned(), seen: seen.to_string(), given: given.to_string() })
        };
        match ask {
            Ask::Run { grant, .. } if grant.node != *me => {
                Err(Refusal::Malformed { detail: format!("the grant names node {}, and this is {me}", grant.node) })
            }
            Ask::Run { grant, operation } => {
                let again = grant.generation == self.granted
                    && self.is_granted()
                    && self.operation.as_deref() == Some(operation);
                if grant.generation > self.generation || again {
                    let generation = grant.generation;
                    Ok(Self { generation, granted: generation, operation: Some(operation.to_owned()) })
                } else {
                    stale(grant.generation, self.generation)
                }
            }
            Ask::Reboot(generation) | Ask::Grow(generation) | Ask::Freeze(generation) | Ask::Send(generation)
                if generation != self.granted || !self.is_granted() =>
            {
                stale(generation, self.generation)
            }
            Ask::Keep(generation) if generation != self.generation || self.granted == 0 => {
                stale(generation, self.generation)
            }
            Ask::Reboot(_) | Ask::Grow(_) | Ask::Freeze(_) | Ask::Keep(_) => Ok(self.clone()),
            Ask::Send(generation) => Ok(self.without_operation(generation)),
            Ask::Quit(generation) if generation < self.generation => stale(generation, self.generation),
            Ask::Quit(generation) => Ok(self.without_operation(generation)),
            Ask::Receive(generation) if generation < self.generation || generation <= self.granted => {
                stale(generation, self.generation)
            }
            Ask::Receive(generation) => Ok(self.without_operation(generation)),
            // Under the generation that the source has: who was granted that one is the source.
            Ask::Discard(generation) if self.granted >= generation => stale(generation, self.granted),
            Ask::Clear(generation) if self.granted > generation => stale(generation, self.granted),
            Ask::Discard(generation) | Ask::Clear(generation) => Ok(self.without_operation(generation)),
        }
    }

    fn without_operation(&self, generation: u64) -> Self {
        Self { generation: self.generation.max(generation), granted: self.granted, operation: None }
    }
}

#[cfg(test)]
mod tests;
