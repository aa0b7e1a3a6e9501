//! A server's life on its node: placed, started, rebooted, stopped, removed. The states are drawn
//! in the model; they follow what agents report. Crossing to another node is [`super::crossing`].

use watari_chassis::Entry;
use watari_contracts::agent::{DiskUse, Domain, OffReason, Reboot, Start, Stop, Suspend};
use watari_model::{
    Refusal, SiteName,
    migration::Migration,
    vm::{Change, Desired, Restart, State, Vm, Way},
};

use super::{
    action::{Action, Order},
    crossing, deadline, dependencies, disks, from_copy, growth,
    isolation::{self, Stopped},
    naming, placement,
    placement::Need,
    removal, server,
    snapshot::{Outcome, Sight},
    standstill, strangers,
    turn::{OnFailure, Step, Turn, pause_ms},
};

/// Decides about every server, about the more important ones first, and those on which others depend: room and hands may
/// be short when a whole campus starts again.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    let mut servers: Vec<_> = snap.vms.values().collect();
    servers.sort_by_cached_key(|entry| turn.dependencies.rank(&entry.value));
    for entry in servers {
        if turn.settled::<Vm>(entry.value.name.as_str()) {
            step(turn, entry);
        }
    }
}

fn step(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let goes = vm.desired == Desired::Deleted && !vm.writes_out();
    if goes && !matches!(vm.state, State::Deleting | State::Migrating) {
        return turn.change_vm(entry, [Change::DeleteAsked], |_| {});
    }
    if from_copy::decide(turn, entry) || from_copy::give_back(turn, entry) {
        return;
    }
    if let Some(node) = vm.node().filter(|node| turn.is_off(node)) {
        match vm.state {
            State::Starting | State::Running | State::Stopping | State::Stopped | State::Suspended => {
                let fault = Refusal::VmStranded { vm: vm.name.to_string(), node: node.to_string() };
                return stranded(turn, entry, fault);
            }
            State::Pending | State::Failed | State::Migrating | State::Deleting => {}
        }
    }
    if matches!(vm.state, State::Starting | State::Running | State::Stopping)
        && turn.has_ceased(vm)
        && let Some(node) = vm.node()
    {
        let fault = Refusal::VmIsolated { vm: vm.name.to_string(), node: node.to_string() };
        return stranded(turn, entry, fault);
    }
    match vm.state {
        State::Pending | State::Failed if vm.desired == Desired::Running => place(turn, entry),
        State::Pending | State::Failed => {}
        State::Starting => starting(turn, entry),
        State::Running => running(turn, entry),
        State::Stopping => stopping(turn, entry),
        State::Suspended if vm.force_off => drop_saved(turn, entry),
        State::Stopped | State::Suspended => stopped(turn, entry),
        State::Migrating => migrating(turn, entry),
        State::Deleting => removal::decide(turn, entry),
    }
}

/// Its node is off, as an operator or its power controller says, or cut off and must have stopped it; and its disk is
/// there: it is off, and nobody starts it elsewhere from nothing, nor from a copy if its policy does not take that
/// ([`from_copy`]). When the node is heard again it goes on as any other
/// that is off.
fn stranded(turn: &mut Turn<'_>, entry: &Entry<Vm>, fault: Refusal) {
    let vm = &entry.value;
    let off = (!matches!(vm.state, State::Stopped | State::Suspended)).then_some(Change::SeenOff);
    let stays = vm.state == State::Running && stays_off(vm);
    let unseen = (vm.state == State::Starting).then(|| vm.generation());
    turn.change_vm(entry, off, |vm| {
        vm.unseen = unseen.or(vm.unseen);
        if stays {
            vm.desired = Desired::Stopped;
        }
        vm.fault = Some(fault);
        vm.force_off = false;
    });
}

/// Whether one that ran and went off is left off. What a reboot wanted is a start all the same.
fn stays_off(vm: &Vm) -> bool {
    vm.spec.restart == Restart::Never && vm.desired == Desired::Running && vm.reboots.asked == vm.reboots.done
}

fn grant_sight<'a>(turn: &Turn<'a>, vm: &Vm) -> Sight<'a> {
    vm.node().map_or(Sight::Silent, |node| turn.sight(node, &vm.name))
}

/// Chooses a node for a server that never had one. One that was refused room is looked at again
/// with every turn: it starts when there is room.
fn place(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    if vm.grant.is_some() {
        // It failed to start. If it runs after all, the grant is renewed; else an operator decides.
        if grant_sight(turn, vm).runs_under(vm.generation())
            && let Some(node) = vm.node().cloned()
        {
            turn.change_vm(entry, [Change::Granted(node)], |_| {});
        }
        return;
    }
    if dependencies::starts_later(turn, vm) {
        return;
    }
    let need = Need::start(vm, turn.snap);
    let home = |site: &SiteName| *site == vm.home_site;
    let mut chosen = match disks::wanted(vm) {
        Some(uuid) => placement::choose(&turn.rooms, &need, &|node| node.inventory.disks.contains_key(uuid), &[]),
        None => placement::choose(&turn.rooms, &need, &|node| home(&node.site), &[]),
    };
    if chosen.is_err() && disks::wanted(vm).is_none() && site_drains(turn, &vm.home_site) {
        chosen = placement::choose(&turn.rooms, &need, &|node| !home(&node.site), &[]);
    }
    match chosen {
        Ok(node) => turn.change_vm(entry, [Change::Granted(node)], |_| {}),
        Err(refusal) if vm.state == State::Pending => turn.change_vm(entry, [Change::Broke(refusal)], |_| {}),
        // What stands in the way may be something else by now.
        Err(refusal) if vm.fault.as_ref() != Some(&refusal) => {
            turn.change_vm(entry, [], |vm| vm.fault = Some(refusal));
        }
        Err(_) => {}
    }
}

/// Whether a site receives nothing at present.
pub(crate) fn site_drains(turn: &Turn<'_>, site: &SiteName) -> bool {
    let scope = watari_model::outage::Scope::Site(site.clone());
    turn.snap.outages.values().any(|entry| entry.value.state.drains() && entry.value.scope == scope)
}

fn starting(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let (Some(grant), Some(server)) = (&vm.grant, server::describe(turn.snap, vm)) else {
        return incomplete(turn, entry);
    };
    if vm.desired != Desired::Running || turn.is_held(vm) {
        return turn.change_vm(entry, [Change::StopAsked], |_| {});
    }
    // One that crashed at once is seen to by what is done about those that ran.
    if grant_sight(turn, vm).runs_under(grant.generation) || standstill::has_crashed(turn, vm) {
        return turn.change_vm(entry, [Change::SeenRunning], begun_anew);
    }
    // Its size changes while it is off, and it is: the next start is the one with the new size. What is saved of
    // its memory has the old one, and goes on with that.
    let sight = grant_sight(turn, vm);
    if vm.pending.is_some() && sight.off() && !is_saved(sight) && seen_off(turn, entry).is_some() {
        return;
    }
    let disk = if vm.booted { DiskUse::Existing } else { DiskUse::MayCreate };
    let kept = disks::wanted(vm).map(str::to_owned);
    let copy = vm.copy_to_start_from().cloned();
    let operation = naming::of_vm("start", vm, grant.generation);
    let step = turn.order(&operation, &grant.node, OnFailure::Tell, |order| {
        Order::Start(Box::new(Start { order, grant: grant.clone(), server, disk, kept, copy }))
    });
    match step {
        Step::Working => {}
        Step::Done(fact) if fact.domain == Domain::Running => {
            turn.change_vm(entry, [Change::SeenRunning], begun_anew);
        }
        Step::Done(_) => {
            let _ = seen_off(turn, entry);
        }
        Step::Failed(refusal @ (Refusal::AddressStrange { .. } | Refusal::AddressStrange6 { .. })) => {
            strangers::decide(turn, entry, &grant.node, refusal);
        }
        Step::Failed(refusal) if refusal.retryable() => {
            if restart_is_due(turn, vm) {
                turn.restart_vm(entry, grant.node.clone(), Some(refusal.clone()));
            } else if vm.fault.as_ref() != Some(refusal) {
                turn.change_vm(entry, [], |vm| vm.fault = Some(refusal.clone()));
            }
        }
        Step::Failed(refusal) => turn.change_vm(entry, [Change::Broke(refusal.clone())], |_| {}),
    }
}

/// It has been started, which is what a reboot that was asked for before wanted; and what kept it off is over.
fn begun_anew(vm: &mut Vm) {
    vm.fault = None;
    vm.halt = None;
    vm.reboots.done = vm.reboots.asked;
}

/// A document that a start needs is not here. It may be on its way to our mirror; if it stays away,
/// the operator is told.
fn incomplete(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    if vm.desired != Desired::Running {
        return turn.change_vm(entry, [Change::StopAsked], |_| {});
    }
    let refusal = Refusal::UserDataMissing { vm: vm.name.to_string() };
    let late = turn.now.millis_since(vm.changed_at) > turn.rules.silent_ms;
    if late && server::user_data(turn.snap, vm).is_err() && vm.fault.as_ref() != Some(&refusal) {
        turn.change_vm(entry, [], |vm| vm.fault = Some(refusal));
    }
}

/// Whether the pause since the last start that nobody asked for is over.
pub(super) fn restart_is_due(turn: &Turn<'_>, vm: &Vm) -> bool {
    let last = turn.snap.restarts.get(&vm.name).copied().unwrap_or_default();
    last.count == 0 || last.age_ms >= pause_ms(last.count - 1, turn.rules.restart_ms)
}

/// Writes down that a server is off, once a fresh look has said so. A stale fact must not.
fn seen_off(turn: &mut Turn<'_>, entry: &Entry<Vm>) -> Option<()> {
    let vm = &entry.value;
    let fact = turn.look(entry, vm.node()?)?;
    if !fact.domain.is_off() || fact.generation > vm.generation() {
        return None;
    }
    // The guest's own shutting down is its users' wish; a crash, a node that was off, or one that was cut off, is not.
    let ran = vm.state == State::Running;
    let shut_down = fact.domain == Domain::Off(OffReason::Shutdown);
    let by_node = vm.node().map_or(Stopped::No, |node| isolation::was_stopped(turn.snap, fact, node));
    if ran && shut_down && by_node == Stopped::Unsaid {
        return None;
    }
    let wished = shut_down && by_node == Stopped::No;
    let stays = ran && (wished || stays_off(vm));
    let saved = vm.state == State::Stopping && fact.domain == Domain::Off(OffReason::Saved);
    let change = if saved { Change::SeenSaved } else { Change::SeenOff };
    turn.change_vm(entry, [change], |vm| {
        if stays && vm.desired == Desired::Running {
            vm.desired = Desired::Stopped;
        }
        // Of one that is to start again it is told why it went off.
        if vm.desired != Desired::Running && standstill::stands_still(vm).is_some() {
            vm.fault = None;
        }
        // Whoever forces it off while it is being saved wants it no less.
        vm.force_off &= saved;
    });
    Some(())
}

fn is_saved(sight: Sight<'_>) -> bool {
    sight.domain() == Some(Domain::Off(OffReason::Saved))
}

fn running(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    if grant_sight(turn, vm).off() && seen_off(turn, entry).is_some() {
        return;
    }
    // It runs under an older grant, the news of a newer one having been lost.
    if matches!(grant_sight(turn, vm), Sight::Seen(fact) if fact.domain == Domain::Running && fact.generation < vm.generation())
    {
        let _ = crossing::resume(turn, vm);
    }
    if vm.desired != Desired::Running || turn.is_held(vm) {
        if vm.desired == Desired::Running && deadline::stops_later(turn, vm) {
            return;
        }
        return turn.change_vm(entry, [Change::StopAsked], |_| {});
    }
    if standstill::decide(turn, entry) {
        return;
    }
    if vm.halt.is_some() {
        // It was called off in time, or the server has left after all.
        return turn.change_vm(entry, [], |vm| vm.halt = None);
    }
    if vm.reboots.asked != vm.reboots.done {
        reboot(turn, entry);
    } else {
        growth::decide(turn, entry);
    }
    removal::leftovers(turn, entry);
}

fn reboot(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let (Some(grant), reboots) = (&vm.grant, vm.reboots) else { return };
    if vm.pending.is_some() || isolation::differs(turn.snap, vm) {
        // What it is made of, and what its node knows of it, changes only while it is off: it is stopped, and started
        // again.
        return turn.change_vm(entry, [Change::StopAsked], |vm| vm.force_off = reboots.force);
    }
    let operation = naming::of_vm("reboot", vm, reboots.asked);
    let step = turn.order(&operation, &grant.node, OnFailure::Tell, |order| {
        let (vm, generation) = (vm.name.clone(), grant.generation);
        Order::Reboot(Reboot { order, vm, generation, force: reboots.force })
    });
    match step {
        Step::Working => {}
        Step::Done(_) => turn.change_vm(entry, [], |vm| vm.reboots.done = reboots.asked),
        // Said, not repeated: a reboot that comes by surprise an hour later helps nobody.
        Step::Failed(refusal) => turn.change_vm(entry, [], |vm| {
            vm.reboots.done = reboots.asked;
            vm.fault = Some(refusal.clone());
        }),
    }
}

fn stopping(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let sight = grant_sight(turn, &entry.value);
    if entry.value.force_off && is_saved(sight) {
        return drop_saved(turn, entry);
    }
    if sight.off() && seen_off(turn, entry).is_some() {
        return;
    }
    if entry.value.suspends() {
        return suspend(turn, entry);
    }
    let _ = stop(turn, &entry.value);
}

/// Saves its memory. What cannot be saved is shut down, and so is what nobody answers for, as an agent does that
/// is too old for the order: the time for that is reckoned with.
fn suspend(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let Some(grant) = &vm.grant else { return };
    let operation = naming::of_vm("suspend", vm, grant.generation);
    let step = turn.order(&operation, &grant.node, OnFailure::Tell, |order| {
        Order::Suspend(Suspend { order, vm: vm.name.clone(), generation: grant.generation })
    });
    let answer = turn.snap.answers.get(&naming::at(&operation, &grant.node)).map(|answer| &answer.outcome);
    // One that is busy answers.
    let silent = matches!(answer, Some(Outcome::Silent(why)) if !matches!(why, Refusal::AgentState { .. }));
    let late = turn.now.millis_since(vm.changed_at) >= turn.rules.deadline.stop_ms / 2;
    if matches!(step, Step::Failed(_)) || (silent && late) {
        turn.change_vm(entry, [], |vm| {
            if let Some(halt) = &mut vm.halt {
                halt.way = Way::ShutDown;
            }
        });
    }
}

/// Whoever forces a suspended server off gives up what was saved of it.
fn drop_saved(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    if let Some(Step::Done(_)) = stop(turn, &entry.value) {
        turn.change_vm(entry, [Change::SeenOff], |vm| {
            vm.force_off = false;
            vm.halt = None;
        });
    }
}

fn stop<'a>(turn: &mut Turn<'a>, vm: &Vm) -> Option<Step<'a>> {
    let grant = vm.grant.as_ref()?;
    let force = vm.force_off;
    let operation = naming::of_vm(if force { "force-off" } else { "stop" }, vm, grant.generation);
    Some(turn.order(&operation, &grant.node, OnFailure::TryAgain, |order| {
        Order::Stop(Stop { order, vm: vm.name.clone(), generation: grant.generation, force })
    }))
}

fn stopped(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let Some(node) = vm.node().cloned() else { return };
    let away = matches!(vm.fault, Some(Refusal::VmStranded { .. } | Refusal::VmIsolated { .. }));
    let back = away && grant_sight(turn, vm).domain().is_some();
    if back {
        return turn.change_vm(entry, [], |vm| vm.fault = None);
    }
    if removal::given_up(turn, entry) {
        return;
    }
    if vm.desired == Desired::Running && (turn.is_held(vm) || dependencies::starts_later(turn, vm)) {
        return;
    }
    match vm.desired {
        // The outage that left it no time is over: it goes on, and nobody else does because of that.
        Desired::Running if vm.halt.is_some() && grant_sight(turn, vm).off() => {
            turn.change_vm(entry, [Change::Granted(node)], |_| {});
        }
        Desired::Stopped if vm.halt.is_some() && !turn.is_held(vm) => {
            turn.change_vm(entry, [], |vm| vm.halt = None);
        }
        // Its start is the rest of a reboot: no failure, for which one would pause.
        Desired::Running if vm.reboots.asked != vm.reboots.done && grant_sight(turn, vm).off() => {
            turn.change_vm(entry, [Change::Granted(node)], |vm| vm.reboots.done = vm.reboots.asked);
        }
        // A node that is not heard may still run it: it is asked first, and started only there.
        Desired::Running if grant_sight(turn, vm).domain().is_some() && restart_is_due(turn, vm) => {
            turn.restart_vm(entry, node, vm.fault.clone());
        }
        Desired::Stopped if grant_sight(turn, vm).runs_under(vm.generation()) => {
            let _ = stop(turn, vm);
        }
        _ => {}
    }
}

/// The crossing itself is decided elsewhere; here is what must not be forgotten meanwhile.
fn migrating(turn: &mut Turn<'_>, entry: &Entry<Vm>) {
    let vm = &entry.value;
    let Some(crossing) = &vm.crossing else { return };
    let Some(migration) = turn.snap.migrations.get(crossing.id.as_str()) else {
        let text = format!("migration {} of server {} has no document", crossing.id, vm.name);
        return turn.alarm(format!("alarm/migration/{}", crossing.id), text);
    };
    if !turn.settled::<Migration>(crossing.id.as_str()) {
        return;
    }
    if migration.value.state.over() {
        // One that ended without a switch-over may have left a copy, or still be sending.
        return if crossing.switched {
            turn.change_vm(entry, [Change::MigrationEnded], |_| {});
        } else {
            crossing::undo(turn, &migration.value, entry);
        };
    }
    let unwanted = vm.desired == Desired::Deleted || turn.is_held(vm);
    if unwanted && !crossing.switched && !migration.value.cancel_asked {
        let asked = Migration { cancel_asked: true, ..migration.value.clone() };
        turn.push(Action::StoreMigration { migration: Box::new(asked), revision: migration.revision });
    }
}

#[cfg(test)]
mod tests;
