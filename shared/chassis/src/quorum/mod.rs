//! NATS' own side: who holds which stream, who has a vote, and the few things that are done about
//! it. Whoever does them answers nobody ([`watari_contracts::permissions::Role::Keeper`]): nothing
//! that comes in on the bus can make it act.

mod founding;
mod keeper;
mod names;
mod recovery;
mod servers;
mod streams;

pub use founding::found;
pub use keeper::{Electorate, Keeper, KeeperKeys, Membership, NatsHost, electorate, membership};
pub use names::generation;
pub use recovery::{Recovery, Unfit, recover, recovery};
