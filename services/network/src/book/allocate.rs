//! Giving a server a port.

use std::net::Ipv4Addr;

use watari_chassis::{ReadError, WriteError, clock};
use watari_contracts::network::{AllocatePort, Allocated};
use watari_model::{
    NetworkName, Refusal, Said, SegmentName, VmName,
    network::{Network, Port, mac_of, port_key},
    said,
};

use super::{Book, no_answer, unwritten};
use crate::{index::Owner, wanted};

/// The index is built anew before a range is called exhausted, but not more often than this.
const REBUILD_MS: u64 = 1_000;
/// The longest UUID that is believed to be one, in characters.
const LONGEST_UUID: usize = 64;

/// What became of an attempt to write a port down.
pub(super) enum Written {
    /// It is the owner's.
    Own(Port),
    /// Somebody else has the address; who, if that is known.
    Taken(Option<Said>),
}

fn server(vm: &VmName) -> Said {
    said!("server {vm}", "サーバ {vm}")
}

impl Book {
    /// Gives the server a port on the network, or the one that it has.
    pub(crate) async fn allocate(&self, epoch: Option<u64>, request: &AllocatePort) -> Result<Allocated, Refusal> {
        let owner = owner(request.vm.clone(), &request.vm_uuid)?;
        let _in_turn = self.turn_of(&owner).await;
        let network = self.network(&request.network)?;
        if network.public {
            return Err(only_public(&network));
        }
        if let Some(port) = self.existing(epoch, &request.network, &owner) {
            return self.as_before(request, network.segment, port);
        }
        let port = match request.address {
            Some(address) => {
                // Networks of one segment share addresses, which no single compare-and-set can see.
                let _alone = self.gate.write().await;
                self.fixed(epoch, &self.network(&request.network)?, address, &owner).await?
            }
            None => {
                let _together = self.gate.read().await;
                self.drawn(epoch, &self.network(&request.network)?, &owner).await?
            }
        };
        Ok(Allocated { port, segment: network.segment })
    }

    pub(super) fn network(&self, name: &NetworkName) -> Result<Network, Refusal> {
        self.networks.get(name.as_str()).map(|entry| entry.value.clone()).ok_or_else(|| wanted::unknown(name))
    }

    pub(super) fn existing(&self, epoch: Option<u64>, network: &NetworkName, owner: &Owner) -> Option<Port> {
        let mut built = self.index(epoch);
        let address = built.index.address_of(owner, network)?;
        let there = self.ports.get(&port_key(network, address));
        let own = there.filter(|e| e.value.vm == owner.vm && e.value.vm_uuid == owner.uuid);
        if own.is_none() {
            // Deleted or replaced behind this process's back.
            self.rebuild_into(&mut built, epoch);
        }
        own.map(|entry| entry.value.clone())
    }

    fn as_before(&self, request: &AllocatePort, segment: SegmentName, port: Port) -> Result<Allocated, Refusal> {
        match request.address {
            Some(wanted) if wanted != port.address => Err(Refusal::OutOfRange {
                field: "address".to_owned(),
                value: wanted.to_string(),
                allowed: {
                    let Port { address, vm, network, .. } = port;
                    said!(
                        "{address}, which server {vm} has on network {network}",
                        "サーバ {vm} がネットワーク {network} で使っている {address}"
                    )
                },
            }),
            _ => Ok(Allocated { port, segment }),
        }
    }

    pub(super) async fn drawn(&self, epoch: Option<u64>, network: &Network, owner: &Owner) -> Result<Port, Refusal> {
        // Each turn but the last takes an address out of the index, so that this ends.
        while let Some(address) = self.claim_next(epoch, network, owner) {
            if let Written::Own(port) = self.write_down(epoch, network, address, owner).await? {
                return Ok(port);
            }
        }
        Err(Refusal::RangeExhausted { network: network.name.to_string(), size: network.drawable().to_string() })
    }

    fn claim_next(&self, epoch: Option<u64>, network: &Network, owner: &Owner) -> Option<Ipv4Addr> {
        let mut built = self.index(epoch);
        if let claimed @ Some(_) = built.index.claim_next(&network.name, owner) {
            return claimed;
        }
        // Before it is called exhausted: perhaps the documents have an address that this lacks.
        if clock::boot_millis().saturating_sub(built.at) < REBUILD_MS {
            return None;
        }
        self.rebuild_into(&mut built, epoch);
        built.index.claim_next(&network.name, owner)
    }

    async fn fixed(
        &self,
        epoch: Option<u64>,
        network: &Network,
        address: Ipv4Addr,
        owner: &Owner,
    ) -> Result<Port, Refusal> {
        let networks = self.networks.snapshot();
        let others: Vec<&Network> = networks
            .values()
            .map(|entry| &entry.value)
            .filter(|n| n.shares_wire(network) && n.name != network.name)
            .collect();
        wanted::fixed(address, network, &others)?;
        let taken = |owner: Said| Refusal::AddressTaken {
            network: network.name.to_string(),
            address: address.to_string(),
            owner,
        };
        let neighbour = others.iter().find_map(|n| self.ports.get(&port_key(&n.name, address)));
        if let Some(port) = neighbour {
            let Port { vm, network, .. } = &port.value;
            return Err(taken(said!("server {vm} on network {network}", "ネットワーク {network} のサーバ {vm}")));
        }
        let there = || self.ports.get(&port_key(&network.name, address)).map(|e| server(&e.value.vm));
        if !self.index(epoch).index.claim(&network.name, address, owner) {
            return Err(taken(
                there().unwrap_or_else(|| Said::new("a server that is just being made", "作成中のサーバ")),
            ));
        }
        match self.write_down(epoch, network, address, owner).await? {
            Written::Own(port) => Ok(port),
            Written::Taken(by) => {
                Err(taken(by.or_else(there).unwrap_or_else(|| Said::new("another server", "ほかのサーバ"))))
            }
        }
    }

    /// Writes a claimed address down and settles the claim.
    pub(super) async fn write_down(
        &self,
        epoch: Option<u64>,
        network: &Network,
        address: Ipv4Addr,
        owner: &Owner,
    ) -> Result<Written, Refusal> {
        let port = Port {
            v: 1,
            network: network.name.clone(),
            address,
            address6: network.ipv6.as_ref().map(|ipv6| ipv6.beside(address)),
            mac: mac_of(address),
            vm: owner.vm.clone(),
            vm_uuid: owner.uuid.clone(),
            created_at: clock::now(),
        };
        let doubt = |refusal: Refusal| {
            self.index(epoch).index.doubt(&network.name, address, clock::boot_millis());
            Err(refusal)
        };
        match self.ports.create(&port).await {
            Ok(_) => {
                self.index(epoch).index.settle(&port);
                Ok(Written::Own(port))
            }
            Err(WriteError::Exists { key }) => match self.ports.bucket().get(&key).await {
                // This process's own earlier attempt, of which it never heard.
                Ok(Some(there)) if there.value.vm == owner.vm && there.value.vm_uuid == owner.uuid => {
                    self.index(epoch).index.settle(&there.value);
                    Ok(Written::Own(there.value))
                }
                Ok(Some(there)) => {
                    self.index(epoch).index.yielded(&network.name, address);
                    Ok(Written::Taken(Some(server(&there.value.vm))))
                }
                Ok(None) | Err(ReadError::Unreadable(_)) => {
                    self.index(epoch).index.yielded(&network.name, address);
                    Ok(Written::Taken(None))
                }
                Err(error) => doubt(no_answer("ports", &error)),
            },
            Err(error) => doubt(unwritten("ports", &error)),
        }
    }
}

fn only_public(network: &Network) -> Refusal {
    Refusal::OutOfRange {
        field: "network".to_owned(),
        value: network.name.to_string(),
        allowed: Said::new(
            "a network for servers: this one is for public addresses (watari address allocate)",
            "サーバ用のネットワーク (これは公開アドレス用です: watari address allocate)",
        ),
    }
}

/// A server's life by its name and UUID.
pub(super) fn owner(vm: watari_model::VmName, uuid: &str) -> Result<Owner, Refusal> {
    if (1..=LONGEST_UUID).contains(&uuid.len()) && uuid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Ok(Owner { vm, uuid: uuid.to_owned() });
    }
    Err(Refusal::OutOfRange {
        field: "vm_uuid".to_owned(),
        value: format!("{:?}", uuid.chars().take(LONGEST_UUID).collect::<String>()),
        allowed: Said::both("UUID"),
    })
}
