//! How much a server used, from what was written of it. Pure: it is handed the writes, oldest first, and the disks that
//! were kept when servers of its name were deleted.

use std::collections::{BTreeMap, BTreeSet};

use watari_model::{
    ProjectName, Timestamp,
    vm::{Size, State, Vm},
};

/// A server's first document is written a moment after it was asked for. What is longer than this is time of
/// which the history has nothing.
const FIRST_WRITE_MS: u64 = 60_000;

/// One write of a server's document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It was so from then on.
    Is(Form),
    /// It was gone from then on.
    Gone,
    /// The document is not to be read; what was before is taken to go on.
    Unreadable,
}

/// What of a server's document use depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) uuid: String,
    pub(crate) project: ProjectName,
    pub(crate) created: Timestamp,
    /// Its disk with what is kept for its snapshots.
    pub(crate) size: Size,
    /// Whether it has, or may have, a disk: it was given to a node.
    pub(crate) placed: bool,
    pub(crate) runs: bool,
}

impl Seen {
    /// Reads a document; none if it was too large to be kept.
    pub(crate) fn document(text: Option<&str>) -> Self {
        match text.and_then(|text| serde_json::from_str::<Vm>(text).ok()) {
            Some(vm) => Self::Is(Form::from(&vm)),
            None => Self::Unreadable,
        }
    }
}

impl From<&Vm> for Form {
    fn from(vm: &Vm) -> Self {
        // From when it is seen running until it is seen off.
        let runs = matches!(vm.state, State::Running | State::Migrating | State::Stopping);
        let (uuid, project) = (vm.uuid.clone(), vm.project.clone());
        let (created, mut size, placed) = (vm.created_at, vm.spec.size(), vm.grant.is_some());
        size.disk_gib = size.disk_gib.saturating_add(vm.snapshots.kept_gib());
        Self { uuid, project, created, size, placed, runs }
    }
}

/// What was used, in milliseconds and products with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) servers: u32,
    pub(crate) existed_ms: u64,
    pub(crate) ran_ms: u64,
    pub(crate) vcpu_ms: u64,
    pub(crate) memory_mib_ms: u64,
    pub(crate) disk_gib_ms: u64,
    pub(crate) unknown_ms: u64,
}

/// Adds up what the servers of one name used between two moments, by project.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    last: Option<(Timestamp, Form)>,
    /// The projects with which the server that was seen last is counted.
    counted: BTreeSet<ProjectName>,
    sums: BTreeMap<ProjectName, Sum>,
}

impl Meter {
    pub(crate) fn new(from: Timestamp, until: Timestamp) -> Self {
        Self { from, until, last: None, counted: BTreeSet::new(), sums: BTreeMap::new() }
    }

    /// Takes the next write, which is not older than the one before.
    pub(crate) fn see(&mut self, at: Timestamp, seen: Seen) {
        match seen {
            Seen::Unreadable => {}
            Seen::Gone => {
                self.count_until(at);
                self.last = None;
            }
            Seen::Is(form) if self.last.as_ref().is_some_and(|(_, last)| last.uuid == form.uuid) => {
                self.count_until(at);
                self.last = Some((at, form));
            }
            Seen::Is(form) => {
                // The end of the one before, of which nothing was heard, was not later than this.
                self.count_until(form.created.min(at));
                self.counted.clear();
                if at.millis_since(form.created) > FIRST_WRITE_MS {
                    let unknown = self.clipped(form.created, at);
                    // With the first project that is known of it.
                    let sum = self.sum_of(&form.project, unknown);
                    sum.unknown_ms = sum.unknown_ms.saturating_add(unknown);
                }
                self.last = Some((at, form));
            }
        }
    }

    /// Takes a disk that was kept, until the end if it still is. From when it is kept until its server's document is gone,
    /// some seconds later, it is counted with both.
    pub(crate) fn keep(&mut self, project: ProjectName, disk_gib: u64, since: Timestamp, end: Option<Timestamp>) {
        let ms = self.clipped(since, end.unwrap_or(self.until));
        let sum = self.sums.entry(project).or_default();
        sum.disk_gib_ms = sum.disk_gib_ms.saturating_add(disk_gib.saturating_mul(ms));
    }

    /// What was used with each project, the time from the last write to the end among it.
    pub(crate) fn done(mut self) -> BTreeMap<ProjectName, Sum> {
        self.count_until(self.until);
        self.sums.retain(|_, sum| sum.servers > 0 || sum.disk_gib_ms > 0);
        self.sums
    }

    fn count_until(&mut self, end: Timestamp) {
        let Some((since, form)) = self.last.take() else { return };
        let ms = self.clipped(since, end);
        let product = |amount: u64| amount.saturating_mul(ms);
        let sum = self.sum_of(&form.project, ms);
        sum.existed_ms = sum.existed_ms.saturating_add(ms);
        if form.placed {
            sum.disk_gib_ms = sum.disk_gib_ms.saturating_add(product(form.size.disk_gib));
        }
        if form.runs {
            sum.ran_ms = sum.ran_ms.saturating_add(ms);
            sum.vcpu_ms = sum.vcpu_ms.saturating_add(product(form.size.vcpus.into()));
            sum.memory_mib_ms = sum.memory_mib_ms.saturating_add(product(form.size.memory_mib));
        }
    }

    /// What was used with a project, where the server that was seen last counts once it was there for a while.
    fn sum_of(&mut self, project: &ProjectName, ms: u64) -> &mut Sum {
        let sum = self.sums.entry(project.clone()).or_default();
        if ms > 0 && self.counted.insert(project.clone()) {
            sum.servers = sum.servers.saturating_add(1);
        }
        sum
    }

    /// The milliseconds between two moments that lie in the window.
    fn clipped(&self, since: Timestamp, end: Timestamp) -> u64 {
        end.min(self.until).millis_since(since.max(self.from))
    }
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
