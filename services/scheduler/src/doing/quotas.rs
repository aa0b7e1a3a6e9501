//! What is shown of projects: what they have, and what they may have.

use std::collections::BTreeMap;

use watari_chassis::{
    Snapshot,
    metrics::added,
    prometheus::{self, IntGaugeVec, Opts, Registry},
};
use watari_model::{
    ProjectName,
    project::{Project, Used},
    size::{GIB, MIB},
};

use crate::metric_names::{PROJECT_QUOTA, PROJECT_USED};

/// The handles. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Quotas {
    used: IntGaugeVec,
    quota: IntGaugeVec,
}

impl Quotas {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges =
            |name: &str, help: &str, labels: &[&str]| added(registry, IntGaugeVec::new(Opts::new(name, help), labels)?);
        Ok(Self {
            used: gauges(PROJECT_USED, "What a project has", &["project", "kind"])?,
            quota: gauges(PROJECT_QUOTA, "What a project may have", &["project", "kind"])?,
        })
    }

    /// Whoever does not lead shows none.
    pub(super) fn forget(&self) {
        self.used.reset();
        self.quota.reset();
    }

    /// Shows all projects: as many as `projects.most` allows, and the one of servers that name none.
    pub(crate) fn show(&self, projects: &Snapshot<Project>, mut used: BTreeMap<ProjectName, Used>) {
        used.entry(ProjectName::default()).or_default();
        self.forget();
        for entry in projects.values() {
            let Project { name, quota, .. } = &entry.value;
            let used = used.entry(name.clone()).or_default();
            for (most, (kind, _)) in quota.bounds().into_iter().zip(used.parts()) {
                if let Some(most) = most {
                    let (kind, most) = in_bytes(kind, most);
                    self.quota.with_label_values(&[name.as_str(), kind]).set(most);
                }
            }
        }
        for (name, used) in &used {
            for (kind, amount) in used.parts().into_iter().chain(used.beside_servers()) {
                let (kind, amount) = in_bytes(kind, amount);
                self.used.with_label_values(&[name.as_str(), kind]).set(amount);
            }
        }
    }
}

/// A kind and its amount as Prometheus has them, in units without a prefix.
fn in_bytes(kind: &'static str, amount: u64) -> (&'static str, i64) {
    let (kind, unit) = match kind {
        "memory_mib" => ("memory_bytes", MIB),
        "disk_gib" => ("disk_bytes", GIB),
        "kept_disk_gib" => ("kept_disk_bytes", GIB),
        "snapshots_gib" => ("snapshots_bytes", GIB),
        countable => (countable, 1),
    };
    (kind, i64::try_from(amount.saturating_mul(unit)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use time::OffsetDateTime;
    use watari_chassis::{Entry, prometheus::TextEncoder};
    use watari_model::{Timestamp, project::Quota, vm::Vm};

    use super::*;

    #[test]
    fn a_project_is_shown_with_what_it_has_and_what_it_may_have_until_the_process_leads_no_more() {
        let registry = Registry::new();
        let quotas = Quotas::register(&registry).unwrap();
        let at = Timestamp(OffsetDateTime::UNIX_EPOCH);
        let samples = include_str!("../../../../shared/contracts/tests/golden/document.vms.json");
        let mut vm = serde_json::from_str::<Vec<Vm>>(samples).unwrap().swap_remove(0);
        vm.project = "research".parse().unwrap();
        let used = Used::of(&vm).plus(Used::kept(3));
        let project = Project {
            v: 1,
            name: vm.project.clone(),
            note: String::new(),
            quota: Quota { servers: Some(3), ..Quota::default() },
            request_id: String::new(),
            created_at: at,
            changed_at: at,
        };
        let mut projects = Snapshot::<Project>::default();
        let entry = Arc::new(Entry { value: project, revision: 1, created: at });
        Arc::make_mut(&mut projects).insert("research".to_owned(), entry);
        quotas.show(&projects, BTreeMap::from([(vm.project, used)]));
        let shown = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let text = shown();
        for line in [
            "watari_scheduler_project_quota{kind=\"servers\",project=\"research\"} 3".to_owned(),
            "watari_scheduler_project_used{kind=\"servers\",project=\"research\"} 1".to_owned(),
            format!("watari_scheduler_project_used{{kind=\"vcpus\",project=\"research\"}} {}", used.vcpus),
            "watari_scheduler_project_used{kind=\"kept_disk_bytes\",project=\"research\"} 3221225472".to_owned(),
            "watari_scheduler_project_used{kind=\"servers\",project=\"default\"} 0".to_owned(),
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing:\n{text}");
        }
        assert!(!text.contains("watari_scheduler_project_quota{kind=\"vcpus\""), "there is no bound");
        quotas.forget();
        assert!(!shown().contains("project"), "{}", shown());
    }
}
