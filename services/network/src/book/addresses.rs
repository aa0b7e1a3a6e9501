//! Public addresses: taking them, leading them to servers, and giving them back.
//!
//! They have no index: they are few, and changed by people. One change is made at a time, and nothing rests on
//! that but the choice of an address that is free; that nobody else has it is the bucket's compare-and-set.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use watari_chassis::{Entry, ReadError, WriteError, clock};
use watari_contracts::address::{
    AddressView, AllocateAddress, AssociateAddress, DisassociateAddress, GetAddress, ListAddresses, ReleaseAddress,
};
use watari_model::{
    Document, NetworkName, Refusal, Said,
    address::{PublicAddress, Target},
    network::{Kind, Network, Range},
    said,
    vm::Desired,
};

use super::{Book, no_answer, unwritten};
use crate::{index::Owner, wanted};

/// So often a change is tried when somebody else writes the document at the same time.
const TRIES: usize = 3;
/// So many addresses are tried that turn out to be somebody else's.
const DRAWS: usize = 100;

impl Book {
    /// Takes a public address out of a network's range, or finds the one that the same request took.
    pub(crate) async fn allocate_public(&self, request: &AllocateAddress) -> Result<AddressView, Refusal> {
        let request_id = wanted::request_id(request.request_id.as_deref())?;
        let _alone = self.gate.write().await;
        let network = self.network(&request.network)?;
        if !network.public {
            return Err(not_public(&network));
        }
        let there = self.addresses.snapshot();
        let same = there.values().map(|e| &e.value).find(|a| !request_id.is_empty() && a.request_id == request_id);
        if let Some(same) = same {
            let asked =
                same.network == request.network && request.address.is_none_or(|address| address == same.address);
            return if asked { Ok(view(same)) } else { Err(Refusal::RequestIdReused { request_id }) };
        }
        if there.len() >= self.settings.most_public {
            let (value, allowed) = ((there.len() + 1).to_string(), Said::between(0, self.settings.most_public));
            return Err(Refusal::OutOfRange { field: "addresses".to_owned(), value, allowed });
        }
        // Of all networks: an address alone names a public address.
        let taken: BTreeSet<Ipv4Addr> = there.values().map(|e| e.value.address).collect();
        let last = there.values().map(|e| &e.value).filter(|a| a.network == network.name);
        let last = last.max_by_key(|a| a.created_at).map(|a| a.address);
        let candidates = match request.address {
            Some(address) => vec![certain(address, &network, &taken)?],
            None => free(&network, &taken, last).take(DRAWS).collect(),
        };
        for address in candidates {
            let now = clock::now();
            let network = network.name.clone();
            let request_id = request_id.clone();
            let new =
                PublicAddress { v: 1, network, address, leads_to: None, request_id, created_at: now, changed_at: now };
            match self.addresses.create(&new).await {
                Ok(_) => {
                    tracing::info!(%address, network = %new.network, "allocated the public address");
                    return Ok(view(&new));
                }
                // What the mirror did not show yet.
                Err(WriteError::Exists { .. }) if request.address.is_some() => return Err(held(&new.network, address)),
                Err(WriteError::Exists { .. }) => {}
                Err(error) => return Err(unwritten("addresses", &error)),
            }
        }
        Err(Refusal::PublicRangeExhausted { network: network.name.to_string(), size: network.drawable().to_string() })
    }

    /// One public address.
    pub(crate) fn get_public(&self, request: &GetAddress) -> Result<AddressView, Refusal> {
        let there = self.addresses.snapshot();
        let found = there.values().find(|entry| entry.value.address == request.address);
        found.map(|entry| view(&entry.value)).ok_or_else(|| unknown(request.address))
    }

    /// Public addresses, by network and address.
    pub(crate) fn list_public(&self, request: &ListAddresses) -> Result<Vec<AddressView>, Refusal> {
        if let Some(name) = &request.network {
            self.network(name)?;
        }
        let there = self.addresses.snapshot();
        let wanted = |address: &&PublicAddress| {
            let server = address.leads_to.as_ref().map(|target| &target.vm);
            request.network.as_ref().is_none_or(|name| address.network == *name)
                && request.vm.as_ref().is_none_or(|vm| server == Some(vm))
        };
        let mut found: Vec<AddressView> = there.values().map(|entry| &entry.value).filter(wanted).map(view).collect();
        found.sort_by(|a, b| (&a.network, a.address).cmp(&(&b.network, b.address)));
        Ok(found)
    }

    /// Lets a public address lead to a server. One that leads there already changes nothing.
    pub(crate) async fn associate(&self, request: &AssociateAddress) -> Result<AddressView, Refusal> {
        let _alone = self.gate.write().await;
        // A slip in the address is told before anything else that is in the way.
        self.get_public(&GetAddress { address: request.address })?;
        let target = self.target(request).await?;
        let there = self.addresses.snapshot();
        let second = |a: &&PublicAddress| a.address != request.address && a.leads_to.as_ref() == Some(&target);
        if let Some(other) = there.values().map(|entry| &entry.value).find(second) {
            return Err(second_of(&target, other.address));
        }
        self.lead(request.address, |now| match now {
            Some(other) if *other != target && self.lives(other) => Err(in_use(request.address, other)),
            _ => Ok(Some(target.clone())),
        })
        .await
    }

    /// Lets a public address lead nowhere.
    pub(crate) async fn disassociate(&self, request: &DisassociateAddress) -> Result<AddressView, Refusal> {
        let _alone = self.gate.write().await;
        self.lead(request.address, |_| Ok(None)).await
    }

    /// Gives a public address back.
    pub(crate) async fn release_public(&self, request: &ReleaseAddress) -> Result<AddressView, Refusal> {
        let _alone = self.gate.write().await;
        for _ in 0..TRIES {
            let there = self.newest(request.address).await?;
            let target = there.value.leads_to.as_ref().filter(|target| self.lives(target));
            if let Some(target) = target.filter(|_| !request.associated) {
                return Err(in_use(request.address, target));
            }
            match self.addresses.delete(&there.value.key(), there.revision).await {
                Ok(_) => {
                    tracing::info!(address = %request.address, "gave the public address back");
                    return Ok(view(&there.value));
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(unwritten("addresses", &error)),
            }
        }
        Err(no_answer("addresses", &"others write the document without end"))
    }

    /// A server is gone for good: what led to it leads nowhere, and stays allocated.
    pub(super) async fn lead_away_from(&self, owner: &Owner) -> Result<(), Refusal> {
        let is_theirs = |target: &Target| target.vm == owner.vm && target.vm_uuid == owner.uuid;
        let there = self.addresses.snapshot();
        let theirs = there.values().filter(|entry| entry.value.leads_to.as_ref().is_some_and(is_theirs));
        for address in theirs.map(|entry| entry.value.address) {
            match self.lead(address, |now| Ok(now.filter(|target| !is_theirs(target)).cloned())).await {
                // Released in this moment.
                Ok(_) | Err(Refusal::AddressUnknown { .. }) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    /// The port that is meant.
    async fn target(&self, request: &AssociateAddress) -> Result<Target, Refusal> {
        let Some(vms) = self.vms.get() else {
            return Err(Refusal::NoAnswer { who: "the bucket vms, which says whose ports they are,".to_owned() });
        };
        let there = match vms.get(request.vm.as_str()) {
            // It may have been made a moment ago.
            None => {
                vms.bucket().get(request.vm.as_str()).await.map_err(|error| no_answer("vms", &error))?.map(Arc::new)
            }
            known => known,
        };
        let there = there.filter(|entry| entry.value.desired != Desired::Deleted);
        let there = there.ok_or_else(|| Refusal::VmUnknown { vm: request.vm.to_string() })?;
        if let Some(name) = &request.network {
            self.network(name)?;
        }
        let vm = &there.value;
        let on_overlay = |name: &str| self.networks.get(name).is_some_and(|entry| entry.value.kind == Kind::Overlay);
        let meant = |network: &NetworkName| request.network.as_ref().is_none_or(|name| name == network);
        let nic = vm.spec.nics.iter().find(|nic| meant(&nic.network) && on_overlay(nic.network.as_str()));
        let nic = nic.ok_or_else(|| {
            let own = vm.spec.nics.iter().filter(|nic| on_overlay(nic.network.as_str()));
            let own = own.map(|nic| nic.network.as_str()).collect::<Vec<_>>().join(", ");
            match &request.network {
                Some(network) if !own.is_empty() => {
                    Refusal::AddressWrongNetwork { vm: vm.name.to_string(), network: network.to_string(), own }
                }
                _ => Refusal::AddressNoPort { vm: vm.name.to_string() },
            }
        })?;
        let (network, address) = (nic.network.clone(), nic.address);
        Ok(Target { vm: vm.name.clone(), vm_uuid: vm.uuid.clone(), network, address })
    }

    /// Whether that very server is still there; if nobody can say, it is.
    fn lives(&self, target: &Target) -> bool {
        let Some(vms) = self.vms.get() else { return true };
        vms.get(target.vm.as_str()).is_some_and(|entry| entry.value.uuid == target.vm_uuid)
    }

    /// The newest document: what a mirror has may be a moment old.
    async fn newest(&self, address: Ipv4Addr) -> Result<Entry<PublicAddress>, Refusal> {
        let there = self.addresses.snapshot();
        let known = there.values().find(|entry| entry.value.address == address).map(|entry| entry.value.key());
        let key = known.ok_or_else(|| unknown(address))?;
        match self.addresses.bucket().get(&key).await {
            Ok(Some(entry)) => Ok(entry),
            Ok(None) => Err(unknown(address)),
            Err(ReadError::Unreadable(unreadable)) => Err(Refusal::Internal { detail: unreadable.to_string() }),
            Err(error) => Err(no_answer("addresses", &error)),
        }
    }

    /// Changes where a public address leads, if that is a change.
    async fn lead(
        &self,
        address: Ipv4Addr,
        change: impl Fn(Option<&Target>) -> Result<Option<Target>, Refusal>,
    ) -> Result<AddressView, Refusal> {
        for _ in 0..TRIES {
            let Entry { mut value, revision, .. } = self.newest(address).await?;
            let leads_to = change(value.leads_to.as_ref())?;
            if leads_to == value.leads_to {
                return Ok(view(&value));
            }
            value.leads_to = leads_to;
            value.changed_at = clock::now();
            match self.addresses.update(&value, revision).await {
                Ok(_) => {
                    let vm = value.leads_to.as_ref().map(|target| target.vm.as_str());
                    tracing::info!(%address, vm, "the public address leads elsewhere");
                    return Ok(view(&value));
                }
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(unwritten("addresses", &error)),
            }
        }
        Err(no_answer("addresses", &"others write the document without end"))
    }
}

/// The free addresses of a network's range that are not kept back, beginning after the last one that was given out, so
/// that one that was given back rests for as long as the others last.
fn free(network: &Network, taken: &BTreeSet<Ipv4Addr>, last: Option<Ipv4Addr>) -> impl Iterator<Item = Ipv4Addr> {
    let range = network.range;
    let later = move |address: &Ipv4Addr| last.is_none_or(|last| *address > last);
    let again = range.addresses().filter(move |address| !later(address));
    range
        .addresses()
        .filter(later)
        .chain(again)
        .filter(move |address| !taken.contains(address) && !network.excludes(*address))
}

/// Whether this very address may be taken.
fn certain(address: Ipv4Addr, network: &Network, taken: &BTreeSet<Ipv4Addr>) -> Result<Ipv4Addr, Refusal> {
    let Range { first, last } = network.range;
    if !network.range.contains(address) {
        return Err(Refusal::OutOfRange {
            field: "address".to_owned(),
            value: address.to_string(),
            allowed: said!("an address of {first}-{last}", "{first}-{last} の中のアドレス"),
        });
    }
    if taken.contains(&address) { Err(held(&network.name, address)) } else { Ok(address) }
}

fn view(address: &PublicAddress) -> AddressView {
    AddressView {
        address: address.address,
        network: address.network.clone(),
        leads_to: address.leads_to.clone(),
        created_at: address.created_at,
        changed_at: address.changed_at,
    }
}

fn unknown(address: Ipv4Addr) -> Refusal {
    Refusal::AddressUnknown { address: address.to_string() }
}

fn in_use(address: Ipv4Addr, target: &Target) -> Refusal {
    Refusal::AddressInUse { address: address.to_string(), vm: target.vm.to_string() }
}

fn second_of(target: &Target, address: Ipv4Addr) -> Refusal {
    let Target { vm, network, .. } = target;
    Refusal::PortHasAddress { vm: vm.to_string(), network: network.to_string(), address: address.to_string() }
}

fn held(network: &NetworkName, address: Ipv4Addr) -> Refusal {
    Refusal::AddressAllocated { network: network.to_string(), address: address.to_string() }
}

fn not_public(network: &Network) -> Refusal {
    Refusal::OutOfRange {
        field: "network".to_owned(),
        value: network.name.to_string(),
        allowed: Said::new(
            "a network made for public addresses: watari network create NAME --provider --public ...",
            "公開アドレス用のネットワーク (watari network create 名前 --provider --public … で作成)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, n)
    }

    /// The sample of a network for public addresses, with four of them.
    fn network() -> Network {
        let golden = include_str!("../../../../shared/contracts/tests/golden/document.networks.json");
        let all: Vec<Network> = serde_json::from_str(golden).unwrap();
        let public = all.into_iter().find(|network| network.public).unwrap();
        Network { range: Range { first: address(200), last: address(203) }, excluded: Vec::new(), ..public }
    }

    #[test]
    fn an_address_that_was_given_back_rests_while_there_are_others() {
        let network = network();
        let drawn = |taken: &[u8], last: Option<u8>| -> Vec<u8> {
            let taken = taken.iter().map(|n| address(*n)).collect();
            free(&network, &taken, last.map(address)).map(|address| address.octets()[3]).collect()
        };
        assert_eq!(drawn(&[], None), [200, 201, 202, 203]);
        assert_eq!(drawn(&[201], Some(201)), [202, 203, 200], "200 was given back");
        assert_eq!(drawn(&[203], Some(203)), [200, 201, 202], "from the beginning again");
        assert_eq!(drawn(&[200, 201, 202, 203], Some(202)), [0_u8; 0]);
    }

    #[test]
    fn an_address_that_is_kept_back_is_not_drawn() {
        let excluded = vec!["203.0.113.201-203.0.113.202=printers".parse().unwrap()];
        let (network, taken) = (Network { excluded, ..network() }, BTreeSet::new());
        let drawn: Vec<Ipv4Addr> = free(&network, &taken, Some(address(200))).collect();
        assert_eq!(drawn, [address(203), address(200)]);
    }
}
