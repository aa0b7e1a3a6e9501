//! What a server is told of itself at [`ADDRESS`], in the words of EC2's metadata service (version 2, IMDSv2).
//!
//! ```text
//! PUT /latest/api/token, with a time to live ─▶ a token, good for this server alone
//! GET /latest/…, with such a token           ─▶ what stands on its seed volume as well
//! ```
//!
//! Who asks is known by the bridge and the address that the question came from, of which the rules on taps
//! have made sure, and by nothing that is said in it. A token keeps a program in the guest that fetches whatever
//! page it is told from being told this one: such a program sends neither a `PUT` nor a header of its own.

mod desk;
mod facts;
mod residents;
mod tokens;

use std::net::Ipv4Addr;

use watari_model::network::NODE_ADDRESS;

pub(crate) use desk::routes;
pub(crate) use residents::{Port, Resident, Residents};

/// Where every cloud's servers ask.
pub(crate) const ADDRESS: Ipv4Addr = NODE_ADDRESS;
/// The TCP port that they ask at.
pub(crate) const PORT: u16 = 80;
