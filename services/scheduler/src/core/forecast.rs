//! What an evacuation would come to if it were asked for now: who would go where, who could not and
//! why, and how long it would take.
//!
//! The choices are not made a second time: the code that decides is asked about a snapshot in which
//! the outage is there already. How much travels is what travelled the last time, or more if the servers are busier or
//! their disks larger now (`weight`), and how fast is how fast it went the last times; where nothing is known, nothing
//! is said of the time.

mod fates;
mod order;

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use watari_chassis::Entry;
use watari_model::{
    NodeName, Refusal, SiteName, Timestamp, VmName,
    migration::{Migration, State as Moved},
    node::Carried,
    outage::{Left, Outage, Scope, State},
    vm::{self, Desired, Vm, Way},
};

use super::{
    Rules, Snapshot, ahead, deadline, evacuation,
    evacuation::Foreseen,
    lint, naming,
    placement::Supply,
    speed,
    speed::{Speed, Sums, Trip},
    turn::Turn,
    weight,
    weight::Own,
};
pub use fates::Fates;
pub(crate) use fates::is_wanted;
use order::Mover;

/// So many migrations are a group, of which it is seen how far they differ from others.
const GROUP: usize = 5;
/// Where nothing is known of the link, nobody is taken to cross in less.
const LEAST_MS: u64 = 1_000;
/// What migrations showed so long before anything else did is not what the link carries today.
const OUTDATED_MS: u64 = 30 * 86_400_000;

/// The outlook.
#[derive(Debug)]
pub struct Forecast {
    /// Who would move, in the order in which they would begin.
    pub moves: Vec<Move>,
    /// Who is moving already, also if that leads here, or starts and would move then.
    pub waiting: Vec<VmName>,
    /// Those of them that start.
    pub starting: Vec<VmName>,
    /// Those of them that move to where it goes dark, and would have to leave again.
    pub arriving: Vec<VmName>,
    /// Who could not, and why.
    pub left: Vec<Left>,
    /// Who could, or has no place, and would go off since the power goes before.
    pub halts: Vec<Halting>,
    /// Milliseconds until then; none if that is not known.
    pub time_ms: Option<u64>,
    /// How much all of these would carry, who is on the move already or starts included: they share the link.
    pub bytes: u64,
    /// How fast the last migrations between sites were, or disks that were sent ahead; none if there were none.
    pub(crate) speed: Option<Speed>,
    /// The time that it would take if all went as slowly, and as fast, as some of those did; none if they were few.
    pub(crate) span_ms: Option<(u64, u64)>,
    /// What decides when the last has arrived.
    pub(crate) path: Path,
}

/// A chain of moves, of which each makes way for the next: over the link, or since that depends on it.
#[derive(Debug, Default)]
pub struct Path {
    /// The last of them, at most [`MOST_ON_PATH`], in the order in which they begin.
    pub vms: Vec<VmName>,
    /// How many there are.
    pub count: usize,
}

/// So many servers of a critical path are named: where all share the link it has everybody.
pub const MOST_ON_PATH: usize = 16;

impl Path {
    /// Of names in the order in which they begin.
    fn of<'v>(names: impl DoubleEndedIterator<Item = &'v VmName> + ExactSizeIterator) -> Self {
        let count = names.len();
        let mut vms: Vec<VmName> = names.rev().take(MOST_ON_PATH).cloned().collect();
        vms.reverse();
        Self { vms, count }
    }
}

fn count(servers: usize) -> u64 {
    u64::try_from(servers).unwrap_or(u64::MAX)
}

impl Forecast {
    /// Milliseconds that all moves would take as fast as the link was seen to be, behind those that are under way; none if it never
    /// was. One that waits for another leaves the link to the others meanwhile, so that no time is added for that.
    #[must_use]
    pub fn estimated_ms(&self) -> Option<u64> {
        Some(self.speed?.takes_ms(count(self.moves.len() + self.waiting.len()), self.bytes))
    }

    /// Who would not have arrived after so many milliseconds, though it could leave: each has the link when those before it
    /// have, behind those that are under way. Where nothing is known of the link it is taken to be as fast as a rehearsal
    /// takes it to be. Nobody where the time bounds the evacuation: whoever has too little of it goes off before.
    #[must_use]
    pub fn late(&self, within_ms: u64) -> Vec<VmName> {
        if self.time_ms.is_some() {
            return Vec::new();
        }
        let Some(speed) = self.speed.or_else(|| Speed::new(speed::ASSUMED, 1_000, LEAST_MS)) else { return Vec::new() };
        let moving: u64 = self.moves.iter().map(|m| m.bytes).sum();
        let (mut servers, mut bytes) = (count(self.waiting.len()), self.bytes.saturating_sub(moving));
        let mut late = Vec::new();
        if speed.takes_ms(servers, bytes) > within_ms {
            late.extend_from_slice(&self.waiting);
        }
        for one in &self.moves {
            (servers, bytes) = (servers + 1, bytes.saturating_add(one.bytes));
            if speed.takes_ms(servers, bytes) > within_ms {
                late.push(one.vm.clone());
            }
        }
        late
    }
}

/// One server that would go off.
#[derive(Debug)]
pub struct Halting {
    /// The server.
    pub vm: VmName,
    /// How far it is now.
    pub state: vm::State,
    /// How it would go off.
    pub way: Way,
    /// Why it would not leave.
    pub fault: Refusal,
}

/// One move.
#[derive(Debug)]
pub struct Move {
    /// The server.
    pub vm: VmName,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// How much would travel, with all that is not there that its disk stands on.
    pub bytes: u64,
    /// How much of that is its base image, which the site where it goes lacks, and which goes with the first that needs
    /// it on a node.
    pub base_bytes: u64,
    /// Whether the rest is what travelled the last time; else it is the size of its memory. What its node has measured
    /// since is heeded in either case.
    pub measured: bool,
    /// What should be done beforehand, though it could leave.
    pub warnings: Vec<Refusal>,
    /// For whom it waits of those that travel as well.
    pub after: Vec<VmName>,
}

/// Looks ahead at an outage that has all the time that it needs: today's battery says nothing of next month's
/// inspection. None if no outage of the site could be named.
#[must_use]
pub fn forecast(snap: &Snapshot, rules: &Rules, site: &SiteName, now: Timestamp) -> Option<Forecast> {
    look_ahead(snap, rules, site, now, |_, _| None)
}

/// The same of an outage that is scheduled, and has so many milliseconds from its beginning until the power goes: they bound
/// it where servers are stopped for that.
#[must_use]
pub fn forecast_scheduled(
    snap: &Snapshot,
    rules: &Rules,
    site: &SiteName,
    time_ms: Option<u64>,
    now: Timestamp,
) -> Option<Forecast> {
    let time_ms = time_ms.filter(|_| rules.deadline.stops_scheduled);
    look_ahead(snap, rules, site, now, |_, _| time_ms.map(|ms| deadline::Time::of(ms, ms, rules)))
}

/// The same if the power went in so many milliseconds; if none are given, when a battery is empty.
#[must_use]
pub fn forecast_within(
    snap: &Snapshot,
    rules: &Rules,
    site: &SiteName,
    time_ms: Option<u64>,
    now: Timestamp,
) -> Option<Forecast> {
    look_ahead(snap, rules, site, now, |turn, outage| match time_ms.filter(|_| rules.deadline.stops) {
        Some(ms) => Some(deadline::Time::of(ms, ms, rules)),
        None => deadline::time(turn, outage),
    })
}

/// Looks ahead within the time that `time` gives.
fn look_ahead(
    snap: &Snapshot,
    rules: &Rules,
    site: &SiteName,
    now: Timestamp,
    time: impl FnOnce(&Turn<'_>, &Outage) -> Option<deadline::Time>,
) -> Option<Forecast> {
    let mut snap = snap.clone();
    let outage = open(&snap, site).cloned().or_else(|| imagined(&snap, site, now))?;
    let outage = Outage { state: State::Evacuating, ..outage };
    let entry = Entry { value: outage.clone(), revision: 0, created: now };
    Arc::make_mut(&mut snap.outages).insert(outage.id.to_string(), Arc::new(entry));

    let mut turn = Turn::new(&snap, rules, now);
    let mut foreseen = evacuation::foresee(&mut turn, &outage);
    name_refuge(&turn, &outage, site, &mut foreseen.left);
    let time = time(&turn, &outage);
    let halts = time.map_or_else(Vec::new, |time| halting(&turn, &outage, time, &mut foreseen));
    let moves = by_turns(&turn, &outage, time.is_some(), foreseen.moves);
    let travel: HashSet<&VmName> =
        moves.iter().map(|(vm, _)| *vm).chain(foreseen.waiting.iter().copied()).map(|vm| &vm.name).collect();
    let some_depend = moves.iter().any(|(vm, _)| !vm.spec.after.is_empty());
    let mut fetched: HashSet<(&NodeName, &str)> = HashSet::new();
    // Few ever failed, and all that are remembered of each server are not gone through for it.
    let failed = snap.migrations.values().map(|entry| &entry.value).filter(|m| m.state == Moved::Failed);
    let failed: HashSet<&VmName> = failed.map(|m| &m.vm).collect();
    let moves = moves.iter().filter_map(|(vm, to)| {
        let own = own(&turn, vm);
        let base_bytes = match turn.rooms.supply(&vm.spec.base, to) {
            Supply::Far(bytes) if fetched.insert((to, vm.spec.base.sha256.as_str())) => bytes,
            _ => 0,
        };
        let below = base_bytes.saturating_add(ahead::missing_bytes(&snap, vm, Some(to)));
        let bytes = own.bytes.saturating_add(below);
        let travels = (base_bytes > 0).then(|| image_travels(&snap, vm, to, base_bytes));
        let failure = failed.contains(&vm.name).then(|| last_failure(&turn, vm)).flatten();
        let warnings = travels.into_iter().chain(failure).chain(own.too_busy(&turn, vm)).collect();
        let before = turn.dependencies.before(vm).iter();
        let after = before.filter(|other| travel.contains(other)).cloned().collect();
        let (from, to, measured) = (vm.node()?.clone(), to.clone(), own.is_shown);
        Some(Move { vm: vm.name.clone(), from, to, bytes, base_bytes, measured, warnings, after })
    });
    let (moves, speed) = (moves.collect(), speed(&snap, rules));
    let (mut moves, path) = as_they_begin(&turn, &foreseen.waiting, moves, speed);
    if some_depend {
        foreseen.left.extend(too_early(&snap, &mut moves));
    }
    add_untold(&turn, &mut moves);
    let under_way = foreseen.waiting.iter().map(|vm| bytes_of(&turn, vm));
    let bytes: u64 = moves.iter().map(|m| m.bytes).chain(under_way).sum();
    let travelling = count(moves.len() + foreseen.waiting.len());
    let speed = speed.filter(|speed| !lint::is_too_soon(&turn, bytes, speed.takes_ms(travelling, bytes)));
    let starting = foreseen.waiting.iter().filter(|vm| starts(&turn, vm)).map(|vm| vm.name.clone()).collect();
    let arriving = foreseen.waiting.iter().filter(|vm| evacuation::comes(&turn, &outage, vm));
    let arriving = arriving.map(|vm| vm.name.clone()).collect();
    Some(Forecast {
        starting,
        arriving,
        waiting: foreseen.waiting.into_iter().map(|vm| vm.name.clone()).collect(),
        left: foreseen.left,
        halts,
        time_ms: time.map(|time| time.left_ms),
        span_ms: speed.and_then(|speed| span(&snap, rules, speed, travelling, bytes)),
        bytes,
        speed,
        path,
        moves,
    })
}

/// Where nobody may go since the other sites are emptied themselves, it is not room that lacks: that is told as it is to
/// whoever would begin the evacuation now.
fn name_refuge(turn: &Turn<'_>, outage: &Outage, site: &SiteName, left: &mut [Left]) {
    let elsewhere =
        |drains: bool| turn.rooms.iter().any(|room| !outage.scope.covers(room.node()) && room.is_draining() == drains);
    if elsewhere(false) || !elsewhere(true) {
        return;
    }
    for one in left.iter_mut().filter(|one| matches!(one.fault, Refusal::NoRoom { .. })) {
        one.fault = Refusal::NoRefuge { site: site.to_string() };
    }
}

/// Takes out whoever would begin before one on which it depends; that is a fault of the planner's.
fn too_early(snap: &Snapshot, moves: &mut Vec<Move>) -> Vec<Left> {
    let servers: Vec<&Vm> =
        moves.iter().filter_map(|m| snap.vms.get(m.vm.as_str())).map(|entry| &entry.value).collect();
    let flaws = lint::too_early(snap, &servers);
    moves.retain(|m| flaws.iter().all(|(vm, _)| vm.name != m.vm));
    flaws.into_iter().map(|(vm, flaw)| Left { vm: vm.name.clone(), fault: flaw.refusal(vm) }).collect()
}

/// Warns of those that write faster than their copies travel and of whom nothing is said; that is a fault of the planner's.
fn add_untold(turn: &Turn<'_>, moves: &mut [Move]) {
    for one in moves {
        let vm = turn.snap.vms.get(one.vm.as_str()).map(|entry| &entry.value);
        if let Some(warning) = vm.and_then(|vm| lint::too_fast(turn, vm))
            && !one.warnings.iter().any(|said| said.code() == warning.code())
        {
            one.warnings.push(warning);
        }
    }
}

/// In the order of their turns: as migrations wait in their queue, or, where time is short, as they are chosen for it.
fn by_turns<'s>(
    turn: &Turn<'_>,
    outage: &Outage,
    is_short: bool,
    mut moves: Vec<(&'s Vm, NodeName)>,
) -> Vec<(&'s Vm, NodeName)> {
    if is_short {
        return deadline::worthiest_first(turn, &deadline::Pace::of(turn, outage), moves, |(vm, _)| vm);
    }
    // Of many servers each is looked at once.
    moves.sort_by_cached_key(|(vm, _)| {
        (turn.dependencies.rank(vm), Reverse((vm.spec.memory_mib, vm.spec.disk_gib)), vm.name.clone())
    });
    moves
}

/// In the order in which they would begin, behind those that are on their way; and what decides when the last arrives.
fn as_they_begin(turn: &Turn<'_>, waiting: &[&Vm], moves: Vec<Move>, speed: Option<Speed>) -> (Vec<Move>, Path) {
    let names: Vec<&VmName> = waiting.iter().map(|vm| &vm.name).chain(moves.iter().map(|m| &m.vm)).collect();
    if moves.iter().all(|m| m.after.is_empty()) {
        // Nobody waits for anything but the link, which passes from one to the next.
        let path = Path::of(names.iter().rev().step_by(turn.rules.in_flight.max(1)).rev().copied());
        return (moves, path);
    }
    // Where nothing is known of the link, what is larger takes longer, and nobody makes room before its end.
    let overlap_ms = speed.map_or(0, |_| turn.rules.overlap_ms);
    let order = order::beginnings(&movers(turn, waiting, &moves, speed), &Rules { overlap_ms, ..turn.rules.clone() });
    let chain: Vec<&VmName> = order::chain(&order).into_iter().filter_map(|place| names.get(place).copied()).collect();
    let path = Path::of(chain.into_iter());
    let mut moves: Vec<Option<Move>> = moves.into_iter().map(Some).collect();
    let places = order.iter().filter_map(|one| one.place.checked_sub(waiting.len()));
    let mut ordered: Vec<Move> = places.filter_map(|place| moves.get_mut(place)?.take()).collect();
    // Nobody is lost who never came to begin: the check finds out what is the matter with it.
    ordered.extend(moves.into_iter().flatten());
    (ordered, path)
}

/// Those that are on their way, and those that would be.
fn movers(turn: &Turn<'_>, waiting: &[&Vm], moves: &[Move], speed: Option<Speed>) -> Vec<Mover> {
    let takes_ms = |bytes: u64| speed.map_or(bytes, |speed| speed.takes_ms(1, bytes));
    let names = waiting.iter().map(|vm| &vm.name).chain(moves.iter().map(|m| &m.vm));
    let places: HashMap<&VmName, usize> = names.enumerate().map(|(place, name)| (name, place)).collect();
    let under_way = waiting.iter().map(|vm| Mover { takes_ms: takes_ms(bytes_of(turn, vm)), after: Vec::new() });
    let new = moves.iter().map(|m| Mover {
        takes_ms: takes_ms(m.bytes),
        after: m.after.iter().filter_map(|other| places.get(other).copied()).collect(),
    });
    under_way.chain(new).collect()
}

/// That a server could go to a node whose site lacks its base image, which would travel as well.
pub(super) fn image_travels(snap: &Snapshot, vm: &Vm, to: &NodeName, bytes: u64) -> Refusal {
    Refusal::ImageTravels {
        vm: vm.name.to_string(),
        image: vm.spec.base.image.to_string(),
        site: snap.site_of(to).map_or_else(|| to.to_string(), ToString::to_string),
        mib: bytes.div_ceil(1 << 20).to_string(),
    }
}

/// That a server did not arrive when it was to move the last time, be it that it never converges or that something at its
/// target is amiss: nobody knows that it will the next time.
fn last_failure(turn: &Turn<'_>, vm: &Vm) -> Option<Refusal> {
    let ended = turn.migrations_of(&vm.name).filter(|m| matches!(m.state, Moved::Completed | Moved::Failed));
    let last = ended.max_by_key(|m| m.changed_at).filter(|m| m.state == Moved::Failed)?;
    let detail = last.fault.as_ref()?.said();
    Some(Refusal::LastMoveFailed { vm: vm.name.to_string(), migration: last.id.to_string(), detail })
}

/// Takes those out of what is foreseen that have no time to leave: who could move, and who runs and has no place.
fn halting(turn: &Turn<'_>, outage: &Outage, time: deadline::Time, foreseen: &mut Foreseen<'_>) -> Vec<Halting> {
    let pace = deadline::Pace::of(turn, outage);
    let servers: Vec<&Vm> = foreseen.moves.iter().map(|(vm, _)| *vm).collect();
    let mut fits = deadline::fitting(turn, outage, time, &pace, &servers).into_iter();
    let mut late: Vec<(&Vm, Refusal)> = Vec::new();
    foreseen.moves.retain(|(vm, _)| {
        let leaves = fits.next().unwrap_or(true);
        if !leaves {
            late.push((*vm, deadline::no_time(turn, time, &pace, vm)));
        }
        leaves
    });
    if !time.is_up() {
        let names: HashSet<&VmName> = late.iter().map(|(vm, _)| *vm).map(|vm| &vm.name).collect();
        for (vm, fault) in &mut late {
            let vm: &Vm = vm;
            if let Some(other) = turn.dependencies.before(vm).iter().find(|other| names.contains(other)) {
                *fault = deadline::not_without(vm, other);
            }
        }
    }
    foreseen.left.retain(|left| {
        let entry = turn.snap.vms.get(left.vm.as_str()).map(|entry| &entry.value);
        let halts = entry.filter(|vm| deadline::may_halt(turn, vm));
        late.extend(halts.map(|vm| (vm, left.fault.clone())));
        halts.is_none()
    });
    let servers: Vec<&Vm> = late.iter().map(|(vm, _)| *vm).collect();
    let ways = deadline::ways(turn, time, &servers);
    let halting =
        |((vm, fault), way): ((&Vm, Refusal), Way)| Halting { vm: vm.name.clone(), state: vm.state, way, fault };
    late.into_iter().zip(ways).map(halting).collect()
}

/// Whether it is waited for since it is about to run, and not since it moves or goes away.
fn starts(turn: &Turn<'_>, vm: &Vm) -> bool {
    !turn.moves(vm) && vm.desired == Desired::Running && vm.state != vm::State::Running
}

fn open<'s>(snap: &'s Snapshot, site: &SiteName) -> Option<&'s Outage> {
    let scope = Scope::Site(site.clone());
    snap.outages.values().map(|entry| &entry.value).find(|o| o.scope == scope && o.state.is_open())
}

fn imagined(snap: &Snapshot, site: &SiteName, now: Timestamp) -> Option<Outage> {
    let id = naming::next_outage(site.as_str(), snap.outages.keys().map(String::as_str))?;
    Some(Outage::begun(id, Scope::Site(site.clone()), String::new(), now))
}

/// Milliseconds that an evacuation still takes, for the servers that have not left; none if no migration has
/// shown yet how fast they do.
#[must_use]
pub fn time_to_leave(snap: &Snapshot, rules: &Rules, outage: &Outage, now: Timestamp) -> Option<u64> {
    time_to_empty(&Turn::new(snap, rules, now), outage)
}

/// Milliseconds in which the servers that are where an outage makes it dark would leave, by what travelled
/// the last times; none if nothing did.
pub(super) fn time_to_empty(turn: &Turn<'_>, outage: &Outage) -> Option<u64> {
    let servers = evacuation::concerned(turn.snap, outage);
    let bytes: u64 = servers.iter().map(|vm| own_bytes(turn, vm).saturating_add(layers_to_send(turn, vm))).sum();
    let bytes = bytes.saturating_add(turn.rooms.bases_to_send(&servers, &outage.scope));
    Some(speed(turn.snap, turn.rules)?.takes_ms(count(servers.len()), bytes))
}

/// What would travel of a server that leaves its site, with its base image if no other site has that.
pub(super) fn bytes_of(turn: &Turn<'_>, vm: &Vm) -> u64 {
    own_bytes(turn, vm).saturating_add(layers_to_send(turn, vm)).saturating_add(turn.rooms.base_to_send(vm))
}

/// What its disk stands on that was not sent ahead.
fn layers_to_send(turn: &Turn<'_>, vm: &Vm) -> u64 {
    ahead::missing_bytes(turn.snap, vm, vm.seeded_on())
}

/// What would travel of a server itself.
pub(super) fn own_bytes(turn: &Turn<'_>, vm: &Vm) -> u64 {
    own(turn, vm).bytes
}

fn own(turn: &Turn<'_>, vm: &Vm) -> Own {
    Own::of(turn, vm, weight::last(turn, vm))
}

/// What travelled when the server moved the last time.
pub(super) fn last_bytes(turn: &Turn<'_>, vm: &Vm) -> Option<u64> {
    weight::last(turn, vm).map(|last| weight::carried(&last))
}

/// The least and the most time that so many moves of so many bytes would take, by groups of the last migrations between
/// sites taken each by itself: how fast a link is changes from day to day more than it does among neighbours.
fn span(snap: &Snapshot, rules: &Rules, speed: Speed, moves: u64, bytes: u64) -> Option<(u64, u64)> {
    let last = trips(snap);
    let groups = (0..last.len().min(speed::LAST) / GROUP).filter_map(|n| last.get(n * GROUP..));
    let groups = groups.filter_map(|group| Speed::within(&Sums::of_newest(GROUP, group), rules.bound()));
    let took: Vec<u64> = groups.map(|speed| speed.takes_ms(moves, bytes)).collect();
    let all = speed.takes_ms(moves, bytes);
    let (least, most) = (took.iter().min()?, took.iter().max()?);
    (took.len() > 1).then(|| ((*least).min(all), (*most).max(all)))
}

/// How fast the last migrations between sites were; before there were any, how fast disks went that were sent ahead. No faster
/// than copies may be now.
fn speed(snap: &Snapshot, rules: &Rules) -> Option<Speed> {
    let most = rules.bound();
    let ahead = || Some(carried(snap)?.min(most.unwrap_or(u64::MAX)));
    Speed::within(&crossings(snap), most).or_else(|| Speed::new(ahead()?, 1_000, 0))
}

/// Bytes a second, by the same.
pub(super) fn rate(snap: &Snapshot) -> Option<u64> {
    Speed::of(&crossings(snap)).map(Speed::rate).or_else(|| carried(snap))
}

/// When it was last shown how fast the way to another site is.
pub(super) fn shown_at(snap: &Snapshot) -> Option<Timestamp> {
    let crossed = last_crossings(snap).first().map(|m| m.changed_at);
    crossed.into_iter().chain(last_carried(snap).map(|carried| carried.at)).max()
}

/// Bytes a second that the way to another site carries at least, by what was last sent ahead or to measure it.
pub(crate) fn carried(snap: &Snapshot) -> Option<u64> {
    Some(last_carried(snap)?.bytes_per_second)
}

fn last_carried(snap: &Snapshot) -> Option<Carried> {
    let nodes = || snap.nodes.values().map(|entry| &entry.value);
    let crosses = |from: &SiteName, address: &str| {
        let there = nodes().find(|node| node.inventory.migration_address == address);
        there.is_some_and(|node| node.site != *from)
    };
    let told = nodes().flat_map(|node| node.inventory.carried.iter().map(move |(address, one)| (node, address, one)));
    let mut told: Vec<_> = told.collect();
    told.sort_by_key(|(_, _, carried)| Reverse(carried.at));
    let (_, _, last) = told.into_iter().find(|(node, address, _)| crosses(&node.site, address))?;
    Some(*last).filter(|last| last.bytes_per_second > 0)
}

/// What the last migrations between sites took together.
pub(crate) fn crossings(snap: &Snapshot) -> Sums {
    Sums::of_newest(speed::LAST, &trips(snap))
}

/// The last migrations between sites, the newest first; none if the way was seen otherwise so long after all of them.
fn last_crossings(snap: &Snapshot) -> Vec<&Migration> {
    let crossed = |m: &&Migration| snap.site_of(&m.from) != snap.site_of(&m.to);
    let mut last = speed::last(snap.migrations.values().map(|entry| &entry.value).filter(crossed));
    let newest = last.first().map(|m| m.changed_at);
    if newest.zip(last_carried(snap)).is_some_and(|(newest, seen)| seen.at.millis_since(newest) > OUTDATED_MS) {
        last.clear();
    }
    last
}

/// What each of them carried, with the site from which it did.
fn trips(snap: &Snapshot) -> Vec<(Option<&SiteName>, Trip)> {
    last_crossings(snap).into_iter().filter_map(|m| Some((snap.site_of(&m.from), Trip::of(m)?))).collect()
}

#[cfg(test)]
mod tests;
