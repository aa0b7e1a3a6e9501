//! The files of copies, and clearing away what an agent before this one left behind.
//!
//! A marker is there from before anything is done until everything is cleared away. libvirt goes on
//! with a copy when the agent is gone, and so does qemu-img; and the guest's file systems may be frozen.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc};

use watari_contracts::saving::Stage;
use watari_model::{Refusal, VmName};

use super::{Save, Saves, WANTED, copying};
use crate::{blueprint, hypervisor::copy, node::Node};

/// Writes down that a server's disk is about to be copied. What is there of an older copy goes.
///
/// # Errors
/// The file cannot be written.
pub(super) async fn mark(node: &Node, vm: &VmName, uuid: &str) -> Result<(), Refusal> {
    remove(node, uuid).await;
    let written = tokio::fs::write(node.layout.save_marker(uuid), vm.as_str()).await;
    written.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => Refusal::DiskFull { node: node.name.to_string(), detail: error.to_string() },
        _ => Refusal::Internal { detail: format!("a copy cannot be begun: {error}") },
    })
}

/// Removes the files of a copy, the marker last.
pub(super) async fn remove(node: &Node, uuid: &str) {
    for path in [node.layout.save(uuid), node.layout.save_marker(uuid)] {
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "a part of a copy stays");
            }
            _ => {}
        }
    }
}

impl Saves {
    /// Clears away what an agent before this one left behind, beside everything else. Until that is done,
    /// orders that need the disk wait for it, and nothing of that server is copied.
    pub fn sweep(&self, node: &Arc<Node>) {
        let left = match left(&node.layout.saves()) {
            Ok(left) => left,
            Err(error) => {
                tracing::error!(%error, "what is left of copies cannot be looked at");
                return;
            }
        };
        for (uuid, vm) in left {
            let save = Arc::new(Save::left_over());
            self.desk().seats.entry(uuid.clone()).or_default().save = Some(Arc::clone(&save));
            let node = Arc::clone(node);
            tokio::spawn(async move {
                clear(&node, vm.as_ref(), &uuid).await;
                save.has_read();
                let gone = Refusal::AgentState {
                    vm: vm.map(|vm| vm.to_string()).unwrap_or_default(),
                    node: node.name.to_string(),
                    state: "left in the middle, since the agent was restarted,".to_owned(),
                    wanted: WANTED.to_owned(),
                };
                save.tell(Stage::Failed(gone));
            });
        }
    }
}

/// The servers of whose copies there is something, and their names as far as they are known.
fn left(folder: &Path) -> io::Result<BTreeMap<String, Option<VmName>>> {
    let mut found: BTreeMap<String, Option<VmName>> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| blueprint::is_uuid(stem));
        let Some(uuid) = stem else { continue };
        let is_marker = path.extension().is_some_and(|extension| extension == "saving");
        let named = || -> Option<VmName> { fs::read_to_string(&path).ok()?.parse().ok() };
        let vm = if is_marker { named() } else { None };
        let known = found.entry(uuid.to_owned()).or_default();
        *known = vm.or(known.take());
    }
    Ok(found)
}

async fn clear(node: &Node, vm: Option<&VmName>, uuid: &str) {
    tracing::info!(uuid, "clearing away what is left of a copy");
    if let Err(error) = copy::end_left_over(&node.layout.save(uuid)).await {
        tracing::warn!(uuid, %error, "a copy that an earlier agent began may still go on");
    }
    if let Some(vm) = vm {
        node.hypervisor.ready().await;
        if let Err(refusal) = copying::end(node, vm).await {
            tracing::warn!(%vm, %refusal, "a copy that an earlier agent began goes on");
        }
        if let Err(error) = node.hypervisor.thaw(vm.as_str()).await {
            tracing::debug!(%vm, %error, "nothing is thawed");
        }
    }
    remove(node, uuid).await;
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    #[test]
    fn what_is_left_is_known_by_its_files_and_nothing_else_is_touched() {
        let folder = TempDir::new();
        let (first, second) = ("4dea22b3-1d52-48f3-9d2c-0c0d8e1a7b6f", "0c5a1a86-51b5-4a3f-9c35-b2f6c1b5a0de");
        for (name, text) in [
            (format!("{first}.saving"), "mail"),
            (format!("{first}.qcow2"), ""),
            (format!("{second}.qcow2"), ""),
            ("notes.txt".to_owned(), "somebody's"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let found = left(folder.path()).unwrap();
        let known: Vec<_> = found.iter().map(|(uuid, vm)| (uuid.as_str(), vm.as_ref().map(VmName::as_str))).collect();
        assert_eq!(known, [(second, None), (first, Some("mail"))]);
    }
}
