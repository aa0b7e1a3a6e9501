//! Somebody on a segment who has an address that was to be a server's.
//!
//! ```text
//!   (none) ──a node asks before it starts a server, and is answered──▶ marked
//!   marked ──an operator says so; a server of ours runs with the address; it is old──▶ (none)
//! ```
//!
//! A marked address is given to no server. That a server runs with it means that nobody answered when its node asked
//! once more; and a mark that is old is worth a new question, which is asked when the address is drawn again.

use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Network;
use crate::{NodeName, Refusal, Timestamp};

/// The most that one network notes. Where more answer it is hardly that many machines: rather one that answers for
/// every address, as a router does that is set up for that (proxy ARP, RFC 1027).
const MOST: usize = 64;

/// An address that somebody has who is no server of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stranger {
    /// The address.
    pub address: Ipv4Addr,
    /// What goes with it by IPv6, if it is that which somebody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    /// Who answered for it, `xx:xx:xx:xx:xx:xx`, lower case.
    pub mac: String,
    /// The node that asked.
    pub node: NodeName,
    /// When it was answered.
    pub seen_at: Timestamp,
}

impl Stranger {
    /// Why no server of the network gets the address.
    #[must_use]
    pub fn refusal(&self, network: &Network) -> Refusal {
        let (network, address) = (network.name.to_string(), self.address.to_string());
        let (mac, node) = (self.mac.clone(), self.node.to_string());
        match self.address6 {
            None => Refusal::AddressStrange { network, address, mac, node },
            Some(address6) => Refusal::AddressStrange6 { network, address, address6: address6.to_string(), mac, node },
        }
    }
}

impl Network {
    /// Marks an address; again, by what was seen last. False if there are too many, and nothing is marked.
    #[must_use]
    pub fn mark(&mut self, stranger: Stranger) -> bool {
        self.strangers.retain(|known| known.address != stranger.address);
        let room = self.strangers.len() < MOST;
        if room {
            self.strangers.push(stranger);
            self.strangers.sort_unstable_by_key(|known| known.address);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::{super::tests::network, *};

    fn stranger(n: u8, seconds: u64) -> Stranger {
        Stranger {
            address: Ipv4Addr::new(203, 0, 113, n),
            address6: None,
            mac: format!("02:00:00:00:00:{n:02x}"),
            node: "m1".parse().unwrap(),
            seen_at: Timestamp(OffsetDateTime::UNIX_EPOCH).plus_millis(seconds * 1_000),
        }
    }

    #[test]
    fn an_address_is_marked_once_as_it_was_seen_last_and_so_many_at_the_most() {
        let mut network = network("203.0.113.0/24", "203.0.113.1", "203.0.113.199", None);
        for (n, seconds) in [(7, 0), (5, 1), (7, 2)] {
            assert!(network.mark(stranger(n, seconds)));
        }
        assert_eq!(network.strangers, [stranger(5, 1), stranger(7, 2)]);
        assert_eq!(network.stranger_at(Ipv4Addr::new(203, 0, 113, 7)), Some(&stranger(7, 2)));
        let marked = (100..200).filter(|n| network.mark(stranger(*n, 3))).count();
        assert_eq!((marked, network.strangers.len()), (MOST - 2, MOST));
        assert!(network.mark(stranger(5, 4)), "one that is known is no more than before");
    }
}
