//! Taking away what is no longer wanted: a deleted server everywhere, and the copies that
//! migrations left behind.

use watari_chassis::Entry;
use watari_contracts::agent::{Discard, KeepDisk, Remove};
use watari_model::{
    MigrationId, NodeName, Refusal,
    vm::{Leftover, Vm},
};

use super::{
    action::{Action, Order, ports_key},
    ahead, disks, naming, remains,
    snapshot::{Outcome, Sight},
    turn::{OnFailure, Step, Turn},
};

/// Removes a server: from every node that may have something of it, then its addresses, its
/// user-data and its document. A node that does not answer is waited for, since its disk is still there. One that
/// is off, by an operator's word, runs nothing: the addresses are free at once. One that is given up is not
/// waited for.
pub(super) fn decide(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let held = vm.node().into_iter().chain(vm.leftovers.iter().map(|l| &l.node)).cloned();
    let mut nodes: Vec<NodeName> = held.chain(ahead::holders(turn.snap, vm)).collect();
    nodes.sort();
    nodes.dedup();
    let waits: Vec<&NodeName> =
        nodes.iter().filter(|node| !remove(turn, vm, node, vm.generation(), Layers::Gone)).collect();
    if waits.iter().any(|node| !turn.is_off(node)) {
        return;
    }
    let (given_up, waits): (Vec<&NodeName>, Vec<&NodeName>) =
        waits.into_iter().partition(|node| turn.is_given_up(node));
    let waits = waits.first().copied();
    let key = ports_key(&vm.name, &vm.uuid);
    match turn.snap.answers.get(&key) {
        Some(answer) if answer.outcome == Outcome::Done => {
            if let Some(node) = waits {
                let fault = Refusal::DeletionWaits { vm: vm.name.to_string(), node: node.to_string() };
                return turn.change_vm(entry, [], |vm| vm.fault = Some(fault));
            }
            if let Some(there) = turn.snap.userdata.get(&vm.uuid) {
                return turn.push(Action::DropUserData { uuid: vm.uuid.clone(), revision: there.revision });
            }
            // What it leaves there goes when the node comes back after all, and nobody would know of it then.
            if remains::are_noted(turn, vm, &given_up) {
                turn.push(Action::DropVm { name: vm.name.clone(), revision: entry.revision });
            }
        }
        Some(answer) if answer.age_ms < turn.rules.repeat_ms => {}
        _ => turn.push(Action::ReleasePorts { vm: vm.name.clone(), uuid: vm.uuid.clone() }),
    }
}

/// What becomes of the frozen layers of its disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layers {
    /// They go as well.
    Gone,
    /// The server may come back to them.
    Kept,
}

/// Whether a node has nothing of the server any more.
fn remove(turn: &mut Turn<'_>, vm: &Vm, node: &NodeName, generation: u64, layers: Layers) -> bool {
    let operation = naming::of_vm("remove", vm, generation);
    let step = turn.order(&operation, node, OnFailure::TryAgain, |order| {
        let comes_back = vm.preseed.is_some() || !vm.snapshots.list.is_empty();
        let keep_layers = layers == Layers::Kept && comes_back;
        // What migrations left behind elsewhere is not its disk; what it had when its node was lost is one as well.
        let newest = vm.leftovers.iter().any(|leftover| leftover.newest && leftover.node == *node);
        let stays = layers == Layers::Gone && vm.keep_disk && (newest || vm.node() == Some(node));
        let keep_disk = stays.then(|| keep(vm));
        let (vm, uuid) = (vm.name.clone(), vm.uuid.clone());
        Order::Remove(Remove { order, vm, uuid, generation, keep_layers, spare_running: false, keep_disk })
    });
    matches!(step, Step::Done(_))
}

/// Removes the copies that migrations left behind, once the server has been running under its own
/// grant for a while: until then they are what an operator could go back to. A server that is to
/// come back to that node waits for nothing, since no migration uses an old disk.
pub(super) fn leftovers(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let Some(node) = vm.node() else { return };
    if vm.leftovers.is_empty() || !turn.sight(node, &vm.name).runs_under(vm.generation()) {
        return;
    }
    for leftover in &vm.leftovers {
        // What stands under the running server is no leftover, whatever the list says.
        let gone = match &leftover.migration {
            _ if leftover.node == *node || turn.is_given_up(&leftover.node) => true,
            _ if leftover.newest => set_aside(turn, vm, leftover),
            Some(migration) => discard(turn, vm, leftover, migration),
            None if is_kept(turn, vm, leftover) => false,
            None => remove(turn, vm, &leftover.node, leftover.generation, Layers::Kept),
        };
        if gone {
            return forget(turn, entry, leftover);
        }
    }
}

/// Whether something is forgotten that it left on a node that is given up. For that it need not run: nothing is deleted.
pub(super) fn given_up(turn: &mut Turn<'_>, entry: &Entry<Vm>) -> bool {
    let Some(leftover) = entry.value.leftovers.iter().find(|leftover| turn.is_given_up(&leftover.node)) else {
        return false;
    };
    forget(turn, entry, leftover);
    true
}

/// Whether what was a server's disk when its node was lost has become a kept disk there. It has what was written last,
/// which only an operator can weigh. While an earlier one of the same name is kept elsewhere it stays as it is: nobody
/// could say which of the two he means.
fn set_aside(turn: &mut Turn<'_>, vm: &Vm, leftover: &Leftover) -> bool {
    let node = &leftover.node;
    if turn.unreachable(node) {
        return false;
    }
    if let Some(other) = disks::namesake(turn.snap, vm).filter(|other| *other != node) {
        let text = format!(
            "the disk of server {} on node {node} waits for the kept one of that name on {other} to go",
            vm.name
        );
        turn.alarm(format!("alarm/disk/{}", vm.name), text);
        return false;
    }
    if let Sight::Seen(fact) = turn.sight(node, &vm.name)
        && !fact.domain.is_off()
    {
        let text = format!("server {} was started from a copy, and is alive on node {node}, which was off", vm.name);
        turn.alarm(format!("alarm/vm/{}", vm.name), text);
        return false;
    }
    let operation = naming::of_vm("set-aside", vm, leftover.generation);
    let step = turn.order(&operation, node, OnFailure::TryAgain, |order| {
        let (vm, uuid, generation, keep_disk) = (vm.name.clone(), vm.uuid.clone(), leftover.generation, keep(vm));
        Order::Remove(Remove {
            order,
            vm,
            uuid,
            generation,
            keep_layers: false,
            spare_running: true,
            keep_disk: Some(keep_disk),
        })
    });
    matches!(step, Step::Done(_))
}

/// What is noted of a disk that is kept. Whoever begins with it has a disk of that size made wherever it moves: never
/// one too small.
fn keep(vm: &Vm) -> KeepDisk {
    KeepDisk { base: vm.spec.base.clone(), disk_gib: vm.most_disk_gib(), project: vm.project.clone() }
}

fn is_kept(turn: &Turn<'_>, vm: &Vm, leftover: &Leftover) -> bool {
    let in_the_way = turn.migrations_of(&vm.name).any(|m| !m.state.over() && m.to == leftover.node);
    !in_the_way && turn.now.millis_since(leftover.since) < turn.rules.leftover_ms
}

/// Whether a copy that never ran is destroyed: its node was silent when the migration was given up.
fn discard(turn: &mut Turn<'_>, vm: &Vm, leftover: &Leftover, migration: &MigrationId) -> bool {
    let operation = naming::of_migration("discard", migration, vm);
    let step = turn.order(&operation, &leftover.node, OnFailure::TryAgain, |order| {
        let (vm, generation) = (vm.name.clone(), leftover.generation);
        Order::Discard(Discard { order, migration: migration.clone(), vm, generation })
    });
    matches!(step, Step::Done(_))
}

fn forget(turn: &mut Turn<'_>, entry: &Entry<Vm>, leftover: &Leftover) {
    turn.change_vm(entry, [], |vm| vm.leftovers.retain(|l| l != leftover));
}
