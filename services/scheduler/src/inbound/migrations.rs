//! Requests about migrations.

use std::cmp::Reverse;

use watari_chassis::{WriteError, clock, telemetry::trace};
use watari_contracts::scheduler::{
    CancelMigration, GetMigration, ListMigrations, MigrateVm, MigrationPage, MigrationPlace, MigrationView,
};
use watari_model::{
    NodeName, Refusal,
    migration::{Migration, Reason, State},
    vm::{self, Desired, Vm},
};

use super::{Desk, TRIES, check_request_id, fill, find, newest, page, unwritten};
use crate::{
    core::{Need, Rooms, Snapshot, check, choose, next_migration, stands_still},
    views,
};

impl Desk {
    pub(super) async fn migrate_vm(self, request: MigrateVm) -> Result<MigrationView, Refusal> {
        check_request_id(request.request_id.as_deref())?;
        let _turn = self.turns.take(request.name.as_str()).await;
        let name = request.name.to_string();
        for _ in 0..TRIES {
            let Some(entry) = find(&self.stores().vms, &name).await? else {
                return Err(Refusal::VmUnknown { vm: name });
            };
            let snap = self.executor.view();
            if let Some(known) = asked_before(&snap, &request)? {
                return Ok(views::migration(&snap, known));
            }
            let migration = self.new_migration(&snap, &entry.value, &request)?;
            match self.stores().migrations.create(&migration).await {
                Ok(_) => return Ok(views::migration(&snap, &migration)),
                // An evacuation took the number; look again.
                Err(WriteError::Exists { .. }) => self.stores().migrations.relist(),
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: "the bus".to_owned() })
    }

    fn new_migration(&self, snap: &Snapshot, vm: &Vm, request: &MigrateVm) -> Result<Migration, Refusal> {
        let name = vm.name.to_string();
        let active = snap.migrations.values().find(|m| m.value.vm == vm.name && !m.value.state.over());
        if let Some(active) = active {
            return Err(Refusal::VmMigrating { vm: name, migration: active.value.id.to_string() });
        }
        let Some(from) = vm.node().filter(|_| vm.state == vm::State::Running && vm.desired == Desired::Running) else {
            return Err(Refusal::VmState { vm: name, state: vm.state.word().to_owned(), wanted: "migrate".to_owned() });
        };
        if request.to.as_ref() == Some(from) {
            return Err(Refusal::AlreadyThere { vm: name, node: from.to_string() });
        }
        if snap.unreachable(from, self.rules.silent_ms) {
            return Err(Refusal::VmUnreachable { vm: name, node: from.to_string() });
        }
        if let Some(still) = stands_still(vm) {
            return Err(still.clone());
        }
        let to = self.target(snap, vm, from, request.to.as_ref())?;
        let known = snap.migrations.values().map(|entry| &entry.value);
        let id =
            next_migration(vm, known).ok_or_else(|| Refusal::Internal { detail: format!("no name for {name}") })?;
        let now = clock::now();
        Ok(Migration {
            v: 1,
            id,
            vm: vm.name.clone(),
            from: from.clone(),
            to,
            reason: Reason::Operator,
            outage: None,
            state: State::Queued,
            request_id: request.request_id.clone(),
            trace: trace::noted(),
            cancel_asked: false,
            measured: None,
            fault: None,
            created_at: now,
            copying_at: None,
            changed_at: now,
        })
    }

    /// The node asked for, if it can take the server; else the best one, preferably at the same
    /// site.
    fn target(&self, snap: &Snapshot, vm: &Vm, from: &NodeName, to: Option<&NodeName>) -> Result<NodeName, Refusal> {
        let (rooms, need) = (Rooms::of(snap, &self.rules), Need::crossing(vm, snap));
        if let Some(to) = to {
            return check(&rooms, &need, to).map(|()| to.clone());
        }
        let site = snap.site_of(from);
        choose(&rooms, &need, &|node| Some(&node.site) == site, &[])
            .or_else(|_| choose(&rooms, &need, &|node| node.name != *from, &[]))
    }

    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn list_migrations(self, request: ListMigrations) -> Result<MigrationPage, Refusal> {
        let limit = page(request.limit, 100)?;
        let snap = self.executor.view();
        let mut found: Vec<&Migration> = snap
            .migrations
            .values()
            .map(|entry| &entry.value)
            .filter(|m| request.vm.as_ref().is_none_or(|vm| m.vm == *vm))
            .filter(|m| !request.active || !m.state.over())
            .filter(|m| request.outage.is_none() || m.outage == request.outage)
            .collect();
        found.sort_by_key(|m| (Reverse(m.created_at), m.id.clone()));
        let found = after(&found, request.after.as_ref());
        let migrations = fill(found.iter().map(|m| views::migration(&snap, m)), limit);
        // What has found no place in this answer is on the next page.
        let last = migrations.last().filter(|_| migrations.len() < found.len());
        let next = last.map(|last| MigrationPlace { created_at: last.created_at, id: last.id.clone() });
        Ok(MigrationPage { migrations, next })
    }

    pub(super) async fn get_migration(self, request: GetMigration) -> Result<MigrationView, Refusal> {
        let entry = find(&self.stores().migrations, request.id.as_str()).await?;
        let entry = entry.ok_or_else(|| Refusal::MigrationUnknown { migration: request.id.to_string() })?;
        Ok(views::migration(&self.executor.view(), &entry.value))
    }

    pub(super) async fn cancel_migration(self, request: CancelMigration) -> Result<MigrationView, Refusal> {
        let unknown = || Refusal::MigrationUnknown { migration: request.id.to_string() };
        let mut entry = find(&self.stores().migrations, request.id.as_str()).await?.ok_or_else(unknown)?;
        for _ in 0..TRIES {
            let migration = &entry.value;
            let vm = self.stores().vms.get(migration.vm.as_str());
            let crossing = vm.as_ref().and_then(|vm| vm.value.crossing.as_ref()).filter(|c| c.id == migration.id);
            let switched = migration.state == State::Switching || crossing.is_some_and(|c| c.switched);
            if migration.state != State::Cancelled && (migration.state.over() || switched) {
                let state = if switched { State::Switching } else { migration.state }.word().to_owned();
                return Err(Refusal::MigrationOver { migration: migration.id.to_string(), state });
            }
            if migration.cancel_asked {
                return Ok(views::migration(&self.executor.view(), migration));
            }
            let asked = Migration { cancel_asked: true, ..migration.clone() };
            match self.stores().migrations.update(&asked, entry.revision).await {
                Ok(_) => return Ok(views::migration(&self.executor.view(), &asked)),
                Err(WriteError::Conflict { .. }) => {
                    entry = newest(&self.stores().migrations, request.id.as_str()).await?.ok_or_else(unknown)?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: "the bus".to_owned() })
    }
}

/// Those that stand after a place in their order, whether the one of that place is still there or not.
fn after<'a, 's>(sorted: &'a [&'s Migration], place: Option<&MigrationPlace>) -> &'a [&'s Migration] {
    let Some(place) = place else { return sorted };
    let is_up_to = |m: &&Migration| (Reverse(m.created_at), &m.id) <= (Reverse(place.created_at), &place.id);
    sorted.split_at(sorted.partition_point(is_up_to)).1
}

/// The migration that the same request made, if it was asked before.
fn asked_before<'s>(snap: &'s Snapshot, request: &MigrateVm) -> Result<Option<&'s Migration>, Refusal> {
    let Some(id) = &request.request_id else { return Ok(None) };
    let known = snap.migrations.values().map(|entry| &entry.value).find(|m| m.request_id.as_ref() == Some(id));
    match known {
        Some(m) if m.vm == request.name && request.to.as_ref().is_none_or(|to| m.to == *to) => Ok(Some(m)),
        Some(_) => Err(Refusal::RequestIdReused { request_id: id.clone() }),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_after_page_brings_each_migration_once_also_when_one_is_forgotten_meanwhile() {
        let samples = include_str!("../../../../shared/contracts/tests/golden/document.migrations.json");
        let sample = serde_json::from_str::<Vec<Migration>>(samples).unwrap().swap_remove(0);
        let one = |name: &str, after_ms: u64| {
            let (id, created_at) = (name.parse().unwrap(), sample.created_at.plus_millis(after_ms));
            Migration { id, created_at, ..sample.clone() }
        };
        let all = [one("mail-3", 9), one("mail-2", 5), one("web-1", 5), one("mail-1", 0)];
        let sorted: Vec<&Migration> = all.iter().collect();
        let names = |some: &[&Migration]| some.iter().map(|m| m.id.to_string()).collect::<Vec<_>>();
        let place = |m: &Migration| MigrationPlace { created_at: m.created_at, id: m.id.clone() };
        assert_eq!(names(after(&sorted, None)).len(), 4);
        assert_eq!(names(after(&sorted, Some(&place(&all[1])))), ["web-1", "mail-1"]);
        assert_eq!(names(after(&sorted[2..], Some(&place(&all[1])))), ["web-1", "mail-1"]);
        assert_eq!(names(after(&sorted, Some(&place(&all[3])))), [""; 0]);
    }
}
