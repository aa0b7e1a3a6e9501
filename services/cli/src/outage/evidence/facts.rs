//! What an outage came to, put together from what services and front ends tell. Pure. The field names are stable.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use watari_contracts::{
    history::HistoryChange,
    probe::{Seen, Watched},
    scheduler::{ControlMoved, Fault, HaltedVm, HandedOver, LegName, MigrationView, NotMoved, OutageView},
};
use watari_model::{
    MigrationId, NodeName, OutageId, SiteName, Timestamp, VmName,
    migration::{Measured, Reason, State as Step},
    outage::{self, Scope, State, Window},
};

use super::requested::{Requested, Wish, taken_out};

/// What is put together.
pub(super) struct Sources {
    pub(super) view: OutageView,
    /// Those of this outage.
    pub(super) migrations: Vec<MigrationView>,
    pub(super) seen: Vec<Seen>,
    /// Of the outage's document, oldest first.
    pub(super) changes: Vec<HistoryChange>,
    /// Of servers, by people, oldest first.
    pub(super) asked: Vec<HistoryChange>,
    pub(super) users: Option<Users>,
    pub(super) link_mbit: Option<u64>,
    pub(super) now: Timestamp,
}

/// The whole report. Times in milliseconds, sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Evidence {
    pub(super) id: OutageId,
    pub(super) scope: Scope,
    pub(super) state: State,
    /// What it was for, in its maker's words.
    pub(super) note: String,
    pub(super) window: Option<Window>,
    /// When this was put together.
    pub(super) made_at: Timestamp,
    /// The speed for which the least times hold.
    pub(super) link_mbit: Option<u64>,
    pub(super) legs: Vec<Leg>,
    /// By name.
    pub(super) servers: Vec<Server>,
    pub(super) stayed: Vec<Stayed>,
    pub(super) halted: Vec<HaltedVm>,
    pub(super) off: Vec<VmName>,
    /// Of the last leg.
    pub(super) control: Option<ControlMoved>,
    /// Of every leg, the oldest first.
    pub(super) handovers: Vec<HandedOver>,
    pub(super) front_ends: Vec<FrontEnd>,
    pub(super) timeline: Vec<Happening>,
    /// What users noticed, if somebody asked them.
    pub(super) users: Option<Users>,
}

/// One way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Leg {
    pub(super) leg: LegName,
    pub(super) began_at: Timestamp,
    /// When its last server had moved, or it was turned round or called off; none while it goes on.
    pub(super) ended_at: Option<Timestamp>,
    /// How many servers have moved.
    pub(super) moved: usize,
    /// What travelled.
    pub(super) bytes: u64,
    /// From its beginning to its last server; so far, if it goes on.
    pub(super) makespan_ms: u64,
    /// How long so much data takes at the link's speed alone, if that was said.
    pub(super) least_ms: Option<u64>,
}

/// One server.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Server {
    pub(super) vm: VmName,
    /// In their order.
    pub(super) moves: Vec<Move>,
    pub(super) seen: Vec<SeenFrom>,
}

/// One migration, also one that came to nothing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Move {
    pub(super) id: MigrationId,
    pub(super) leg: LegName,
    pub(super) from: NodeName,
    pub(super) to: NodeName,
    pub(super) state: Step,
    /// When its turn began to be waited for.
    pub(super) queued_at: Timestamp,
    /// When copying began.
    pub(super) began_at: Option<Timestamp>,
    /// When it ran at its target.
    pub(super) arrived_at: Option<Timestamp>,
    /// When it came to nothing.
    pub(super) given_up_at: Option<Timestamp>,
    pub(super) measured: Option<Measured>,
    pub(super) fault: Option<Fault>,
}

/// What one front end saw of one probe.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SeenFrom {
    pub(super) front_end: String,
    /// Its gaps, and the longest of them, are those that nobody asked for.
    #[serde(flatten)]
    pub(super) watched: Watched,
    /// When it was silent since an operator had stopped or rebooted the server. `failed` counts these as well.
    pub(super) requested: Vec<Requested>,
}

/// A server that did not move, and on which way.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stayed {
    pub(super) leg: LegName,
    #[serde(flatten)]
    pub(super) why: NotMoved,
}

/// A front end that answered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FrontEnd {
    pub(super) name: String,
    pub(super) site: Option<SiteName>,
    pub(super) watched: usize,
    pub(super) left_out: u64,
    pub(super) fault: Option<String>,
}

/// Something that happened to the outage itself or to one of its servers, or that an operator asked of one.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Happening {
    pub(super) at: Timestamp,
    pub(super) by: Option<String>,
    pub(super) why: Option<String>,
    pub(super) summary: String,
}

/// What the users of a test noticed; the rest of what they wrote is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Users {
    pub(super) mails: Option<Mails>,
    pub(super) http: Option<Pages>,
    pub(super) connection: Option<Connection>,
}

/// Numbered mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mails {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) retried: u64,
}

/// Pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pages {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) longest_gap_ms: u64,
}

/// One connection that was held open throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Connection {
    pub(super) survived: bool,
    pub(super) longest_gap_ms: u64,
}

/// Puts the report together.
pub(super) fn evidence(sources: Sources) -> Evidence {
    let Sources { view, migrations, seen, changes, asked, users, link_mbit, now } = sources;
    let mut moves: Vec<(VmName, Move)> = migrations.into_iter().filter_map(|m| moved(&view, m)).collect();
    moves.sort_by(|(a_vm, a), (b_vm, b)| (a.queued_at, a_vm).cmp(&(b.queued_at, b_vm)));
    let of = |name: LegName, times: Option<outage::Leg>| Some(leg(name, times?, &moves, link_mbit, now));
    let legs = [of(LegName::Out, view.out), of(LegName::Home, view.home)].into_iter().flatten().collect();
    let front_ends = front_ends(&seen);
    let mut servers = BTreeMap::new();
    for (vm, one) in moves {
        server(&mut servers, &vm).moves.push(one);
    }
    for Seen { instance, watched, .. } in seen {
        for mut watched in watched {
            let vm = watched.vm.clone();
            let requested = taken_out(&mut watched, asked.iter().filter(|change| change.key == vm.as_str()));
            server(&mut servers, &vm).seen.push(SeenFrom { front_end: host(&instance), watched, requested });
        }
    }
    for server in servers.values_mut() {
        server.seen.sort_by(|a, b| (&a.watched.probe, &a.front_end).cmp(&(&b.watched.probe, &b.front_end)));
    }
    // What was asked before the servers began to leave is no part of it.
    let begun = view.out.map_or(view.created_at, |out| out.began_at);
    let asked = asked.into_iter().filter(|change| change.at >= begun);
    let timeline = timeline(changes, asked, &servers);
    Evidence {
        id: view.id,
        scope: view.scope,
        state: view.state,
        note: view.note,
        window: view.window,
        made_at: now,
        link_mbit,
        legs,
        servers: servers.into_values().collect(),
        stayed: stayed(view.leg, view.stayed, view.failed),
        halted: view.halted,
        off: view.off,
        control: view.control,
        handovers: view.handovers,
        front_ends,
        timeline,
        users,
    }
}

fn server<'s>(servers: &'s mut BTreeMap<VmName, Server>, vm: &VmName) -> &'s mut Server {
    servers.entry(vm.clone()).or_insert_with(|| Server { vm: vm.clone(), moves: Vec::new(), seen: Vec::new() })
}

/// A migration as a part of the legs that are reported. One of an earlier try to empty the same site is none.
fn moved(view: &OutageView, migration: MigrationView) -> Option<(VmName, Move)> {
    let (leg, times) = match migration.reason {
        Reason::Evacuation => (LegName::Out, view.out),
        Reason::Return => (LegName::Home, view.home),
        Reason::Operator | Reason::Relief => return None,
    };
    times.filter(|times| migration.created_at >= times.began_at)?;
    let MigrationView { id, vm, from, to, state, measured, fault, created_at, copying_at, changed_at, .. } = migration;
    // What was measured begins with the copying, and ends when the server was seen running.
    let seen = copying_at.zip(measured).map_or(changed_at, |(began, measured)| began.plus_millis(measured.total_ms));
    let one = Move {
        id,
        leg,
        from,
        to,
        state,
        queued_at: created_at,
        began_at: copying_at,
        arrived_at: (state == Step::Completed).then_some(seen),
        given_up_at: matches!(state, Step::Failed | Step::Cancelled).then_some(changed_at),
        measured,
        fault,
    };
    Some((vm, one))
}

fn leg(leg: LegName, times: outage::Leg, moves: &[(VmName, Move)], link_mbit: Option<u64>, now: Timestamp) -> Leg {
    let arrived: Vec<&(VmName, Move)> =
        moves.iter().filter(|(_, one)| one.leg == leg && one.arrived_at.is_some()).collect();
    let bytes = arrived.iter().filter_map(|(_, one)| one.measured).map(|m| m.memory_bytes + m.disk_bytes).sum();
    let last = arrived.iter().filter_map(|(_, one)| one.arrived_at).max();
    // The last server's end is when it ran at its target, not when the books were closed.
    let end = times.ended_at.map_or(now, |ended| last.unwrap_or(ended));
    let vms: BTreeSet<&VmName> = arrived.iter().map(|(vm, _)| vm).collect();
    Leg {
        leg,
        began_at: times.began_at,
        ended_at: times.ended_at,
        moved: vms.len(),
        bytes,
        makespan_ms: end.millis_since(times.began_at),
        least_ms: link_mbit.and_then(|mbit| least_ms(bytes, mbit)),
    }
}

/// How long so many bytes take at so many megabits a second.
fn least_ms(bytes: u64, mbit: u64) -> Option<u64> {
    let bits_a_ms = u128::from(mbit) * 1_000;
    (bits_a_ms > 0).then(|| u64::try_from((u128::from(bytes) * 8).div_ceil(bits_a_ms)).unwrap_or(u64::MAX))
}

/// The report of services is about the last leg; of the way out before it they tell who stayed.
fn stayed(leg: LegName, before: Vec<NotMoved>, last: Vec<NotMoved>) -> Vec<Stayed> {
    let of = |leg: LegName, all: Vec<NotMoved>| all.into_iter().map(move |why| Stayed { leg, why });
    match leg {
        LegName::Out => of(LegName::Out, last).collect(),
        LegName::Home => of(LegName::Out, before).chain(of(LegName::Home, last)).collect(),
    }
}

fn front_ends(seen: &[Seen]) -> Vec<FrontEnd> {
    let one = |seen: &Seen| FrontEnd {
        name: host(&seen.instance),
        site: seen.site.clone(),
        watched: seen.watched.iter().filter(|watched| watched.asked > 0).count(),
        left_out: seen.left_out,
        fault: seen.fault.clone(),
    };
    let mut all: Vec<FrontEnd> = seen.iter().map(one).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The host in `monitor.HOST.UNIQUE`; whatever else it is as it comes.
fn host(instance: &str) -> String {
    let host = instance.strip_prefix("monitor.").and_then(|rest| rest.rsplit_once('.')).map(|(host, _)| host);
    host.filter(|host| !host.is_empty()).unwrap_or(instance).to_owned()
}

/// What happened to the outage and its servers, and what operators asked of these, in the order of time.
fn timeline(
    changes: Vec<HistoryChange>,
    asked: impl Iterator<Item = HistoryChange>,
    servers: &BTreeMap<VmName, Server>,
) -> Vec<Happening> {
    let names: BTreeSet<&str> = servers.keys().map(VmName::as_str).collect();
    let wishes = asked.filter(|change| Wish::of(change).is_some() && names.contains(change.key.as_str()));
    let mut all: Vec<Happening> = changes.into_iter().chain(wishes).map(happening).collect();
    all.extend(servers.values().flat_map(|server| server.moves.iter().flat_map(move |one| crossing(&server.vm, one))));
    all.sort_by_key(|one| one.at);
    all
}

/// When a server left and arrived, or came to stay. The lines are the monitor's in form, and told as these are.
fn crossing(vm: &VmName, one: &Move) -> Vec<Happening> {
    let Move { from, to, .. } = one;
    let told = |at: Timestamp, what: String| Happening { at, by: None, why: None, summary: format!("{vm}: {what}") };
    let code = one.fault.as_ref().map(|fault| format!(" ({})", fault.code)).unwrap_or_default();
    let left = one.began_at.map(|at| told(at, format!("leaves {from} for {to}")));
    let arrived = one.arrived_at.map(|at| told(at, format!("arrived at {to}")));
    let stayed = one.given_up_at.map(|at| told(at, format!("did not get to {to}{code}")));
    [left, arrived, stayed].into_iter().flatten().collect()
}

fn happening(change: HistoryChange) -> Happening {
    let HistoryChange { at, by, why, summary, .. } = change;
    Happening { at, by, why, summary }
}
