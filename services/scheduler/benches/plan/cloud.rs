//! Clouds of two sites, made from a seed, with a solution planted in them: each server has a node in Yamate on which it
//! has room and keeps apart from the others of its group. About half of the servers are there already; the
//! others run on the node's partner in Myodaiji, which is what is evacuated.

use std::{collections::BTreeMap, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use watari_chassis::{Entry, Snapshot as Docs};
use watari_contracts::agent::{NodeFacts, VmFact};
use watari_model::{
    Document, NodeName, SiteName, Timestamp, VmName,
    migration::Migration,
    node::Node,
    vm::{Company, Grant, Membership, Vm},
};
use watari_scheduler::core::{Heard, Snapshot};
use watari_testkit::Dice;

use crate::Fault;

/// What servers' memory is drawn from, in GiB; 10.8 at the mean.
const SIZES_GIB: [u64; 10] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
/// As many features as libvirt tells of a processor of today.
const FEATURES: usize = 120;
/// When all of it happens.
pub(crate) const EPOCH: &str = "2026-01-01T00:00:00Z";

/// What a cloud is to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    /// Nodes of each site.
    pub(crate) nodes: usize,
    /// Memory of each node.
    pub(crate) memory_gib: u64,
    /// How much of all memory is used, in thousandths: below 500, or one site does not hold all.
    pub(crate) load: u64,
}

/// A server with its planted place.
struct Planted {
    place: usize,
    memory_gib: u64,
    leaves: bool,
    grouped: bool,
}

pub(crate) fn dark() -> Result<SiteName, Fault> {
    Ok("myodaiji".parse()?)
}

pub(crate) fn now() -> Result<Timestamp, Fault> {
    document(json!(EPOCH))
}

fn document<T: DeserializeOwned>(text: Value) -> Result<T, Fault> {
    Ok(serde_json::from_value(text)?)
}

/// Documents by their keys, as the stores have them.
pub(crate) fn bucket<T: Document>(values: impl IntoIterator<Item = T>, created: Timestamp) -> Docs<T> {
    let entry = |value: T| (value.key(), Arc::new(Entry { value, revision: 1, created }));
    Arc::new(values.into_iter().map(entry).collect())
}

/// Fills each node of Yamate to twice the load, within a GiB: that is the solution.
fn plant(shape: Shape, dice: &mut Dice) -> Vec<Planted> {
    let full = shape.memory_gib * shape.load * 2 / 1_000;
    let mut planted = Vec::new();
    for place in 0..shape.nodes {
        let mut left = full;
        while left > 0 {
            let drawn = SIZES_GIB.get(dice.below(10) as usize).copied().unwrap_or(1);
            let memory_gib = drawn.min(left);
            left -= memory_gib;
            planted.push(Planted { place, memory_gib, leaves: dice.below(2) == 0, grouped: dice.below(5) == 0 });
        }
    }
    planted
}

/// Which group each is in, if any: threes of servers whose planted nodes differ.
fn groups(planted: &[Planted]) -> BTreeMap<usize, usize> {
    let grouped: Vec<usize> =
        planted.iter().enumerate().filter(|(_, server)| server.grouped).map(|(index, _)| index).collect();
    let third = grouped.len() / 3;
    let mut groups = BTreeMap::new();
    for (number, members) in (0..third).map(|first| (first, [first, first + third, first + 2 * third])) {
        let members: Vec<usize> = members.iter().filter_map(|member| grouped.get(*member).copied()).collect();
        let mut places: Vec<usize> =
            members.iter().filter_map(|member| planted.get(*member)).map(|server| server.place).collect();
        places.dedup();
        if places.len() == 3 {
            groups.extend(members.into_iter().map(|member| (member, number)));
        }
    }
    groups
}

fn node_name(site: &str, place: usize) -> Result<NodeName, Fault> {
    Ok(format!("{}{place:05}", site.get(..1).unwrap_or("n")).parse()?)
}

fn nodes(shape: Shape) -> Result<Vec<Node>, Fault> {
    let features: Vec<String> = (0..FEATURES).map(|number| format!("feature-{number:03}")).collect();
    let plain: Node = document(json!({
        "v": 1, "name": "n", "site": "myodaiji", "state": "ready", "cordoned": false,
        "inventory": {
            "vcpus": shape.memory_gib, "memory_mib": shape.memory_gib << 10, "disk_gib": 1_000_000,
            "cpu_model": "EPYC-Milan", "cpu_features": features, "libvirt": "11.3.0", "qemu": "10.0.2",
            "agent": "0.1.0", "virtualisation": "kvm", "migration_address": "n.test",
            "segments": { "campus": "br0" }, "labels": {},
        },
        "first_seen_at": EPOCH, "changed_at": EPOCH,
    }))?;
    let mut nodes = Vec::new();
    for site in ["myodaiji", "yamate"] {
        for place in 0..shape.nodes {
            nodes.push(Node { name: node_name(site, place)?, site: site.parse()?, ..plain.clone() });
        }
    }
    Ok(nodes)
}

fn servers(shape: Shape) -> Result<Vec<Vm>, Fault> {
    let mut dice = Dice::new(shape.seed);
    let plain: Vm = document(json!({
        "v": 1, "name": "v", "uuid": "",
        "spec": {
            "vcpus": 1, "memory_mib": 1, "disk_gib": 20, "nics": [],
            "base": { "image": "debian", "sha256": "0".repeat(64), "format": "qcow2" },
        },
        "desired": "running", "booted": true, "home_site": "myodaiji", "state": "running",
        "grant": null, "crossing": null, "fault": null, "created_at": EPOCH, "changed_at": EPOCH,
    }))?;
    let planted = plant(shape, &mut dice);
    let groups = groups(&planted);
    let mut servers = Vec::with_capacity(planted.len());
    for (index, server) in planted.iter().enumerate() {
        let site = if server.leaves { "myodaiji" } else { "yamate" };
        let mut vm = Vm {
            name: format!("v{index:07}").parse()?,
            uuid: format!("{index:08x}-0000-4000-8000-000000000000"),
            home_site: site.parse()?,
            grant: Some(Grant { node: node_name(site, server.place)?, generation: 1 }),
            ..plain.clone()
        };
        vm.spec.vcpus = u32::try_from(server.memory_gib.div_ceil(4))?;
        vm.spec.memory_mib = server.memory_gib << 10;
        vm.spec.priority = u8::try_from(dice.below(101))?;
        if let Some(group) = groups.get(&index) {
            let membership = Membership { group: format!("apart-{group}").parse()?, company: Company::Apart };
            vm.spec.groups.push(membership);
        }
        servers.push(vm);
    }
    Ok(servers)
}

/// What the agents say: that every server runs where its document says.
fn heard(nodes: &[Node], servers: &[Vm]) -> Result<BTreeMap<NodeName, Heard>, Fault> {
    let fact: VmFact = document(json!({
        "vm": "v", "uuid": null, "domain": "running", "generation": 1, "granted": true, "disk": true, "passage": null,
    }))?;
    let facts: NodeFacts = document(json!({
        "node": "n", "site": "myodaiji", "instance": "bench", "seq": 1, "epoch": 1, "hypervisor_answers": true,
        "at": EPOCH, "vms": {},
    }))?;
    let mut said: BTreeMap<NodeName, NodeFacts> = BTreeMap::new();
    for node in nodes {
        let facts = NodeFacts { node: node.name.clone(), site: node.site.clone(), ..facts.clone() };
        said.insert(node.name.clone(), facts);
    }
    for vm in servers {
        if let Some(facts) = vm.node().and_then(|node| said.get_mut(node)) {
            let fact = VmFact { vm: vm.name.clone(), uuid: Some(vm.uuid.clone()), ..fact.clone() };
            facts.vms.insert(vm.name.clone(), fact);
        }
    }
    Ok(said.into_iter().map(|(node, facts)| (node, Heard { facts: Arc::new(facts), age_ms: 0 })).collect())
}

/// The cloud.
pub(crate) fn build(shape: Shape) -> Result<Snapshot, Fault> {
    let (nodes, servers, created) = (nodes(shape)?, servers(shape)?, now()?);
    let heard = heard(&nodes, &servers)?;
    Ok(Snapshot {
        epoch: 1,
        vms: bucket(servers, created),
        nodes: bucket(nodes, created),
        heard,
        ..Snapshot::default()
    })
}

/// Has every server of the cloud have crossed the link once, of so many bytes a second, writing up to so many percent of its
/// memory meanwhile: then it is known what travels of each, and how fast.
pub(crate) fn remember(snap: &mut Snapshot, rate: u64, anew: u64, dice: &mut Dice) -> Result<(), Fault> {
    let plain: Migration = document(json!({
        "v": 1, "id": "v-1", "vm": "v", "from": "m00000", "to": "y00000", "reason": "operator", "outage": null,
        "state": "completed", "cancel_asked": false, "fault": null, "copying_at": null,
        "measured": { "total_ms": 0, "downtime_ms": 0, "pause_ms": 0, "memory_bytes": 0, "disk_bytes": 0 },
        "created_at": EPOCH, "changed_at": EPOCH,
    }))?;
    let mut migrations = Vec::with_capacity(snap.vms.len());
    for vm in snap.vms.values().map(|entry| &entry.value) {
        let memory = vm.spec.memory_mib << 20;
        let mut migration = Migration { id: format!("{}-1", vm.name).parse()?, vm: vm.name.clone(), ..plain.clone() };
        if let Some(measured) = &mut migration.measured {
            measured.memory_bytes = memory + memory / 100 * dice.below(anew + 1);
            measured.total_ms = measured.memory_bytes.saturating_mul(1_000) / rate;
        }
        migrations.push(migration);
    }
    snap.migrations = bucket(migrations, now()?);
    Ok(())
}

/// What travelled of each server the last time.
pub(crate) fn bytes(snap: &Snapshot) -> BTreeMap<VmName, u64> {
    let migrations = snap.migrations.values().map(|entry| &entry.value);
    migrations.filter_map(|m| Some((m.vm.clone(), m.measured?.memory_bytes))).collect()
}
