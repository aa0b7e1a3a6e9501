//! Giving ports back.

use std::net::Ipv4Addr;

use watari_chassis::WriteError;
use watari_contracts::network::ReleasePorts;
use watari_model::{NetworkName, Refusal, network::port_key};

use super::{Book, allocate::owner, no_answer, unwritten};
use crate::index::Owner;

/// So often a deletion is tried when somebody else writes the document at the same time.
const TRIES: usize = 3;

/// Whether a port was there to be given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    Back,
    NothingThere,
}

impl Book {
    /// Gives back every port of a server, to which no public address leads any more. Ports of another server of the
    /// same name stay.
    pub(crate) async fn release(&self, epoch: Option<u64>, request: &ReleasePorts) -> Result<u32, Refusal> {
        let owner = owner(request.vm.clone(), &request.vm_uuid)?;
        let _in_turn = self.turn_of(&owner).await;
        let places = self.index(epoch).index.places_of(&owner);
        let mut given = 0;
        for (network, address) in places {
            if self.give_back(epoch, &network, address, &owner).await? == Given::Back {
                given += 1;
            }
        }
        self.lead_away_from(&owner).await?;
        Ok(given)
    }

    pub(super) async fn give_back(
        &self,
        epoch: Option<u64>,
        network: &NetworkName,
        address: Ipv4Addr,
        owner: &Owner,
    ) -> Result<Given, Refusal> {
        let key = port_key(network, address);
        for _ in 0..TRIES {
            let there = self.ports.bucket().get(&key).await.map_err(|error| no_answer("ports", &error))?;
            let Some(there) = there.filter(|e| e.value.vm == owner.vm && e.value.vm_uuid == owner.uuid) else {
                return Ok(Given::NothingThere);
            };
            match self.ports.delete(&key, there.revision).await {
                Ok(_) => {
                    self.index(epoch).index.release(&there.value);
                    return Ok(Given::Back);
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(unwritten("ports", &error)),
            }
        }
        Err(no_answer("ports", &"others write the document without end"))
    }

    /// Gives back the port under `key` if it is still the one that was looked at. One that has
    /// been written since is left alone.
    pub(crate) async fn give_back_orphan(&self, epoch: u64, key: &str) -> Result<(), WriteError> {
        let Some(entry) = self.ports.get(key) else { return Ok(()) };
        match self.ports.delete(key, entry.revision).await {
            Ok(_) => {
                self.index(Some(epoch)).index.release(&entry.value);
                tracing::warn!(port = key, vm = %entry.value.vm, uuid = entry.value.vm_uuid, "gave back the port of a server that is gone");
                Ok(())
            }
            Err(WriteError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
