//! Addresses that a stranger on the segment has: marked, so that no server gets them, and given out again.

use std::{collections::BTreeSet, net::Ipv4Addr};

use watari_chassis::{Entry, Mirror, ReadError, WriteError, clock};
use watari_contracts::network::{Allocated, ClearAddress, NetworkView, ReplacePort};
use watari_model::{
    NetworkName, Refusal, Said, VmName,
    network::{Network, Stranger, port_key},
};

use super::{
    Book,
    allocate::{Written, owner},
    no_answer, unwritten,
};
use crate::{strangers, wanted};

/// So often a write is tried when somebody else writes the document at the same time.
const TRIES: usize = 3;

impl Book {
    /// Marks a server's address as a stranger's, and gives the server another unless it asked for this very one.
    ///
    /// The mark comes first and the new address last: whatever is lost in between, the same request goes on from there.
    /// A server that has another address by now keeps that.
    pub(crate) async fn replace(&self, epoch: Option<u64>, request: &ReplacePort) -> Result<Allocated, Refusal> {
        let owner = owner(request.vm.clone(), &request.vm_uuid)?;
        let _in_turn = self.turn_of(&owner).await;
        let segment = self.network(&request.network)?.segment;
        let has = self.existing(epoch, &request.network, &owner);
        if let Some(port) = has.as_ref().filter(|port| port.address != request.address) {
            return Ok(Allocated { port: port.clone(), segment });
        }
        let stranger = Stranger {
            address: request.address,
            address6: request.address6,
            mac: mac(&request.mac)?,
            node: request.node.clone(),
            seen_at: clock::now(),
        };
        let network = self.mark(epoch, &request.network, &stranger).await?;
        if request.fixed {
            let port = has.ok_or_else(|| stranger.refusal(&network))?;
            return Ok(Allocated { port, segment });
        }
        self.give_back(epoch, &request.network, request.address, &owner).await?;
        let _together = self.gate.read().await;
        let port = self.drawn(epoch, &network, &owner).await?;
        Ok(Allocated { port, segment })
    }

    async fn mark(&self, epoch: Option<u64>, network: &NetworkName, stranger: &Stranger) -> Result<Network, Refusal> {
        let (address, address6) = (stranger.address, stranger.address6);
        tracing::warn!(%network, %address, ?address6, mac = stranger.mac, node = %stranger.node, "a stranger has an address of the network");
        let marked = |network: &mut Network| {
            if network.mark(stranger.clone()) { Ok(()) } else { Err(stranger.refusal(network)) }
        };
        self.amend(epoch, network, marked).await
    }

    /// Gives an address out again that was a stranger's.
    pub(crate) async fn clear(&self, epoch: Option<u64>, request: &ClearAddress) -> Result<NetworkView, Refusal> {
        let network = self.clear_all(epoch, &request.network, &[request.address].into()).await?;
        Ok(self.view(epoch, &network))
    }

    /// Takes the marks away that have had their time.
    pub(crate) async fn forget_strangers(&self, epoch: u64) -> Result<(), Refusal> {
        let (now, patience_ms) = (clock::now(), self.settings.stranger_seconds * 1_000);
        // Who the servers are is not known until the scheduler has made its bucket; age counts all the same.
        let vms = self.vms.get().map(|vms| vms.snapshot()).unwrap_or_default();
        for entry in self.networks.snapshot().values() {
            let gone = strangers::gone(&entry.value, vms.values().map(|vm| &vm.value), now, patience_ms);
            if !gone.is_empty() {
                self.clear_all(Some(epoch), &entry.value.name, &gone.into_iter().collect()).await?;
            }
        }
        Ok(())
    }

    async fn clear_all(
        &self,
        epoch: Option<u64>,
        network: &NetworkName,
        addresses: &BTreeSet<Ipv4Addr>,
    ) -> Result<Network, Refusal> {
        self.keep_for_servers(epoch, &self.network(network)?, addresses).await?;
        let cleared = |network: &mut Network| {
            network.strangers.retain(|stranger| !addresses.contains(&stranger.address));
            Ok(())
        };
        self.amend(epoch, network, cleared).await
    }

    /// A server whose address was to become another may have it still: it was stopped before that was written down,
    /// and the stranger was gone when it started. Its port is there again before anybody else may draw the address.
    /// The other one, which its document does not name, goes back as those do whose server is gone.
    async fn keep_for_servers(
        &self,
        epoch: Option<u64>,
        network: &Network,
        addresses: &BTreeSet<Ipv4Addr>,
    ) -> Result<(), Refusal> {
        let vms = self.vms.get().map(Mirror::snapshot).unwrap_or_default();
        let each = vms.values().flat_map(|entry| entry.value.spec.nics.iter().map(move |nic| (&entry.value, nic)));
        let meant = each.filter(|(_, nic)| nic.network == network.name && addresses.contains(&nic.address));
        let kept: Vec<(VmName, String, Ipv4Addr)> =
            meant.map(|(vm, nic)| (vm.name.clone(), vm.uuid.clone(), nic.address)).collect();
        drop(vms);
        let _together = self.gate.read().await;
        for (vm, uuid, address) in kept {
            if self.ports.get(&port_key(&network.name, address)).is_none()
                && let Written::Own(port) = self.write_down(epoch, network, address, &owner(vm, &uuid)?).await?
            {
                tracing::warn!(vm = %port.vm, network = %network.name, %address, "a server has kept the address that was a stranger's");
            }
        }
        Ok(())
    }

    /// Writes a network's document after `change`, if that changes anything, and counts its addresses anew.
    pub(super) async fn amend(
        &self,
        epoch: Option<u64>,
        name: &NetworkName,
        change: impl Fn(&mut Network) -> Result<(), Refusal>,
    ) -> Result<Network, Refusal> {
        for _ in 0..TRIES {
            let there = match self.networks.bucket().get(name.as_str()).await {
                Ok(Some(there)) => there,
                Ok(None) => return Err(wanted::unknown(name)),
                Err(ReadError::Unreadable(unreadable)) => {
                    return Err(Refusal::Internal { detail: unreadable.to_string() });
                }
                Err(error) => return Err(no_answer("networks", &error)),
            };
            let Entry { mut value, revision, .. } = there;
            let before = value.clone();
            change(&mut value)?;
            if value == before {
                return Ok(value);
            }
            match self.networks.update(&value, revision).await {
                Ok(_) => {
                    self.rebuild_into(&mut self.index(epoch), epoch);
                    return Ok(value);
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(unwritten("networks", &error)),
            }
        }
        Err(no_answer("networks", &"others write the document without end"))
    }
}

/// A MAC as it is written down: what an agent says is shown to people.
fn mac(text: &str) -> Result<String, Refusal> {
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    if text.split(':').count() == 6 && text.split(':').all(is_byte) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Refusal::OutOfRange {
        field: "mac".to_owned(),
        value: text.chars().take(60).collect(),
        allowed: Said::both("52:57:cb:00:71:64"),
    })
}
