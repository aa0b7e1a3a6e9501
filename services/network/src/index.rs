//! Which address belongs to whom, in memory: derived from the documents, so that losing it costs
//! nothing. It makes a draw cheap and keeps this process's own tasks from trying one address
//! twice. That no address is ever given twice does not depend on it: the bucket's compare-and-set
//! sees to that, whatever stands here.
//!
//! ```text
//!   free ──claim──▶ claimed ──settle──▶ owned ──release──▶ free
//!                    ▲  │ └──yield──▶ another's, until a rebuild shows whose
//!                    │  └──doubt──▶ doubted (written or not, nobody knows)
//!                    └──claim again, by the same owner──┘ └── a rebuild later ──▶ free
//! ```

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
};

use watari_model::{
    NetworkName, VmName,
    network::{Exclusion, Network, Port},
};

use crate::pool::Pool;

/// One server's life: a new server of an old name has another UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) vm: VmName,
    pub(crate) uuid: String,
}

/// An address that is being written down.
#[derive(Clone, Debug)]
struct Claim {
    owner: Owner,
    /// Boot-time milliseconds since when it is not known whether it was written.
    doubted_since: Option<u64>,
}

struct Held {
    pool: Pool,
    /// What of the range is never drawn: in the pool it counts as taken, whoever has it.
    excluded: Vec<Exclusion>,
    /// Addresses taken that are not the pool's to give: fixed ones, beyond the range or kept back.
    beyond: BTreeSet<Ipv4Addr>,
    /// Addresses that are strangers', whoever gives them back.
    strange: BTreeSet<Ipv4Addr>,
    claims: HashMap<Ipv4Addr, Claim>,
    ports: u64,
}

/// How a network's addresses stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) used: u64,
    /// Those that are left to be drawn.
    pub(crate) free: u64,
}

/// All networks' addresses.
#[derive(Default)]
pub(crate) struct Index {
    networks: HashMap<NetworkName, Held>,
    owners: HashMap<Owner, Vec<(NetworkName, Ipv4Addr)>>,
}

impl Index {
    /// Makes everything anew from the documents. Claims of this process stay, unless they have
    /// been in doubt since before `doubted_before`: by then the documents show what became of them.
    pub(crate) fn rebuild<'a>(
        &mut self,
        networks: impl Iterator<Item = &'a Network>,
        ports: impl Iterator<Item = &'a Port>,
        doubted_before: u64,
    ) {
        let mut before = std::mem::take(&mut self.networks);
        self.owners.clear();
        for network in networks {
            self.hold(network, before.remove(&network.name), doubted_before);
        }
        let mut newest: HashMap<&NetworkName, &Port> = HashMap::new();
        for port in ports {
            self.settle(port);
            let last = newest.entry(&port.network).or_insert(port);
            if port.created_at > last.created_at {
                *last = port;
            }
        }
        for (network, port) in newest {
            if let Some(held) = self.networks.get_mut(network) {
                held.pool.begin_after(port.address);
            }
        }
    }

    fn hold(&mut self, network: &Network, before: Option<Held>, doubted_before: u64) {
        let mut pool = Pool::new(network.range);
        for address in network.excluded.iter().flat_map(|one| one.range().addresses()) {
            pool.take(address);
        }
        let mut held = Held {
            pool,
            excluded: network.excluded.clone(),
            beyond: BTreeSet::new(),
            strange: network.strangers.iter().map(|stranger| stranger.address).collect(),
            claims: HashMap::new(),
            ports: 0,
        };
        for (address, claim) in before.map(|b| b.claims).unwrap_or_default() {
            if claim.doubted_since.is_none_or(|since| since >= doubted_before) {
                held.take(address);
                held.claims.insert(address, claim);
            }
        }
        for stranger in &network.strangers {
            held.take(stranger.address);
        }
        self.networks.insert(network.name.clone(), held);
    }

    /// A network that was just made.
    pub(crate) fn add(&mut self, network: &Network) {
        if !self.networks.contains_key(&network.name) {
            self.hold(network, None, 0);
        }
    }

    /// A network that was just deleted.
    pub(crate) fn remove(&mut self, network: &NetworkName) {
        self.networks.remove(network);
    }

    /// Claims an address for `owner`: the one whose fate is in doubt, if there is one, else the
    /// next free one. None if all are taken.
    pub(crate) fn claim_next(&mut self, network: &NetworkName, owner: &Owner) -> Option<Ipv4Addr> {
        let held = self.networks.get_mut(network)?;
        let doubted = held.claims.iter_mut().find(|(_, claim)| claim.doubted_since.is_some() && claim.owner == *owner);
        if let Some((address, claim)) = doubted {
            claim.doubted_since = None;
            return Some(*address);
        }
        let address = held.pool.draw()?;
        held.claims.insert(address, Claim { owner: owner.clone(), doubted_since: None });
        Some(address)
    }

    /// Claims this address. False if somebody else has or claims it.
    pub(crate) fn claim(&mut self, network: &NetworkName, address: Ipv4Addr, owner: &Owner) -> bool {
        let Some(held) = self.networks.get_mut(network) else { return false };
        let own = held.claims.get(&address).is_some_and(|c| c.doubted_since.is_some() && c.owner == *owner);
        if !own && !held.take(address) {
            return false;
        }
        held.claims.insert(address, Claim { owner: owner.clone(), doubted_since: None });
        true
    }

    /// The claim failed, since the bucket has another port there: the address is taken.
    pub(crate) fn yielded(&mut self, network: &NetworkName, address: Ipv4Addr) {
        if let Some(held) = self.networks.get_mut(network) {
            held.claims.remove(&address);
        }
    }

    /// It is not known whether the claim was written down.
    pub(crate) fn doubt(&mut self, network: &NetworkName, address: Ipv4Addr, now: u64) {
        if let Some(claim) = self.networks.get_mut(network).and_then(|held| held.claims.get_mut(&address)) {
            claim.doubted_since = Some(now);
        }
    }

    /// The port stands in the bucket.
    pub(crate) fn settle(&mut self, port: &Port) {
        let places = self.owners.entry(owner(port)).or_default();
        let place = (port.network.clone(), port.address);
        if !places.contains(&place) {
            places.push(place);
            if let Some(held) = self.networks.get_mut(&port.network) {
                held.take(port.address);
                held.claims.remove(&port.address);
                held.ports += 1;
            }
        }
    }

    /// The port stands in the bucket no more.
    pub(crate) fn release(&mut self, port: &Port) {
        let owner = owner(port);
        let Some(places) = self.owners.get_mut(&owner) else { return };
        let Some(at) = places.iter().position(|(n, a)| *n == port.network && *a == port.address) else { return };
        places.swap_remove(at);
        if places.is_empty() {
            self.owners.remove(&owner);
        }
        if let Some(held) = self.networks.get_mut(&port.network) {
            held.give_back(port.address);
            held.ports -= 1;
        }
    }

    /// The address that the owner has on a network; the lowest if a fault gave it several.
    pub(crate) fn address_of(&self, owner: &Owner, network: &NetworkName) -> Option<Ipv4Addr> {
        self.owners.get(owner)?.iter().filter(|(n, _)| n == network).map(|(_, a)| *a).min()
    }

    /// Everything that the owner has.
    pub(crate) fn places_of(&self, owner: &Owner) -> Vec<(NetworkName, Ipv4Addr)> {
        self.owners.get(owner).cloned().unwrap_or_default()
    }

    /// How a network's addresses stand.
    pub(crate) fn usage(&self, network: &NetworkName) -> Usage {
        let held = self.networks.get(network);
        held.map_or(Usage { used: 0, free: 0 }, |held| Usage { used: held.ports, free: held.pool.free() })
    }
}

fn owner(port: &Port) -> Owner {
    Owner { vm: port.vm.clone(), uuid: port.vm_uuid.clone() }
}

impl Held {
    /// Whether the address is the pool's to give.
    fn is_drawn(&self, address: Ipv4Addr) -> bool {
        self.pool.range().contains(address) && !self.excluded.iter().any(|one| one.range().contains(address))
    }

    fn take(&mut self, address: Ipv4Addr) -> bool {
        if self.is_drawn(address) { self.pool.take(address) } else { self.beyond.insert(address) }
    }

    fn give_back(&mut self, address: Ipv4Addr) {
        if self.strange.contains(&address) {
            return;
        }
        if self.is_drawn(address) {
            self.pool.give_back(address);
        } else {
            self.beyond.remove(&address);
        }
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
