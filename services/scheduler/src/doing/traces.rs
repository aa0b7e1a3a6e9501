//! To which trace an action belongs: that of the request by which its migration, its outage or its server came to be as
//! it is wanted. Those of migrations and outages stand in their documents, so that another scheduler goes on with them;
//! those of servers only in memory, since what is done for a server is over within minutes.

use watari_chassis::TraceParent;
use watari_model::{MigrationId, VmName, vm::State};

use super::Executor;
use crate::core::{Action, Order};

impl Executor {
    pub(super) fn trace_of(&self, action: &Action) -> Option<TraceParent> {
        match action {
            Action::NewMigration(migration) | Action::StoreMigration { migration, .. } => {
                read(migration.trace.as_deref())
            }
            Action::NewOutage(outage) | Action::StoreOutage { outage, .. } => read(outage.trace.as_deref()),
            Action::Settle(settle) => self.of_migration(&settle.migration),
            Action::StoreVm { vm, .. } => match &vm.crossing {
                Some(crossing) => self.of_migration(&crossing.id),
                None => self.of_server(&vm.name),
            },
            Action::Order { order, .. } => match migration_of(order) {
                Some(id) => self.of_migration(id),
                None => self.of_last_step(order).or_else(|| self.of_server(order.parts().1)),
            },
            Action::Look { look, .. } => self.of_server(&look.vm),
            Action::DropVm { name, .. } => self.of_server(name),
            Action::ReleasePorts { vm, .. } => self.of_server(vm),
            _ => None,
        }
    }

    fn of_migration(&self, id: &MigrationId) -> Option<TraceParent> {
        read(self.stores.migrations.get(id.as_str())?.value.trace.as_deref())
    }

    /// What is done for a server that crosses is done for its migration.
    fn of_server(&self, name: &VmName) -> Option<TraceParent> {
        let crossing = self.stores.vms.get(name.as_str()).and_then(|entry| entry.value.crossing.clone());
        crossing.and_then(|crossing| self.of_migration(&crossing.id)).or_else(|| self.memory.trace(name))
    }

    /// The source's last step comes when the server's document names its migration no more, and before that is over.
    fn of_last_step(&self, order: &Order) -> Option<TraceParent> {
        let Order::Release(release) = order else { return None };
        let migrations = self.stores.migrations.snapshot();
        let last = migrations.values().find(|m| m.value.vm == release.vm && !m.value.state.over())?;
        read(last.value.trace.as_deref())
    }
}

/// What somebody has written into a document and cannot be read counts as absent.
fn read(noted: Option<&str>) -> Option<TraceParent> {
    noted?.parse().ok()
}

fn migration_of(order: &Order) -> Option<&MigrationId> {
    match order {
        Order::Receive(order) => Some(&order.migration),
        Order::Send(order) => Some(&order.migration),
        Order::Abort(order) => Some(&order.migration),
        Order::Discard(order) => Some(&order.migration),
        _ => None,
    }
}

/// Whether more is to be done for a server in this state before it is as it was wanted.
pub(super) const fn is_under_way(state: State) -> bool {
    matches!(state, State::Pending | State::Starting | State::Migrating | State::Stopping | State::Deleting)
}
