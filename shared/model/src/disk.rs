//! A kept disk: what stays of a server that was deleted with its disk kept, at the node where it was. Its node tells
//! of it, and no other document has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DiskName, NotAName, ProjectName, Timestamp, VmName, size::GIB, vm::Base};

/// As many as a node keeps.
pub const MOST_KEPT: usize = 128;

/// A kept disk, known by the UUID of the server that it was of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptDisk {
    /// That server's name.
    pub vm: VmName,
    /// The project that the server was of; none if an agent kept it that did not note that yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The image under it.
    pub base: Base,
    /// What a guest sees, in GiB.
    pub disk_gib: u64,
    /// What its files take, in bytes.
    pub size_bytes: u64,
    /// Since when it is kept.
    pub kept_at: Timestamp,
}

impl KeptDisk {
    /// How much it is counted with, in GiB: as large as its server's was, since whoever begins with it may fill it; or what
    /// lies there if that is more, since what snapshots kept stays with it.
    #[must_use]
    pub fn counted_gib(&self) -> u64 {
        self.disk_gib.max(self.size_bytes.div_ceil(GIB))
    }
}

impl DiskName {
    /// How the disk of that server is called once it is kept: by the server's name, and by so much of its UUID that
    /// the disks of servers of one name can be told apart.
    ///
    /// # Errors
    /// [`NotAName`] if it is no UUID.
    pub fn of(vm: &VmName, uuid: &str) -> Result<Self, NotAName> {
        // Together at most as long as a label may be.
        let (vm, digits) = (vm.as_str().chars().take(54).collect::<String>(), uuid.chars().take(8).collect::<String>());
        format!("{vm}-{digits}").parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_disk_counts_as_large_as_its_servers_was_or_as_what_lies_there() {
        let base = serde_json::json!({"image": "mini", "sha256": "0a".repeat(32), "format": "qcow2"});
        let told = serde_json::json!({
            "vm": "mail", "base": base, "disk_gib": 2, "size_bytes": 7, "kept_at": "2026-11-23T09:00:00Z",
        });
        let mut disk: KeptDisk = serde_json::from_value(told).unwrap();
        assert_eq!(disk.project, None, "an agent of before does not say");
        for (disk_gib, size_bytes, counted) in [(2, 0, 2), (2, 2 * GIB, 2), (2, 2 * GIB + 1, 3)] {
            (disk.disk_gib, disk.size_bytes) = (disk_gib, size_bytes);
            assert_eq!(disk.counted_gib(), counted);
        }
    }

    #[test]
    fn a_kept_disk_is_called_by_its_server_and_longer_than_a_label_never() {
        let uuid = "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41";
        let name = |vm: &str| DiskName::of(&vm.parse().unwrap(), uuid).map(|name| name.to_string());
        assert_eq!(name("mail"), Ok("mail-7b1d4c2e".to_owned()));
        assert_eq!(name(&"m".repeat(63)).unwrap().len(), 63);
        assert!(DiskName::of(&"mail".parse().unwrap(), "").is_err());
    }
}
