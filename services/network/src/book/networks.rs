//! Making, showing, changing and deleting networks.

use std::net::Ipv4Addr;

use watari_chassis::{Mirror, ReadError, WriteError, clock};
use watari_contracts::network::{CreateNetwork, EditNetwork, NetworkView};
use watari_model::{
    Document, NetworkName, Refusal,
    network::{Kind, Network, Port},
    said,
};

use super::{Book, no_answer, unwritten};
use crate::wanted;

/// So many servers are named when a network is in use.
const NAMED: usize = 5;
/// So often a deletion is tried when somebody else writes the document at the same time.
const TRIES: usize = 3;

impl Book {
    /// Makes a network, or finds the one that the same request made.
    pub(crate) async fn create(&self, epoch: Option<u64>, request: &CreateNetwork) -> Result<NetworkView, Refusal> {
        let mut new = wanted::network(request, self.settings.most_per_range, clock::now())?;
        let _alone = self.gate.write().await;
        let networks = self.networks.snapshot();
        if let Some(there) = networks.get(&new.key()) {
            return self.repeated(epoch, &new, &there.value);
        }
        let reused = |n: &Network| !new.request_id.is_empty() && n.request_id == new.request_id;
        if networks.values().any(|entry| reused(&entry.value)) {
            return Err(Refusal::RequestIdReused { request_id: new.request_id });
        }
        if networks.len() >= self.settings.most_networks {
            return Err(Refusal::NetworksFull { limit: self.settings.most_networks.to_string() });
        }
        networks.values().try_for_each(|entry| wanted::beside(&new, &entry.value))?;
        if new.kind == Kind::Overlay {
            let nodes = self.nodes.get().map(Mirror::snapshot).unwrap_or_default();
            let (networks, nodes) = (networks.values().map(|e| &e.value), nodes.values().map(|e| &e.value));
            let overlay = wanted::overlay(request.mtu, networks, nodes)?;
            new.overlay = Some(wanted::carries(&new, overlay)?);
        }
        self.no_neighbours_port(&new)?;
        match self.networks.create(&new).await {
            Ok(_) => {
                tracing::info!(network = %new.name, cidr = %new.cidr, "made the network");
                self.index(epoch).index.add(&new);
                Ok(self.view(epoch, &new))
            }
            Err(WriteError::Exists { key }) => match self.networks.bucket().get(&key).await {
                Ok(Some(there)) => self.repeated(epoch, &new, &there.value),
                Ok(None) | Err(ReadError::Unreadable(_)) => Err(Refusal::NetworkExists { network: key }),
                Err(error) => Err(no_answer("networks", &error)),
            },
            Err(error) => Err(unwritten("networks", &error)),
        }
    }

    /// The answer to a request for a network that is there: safe to repeat, wrong to reuse.
    fn repeated(&self, epoch: Option<u64>, new: &Network, there: &Network) -> Result<NetworkView, Refusal> {
        if new.request_id.is_empty() || new.request_id != there.request_id {
            Err(Refusal::NetworkExists { network: new.name.to_string() })
        } else if wanted::same(new, there) {
            Ok(self.view(epoch, there))
        } else {
            Err(Refusal::RequestIdReused { request_id: new.request_id.clone() })
        }
    }

    /// Changes what a network hands out; what it gave stays given, and within the range.
    pub(crate) async fn edit(&self, epoch: Option<u64>, request: &EditNetwork) -> Result<NetworkView, Refusal> {
        if request.range.is_none() && request.excluded.is_none() {
            return Err(Refusal::Malformed { detail: "neither range nor excluded is given".to_owned() });
        }
        let _alone = self.gate.write().await;
        let edited = |network: &mut Network| -> Result<(), Refusal> {
            let new = wanted::edited(network, request, self.settings.most_per_range)?;
            if new.range != network.range {
                let networks = self.networks.snapshot();
                let others = networks.values().map(|entry| &entry.value).filter(|other| other.name != new.name);
                for other in others {
                    wanted::beside(&new, other)?;
                }
                self.no_neighbours_port(&new)?;
                self.has_what_it_gave(network, &new)?;
            }
            *network = new;
            Ok(())
        };
        let network = self.amend(epoch, &request.name, edited).await?;
        tracing::info!(network = %network.name, "changed what the network hands out");
        Ok(self.view(epoch, &network))
    }

    /// What was drawn goes back to the range, and would be nobody's to give outside of it.
    fn has_what_it_gave(&self, old: &Network, new: &Network) -> Result<(), Refusal> {
        let (ports, public) = (self.ports.snapshot(), self.addresses.snapshot());
        let ports = ports.values().map(|e| &e.value).filter(|port| port.network == old.name).map(|port| port.address);
        let public = public.values().map(|e| &e.value).filter(|one| one.network == old.name).map(|one| one.address);
        let is_lost = |address: &Ipv4Addr| old.range.contains(*address) && !new.range.contains(*address);
        let Some(address) = ports.chain(public).find(is_lost) else { return Ok(()) };
        let detail =
            said!("{address} is in use and would lie outside the range", "使用中の {address} が範囲の外になります");
        Err(Refusal::BadRange { network: new.name.to_string(), detail })
    }

    /// A fixed address of a neighbour on the segment may lie where the new range would.
    fn no_neighbours_port(&self, new: &Network) -> Result<(), Refusal> {
        let networks = self.networks.snapshot();
        let shares = |name: &NetworkName| networks.get(name.as_str()).is_some_and(|n| n.value.shares_wire(new));
        let neighbour = |name: &NetworkName| *name != new.name && shares(name);
        let ports = self.ports.snapshot();
        let within = ports.values().map(|e| &e.value).find(|p| new.range.contains(p.address) && neighbour(&p.network));
        let Some(port) = within else { return Ok(()) };
        let Port { address, vm, network, .. } = port;
        let detail = said!(
            "the range has {address}, which server {vm} has on network {network}",
            "範囲に、サーバ {vm} がネットワーク {network} で使っている {address} が含まれています"
        );
        Err(Refusal::BadRange { network: new.name.to_string(), detail })
    }

    /// One network.
    pub(crate) fn get(&self, epoch: Option<u64>, name: &NetworkName) -> Result<NetworkView, Refusal> {
        let network = self.networks.get(name.as_str()).ok_or_else(|| wanted::unknown(name))?;
        Ok(self.view(epoch, &network.value))
    }

    /// All networks, by name.
    pub(crate) fn list(&self, epoch: Option<u64>) -> Vec<NetworkView> {
        self.networks.snapshot().values().map(|entry| self.view(epoch, &entry.value)).collect()
    }

    /// Deletes a network on which no server has a port.
    pub(crate) async fn delete(&self, epoch: Option<u64>, name: &NetworkName) -> Result<NetworkView, Refusal> {
        let _alone = self.gate.write().await;
        for _ in 0..TRIES {
            let there = self.networks.bucket().get(name.as_str()).await;
            let there = match there {
                Ok(Some(there)) => there,
                Ok(None) => return Err(wanted::unknown(name)),
                Err(error) => return Err(no_answer("networks", &error)),
            };
            self.nobody_on(name)?;
            let view = self.view(epoch, &there.value);
            match self.networks.delete(name.as_str(), there.revision).await {
                Ok(_) => {
                    tracing::info!(network = %name, "deleted the network");
                    self.index(epoch).index.remove(name);
                    return Ok(view);
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(unwritten("networks", &error)),
            }
        }
        Err(no_answer("networks", &"others write the document without end"))
    }

    fn nobody_on(&self, name: &NetworkName) -> Result<(), Refusal> {
        let (ports, addresses) = (self.ports.snapshot(), self.addresses.snapshot());
        let servers = ports.values().filter(|e| e.value.network == *name).map(|e| e.value.vm.to_string());
        let public = addresses.values().filter(|e| e.value.network == *name).map(|e| e.value.address.to_string());
        let mut users: Vec<String> = servers.chain(public).collect();
        if users.is_empty() {
            return Ok(());
        }
        users.sort_unstable();
        users.dedup();
        let more = users.len().saturating_sub(NAMED);
        let mut named = users[..users.len().min(NAMED)].join(", ");
        if more > 0 {
            named.push_str(&format!(" and {more} more"));
        }
        Err(Refusal::NetworkInUse { network: name.to_string(), users: named })
    }

    pub(super) fn view(&self, epoch: Option<u64>, network: &Network) -> NetworkView {
        let usage = self.usage(&self.index(epoch).index, network);
        NetworkView {
            name: network.name.clone(),
            kind: network.kind,
            segment: network.segment.clone(),
            vlan: network.vlan,
            mtu: network.mtu,
            public: network.public,
            overlay: network.overlay,
            cidr: network.cidr.to_string(),
            range: format!("{}-{}", network.range.first, network.range.last),
            excluded: network.excluded.clone(),
            gateway: network.gateway,
            dns: network.dns.clone(),
            routes: network.routes.clone(),
            ipv6: network.ipv6.clone(),
            addresses_used: usage.used,
            addresses_free: usage.free,
            strangers: network.strangers.clone(),
            created_at: network.created_at,
        }
    }
}
