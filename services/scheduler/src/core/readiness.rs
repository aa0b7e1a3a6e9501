//! Whether the outages that are scheduled could be carried out as things are. They are looked at from the
//! day on which they are scheduled: there is time then to make room.
//!
//! A server that is off is not at risk: nothing of it is lost with the power. One whose own policy is to
//! stay is, but it is counted apart, since somebody wants it so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use watari_chassis::Entry;
use watari_model::{
    Refusal, SiteName, Timestamp, VmName,
    outage::{Change, Left, Outage, Scope, State, Window},
    vm::{self, Desired, Evacuate, Vm},
};

use super::{
    Rules, Snapshot, calendar, disks,
    forecast::{Fates, Forecast, forecast, image_travels, is_wanted},
    placement::{Need, Rooms, Supply, choose},
};

/// So many servers at risk are kept in an outage's document; its plan has them all.
const MOST_AT_RISK: usize = 100;

/// A scheduled outage as it would go now.
#[derive(Debug)]
pub struct Outlook {
    /// The outage.
    pub outage: Arc<Entry<Outage>>,
    /// What goes dark.
    pub site: SiteName,
    /// When the power will be off.
    pub window: Window,
    /// When its evacuation begins.
    pub begins_at: Timestamp,
    /// Milliseconds that it would take; none if nothing is known of the link.
    pub estimated_ms: Option<u64>,
    /// Bytes of base images that would travel as well, since no other site has them.
    pub base_bytes: u64,
    /// How many servers could leave, and how many not.
    pub fates: Fates,
    /// How many could not for each reason, by its code.
    pub reasons: BTreeMap<&'static str, usize>,
    /// How many could, but something is to be said of that, by its code.
    pub warnings: BTreeMap<&'static str, usize>,
    at_risk: Vec<Left>,
    warned: Vec<Left>,
}

/// Looks at every outage that is scheduled, the soonest first.
#[must_use]
pub fn outlooks(snap: &Snapshot, rules: &Rules, now: Timestamp) -> Vec<Outlook> {
    // Two outages of one site find the same servers there.
    let mut forecasts = BTreeMap::new();
    let mut found: Vec<Outlook> = Vec::new();
    for entry in snap.outages.values() {
        let outage = &entry.value;
        let (State::Scheduled, Scope::Site(site), Some(window)) = (outage.state, &outage.scope, outage.window) else {
            continue;
        };
        let begins_at = calendar::begins_at(snap, rules, outage, window, now);
        let foreseen = forecasts.entry(site).or_insert_with(|| forecast(snap, rules, site, now));
        let Some(foreseen) = foreseen else { continue };
        let at_risk = foreseen.left.iter().filter(|left| !left.is_off());
        let warned = warned(foreseen);
        found.push(Outlook {
            outage: Arc::clone(entry),
            site: site.clone(),
            window,
            begins_at,
            estimated_ms: foreseen.estimated_ms(),
            base_bytes: foreseen.moves.iter().map(|m| m.base_bytes).sum(),
            fates: foreseen.fates(),
            reasons: by_code(at_risk.clone().filter(|left| !is_wanted(left))),
            warnings: by_code(warned.iter()),
            at_risk: bounded(at_risk.cloned().collect()),
            warned: bounded(warned),
        });
    }
    found.sort_by_key(|outlook| outlook.window.from);
    found
}

/// Who could leave, and what is to be said of it.
fn warned(foreseen: &Forecast) -> Vec<Left> {
    let each = foreseen.moves.iter().flat_map(|one| one.warnings.iter().map(|fault| (one.vm.clone(), fault.clone())));
    each.map(|(vm, fault)| Left { vm, fault }).collect()
}

fn by_code<'l>(left: impl Iterator<Item = &'l Left>) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for left in left {
        *counts.entry(left.fault.code()).or_insert(0) += 1;
    }
    counts
}

/// As many as a document holds, by name.
fn bounded(mut left: Vec<Left>) -> Vec<Left> {
    left.sort_by(|a, b| a.vm.cmp(&b.vm));
    left.truncate(MOST_AT_RISK);
    left
}

impl Outlook {
    /// What the outage's document is to say from now on: none as long as the same servers are at risk, or warned of, for the
    /// same reasons. How much exactly is lacking changes all the time and is no news.
    #[must_use]
    pub fn news(&self) -> Option<Change> {
        fn which(left: &[Left]) -> BTreeSet<(&VmName, &'static str)> {
            left.iter().map(|left| (&left.vm, left.fault.code())).collect()
        }
        fn newer<'l>(known: &'l [Left], seen: &'l [Left]) -> &'l [Left] {
            if which(known) == which(seen) { known } else { seen }
        }
        let known = &self.outage.value;
        let at_risk = newer(&known.at_risk, &self.at_risk).to_vec();
        let warned = newer(&known.warned, &self.warned).to_vec();
        (at_risk != known.at_risk || warned != known.warned).then_some(Change::RisksSeen { at_risk, warned })
    }
}

/// Why a server that was made, or is to be, could not leave its site in the next outage that is scheduled there, or not
/// together with all others, or not without its base image; none if it could.
pub(crate) fn cannot_leave(
    snap: &Snapshot,
    rules: &Rules,
    rooms: impl FnOnce() -> Arc<Rooms>,
    vm: &Vm,
    now: Timestamp,
) -> Option<Refusal> {
    let home = Scope::Site(vm.home_site.clone());
    let scheduled = snap.outages.values().map(|entry| &entry.value);
    let scheduled =
        scheduled.filter(|outage| outage.scope == home && outage.state == State::Scheduled && !outage.is_proposed());
    let outage = scheduled.min_by_key(|outage| outage.window.map(|window| window.from))?;
    let why = if vm.spec.evacuate == Evacuate::Stay {
        Refusal::PolicyStays { vm: vm.name.to_string() }
    } else {
        let rooms = rooms();
        match choose(&rooms, &Need::start(vm, snap), &|node| node.site != vm.home_site, &[]) {
            Err(why) => why,
            Ok(to) => match (leaves_no_room(snap, rules, &rooms, vm, outage, now), rooms.supply(&vm.spec.base, &to)) {
                (Some(why), _) => why,
                (None, Supply::Far(bytes)) => return Some(image_travels(snap, vm, &to, bytes)),
                (None, _) => return None,
            },
        }
    };
    Some(Refusal::CannotLeave { vm: vm.name.to_string(), outage: outage.id.to_string(), detail: why.said() })
}

/// Why somebody could not leave if that server ran as well, be it another one, of whom that is not known yet; none if all
/// could, or if it finds no node to run on.
fn leaves_no_room(
    snap: &Snapshot,
    rules: &Rules,
    rooms: &Rooms,
    vm: &Vm,
    outage: &Outage,
    now: Timestamp,
) -> Option<Refusal> {
    let node = choose(rooms, &Need::start(vm, snap), &|node| node.site == vm.home_site, &[]).ok()?;
    let mut running = vm.clone();
    running.apply(vm::Change::Granted(node), now).ok()?;
    running.apply(vm::Change::SeenRunning, now).ok()?;
    let mut with_it = snap.clone();
    let entry = Entry { value: running, revision: 0, created: now };
    Arc::make_mut(&mut with_it.vms).insert(vm.name.to_string(), Arc::new(entry));
    let foreseen = forecast(&with_it, rules, &vm.home_site, now)?;
    let without_it;
    let known: &[Left] = if outage.at_risk.len() < MOST_AT_RISK {
        &outage.at_risk
    } else {
        // The document does not have them all.
        without_it = forecast(snap, rules, &vm.home_site, now)?.left;
        &without_it
    };
    let known: BTreeSet<&VmName> = known.iter().map(|left| &left.vm).collect();
    let is_news = |left: &Left| !left.is_off() && !is_wanted(left) && !known.contains(&left.vm);
    foreseen.left.iter().find(|left| is_news(left)).map(|left| left.fault.clone())
}

/// Why a server that was made to run could be put nowhere as things are; none if it could, or if it waits for nothing.
/// It stays and is tried again, since there may be room later: whoever makes it learns at once that there is none.
pub(crate) fn cannot_start(snap: &Snapshot, rooms: impl FnOnce() -> Arc<Rooms>, vm: &Vm) -> Option<Refusal> {
    let waits = vm.state == vm::State::Pending && vm.desired == Desired::Running && disks::wanted(vm).is_none();
    let home = Scope::Site(vm.home_site.clone());
    // It begins elsewhere then.
    let drains = snap.outages.values().any(|entry| entry.value.state.drains() && entry.value.scope == home);
    if !waits || drains {
        return None;
    }
    choose(&rooms(), &Need::start(vm, snap), &|node| node.site == vm.home_site, &[]).err()
}

/// That a server was made on no network, where nobody reaches it; none if it is on one. It may be meant so, as for a test
/// of an image: nobody is refused.
pub(crate) fn has_no_network(vm: &Vm) -> Option<Refusal> {
    vm.spec.nics.is_empty().then(|| Refusal::NoNetwork { vm: vm.name.to_string() })
}

/// The addresses that were asked for and lie outside of what their networks hand out. They are the server's, since many a
/// machine has one that nobody hands out; but so may another machine's, and who mistyped it should learn that.
pub(crate) fn outside_ranges(snap: &Snapshot, vm: &Vm) -> Vec<Refusal> {
    let outside = |nic: &vm::Nic| {
        let range = snap.networks.get(nic.network.as_str())?.value.range;
        (nic.fixed && !range.contains(nic.address)).then(|| Refusal::AddressOutside {
            vm: vm.name.to_string(),
            network: nic.network.to_string(),
            address: nic.address.to_string(),
            range: format!("{}-{}", range.first, range.last),
        })
    };
    vm.spec.nics.iter().filter_map(outside).collect()
}

#[cfg(test)]
mod tests;
