//! What those who watch want to see at a glance: how far what is under way is, and what would become of each site if
//! it were emptied now. Nothing here decides anything.

use std::collections::BTreeSet;

use watari_model::{
    SiteName, Timestamp, VmName,
    migration::State as Stage,
    outage::{Outage, Scope, State},
    vm::{Desired, Evacuate, Vm},
};

use super::{
    Rules, Snapshot, evacuation,
    forecast::{Fates, forecast, time_to_leave},
    report::{Report, report},
};

/// The states of a migration that is not over, in their order.
pub const UNDER_WAY: [Stage; 6] =
    [Stage::Queued, Stage::Preparing, Stage::Copying, Stage::Settling, Stage::Switching, Stage::Aborting];

/// All migrations that are not over. Sizes in bytes, rates in bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many are in each state of [`UNDER_WAY`].
    pub counts: [u64; 6],
    /// What those that copy have sent.
    pub sent: u64,
    /// What they have left to send.
    pub left: u64,
    /// How fast they send.
    pub rate: u64,
    /// How fast their servers write to memory meanwhile.
    pub dirty_rate: u64,
}

/// Counts what travels, by the sources' last words.
#[must_use]
pub fn traffic(snap: &Snapshot) -> Traffic {
    let mut traffic = Traffic::default();
    for migration in snap.migrations.values().map(|entry| &entry.value).filter(|m| !m.state.over()) {
        for (state, count) in UNDER_WAY.iter().zip(&mut traffic.counts) {
            *count += u64::from(*state == migration.state);
        }
        if migration.state != Stage::Copying {
            continue;
        }
        let passage = snap.passages.get(&(migration.from.clone(), migration.id.clone()));
        let Some(transfer) = passage.and_then(|passage| passage.transfer) else { continue };
        let plus = |sum: u64, more: [u64; 2]| more.into_iter().fold(sum, u64::saturating_add);
        traffic.sent = plus(traffic.sent, [transfer.memory_sent, transfer.disk_sent]);
        traffic.left = plus(traffic.left, [transfer.memory_left, transfer.disk_left]);
        traffic.rate = traffic.rate.saturating_add(transfer.rate);
        traffic.dirty_rate = traffic.dirty_rate.saturating_add(transfer.dirty_rate);
    }
    traffic
}

/// How far a site's outage is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The site.
    pub site: SiteName,
    /// The state of its outage that has begun and is not over; none if there is none.
    pub state: Option<State>,
    /// Servers that have moved in its last leg.
    pub moved: usize,
    /// Servers that are moving.
    pub moving: usize,
    /// Servers whose turn has not come.
    pub waiting: usize,
    /// Servers that did not move, and are not only off.
    pub failed: usize,
    /// Milliseconds that leaving still takes by what travelled the last times: 0 if nobody is leaving, none if it
    /// is not known.
    pub left_ms: Option<u64>,
    /// When the power of a site that is being left, or was, goes; none if nobody has said.
    pub power_off_at: Option<Timestamp>,
}

/// Looks at every site.
#[must_use]
pub fn progress(snap: &Snapshot, rules: &Rules, now: Timestamp) -> Vec<Progress> {
    snap.sites.values().map(|entry| of_site(snap, rules, &entry.value.name, now)).collect()
}

fn of_site(snap: &Snapshot, rules: &Rules, site: &SiteName, now: Timestamp) -> Progress {
    let site = site.clone();
    let scope = Scope::Site(site.clone());
    let mut outages = snap.outages.values().map(|entry| &entry.value);
    let Some(outage) = outages.find(|outage| outage.scope == scope && outage.state.is_open()) else {
        let (state, left_ms, power_off_at) = (None, Some(0), None);
        return Progress { site, state, moved: 0, moving: 0, waiting: 0, failed: 0, left_ms, power_off_at };
    };
    let report = report(snap, outage, now);
    let is_leaving = outage.state == State::Evacuating;
    Progress {
        state: Some(outage.state),
        moved: report.moved.iter().map(|migration| &migration.vm).collect::<BTreeSet<_>>().len(),
        moving: report.moving.len(),
        waiting: waiting(snap, outage, &report).len(),
        failed: report.failed.len(),
        left_ms: if is_leaving { time_to_leave(snap, rules, outage, now) } else { Some(0) },
        power_off_at: outage.window.filter(|_| outage.state != State::Returning).map(|window| window.from),
        site,
    }
}

/// Servers that are still to move in the outage's leg, but are not in the queue, nor known to stay.
pub(crate) fn waiting<'s>(snap: &'s Snapshot, outage: &Outage, report: &Report<'_>) -> Vec<&'s VmName> {
    let moving = report.moving.iter().map(|migration| &migration.vm);
    let (left, halted) = (report.failed.iter().map(|left| &left.vm), outage.halted.iter().map(|halted| &halted.vm));
    let told: BTreeSet<&VmName> = moving.chain(left).chain(halted).chain(&report.off).collect();
    still_there(snap, outage).map(|vm| &vm.name).filter(|name| !told.contains(name)).collect()
}

/// Servers that are where the outage's leg takes them away from, and are to run elsewhere.
fn still_there<'s>(snap: &'s Snapshot, outage: &Outage) -> impl Iterator<Item = &'s Vm> {
    let servers: Vec<&Vm> = match outage.state {
        State::Evacuating => evacuation::concerned(snap, outage),
        State::Returning => {
            let is_away = |vm: &&Vm| {
                outage.scope == Scope::Site(vm.home_site.clone())
                    && vm.node().and_then(|node| snap.site_of(node)).is_some_and(|at| *at != vm.home_site)
            };
            snap.vms.values().map(|entry| &entry.value).filter(is_away).collect()
        }
        _ => Vec::new(),
    };
    servers.into_iter().filter(|vm| vm.desired == Desired::Running && vm.spec.evacuate != Evacuate::Stay)
}

/// What would become of a site's servers if it were emptied now, with all the time that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The site.
    pub site: SiteName,
    /// How many servers could leave, and how many not.
    pub fates: Fates,
    /// Milliseconds that it would take; none if nothing is known of the link.
    pub estimated_ms: Option<u64>,
}

/// Looks at every site.
#[must_use]
pub fn readiness(snap: &Snapshot, rules: &Rules, now: Timestamp) -> Vec<Readiness> {
    let of_site = |site: &SiteName| {
        let foreseen = forecast(snap, rules, site, now)?;
        Some(Readiness { site: site.clone(), fates: foreseen.fates(), estimated_ms: foreseen.estimated_ms() })
    };
    snap.sites.values().filter_map(|entry| of_site(&entry.value.name)).collect()
}

#[cfg(test)]
mod tests;
