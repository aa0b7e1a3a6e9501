//! The clouds of the benchmark as other planners read them (`loadtests/solver`).

use std::{fs, path::Path};

use serde_json::{Value, json};
use watari_model::{node::Node, vm::Vm};
use watari_scheduler::core::Snapshot;

use crate::Fault;

/// Writes a cloud with what is told of its plan: the nodes at the other site and those that go dark, and all servers, of
/// which those that stay have a node at the other site.
pub(crate) fn write(folder: &Path, name: &str, snap: &Snapshot, plan: &Value) -> Result<(), Fault> {
    let dark = crate::cloud::dark()?;
    let at_refuge = |vm: &Vm| {
        let node = vm.node().and_then(|node| snap.nodes.get(node.as_str())).map(|entry| &entry.value);
        node.filter(|node| node.site != dark).map(|node| node.name.to_string())
    };
    let server = |vm: &Vm| {
        let apart: Vec<&str> = vm.spec.groups.iter().map(|membership| membership.group.as_str()).collect();
        json!({
            "name": vm.name.as_str(),
            "vcpus": vm.spec.vcpus,
            "memory_mib": vm.spec.memory_mib,
            "on": vm.node().map(ToString::to_string),
            "node": at_refuge(vm),
            "apart": apart,
        })
    };
    let node = |node: &Node| {
        let inventory = &node.inventory;
        json!({ "name": node.name.as_str(), "vcpus": inventory.vcpus, "memory_mib": inventory.memory_mib })
    };
    let servers: Vec<Value> = snap.vms.values().map(|entry| server(&entry.value)).collect();
    let (gone, nodes): (Vec<&Node>, Vec<&Node>) =
        snap.nodes.values().map(|entry| &entry.value).partition(|node| node.site == dark);
    let all = |nodes: Vec<&Node>| nodes.into_iter().map(node).collect::<Vec<Value>>();
    fs::create_dir_all(folder)?;
    let cloud = json!({ "nodes": all(nodes), "dark": all(gone), "servers": servers, "plan": plan });
    fs::write(folder.join(format!("{name}.json")), cloud.to_string())?;
    Ok(())
}
