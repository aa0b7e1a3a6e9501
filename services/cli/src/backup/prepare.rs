//! What of a backup is put back, and as what. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use watari_contracts::agent::{Domain, VmFact};
use watari_model::{
    Document, NodeName, Timestamp, VmName,
    migration::Migration,
    node::Node,
    outage::{Outage, State},
    vm::Vm,
};

use super::{
    archive::Archive,
    found::{Heard, reconcile},
    kinds::{self, KINDS},
    show::{Server, Stranger},
};
use crate::texts::faults::Fault;

/// A document to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) bucket: &'static str,
    pub(super) key: String,
    pub(super) document: Bytes,
}

/// All that is to be there, in the order of writing, and what nodes said of servers.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) wanted: Vec<Wanted>,
    pub(super) servers: Vec<Server>,
    pub(super) strangers: Vec<Stranger>,
    pub(super) silent: Vec<NodeName>,
}

/// Puts it together.
///
/// # Errors
/// [`Fault::BackupDocument`], which a backup that was verified does not have.
pub(super) fn prepare(archive: &Archive, heard: &Heard) -> Result<Prepared, Fault> {
    let mut vms: BTreeMap<VmName, Vm> = BTreeMap::new();
    let mut servers = Vec::new();
    for mut vm in all::<Vm>(archive)? {
        let finding = reconcile(&mut vm, heard);
        servers.push(Server { vm: vm.name.clone(), node: vm.node().cloned(), finding });
        vms.insert(vm.name.clone(), vm);
    }
    let mut wanted = Vec::new();
    // What is referred to comes first.
    for (bucket, _) in KINDS.into_iter().rev() {
        for record in archive.of(bucket) {
            let key = record.key.clone();
            let document = if bucket == Vm::BUCKET {
                let vm = key.parse::<VmName>().ok().and_then(|name| vms.get(&name));
                let written = vm.map(serde_json::to_vec).transpose();
                written.map_err(|error| unusable(bucket, &key, &error.to_string()))?
            } else if bucket == Migration::BUCKET && !is_known(&vms, &read(bucket, &key, &record.document)?) {
                None
            } else {
                Some(tamed(bucket, &key, &record.document, archive.header.began_at)?)
            };
            wanted.extend(document.map(|document| Wanted { bucket, key, document: document.into() }));
        }
    }
    let strangers = strangers(&vms, heard);
    let silent = all::<Node>(archive)?.into_iter().map(|node| node.name).filter(|node| !heard.contains_key(node));
    Ok(Prepared { wanted, servers, strangers, silent: silent.collect() })
}

/// The document as it is put back. The word that a node is off was of its day, and what moved then
/// waits until an operator says that it shall go on.
fn tamed(bucket: &str, key: &str, document: &str, made: Timestamp) -> Result<Vec<u8>, Fault> {
    let written = if bucket == Node::BUCKET {
        serde_json::to_vec(&Node { off: None, fencing: None, ..read(bucket, key, document)? })
    } else if bucket == Outage::BUCKET {
        let mut outage: Outage = read(bucket, key, document)?;
        if matches!(outage.state, State::Evacuating | State::Returning) {
            outage.paused_at = outage.paused_at.or(Some(made));
        }
        serde_json::to_vec(&outage)
    } else {
        return Ok(document.as_bytes().to_vec());
    };
    written.map_err(|error| unusable(bucket, key, &error.to_string()))
}

/// A migration that was under way is put back only if its server's document speaks of it; one that waited
/// for its turn is to be asked for again.
fn is_known(vms: &BTreeMap<VmName, Vm>, migration: &Migration) -> bool {
    let crosses = |vm: &Vm| vm.crossing.as_ref().is_some_and(|crossing| crossing.id == migration.id);
    migration.state.over() || vms.get(&migration.vm).is_some_and(crosses)
}

/// What nodes have that the backup does not know of. A node that only remembers having prepared for a server has
/// nothing of it.
fn strangers(vms: &BTreeMap<VmName, Vm>, heard: &Heard) -> Vec<Stranger> {
    let known = |vm: &VmName, uuid: Option<&String>| vms.get(vm).is_some_and(|known| Some(&known.uuid) == uuid);
    let of_node = |(node, facts): (&NodeName, &watari_contracts::agent::NodeFacts)| {
        let has = |fact: &VmFact| fact.disk || fact.domain != Domain::Absent;
        let strange = facts.vms.values().filter(|fact| has(fact) && !known(&fact.vm, fact.uuid.as_ref()));
        strange.map(|fact| Stranger { vm: fact.vm.clone(), node: node.clone() }).collect::<Vec<_>>()
    };
    heard.iter().flat_map(of_node).collect()
}

fn all<T: Document>(archive: &Archive) -> Result<Vec<T>, Fault> {
    archive.of(T::BUCKET).map(|record| read(T::BUCKET, &record.key, &record.document)).collect()
}

pub(super) fn read<T: Document>(bucket: &str, key: &str, text: &str) -> Result<T, Fault> {
    kinds::read(key, text).map_err(|detail| unusable(bucket, key, &detail))
}

pub(super) fn unusable(bucket: &str, key: &str, detail: &str) -> Fault {
    Fault::BackupDocument { bucket: bucket.to_owned(), key: key.to_owned(), detail: detail.to_owned() }
}
