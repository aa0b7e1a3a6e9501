//! An evacuation against the clock: who still leaves, who is suspended or shut down instead, and when.
//!
//! ```text
//!   began                                                               the power goes
//!     ├─────── servers cross, the worthiest first ────┬── stopping, handover ──┬── spare ──┤
//!                                                     └ whoever is still there goes off
//! ```
//!
//! Nothing is decided before it must be: a server that has no time now may have it when the link turns out
//! faster, so that it runs on until the last moment at which it can still be stopped. What has begun to leave
//! and will not arrive in time, now that the link turns out slower, is called back at once, since that
//! takes time as well. Whoever goes off stays off where it is until the outage is over, is then started
//! again, and its document says so ([`Halt`]). Nobody is killed: a guest that does not heed the wish to shut
//! down runs until the power goes.
//!
//! A server that depends on others leaves with those or not at all, as far as they could leave: they cross before it, and
//! if one of them has no time neither has it ([`choice`]).
//!
//! A suspended server could be carried to the other site, too, but that is as many bytes as its memory is: who
//! has the time for those crosses live.

mod choice;
mod pace;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use watari_chassis::Entry;
use watari_model::{
    MigrationId, NodeName, Refusal, Timestamp, VmName,
    migration::{self, Migration},
    outage::{Change, Halted, Outage, Scope},
    said,
    site::{Power, Supply},
    vm::{self, Desired, Evacuate, Halt, Vm, Way},
};

use super::{
    Action, Rules, crossing,
    evacuation::{concerned, leaves},
    forecast::bytes_of,
    turn::Turn,
};
use choice::{Candidate, worthiest};
pub(crate) use pace::Pace;

/// Of the time that is left so much is reckoned with, in percent: batteries end sooner than they say.
const RECKONED: u64 = 90;
/// At most this part of all the time is kept for stopping, and as much for the control plane's leaving.
const STOPPING_PART: u64 = 3;
/// One on which others depend goes off after them, and waits for that for this part of the time for stopping at most.
const WAITING_PART: u64 = 4;
/// A battery that should have been empty for so long was told of wrongly, or long ago, and an inspection that should have begun
/// so long ago is late: the power is still there.
const OUTLIVED_MS: u64 = 60_000;
/// What has begun is called back before the last moment if it needs so much of the time that there is, in percent.
/// Its pace is measured from its beginning, and lags behind what it is once others are out of its way.
const LATE: u64 = 125;
/// A guest that has not shut down for so long does not heed the wish.
const HEEDS_MS: u64 = 120_000;

/// The time that an evacuation has, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    /// Until the power goes.
    pub(crate) left_ms: u64,
    /// In which servers may still cross.
    cross_ms: u64,
    /// In which those that stay go off after that.
    stop_ms: u64,
}

impl Time {
    /// What is left of `all_ms`.
    pub(crate) fn of(left_ms: u64, all_ms: u64, rules: &Rules) -> Self {
        let stop_ms = rules.deadline.stop_ms.min(all_ms / STOPPING_PART);
        let handover_ms = rules.handover_ms.min(all_ms / STOPPING_PART);
        let reckoned = left_ms.saturating_mul(RECKONED) / 100;
        Self { left_ms, cross_ms: reckoned.saturating_sub(stop_ms).saturating_sub(handover_ms), stop_ms }
    }

    /// Whether whoever is still there must go off now.
    pub(crate) const fn is_up(self) -> bool {
        self.cross_ms == 0
    }
}

/// The time that an outage's evacuation has; none if that is not bounded, or not known.
pub(crate) fn time(turn: &Turn<'_>, outage: &Outage) -> Option<Time> {
    let ends = ends_at(turn, outage)?;
    let began = outage.out.map_or(outage.created_at, |leg| leg.began_at);
    Some(Time::of(ends.millis_since(turn.now), ends.millis_since(began), turn.rules))
}

/// When the power goes, as far as servers are stopped for that: when the battery is empty. An inspection that is scheduled can
/// be put off, so that its time bounds nothing unless the rules say so: it is told beforehand who could not leave, and why. What is
/// past bounds nothing: the power is still there. An end counts for a minute more, so that nobody begins anything in the
/// very moment in which it comes true.
fn ends_at(turn: &Turn<'_>, outage: &Outage) -> Option<Timestamp> {
    let rules = turn.rules.deadline;
    let Scope::Site(site) = &outage.scope else { return None };
    let power = turn.snap.sites.get(site.as_str()).and_then(|entry| entry.value.power);
    let battery = power.filter(|power| rules.stops && power.supply == Supply::Battery).and_then(Power::ends_at);
    let scheduled = outage.window.filter(|_| rules.stops_scheduled).map(|window| window.from);
    [battery, scheduled].into_iter().flatten().filter(|ends| ends.plus_millis(OUTLIVED_MS) > turn.now).min()
}

/// Who leaves in the time that there is.
pub(crate) struct Leavers<'s> {
    /// Who does, the worthiest first.
    pub(crate) leave: Vec<&'s Vm>,
    /// Whether anybody else waits for more time, or for the last moment.
    pub(crate) others_wait: bool,
    /// So many may begin now: what has not begun may be chosen otherwise.
    pub(crate) may_begin: usize,
}

/// Chooses among those that could leave now.
pub(crate) fn leavers<'s>(
    turn: &Turn<'_>,
    outage: &Outage,
    time: Time,
    pace: &Pace,
    servers: &[&'s Vm],
) -> Leavers<'s> {
    let chosen = servers.iter().zip(fitting(turn, outage, time, pace, servers)).filter(|(_, leaves)| *leaves);
    let leave = worthiest_first(turn, pace, chosen.map(|(vm, _)| *vm), |vm| vm);
    let others_wait = leave.len() < servers.len();
    let at_once = turn.rules.in_flight.saturating_add(turn.rules.ahead);
    Leavers { leave, others_wait, may_begin: at_once.saturating_sub(under_way(turn, outage)) }
}

/// In the order in which they begin if time is short: those that are worth the most for theirs first.
pub(crate) fn worthiest_first<T>(
    turn: &Turn<'_>,
    pace: &Pace,
    servers: impl IntoIterator<Item = T>,
    vm: impl Fn(&T) -> &Vm,
) -> Vec<T> {
    let mut ranked: Vec<(Candidate, T)> =
        servers.into_iter().map(|one| (candidate(turn, pace, vm(&one)), one)).collect();
    ranked.sort_by(|(a, _), (b, _)| a.worthier(b));
    ranked.into_iter().map(|(_, one)| one).collect()
}

/// Whether each of these could cross in the time, if the most worth is to.
pub(crate) fn fitting(turn: &Turn<'_>, outage: &Outage, time: Time, pace: &Pace, servers: &[&Vm]) -> Vec<bool> {
    if time.is_up() {
        return vec![false; servers.len()];
    }
    let moving = migrations(turn, outage).into_iter().map(|m| pace.left_ms(turn, m)).fold(0, u64::saturating_add);
    // What it is worth to others counts with those, which are weighed together with it.
    let candidate = |vm: &&Vm| {
        let takes = if goes_without(turn, outage, vm) { u64::MAX } else { pace.takes_ms(bytes_of(turn, vm)) };
        Candidate { worth: worth(vm.spec.priority), cost: takes }
    };
    let candidates: Vec<Candidate> = servers.iter().map(candidate).collect();
    // All share the link, and its pace is that of all together: side by side they have no more time than one after
    // the other.
    worthiest(&candidates, &needs(turn, servers), time.cross_ms.saturating_sub(moving))
}

/// One that nobody has given a priority is worth something, too.
fn worth(priority: u8) -> u64 {
    u64::from(priority) + 1
}

/// For each the places of those on which it depends, as far as they could leave as well. Who is away, is off by its users'
/// wish, or could not leave if there were time is not needed: in an evacuation that has time nobody waits for it either.
fn needs(turn: &Turn<'_>, servers: &[&Vm]) -> Vec<Vec<usize>> {
    let places: HashMap<&VmName, usize> = servers.iter().enumerate().map(|(place, vm)| (&vm.name, place)).collect();
    let of = |vm: &&Vm| -> Vec<usize> {
        turn.dependencies.before(vm).iter().filter_map(|other| places.get(other).copied()).collect()
    };
    servers.iter().map(of).collect()
}

/// Whether one on which it depends goes off in this outage for want of time: it goes off with it, and they come back
/// together.
fn goes_without(turn: &Turn<'_>, outage: &Outage, vm: &Vm) -> bool {
    let others = turn.dependencies.before(vm).iter().filter_map(|other| turn.snap.vms.get(other.as_str()));
    let mut others = others.map(|entry| &entry.value);
    others.any(|other| other.halt.as_ref().is_some_and(|halt| halt.outage == outage.id) && turn.is_held(other))
}

/// In the order of leaving one on which others depend is worth as much as they are.
fn candidate(turn: &Turn<'_>, pace: &Pace, vm: &Vm) -> Candidate {
    let (Reverse(priority), _) = turn.dependencies.rank(vm);
    Candidate { worth: worth(priority), cost: pace.takes_ms(bytes_of(turn, vm)) }
}

/// An outage's migrations that are not over.
fn migrations<'s>(turn: &Turn<'s>, outage: &Outage) -> Vec<&'s Migration> {
    let mine = |m: &&Migration| m.outage.as_ref() == Some(&outage.id) && !m.state.over();
    turn.snap.migrations.values().map(|entry| &entry.value).filter(mine).collect()
}

/// How many have begun to leave, those included whose document is only being made.
fn under_way(turn: &Turn<'_>, outage: &Outage) -> usize {
    let mut begun: HashSet<&MigrationId> = migrations(turn, outage).into_iter().map(|m| &m.id).collect();
    begun.extend(turn.snap.busy.values().filter_map(|action| match action.as_ref() {
        Action::NewMigration(m) if m.outage.as_ref() == Some(&outage.id) => Some(&m.id),
        _ => None,
    }));
    begun.len()
}

/// Has go off whoever will not leave in time, once that is certain.
pub(crate) fn halt(turn: &mut Turn<'_>, outage: &Outage, time: Time) {
    let snap = turn.snap;
    let pace = Pace::of(turn, outage);
    let late: Vec<&Vm> = if time.is_up() {
        concerned(snap, outage).into_iter().filter(|vm| may_halt(turn, vm)).collect()
    } else {
        called_back(turn, outage, time, &pace)
    };
    for (vm, way) in late.iter().zip(ways(turn, time, &late)) {
        let Some(entry) = snap.vms.get(vm.name.as_str()) else { continue };
        let fault = no_time(turn, time, &pace, vm);
        let halt = Halt { outage: outage.id.clone(), way, fault, since: turn.now };
        turn.change_vm(entry, [], |vm| vm.halt = Some(halt));
    }
}

/// Those that have begun to leave and will not arrive in time, as the link turns out.
fn called_back<'s>(turn: &Turn<'s>, outage: &Outage, time: Time, pace: &Pace) -> Vec<&'s Vm> {
    if !pace.is_measured {
        return Vec::new();
    }
    let snap = turn.snap;
    // Those that are called back leave the link to the worthier ones.
    let mut left = time.cross_ms.saturating_mul(LATE) / 100;
    let mut late = Vec::new();
    for entry in crossing::in_order(turn) {
        let migration = &entry.value;
        let Some(vm) = snap.vms.get(migration.vm.as_str()).map(|entry| &entry.value) else { continue };
        // Who makes way elsewhere does not leave where it goes dark.
        if migration.outage.as_ref() != Some(&outage.id) || !leaves(snap, outage, migration) {
            continue;
        }
        let takes = pace.left_ms(turn, migration);
        if takes <= left {
            left -= takes;
        } else if may_halt(turn, vm) {
            late.push(vm);
        }
    }
    late
}

/// Whether it runs where it goes dark, is wanted, and can still be stopped there. What has left but for the last
/// step arrives, and whose own policy is to stay stays as it is.
pub(crate) fn may_halt(turn: &Turn<'_>, vm: &Vm) -> bool {
    let runs = match vm.state {
        vm::State::Running | vm::State::Starting => true,
        vm::State::Migrating => vm.crossing.as_ref().is_some_and(|crossing| {
            let migration = turn.snap.migrations.get(crossing.id.as_str());
            !crossing.switched && migration.is_some_and(|entry| may_be_called_back(turn, &entry.value))
        }),
        _ => false,
    };
    runs && vm.desired == Desired::Running
        && vm.spec.evacuate != Evacuate::Stay
        && !turn.is_held(vm)
        && !vm.node().is_some_and(|node| turn.unreachable(node))
}

fn may_be_called_back(turn: &Turn<'_>, migration: &Migration) -> bool {
    use migration::State::{Copying, Preparing, Queued};
    matches!(migration.state, Queued | Preparing)
        || (migration.state == Copying && !crossing::copy_is_over(turn, migration))
}

/// How each of these goes off: suspended as far as its node's disk takes the memory in half of the time, the
/// worthiest first; shut down the others. One that is to become another size boots anew in any case.
pub(crate) fn ways(turn: &Turn<'_>, time: Time, servers: &[&Vm]) -> Vec<Way> {
    let takes_mib = turn.rules.deadline.save_mib.saturating_mul(time.stop_ms) / 2_000;
    let mut taken: BTreeMap<&NodeName, u64> = BTreeMap::new();
    for vm in turn.snap.vms.values().map(|entry| &entry.value) {
        if let Some(node) = vm.node().filter(|_| vm.suspends()) {
            *taken.entry(node).or_default() += vm.spec.memory_mib;
        }
    }
    let mut order: Vec<(usize, &Vm)> = servers.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, vm)| (Reverse(vm.spec.priority), vm.spec.memory_mib, vm.name.clone()));
    let mut ways = vec![Way::ShutDown; servers.len()];
    for (index, vm) in order {
        let Some(node) = vm.node().filter(|_| vm.pending.is_none() && vm.booted) else { continue };
        let taken = taken.entry(node).or_default();
        if let Some(way) = ways.get_mut(index).filter(|_| *taken + vm.spec.memory_mib <= takes_mib) {
            *taken += vm.spec.memory_mib;
            *way = Way::Suspend;
        }
    }
    ways
}

/// Why a server does not leave.
pub(crate) fn no_time(turn: &Turn<'_>, time: Time, pace: &Pace, vm: &Vm) -> Refusal {
    let needs = pace.takes_ms(bytes_of(turn, vm)).div_ceil(1_000);
    let (left, cross) = (time.left_ms / 1_000, time.cross_ms / 1_000);
    let detail = if needs == 0 || time.is_up() {
        said!("the power goes in {left} s and it is still here", "{left} 秒後に電源が切れますが、まだ移動していません")
    } else {
        said!(
            "over the link it takes {needs} s, and the {cross} s that are left go to other servers first",
            "回線での転送に {needs} 秒かかり、残り {cross} 秒はほかのサーバを優先します"
        )
    };
    Refusal::NoTime { vm: vm.name.to_string(), detail }
}

/// The same of one on which it depends: it does not leave without that.
pub(crate) fn not_without(vm: &Vm, other: &VmName) -> Refusal {
    let detail =
        said!("it depends on {other}, which cannot leave in time", "依存先の {other} を退避する時間がありません");
    Refusal::NoTime { vm: vm.name.to_string(), detail }
}

/// Writes down in the outage who is off because of it, if that is news.
pub(crate) fn tell(turn: &mut Turn<'_>, entry: &Entry<Outage>) -> bool {
    let outage = &entry.value;
    let vms = turn.snap.vms.values().map(|entry| &entry.value);
    let halted = vms.filter_map(|vm| {
        let halt = vm.halt.as_ref().filter(|halt| halt.outage == outage.id)?;
        Some(Halted { vm: vm.name.clone(), way: halt.way, fault: halt.fault.clone() })
    });
    let halted: Vec<Halted> = halted.collect();
    let is_news = halted != outage.halted;
    if is_news {
        turn.change_outage(entry, Change::Halted(halted));
    }
    is_news
}

/// Whether a server that an outage has go off is not off yet, and may still heed the wish.
pub(crate) fn is_going_off(turn: &Turn<'_>, vm: &Vm) -> bool {
    match vm.state {
        vm::State::Stopping => turn.now.millis_since(vm.changed_at) < HEEDS_MS,
        vm::State::Stopped | vm::State::Suspended => false,
        _ => true,
    }
}

/// Whether one that is to go off waits until those that depend on it are off, for a part of the time only: whoever is
/// saved has half of it.
pub(crate) fn stops_later(turn: &Turn<'_>, vm: &Vm) -> bool {
    let Some(halt) = &vm.halt else { return false };
    let outage = turn.snap.outages.get(halt.outage.as_str());
    let Some(time) = outage.and_then(|entry| time(turn, &entry.value)) else { return false };
    let goes_off = |other: &Vm| {
        let with_it = other.halt.as_ref().is_some_and(|theirs| theirs.outage == halt.outage);
        // What is being written of it may be just that.
        !turn.settled::<Vm>(other.name.as_str()) || (with_it && turn.is_held(other) && is_going_off(turn, other))
    };
    turn.now.millis_since(halt.since) < time.stop_ms / WAITING_PART && turn.dependencies.behind(&vm.name).any(goes_off)
}

/// Whether servers that an outage had go off are on their way to run again.
pub(crate) fn is_anybody_rising(turn: &Turn<'_>, outage: &Outage) -> bool {
    let rises = |vm: &Vm| {
        vm.halt.as_ref().is_some_and(|halt| halt.outage == outage.id)
            && vm.desired == Desired::Running
            && vm.state != vm::State::Failed
            && vm.fault.is_none()
            // A guest that has not heeded the wish runs, and is waited for no longer.
            && (vm.state != vm::State::Stopping || is_going_off(turn, vm))
            && !vm.node().is_some_and(|node| turn.unreachable(node))
    };
    turn.snap.vms.values().any(|entry| rises(&entry.value))
}

#[cfg(test)]
mod tests;
