//! A kept disk: what stays of a server that was deleted with its disk kept, at the node where it was. Its node tells
//! of it, and no other document has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DiskName, NotAName, Timestamp, VmName, vm::Base};

/// As many as a node keeps.
pub const MOST_KEPT: usize = 128;

/// A kept disk, known by the UUID of the server that it was of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptDisk {
    /// That server's name.
    pub vm: VmName,
    /// The image under it.
    pub base: Base,
    /// What a guest sees, in GiB.
    pub disk_gib: u64,
    /// What its files take, in bytes.
    pub size_bytes: u64,
    /// Since when it is kept.
    pub kept_at: Timestamp,
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
    fn a_kept_disk_is_called_by_its_server_and_longer_than_a_label_never() {
        let uuid = "7b1d4c2e-9a53-4c36-8f0e-2d6a1f0b9c41";
        let name = |vm: &str| DiskName::of(&vm.parse().unwrap(), uuid).map(|name| name.to_string());
        assert_eq!(name("mail"), Ok("mail-7b1d4c2e".to_owned()));
        assert_eq!(name(&"m".repeat(63)).unwrap().len(), 63);
        assert!(DiskName::of(&"mail".parse().unwrap(), "").is_err());
    }
}
