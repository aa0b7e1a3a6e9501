//! Cutting the connections over which a domain's disks are being copied to another node.
//!
//! libvirt ends such a copy by QEMU's `block-job-cancel`, which waits for the requests that are under way, even by force.
//! QEMU's NBD client gives them up when their connection ends, and on one that carries nothing any more the kernel takes a
//! quarter of an hour to say so. `yank` is made for that (QEMU 6.0): it shuts the connection down, the requests fail, and
//! the job ends as it was asked to. Memory needs no such thing: `migrate_cancel` shuts its connection down by itself.

use serde_json::{Value, json};

use super::Hypervisor;
use super::error::{Error, Result};

/// How libvirt calls the nodes that a migration's disks are copied to (`migration-vda-storage`). What a guest's disks are
/// made of it calls `libvirt-…`.
const COPY: &str = "migration-";

impl Hypervisor {
    /// One of QEMU's own commands (QMP), and what it returns. libvirt says in its log that the domain is tainted by that.
    ///
    /// # Errors
    /// No such domain, or it does not run; QEMU refuses, or does not know the command; libvirt's own.
    pub async fn qmp(&self, name: &str, command: &Value) -> Result<Value> {
        let command = command.to_string();
        let ask = self.on_domain("send QEMU a command", name, move |domain| domain.qemu_monitor_command(&command, 0));
        returned(&ask.await?)
    }

    /// Cuts the connections over which the domain's disks are copied to another node, if there are any, and says which by
    /// the names of their nodes. To be called once the copy has been broken off: it fails by this.
    ///
    /// # Errors
    /// As [`Self::qmp`]; one of them has just ended by itself.
    pub async fn cut_copy(&self, name: &str) -> Result<Vec<String>> {
        let nodes = copies(&self.qmp(name, &json!({ "execute": "query-yank" })).await?);
        if !nodes.is_empty() {
            self.qmp(name, &yank(&nodes)).await?;
        }
        Ok(nodes)
    }
}

fn returned(reply: &str) -> Result<Value> {
    let failed = |stderr: String| Error::Program { program: "QEMU", act: "do as it was told", stderr };
    let mut reply: Value = serde_json::from_str(reply).map_err(|error| failed(error.to_string()))?;
    match reply.get_mut("return") {
        Some(value) => Ok(value.take()),
        None => Err(failed(reply["error"].to_string())),
    }
}

/// Of what can be cut, the nodes to which disks are copied: libvirt's own connection to QEMU is among the rest.
fn copies(instances: &Value) -> Vec<String> {
    let instances = instances.as_array().into_iter().flatten();
    let nodes = instances.filter(|of| of["type"] == "block-node").filter_map(|of| of["node-name"].as_str());
    nodes.filter(|node| node.starts_with(COPY)).map(str::to_owned).collect()
}

fn yank(nodes: &[String]) -> Value {
    let instances: Vec<Value> = nodes.iter().map(|node| json!({ "type": "block-node", "node-name": node })).collect();
    json!({ "execute": "yank", "arguments": { "instances": instances } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nodes_that_a_migration_copies_disks_to_are_cut() {
        // As QEMU 10.0.2 says it, but for the nodes that are no copies: disks are files here.
        let reply = r#"{"return": [{"type": "chardev", "id": "charmonitor"}, {"type": "chardev", "id": "charchannel0"},
            {"node-name": "migration-vda-storage", "type": "block-node"},
            {"node-name": "libvirt-1-storage", "type": "block-node"},
            {"node-name": "migration-vdb-storage", "type": "block-node"}, {"type": "migration"}], "id": "libvirt-42"}"#;
        let nodes = copies(&returned(reply).unwrap());
        assert_eq!(nodes, ["migration-vda-storage", "migration-vdb-storage"]);
        let wanted = r#"{"execute": "yank", "arguments": {"instances": [
            {"type": "block-node", "node-name": "migration-vda-storage"},
            {"type": "block-node", "node-name": "migration-vdb-storage"}]}}"#;
        assert_eq!(yank(&nodes), serde_json::from_str::<Value>(wanted).unwrap());
        assert!(copies(&returned(r#"{"return": []}"#).unwrap()).is_empty(), "nothing is copied");
    }

    #[test]
    fn what_qemu_refuses_is_no_answer() {
        let refused = r#"{"id":"libvirt-42","error":{"class":"DeviceNotFound","desc":"Instance not found"}}"#;
        assert!(returned(refused).unwrap_err().to_string().contains("Instance not found"));
        assert!(returned("no JSON").is_err() && returned("{}").is_err());
    }
}
