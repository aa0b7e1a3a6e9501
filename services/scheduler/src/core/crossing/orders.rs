//! The orders of a migration, each named after it.

use watari_contracts::agent::{Abort, Discard, Progress, Receive, Release, Resume, Send};
use watari_model::{Refusal, migration::Migration, vm::Vm};

use super::{ONCE, OnFailure, Outcome, Step, Turn, naming};
use crate::core::{action::Order, server};

/// The generation under which the source runs it: the grant that stands until the switch-over.
fn source_generation(migration: &Migration, vm: &Vm) -> u64 {
    if vm.node() == Some(&migration.from) {
        return vm.generation();
    }
    let left = vm.leftovers.iter().rev().find(|leftover| leftover.node == migration.from);
    left.map_or_else(|| vm.generation().saturating_sub(1), |leftover| leftover.generation)
}

pub(super) fn receive<'a>(turn: &mut Turn<'a>, migration: &Migration, vm: &Vm) -> Step<'a> {
    let Some(server) = server::describe(turn.snap, vm) else { return Step::Working };
    let operation = naming::of_migration("receive", &migration.id, vm);
    turn.order(&operation, &migration.to, ONCE, |order| {
        Order::Receive(Box::new(Receive {
            order,
            migration: migration.id.clone(),
            generation: source_generation(migration, vm),
            from: migration.from.clone(),
            server,
        }))
    })
}

pub(super) fn send<'a>(turn: &mut Turn<'a>, migration: &Migration, vm: &Vm) -> Step<'a> {
    let Some(target) = turn.snap.nodes.get(migration.to.as_str()) else { return Step::Working };
    let (bandwidth_mib, downtime_ms) = (turn.rules.bandwidth_mib, turn.rules.downtime_ms);
    let operation = naming::of_migration("send", &migration.id, vm);
    turn.order(&operation, &migration.from, ONCE, |order| {
        Order::Send(Send {
            order,
            migration: migration.id.clone(),
            vm: vm.name.clone(),
            generation: source_generation(migration, vm),
            to: migration.to.clone(),
            address: target.value.inventory.migration_address.clone(),
            bandwidth_mib,
            downtime_ms,
        })
    })
}

pub(super) fn abort<'a>(turn: &mut Turn<'a>, migration: &Migration, vm: &Vm) -> Step<'a> {
    let operation = naming::of_migration("abort", &migration.id, vm);
    turn.order(&operation, &migration.from, OnFailure::TryAgain, |order| {
        Order::Abort(Abort { order, migration: migration.id.clone(), vm: vm.name.clone() })
    })
}

pub(super) fn discard<'a>(turn: &mut Turn<'a>, migration: &Migration, vm: &Vm) -> Step<'a> {
    let operation = naming::of_migration("discard", &migration.id, vm);
    turn.order(&operation, &migration.to, OnFailure::TryAgain, |order| {
        Order::Discard(Discard {
            order,
            migration: migration.id.clone(),
            vm: vm.name.clone(),
            generation: source_generation(migration, vm),
        })
    })
}

pub(super) fn release<'a>(turn: &mut Turn<'a>, migration: &Migration, vm: &Vm) -> Step<'a> {
    let operation = naming::of_migration("release", &migration.id, vm);
    turn.order(&operation, &migration.from, OnFailure::TryAgain, |order| {
        Order::Release(Release { order, vm: vm.name.clone(), generation: source_generation(migration, vm) })
    })
}

/// Resumes at the node that holds the grant. A failure is told: a new try wants a new grant.
pub(crate) fn resume<'a>(turn: &mut Turn<'a>, vm: &Vm) -> Step<'a> {
    let Some(grant) = &vm.grant else { return Step::Working };
    turn.order(&resume_name(vm), &grant.node, OnFailure::Tell, |order| {
        Order::Resume(Resume { order, vm: vm.name.clone(), grant: grant.clone() })
    })
}

/// The name of resuming a server under its present grant.
pub(crate) fn resume_name(vm: &Vm) -> String {
    naming::of_vm("resume", vm, vm.generation())
}

/// What a side has refused for good, if it has.
pub(super) fn failure(turn: &Turn<'_>, migration: &Migration, vm: &Vm) -> Option<Refusal> {
    let sides = [("receive", &migration.to), ("send", &migration.from)];
    sides.into_iter().find_map(|(verb, node)| {
        let key = naming::at(&naming::of_migration(verb, &migration.id, vm), node);
        match &turn.snap.answers.get(&key)?.outcome {
            Outcome::Order(Progress::Failed(refusal), _) | Outcome::Refused(refusal) => Some(refusal.clone()),
            _ => None,
        }
    })
}
