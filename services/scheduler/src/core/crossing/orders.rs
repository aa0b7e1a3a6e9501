//! The orders of a migration, each named after it.

use watari_contracts::agent::{Abort, Discard, Progress, Receive, Release, Resume, Send, Stack};
use watari_model::{Refusal, migration::Migration, vm::Vm};

use super::{ONCE, OnFailure, Outcome, Step, Turn, naming};
use crate::core::{
    action::Order,
    ahead::{self, Haste},
    growth, server,
};

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
    let stack = ahead::stack_at(turn.snap, &migration.from, &vm.name);
    let operation = receive_name(migration, vm, &stack);
    turn.order(&operation, &migration.to, ONCE, |order| {
        Order::Receive(Box::new(Receive {
            order,
            migration: migration.id.clone(),
            generation: source_generation(migration, vm),
            from: migration.from.clone(),
            server,
            stack,
        }))
    })
}

/// Its disk may be frozen once more while the target prepares: then it prepares anew, under another name.
fn receive_name(migration: &Migration, vm: &Vm, stack: &Stack) -> String {
    let verb = if stack.is_plain() { "receive".to_owned() } else { format!("receive-{}", stack.top) };
    naming::of_migration(&verb, &migration.id, vm)
}

/// Has what the server's disk stands on sent to the target, if something of it is missing there; none if
/// nothing is.
pub(super) fn send_ahead<'a>(turn: &mut Turn<'a>, migration: &Migration, vm: &Vm) -> Option<Step<'a>> {
    let stack = ahead::stack_at(turn.snap, &migration.from, &vm.name);
    let key = naming::at(&receive_name(migration, vm, &stack), &migration.to);
    // What was there when it was ordered to receive is in its place by now.
    let ordered = turn.snap.answers.contains_key(&key) || turn.snap.busy.contains_key(&key);
    if ordered || ahead::is_held(turn.snap, &migration.to, vm, &stack, Some(&migration.id)) {
        return None;
    }
    // What was frozen since it was sent is sent anew, under another name.
    let operation = naming::of_migration(&format!("send-ahead-{}", stack.top), &migration.id, vm);
    match ahead::send(turn, &operation, vm, &migration.to, Haste::Migration) {
        Step::Failed(refusal) => Some(Step::Failed(refusal)),
        // The target has still to say so.
        Step::Working | Step::Done(_) => Some(Step::Working),
    }
}

pub(super) fn send<'a>(turn: &mut Turn<'a>, migration: &Migration, vm: &Vm) -> Step<'a> {
    let Some(target) = turn.snap.nodes.get(migration.to.as_str()) else { return Step::Working };
    let (bandwidth_mib, downtime_ms) = (turn.rules.bandwidth_mib, turn.rules.downtime_ms);
    let top = ahead::stack_at(turn.snap, &migration.to, &vm.name).top;
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
            top,
            disk_gib: growth::grows_disk(vm).then_some(vm.spec.disk_gib),
            max_downtime_seconds: vm.spec.max_downtime_seconds,
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
        let operation = match verb {
            "receive" => receive_name(migration, vm, &ahead::stack_at(turn.snap, &migration.from, &vm.name)),
            verb => naming::of_migration(verb, &migration.id, vm),
        };
        let key = naming::at(&operation, node);
        match &turn.snap.answers.get(&key)?.outcome {
            Outcome::Order(Progress::Failed(refusal), _) | Outcome::Refused(refusal) => Some(refusal.clone()),
            _ => None,
        }
    })
}
