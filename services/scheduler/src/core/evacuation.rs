//! Emptying a site or node and bringing its servers home: outages become migrations.
//!
//! With each turn every server concerned is one of: moving (a migration is not over), waiting (it
//! is starting, or a failed try is too recent), to be placed, off because there is no time
//! ([`deadline`]), or left with a reason. When nobody moves, waits or can be placed, the leg is over. One
//! server's failure is its own reason and nobody else's. Of an outage that is paused nothing is decided but
//! what must not stay half done.

mod detour;
mod guests;

use std::collections::{BTreeMap, HashSet};

use watari_chassis::Entry;
use watari_model::{
    NodeName, OutageId, Refusal, Timestamp, VmName,
    migration::{self, Migration, Reason},
    node::{self, Node},
    outage::{Change, Left, Outage, Scope, State},
    vm::{self, Desired, Evacuate, Vm},
};

use super::{
    Action, Rules, Snapshot, ahead, control, dark, deadline, dependencies, lint, naming, placement,
    placement::Need,
    standstill,
    turn::{Turn, pause_ms},
};

/// Decides about every outage that is not over.
pub(crate) fn decide(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    call_back(turn);
    for entry in snap.outages.values() {
        let outage = &entry.value;
        if turn.settled::<Outage>(outage.id.as_str()) {
            match outage.state {
                State::Evacuating | State::Returning if outage.paused_at.is_some() => stand_still(turn, entry),
                State::Evacuating => leave(turn, entry),
                State::Returning => come_home(turn, entry),
                State::Evacuated => stay_behind(turn, entry),
                State::Scheduled | State::Cancelled | State::Completed => {}
            }
        }
    }
}

/// What a server concerned is.
enum Standing {
    Moving,
    Waiting,
    ToPlace,
    Halted,
    Left(Refusal),
}

/// The servers that are where it goes dark.
pub(super) fn concerned<'s>(snap: &'s Snapshot, outage: &Outage) -> Vec<&'s Vm> {
    let dark = going_dark(snap, outage);
    let there = |vm: &&Vm| vm.node().is_some_and(|node| dark.contains(node));
    snap.vms.values().map(|entry| &entry.value).filter(there).collect()
}

/// The nodes that go dark.
fn going_dark<'s>(snap: &'s Snapshot, outage: &Outage) -> HashSet<&'s NodeName> {
    let nodes = snap.nodes.values().map(|entry| &entry.value);
    nodes.filter(|node| outage.scope.covers(node)).map(|node| &node.name).collect()
}

/// The servers that are elsewhere and on their way to where it goes dark.
fn arriving<'s>(turn: &Turn<'s>, outage: &Outage) -> Vec<&'s Vm> {
    let (snap, dark) = (turn.snap, going_dark(turn.snap, outage));
    let coming = |vm: &Vm| comes(turn, outage, vm) && !vm.node().is_some_and(|node| dark.contains(node));
    snap.vms.values().map(|entry| &entry.value).filter(|vm| coming(vm)).collect()
}

/// Whether a server moves to where it goes dark, be it from there as well.
pub(super) fn comes(turn: &Turn<'_>, outage: &Outage, vm: &Vm) -> bool {
    let goes_dark =
        |node: &NodeName| turn.snap.nodes.get(node.as_str()).is_some_and(|entry| outage.scope.covers(&entry.value));
    turn.migrations_of(&vm.name).any(|m| !m.state.over() && goes_dark(&m.to))
}

/// What an evacuation would do now with each server.
#[derive(Debug, Default)]
pub(crate) struct Foreseen<'s> {
    /// Who would move, and where to.
    pub(crate) moves: Vec<(&'s Vm, NodeName)>,
    /// Who is on the move already, also if that leads here, or about to start and would move then.
    pub(crate) waiting: Vec<&'s Vm>,
    /// Who could not, and why.
    pub(crate) left: Vec<Left>,
}

/// Looks ahead by the same choices that are made when it comes to it. The outage is in the turn's
/// snapshot, since what it empties receives nothing.
pub(crate) fn foresee<'s>(turn: &mut Turn<'s>, outage: &Outage) -> Foreseen<'s> {
    let servers = concerned(turn.snap, outage);
    let Sorted { mut waiting, to_place, mut left } = sort(turn, outage, Reason::Evacuation, &servers);
    waiting.extend(arriving(turn, outage));
    let mut moves = Vec::new();
    for (vm, place) in to_place.iter().zip(places(turn, outage, Reason::Evacuation, &to_place)) {
        match place {
            Ok(to) => moves.push((*vm, to)),
            Err(fault) => left.push(Left { vm: vm.name.clone(), fault }),
        }
    }
    left.extend(unplaced(turn.snap, outage));
    Foreseen { moves, waiting, left }
}

/// Servers of a site that nobody wants to run and no node ever had: there is nothing of them to move.
fn unplaced(snap: &Snapshot, outage: &Outage) -> Vec<Left> {
    let at_home = |vm: &Vm| matches!(&outage.scope, Scope::Site(site) if *site == vm.home_site);
    let idle = |vm: &&Vm| vm.grant.is_none() && vm.desired == Desired::Stopped && at_home(vm);
    let left = |vm: &Vm| {
        let fault = Refusal::NotRunning { vm: vm.name.to_string(), state: vm.state.word().to_owned() };
        Left { vm: vm.name.clone(), fault }
    };
    snap.vms.values().map(|entry| &entry.value).filter(idle).map(left).collect()
}

fn leave(turn: &mut Turn<'_>, entry: &Entry<Outage>) {
    let outage = &entry.value;
    let time = deadline::time(turn, outage);
    if let Some(time) = time {
        deadline::halt(turn, outage, time);
    }
    let servers = concerned(turn.snap, outage);
    let rest = advance(turn, outage, Reason::Evacuation, &servers, time);
    if deadline::tell(turn, entry) {
        return;
    }
    // Where time is short it goes to those that leave.
    let rest = rest.filter(|left| time.is_some() || !detour::open(turn, outage, Reason::Evacuation, left));
    // The control plane leaves last: when nobody moves any more, or when the time is over for those who would. What
    // has begun of it goes on.
    let last = time.is_some_and(deadline::Time::is_up) || outage.control.as_ref().is_some_and(|c| c.ended_at.is_none());
    if (rest.is_some() || last)
        && control::is_settled(turn, entry, Reason::Evacuation)
        && let Some(left) = rest
    {
        let left = left.into_iter().chain(unplaced(turn.snap, outage)).collect();
        turn.change_outage(entry, Change::Emptied(left));
    }
}

/// Whoever could not leave and still runs goes off before the power does.
fn stay_behind(turn: &mut Turn<'_>, entry: &Entry<Outage>) {
    if let Some(time) = deadline::time(turn, &entry.value).filter(|time| time.is_up()) {
        deadline::halt(turn, &entry.value, time);
    }
    let _ = deadline::tell(turn, entry);
}

/// The control plane's move goes on if it has begun: between two front ends it is nowhere at home.
fn stand_still(turn: &mut Turn<'_>, entry: &Entry<Outage>) {
    let outage = &entry.value;
    let reason = if outage.state == State::Returning { Reason::Return } else { Reason::Evacuation };
    if outage.control.as_ref().is_some_and(|control| control.ended_at.is_none()) {
        // What it comes to is looked at again when the outage goes on.
        let _ = control::is_settled(turn, entry, reason);
    }
}

/// The nodes of a site that a return still waits for: those that are not there yet, for as long as the
/// rules say after it was asked for. Power comes back to all at once, but they take their time to start.
/// One that is known to stay away is not waited for once it is cordoned. Those that were shut down have their own time.
pub(crate) fn awaited(snap: &Snapshot, rules: &Rules, outage: &Outage, now: Timestamp) -> Vec<NodeName> {
    let (Scope::Site(_), State::Returning, Some(leg)) = (&outage.scope, outage.state, outage.home) else {
        return Vec::new();
    };
    let mut awaited: Vec<NodeName> = dark::rising(outage).cloned().collect();
    if now.millis_since(leg.began_at) < rules.return_wait_ms {
        awaited.extend(missing(snap, &outage.scope).cloned());
    }
    awaited.sort();
    awaited.dedup();
    awaited
}

/// The nodes of what went dark that are not back, but for those of which that is known.
pub(super) fn missing<'s>(snap: &'s Snapshot, scope: &Scope) -> impl Iterator<Item = &'s NodeName> {
    let nodes = snap.nodes.values().map(|entry| &entry.value);
    let away = nodes.filter(move |n| scope.covers(n) && !n.cordoned && n.state != node::State::Ready);
    away.map(|n| &n.name)
}

fn come_home(turn: &mut Turn<'_>, entry: &Entry<Outage>) {
    let outage = &entry.value;
    let Scope::Site(site) = &outage.scope else {
        return turn.change_outage(entry, Change::Home(Vec::new()));
    };
    let snap = turn.snap;
    let away = |vm: &Vm| vm.home_site == *site && vm.node().is_some_and(|node| snap.site_of(node) != Some(site));
    // Whoever is still leaving may be away when the leg is over.
    let leaving = |vm: &Vm| {
        let of_outage = |m: &Migration| m.outage.as_ref() == Some(&outage.id) && !m.state.over();
        vm.home_site == *site && turn.migrations_of(&vm.name).any(of_outage)
    };
    let servers: Vec<_> = snap.vms.values().map(|entry| &entry.value).filter(|vm| away(vm) || leaving(vm)).collect();
    let anybody = !servers.is_empty() || !outage.halted.is_empty();
    let starting = dark::rising(outage).next().is_some();
    if starting || anybody && !awaited(snap, turn.rules, outage, turn.now).is_empty() {
        return;
    }
    // Who never ran may have been given a place elsewhere just before, which is not seen yet.
    let placed = |vm: &Vm| vm.home_site == *site && vm.grant.is_none() && !turn.settled::<Vm>(vm.name.as_str());
    if snap.vms.values().any(|entry| placed(&entry.value)) {
        return;
    }
    if let Some(left) = advance(turn, outage, Reason::Return, &servers, None)
        && !guests::make_way(turn, outage, site, &left)
        && !detour::open(turn, outage, Reason::Return, &left)
        && !deadline::is_anybody_rising(turn, outage)
        && control::is_settled(turn, entry, Reason::Return)
    {
        turn.change_outage(entry, Change::Home(left));
    }
}

/// Calls back whoever is still to leave for an outage from which servers come home, or which is over, and whoever is still
/// to come home for one that was called off: also what somebody began who had been succeeded, since nobody brings that
/// home any more. However many outages there were, migrations are gone through once.
fn call_back(turn: &mut Turn<'_>) {
    let snap = turn.snap;
    for entry in snap.migrations.values() {
        let migration = &entry.value;
        let early = matches!(migration.state, migration::State::Queued | migration::State::Preparing);
        if early
            && !migration.cancel_asked
            && migration.outage.as_ref().is_some_and(|outage| nobody_goes(turn, outage, migration.reason))
        {
            let asked = Migration { cancel_asked: true, ..migration.clone() };
            turn.push(Action::StoreMigration { migration: Box::new(asked), revision: entry.revision });
        }
    }
}

/// Whether nobody begins to move for this reason any more.
fn nobody_goes(turn: &Turn<'_>, outage: &OutageId, reason: Reason) -> bool {
    let outage = turn.snap.outages.get(outage.as_str()).map(|entry| &entry.value);
    outage.is_some_and(|outage| {
        let is_over = match outage.state {
            State::Returning => reason == Reason::Evacuation && outage.paused_at.is_none(),
            State::Completed => reason == Reason::Evacuation,
            State::Cancelled => matches!(reason, Reason::Evacuation | Reason::Return),
            State::Scheduled | State::Evacuating | State::Evacuated => false,
        };
        is_over && turn.settled::<Outage>(outage.id.as_str())
    })
}

/// Makes migrations for whoever can move. Gives what is left when nothing more can be done.
fn advance(
    turn: &mut Turn<'_>,
    outage: &Outage,
    reason: Reason,
    servers: &[&Vm],
    time: Option<deadline::Time>,
) -> Option<Vec<Left>> {
    // One that is called back may still arrive elsewhere, and is then to be brought home. Nobody
    // waits for one whose server is on a node that is gone: that server is left, with that reason.
    let waits = |m: &Migration| {
        let node = turn.snap.vms.get(m.vm.as_str()).and_then(|entry| entry.value.node());
        m.outage.as_ref() == Some(&outage.id) && !m.state.over() && !node.is_some_and(|node| turn.unreachable(node))
    };
    let Sorted { waiting, mut to_place, mut left } = sort(turn, outage, reason, servers);
    let mut under_way = !waiting.is_empty() || turn.snap.migrations.values().any(|entry| waits(&entry.value));
    let mut may_begin = usize::MAX;
    if let Some(time) = time {
        // Who finds no room elsewhere does not use up the others' time.
        to_place = placed(turn, outage, reason, &to_place, &mut left);
        let pace = deadline::Pace::of(turn, outage);
        let leavers = deadline::leavers(turn, outage, time, &pace, &to_place);
        under_way |= leavers.others_wait;
        (to_place, may_begin) = (leavers.leave, leavers.may_begin);
    }
    let found = places(turn, outage, reason, &to_place);
    let mut expected: HashSet<&VmName> = HashSet::new();
    expected.extend(waiting.iter().filter(|vm| dependencies::is_expected(turn, vm)).map(|vm| &vm.name));
    expected.extend(to_place.iter().zip(&found).filter(|(_, place)| place.is_ok()).map(|(vm, _)| &vm.name));
    let mut beginning = Vec::new();
    for (vm, place) in to_place.iter().copied().zip(found) {
        // The two are never on their way at once.
        let is_behind = turn.dependencies.before(vm).iter().any(|other| expected.contains(other));
        match place {
            Ok(_) if may_begin == 0 || is_behind => under_way = true,
            Ok(to) => {
                under_way = true;
                may_begin -= 1;
                beginning.push((vm, to));
            }
            Err(fault) => left.push(Left { vm: vm.name.clone(), fault }),
        }
    }
    lint::never_at_once(turn, outage, &mut beginning);
    for (vm, to) in beginning {
        begin(turn, Some(outage), reason, vm, to);
    }
    // A migration that is being made or ended counts until its document is seen.
    let unsettled = turn
        .snap
        .busy
        .values()
        .any(|action| matches!(action.as_ref(), Action::NewMigration(m) if m.outage.as_ref() == Some(&outage.id)));
    (!under_way && !unsettled).then_some(left)
}

/// Those of them that would find a place if all of them left, without taking it; the others are left.
fn placed<'s>(
    turn: &mut Turn<'_>,
    outage: &Outage,
    reason: Reason,
    servers: &[&'s Vm],
    left: &mut Vec<Left>,
) -> Vec<&'s Vm> {
    let rooms = turn.rooms.clone();
    // They are not sent there: the targets are checked when they are.
    let found = proposed(turn, outage, reason, servers);
    turn.rooms = rooms;
    let mut placed = Vec::new();
    for (vm, (_, place)) in servers.iter().zip(found) {
        match place {
            Ok(_) => placed.push(*vm),
            Err(fault) => left.push(Left { vm: vm.name.clone(), fault }),
        }
    }
    placed
}

/// Servers by what they are.
struct Sorted<'s> {
    /// Moving or waiting.
    waiting: Vec<&'s Vm>,
    to_place: Vec<&'s Vm>,
    left: Vec<Left>,
}

fn sort<'s>(turn: &Turn<'_>, outage: &Outage, reason: Reason, servers: &[&'s Vm]) -> Sorted<'s> {
    let mut sorted = Sorted { waiting: Vec::new(), to_place: Vec::new(), left: Vec::new() };
    for vm in servers {
        match standing(turn, outage, reason, vm) {
            Standing::Moving | Standing::Waiting => sorted.waiting.push(vm),
            Standing::ToPlace => sorted.to_place.push(vm),
            Standing::Halted => {}
            Standing::Left(fault) => sorted.left.push(Left { vm: vm.name.clone(), fault }),
        }
    }
    sorted
}

fn standing(turn: &Turn<'_>, outage: &Outage, reason: Reason, vm: &Vm) -> Standing {
    let name = || vm.name.to_string();
    if matches!(vm.state, vm::State::Stopped | vm::State::Suspended) && turn.is_held(vm) {
        return Standing::Halted;
    }
    if let Some(node) = vm.node().filter(|node| turn.unreachable(node)) {
        return Standing::Left(out_of_reach(turn, vm, node));
    }
    if turn.moves(vm) {
        return Standing::Moving;
    }
    if vm.desired == Desired::Deleted || vm.state == vm::State::Deleting {
        // A guest that is asked to write its disk out first may not heed that.
        if vm.writes_out() && !deadline::is_going_off(turn, vm) {
            return Standing::Left(Refusal::NotRunning { vm: name(), state: vm.state.word().to_owned() });
        }
        return Standing::Waiting;
    }
    if let Some(halt) = vm.halt.as_ref().filter(|_| turn.is_held(vm)) {
        let waits = deadline::is_going_off(turn, vm);
        return if waits { Standing::Waiting } else { Standing::Left(halt.fault.clone()) };
    }
    // Its guest has not heeded the wish to shut down, and the outage that had it is over.
    let heeds_not = vm.state == vm::State::Stopping && vm.desired == Desired::Running && !turn.restarts_soon(vm);
    if let Some(halt) = vm.halt.as_ref().filter(|_| heeds_not) {
        return Standing::Left(halt.fault.clone());
    }
    let runs = match vm.state {
        vm::State::Running => vm.desired == Desired::Running,
        vm::State::Starting | vm::State::Migrating => true,
        // It was off for no wish of its users and is about to start again; or it is off only for a
        // moment, to become another size.
        vm::State::Stopped | vm::State::Suspended => vm.desired == Desired::Running,
        vm::State::Stopping => turn.restarts_soon(vm),
        _ => false,
    };
    if !runs {
        return Standing::Left(Refusal::NotRunning { vm: name(), state: vm.state.word().to_owned() });
    }
    // Who is off needs no policy to stay.
    if reason == Reason::Evacuation && vm.spec.evacuate == Evacuate::Stay {
        return Standing::Left(Refusal::PolicyStays { vm: name() });
    }
    if vm.state != vm::State::Running {
        return Standing::Waiting;
    }
    match standstill::stands_still(vm) {
        None => tried(turn, outage, reason, vm),
        Some(_) if standstill::starts_anew(turn, vm) => Standing::Waiting,
        // Nothing can be sent of it while it stands still; it leaves if it goes on in time.
        Some(fault) => Standing::Left(fault.clone()),
    }
}

/// Why a server stays whose node is not heard: nobody knows what becomes of it, unless the node is known to be off.
fn out_of_reach(turn: &Turn<'_>, vm: &Vm, node: &NodeName) -> Refusal {
    let (name, there) = (vm.name.to_string(), node.to_string());
    match vm.desired {
        _ if !turn.is_off(node) || vm.crossing.is_some() => Refusal::VmUnreachable { vm: name, node: there },
        Desired::Running => Refusal::VmStranded { vm: name, node: there },
        Desired::Stopped => Refusal::NotRunning { vm: name, state: vm.state.word().to_owned() },
        Desired::Deleted => Refusal::DeletionWaits { vm: name, node: there },
    }
}

/// A server's migrations of this leg.
fn of_leg<'s>(turn: &Turn<'s>, outage: &Outage, reason: Reason, vm: &VmName) -> impl Iterator<Item = &'s Migration> {
    let leg = if reason == Reason::Return { outage.home } else { outage.out };
    let began = leg.map_or(outage.created_at, |leg| leg.began_at);
    let mine =
        move |m: &&'s Migration| m.outage.as_ref() == Some(&outage.id) && m.reason == reason && m.created_at >= began;
    turn.migrations_of(vm).filter(mine)
}

/// The tries of this leg that did not succeed, newest last.
fn failures<'s>(turn: &Turn<'s>, outage: &Outage, reason: Reason, vm: &VmName) -> Vec<&'s Migration> {
    let is_lost = |m: &&Migration| matches!(m.state, migration::State::Failed | migration::State::Cancelled);
    let mut failed: Vec<_> = of_leg(turn, outage, reason, vm).filter(is_lost).collect();
    failed.sort_by_key(|m| naming::number(m.id.as_str()));
    failed
}

fn tried(turn: &Turn<'_>, outage: &Outage, reason: Reason, vm: &Vm) -> Standing {
    let failed = failures(turn, outage, reason, &vm.name);
    let Some(last) = failed.last() else { return Standing::ToPlace };
    let count = u32::try_from(failed.len()).unwrap_or(u32::MAX);
    let fault = last.fault.clone().unwrap_or_else(|| Refusal::MigrationCancelled { vm: vm.name.to_string() });
    if count > turn.rules.retries || last.state == migration::State::Cancelled {
        Standing::Left(fault)
    } else if turn.now.millis_since(last.changed_at) < pause_ms(count - 1, turn.rules.restart_ms) {
        Standing::Waiting
    } else {
        Standing::ToPlace
    }
}

/// Targets, as far as they stand the check; one answer for each.
fn places(turn: &mut Turn<'_>, outage: &Outage, reason: Reason, servers: &[&Vm]) -> Vec<Result<NodeName, Refusal>> {
    let proposal = proposed(turn, outage, reason, servers);
    lint::checked(turn, outage, reason, servers, proposal, &|node| allowed(outage, reason, node))
}

/// Chooses targets: home for those who return; for a drained node its own site first; never a
/// node that drains. Who was refused by a target before is offered another first.
fn proposed(
    turn: &mut Turn<'_>,
    outage: &Outage,
    reason: Reason,
    servers: &[&Vm],
) -> impl Iterator<Item = lint::Answer> + use<> {
    let snap = turn.snap;
    let needs = Need::all_crossing(servers, snap);
    let first = preference(snap, outage, reason);
    let refused = |vm: &VmName| -> Vec<NodeName> {
        failures(turn, outage, reason, vm).into_iter().map(|m| m.to.clone()).collect()
    };
    let avoids: Vec<Vec<NodeName>> = needs.iter().map(|need| refused(&need.vm.name)).collect();
    let keepers = ahead::Keepers::of(snap);
    let rooms = &mut turn.rooms;
    let mut found: BTreeMap<usize, Result<NodeName, Refusal>> = BTreeMap::new();
    let mut fresh = Vec::new();
    for (index, (need, avoid)) in needs.iter().zip(&avoids).enumerate() {
        // Where a part of its disk lies already, less travels.
        let fits = |node: &NodeName| {
            let goes = |node: &Node| allowed(outage, reason, node) && first(node);
            snap.nodes.get(node.as_str()).is_some_and(|entry| goes(&entry.value))
                && !avoid.contains(node)
                && placement::check(rooms, need, node).is_ok()
        };
        if let Some(to) = keepers.holders(snap, need.vm).into_iter().find(|node| fits(node)) {
            rooms.reserve(&to, need.vm);
            found.insert(index, Ok(to));
        } else if avoid.is_empty() {
            fresh.push((index, need.clone()));
        } else {
            let place = placement::choose(rooms, need, &|node| allowed(outage, reason, node), avoid);
            if let Ok(to) = &place {
                rooms.reserve(to, need.vm);
            }
            found.insert(index, place);
        }
    }
    let (indexes, fresh): (Vec<usize>, Vec<Need<'_>>) = fresh.into_iter().unzip();
    let mut planned = placement::plan(rooms, &fresh, &|node| allowed(outage, reason, node) && first(node));
    for (place, need) in planned.iter_mut().zip(&fresh) {
        if place.is_err() {
            *place = placement::choose(rooms, need, &|node| allowed(outage, reason, node), &[]);
            if let Ok(to) = place {
                rooms.reserve(to, need.vm);
            }
        }
    }
    found.extend(indexes.into_iter().zip(planned));
    found.into_iter()
}

/// Where servers of this outage may go at all.
fn allowed(outage: &Outage, reason: Reason, node: &Node) -> bool {
    match (reason, &outage.scope) {
        (Reason::Return, Scope::Site(site)) => node.site == *site,
        (_, scope) => !scope.covers(node),
    }
}

/// Where they go if there is room.
fn preference(snap: &Snapshot, outage: &Outage, reason: Reason) -> impl Fn(&Node) -> bool {
    let own = match (&outage.scope, reason) {
        (Scope::Node(node), Reason::Evacuation) => snap.site_of(node).cloned(),
        _ => None,
    };
    move |node| own.as_ref().is_none_or(|site| node.site == *site)
}

/// Whether a migration leads away from where it goes dark; otherwise its server makes way elsewhere.
pub(super) fn leaves(snap: &Snapshot, outage: &Outage, migration: &Migration) -> bool {
    snap.nodes.get(migration.from.as_str()).is_some_and(|entry| outage.scope.covers(&entry.value))
}

/// Another target for a migration that waits and whose target is no longer fit.
pub(crate) fn target(turn: &Turn<'_>, migration: &Migration, need: &Need<'_>) -> Result<NodeName, Refusal> {
    let outage = migration.outage.as_ref().and_then(|id| turn.snap.outages.get(id.as_str()));
    let candidates = |node: &Node| match (migration.reason, outage) {
        // Also a guest's of the site, which makes way.
        (Reason::Return, Some(_)) => node.site == need.vm.home_site,
        // Who makes way elsewhere goes to no other site than it was to.
        (Reason::Evacuation, Some(entry)) if !leaves(turn.snap, &entry.value, migration) => {
            turn.snap.site_of(&migration.to) == Some(&node.site)
        }
        (reason, outage) => outage.is_none_or(|entry| allowed(&entry.value, reason, node)),
    };
    placement::choose(&turn.rooms, need, &candidates, std::slice::from_ref(&migration.to))
}

/// Has a server migrate, for an outage if one is given.
pub(super) fn begin(turn: &mut Turn<'_>, outage: Option<&Outage>, reason: Reason, vm: &Vm, to: NodeName) {
    let (Some(id), Some(from)) = (naming::next_migration(vm, turn.migrations_of(&vm.name)), vm.node().cloned()) else {
        return;
    };
    turn.push(Action::NewMigration(Box::new(Migration {
        v: 1,
        id,
        vm: vm.name.clone(),
        from,
        to,
        reason,
        outage: outage.map(|outage| outage.id.clone()),
        state: migration::State::Queued,
        request_id: None,
        trace: outage.and_then(|outage| outage.trace.clone()),
        cancel_asked: false,
        measured: None,
        fault: None,
        created_at: turn.now,
        copying_at: None,
        changed_at: turn.now,
    })));
}
