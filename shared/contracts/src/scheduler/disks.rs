//! Disks of deleted servers, kept on the nodes where they were.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{DiskName, ImageName, NodeName, ProjectName, SiteName, Timestamp, VmName};

/// Show one kept disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetDisk {
    /// Which.
    pub name: DiskName,
}

/// List kept disks, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListDisks {
    /// Only those of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// Only those after this name: the `next` of the page before.
    #[serde(default)]
    pub after: Option<DiskName>,
    /// At most so many, 1 to 1,000; 500 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// One page of kept disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskPage {
    /// The disks.
    pub disks: Vec<DiskView>,
    /// Give this as `after` for the next page; none after the last.
    pub next: Option<DiskName>,
}

/// Delete a kept disk that no server begins with. Its node must be heard: it is done when this is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteDisk {
    /// Which.
    pub name: DiskName,
}

/// A kept disk as people and programs see it. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskView {
    /// Its name.
    pub name: DiskName,
    /// The server that it was of.
    pub vm: VmName,
    /// The project of that server, with which it is still counted; none if its node does not know.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Where it is.
    pub node: NodeName,
    /// The site of that node.
    pub site: SiteName,
    /// The image under it.
    pub image: ImageName,
    /// What a guest sees, in GiB.
    pub disk_gib: u64,
    /// What its files take, in bytes.
    pub size_bytes: u64,
    /// The server that is to begin with it, if one is.
    pub used_by: Option<VmName>,
    /// Since when it is kept.
    pub kept_at: Timestamp,
}
