//! Whose turn it is, and what must hold when the turn comes: the world may have changed since the
//! migration was asked for.

use std::{cmp::Reverse, sync::Arc};

use watari_chassis::Entry;
use watari_model::{
    Refusal,
    migration::{Change, Migration, Reason},
    vm::{self, Desired, Vm},
};

use crate::core::{
    Action, Links, dependencies, evacuation, growth, naming, placement, placement::Need, standstill, turn::Turn,
};

/// All migrations that are not over, in the order of their turns: an operator's own first, then by worth and by who
/// depends on whom, then the largest, then the oldest.
pub(crate) fn in_order<'s>(turn: &Turn<'s>) -> Vec<&'s Arc<Entry<Migration>>> {
    let snap = turn.snap;
    let mut active: Vec<_> = snap.migrations.values().filter(|entry| !entry.value.state.over()).collect();
    active.sort_by_cached_key(|entry| {
        let migration = &entry.value;
        let vm = snap.vms.get(migration.vm.as_str()).map(|entry| &entry.value);
        let rank = vm.map(|vm| (turn.dependencies.rank(vm), Reverse((vm.spec.memory_mib, vm.spec.disk_gib))));
        (migration.reason != Reason::Operator, rank.is_none(), rank, migration.created_at, migration.id.clone())
    });
    active
}

pub(super) fn step(turn: &mut Turn<'_>, links: &mut Links, entry: &Entry<Migration>, vm: &Entry<Vm>) {
    let migration = &entry.value;
    if vm.value.crossing.as_ref().is_some_and(|crossing| crossing.id == migration.id) {
        return turn.change_migration(entry, [Change::Started]);
    }
    if let Some(why) = pointless(turn, migration, &vm.value) {
        return turn.change_migration(entry, [Change::GivenUp(why), Change::Undone]);
    }
    if turn.snap.is_paused(migration) {
        return;
    }
    let ready = vm.value.state == vm::State::Running
        && vm.value.desired == Desired::Running
        && turn.sight(&migration.from, &vm.value.name).runs_under(vm.value.generation())
        // A copy that an earlier migration left there is removed first: nothing of it is used.
        && !vm.value.leftovers.iter().any(|leftover| leftover.node == migration.to);
    if !ready || growth::holds_up(turn, &vm.value) || !links.may_prepare(turn, migration) {
        return;
    }
    if others_are_being_made(turn, migration) || dependencies::holds_up(turn, migration, &vm.value) {
        return;
    }
    let need = Need::crossing(&vm.value, turn.snap);
    if let Err(unfit) = placement::check(&turn.rooms, &need, &migration.to) {
        return elsewhere(turn, entry, &need, unfit);
    }
    links.prepares(turn.snap, migration);
    let began = vm::Change::MigrationBegan { id: migration.id.clone(), to: migration.to.clone() };
    let number = naming::number(migration.id.as_str());
    turn.change_vm(vm, [began], |vm| vm.migrations = vm.migrations.max(number));
}

/// Whether documents of migrations that leave with it are only being made: among them may be one whose turn is before.
fn others_are_being_made(turn: &Turn<'_>, migration: &Migration) -> bool {
    let with_it = |action: &Arc<Action>| match action.as_ref() {
        Action::NewMigration(made) => made.outage.is_some() && made.outage == migration.outage,
        _ => false,
    };
    turn.snap.busy.values().any(with_it)
}

/// Why a migration that waits will never begin.
fn pointless(turn: &Turn<'_>, migration: &Migration, vm: &Vm) -> Option<Refusal> {
    let name = || vm.name.to_string();
    if migration.cancel_asked {
        return Some(Refusal::MigrationCancelled { vm: name() });
    }
    if vm.node() == Some(&migration.to) {
        return Some(Refusal::AlreadyThere { vm: name(), node: migration.to.to_string() });
    }
    if vm.node() != Some(&migration.from) {
        let detail = "it is no longer where it was when this was asked for".to_owned();
        return Some(Refusal::MigrationFailed { vm: name(), node: migration.to.to_string(), detail });
    }
    if turn.unreachable(&migration.from) {
        return Some(Refusal::VmUnreachable { vm: name(), node: migration.from.to_string() });
    }
    if let Some(halt) = vm.halt.as_ref().filter(|_| turn.is_held(vm)) {
        return Some(halt.fault.clone());
    }
    if let Some(still) = standstill::stands_still(vm).filter(|_| vm.state == vm::State::Running) {
        return Some(still.clone());
    }
    match vm.state {
        vm::State::Running | vm::State::Starting | vm::State::Migrating => None,
        vm::State::Stopped | vm::State::Suspended if vm.desired == Desired::Running => None,
        vm::State::Stopping if turn.restarts_soon(vm) => None,
        state => Some(Refusal::NotRunning { vm: name(), state: state.word().to_owned() }),
    }
}

/// The target can no longer take it. An evacuation looks for another; an operator's own choice
/// is refused, and so is a relief, of which that target was the gain.
fn elsewhere(turn: &mut Turn<'_>, entry: &Entry<Migration>, need: &Need<'_>, unfit: Refusal) {
    let migration = &entry.value;
    let other = match migration.reason {
        Reason::Operator | Reason::Relief => Err(unfit),
        Reason::Evacuation | Reason::Return => evacuation::target(turn, migration, need),
    };
    match other {
        Ok(to) => {
            turn.rooms.reserve(&to, need.vm);
            let moved = Migration { to, ..migration.clone() };
            turn.push(Action::StoreMigration { migration: Box::new(moved), revision: entry.revision });
        }
        Err(why) => turn.change_migration(entry, [Change::GivenUp(why), Change::Undone]),
    }
}

#[cfg(test)]
mod tests;
