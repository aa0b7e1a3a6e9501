//! The clouds of the benchmark as a solver reads them (`loadtests/solver`).

use std::{fs, path::Path};

use serde_json::{Value, json};
use watari_model::vm::Vm;
use watari_scheduler::core::Snapshot;

use crate::Fault;

/// Writes a cloud with its evacuated servers, those that are at the other site, and how many the plan left behind.
pub(crate) fn write(folder: &Path, name: &str, snap: &Snapshot, left: usize) -> Result<(), Fault> {
    let dark = crate::cloud::dark()?;
    let at_refuge = |vm: &Vm| {
        let node = vm.node().and_then(|node| snap.nodes.get(node.as_str())).map(|entry| &entry.value);
        node.filter(|node| node.site != dark).map(|node| node.name.to_string())
    };
    let server = |vm: &Vm| {
        let apart: Vec<&str> = vm.spec.groups.iter().map(|membership| membership.group.as_str()).collect();
        json!({ "memory_mib": vm.spec.memory_mib, "node": at_refuge(vm), "apart": apart })
    };
    let servers: Vec<Value> = snap.vms.values().map(|entry| server(&entry.value)).collect();
    let refuge = snap.nodes.values().map(|entry| &entry.value).filter(|node| node.site != dark);
    let nodes: Vec<Value> =
        refuge.map(|node| json!({ "name": node.name.as_str(), "memory_mib": node.inventory.memory_mib })).collect();
    fs::create_dir_all(folder)?;
    let cloud = json!({ "nodes": nodes, "servers": servers, "left": left });
    fs::write(folder.join(format!("{name}.json")), cloud.to_string())?;
    Ok(())
}
