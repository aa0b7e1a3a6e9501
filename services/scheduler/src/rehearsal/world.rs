//! The world of a rehearsal as it is at the outset: what the documents say is taken for what is there, since nothing
//! in it fails but what is asked to. What only agents know, as what disks are made of, is what they said last.

use std::{collections::BTreeMap, sync::Arc};

use watari_contracts::agent::{Domain, NodeFacts, OffReason, Stack, VmFact};
use watari_model::{
    NodeName, Timestamp, VmName,
    migration::{self, Migration},
    node::{self, Node},
    vm::{State, Vm},
};

use super::buckets::Docs;
use crate::core::{Control, ControlSight, Heard, Snapshot};

/// Has every node that is ready say what the documents say of it; gives those that say nothing.
pub(super) fn begin(snap: &mut Snapshot, now: Timestamp) -> BTreeMap<NodeName, u64> {
    snap.answers.clear();
    snap.busy.clear();
    snap.restarts.clear();
    snap.passages.clear();
    // How busy nodes are today says nothing of that day, and would never become old.
    snap.loads.clear();
    snap.control = watched(&snap.control);
    copy_on(&mut snap.migrations);
    for entry in Arc::make_mut(&mut snap.outages).values_mut() {
        // Nodes are not switched off and on: nothing says how long that takes.
        Arc::make_mut(entry).value.dark = None;
    }
    let mut heard = BTreeMap::new();
    let mut silent = BTreeMap::new();
    for node in snap.nodes.values().map(|entry| &entry.value) {
        let known = snap.heard.get(&node.name);
        if node.state == node::State::Ready {
            let facts = Arc::new(of_node(node, known.map(|heard| &*heard.facts), now));
            heard.insert(node.name.clone(), Heard { facts, age_ms: 0 });
        } else {
            silent.insert(node.name.clone(), 0);
        }
    }
    for vm in snap.vms.values().map(|entry| &entry.value) {
        let Some(heard) = vm.node().and_then(|node| heard.get_mut(node)) else { continue };
        let facts = Arc::make_mut(&mut heard.facts);
        let known = facts.vms.get(&vm.name).cloned().unwrap_or_else(|| nothing(&vm.name));
        facts.vms.insert(vm.name.clone(), of_server(vm, known));
    }
    snap.heard = heard;
    silent
}

/// What a node says besides its servers, of which only their disks are kept, and whether they stand still. Who has crashed
/// is started again before, and taken for one that runs.
fn of_node(node: &Node, known: Option<&NodeFacts>, now: Timestamp) -> NodeFacts {
    let still = |fact: &VmFact| fact.still.filter(|still| !still.is_a_crash());
    let disks = |fact: &VmFact| VmFact { stack: fact.stack.clone(), still: still(fact), ..nothing(&fact.vm) };
    NodeFacts {
        node: node.name.clone(),
        site: node.site.clone(),
        instance: "rehearsal".to_owned(),
        seq: 1,
        epoch: 0,
        hypervisor_answers: true,
        at: now,
        vms: known.map_or_else(BTreeMap::new, |known| known.vms.iter().map(|(vm, f)| (vm.clone(), disks(f))).collect()),
        layers: known.map(|known| known.layers.clone()).unwrap_or_default(),
        guard: known.and_then(|known| known.guard.clone()),
    }
}

/// That a node has nothing of a server.
pub(super) fn nothing(vm: &VmName) -> VmFact {
    VmFact {
        vm: vm.clone(),
        uuid: None,
        domain: Domain::Absent,
        generation: 0,
        granted: false,
        disk: false,
        passage: None,
        stack: Stack::default(),
        still: None,
    }
}

/// What the node that may run a server says of it. One that starts has still to do so.
fn of_server(vm: &Vm, known: VmFact) -> VmFact {
    let domain = match vm.state {
        State::Running | State::Migrating | State::Stopping => Domain::Running,
        State::Suspended => Domain::Off(OffReason::Saved),
        State::Stopped | State::Deleting => Domain::Off(OffReason::Shutdown),
        State::Pending | State::Starting | State::Failed => Domain::Absent,
    };
    let granted = domain == Domain::Running;
    // What has not started has not seen its newest grant.
    let generation = if domain == Domain::Absent { vm.generation().saturating_sub(1) } else { vm.generation() };
    VmFact { domain, generation, granted, disk: vm.booted, ..known }
}

/// A copy that is about to be settled is sent anew: what both sides would say of it is not known.
fn copy_on(migrations: &mut Docs<Migration>) {
    if migrations.values().any(|entry| entry.value.state == migration::State::Settling) {
        for entry in Arc::make_mut(migrations).values_mut() {
            if entry.value.state == migration::State::Settling {
                Arc::make_mut(entry).value.state = migration::State::Copying;
            }
        }
    }
}

/// Of the control plane its processes, and not what NATS is made of: that takes its own time.
fn watched(control: &Control) -> Control {
    match control {
        Control::Seen(sight) if !sight.standings.is_empty() => {
            let standings = sight.standings.clone();
            Control::Seen(Arc::new(ControlSight { standings, ..ControlSight::default() }))
        }
        _ => Control::Unmanaged,
    }
}
