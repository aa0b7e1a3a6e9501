//! Requests about projects, and whether one has something left for a server. Whoever raises what a bounded project uses
//! waits for the turn [`USE`], decides by the documents, and writes before it gives the turn on: so a quota holds
//! whoever asks at the same time. Projects without a document, that is `default` until it is bounded, cost no turn.

use std::collections::BTreeMap;

use tokio::sync::OwnedMutexGuard;
use watari_chassis::{WriteError, clock};
use watari_contracts::scheduler::{
    CreateProject, DeleteProject, GetProject, ListProjects, ProjectPage, ProjectView, SetProject,
};
use watari_model::{
    ProjectName, Refusal, Timestamp, VmName,
    project::{Project, Quota, Used},
};

use super::{Desk, TRIES, check_request_id, find, newest, outages::check_note, unwritten};
use crate::{core::projects, views};

/// The turn of those by whom a project uses more, or may have less. No server's name has spaces.
pub(super) const USE: &str = "what projects use";
/// So many servers and disks are named by which a project is in use.
const NAMED: usize = 5;

impl Desk {
    pub(super) async fn create_project(self, request: CreateProject) -> Result<ProjectView, Refusal> {
        check_request_id(request.request_id.as_deref())?;
        check_note(&request.note)?;
        let now = clock::now();
        let wanted = Project {
            v: 1,
            name: request.name,
            note: request.note,
            quota: request.quota,
            request_id: request.request_id.unwrap_or_default(),
            created_at: now,
            changed_at: now,
        };
        let _turn = self.turns.take(USE).await;
        if let Some(entry) = find(&self.stores().projects, wanted.name.as_str()).await? {
            return self.same(&entry.value, &wanted);
        }
        // It is there without a document.
        if wanted.name.is_default() {
            return Err(Refusal::ProjectExists { project: wanted.name.to_string() });
        }
        self.has_room()?;
        match self.stores().projects.create(&wanted).await {
            Ok(_) => Ok(self.show_project(&wanted)),
            Err(WriteError::Exists { .. }) => match newest(&self.stores().projects, wanted.name.as_str()).await? {
                Some(entry) => self.same(&entry.value, &wanted),
                None => Err(Refusal::NoAnswer { who: "the bus".to_owned() }),
            },
            Err(error) => Err(unwritten(&error)),
        }
    }

    pub(super) async fn get_project(self, request: GetProject) -> Result<ProjectView, Refusal> {
        match find(&self.stores().projects, request.name.as_str()).await? {
            Some(entry) => Ok(self.show_project(&entry.value)),
            None if request.name.is_default() => Ok(views::unbounded_project(self.used(&request.name))),
            None => Err(unknown(&request.name)),
        }
    }

    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn list_projects(self, _: ListProjects) -> Result<ProjectPage, Refusal> {
        let mut used = projects::used(&self.stores().snapshot());
        let mut views: BTreeMap<ProjectName, ProjectView> = BTreeMap::new();
        for entry in self.stores().projects.snapshot().values() {
            let project = &entry.value;
            let used = used.remove(&project.name).unwrap_or_default();
            views.insert(project.name.clone(), views::project(project, used));
        }
        let default = ProjectName::default();
        let used = used.remove(&default).unwrap_or_default();
        views.entry(default).or_insert_with(|| views::unbounded_project(used));
        Ok(ProjectPage { projects: views.into_values().collect() })
    }

    pub(super) async fn set_project(self, request: SetProject) -> Result<ProjectView, Refusal> {
        request.note.as_deref().map_or(Ok(()), check_note)?;
        let bounds = [request.servers, request.vcpus, request.memory_mib, request.disk_gib];
        if request.note.is_none() && bounds.iter().all(Option::is_none) {
            let detail = "none of note, servers, vcpus, memory_mib and disk_gib is given".to_owned();
            return Err(Refusal::Malformed { detail });
        }
        let _turn = self.turns.take(USE).await;
        let name = request.name.as_str();
        let mut there = find(&self.stores().projects, name).await?;
        for _ in 0..TRIES {
            let now = clock::now();
            let before = match &there {
                Some(entry) => entry.value.clone(),
                None if request.name.is_default() => unset(now),
                None => return Err(unknown(&request.name)),
            };
            let mut project = Project { changed_at: now, ..before.clone() };
            set(&mut project, &request);
            if (&project.note, project.quota) == (&before.note, before.quota) {
                return Ok(match there {
                    Some(_) => self.show_project(&before),
                    None => views::unbounded_project(self.used(&request.name)),
                });
            }
            let written = match &there {
                Some(entry) => self.stores().projects.update(&project, entry.revision).await,
                None => {
                    self.has_room()?;
                    self.stores().projects.create(&project).await
                }
            };
            match written {
                Ok(_) => return Ok(self.show_project(&project)),
                Err(WriteError::Conflict { .. } | WriteError::Exists { .. }) => {
                    there = newest(&self.stores().projects, name).await?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: format!("the document of project {name}") })
    }

    pub(super) async fn delete_project(self, request: DeleteProject) -> Result<ProjectView, Refusal> {
        let (name, project) = (request.name.as_str(), request.name.to_string());
        if request.name.is_default() {
            return Err(Refusal::ProjectDefault { project });
        }
        let _turn = self.turns.take(USE).await;
        let mut entry = find(&self.stores().projects, name).await?.ok_or_else(|| unknown(&request.name))?;
        if let Some(users) = self.users_of(&request.name) {
            return Err(Refusal::ProjectInUse { project, users });
        }
        for _ in 0..TRIES {
            match self.stores().projects.delete(name, entry.revision).await {
                Ok(_) => return Ok(self.show_project(&entry.value)),
                Err(WriteError::Conflict { .. }) => {
                    entry = newest(&self.stores().projects, name).await?.ok_or_else(|| unknown(&request.name))?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: format!("the document of project {name}") })
    }

    /// The turn in which a server of the project is made; none where there is no bound that could be passed.
    pub(super) async fn project_turn(&self, project: &ProjectName) -> Option<OwnedMutexGuard<()>> {
        if project.is_default() && self.stores().projects.get(project.as_str()).is_none() {
            return None;
        }
        Some(self.turns.take(USE).await)
    }

    /// Whether a project may have so much more for a server. What it says holds as long as the caller has the turn.
    pub(super) fn admits(&self, project: &ProjectName, vm: &VmName, more: Used) -> Result<(), Refusal> {
        let quota = match self.stores().projects.get(project.as_str()) {
            Some(entry) => entry.value.quota,
            None if project.is_default() => return Ok(()),
            None => return Err(unknown(project)),
        };
        // Adding up takes the longer the more servers there are.
        if quota == Quota::default() {
            return Ok(());
        }
        quota.admits(project, vm, self.used(project), more)
    }

    fn used(&self, project: &ProjectName) -> Used {
        projects::used_by(&self.stores().snapshot(), project)
    }

    /// The first servers and kept disks of a project, and how many more there are; none if there is none.
    fn users_of(&self, project: &ProjectName) -> Option<String> {
        let snap = self.stores().snapshot();
        let vms = snap.vms.values().map(|entry| &entry.value).filter(|vm| vm.project == *project);
        let kept = projects::kept_of(&snap, project).filter_map(|kept| kept.name());
        let mut users = vms.map(|vm| vm.name.to_string()).chain(kept.map(|disk| disk.to_string()));
        let named: Vec<String> = users.by_ref().take(NAMED).collect();
        let more = users.count();
        let rest = if more > 0 { format!(", … (+{more})") } else { String::new() };
        (!named.is_empty()).then(|| format!("{}{rest}", named.join(", ")))
    }

    fn show_project(&self, project: &Project) -> ProjectView {
        views::project(project, self.used(&project.name))
    }

    fn has_room(&self) -> Result<(), Refusal> {
        let limit = self.most_projects;
        if self.stores().projects.snapshot().len() < limit {
            return Ok(());
        }
        Err(Refusal::ProjectsFull { limit: limit.to_string() })
    }

    /// A project that is there already is what was asked for if this very request has made it.
    fn same(&self, there: &Project, wanted: &Project) -> Result<ProjectView, Refusal> {
        if wanted.request_id.is_empty() || there.request_id != wanted.request_id {
            return Err(Refusal::ProjectExists { project: wanted.name.to_string() });
        }
        // It may have been changed since; what it was at first is not known then.
        let untouched = there.changed_at == there.created_at;
        if untouched && (&there.note, there.quota) != (&wanted.note, wanted.quota) {
            return Err(Refusal::RequestIdReused { request_id: wanted.request_id.clone() });
        }
        Ok(self.show_project(there))
    }
}

/// The project of servers that name none, as it is before anybody bounds it.
fn unset(now: Timestamp) -> Project {
    Project {
        v: 1,
        name: ProjectName::default(),
        note: String::new(),
        quota: Quota::default(),
        request_id: String::new(),
        created_at: now,
        changed_at: now,
    }
}

fn set(project: &mut Project, request: &SetProject) {
    if let Some(note) = &request.note {
        project.note.clone_from(note);
    }
    let quota = &mut project.quota;
    for (most, bound) in [
        (&mut quota.servers, request.servers),
        (&mut quota.vcpus, request.vcpus),
        (&mut quota.memory_mib, request.memory_mib),
        (&mut quota.disk_gib, request.disk_gib),
    ] {
        if let Some(bound) = bound {
            *most = bound.most();
        }
    }
}

fn unknown(project: &ProjectName) -> Refusal {
    Refusal::ProjectUnknown { project: project.to_string() }
}
