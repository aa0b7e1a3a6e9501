//! Projects: servers that are counted together, and how much they may have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{
    ProjectName, Timestamp,
    project::{Bound, Quota, Used},
};

use super::Fault;

/// Make a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The project's name.
    pub name: ProjectName,
    /// What it is for, in one line of at most 200 characters.
    #[serde(default)]
    pub note: String,
    /// How much it may have; unbounded what is left out.
    #[serde(default)]
    pub quota: Quota,
}

/// Show one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetProject {
    /// Which.
    pub name: ProjectName,
}

/// List projects, by name. `default`, the project of servers that name none, is always among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListProjects {}

/// Projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectPage {
    /// By name.
    pub projects: Vec<ProjectView>,
}

/// Change how much a project may have. A bound below what is used takes nothing away; it refuses what uses more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetProject {
    /// Which. `default` may be bounded as well.
    pub name: ProjectName,
    /// What it is for; as before if left out.
    #[serde(default)]
    pub note: Option<String>,
    /// Servers; as before if left out.
    #[serde(default)]
    pub servers: Option<Bound>,
    /// Virtual CPUs; as before if left out.
    #[serde(default)]
    pub vcpus: Option<Bound>,
    /// Memory in MiB; as before if left out.
    #[serde(default)]
    pub memory_mib: Option<Bound>,
    /// Disk in GiB, with snapshots and kept disks; as before if left out.
    #[serde(default)]
    pub disk_gib: Option<Bound>,
}

/// Forget a project that has no servers and no kept disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteProject {
    /// Which.
    pub name: ProjectName,
}

/// A project as people and programs see it. The field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectView {
    /// Its name.
    pub name: ProjectName,
    /// What it is for.
    pub note: String,
    /// How much it may have.
    pub quota: Quota,
    /// What it has, whether its servers run or not.
    pub used: Used,
    /// What is left, where there is a bound.
    pub left: Quota,
    /// That it uses more than it may, as after a bound was lowered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Fault>,
    /// When it was made; none of `default` while it is not bounded.
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    pub changed_at: Option<Timestamp>,
}
