//! What the monitor's history answers: who did what, when and why, and how much was used.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use watari_model::{ProjectName, Timestamp, VmName};

/// Why a document was written that a backup put back: nobody asked a service for it.
pub const RESTORE: &str = "backup.restore";

/// Who did what, when and why, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListHistory {
    /// Only changes of this kind of resource: `vms`, `nodes`, `migrations`, …
    #[serde(default)]
    pub bucket: Option<String>,
    /// Only those of this resource.
    #[serde(default)]
    pub key: Option<String>,
    /// Only those from this moment on.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Only those before this moment.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Only those by whom this is a part of the name of, in whatever case.
    #[serde(default)]
    pub by: Option<String>,
    /// Only those before this one: the `next` of the page before.
    #[serde(default)]
    pub before: Option<Place>,
    /// At most so many, 1 to 200; 50 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Where a change stands among all: every front end's history has it at the same place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// When it was written.
    pub at: Timestamp,
    /// The kind of resource.
    pub bucket: String,
    /// The document's revision.
    pub revision: u64,
}

/// Changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPage {
    /// Newest first.
    pub changes: Vec<HistoryChange>,
    /// Give this as `before` for the next page; none after the last.
    pub next: Option<Place>,
}

/// One change of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryChange {
    /// When it was written.
    pub at: Timestamp,
    /// The kind of resource.
    pub bucket: String,
    /// The resource.
    pub key: String,
    /// The document's revision.
    pub revision: u64,
    /// Who: a person as `operator@192.0.2.10 (sato)`, where the last is what the command says of itself and
    /// not proven, or a process by its name. None if it was written before that was noted.
    pub by: Option<String>,
    /// The request that asked for it, such as `vm.resize`; none for what a process did by itself.
    pub why: Option<String>,
    /// One line for people, such as `mail: running → migrating`.
    pub summary: String,
    /// What of the document changed.
    pub fields: Vec<FieldChange>,
    /// How many more fields changed.
    pub fields_left_out: u32,
}

/// One field before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// Which, such as `spec.memory_mib`.
    pub field: String,
    /// What it was, as JSON and cut if it is long; none if there was none.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
}

/// Say how much servers used, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportUsage {
    /// From this moment on.
    pub from: Timestamp,
    /// Until this moment, or now if that is earlier.
    pub until: Timestamp,
    /// Only servers of this name.
    #[serde(default)]
    pub vm: Option<VmName>,
    /// Only while they were of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// Only names after this one: the `next` of the page before.
    #[serde(default)]
    pub after: Option<VmName>,
    /// At most so many names, 1 to 50; 50 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsagePage {
    /// By name, and by project.
    pub servers: Vec<Usage>,
    /// Give this as `after` for the next page; none after the last.
    pub next: Option<VmName>,
}

/// What the servers of one name used while they were of one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// The name.
    pub vm: VmName,
    /// The project.
    #[serde(default)]
    pub project: ProjectName,
    /// How many servers had this name, one after another.
    pub servers: u32,
    /// How long there was one, in seconds.
    pub existed_seconds: u64,
    /// How long it ran.
    pub ran_seconds: u64,
    /// Virtual CPUs times seconds, while it ran.
    pub vcpu_seconds: u64,
    /// MiB of memory times seconds, while it ran.
    pub memory_mib_seconds: u64,
    /// GiB of disk times seconds: its own from when it was given to a node until it was gone, what is kept for its
    /// snapshots, and disks that were kept when servers of the name were deleted.
    pub disk_gib_seconds: u64,
    /// How long there was one of which the history does not reach back to say more. This is in no
    /// other number.
    pub unknown_seconds: u64,
}

/// A person's name in place of the key with which a question was signed, if `people` says what that is called.
#[must_use]
pub fn named(by: &str, people: &BTreeMap<String, String>) -> String {
    let known = by.split_once('@').and_then(|(key, rest)| Some((people.get(key)?, rest)));
    known.map_or_else(|| by.to_owned(), |(name, rest)| format!("{name}@{rest}"))
}

/// The names of the fields in which two forms of a document differ, for one line; of many only the first, and none
/// if only the time of the change does or one of them is no object.
#[must_use]
pub fn changed_fields(before: &Value, after: &Value) -> Option<String> {
    const TOLD: usize = 5;
    let (old, new) = (before.as_object()?, after.as_object()?);
    let differs =
        |name: &&String| !["changed_at", "trace"].contains(&name.as_str()) && old.get(*name) != new.get(*name);
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).filter(differs).map(String::as_str).collect();
    let more = if names.len() > TOLD { ", ..." } else { "" };
    let named: Vec<&str> = names.into_iter().take(TOLD).collect();
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_called_by_its_name_where_one_is_known() {
        let people = BTreeMap::from([("UABC".to_owned(), "operator".to_owned())]);
        assert_eq!(named("UABC@192.0.2.10 (sato)", &people), "operator@192.0.2.10 (sato)");
        for other in ["UXYZ@192.0.2.10", "scheduler.m-front", "UABC", ""] {
            assert_eq!(named(other, &people), other);
        }
    }
}
