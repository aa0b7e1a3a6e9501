//! How a rehearsal went.

use std::collections::BTreeMap;

use watari_model::{
    NodeName, OutageId, Refusal, SiteName, Timestamp, VmName,
    outage::{Left, Outage, State},
    said,
    vm::{self, Vm, Way},
};

use super::{
    Times,
    diary::Entry,
    pace::{Known, Pace, Rate},
    twin::Twin,
};
use crate::core::Snapshot;

/// The account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) site: SiteName,
    /// The outage, if it is stored.
    pub(crate) outage: Option<OutageId>,
    /// When it began, if it is under way.
    pub(crate) began: Option<Timestamp>,
    pub(crate) begins: Timestamp,
    pub(crate) power_off: Option<Timestamp>,
    /// When the last of those that leave had left or was off.
    pub(crate) empty: Option<Timestamp>,
    pub(crate) evacuated: Option<Timestamp>,
    pub(crate) in_time: Option<bool>,
    pub(crate) returns: Option<Timestamp>,
    pub(crate) home: Option<Timestamp>,
    /// In the order in which they leave; who does not comes last.
    pub(crate) servers: Vec<Server>,
    pub(crate) at_risk: Vec<VmName>,
    /// Who went down with a node, in that order.
    pub(crate) went_down: Vec<Fall>,
    pub(crate) stays_away: Vec<Left>,
    /// Bytes that had travelled on the way out to nodes that failed.
    pub(crate) vain: u64,
    pub(crate) rate: u64,
    pub(crate) known: Known,
    pub(crate) step_ms: u64,
    pub(crate) at: Timestamp,
}

/// What becomes of one server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) vm: VmName,
    pub(crate) fate: Fate,
    pub(crate) from: NodeName,
    pub(crate) to: Option<NodeName>,
    pub(crate) begins: Option<Timestamp>,
    pub(crate) ends: Option<Timestamp>,
    pub(crate) home: Option<Timestamp>,
    pub(crate) bytes: u64,
    pub(crate) measured: bool,
    pub(crate) why: Option<Refusal>,
}

/// One that went down with its node.
#[derive(Debug)]
pub(crate) struct Fall {
    pub(crate) vm: VmName,
    pub(crate) node: NodeName,
    pub(crate) at: Timestamp,
}

/// How it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Live,
    Halted(Way),
    Off,
    Left,
}

/// The servers that an outage is about: those where it goes dark, and those that it has to bring home.
pub(super) fn concerned(snap: &Snapshot, outage: &Outage, site: &SiteName) -> Vec<(VmName, NodeName)> {
    let begun = matches!(outage.state, State::Evacuating | State::Evacuated | State::Returning);
    let stays = |vm: &Vm| {
        let there = vm.node().and_then(|node| snap.site_of(node));
        there == Some(site) || (begun && there.is_some() && vm.home_site == *site)
    };
    let vms = snap.vms.values().map(|entry| &entry.value);
    let about = vms.filter(|vm| vm.desired != vm::Desired::Deleted && stays(vm));
    about.filter_map(|vm| Some((vm.name.clone(), vm.node()?.clone()))).collect()
}

/// Puts the account together; of the outage only if it is stored.
pub(super) fn of(
    twin: &Twin,
    stored: Option<&Outage>,
    all: Vec<(VmName, NodeName)>,
    times: Times,
    (rate, pace): (Rate, Pace),
    at: Timestamp,
) -> Account {
    let diary = &twin.diary;
    let at_risk = diary.at_risk.clone().unwrap_or_else(|| twin.still_there());
    let evacuated = diary.evacuated;
    let dark = times.dark();
    let begun = diary.servers.values().any(|entry| entry.out.is_some() || entry.off.is_some());
    let empty = evacuated.map(|evacuated| if begun { diary.last_left().unwrap_or(evacuated) } else { evacuated });
    let went_down = falls(twin, &all);
    let under_way = stored.filter(|outage| matches!(outage.state, State::Evacuating | State::Evacuated));
    let left: BTreeMap<&VmName, &Refusal> = diary.left.iter().map(|left| (&left.vm, &left.fault)).collect();
    let halted: BTreeMap<&VmName, _> = diary.halted.iter().map(|halted| (&halted.vm, halted)).collect();
    let mut servers: Vec<Server> = Vec::new();
    for (vm, from) in all {
        let entry = diary.servers.get(&vm).cloned().unwrap_or_default();
        let moment = |clock: Option<u64>| clock.map(|clock| twin.at(clock));
        let Entry { out, stops, off, home } = entry;
        let home = moment(home);
        let plain = Server {
            vm: vm.clone(),
            fate: Fate::Left,
            from,
            to: None,
            begins: None,
            ends: None,
            home,
            bytes: 0,
            measured: false,
            why: None,
        };
        // It left before.
        if twin.snap.site_of(&plain.from) != Some(&twin.site) {
            servers.push(Server { fate: Fate::Live, to: Some(plain.from.clone()), ..plain });
            continue;
        }
        servers.push(match (out, halted.get(&vm), left.get(&vm)) {
            (Some(trip), ..) => Server {
                fate: Fate::Live,
                to: Some(trip.to),
                begins: moment(Some(trip.began)),
                ends: moment(Some(trip.ended)),
                bytes: trip.bytes,
                measured: trip.measured,
                ..plain
            },
            (None, Some(halted), _) => Server {
                fate: Fate::Halted(halted.way),
                begins: moment(stops),
                ends: moment(off),
                why: nowhere(twin, &vm, stops)
                    .or_else(|| dark.filter(|_| at_risk.contains(&vm)).map(|dark| too_late(&vm, off, dark)))
                    .or_else(|| Some(halted.fault.clone())),
                ..plain
            },
            (None, None, Some(fault)) => {
                let fate = if matches!(fault, Refusal::NotRunning { .. }) { Fate::Off } else { Fate::Left };
                Server { fate, why: Some((*fault).clone()), ..plain }
            }
            (None, None, None) => Server { why: last_fault(twin, &vm), ..plain },
        });
    }
    servers.sort_by_key(|server| (server.ends.is_none(), server.begins, server.ends, server.vm.clone()));
    Account {
        site: twin.site.clone(),
        outage: stored.map(|outage| outage.id.clone()),
        began: under_way.and_then(|outage| outage.out).map(|leg| leg.began_at),
        begins: twin.at(0),
        power_off: dark.map(|clock| twin.at(clock)),
        empty: empty.map(|clock| twin.at(clock)),
        evacuated: evacuated.map(|clock| twin.at(clock)),
        in_time: dark.map(|dark| evacuated.is_some_and(|evacuated| evacuated <= dark) && at_risk.is_empty()),
        returns: diary.returns.map(|clock| twin.at(clock)),
        home: diary.completed.map(|clock| twin.at(clock)),
        servers,
        at_risk,
        went_down,
        stays_away: diary.away.clone(),
        vain: diary.vain,
        rate: rate.bytes,
        known: rate.known,
        step_ms: pace.step_ms,
        at,
    }
}

/// Who of them went down with a node, the first first.
fn falls(twin: &Twin, all: &[(VmName, NodeName)]) -> Vec<Fall> {
    let known = all.iter().filter_map(|(vm, _)| Some((vm, twin.diary.fell.get(vm)?)));
    let mut falls: Vec<Fall> =
        known.map(|(vm, (node, clock))| Fall { vm: vm.clone(), node: node.clone(), at: twin.at(*clock) }).collect();
    falls.sort_by(|a, b| (a.at, &a.vm).cmp(&(b.at, &b.vm)));
    falls
}

/// That a server which went off for want of time had nowhere to go, if all nodes of other sites were dark by then: more
/// time would have been of no use to it.
fn nowhere(twin: &Twin, vm: &VmName, stops: Option<u64>) -> Option<Refusal> {
    let detail = said!("no node of another site has power", "ほかのサイトに稼働中のノードがありません");
    (!twin.has_refuge(stops.unwrap_or(u64::MAX))).then(|| Refusal::NoRoom { vm: vm.to_string(), detail, help: None })
}

/// That there is no time for a server even to go off.
fn too_late(vm: &VmName, off: Option<u64>, dark: u64) -> Refusal {
    let seconds = off.map(|off| off.saturating_sub(dark).div_ceil(1_000));
    let detail = match seconds {
        Some(seconds) => said!(
            "it would be off only {seconds} s after the power has gone",
            "停止し終わるのは、電源が切れてから {seconds} 秒後になります"
        ),
        None => said!("it would not be off when the power goes", "電源が切れるまでに停止できません"),
    };
    Refusal::NoTime { vm: vm.to_string(), detail }
}

/// Why the last try of a server came to nothing, if there was one.
fn last_fault(twin: &Twin, vm: &VmName) -> Option<Refusal> {
    let tries = twin.snap.migrations.values().map(|entry| &entry.value);
    let failed = tries.filter(|m| m.vm == *vm && m.fault.is_some()).max_by_key(|m| m.changed_at);
    failed.and_then(|m| m.fault.clone())
}
