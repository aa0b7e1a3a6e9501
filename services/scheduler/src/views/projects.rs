//! A project's view.

use watari_contracts::scheduler::{Fault, ProjectView};
use watari_model::{
    ProjectName,
    project::{Project, Quota, Used},
};

/// A project of which so much is used.
pub(crate) fn project(project: &Project, used: Used) -> ProjectView {
    let Project { name, quota, .. } = project;
    ProjectView {
        name: name.clone(),
        note: project.note.clone(),
        quota: *quota,
        used,
        left: quota.left(used),
        warnings: quota.passed_by(name, used).iter().map(Fault::from).collect(),
        created_at: Some(project.created_at),
        changed_at: Some(project.changed_at),
    }
}

/// The project of servers that name none, while it is not bounded.
pub(crate) fn unbounded_project(used: Used) -> ProjectView {
    ProjectView {
        name: ProjectName::default(),
        note: String::new(),
        quota: Quota::default(),
        used,
        left: Quota::default(),
        warnings: Vec::new(),
        created_at: None,
        changed_at: None,
    }
}
